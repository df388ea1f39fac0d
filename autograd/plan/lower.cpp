// Calls become kernel calls: places in the arena, the implementation chosen, weights packed. What is left to do per run is `run(args)`.
#include <algorithm>
#include <chrono>
#include <map>

#include "autograd/ops/common.h"
#include "autograd/plan/graph.h"
#include "tensor/parallel.h"

namespace sono::plan {

namespace {

using namespace kernels;

struct Map {
  MapFunction function;
  MapArgs args;
  std::shared_ptr<const void> op;
};

int64_t inner(const MapArgs& a) { return a.shape[0] ? a.size / a.shape[0] : 0; }

// Rows [first, first + rows) of the outermost dimension. Operands and result have one dtype.
MapArgs part(MapArgs a, int64_t first, int64_t rows) {
  const int64_t bytes = byte_size(a.dtype), row = inner(a);
  rows = std::min(rows, a.shape[0] - first);
  for (int k = 0; k < a.inputs; k++) a.in[k] = static_cast<const char*>(a.in[k]) + first * a.stride[k][0] * bytes;
  a.out = static_cast<char*>(a.out) + first * row * bytes;
  a.shape[0] = rows, a.size = rows * row;
  return a;
}

// One map after the other on blocks that stay in the first-level cache; whole, where their rows do not divide into common blocks.
std::function<void()> run_maps(std::vector<Map> maps) {
  if (maps[0].args.size == 0) return [] {};
  int64_t widest = 1;
  for (const Map& m : maps) widest = std::max(widest, inner(m.args));
  const int64_t size = maps[0].args.size, block = widest * std::max<int64_t>(1, 4096 / widest);
  const bool blocks = std::all_of(maps.begin(), maps.end(), [&](const Map& m) { return block % inner(m.args) == 0; });
  if (maps.size() == 1 || !blocks)
    return [maps = std::move(maps)] {
      for (const Map& m : maps) m.function(m.args);
    };
  return [maps = std::move(maps), size, block] {
    parallel_for((size + block - 1) / block, 2, [&](int64_t first, int64_t last) {
      for (int64_t b = first; b < last; b++)
        for (const Map& m : maps) m.function(part(m.args, b * block / inner(m.args), block / inner(m.args)));
    });
  };
}

const char* name_of(Activation a) {
  constexpr const char* names[] = {"", "relu", "sigmoid", "tanh"};
  return names[static_cast<int>(a)];
}

// Seconds of the fastest of a few runs.
double time_of(const std::function<void()>& run) {
  using Clock = std::chrono::steady_clock;
  run();
  double best = 1e30, total = 0;
  for (int i = 0; i < 20 && total < 0.02; i++) {
    const auto start = Clock::now();
    run();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::min(best, seconds), total += seconds;
  }
  return best;
}

class Lowering {
 public:
  Lowering(const Graph& graph, const PlanOptions& options) : g(graph), options_(options), places_(place(graph)) {
    for (const Dtype d : {Dtype::f32, Dtype::f64, Dtype::i32, Dtype::u8}) {
      const int64_t values = places_.values[static_cast<size_t>(d)];
      arenas_[static_cast<size_t>(d)] = options.measure ? Tensor::zeros({values}, d) : Tensor({values}, d);
      program_.arena_bytes += values * byte_size(d);
    }
  }

  Program run() {
    for (const Call& c : g.calls) lower(c);
    for (const Id v : g.inputs) program_.inputs.push_back(tensor(v));
    for (const Id v : g.outputs) program_.outputs.push_back(tensor(v));
    for (const auto& [buffer, values] : constants_) program_.constant_bytes += values.bytes(), program_.memory.push_back(values);
    for (const Tensor& arena : arenas_) program_.memory.push_back(arena);
    return std::move(program_);
  }

