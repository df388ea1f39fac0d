// The laboratory: names and patterns, one chosen entry per shape, rates that follow from times, rivals that compute the same.
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "tensor/error.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"
#include "tensor/random.h"
#include "zoo/lab/bench.h"
#include "zoo/lab/rivals.h"
#include "zoo/lab/works.h"

using namespace sono;
using namespace sono::lab;

namespace {

std::string message_of(const std::string& pattern) {
  try {
    select_cases(pattern);
  } catch (const Error& e) { return e.what(); }
  return "";
}

Result point(double flops, double bytes, double gflops, const char* kernel = "matmul") {
  Result r;
  r.name = std::string(kernel) + "/tiles/a<b & c", r.kernel = kernel, r.entry = "tiles", r.shape = "a<b & c";
  r.flops = flops, r.bytes = bytes, r.gflops = gflops, r.chosen = true;
  return r;
}

}  // namespace

TEST_CASE("lab: a pattern is part of a name or a glob") {
  CHECK(matches("winograd", "conv2d/winograd/16->32 3x3 64x64 N8"));
  CHECK(matches("conv2d*", "conv2d_weight/rows/16->32 3x3 64x64 N8"));
  CHECK(matches("conv2d/*/16->?2 *", "conv2d/rows/16->32 3x3 64x64 N8"));
  CHECK_FALSE(matches("conv2d/*/16", "conv2d/rows/16->32 3x3 64x64 N8"));
  CHECK(matches("", "anything"));
  CHECK(matches("*", ""));
  CHECK_FALSE(matches("?", ""));
}

TEST_CASE("lab: names are unique, slow references are left out unless they are named, an unknown pattern names near ones") {
  std::set<std::string> names;
  bool slow = false;
  for (const Case& c : all_cases()) {
    CHECK_MESSAGE(names.insert(c.name).second, c.name);
    CHECK_MESSAGE((c.shape.empty() || c.bytes > 0), c.name);
    slow = slow || c.slow;
  }
  CHECK(slow);
  for (const Case& c : select_cases("")) CHECK_FALSE(c.slow);
  bool asked = false;
  for (const Case& c : select_cases("conv2d/reference/")) asked = asked || c.slow;
  CHECK(asked);
  CHECK(select_cases("step:unet").size() == 1);
  CHECK(message_of("conv2b/").find("conv2d") != std::string::npos);
  CHECK(message_of("step:unett").find("step:unet") != std::string::npos);
  CHECK(message_of("matmull/*").find("matmul") != std::string::npos);
}

TEST_CASE("lab: a run has one chosen entry per shape, rates that follow from its times, and the agreed keys") {
  std::vector<Case> cases = select_cases("matmul/*/32x32x32*");
  for (const Case& c : select_cases("map/map/relu 256k*")) cases.push_back(c);
  for (const Case& c : select_cases("infer:resnet-small")) cases.push_back(c);
  std::string said;
  const Report report = run_bench(cases, 0.002, [&](const std::string& text) { said += text; });
  CHECK(report.ceilings.peak_gflops > 0.1);
  CHECK(report.ceilings.triad_gbs > 0.1);
  std::map<std::string, int> chosen;
  for (const Result& r : report.results) {
    INFO(r.name);
    chosen[r.kernel + " " + r.shape] += r.chosen;
    CHECK(r.min_ms > 0);
    CHECK(r.median_ms >= r.min_ms);
    CHECK(r.threads == threads());
    CHECK(r.gflops == doctest::Approx(1e-6 * r.flops / r.min_ms));
    CHECK(r.percent_of_peak == doctest::Approx(100 * r.gflops / report.ceilings.peak_gflops));
    if (r.bytes > 0) CHECK(r.percent_of_roof == doctest::Approx(100 * r.gflops / report.ceilings.roof(r.flops / r.bytes)));
    CHECK(said.find(r.entry.empty() ? r.name : r.entry) != std::string::npos);
    if (r.name == "infer:resnet-small") CHECK(r.peak_bytes > 307506 * 4);  // at the least its weights
  }
  for (const auto& [shape, n] : chosen) CHECK_MESSAGE(n == (shape == "infer:resnet-small " ? 0 : 1), shape);

  const nlohmann::json j = to_json(report);
  for (const char* key : {"peak_gflops", "triad_gbs", "results", "load_average", "isa", "processor"}) CHECK_MESSAGE(j.contains(key), key);
  REQUIRE(j["results"].size() == report.results.size());
  for (const char* key : {"name", "threads", "median_ms", "min_ms", "gflops", "percent_of_peak", "peak_bytes"})
    CHECK_MESSAGE(j["results"][0].contains(key), key);
}

