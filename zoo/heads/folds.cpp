#include "zoo/heads/folds.h"

#include <algorithm>
#include <map>
#include <set>

#include "tensor/random.h"

namespace sono::zoo {
namespace {

// Rows of a table, for the functions that split data sets: categories without pictures.
class Table : public Dataset {
 public:
  explicit Table(const std::vector<int>& y) : y_(y) {}
  int64_t size() const override { return static_cast<int64_t>(y_.size()); }
  Sample get(int64_t i) const override {
    Sample sample;
    sample.labels.category = category(i);
    sample.meta = meta(i);
    return sample;
  }
  Meta meta(int64_t i) const override {
    Meta m;
    m.id = "case " + std::to_string(i);
    return m;
  }
  std::optional<int> category(int64_t i) const override { return y_.at(static_cast<size_t>(i)); }
  std::string name() const override { return "the table"; }

 private:
  const std::vector<int>& y_;
};

Grouping grouping_of(const std::vector<int>& y, const std::vector<int64_t>& groups) {
  if (!groups.empty() && groups.size() != y.size())
    throw ShapeError("[folds] " + std::to_string(groups.size()) + " patients of " + std::to_string(y.size()) + " cases");
  std::map<int64_t, int64_t> numbers;
  Grouping g;
  for (size_t i = 0; i < y.size(); i++) {
    const int64_t key = groups.empty() ? static_cast<int64_t>(i) : groups[i];
    g.group.push_back(numbers.try_emplace(key, static_cast<int64_t>(numbers.size())).first->second);
  }
  g.groups = static_cast<int64_t>(numbers.size());
  return g;
}

}  // namespace

std::vector<Split> grouped_folds(const std::vector<int>& y, const std::vector<int64_t>& groups, int64_t k, uint64_t seed) {
  const Grouping g = grouping_of(y, groups);
  const std::set<int> categories(y.begin(), y.end());
  const std::string start = "[folds] ";
  if (k < 2) throw NumericError(start + "wants 2 folds or more, got " + std::to_string(k));
  if (categories.size() < 2)
    throw NumericError(start + "all " + std::to_string(y.size()) + " cases are of one category; give cases of two or more");
  if (k > g.groups)
    throw NumericError(start + std::to_string(k) + " folds of " + std::to_string(g.groups) + " patient(s): some would be empty; ask for " +
                       std::to_string(g.groups) + " or fewer");
  std::vector<Split> folds = k_folds(Table(y), k, seed, g);
  for (size_t f = 0; f < folds.size(); f++) {
    std::set<int> trained;
    for (const int64_t i : folds[f].train) trained.insert(y[static_cast<size_t>(i)]);
    for (const int c : categories)
      if (!trained.count(c))
        throw NumericError(start + "fold " + std::to_string(f) + " would train without category " + std::to_string(c) +
                           ", which too few patients have; add patients of it or ask for other folds");
  }
  return folds;
}

std::vector<Split> repeated_folds(const std::vector<int>& y, const std::vector<int64_t>& groups, int64_t k, int64_t repeats, uint64_t seed) {
  std::vector<Split> all;
  for (int64_t r = 0; r < repeats; r++) {
    Random random(seed, "repeat", static_cast<uint64_t>(r));
    for (Split& fold : grouped_folds(y, groups, k, r == 0 ? seed : random.bits())) all.push_back(std::move(fold));
  }
  return all;
}

int64_t most_folds(const std::vector<int>& y, const std::vector<int64_t>& groups) {
  const Grouping g = grouping_of(y, groups);
  std::map<int, std::set<int64_t>> patients;
  for (size_t i = 0; i < y.size(); i++) patients[y[i]].insert(g.group[i]);
  size_t fewest = y.size();
  for (const auto& [category, numbers] : patients) fewest = std::min(fewest, numbers.size());
  return static_cast<int64_t>(fewest);
}

}  // namespace sono::zoo
