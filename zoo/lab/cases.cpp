#include "zoo/lab/cases.h"

#include <algorithm>

#include "tensor/error.h"

namespace sono::lab {
namespace {

// * stands for any text, ? for one character.
bool glob(const char* pattern, const char* name) {
  if (*pattern == 0) return *name == 0;
  if (*pattern == '*') return glob(pattern + 1, name) || (*name && glob(pattern, name + 1));
  return *name && (*pattern == '?' || *pattern == *name) && glob(pattern + 1, name + 1);
}

// The least number of edits that turn `word` into the beginning of `name`.
size_t distance_to_start(const std::string& word, const std::string& name) {
  std::vector<size_t> row(name.size() + 1);
  for (size_t j = 0; j < row.size(); j++) row[j] = j;
  for (size_t i = 0; i < word.size(); i++) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < name.size(); j++) {
      const size_t next = std::min({row[j] + 1, row[j + 1] + 1, diagonal + (word[i] != name[j])});
      diagonal = row[j + 1], row[j + 1] = next;
    }
  }
  return *std::min_element(row.begin(), row.end());
}

// Kernels and networks, the nearest to the pattern first.
std::string near_names(const std::string& pattern, const std::vector<Case>& cases) {
  std::vector<std::pair<size_t, std::string>> names;
  for (const Case& c : cases)
    if (names.empty() || names.back().second != c.kernel) names.emplace_back(0, c.kernel);
  std::string word = pattern.substr(0, pattern.find('/'));
  std::erase_if(word, [](char c) { return c == '*' || c == '?'; });
  for (auto& [distance, name] : names) {
    const size_t colon = name.find(':');
    distance = distance_to_start(word, name);
    if (colon != name.npos) distance = std::min(distance, distance_to_start(word, name.substr(colon + 1)));
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  std::string list;
  for (size_t i = 0; i < std::min<size_t>(4, names.size()); i++) list += (i ? ", " : "") + names[i].second;
  return list;
}

}  // namespace

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  add_conv_cases(cases);
  add_matmul_cases(cases);
  add_recurrent_cases(cases);
  add_memory_cases(cases);
  add_network_cases(cases);
  return cases;
}

bool matches(const std::string& pattern, const std::string& name) {
  return name.find(pattern) != name.npos || glob(pattern.c_str(), name.c_str());
}

std::vector<Case> select_cases(const std::string& pattern) {
  std::vector<Case> all = all_cases(), chosen;
  const bool slow_too = pattern.find("reference") != pattern.npos;
  for (const Case& c : all)
    if (matches(pattern, c.name) && (!c.slow || slow_too)) chosen.push_back(c);
  if (chosen.empty()) throw Error("bench knows nothing like '" + pattern + "'; near are " + near_names(pattern, all));
  return chosen;
}

}  // namespace sono::lab
