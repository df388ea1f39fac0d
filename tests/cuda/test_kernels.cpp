#include "tests/cuda/compare.h"

using namespace sono;
using namespace sono::tests;

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

TEST_CASE_FIXTURE(Started, "the step of SGD") {
  for (Dtype dtype : reals)
    for (int64_t step : {1, 2})
      for (int flags = 0; flags < 8; flags++) {
        const bool momentum = flags & 1, nesterov = flags & 2, decay = flags & 4;
        std::vector<Tensor> gradients, state;  // a network of three parameters, one of them empty
        for (int64_t n : {33, 0, 700}) {
          gradients.push_back(values({n}, 1, dtype));
          state.push_back(values({n}, 2, dtype));
          if (momentum) state.push_back(step == 1 ? poisoned({n}, dtype) : values({n}, 3, dtype));
        }
        std::vector<kernels::OptimizerSlot> slots(3);
        check_kernel(kernels::sgd_step, "sgd flags " + std::to_string(flags), gradients, state, tolerance(dtype),
                     [&, step](auto& in, auto& out) {
                       for (size_t i = 0; i < 3; i++) {
                         slots[i] = {out[momentum ? 2 * i : i], in[i], momentum ? out[2 * i + 1] : Tensor(), {}, {}, step};
                       }
                       return kernels::SgdArgs{slots, 0.1, momentum ? 0.9 : 0.0, 0.2, decay ? 0.01 : 0.0, nesterov};
                     });
      }
}

TEST_CASE_FIXTURE(Started, "a kernel that CUDA does not have is refused by name") {
  const Tensor x = values({1, 4, 1, 3}, 1).to(Device::cuda), y = Tensor::empty_like(x), m({3}, Dtype::f32, Device::cuda);
  CHECK_THROWS_WITH_AS(kernels::normalize({x, {}, {}, y, m, Tensor::empty_like(m), {1, 4, 1, 3}}),
                       "[normalize] has no CUDA kernel for this call; run on the CPU (--device cpu)", DeviceError);
  CHECK_THROWS_AS(kernels::map(elementwise::Relu{}, values({3}, 1), m), DeviceError);  // operands on two devices
}