 private:
  // ---- values
  // ----------------------------------------------------------------------------------------------------------------------------
  Tensor tensor(Id value) {
    if (value == none) return {};
    const Value& v = g.values[value];
    const Buffer& b = g.buffers[v.buffer];
    if (b.constant) {  // a copy of its own: the network may go on learning
      auto [at, fresh] = constants_.try_emplace(v.buffer);
      if (fresh) at->second = b.constant.clone();
      return at->second.rows(v.offset, v.offset + count(v.shape)).view(v.shape);
    }
    const int64_t first = places_.first[v.buffer] + v.offset;
    return arenas_[static_cast<size_t>(b.dtype)].rows(first, first + count(v.shape)).view(v.shape);
  }
  Tensor own(Tensor t) {
    program_.constant_bytes += t.bytes();
    return t;
  }

  const Shape& shape(Id value) const { return g.shape(value); }
  int64_t size(Id value) const { return count(g.shape(value)); }

  void add(const Call& c, std::string what, int64_t flops, std::function<void()> run) {
    program_.steps.push_back({std::move(what), shape(c.result()), flops, std::move(run)});
  }

  // ---- kernels
  // ---------------------------------------------------------------------------------------------------------------------------
  template <class Args>
  void add_kernel(const Call& c, const Kernel<Args>& kernel, Args args, int64_t flops, const std::string& more = "") {
    const Implementation<Args>& chosen = kernel.choose(args);
    add(c, std::string(kernel.name) + ":" + chosen.name + more, flops, [run = chosen.run, args = std::move(args)] { run(args); });
  }

  template <class Args>
  struct Candidate {
    const Implementation<Args>* entry;
    bool fused;  // with the activation
  };

  // The entry for a product with an activation: the one that is best without, if it can; or one that is better still.
  template <class Args>
  Candidate<Args> by_cost(const Kernel<Args>& kernel, const Args& args) {
    Args plain = args;
    plain.activation = Activation::none;
    const Implementation<Args>&best = kernel.choose(plain), &fused = kernel.choose(args);
    const bool cheaper = best.cost && fused.cost && fused.cost(args) <= best.cost(plain);
    if (&fused <= &best || cheaper) return {&fused, true};
    return {&best, false};
  }

  // A call of a kernel that has weights, and the maps that follow it.
  template <class Args>
  struct Product {
    Args args;
    Tensor Args::*weights;
    Id value;                  // the weights
    std::vector<Map> unfused;  // the activation, for entries that do not do it themselves
    std::vector<Map> after = {};
  };

  template <class Args>
  std::function<void()> runner(const Candidate<Args>& candidate, const Product<Args>& product) {
    Args args = product.args;
    std::vector<Map> then = product.after;
    if (!candidate.fused) args.activation = Activation::none, then.insert(then.begin(), product.unfused.begin(), product.unfused.end());
    const auto* entry = candidate.entry;
    if (g.constant(product.value)) {
      if (entry->pack) args.packed = entry->pack(args);
      if (args.packed && entry->fits(args))
        own(args.packed);
      else
        args.packed = {}, args.*product.weights = tensor(product.value).view((args.*product.weights).shape());
    }
    if (then.empty()) return [run = entry->run, args = std::move(args)] { run(args); };
    return [run = entry->run, args = std::move(args), then = run_maps(std::move(then))] { run(args), then(); };
  }

  template <class Args>
  Candidate<Args> by_time(const Kernel<Args>& kernel, const Product<Args>& product, Candidate<Args> best) {
    const char* forced = forced_implementation(kernel.name);
    const bool activated = product.args.activation != Activation::none;
    double least = 1e30;
    for (const auto& entry : kernel.cpu) {
      if (forced && std::string_view(forced) != entry.name) continue;
      if (std::string_view(entry.name) == "reference" && best.entry != &entry) continue;  // never the fastest, but slow to time
      for (const bool fused : {true, false}) {
        Args a = product.args;
        if (!fused) a.activation = Activation::none;
        if ((!fused && !activated) || !entry.fits(a)) continue;
        const double seconds = time_of(runner<Args>({&entry, fused}, product));
        if (seconds < least) least = seconds, best = {&entry, fused};
      }
    }
    return best;
  }

  template <class Args>
  void add_product(const Call& c, const Kernel<Args>& kernel, const Product<Args>& product, int64_t flops) {
    Candidate<Args> best = by_cost(kernel, product.args);
    if (options_.measure) best = by_time(kernel, product, best);
    std::string what = std::string(kernel.name) + ":" + best.entry->name;
    if (c.activation != Activation::none)
      what += std::string(best.fused && product.args.activation != Activation::none ? " + " : ", ") + name_of(c.activation);
    add(c, what, flops, runner<Args>(best, product));
  }

