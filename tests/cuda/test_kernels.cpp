#include "cuda/device.h"
#include "tensor/memory.h"
#include "tests/cuda/compare.h"

using namespace sono;
using namespace sono::tests;

// A CUDA build on a machine without a GPU has nothing to run these on.
TEST_SUITE_BEGIN("device" * doctest::skip(!cuda::why_unavailable().empty()));

namespace {

struct Started {
  Started() { cuda::start(); }
};

const int64_t odd_sizes[] = {1, 7, 15, 17, 31, 33};
constexpr Dtype reals[] = {Dtype::f32, Dtype::f64};

// f(op) for a default-constructed operation of every type in the list.
template <class... Ops, class F>
void for_each_op(std::tuple<Ops...>*, F f) {
  (f(Ops{}), ...);
}

// An operand inside the operation's domain; special values too, where the operation has all numbers.
template <class Op>
Tensor operand(const Op&, const Shape& shape, uint64_t stream, Dtype dtype) {
  const Tensor t = random_uniform(shape, 5, stream, Op::domain.low, Op::domain.high, dtype);
  if (Op::domain.low < 0)
    visit_real("operand", dtype, [&]<class T>() {
      const T extremes[] = {T(NAN), T(INFINITY), T(-INFINITY), T(0)};
      for (int64_t i = 0; i < std::min<int64_t>(4, t.size() - 1); i++) t.data<T>()[i * 3 % t.size()] = extremes[i];
    });
  return t;
}

}  // namespace

TEST_CASE_FIXTURE(Started, "the device copies, clones and fills") {
  CHECK(cuda::description() != "");
  cuda::start();  // a second call changes nothing
  const Tensor x = values({3, 5}, 1);
  const Tensor y = x.to(Device::cuda);
  CHECK(y.device() == Device::cuda);
  CHECK(same_bits(y, x));
  CHECK(same_bits(y.clone(), x));
  CHECK(y.rows(1, 2).to(Device::cpu).at({0, 4}) == x.at({1, 4}));
  y.fill(2.5);
  CHECK(y.to_vector<float>() == std::vector<float>(15, 2.5f));
  y.copy_from(x);
  CHECK(same_bits(y.to(Dtype::f64).to(Dtype::f32), x));
  CHECK(Tensor({0, 4}, Dtype::f32, Device::cuda).to(Device::cpu).size() == 0);
  CHECK(Tensor::scalar(3, Dtype::f32, Device::cuda).item() == 3);
}

#ifdef SONO_CUDA_EMULATED
TEST_CASE_FIXTURE(Started, "the emulated device gives exactly the memory asked for, full of NaN") {
  const int64_t before = memory_stats(Device::cuda).live;
  const Tensor x({3, 5}, Dtype::f32, Device::cuda);
  CHECK(memory_stats(Device::cuda).live == before + 60);
  empty_cache(Device::cuda);
  for (float v : Tensor({1, 7919}, Dtype::f32, Device::cuda).to_vector<float>()) REQUIRE(v != v);
}
#endif

TEST_CASE_FIXTURE(Started, "elementwise maps and their vjps") {
  for (Dtype dtype : reals)
    for (int64_t n : {int64_t{0}, int64_t{1}, int64_t{33}, int64_t{700}})
      for_each_op(static_cast<elementwise::Unary*>(nullptr), [&](auto op) {
        const Tensor x = operand(op, {n}, 1, dtype), g = values({n}, 2, dtype), y = poisoned({n}, dtype);
        const std::string what = std::string(op.name) + " of " + std::to_string(n);
        const Tensor value = y.clone(), vjp = y.clone();
        kernels::map(op, x, value);
        check_on_device(what, {x}, {y}, {value}, tolerance(dtype), [&](auto& in, auto& out) { kernels::map(op, in[0], out[0]); });
        kernels::map_vjp(op, g, x, vjp);
        check_on_device(what + ", vjp", {g, x}, {y}, {vjp}, tolerance(dtype),
                        [&](auto& in, auto& out) { kernels::map_vjp(op, in[0], in[1], out[0]); });
      });
}

