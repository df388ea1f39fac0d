#pragma once
// The settings of a system: typed members of a struct with defaults, each named once with its range and a line of help. They are set by
// `--set width=32`, written to config.json and read back from it.
//
//   struct Options { int64_t width = 16;  void list(Settings& s) { s.add("width", width, 4, 256, "channels of the finest level"); } };
//   Settings settings;  options.list(settings);
//   settings.set("width", "32");   settings.set("widht", "32");   // Error: unknown setting 'widht'; known are width
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace sono::zoo {

class Settings {
 public:
  void add(std::string name, int64_t& value, int64_t low, int64_t high, std::string help);
  void add(std::string name, double& value, double low, double high, std::string help);
  void add(std::string name, bool& value, std::string help);
  void add(std::string name, std::string& value, std::vector<std::string> choices, std::string help);  // no choices: any text
  void add(std::string name, std::vector<int64_t>& values, int64_t low, int64_t high, std::string help);  // "16,32,64"

  void set(const std::string& name, const std::string& text);  // Error: unknown name, no such value, out of range
  nlohmann::json to_json() const;
  void from_json(const nlohmann::json& values);  // names that it lacks keep their value

  struct Line { std::string name, value, help; };
  std::vector<Line> lines() const;  // for the card and the report

 private:
  struct Entry {
    std::string name, help;
    std::function<void(const std::string&)> set;
    std::function<std::string()> text;
    std::function<nlohmann::json()> json;
    std::function<void(const nlohmann::json&)> take;
  };
  std::vector<Entry> entries_;
};

// The candidate most like `word`, by edit distance; empty if none is near. For "unknown system 'unett'; did you mean unet?".
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);
std::string joined(const std::vector<std::string>& words, const std::string& separator = ", ");

// Text to number, the whole of it; Error: "epochs wants a whole number, got 'many'".
int64_t parse_integer(const std::string& what, const std::string& text);
double parse_number(const std::string& what, const std::string& text);

}  // namespace sono::zoo
