#include "zoo/common/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "tensor/error.h"

namespace sono::zoo {

using nlohmann::json;

int64_t parse_integer(const std::string& what, const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) throw Error(what + " wants a whole number, got '" + text + "'");
  return value;
}

double parse_number(const std::string& what, const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value != value) throw Error(what + " wants a number, got '" + text + "'");
  return value;
}

std::string joined(const std::vector<std::string>& words, const std::string& separator) { return fmt::format("{}", fmt::join(words, separator)); }

namespace {

template <class T> T in_range(const std::string& name, T value, T low, T high) {
  if (value < low || value > high) throw Error(fmt::format("{} must lie between {} and {}, got {}", name, low, high, value));
  return value;
}

int64_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<int64_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); j++) row[j] = static_cast<int64_t>(j);
  for (size_t i = 1; i <= a.size(); i++) {
    int64_t diagonal = row[0];
    row[0] = static_cast<int64_t>(i);
    for (size_t j = 1; j <= b.size(); j++) {
      const int64_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
  const auto distance = [&](const std::string& c) { return edit_distance(word, c); };
  const auto best = std::min_element(candidates.begin(), candidates.end(), [&](const auto& a, const auto& b) { return distance(a) < distance(b); });
  return best != candidates.end() && distance(*best) <= std::max<int64_t>(2, static_cast<int64_t>(word.size()) / 3) ? *best : "";
}

void Settings::add(std::string name, int64_t& value, int64_t low, int64_t high, std::string help) {
  entries_.push_back({name, std::move(help), [=, &value](const std::string& t) { value = in_range(name, parse_integer(name, t), low, high); },
                      [&value] { return std::to_string(value); }, [&value] { return json(value); },
                      [=, &value](const json& j) { value = in_range(name, j.get<int64_t>(), low, high); }});
}

void Settings::add(std::string name, double& value, double low, double high, std::string help) {
  entries_.push_back({name, std::move(help), [=, &value](const std::string& t) { value = in_range(name, parse_number(name, t), low, high); },
                      [&value] { return fmt::format("{}", value); }, [&value] { return json(value); },
                      [=, &value](const json& j) { value = in_range(name, j.get<double>(), low, high); }});
}

void Settings::add(std::string name, bool& value, std::string help) {
  const auto set = [name, &value](const std::string& t) {
    if (t != "true" && t != "false") throw Error(name + " wants true or false, got '" + t + "'");
    value = t == "true";
  };
  entries_.push_back({name, std::move(help), set, [&value] { return std::string(value ? "true" : "false"); }, [&value] { return json(value); },
                      [&value](const json& j) { value = j.get<bool>(); }});
}

void Settings::add(std::string name, std::string& value, std::vector<std::string> choices, std::string help) {
  const auto set = [=, &value](const std::string& t) {
    if (!choices.empty() && std::find(choices.begin(), choices.end(), t) == choices.end())
      throw Error(name + " wants one of " + joined(choices) + ", got '" + t + "'");
    value = t;
  };
  entries_.push_back({name, std::move(help), set, [&value] { return value; }, [&value] { return json(value); }, [set](const json& j) { set(j.get<std::string>()); }});
}

void Settings::add(std::string name, std::vector<int64_t>& values, int64_t low, int64_t high, std::string help) {
  const auto set = [=, &values](const std::string& t) {
    std::vector<int64_t> parsed;
    for (size_t at = 0; at <= t.size();) {
      const size_t comma = std::min(t.find(',', at), t.size());
      parsed.push_back(in_range(name, parse_integer(name, t.substr(at, comma - at)), low, high));
      at = comma + 1;
    }
    values = parsed;
  };
  entries_.push_back({name, std::move(help), set, [&values] { return fmt::format("{}", fmt::join(values, ",")); }, [&values] { return json(values); },
                      [=, &values](const json& j) {
                        auto given = j.get<std::vector<int64_t>>();
                        for (const int64_t v : given) in_range(name, v, low, high);
                        values = std::move(given);
                      }});
}

void Settings::set(const std::string& name, const std::string& text) {
  std::vector<std::string> names;
  for (const Entry& e : entries_) {
    if (e.name == name) return e.set(text);
    names.push_back(e.name);
  }
  const std::string near = nearest(name, names);
  throw Error("unknown setting '" + name + "'; " + (near.empty() ? "known are " + joined(names) : "did you mean " + near + "?"));
}

json Settings::to_json() const {
  json values = json::object();
  for (const Entry& e : entries_) values[e.name] = e.json();
  return values;
}

void Settings::from_json(const json& values) {
  for (const Entry& e : entries_)
    if (values.contains(e.name)) try {
        e.take(values[e.name]);
      } catch (const json::exception&) {
        throw Error("setting " + e.name + " has an unusable value in config.json");
      }
}

std::vector<Settings::Line> Settings::lines() const {
  std::vector<Line> all;
  for (const Entry& e : entries_) all.push_back({e.name, e.text(), e.help});
  return all;
}

}  // namespace sono::zoo