TEST_CASE_FIXTURE(Started, "maps of two operands broadcast") {
  const std::vector<std::array<Shape, 3>> shapes = {{{{33}, {33}, {33}}},
                                                    {{{7, 15}, {15}, {7, 15}}},
                                                    {{{}, {17}, {17}}},
                                                    {{{5, 1, 3}, {1, 4, 1}, {5, 4, 3}}},
                                                    {{{2, 1, 3, 1}, {3, 1, 5}, {2, 3, 3, 5}}},
                                                    {{{0, 3}, {3}, {0, 3}}}};
  for (Dtype dtype : reals)
    for (const auto& [left, right, result] : shapes) {
      for_each_op(static_cast<elementwise::Binary*>(nullptr), [&](auto op) {
        const Tensor a = operand(op, left, 1, dtype), b = operand(op, right, 2, dtype), g = values(result, 3, dtype),
                     y = poisoned(result, dtype);
        const std::string what = std::string(op.name) + " " + to_string(left) + " " + to_string(right);
        Tensor expected = y.clone();
        kernels::map(op, a, b, expected);
        check_on_device(what, {a, b}, {y}, {expected}, tolerance(dtype),
                        [&](auto& in, auto& out) { kernels::map(op, in[0], in[1], out[0]); });
        expected = y.clone();
        kernels::map_vjp_left(op, g, a, b, expected);
        check_on_device(what + ", left", {g, a, b}, {y}, {expected}, tolerance(dtype),
                        [&](auto& in, auto& out) { kernels::map_vjp_left(op, in[0], in[1], in[2], out[0]); });
        expected = y.clone();
        kernels::map_vjp_right(op, g, a, b, expected);
        check_on_device(what + ", right", {g, a, b}, {y}, {expected}, tolerance(dtype),
                        [&](auto& in, auto& out) { kernels::map_vjp_right(op, in[0], in[1], in[2], out[0]); });
      });
      for_each_op(static_cast<elementwise::Compare*>(nullptr), [&](auto op) {
        const Tensor a = values(left, 1, dtype, true), b = values(right, 2, dtype, true), y = poisoned(result, Dtype::u8),
                     expected = y.clone();
        kernels::compare(op, a, b, expected);
        check_on_device(op.name, {a, b}, {y}, {expected}, 0, [&](auto& in, auto& out) { kernels::compare(op, in[0], in[1], out[0]); });
      });
    }
}

TEST_CASE_FIXTURE(Started, "select") {
  const Tensor mask = Tensor::from<uint8_t>({4, 1}, {0, 1, 255, 0}), yes = values({4, 9}, 5, Dtype::f32, true),
               no = values({9}, 6, Dtype::f32, true);
  const Tensor y = poisoned({4, 9}, Dtype::f32), expected = y.clone();
  kernels::select(mask, yes, no, expected);
  check_on_device("select", {mask, yes, no}, {y}, {expected}, 0,
                  [&](auto& in, auto& out) { kernels::select(in[0], in[1], in[2], out[0]); });
}

TEST_CASE_FIXTURE(Started, "reductions over the first, a middle and the last axis") {
  using kernels::Reduction;
  std::vector<std::array<int64_t, 3>> sizes = {{1, 100, 1}, {300, 2, 1}, {1, 5, 300}, {3, 1000, 1}, {2, 700, 3}, {0, 4, 3}, {4, 3, 0}};
  for (int64_t n : odd_sizes) sizes.push_back({3, n, 17});
  for (Dtype dtype : reals)
    for (const auto& [outer, n, inner] : sizes)
      for (bool special : {false, true})
        for (Reduction kind : {Reduction::sum, Reduction::mean, Reduction::max, Reduction::min, Reduction::argmax, Reduction::argmin}) {
          const bool index = kind == Reduction::argmax || kind == Reduction::argmin;
          const int64_t o = outer, m = n, i = inner;
          check_kernel(kernels::reduce, "reduce " + to_string({outer, n, inner}) + " kind " + std::to_string(static_cast<int>(kind)),
                       {values({outer, n, inner}, 1, dtype, special)}, {poisoned({outer, inner}, index ? Dtype::i32 : dtype)},
                       tolerance(dtype), [=](auto& in, auto& out) { return kernels::ReduceArgs{in[0], out[0], o, m, i, kind}; });
        }
  const Tensor ties = Tensor::from<float>({9}, {1, 5, 2, 5, -7, 5, -7, 0, -7});
  check_kernel(kernels::reduce, "argmax of ties", {ties}, {poisoned({1}, Dtype::i32)}, 0,
               [](auto& in, auto& out) { return kernels::ReduceArgs{in[0], out[0], 1, 9, 1, Reduction::argmax}; });
  check_kernel(kernels::reduce, "max of nothing", {Tensor({2, 0, 3})}, {poisoned({2, 3}, Dtype::f32)}, 0,
               [](auto& in, auto& out) { return kernels::ReduceArgs{in[0], out[0], 2, 0, 3, Reduction::max}; });
}

