#include <cstdio>
#include <filesystem>

#include "tensor/files.h"
#include "zoo/app/commands.h"
#include "zoo/app/run_folder.h"
#include "zoo/lab/bench.h"

namespace sono::zoo::app {
namespace {

// What would fail after minutes of measuring fails before.
void check_output(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (!path.empty() && !folder.empty() && !std::filesystem::is_directory(folder))
    throw FileError("there is no folder " + folder.string() + " for " + path);
}

}  // namespace

void bench(const BenchCall& call) {
  check_output(call.json), check_output(call.plot);
  const auto cases = lab::select_cases(call.pattern);
  const lab::Report report = lab::run_bench(cases, call.seconds, [](const std::string& text) {
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
  });
  if (report.load_before > 0.5)
    std::printf("load average %.2f at the start: others worked beside this run; compare within it only\n", report.load_before);
  if (!call.json.empty()) write_json(call.json, lab::to_json(report));
  if (!call.plot.empty()) write_file_atomically(call.plot, lab::roofline_svg(report));
}

}  // namespace sono::zoo::app
