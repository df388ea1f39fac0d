// Kernels that move more than they compute: in the cache, as in a network of the zoo, and beyond it.
#include <cmath>
#include <memory>

#include "zoo/lab/add_case.h"

namespace sono::lab {
namespace {

using namespace kernels;

struct Image {
  int64_t N, H, W, C;
  int64_t pixels() const { return N * H * W; }
  double values() const { return number(pixels() * C); }
  std::string name() const { return text(C) + " channels " + text(H) + "x" + text(W) + " N" + text(N); }
  Shape shape() const { return {N, 1, H, W, C}; }
};
const std::vector<Image> images = {{8, 128, 128, 16}, {8, 32, 32, 64}, {16, 256, 256, 16}};  // 8, 2 and 64 MB

PoolArgs pool_args(const Image& i, bool index) {
  PoolArgs a{normal(i.shape(), 1), normal({i.N, 1, i.H / 2, i.W / 2, i.C}, 2), {}, {1, 2, 2}, {1, 2, 2}};
  if (!index) return a;
  a.index = Tensor(a.y.shape(), Dtype::i32);
  max_pool(a);
  return a;
}

NormArgs norm_args(const Image& i) {
  const Tensor x = normal({i.pixels(), i.C}, 1);
  NormArgs a{x,
             Tensor::ones({i.C}),
             Tensor::zeros({i.C}),
             Tensor::empty_like(x),
             Tensor::zeros({i.C}),
             Tensor::ones({i.C}),
             {1, i.pixels(), i.C, 1}};
  a.relu = true;
  return a;
}
NormBackwardArgs norm_backward_args(const Image& i) {
  const NormArgs a = norm_args(i);
  normalize(a);
  NormBackwardArgs b;
  b.gy = normal(a.x.shape(), 2), b.x = a.x, b.scale = a.scale, b.shift = a.shift, b.mean = a.mean, b.rstd = a.rstd;
  b.gx = b.gy, b.gscale = Tensor({i.C}), b.gshift = Tensor({i.C}), b.view = a.view, b.relu = true;
  return b;
}

// with_y: what is not pooled is wanted too, as a U-Net's skip is.
NormPoolArgs norm_pool_args(const Image& i, bool with_y) {
  NormPoolArgs a;
  a.x = normal(i.shape(), 1), a.pooled = Tensor({i.N, 1, i.H / 2, i.W / 2, i.C});
  if (with_y) a.y = Tensor::empty_like(a.x);
  a.scale = Tensor::ones({i.C}), a.shift = Tensor::zeros({i.C}), a.mean = Tensor({i.C}), a.rstd = Tensor({i.C});
  a.window = {1, 2, 2}, a.relu = true;
  return a;
}
NormPoolBackwardArgs norm_pool_backward_args(const Image& i, bool with_y) {
  const NormPoolArgs f = norm_pool_args(i, with_y);
  normalize_pool(f);
  NormPoolBackwardArgs b;
  b.x = f.x, b.scale = f.scale, b.shift = f.shift, b.mean = f.mean, b.rstd = f.rstd, b.gpooled = normal(f.pooled.shape(), 2);
  if (with_y) b.gy = normal(f.x.shape(), 3);
  b.gx = with_y ? b.gy : Tensor::empty_like(f.x), b.gscale = Tensor({i.C}), b.gshift = Tensor({i.C});
  b.window = f.window, b.relu = true;
  return b;
}

void add_pool(std::vector<Case>& cases, const Image& i) {
  const double n = i.values();
  add(cases, max_pool, i.name(), {n, 4 * n * 1.5}, [i] { return pool_args(i, true); });
  // The window's four pixels have a maximum in some channel: all of x is read.
  add(cases, max_pool_at, i.name(), {n / 4, 4 * n * 1.5}, [i] { return pool_args(i, true); });
  add(cases, max_unpool, i.name(), {n / 4, 4 * n * 1.5}, [i] { return pool_args(i, true); });
  add(cases, avg_pool, i.name(), {n, 4 * n * 1.25}, [i] { return pool_args(i, false); });
  add(cases, avg_pool_adjoint, i.name(), {n / 4, 4 * n * 1.25}, [i] { return pool_args(i, false); });
}

void add_norm(std::vector<Case>& cases, const Image& i) {
  const double n = i.values();
  add(cases, normalize, i.name(), {8 * n, 4 * n * 3}, [i] { return norm_args(i); });  // two passes read x, one writes y
  add(cases, normalize_given, i.name(), {4 * n, 4 * n * 2}, [i] { return norm_args(i); });
  add(cases, normalize_backward, i.name(), {10 * n, 4 * n * 5}, [i] { return norm_backward_args(i); });  // two passes read gy and x
  for (bool y : {false, true}) {
    const std::string name = i.name() + (y ? " and what is not pooled" : "");
    add(cases, normalize_pool, name, {9 * n, 4 * n * (y ? 3.25 : 2.25)}, [=] { return norm_pool_args(i, y); });
    add(cases, normalize_pool_backward, name, {12 * n, 4 * n * (y ? 5.5 : 3.5)}, [=] { return norm_pool_backward_args(i, y); });
  }
}

void add_reductions(std::vector<Case>& cases, const Image& i) {
  const auto one = [&](const char* what, int64_t outer, int64_t n, int64_t inner, Reduction kind) {
    add(cases, reduce, what + (" " + i.name()), {i.values(), 4 * i.values()}, [=] {
      return ReduceArgs{
          normal({outer, n, inner}, 1), Tensor({outer, inner}, kind >= Reduction::argmax ? Dtype::i32 : Dtype::f32), outer, n, inner, kind};
    });
  };
  one("sum of columns", 1, i.pixels(), i.C, Reduction::sum);
  one("sum", 1, i.pixels() * i.C, 1, Reduction::sum);
  one("max of rows", i.pixels(), i.C, 1, Reduction::max);
  one("argmax of rows", i.pixels(), i.C, 1, Reduction::argmax);
}

void add_softmax(std::vector<Case>& cases, int64_t rows, int64_t classes) {
  const std::string shape = text(classes) + " classes " + text(rows) + " rows";
  const double n = number(rows * classes);
  add(cases, softmax, shape, {3 * n, 8 * n}, [=] {
    const Tensor x = normal({rows, classes, 1}, 1);
    return SoftmaxArgs{x, Tensor::empty_like(x), rows, classes, 1};
  });
  const auto targets = [=] {
    Tensor t({rows}, Dtype::i32);
    for (int64_t r = 0; r < rows; r++) t.data<int32_t>()[r] = static_cast<int32_t>(r % classes);
    return t;
  };
  const auto loss = [=] {
    return CrossEntropyArgs{normal({rows, classes}, 1), targets(), {}, Tensor({rows}), Tensor({rows}), Tensor({rows})};
  };
  const double column = 4 * number(rows);  // of targets, losses, weights, logarithms or gradients
  add(cases, cross_entropy, shape, {3 * n, 4 * n + 4 * column}, loss);
  add(cases, cross_entropy_backward, shape, {3 * n, 8 * n + 3 * column}, [=] {
    const CrossEntropyArgs a = loss();
    cross_entropy(a);
    return CrossEntropyBackwardArgs{a.x, a.target, {}, a.log_sum, Tensor::ones({rows}), Tensor::empty_like(a.x)};
  });
}

// Elementwise maps have one form per device; its entry is called "map".
template <class Op>
void add_map(std::vector<Case>& cases, int64_t n, const Op& op, int inputs) {
  const std::string shape = std::string(Op::name) + " " + text(n >> 10) + "k values";
  const auto prepare = [=] {
    const Tensor a = random_uniform({n}, 1, 0, 0.1, 1), b = random_uniform({n}, 1, 1, 0.1, 1), y({n});
    if constexpr (requires { op.f(1.0f, 1.0f); })
      return Prepared{[=] { map(op, a, b, y); }, true};
    else
      return Prepared{[=] { map(op, a, y); }, true};
  };
  cases.push_back({"map/map/" + shape, "map", "map", shape, number(n), 4 * number(n) * (inputs + 1), false, false, prepare});
}

void add_maps(std::vector<Case>& cases) {
  using namespace elementwise;
  for (int64_t n : {1 << 18, 1 << 24}) {  // 1 MB, 64 MB an operand
    add_map(cases, n, Relu{}, 1), add_map(cases, n, Exp{}, 1), add_map(cases, n, Log{}, 1), add_map(cases, n, Tanh{}, 1);
    add_map(cases, n, Sigmoid{}, 1), add_map(cases, n, Gelu{}, 1), add_map(cases, n, Add{}, 2), add_map(cases, n, Multiply{}, 2);
  }
}

// All parameters of a network of `total` in slots of `each`.
std::vector<OptimizerSlot> slots(int64_t total, int64_t each) {
  std::vector<OptimizerSlot> all;
  for (int64_t n = 0; n < total; n += each)
    all.push_back({normal({each}, 1), normal({each}, 2), Tensor::zeros({each}), Tensor::zeros({each}), {}, 10});
  return all;
}

void add_optimizers(std::vector<Case>& cases) {
  for (auto [total, each] : {std::pair<int64_t, int64_t>{480000, 10000}, {1 << 23, 1 << 20}}) {
    const std::string shape = text(total / 1000) + "k parameters in " + text(total / each) + " tensors";
    const double n = number(total);
    const auto make = [total = total, each = each] { return std::make_shared<std::vector<OptimizerSlot>>(slots(total, each)); };
    const auto add_step = [&](const auto& kernel, auto args, Amount amount) {
      for (const auto& entry : kernel.cpu)
        cases.push_back({std::string(kernel.name) + "/" + entry.name + "/" + shape, kernel.name, entry.name, shape, amount.flops,
                         amount.bytes, false, false, [&kernel, &entry, args, make] {
                           const auto state = make();
                           auto a = args;
                           a.slots = *state;
                           if (!entry.fits(a)) return Prepared{};
                           return Prepared{[state, a, &entry] { entry.run(a); }, &kernel.choose(a) == &entry};
                         }});
    };
    add_step(adam_step, AdamArgs{}, {12 * n, 28 * n});
    add_step(sgd_step, SgdArgs{.slots = {}, .momentum = 0.9}, {4 * n, 20 * n});
  }
}

// x (N, D, H, W, C) to another size.
void add_resample(std::vector<Case>& cases, const Shape& from, const Shape& to, Resampling kind, const char* name) {
  const std::string shape = std::string(name) + " " + to_string(from) + " to " + to_string(to);
  const double in = number(count(from)), out = number(count(to));
  add(cases, resample, shape, {0, 4 * (in + out)}, [=] { return ResampleArgs{normal(from, 1), Tensor(to), kind}; });
  add(cases, resample_adjoint, shape, {0, 4 * (in + out)}, [=] { return ResampleArgs{Tensor(from), normal(to, 1), kind}; });
}

void add_grid_sample(std::vector<Case>& cases, const Image& i) {
  const double n = i.values(), pixels = number(i.pixels());
  const auto args = [i] {
    return GridSampleArgs{normal(i.shape(), 1), random_uniform({i.N, 1, i.H, i.W, 2}, 7, 2, -1, 1), Tensor(i.shape())};
  };
  add(cases, grid_sample, i.name(), {8 * n, 8 * n + 8 * pixels}, args);
  add(cases, grid_sample_backward, i.name(), {16 * n, 16 * n + 16 * pixels}, [=] {
    const GridSampleArgs a = args();
    return GridSampleBackwardArgs{a.x, a.grid, normal(a.y.shape(), 3), Tensor::empty_like(a.x), Tensor::empty_like(a.grid)};
  });
}

void add_others(std::vector<Case>& cases) {
  const Image i{8, 64, 64, 32};
  const double n = i.values();
  for (const auto& [kind, name] : {std::pair{Resampling::nearest, "nearest"}, {Resampling::linear, "linear"}}) {
    add_resample(cases, {8, 1, 64, 64, 16}, {8, 1, 128, 128, 16}, kind, name);
    add_resample(cases, {8, 1, 64, 64, 1}, {8, 1, 128, 128, 1}, kind, name);
    add_resample(cases, {2, 16, 32, 32, 8}, {2, 32, 64, 64, 8}, kind, name);
    add_resample(cases, {8, 1, 128, 128, 16}, {8, 1, 32, 32, 16}, kind, name);
  }
  for (int64_t C : {1, 16}) add_grid_sample(cases, {8, 128, 128, C});
  for (int64_t length : {60, 128, 500, 1024, 4096}) {
    const double rows = 128, points = rows * number(length);
    add(cases, fft, "128 rows of " + text(length), {5 * points * std::log2(number(length)), 16 * points}, [length] {
      const Tensor x = normal({128, length, 2}, 1);
      return FftArgs{x, Tensor::empty_like(x)};
    });
  }
  add(cases, dropout, i.name(), {n, 8 * n}, [i] {
    const Tensor x = normal(i.shape(), 1);
    return DropoutArgs{x, Tensor::empty_like(x), 0.5, 1, 2};
  });
  add(cases, strided_copy, "channels last to first, " + i.name(), {0, 8 * n}, [i] {
    const int64_t pixels = i.H * i.W;
    return CopyArgs{normal(i.shape(), 1), Tensor(i.shape()), {i.N, i.C, pixels}, {pixels * i.C, 1, i.C}, {pixels * i.C, pixels, 1}};
  });
}

}  // namespace

void add_memory_cases(std::vector<Case>& cases) {
  for (const Image& i : images) add_pool(cases, i), add_norm(cases, i), add_reductions(cases, i);
  add_softmax(cases, 8 * 128 * 128, 2);
  add_softmax(cases, 64, 1000);
  add_maps(cases);
  add_optimizers(cases);
  add_others(cases);
}

}  // namespace sono::lab