  Map map(const std::string& name, const std::vector<Tensor>& in, const Tensor& out, const Attributes& attributes = {}) {
    const MapOp op = map_of({name, std::vector<Id>(in.size()), none, attributes});
    return {op.function, map_arguments(op.name, op.op.get(), in, out), op.op};
  }
  std::vector<Map> activation(Activation a, const Tensor& y) {
    if (a == Activation::none) return {};
    return {map(name_of(a), {y}, y)};
  }

  // ---- operations
  // ------------------------------------------------------------------------------------------------------------------------
  void lower(const Call& c) {
    const std::string& n = c.name;
    if (is_map(c)) return maps(c);
    if (n == "conv1d" || n == "conv2d" || n == "conv3d") return conv(c);
    if (writes_windows(g, c)) return windows(c);
    if (n == "conv1d_input" || n == "conv2d_input" || n == "conv3d_input") return conv_transposed(c);
    if (n == "linear" || n == "matmul") return product(c);
    if (n == "lstm" || n == "gru" || n == "rnn" || n == "rnn_relu") return steps(c);
    if (n == "batch_norm_eval" && norm_given(c)) return;
    if (n == "layer_norm" || n == "group_norm" || n == "instance_norm") return norm(c);
    if (n == "max_pool" || n == "avg_pool") return pool(c);
    if (n == "interpolate" || n == "adaptive_avg_pool") return resample(c);
    if ((n == "sum" || n == "mean" || n == "max" || n == "min") && reduction(c)) return;
    if (n == "softmax" || n == "log_softmax") return soft(c);
    if (n == "take") return take(c);
    if (n == "concat") return concat(c);
    if (n == "slice" || n == "permute" || n == "pad" || n == "flip") return copy(c);
    if (n == "broadcast_to")
      return add(c, n, 0, run_maps({map("linear", {tensor(c.inputs[0])}, tensor(c.output), {{"a", 1.0}, {"b", -0.0}})}));
    again(c);
  }

  void maps(const Call& c) {
    std::vector<Map> all;
    std::string what;
    int64_t flops = 0;
    const auto add_map = [&](const Call& m) {
      std::vector<Tensor> in;
      for (const Id v : m.inputs) in.push_back(tensor(v));
      all.push_back(map(m.name, in, tensor(m.output), m.attributes));
      what += (what.empty() ? "" : ", ") + m.name;
      flops += size(m.output);
    };
    add_map(c);
    for (const Call& next : c.then) add_map(next);
    add(c, what, flops, run_maps(std::move(all)));
  }

  static ConvOptions conv_options(const Call& c) {
    ConvOptions o;
    o.stride.sizes = integers(c.attributes, "stride"), o.padding.sizes = integers(c.attributes, "padding");
    o.dilation.sizes = integers(c.attributes, "dilation"), o.groups = integer(c.attributes, "groups", 1);
    return o;
  }
  Tensor weights(Id value) { return g.constant(value) ? g.tensor(value) : tensor(value); }  // not yet a copy: they may be packed

  void conv(const Call& c) {
    const Tensor w = weights(c.inputs[1]), y = tensor(c.output);
    ConvArgs a = ops::conv_arguments(tensor(c.inputs[0]), w, y, conv_options(c), c.inputs.size() > 2 ? tensor(c.inputs[2]) : Tensor{});
    a.activation = c.activation;
    const int64_t flops = 2 * y.size() * (w.size() / std::max<int64_t>(1, w.dim(-1)));
    add_product<ConvArgs>(c, ops::is_flat(a) ? kernels::conv2d : kernels::conv3d,
                          {a, &ConvArgs::w, c.inputs[1], activation(c.activation, y)}, flops);
  }