TEST_CASE_FIXTURE(Started, "softmax and log-softmax") {
  std::vector<std::array<int64_t, 3>> sizes = {{4, 300, 1}, {2, 3, 50}, {0, 3, 2}};
  for (int64_t n : odd_sizes) sizes.push_back({5, n, 1});
  for (Dtype dtype : reals)
    for (const auto& [outer, n, inner] : sizes)
      for (bool log : {false, true})
        for (bool special : {false, true}) {
          const int64_t o = outer, m = n, i = inner;
          Tensor x = values({outer, n, inner}, 1, dtype, special);
          visit_real("scale", dtype, [&]<class T>() {
            for (int64_t k = 0; k < x.size(); k++) x.data<T>()[k] *= 40;
          });  // exp of these overflows
          check_kernel(kernels::softmax, "softmax " + to_string({outer, n, inner}), {x}, {poisoned(x.shape(), dtype)}, tolerance(dtype),
                       [=](auto& in, auto& out) { return kernels::SoftmaxArgs{in[0], out[0], o, m, i, log}; });
        }
}

TEST_CASE_FIXTURE(Started, "matrix products of every size, transposed or not, in batches, with a bias") {
  struct Case {
    int64_t batch, batch_a, batch_b, M, N, K;
  };
  std::vector<Case> cases = {{3, 3, 3, 7, 9, 5},     {3, 1, 3, 7, 9, 5}, {3, 3, 1, 65, 3, 17},
                             {1, 1, 1, 70, 130, 40}, {1, 1, 1, 3, 4, 0}, {1, 1, 1, 0, 4, 3}};
  for (int64_t n : odd_sizes)
    cases.push_back({1, 1, 1, n, 33, 17}), cases.push_back({1, 1, 1, 15, n, 31}), cases.push_back({1, 1, 1, 7, 17, n});
  for (Dtype dtype : reals)
    for (const Case& c : cases)
      for (int flags = 0; flags < 8; flags++) {
        const bool ta = flags & 1, tb = flags & 2, bias = flags & 4;
        const Shape a = {c.batch_a, ta ? c.K : c.M, ta ? c.M : c.K}, b = {c.batch_b, tb ? c.N : c.K, tb ? c.K : c.N};
        std::vector<Tensor> inputs = {values(a, 1, dtype), values(b, 2, dtype)};
        if (bias) inputs.push_back(values({c.N}, 3, dtype));
        check_kernel(kernels::matmul, "matmul " + to_string(a) + " " + to_string(b) + " flags " + std::to_string(flags), inputs,
                     {poisoned({c.batch, c.M, c.N}, dtype)}, tolerance(dtype),
                     [=](auto& in, auto& out) { return kernels::MatmulArgs{in[0], in[1], out[0], ta, tb, bias ? in[2] : Tensor()}; });
      }
  const Tensor a = values({1, 17, 31}, 1, Dtype::f32, true), b = values({1, 31, 9}, 2, Dtype::f32, true);
  check_kernel(kernels::matmul, "matmul of NaN and infinities", {a, b}, {poisoned({1, 17, 9}, Dtype::f32)}, 2e-5, [](auto& in, auto& out) {
    return kernels::MatmulArgs{in[0], in[1], out[0]};
  });
}

