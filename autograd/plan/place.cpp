// One arena: buffers whose lives do not overlap share memory. Largest first, each at the smallest gap that holds it among those that live
// at the same time [Pisarchyk and Lee 2020, "greedy by size"].
#include <algorithm>
#include <numeric>

#include "autograd/plan/graph.h"

namespace sono::plan {

namespace {

struct Life {
  size_t first = none, last = 0;  // calls
  bool meets(const Life& other) const { return first <= other.last && other.first <= last; }
};

std::vector<Life> lives(const Graph& g) {
  std::vector<Life> all(g.buffers.size());
  const auto alive = [&](Id value, size_t at) {
    Life& life = all[g.values[value].buffer];
    life.first = std::min(life.first, at), life.last = std::max(life.last, at);
  };
  for (size_t i = 0; i < g.calls.size(); i++) {
    for (const Id v : g.calls[i].reads()) alive(v, i);
    alive(g.calls[i].result(), i);
  }
  for (const auto* ends : {&g.inputs, &g.outputs})
    for (const Id v : *ends) alive(v, 0), alive(v, g.calls.size());
  return all;
}

}  // namespace

Places place(const Graph& g) {
  constexpr int64_t line = 64;  // bytes: buffers begin at lines of the cache
  const std::vector<Life> life = lives(g);
  Places places;
  places.first.assign(g.buffers.size(), -1);
  std::vector<Id> order(g.buffers.size()), placed;
  std::iota(order.begin(), order.end(), Id{0});
  std::sort(order.begin(), order.end(),
            [&](Id a, Id b) { return g.buffers[a].size != g.buffers[b].size ? g.buffers[a].size > g.buffers[b].size : a < b; });
  const auto room = [&](Id b) {
    const int64_t values = line / byte_size(g.buffers[b].dtype);
    return (std::max<int64_t>(1, g.buffers[b].size) + values - 1) / values * values;
  };
  for (const Id b : order) {
    if (g.buffers[b].constant || life[b].first == none) continue;
    int64_t best = -1, best_gap = 0, end = 0;
    for (const Id other : placed) {  // by rising place
      if (g.buffers[other].dtype != g.buffers[b].dtype || !life[b].meets(life[other])) continue;
      const int64_t gap = places.first[other] - end;
      if (gap >= room(b) && (best < 0 || gap < best_gap)) best = end, best_gap = gap;
      end = std::max(end, places.first[other] + room(other));
    }
    places.first[b] = best < 0 ? end : best;
    placed.insert(std::upper_bound(placed.begin(), placed.end(), b, [&](Id x, Id y) { return places.first[x] < places.first[y]; }), b);
    int64_t& values = places.values[static_cast<size_t>(g.buffers[b].dtype)];
    values = std::max(values, places.first[b] + room(b));
  }
  return places;
}

}  // namespace sono::plan