  void conv_transposed(const Call& c) {
    const Tensor w = weights(c.inputs[1]), x = tensor(c.inputs[0]), y = tensor(c.output);
    const ConvArgs a = ops::conv_arguments(y, w, x, conv_options(c));
    std::vector<Map> after;
    if (c.inputs.size() > 2) after.push_back(map("add", {y, tensor(c.inputs[2])}, y));
    for (Map& m : activation(c.activation, y)) after.push_back(std::move(m));
    const int64_t flops = 2 * x.size() * (w.size() / std::max<int64_t>(1, w.dim(-1)));
    add_product<ConvArgs>(c, ops::is_flat(a) ? conv2d_input : conv3d_input, {a, &ConvArgs::w, c.inputs[1], {}, after}, flops);
  }

  void windows(const Call& c) {
    const Tensor w = weights(c.inputs[1]), x = tensor(c.inputs[0]), y = tensor(c.output);
    const auto volume = [](const Tensor& t) { return t.view(ops::with_3_spatial("conv", t.shape())); };
    Shape ws(5 - w.shape().size(), 1);
    ws.insert(ws.end(), w.shape().begin(), w.shape().end());
    UpConvArgs a{volume(x), w.view(ws), volume(y), c.first.empty() ? 0 : c.first[0], c.inputs.size() > 2 ? tensor(c.inputs[2]) : Tensor{}};
    a.activation = c.activation;
    add_product<UpConvArgs>(c, up_conv, {a, &UpConvArgs::w, c.inputs[1], {}}, 2 * x.size() * (w.size() / std::max<int64_t>(1, w.dim(-1))));
  }

  void product(const Call& c) {
    const Tensor x = tensor(c.inputs[0]), w = weights(c.inputs[1]), y = tensor(c.output);
    const auto batched = [](const Tensor& t) {
      return t.view({count(Shape(t.shape().begin(), t.shape().end() - 2)), t.dim(-2), t.dim(-1)});
    };
    const bool ta = integer(c.attributes, "transpose_a"), tb = integer(c.attributes, "transpose_b");
    const int64_t in = x.rank() > 1 && ta ? x.dim(-2) : x.dim(-1);
    MatmulArgs a;
    if (c.name == "linear" || (x.rank() > 2 && w.rank() == 2 && !ta))
      a = {x.view({1, x.size() / std::max<int64_t>(1, in), in}), batched(w),
           y.view({1, y.size() / std::max<int64_t>(1, y.dim(-1)), y.dim(-1)}), false, tb};
    else
      a = {batched(x), batched(w), batched(y), ta, tb};
    if (c.inputs.size() > 2) a.bias = tensor(c.inputs[2]);
    a.activation = c.activation;
    add_product<MatmulArgs>(c, kernels::matmul, {a, &MatmulArgs::b, c.inputs[1], activation(c.activation, y)}, 2 * y.size() * in);
  }

  // Inputs: x weight_ih + bias_ih, weight_hh, bias_hh, h0, c0; output: y, h and c one after the other.
  void steps(const Call& c) {
    const Cell cell = c.name == "lstm" ? Cell::lstm : c.name == "gru" ? Cell::gru : c.name == "rnn" ? Cell::tanh : Cell::relu;
    const Tensor x = tensor(c.inputs[0]), w = weights(c.inputs[1]), rows = tensor(c.output);
    const int64_t N = x.dim(0), T = x.dim(1), H = w.dim(0), all = N * T;
    RecurrentArgs a{cell, x, w, tensor(c.inputs[2]), tensor(c.inputs[3]), tensor(c.inputs[4]), rows.rows(0, all).view({N, T, H}),
                    rows.rows(all, all + N), cell == Cell::lstm ? rows.rows(all + N, all + 2 * N) : Tensor(), {}, {},
                    integers(c.attributes, "lengths"), integer(c.attributes, "reverse") != 0};
    const Implementation<RecurrentArgs>& chosen = kernels::recurrent.choose(a);
    if (!g.constant(c.inputs[1]) || !chosen.pack)
      a.weight = tensor(c.inputs[1]);
    else
      a.packed = own(chosen.pack(a));
    add(c, std::string(kernels::recurrent.name) + ":" + chosen.name + " " + c.name, 2 * all * w.size(), [run = chosen.run, a] { run(a); });
  }

