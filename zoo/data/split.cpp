#include "zoo/data/split.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "tensor/random.h"
#include "zoo/data/message.h"

namespace sono::zoo {
namespace {

using Indices = std::vector<int64_t>;

// Categories 0, 1 …; unknown ones form a stratum of their own.
std::vector<size_t> strata(const Dataset& data, size_t& count) {
  std::map<int, size_t> numbers;
  std::vector<size_t> stratum;
  for (int64_t i = 0; i < data.size(); i++)
    stratum.push_back(numbers.try_emplace(data.category(i).value_or(-1), numbers.size()).first->second);
  count = numbers.size();
  return stratum;
}

[[noreturn]] void cannot(const Dataset& data, const Grouping& g, size_t parts) {
  const std::string start = "[split] " + shown(data.name()) + ": ";
  if (data.size() <= 1)
    throw Error(start + "a set of " + std::to_string(data.size()) +
                " image(s) cannot be split into training and validation; give it more images");
  std::string why = std::to_string(data.size()) + " images are only " + std::to_string(g.groups) + " independent group(s)";
  if (!g.duplicates.empty())
    why += ": " + std::to_string(g.duplicates.size()) + " near-duplicate pairs (" + named(data, g.duplicates, 100) + ")";
  else
    why += ": they share patients or videos";
  throw Error(start + "the set cannot be split into " + std::to_string(parts) + " parts, its " + why + "; add other images");
}

// A group costs a part the squared distance of its counts, per category and in all, from the share that it should have.
class Parts {
 public:
  Parts(std::vector<double> shares, std::vector<double> totals)
      : shares_(std::move(shares)), totals_(std::move(totals)), counts_(shares_.size(), std::vector<double>(totals_.size())) {}

  size_t take(const std::vector<double>& group) {
    size_t best = 0;
    double least = INFINITY;
    for (size_t p = 0; p < shares_.size(); p++) {
      double cost = 0;
      for (size_t c = 0; c < totals_.size(); c++) {
        const double before = counts_[p][c] - shares_[p] * totals_[c], after = before + group[c];
        cost += (after * after - before * before) / std::max(totals_[c], 1.0);
      }
      if (cost < least - 1e-12) least = cost, best = p;
    }
    for (size_t c = 0; c < totals_.size(); c++) counts_[best][c] += group[c];
    return best;
  }

 private:
  std::vector<double> shares_, totals_;
  std::vector<std::vector<double>> counts_;
};

// The part of each sample. No part stays empty.
std::vector<size_t> assign(const Dataset& data, const Grouping& g, const std::vector<double>& shares, uint64_t seed) {
  const auto groups = static_cast<size_t>(g.groups);
  if (data.size() <= 1 || groups < shares.size()) cannot(data, g, shares.size());
  size_t categories = 0;
  const std::vector<size_t> stratum = strata(data, categories);
  std::vector<std::vector<double>> counts(groups, std::vector<double>(categories + 1));
  std::vector<double> totals(categories + 1);
  for (size_t i = 0; i < stratum.size(); i++)
    for (const size_t c : {stratum[i], categories}) counts[static_cast<size_t>(g.group[i])][c]++, totals[c]++;
  const Indices drawn = Random(seed, "split").permutation(g.groups);
  Indices rank(groups), order = drawn;  // the largest first, equals as drawn
  for (size_t i = 0; i < groups; i++) rank[static_cast<size_t>(drawn[i])] = static_cast<int64_t>(i);
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    const auto i = static_cast<size_t>(a), j = static_cast<size_t>(b);
    return counts[i].back() != counts[j].back() ? counts[i].back() > counts[j].back() : rank[i] < rank[j];
  });
  Parts parts(shares, totals);
  std::vector<size_t> part(groups), members(shares.size());
  for (int64_t k : order) members[part[static_cast<size_t>(k)] = parts.take(counts[static_cast<size_t>(k)])]++;
  for (size_t p = 0; p < shares.size(); p++)
    if (!members[p]) {  // the last, smallest group of the part that has most of them
      const auto rich = static_cast<size_t>(std::max_element(members.begin(), members.end()) - members.begin());
      const auto from = std::find_if(order.rbegin(), order.rend(), [&](int64_t k) { return part[static_cast<size_t>(k)] == rich; });
      part[static_cast<size_t>(*from)] = p, members[rich]--, members[p]++;
    }
  std::vector<size_t> of_sample;
  for (int64_t k : g.group) of_sample.push_back(part[static_cast<size_t>(k)]);
  return of_sample;
}