TEST_CASE_FIXTURE(Started, "convolution and its two adjoints") {
  struct Case {
    Shape x, w;
    kernels::ConvGeometry geometry;
  };
  std::vector<Case> cases = {
      {{2, 1, 12, 13, 1}, {1, 5, 5, 1, 6}, {{1, 1, 1}, {0, 2, 2}, {1, 1, 1}, 1}},   // LeNet's first layer
      {{2, 1, 9, 8, 6}, {1, 5, 5, 6, 16}, {}},                                      // and its second
      {{3, 1, 7, 9, 4}, {1, 3, 3, 2, 6}, {{1, 2, 3}, {0, 1, 2}, {1, 1, 1}, 2}},     // strides and groups
      {{1, 1, 15, 17, 3}, {1, 3, 2, 3, 33}, {{1, 1, 2}, {0, 2, 0}, {1, 2, 3}, 1}},  // dilation
      {{2, 1, 6, 5, 7}, {1, 3, 3, 1, 7}, {{1, 1, 1}, {0, 1, 1}, {1, 1, 1}, 7}},     // depthwise
      {{1, 1, 31, 1, 2}, {1, 7, 1, 2, 3}, {{1, 1, 1}, {0, 3, 0}, {1, 1, 1}, 1}},    // 1D
      {{1, 1, 4, 4, 0}, {1, 1, 1, 0, 3}, {}},                                       // no channels
      {{0, 1, 5, 5, 2}, {1, 3, 3, 2, 4}, {}},                                       // no images
  };
  const std::vector<Case> volumes = {{{1, 5, 6, 7, 2}, {3, 3, 2, 2, 5}, {{2, 1, 1}, {1, 1, 0}, {1, 1, 2}, 1}},
                                     {{2, 3, 3, 3, 4}, {2, 2, 2, 2, 4}, {{1, 1, 1}, {0, 0, 0}, {1, 1, 1}, 2}}};
  const auto check = [](const Case& c, const auto& forward, const auto& input, const auto& weight, Dtype dtype) {
    Shape size = {c.x[0], 0, 0, 0, c.w[4]};
    for (size_t k = 0; k < 3; k++)
      size[k + 1] = (c.x[k + 1] + 2 * c.geometry.padding[k] - c.geometry.dilation[k] * (c.w[k] - 1) - 1) / c.geometry.stride[k] + 1;
    const Tensor x = values(c.x, 1, dtype), w = values(c.w, 2, dtype), y = values(size, 3, dtype), bias = values({c.w[4]}, 4, dtype);
    const std::string what = "conv " + to_string(c.x) + " " + to_string(c.w);
    const auto poison = [&](const Tensor& t) { return poisoned(t.shape(), dtype); };
    const auto g = c.geometry;
    check_kernel(forward, what + " bias", {x, w, bias}, {poison(y)}, tolerance(dtype), [=](auto& in, auto& out) {
      return kernels::ConvArgs{in[0], in[1], out[0], g, in[2]};
    });
    check_kernel(forward, what, {x, w}, {poison(y)}, tolerance(dtype), [=](auto& in, auto& out) {
      return kernels::ConvArgs{in[0], in[1], out[0], g};
    });
    check_kernel(input, what, {w, y}, {poison(x)}, tolerance(dtype), [=](auto& in, auto& out) {
      return kernels::ConvArgs{out[0], in[0], in[1], g};
    });
    check_kernel(weight, what, {x, y}, {poison(w)}, tolerance(dtype), [=](auto& in, auto& out) {
      return kernels::ConvArgs{in[0], out[0], in[1], g};
    });
    check_kernel(weight, what + " bias", {x, y}, {poison(w), poison(bias)}, tolerance(dtype), [=](auto& in, auto& out) {
      return kernels::ConvArgs{in[0], out[0], in[1], g, out[1]};
    });
  };
  for (Dtype dtype : reals) {
    for (const Case& c : cases) check(c, kernels::conv2d, kernels::conv2d_input, kernels::conv2d_weight, dtype);
    for (const Case& c : volumes) check(c, kernels::conv3d, kernels::conv3d_input, kernels::conv3d_weight, dtype);
  }
}