  bool norm_given(const Call& c) {
    for (size_t k = 1; k < c.inputs.size(); k++)
      if (c.inputs[k] != none && !g.constant(c.inputs[k])) return false;
    const Tensor x = tensor(c.inputs[0]), variance = g.tensor(c.inputs[4]);
    const NoGrad values;
    const Tensor rstd = own(1.0 / sqrt(variance + real(c.attributes, "epsilon")));
    const int64_t channels = x.dim(-1);
    add_kernel<NormArgs>(c, normalize_given,
                         {x,
                          tensor(c.inputs[1]),
                          tensor(c.inputs[2]),
                          tensor(c.output),
                          tensor(c.inputs[3]),
                          rstd,
                          {1, x.size() / std::max<int64_t>(1, channels), channels, 1},
                          real(c.attributes, "epsilon"),
                          c.activation == Activation::relu},
                         2 * x.size());
    return true;
  }

  void norm(const Call& c) {
    const Tensor x = tensor(c.inputs[0]);
    const int64_t channels = x.dim(-1), images = x.dim(0), values = x.size();
    std::array<int64_t, 4> view{values / std::max<int64_t>(1, channels), 1, 1, channels};
    if (c.name != "layer_norm") {
      const int64_t groups = c.name == "group_norm" ? integer(c.attributes, "groups") : channels;
      view = {images, values / std::max<int64_t>(1, images * channels), groups, channels / groups};
    }
    const Tensor mean = own(Tensor({view[0] * view[2]}, x.dtype())), rstd = own(Tensor({view[0] * view[2]}, x.dtype()));
    add_kernel<NormArgs>(c, normalize,
                         {x, tensor(c.inputs[1]), tensor(c.inputs[2]), tensor(c.output), mean, rstd, view, real(c.attributes, "epsilon")},
                         4 * values);
  }

  void pool(const Call& c) {
    const Tensor x = tensor(c.inputs[0]), y = tensor(c.output);
    const auto spatial = [&](const char* name, int64_t missing) {
      Extent e(missing);
      e.sizes = integers(c.attributes, name);
      return e.spatial(x.rank() - 2, missing);
    };
    const auto volume = [](const Tensor& t) { return t.view(ops::with_3_spatial("pool", t.shape())); };
    add_kernel<PoolArgs>(c, c.name == "max_pool" ? kernels::max_pool : kernels::avg_pool,
                         {volume(x),
                          volume(y),
                          {},
                          spatial("window", 1),
                          spatial("stride", 1),
                          spatial("padding", 0),
                          integer(c.attributes, "count_padding", 1) != 0},
                         x.size());
  }

  void resample(const Call& c) {
    const std::string mode = text(c.attributes, "mode");
    const auto volume = [](const Tensor& t) { return t.view(ops::with_3_spatial("interpolate", t.shape())); };
    const Resampling how = c.name == "adaptive_avg_pool" ? Resampling::average
                           : mode == "nearest"           ? Resampling::nearest
                           : mode == "linear"            ? Resampling::linear
                                                         : Resampling::linear_corners;
    add_kernel<ResampleArgs>(c, kernels::resample, {volume(tensor(c.inputs[0])), volume(tensor(c.output)), how}, size(c.output));
  }

  bool reduction(const Call& c) {
    const std::vector<int64_t> axes = integers(c.attributes, "axes");
    if (axes.empty()) return false;
    for (size_t k = 1; k < axes.size(); k++)
      if (axes[k] != axes[k - 1] + 1) return false;
    const ops::Block b = ops::block_of(shape(c.inputs[0]), axes.front(), axes.back() + 1);
    const Reduction kind = c.name == "sum"    ? Reduction::sum
                           : c.name == "mean" ? Reduction::mean
                           : c.name == "max"  ? Reduction::max
                                              : Reduction::min;
    add_kernel<ReduceArgs>(
        c, reduce,
        {tensor(c.inputs[0]).view({b.outer, b.n, b.inner}), tensor(c.output).view({b.outer, b.inner}), b.outer, b.n, b.inner, kind},
        size(c.inputs[0]), " " + c.name);
    return true;
  }