void check_shares(const SplitOptions& o) {
  if (!(o.validation > 0) || !(o.test >= 0) || o.validation + o.test >= 1)
    throw Error("[split] validation " + std::to_string(o.validation) + " and test " + std::to_string(o.test) +
                " are shares: above 0 (test: or 0), together below 1");
}

Split collected(const std::vector<size_t>& part) {
  Split split;
  for (size_t i = 0; i < part.size(); i++)
    (part[i] == 0 ? split.train : part[i] == 1 ? split.validation : split.test).push_back(static_cast<int64_t>(i));
  return split;
}

}  // namespace

Split grouped_split(const Dataset& data, const SplitOptions& o, const Grouping& g) {
  check_shares(o);
  std::vector<double> shares = {1 - o.validation - o.test, o.validation};
  if (o.test > 0) shares.push_back(o.test);
  return collected(assign(data, g, shares, o.seed));
}

Split grouped_split(const Dataset& data, const SplitOptions& o) { return grouped_split(data, o, leak_groups(data)); }

std::vector<Split> k_folds(const Dataset& data, int64_t k, uint64_t seed, const Grouping& g) {
  if (k < 2) throw Error("[split] k_folds wants at least 2 folds, got " + std::to_string(k));
  const std::vector<size_t> part = assign(data, g, std::vector<double>(static_cast<size_t>(k), 1.0 / static_cast<double>(k)), seed);
  std::vector<Split> folds(static_cast<size_t>(k));
  for (size_t f = 0; f < folds.size(); f++)
    for (size_t i = 0; i < part.size(); i++) (part[i] == f ? folds[f].validation : folds[f].train).push_back(static_cast<int64_t>(i));
  return folds;
}

std::vector<Split> k_folds(const Dataset& data, int64_t k, uint64_t seed) { return k_folds(data, k, seed, leak_groups(data)); }

Split random_split(const Dataset& data, const SplitOptions& o) {
  check_shares(o);
  Grouping single{{}, data.size(), {}};
  single.group.resize(static_cast<size_t>(data.size()));
  std::iota(single.group.begin(), single.group.end(), int64_t{0});
  return grouped_split(data, o, single);
}

void check_split(const Dataset& data, const Indices& train, const Indices& validation, const Grouping& g) {
  const std::set<int64_t> left(train.begin(), train.end()), right(validation.begin(), validation.end());
  const auto refuse = [&](const std::string& why) {
    throw Error("[check_split] " + shown(data.name()) + ": the split leaks, " + why +
                "; use the grouped split (grouped_split), which keeps them on one side");
  };
  std::vector<std::string> both;
  for (int64_t i : right)
    if (left.count(i)) both.push_back(shown(data.meta(i).id));
  if (!both.empty()) refuse(std::to_string(both.size()) + " image(s) are in training and in validation: " + listed(both));
  std::vector<Duplicate> across;
  for (const Duplicate& d : g.duplicates)
    if ((left.count(d.a) && right.count(d.b)) || (left.count(d.b) && right.count(d.a))) across.push_back(d);
  if (!across.empty())
    refuse(std::to_string(across.size()) + " near-duplicate pair(s) of images are on both sides: " + named(data, across));
  for (const bool of_patient : {true, false}) {
    const auto key = [&](int64_t i) { return of_patient ? data.meta(i).patient : data.meta(i).video; };
    std::set<std::string> trained, shared;
    for (int64_t i : left) trained.insert(key(i));
    for (int64_t i : right)
      if (!key(i).empty() && trained.count(key(i))) shared.insert(shown(key(i)));
    if (!shared.empty())
      refuse(std::to_string(shared.size()) + (of_patient ? " patient(s)" : " video(s)") +
             " are on both sides: " + listed({shared.begin(), shared.end()}));
  }
}

void check_split(const Dataset& data, const Indices& train, const Indices& validation) {
  check_split(data, train, validation, leak_groups(data));
}

}  // namespace sono::zoo