TEST_CASE_FIXTURE(Started, "pooling and its adjoints") {
  struct Case {
    Shape x;
    std::array<int64_t, 3> window, stride, padding;
  };
  const std::vector<Case> cases = {
      {{2, 1, 8, 6, 3}, {1, 2, 2}, {1, 2, 2}, {0, 0, 0}},   {{2, 1, 7, 15, 5}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}},
      {{1, 1, 17, 31, 1}, {1, 3, 2}, {1, 1, 3}, {0, 1, 0}}, {{1, 5, 6, 7, 2}, {2, 3, 2}, {2, 1, 2}, {1, 1, 0}},
      {{0, 1, 4, 4, 2}, {1, 2, 2}, {1, 2, 2}, {0, 0, 0}},   {{3, 1, 1, 33, 2}, {1, 1, 5}, {1, 1, 2}, {0, 0, 2}},
  };
  for (Dtype dtype : reals)
    for (const Case& c : cases)
      for (bool special : {false, true}) {
        Shape size = {c.x[0], 0, 0, 0, c.x[4]};
        for (size_t k = 0; k < 3; k++) size[k + 1] = (c.x[k + 1] + 2 * c.padding[k] - c.window[k]) / c.stride[k] + 1;
        const Tensor x = values(c.x, 1, dtype, special), y = values(size, 2, dtype), no = Tensor();
        const Tensor index(size, Dtype::i32), best(size, dtype), poison_x = poisoned(c.x, dtype), poison_y = poisoned(size, dtype);
        const auto window = c.window, stride = c.stride, padding = c.padding;
        const std::string what = "pool " + to_string(c.x);
        check_kernel(kernels::max_pool, what, {x}, {poison_y, poisoned(size, Dtype::i32)}, 0,
                     [=](auto& in, auto& out) { return kernels::PoolArgs{in[0], out[0], out[1], window, stride, padding}; });
        kernels::max_pool.cpu.back().run({x, best, index, window, stride, padding});
        check_kernel(kernels::max_pool_at, what, {x, index}, {poison_y}, 0,
                     [=](auto& in, auto& out) { return kernels::PoolArgs{in[0], out[0], in[1], window, stride, padding}; });
        check_kernel(kernels::max_unpool, what, {y, index}, {poison_x}, tolerance(dtype),
                     [=](auto& in, auto& out) { return kernels::PoolArgs{out[0], in[0], in[1], window, stride, padding}; });
        for (bool count : {false, true}) {
          check_kernel(kernels::avg_pool, what, {x}, {poison_y}, tolerance(dtype),
                       [=](auto& in, auto& out) { return kernels::PoolArgs{in[0], out[0], no, window, stride, padding, count}; });
          check_kernel(kernels::avg_pool_adjoint, what, {y}, {poison_x}, tolerance(dtype),
                       [=](auto& in, auto& out) { return kernels::PoolArgs{out[0], in[0], no, window, stride, padding, count}; });
        }
      }
  // Indices from elsewhere: all to one place, and outside of their windows.
  const Tensor y = values({1, 1, 3, 3, 2}, 3),
               index = Tensor::from<int32_t>({1, 1, 3, 3, 2}, {35, 0, 35, 1, 35, 0, 35, 2, 35, 0, 35, 3, 35, 0, 35, 4, 35, 0});
  check_kernel(kernels::max_unpool, "unpool to one place", {y, index}, {poisoned({1, 1, 6, 6, 2}, Dtype::f32)}, 2e-5,
               [](auto& in, auto& out) {
                 return kernels::PoolArgs{out[0], in[0], in[1], {1, 2, 2}, {1, 2, 2}};
               });
}

namespace {

// A step over a network of three parameters, one of them empty, with `kept` tensors of state for each. args(slots) makes the arguments.
template <class Args, class Make>
void check_step(const kernels::Kernel<Args>& kernel, const std::string& what, int kept, int64_t step, bool fresh_state, Make args) {
  for (Dtype dtype : reals) {
    const int each = 1 + kept;
    std::vector<Tensor> gradients, state;
    for (int64_t n : {33, 0, 700}) {
      gradients.push_back(values({n}, 1, dtype));
      state.push_back(values({n}, 2, dtype));
      for (int k = 0; k < kept; k++)
        state.push_back(fresh_state ? poisoned({n}, dtype) : random_uniform({n}, 3, static_cast<uint64_t>(k), 0.5, 1, dtype));
    }
    std::vector<kernels::OptimizerSlot> slots(3);
    check_kernel(kernel, what, gradients, state, tolerance(dtype), [&](auto& in, auto& out) {
      for (size_t i = 0; i < 3; i++) {
        const auto kth = [&](int k) { return k < each ? out[i * static_cast<size_t>(each) + static_cast<size_t>(k)] : Tensor(); };
        slots[i] = {kth(0), in[i], kth(1), kth(2), kth(3), step};
      }
      return args(std::span<const kernels::OptimizerSlot>(slots));
    });
  }
}

}  // namespace