  void soft(const Call& c) {
    const Tensor x = tensor(c.inputs[0]);
    const ops::Block b = ops::block_at(x.shape(), ops::axis_of("softmax", integer(c.attributes, "axis", -1), x.shape()));
    const Shape rows{b.outer, b.n, b.inner};
    if (x.size())
      add_kernel<SoftmaxArgs>(c, kernels::softmax,
                              {x.view(rows), tensor(c.output).view(rows), b.outer, b.n, b.inner, c.name == "log_softmax"}, x.size());
  }

  void take(const Call& c) {
    const int64_t axis = integer(c.attributes, "axis");
    const ops::Block b = ops::block_at(shape(c.inputs[0]), axis);
    add_kernel<TakeArgs>(c, kernels::take,
                         {tensor(c.inputs[0]), tensor(c.inputs[1]), tensor(c.output), b.outer, b.n, size(c.inputs[1]), b.inner}, 0);
  }

  void concat(const Call& c) {
    const Tensor y = tensor(c.output);
    const Shape strides = ops::strides_of(y.shape());
    const auto axis = static_cast<size_t>(integer(c.attributes, "axis"));
    std::vector<CopyArgs> parts;
    for (size_t k = 0; k < c.inputs.size(); k++) {
      const Tensor x = tensor(c.inputs[k]);
      parts.push_back({x, y, x.shape(), ops::strides_of(x.shape()), strides, 0, c.first[k] * strides[axis]});
    }
    const auto run = strided_copy.choose(parts[0]).run;
    add(c, "concat", 0, [run, parts = std::move(parts)] {
      for (const CopyArgs& part : parts) run(part);
    });
  }

  // Strided copies from one tensor.
  void copy(const Call& c) {
    const Tensor x = tensor(c.inputs[0]), y = tensor(c.output);
    CopyArgs a{x, y, y.shape(), ops::strides_of(x.shape()), ops::strides_of(y.shape())};
    if (c.name == "slice") {
      const auto axis = static_cast<size_t>(integer(c.attributes, "axis"));
      a.x_offset = integer(c.attributes, "first") * a.x_stride[axis];
      a.x_stride[axis] *= integer(c.attributes, "step", 1);
    } else if (c.name == "permute") {
      const Shape from = a.x_stride;
      const std::vector<int64_t> order = integers(c.attributes, "order");
      for (size_t i = 0; i < order.size(); i++) a.x_stride[i] = from[static_cast<size_t>(ops::axis_of("permute", order[i], x.shape()))];
    } else if (c.name == "flip") {
      for (const int64_t axis : ops::axes_of("flip", integers(c.attributes, "axes"), x.shape())) {
        int64_t& stride = a.x_stride[static_cast<size_t>(axis)];
        a.x_offset += (x.dim(axis) - 1) * stride, stride = -stride;
      }
    } else {
      const std::vector<int64_t> margins = integers(c.attributes, "before_after");
      a.shape = x.shape();
      for (size_t i = 0; i < a.shape.size(); i++) a.y_offset += margins[2 * i] * a.y_stride[i];
      return add(c, "pad", 0, [a, run = strided_copy.choose(a).run, bytes = static_cast<size_t>(y.bytes())] {
        std::fill_n(static_cast<char*>(a.y.raw()), bytes, 0);
        run(a);
      });
    }
    add_kernel(c, strided_copy, a, 0, " " + c.name);
  }

  // Everything else runs as the operation itself.
  void again(const Call& c) {
    const PlanRun run = rerun_of(c);
    std::vector<Tensor> in;
    for (const Id v : c.inputs) in.push_back(tensor(v));
    add(c, c.name + " (eager)", size(c.output), [run, in = std::move(in), y = tensor(c.output), attributes = c.attributes] {
      const NoGrad values;
      y.copy_from(run(in, attributes));
    });
  }

  const Graph& g;
  const PlanOptions& options_;
  Places places_;
  Tensor arenas_[4];
  std::map<Id, Tensor> constants_;                                        // by buffer
  Program program_;
};

}  // namespace

Program lower(const Graph& g, const PlanOptions& options) { return Lowering(g, options).run(); }

}  // namespace sono::plan