TEST_CASE("lab: entries that compute the same take turns, a slow one is not called for ever") {
  int fast = 0, slow = 0;
  const auto wait = [](double seconds) {
    for (const double end = seconds_now() + seconds; seconds_now() < end;) {}
  };
  const auto times = measure({[&] { fast++, wait(1e-4); }, [&] { slow++, wait(0.03); }}, {.seconds = 0.02, .rounds = 5});
  CHECK(times[0].least >= 1e-4);
  CHECK(times[1].least >= 0.03);
  CHECK(slow <= 4);
  CHECK(fast >= 4);
}

TEST_CASE("lab: the roofline has both ceilings with numbers, a title per point and no markup from names") {
  Report report{{100, 20},
                "v3",
                "A <processor>",
                2,
                0,
                0,
                {point(1e9, 1e7, 80), point(1e6, 8e6, 2, "normalize"), point(0, 1e6, 0), point(1e9, 0, 50)}};
  CHECK(report.ceilings.roof(1) == 20);
  CHECK(report.ceilings.roof(50) == 100);
  const std::string svg = roofline_svg(report);
  CHECK(svg.rfind("<svg", 0) == 0);
  CHECK(svg.find("</svg>") != std::string::npos);
  CHECK(svg.find("peak of multiply-adds 100 GFLOP/s") != std::string::npos);
  CHECK(svg.find("triad from memory 20.0 GB/s") != std::string::npos);
  CHECK(svg.find("a&lt;b &amp; c") != std::string::npos);
  CHECK(svg.find("a<b") == std::string::npos);
  size_t titles = 0;
  for (size_t at = 0; (at = svg.find("<title>", at)) != std::string::npos; at++) titles++;
  CHECK(titles == 2);                            // those that have both FLOPs and bytes
  CHECK(svg.find("http") == svg.rfind("http"));  // the namespace alone
}

TEST_CASE("lab: other libraries' matrix products are those of our reference") {
  for (const Rival& r : rivals()) {
    if (!r.matmul) continue;
    INFO(r.name);
    r.set_threads(2);
    for (const MatmulShape& s : {MatmulShape{33, 17, 65, false, false}, {33, 17, 65, true, false}, {33, 17, 65, false, true}}) {
      const Tensor a = random_normal(s.transpose_a ? Shape{s.K, s.M} : Shape{s.M, s.K}, 1, 0),
                   b = random_normal(s.transpose_b ? Shape{s.N, s.K} : Shape{s.K, s.N}, 1, 1);
      const Tensor y = Tensor::full({1, s.M, s.N}, NAN), right({1, s.M, s.N});
      r.matmul(s, a.data<float>(), b.data<float>(), y.data<float>())();
      kernels::matmul.cpu.back().run({a, b, right, s.transpose_a, s.transpose_b});
      for (int64_t i = 0; i < y.size(); i++) REQUIRE(y.data<float>()[i] == doctest::Approx(right.data<float>()[i]).epsilon(1e-4));
    }
  }
}

TEST_CASE("lab: works have the parameters and FLOPs of their definitions") {
  CHECK_THROWS_AS(make_work("step:nothing"), Error);
  const Work autoencoder = make_work("step:autoencoder");
  CHECK(autoencoder.parameters == 784 * 500 + 500 + 500 * 250 + 250 + 250 * 500 + 500 + 500 * 784 + 784);
  CHECK(autoencoder.flops == 2.0 * 100 * (3 * (784 * 500 + 500 * 250 + 250 * 500 + 500 * 784) - 784 * 500));
  autoencoder.run();
  const Work cnn = make_work("infer:cnn");
  CHECK(cnn.parameters == 9 * (16 + 16 * 32 + 32 * 64 + 64 * 64) + 2 * (16 + 32 + 64 + 64) + 64 * 2 + 2);
  CHECK(cnn.flops == 2.0 * 9 * (128 * 128 * 16 + 64 * 64 * 16 * 32 + 32 * 32 * 32 * 64 + 16 * 16 * 64 * 64) + 2 * 64 * 2);
  cnn.run();
  CHECK(make_work("infer:sononet-16").parameters == 930796);
  const Work trained = make_work("train:unet-hc");
  CHECK(trained.parameters == 482449);
  trained.run();
  CHECK(make_work("train:unet").parameters == 1942289);
}