TEST_CASE_FIXTURE(Started, "optimizer steps") {
  for (int64_t step : {1, 5})
    for (bool option : {false, true})
      for (double decay : {0.0, 0.01}) {
        const std::string what = "step " + std::to_string(step) + " option " + std::to_string(option) + " decay " + std::to_string(decay);
        check_step(kernels::sgd_step, what, 0, step, false, [=](auto slots) { return kernels::SgdArgs{slots, 0.1, 0, 0, decay, false}; });
        check_step(kernels::sgd_step, what, 1, step, step == 1,
                   [=](auto slots) { return kernels::SgdArgs{slots, 0.1, 0.9, 0.2, decay, option}; });
        check_step(kernels::adagrad_step, what, 1, step, false, [=](auto slots) { return kernels::AdagradArgs{slots, 0.1, 0.01, decay}; });
        check_step(kernels::rmsprop_step, what, option ? 3 : 1, step, false,
                   [=](auto slots) { return kernels::RmspropArgs{slots, 0.1, 0.9, 1e-2, decay, option ? 0.5 : 0.0, false}; });
        check_step(kernels::adam_step, what, option ? 3 : 2, step, false,
                   [=](auto slots) { return kernels::AdamArgs{slots, 0.1, 0.9, 0.99, 1e-8, decay, decay > 0, option}; });
        check_step(kernels::average_step, what, 0, step, false, [=](auto slots) { return kernels::AverageArgs{slots, 0.9}; });
      }
  check_step(kernels::rmsprop_step, "centred", 3, 2, false,
             [](auto slots) { return kernels::RmspropArgs{slots, 0.1, 0.9, 1e-2, 0, 0.5, true}; });
}

TEST_CASE_FIXTURE(Started, "normalisation over batches, layers, groups and single images") {
  const std::vector<std::array<int64_t, 4>> views = {{1, 70, 6, 1},  {3, 33, 5, 1}, {2, 15, 4, 3},
                                                     {17, 1, 1, 31}, {1, 7, 33, 1}, {0, 3, 2, 1}};
  for (Dtype dtype : reals)
    for (const auto& view : views)
      for (int flags = 0; flags < 8; flags++) {
        const bool affine = flags & 1, relu = flags & 2, special = flags & 4;
        const Shape size = {view[0], view[1], view[2], view[3]}, channels = {view[2] * view[3]}, groups = {view[0] * view[2]};
        const Tensor x = values(size, 1, dtype, special), gy = values(size, 2, dtype), none;
        const Tensor scale = affine ? values(channels, 3, dtype) : none, shift = affine ? values(channels, 4, dtype) : none;
        const std::string what = "norm " + to_string(size) + " flags " + std::to_string(flags);
        const auto with = [&](std::vector<Tensor> list) {
          if (affine) list.push_back(scale), list.push_back(shift);
          return list;
        };
        const auto at = [=](const auto& in, size_t i) { return affine ? in[i] : Tensor(); };
        const double limit = 10 * tolerance(dtype);
        check_kernel(
            kernels::normalize, what, with({x}), {poisoned(size, dtype), poisoned(groups, dtype), poisoned(groups, dtype)}, limit,
            [=](auto& in, auto& out) { return kernels::NormArgs{in[0], at(in, 1), at(in, 2), out[0], out[1], out[2], view, 1e-5, relu}; });
        check_kernel(kernels::normalize, what + " joined with another", {x, gy},
                     {poisoned(size, dtype), poisoned(groups, dtype), poisoned(groups, dtype)}, limit, [=](auto& in, auto& out) {
                       return kernels::NormArgs{in[0], {}, {}, out[0], out[1], out[2], view, 1e-5, relu, in[1]};
                     });
        const Tensor y(size, dtype), mean(groups, dtype), rstd(groups, dtype);
        kernels::normalize.cpu.back().run({x, scale, shift, y, mean, rstd, view, 1e-5, relu});
        check_kernel(kernels::normalize_given, what, with({x, mean, rstd}), {poisoned(size, dtype)}, limit, [=](auto& in, auto& out) {
          return kernels::NormArgs{in[0], at(in, 3), at(in, 4), out[0], in[1], in[2], view, 1e-5, relu};
        });
        std::vector<Tensor> outputs = {poisoned(size, dtype)};
        if (affine) outputs.push_back(poisoned(channels, dtype)), outputs.push_back(poisoned(channels, dtype));
        const auto backward = [=](auto& in, auto& out, bool by_output) {
          return kernels::NormBackwardArgs{
              in[0], in[1], by_output ? in[2] : Tensor(), at(in, 5), at(in, 6), in[3], in[4], out[0], at(out, 1), at(out, 2), view, relu};
        };
        for (const bool by_output : {true, false})
          check_kernel(kernels::normalize_backward, what, with({gy, x, y, mean, rstd}), outputs, limit,
                       [=](auto& in, auto& out) { return backward(in, out, by_output); });
        if (!affine)
          check_kernel(kernels::normalize_backward, what + " over the gradient", {x, y, mean, rstd}, {gy, poisoned(size, dtype)}, limit,
                       [=](auto& in, auto& out) {
                         return kernels::NormBackwardArgs{out[0], in[0], in[1], {}, {}, in[2], in[3], out[0], {}, {}, view, relu, out[1]};
                       });
      }
}

