// Matrix products. With y = op(a) op(b), op the identity or a transposition, both gradients are matrix products again.
#include "autograd/ops/common.h"
#include "tensor/kernels.h"
#include "tensor/random.h"

namespace sono {

using namespace ops;

namespace {

Shape front(const Shape& shape) { return Shape(shape.begin(), shape.end() - 2); }

// (…, M, K) as (batch, M, K).
Tensor batched(const Tensor& t) { return t.view({count(front(t.shape())), t.dim(-2), t.dim(-1)}); }

// g of the product's shape, summed over the batch where the operand was one matrix for all.
Tensor for_operand(const Tensor& g, const Shape& shape) { return g.rank() > 2 && shape.size() == 2 ? sum_to(g, shape) : g; }

Tensor gradient_of_a(const Tensor& g, const Tensor& b, const Shape& a_shape, bool ta, bool tb) {
  return for_operand(ta ? matmul(b, g, tb, true) : matmul(g, b, false, !tb), a_shape);
}

Tensor gradient_of_b(const Tensor& g, const Tensor& a, const Shape& b_shape, bool ta, bool tb) {
  if (b_shape.size() == 2 && a.rank() > 2 && !ta) {  // one matrix for a batch: the batch is just more rows
    const Tensor rows = reshape(a, {-1, a.dim(-1)}), g_rows = reshape(g, {-1, g.dim(-1)});
    return tb ? matmul(g_rows, rows, true, false) : matmul(rows, g_rows, true, false);
  }
  return for_operand(tb ? matmul(g, a, true, ta) : matmul(a, g, !ta, false), b_shape);
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b) {
  check_same("matmul", {&a, &b});
  check_given("matmul", {&b});
  const auto fail = [&](const std::string& why) {
    throw ShapeError("[matmul] " + to_string(a.shape()) + (transpose_a ? " transposed" : "") + " times " + to_string(b.shape()) +
                     (transpose_b ? " transposed: " : ": ") + why);
  };
  if (a.rank() < 2 || b.rank() < 2) fail("both must have two dimensions or more");
  const int64_t m = a.dim(transpose_a ? -1 : -2), k = a.dim(transpose_a ? -2 : -1), n = b.dim(transpose_b ? -2 : -1);
  if (b.dim(transpose_b ? -1 : -2) != k) fail("the inner dimensions differ");
  if (a.rank() > 2 && b.rank() > 2 && front(a.shape()) != front(b.shape())) fail("the batch dimensions differ");

  Shape shape = front(a.rank() > 2 ? a.shape() : b.shape());
  shape.insert(shape.end(), {m, n});
  const Tensor y(shape, a.dtype(), a.device());
  if (a.rank() > 2 && b.rank() == 2 && !transpose_a)
    kernels::matmul({a.view({1, -1, k}), batched(b), y.view({1, -1, n}), false, transpose_b});
  else
    kernels::matmul({batched(a), batched(b), batched(y), transpose_a, transpose_b});
  const auto left = [b = Saved(b, "right matrix"), shape = a.shape(), transpose_a, transpose_b](const Tensor& g) {
    return gradient_of_a(g, *b, shape, transpose_a, transpose_b);
  };
  const auto right = [a = Saved(a, "left matrix"), shape = b.shape(), transpose_a, transpose_b](const Tensor& g) {
    return gradient_of_b(g, *a, shape, transpose_a, transpose_b);
  };
  return differentiable("matmul", y, {{a, left}, {b, right}}, [&] {
    return Attributes{{"transpose_a", int64_t{transpose_a}}, {"transpose_b", int64_t{transpose_b}}};
  });
}

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias) {
  check_same("linear", {&x, &w, &bias});
  check_given("linear", {&w});
  const auto fail = [&](const std::string& why) {
    throw ShapeError("[linear] input " + to_string(x.shape()) + ", weight " + to_string(w.shape()) + ": " + why);
  };
  if (w.rank() != 2 || x.rank() < 1) fail("expected (…, in) and (in, out)");
  if (x.dim(-1) != w.dim(0))
    fail("the input has " + std::to_string(x.dim(-1)) + " features, the weight expects " + std::to_string(w.dim(0)));
  if (bias && bias.shape() != Shape{w.dim(1)}) fail("the bias " + to_string(bias.shape()) + " must be (" + std::to_string(w.dim(1)) + ")");
  Shape shape = x.shape();
  shape.back() = w.dim(1);
  const Tensor y(shape, x.dtype(), x.device());
  const int64_t rows = x.size() / std::max<int64_t>(1, w.dim(0));
  kernels::matmul({x.view({1, rows, w.dim(0)}), w.view({1, w.dim(0), w.dim(1)}), y.view({1, rows, w.dim(1)}), false, false, bias.detach()});

  const auto to_x = [w = Saved(w, "weight"), from = x.shape()](const Tensor& g) {
    return reshape(matmul(reshape(g, {-1, g.dim(-1)}), *w, false, true), from);
  };
  const auto to_w = [x = Saved(x), rows](const Tensor& g) {
    return matmul(reshape(*x, {rows, x->dim(-1)}), reshape(g, {rows, g.dim(-1)}), true, false);
  };
  const auto to_bias = [rows](const Tensor& g) { return sum(reshape(g, {rows, g.dim(-1)}), {0}); };
  std::vector<Edge> edges{{x, to_x}, {w, to_w}};
  if (bias) edges.push_back({bias, to_bias});
  return differentiable("linear", y, std::move(edges));
}

BinaryUnits sample_units(const Tensor& x, const Tensor& w, const Tensor& bias, bool transpose_w, uint64_t seed, uint64_t stream) {
  check_same("sample_units", {&x, &w, &bias});
  check_given("sample_units", {&w});
  if (x.rank() != 2 || w.rank() != 2 || w.dim(transpose_w ? 1 : 0) != x.dim(1) || (bias && bias.shape() != Shape{w.dim(transpose_w ? 0 : 1)}))
    throw ShapeError("[sample_units] input " + to_string(x.shape()) + ", weight " + to_string(w.shape()) + (transpose_w ? " transposed" : "") +
                     (bias ? ", bias " + to_string(bias.shape()) : "") + " do not fit");
  const NoGrad values;
  if (x.device() != Device::cpu) {
    const Tensor a = matmul(x, w, false, transpose_w), p = sigmoid(bias ? a + bias : a);
    return {p, cast(to_device(random_uniform(p.shape(), seed, stream, 0, 1, p.dtype()), p.device()) < p, p.dtype())};
  }
  const Tensor p({x.dim(0), w.dim(transpose_w ? 0 : 1)}, x.dtype()), sample = Tensor::empty_like(p);
  const bool fused = p.dtype() == Dtype::f32;  // the fast products of f64 draw nothing
  kernels::matmul({x.detach(), w.detach(), p, false, transpose_w, bias.detach(), kernels::Activation::sigmoid, {}, fused ? sample : Tensor(), seed, stream});
  if (!fused) random_bernoulli(p, sample, seed, stream);
  return {p, sample};
}

}  // namespace sono
