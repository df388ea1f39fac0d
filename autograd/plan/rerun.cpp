// Operations that a plan runs as they are: rare in networks, or not ours.
#include <map>
#include <mutex>

#include "autograd/ops/common.h"
#include "autograd/plan/graph.h"

namespace sono::plan {

namespace {

using In = std::vector<Tensor>;
using A = Attributes;

// The first k of the sorted values and their places.
std::pair<Tensor, Tensor> sorted(const Tensor& x, const A& a) {
  const int64_t axis = integer(a, "axis"), k = integer(a, "k");
  const auto [y, index] = sort(x, axis, integer(a, "descending"));
  return {slice(y, axis, 0, k), slice(index, axis, 0, k)};
}

PoolOptions pool_options(const A& a) {
  PoolOptions o;
  Extent stride(1);
  o.window.sizes = integers(a, "window"), stride.sizes = integers(a, "stride"), o.padding.sizes = integers(a, "padding");
  o.stride = stride, o.ceil = integer(a, "ceil");
  return o;
}

// The index that adaptive_max_pool reads at.
Tensor adaptive_index(const Tensor& x, const Shape& y) {
  const Tensor index(y, Dtype::i32);
  kernels::adaptive_max_index({x.view(ops::with_3_spatial("pool", x.shape())), index.view(ops::with_3_spatial("pool", y))});
  return index;
}

Dtype dtype_named(const std::string& name) {
  for (const Dtype d : {Dtype::f32, Dtype::f64, Dtype::i32, Dtype::u8})
    if (name == to_string(d)) return d;
  throw Error("[plan] unknown dtype " + name);
}

struct Registry {
  std::mutex mutex;
  std::map<std::string, PlanRun> all;
};
Registry& registry() {
  static Registry r{
      {},
      {{"cast", [](const In& x, const A& a) { return x[0].to(dtype_named(text(a, "dtype"))); }},
       {"sum", [](const In& x, const A& a) { return sum(x[0], integers(a, "axes"), integer(a, "keep")); }},
       {"mean", [](const In& x, const A& a) { return mean(x[0], integers(a, "axes"), integer(a, "keep")); }},
       {"max", [](const In& x, const A& a) { return max(x[0], integers(a, "axes"), integer(a, "keep")); }},
       {"min", [](const In& x, const A& a) { return min(x[0], integers(a, "axes"), integer(a, "keep")); }},
       {"argmax", [](const In& x, const A& a) { return argmax(x[0], integer(a, "axis")); }},
       {"argmin", [](const In& x, const A& a) { return argmin(x[0], integer(a, "axis")); }},
       {"cumsum", [](const In& x, const A& a) { return cumsum(x[0], integer(a, "axis"), integer(a, "reverse")); }},
       {"roll", [](const In& x, const A& a) { return roll(x[0], integer(a, "shift"), integer(a, "axis")); }},
       {"sum_to", [](const In& x, const A& a) { return sum_to(x[0], integers(a, "shape")); }},
       {"gather", [](const In& x, const A& a) { return gather(x[0], x[1], integer(a, "axis")); }},
       {"scatter_add", [](const In& x, const A& a) { return scatter_add(x[0], x[1], integers(a, "shape"), integer(a, "axis")); }},
       {"one_hot", [](const In& x, const A& a) { return one_hot(x[0], integer(a, "classes")); }},
       {"sort", [](const In& x, const A& a) { return sorted(x[0], a).first; }},
       {"topk", [](const In& x, const A& a) { return sorted(x[0], a).first; }},
       {"sort_index", [](const In& x, const A& a) { return sorted(x[0], a).second; }},
       {"max_pool_index", [](const In& x, const A& a) { return max_pool_with_index(x[0], pool_options(a)).second; }},
       {"adaptive_max_index", [](const In& x, const A& a) { return adaptive_index(x[0], integers(a, "shape")); }},
       {"max_pool_at", [](const In& x, const A&) { return ops::max_pool_at(x[0], x[1]); }},
       {"max_unpool", [](const In& x, const A& a) { return max_unpool(x[0], x[1], integers(a, "shape")); }},
       {"batch_norm_eval", [](const In& x, const A& a) { return batch_norm_eval(x[0], x[1], x[2], x[3], x[4], real(a, "epsilon")); }},
       {"grid_sample",
        [](const In& x, const A& a) {
          return grid_sample(x[0], x[1], text(a, "mode") == "nearest" ? Interpolation::nearest : Interpolation::linear,
                             integer(a, "align_corners"));
        }},
       {"fft", [](const In& x, const A& a) { return fft(x[0]) * real(a, "scale", 1); }},
       {"ifft", [](const In& x, const A&) { return ifft(x[0]); }}}};
  return r;
}

}  // namespace

PlanRun rerun_of(const Call& call) {
  if (call.name == "batch_norm" || call.name == "batch_norm_max_pool")
    throw Error("[plan] " + call.name + " takes statistics of the batch: call eval() before freezing");
  if (call.name == "dropout") throw Error("[plan] dropout draws random numbers: call eval() before freezing");
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  const auto found = r.all.find(call.name);
  if (found == r.all.end())
    throw Error("[plan] the operation '" + call.name + "' cannot be frozen; say how it is run with register_plan_operation()");
  return found->second;
}

}  // namespace sono::plan

namespace sono {

void register_plan_operation(const std::string& name, PlanRun run) {
  plan::Registry& r = plan::registry();
  const std::lock_guard lock(r.mutex);
  r.all[name] = std::move(run);
}

}  // namespace sono