TEST_CASE_FIXTURE(Started, "strided copies: permute, flip, slice, broadcast, into a part") {
  for (Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::i32, Dtype::u8}) {
    const Tensor x = (random_uniform({3, 5, 7}, 1, 1, 0, 200, Dtype::f64)).to(dtype);
    const auto check = [&](const std::string& what, const Shape& result, const Shape& shape, const Shape& from, const Shape& to,
                           int64_t x_offset, int64_t y_offset) {
      check_kernel(kernels::strided_copy, what, {x}, {Tensor::full(result, 9, dtype)}, 0,
                   [=](auto& in, auto& out) { return kernels::CopyArgs{in[0], out[0], shape, from, to, x_offset, y_offset}; });
    };
    check("permute", {7, 3, 5}, {7, 3, 5}, {1, 35, 7}, {15, 5, 1}, 0, 0);
    check("flip", {3, 5, 7}, {3, 5, 7}, {35, -7, 1}, {35, 7, 1}, 28, 0);
    check("slice", {3, 2, 3}, {3, 2, 3}, {35, 14, 2}, {6, 3, 1}, 8, 0);
    check("broadcast", {4, 7}, {4, 7}, {0, 1}, {7, 1}, 14, 0);
    check("into a part", {6, 9}, {5, 7}, {7, 1}, {9, 1}, 35, 10);
    check("one value", {1}, {}, {}, {}, 104, 0);
    check("nothing", {4}, {0, 7}, {7, 1}, {7, 1}, 0, 0);
  }
}

TEST_CASE_FIXTURE(Started, "a kernel that CUDA does not have is refused by name") {
  const Tensor x = values({2, 3}, 1).to(Device::cuda), y = Tensor::empty_like(x);
  CHECK_THROWS_WITH_AS(kernels::cumsum({x, y, 2, 3, 1}), "[cumsum] has no CUDA kernel for this call; run on the CPU (--device cpu)",
                       DeviceError);
  CHECK_THROWS_AS(kernels::map(elementwise::Relu{}, values({2, 3}, 1), y), DeviceError);  // operands on two devices
}

TEST_CASE_FIXTURE(Started, "reading and adding at indices, in order, within bounds") {
  struct Case {
    int64_t outer, n, m, inner;
  };
  for (Dtype dtype : reals)
    for (const Case& c : {Case{1, 7, 15, 1}, Case{3, 17, 5, 2}, Case{2, 1, 33, 7}, Case{0, 3, 2, 2}, Case{2, 3, 0, 2}}) {
      const auto [outer, n, m, inner] = c;
      const Tensor x = values({outer, n, inner}, 1, dtype), y = values({outer, m, inner}, 2, dtype);
      const auto index = [&](Shape shape) {
        return random_uniform(shape, 3, 3, -0.49, static_cast<double>(n) - 0.51, Dtype::f64).to(Dtype::i32);
      };
      const Tensor shared = index({m}), each = index({outer, m, inner}), poison_x = poisoned(x.shape(), dtype),
                   poison_y = poisoned(y.shape(), dtype);
      const auto read = [=](auto& in, auto& out) { return kernels::TakeArgs{in[0], in[1], out[0], c.outer, c.n, c.m, c.inner}; };
      const auto add = [=](auto& in, auto& out) { return kernels::TakeArgs{out[0], in[1], in[0], c.outer, c.n, c.m, c.inner}; };
      const std::string what = "index " + to_string({outer, n, m, inner});
      check_kernel(kernels::take, what, {x, shared}, {poison_y}, 0, read);
      check_kernel(kernels::take_adjoint, what, {y, shared}, {poison_x}, tolerance(dtype), add);
      check_kernel(kernels::gather, what, {x, each}, {poison_y}, 0, read);
      check_kernel(kernels::gather_adjoint, what, {y, each}, {poison_x}, tolerance(dtype), add);
    }
  const Tensor labels = Tensor::from<int32_t>({5}, {3, 0, 2, 2, 1});
  check_kernel(kernels::one_hot, "one_hot", {labels}, {poisoned({5, 4}, Dtype::f32)}, 0, [](auto& in, auto& out) {
    return kernels::OneHotArgs{in[0], out[0], 4};
  });
  const Tensor wrong = labels.to(Device::cuda), y({5, 3}, Dtype::f32, Device::cuda), x({3}, Dtype::f32, Device::cuda),
               z({5}, Dtype::f32, Device::cuda);
  CHECK_THROWS_WITH_AS(kernels::one_hot({wrong, y, 3}), "[one_hot] index 3 at position 0 is outside of 0 … 2", ShapeError);
  CHECK_THROWS_WITH_AS(kernels::take({x, wrong, z, 1, 3, 5, 1}), "[take] index 3 at position 0 is outside of 0 … 2", ShapeError);
  CHECK_THROWS_AS(kernels::take_adjoint({x, wrong, z, 1, 3, 5, 1}), ShapeError);
}

