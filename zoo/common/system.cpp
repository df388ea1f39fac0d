#include "zoo/common/system.h"

#include <fmt/format.h>

#include "zoo/data/open.h"

namespace sono::zoo {

Data System::data(const Source& source) const {
  Data data{source, open(source), {}, {}};
  data.grouping = leak_groups(*data.set);
  const SplitOptions options{.validation = validation_share(), .seed = source.seed};
  data.split = random_split() ? zoo::random_split(*data.set, options) : grouped_split(*data.set, options, data.grouping);
  check_split(*data.set, data.split.train, data.split.validation, data.grouping);
  return data;
}

std::vector<Sample> System::read(const std::string& path) const { return read_samples(path); }

std::string card_text(const Card& card, const Settings& settings) {
  std::string text = fmt::format("{}: {}\n\n", card.name, card.title);
  const auto row = [&](const char* key, const std::string& value) {
    if (!value.empty()) text += fmt::format("{:<11} {}\n", key, value);
  };
  row("task", card.task);
  row("input", card.input);
  row("method", card.method);
  row("reference", card.reference);
  row("claim", card.claim);
  row("measured", card.measured);
  row("limits", card.limits);
  row("use", "Research and teaching. Not for diagnosis.");
  text += "\nsettings (--set NAME=VALUE)\n";
  for (const auto& line : settings.lines()) text += fmt::format("  {:<20} {:<14} {}\n", line.name, line.value, line.help);
  return text;
}

std::unique_ptr<System> make_system(const std::string& name) {
  std::vector<std::string> names;
  for (const SystemEntry& entry : systems()) {
    if (entry.name == name) return entry.make();
    names.push_back(entry.name);
  }
  const std::string near = nearest(name, names);
  throw Error("unknown system '" + name + "'; " + (near.empty() ? "known are " + joined(names) : "did you mean " + near + "?"));
}

}  // namespace sono::zoo