TEST_CASE_FIXTURE(Started, "cross-entropy and its gradient, with weights, smoothing and ignored rows") {
  for (Dtype dtype : reals)
    for (int64_t classes : odd_sizes)
      for (int flags = 0; flags < 4; flags++) {
        const int64_t rows = 19;
        const bool weighted = flags & 1;
        const double smoothing = flags & 2 ? 0.1 : 0;
        const Tensor x = values({rows, classes}, 1, dtype), gy = values({rows}, 2, dtype),
                     weight = random_uniform({classes}, 3, 3, 0.5, 2, dtype);
        Tensor target = random_uniform({rows}, 4, 4, -0.49, static_cast<double>(classes) - 0.51, Dtype::f64).to(Dtype::i32);
        target.data<int32_t>()[4] = target.data<int32_t>()[18] = -100;
        std::vector<Tensor> inputs = {x, target};
        if (weighted) inputs.push_back(weight);
        const auto at = [=](const auto& in) { return weighted ? in[2] : Tensor(); };
        const std::string what = "cross_entropy of " + std::to_string(classes) + " flags " + std::to_string(flags);
        check_kernel(kernels::cross_entropy, what, inputs, {poisoned({rows}, dtype), poisoned({rows}, dtype), poisoned({rows}, dtype)},
                     tolerance(dtype), [=](auto& in, auto& out) {
                       return kernels::CrossEntropyArgs{in[0], in[1], at(in), out[0], out[1], out[2], -100, smoothing};
                     });
        const Tensor y({rows}, dtype), row_weight({rows}, dtype), log_sum({rows}, dtype);
        kernels::cross_entropy.cpu.back().run({x, target, weighted ? weight : Tensor(), y, row_weight, log_sum, -100, smoothing});
        inputs.push_back(log_sum), inputs.push_back(gy);
        const size_t last = inputs.size() - 1;
        check_kernel(kernels::cross_entropy_backward, what, inputs, {poisoned({rows, classes}, dtype)}, tolerance(dtype),
                     [=](auto& in, auto& out) {
                       return kernels::CrossEntropyBackwardArgs{in[0], in[1], at(in), in[last - 1], in[last], out[0], -100, smoothing};
                     });
      }
  const Tensor x({2, 3}, Dtype::f32, Device::cuda), target = Tensor::from<int32_t>({2}, {1, 3}).to(Device::cuda),
                                                    y({2}, Dtype::f32, Device::cuda);
  CHECK_THROWS_WITH_AS(kernels::cross_entropy({x, target, {}, y, Tensor::empty_like(y), Tensor::empty_like(y)}),
                       "[cross_entropy] target 3 at position 1 is outside of 0 … 2", ShapeError);
}

TEST_CASE_FIXTURE(Started, "dropout drops what the CPU drops") {
  for (Dtype dtype : reals)
    for (int64_t n : {0, 1, 7, 33, 1000}) {
      check_kernel(kernels::dropout, "dropout of " + std::to_string(n), {values({n}, 1, dtype)}, {poisoned({n}, dtype)}, tolerance(dtype),
                   [](auto& in, auto& out) {
                     return kernels::DropoutArgs{in[0], out[0], 0.3, 5, 6};
                   });
    }
}

TEST_SUITE_END();

#ifndef SONO_CUDA_EMULATED
TEST_CASE("without a device start() says so in one line" * doctest::skip(cuda::why_unavailable().empty())) {
  try {
    cuda::start();
    FAIL("start() found a device that why_unavailable() did not");
  } catch (const DeviceError& e) {
    CHECK(std::string(e.what()).find("[cuda] no CUDA device") == 0);
    CHECK(std::string(e.what()).find('\n') == std::string::npos);
  }
}
#endif
