// Elementwise operations: every one comes from its struct in tensor/elementwise.h.
#include "tensor/elementwise.h"

#include <limits>

#include "autograd/ops/common.h"
#include "tensor/kernels.h"

namespace sono {

// What a vjp reads: it is run once on Reads instead of numbers, and each value remembers which arguments went into it. So an operation
// keeps for backward only what its gradient needs, and one whose gradient is just g (addition) makes no copy, without a word in its struct.
struct Reads {
  enum : unsigned { gradient = 1, first = 2, second = 4 };
  unsigned from = 0;
  bool untouched = false;  // the gradient itself

  friend Reads operator+(Reads a, Reads b) { return {a.from | b.from}; }
  friend Reads operator-(Reads a, Reads b) { return {a.from | b.from}; }
  friend Reads operator*(Reads a, Reads b) { return {a.from | b.from}; }
  friend Reads operator/(Reads a, Reads b) { return {a.from | b.from}; }
  friend Reads operator<(Reads a, Reads b) { return {a.from | b.from}; }
  friend Reads operator>(Reads a, Reads b) { return {a.from | b.from}; }
  friend Reads operator+(double, Reads b) { return {b.from}; }
  friend Reads operator-(double, Reads b) { return {b.from}; }
  friend Reads operator*(double, Reads b) { return {b.from}; }
  friend Reads operator/(double, Reads b) { return {b.from}; }
  friend Reads operator+(Reads a, double) { return {a.from}; }
  friend Reads operator-(Reads a, double) { return {a.from}; }
  friend Reads operator*(Reads a, double) { return {a.from}; }
  friend Reads operator<(Reads a, double) { return {a.from}; }
  friend Reads operator>(Reads a, double) { return {a.from}; }
  friend Reads operator-(Reads a) { return {a.from}; }
  friend Reads exp(Reads a) { return {a.from}; }
  friend Reads log(Reads a) { return {a.from}; }
  friend Reads sin(Reads a) { return {a.from}; }
  friend Reads cos(Reads a) { return {a.from}; }
  friend Reads erf(Reads a) { return {a.from}; }
  friend Reads pow(Reads a, Reads b) { return {a.from | b.from}; }
  friend Reads pow(Reads a, double) { return {a.from}; }
  friend Reads select(Reads condition, Reads a, Reads b) { return {condition.from | a.from | b.from}; }
  friend Reads zero_like(Reads) { return {}; }
};

namespace {

using namespace elementwise;
using kernels::broadcast_shape;
using ops::check_same;

constexpr Reads read_gradient{Reads::gradient, true}, read_first{Reads::first}, read_second{Reads::second};

template <class Op>
Reads unary_reads() {
  if constexpr (keeps_output<Op>)
    return Op{}.template vjp_of_output<Reads>(read_gradient, read_first);
  else
    return Op{}.template vjp<Reads>(read_gradient, read_first);
}

template <class Op>
Attributes attributes_of(const Op& op) {
  if constexpr (requires { op.slope; })
    return {{"slope", op.slope}};
  else if constexpr (requires { op.alpha; })
    return {{"alpha", op.alpha}};
  else if constexpr (requires { op.p; })
    return {{"p", op.p}};
  else if constexpr (requires { op.low; })
    return {{"low", op.low}, {"high", op.high}};
  else if constexpr (requires { op.a; })
    return {{"a", op.a}, {"b", op.b}};
  else if constexpr (requires { op.c; })
    return {{"c", op.c}};
  else
    return {};
}

// Nothing to keep and nobody to tell: the value is all there is to say.
template <class... Ts>
bool plain(const Ts&... inputs) {
  return !observed() && !will_record(inputs...);
}

// One fused kernel if nobody will differentiate the gradient, the same lines on Tensors if somebody may. A gradient that nobody else sees
// is written over. kept is empty if the vjp does not read it.
template <class Op>
Tensor unary_vjp(const Op& op, const Tensor& g, const Tensor& kept) {
  if (will_record(g, kept)) {
    if constexpr (keeps_output<Op>)
      return op.template vjp_of_output<Tensor>(g, kept);
    else
      return op.template vjp<Tensor>(g, kept);
  }
  const Tensor out = g.sole_owner() ? g : Tensor::empty_like(g);
  kernels::map_vjp(op, g, kept ? kept : g, out);
  return out;
}

template <class Op>
Tensor unary(const Op& op, const Tensor& x) {
  check_same(Op::name, {&x});
  Tensor y = Tensor::empty_like(x);
  kernels::map(op, x, y);
  if (plain(x)) return y;
  const auto attributes = [&] { return attributes_of(op); };
  if constexpr (keeps_output<Op>) {
    return differentiable(Op::name, y, {{x, [op, y = SavedOutput(y)](const Tensor& g) { return unary_vjp(op, g, *y); }}}, attributes);
  } else {
    static const bool reads_input = unary_reads<Op>().from & Reads::first;
    Saved kept = reads_input ? Saved(x) : Saved();
    return differentiable(Op::name, y, {{x, [op, x = std::move(kept)](const Tensor& g) { return unary_vjp(op, g, *x); }}}, attributes);
  }
}

enum Side { left, right };

template <class Op, Side side, class T>
T side_vjp(const Op& op, const T& g, const T& a, const T& b) {
  if constexpr (side == left)
    return op.template vjp_left<T>(g, a, b);
  else
    return op.template vjp_right<T>(g, a, b);
}

template <class Op, Side side>
Vjp binary_vjp(const Op& op, const Tensor& a, const Tensor& b) {
  static const Reads reads = side_vjp<Op, side, Reads>(Op{}, read_gradient, read_first, read_second);
  const Shape& shape = (side == left ? a : b).shape();
  if (reads.untouched) return [shape](const Tensor& g) { return sum_to(g, shape); };
  Saved kept_a = reads.from & Reads::first ? Saved(a, "left operand") : Saved();
  Saved kept_b = reads.from & Reads::second ? Saved(b, "right operand") : Saved();
  return [op, shape, a = std::move(kept_a), b = std::move(kept_b)](const Tensor& g) {
    if (will_record(g, *a, *b)) return sum_to(side_vjp<Op, side, Tensor>(op, g, *a, *b), shape);
    const Tensor out = Tensor::empty_like(g), &in_a = *a ? *a : g, &in_b = *b ? *b : g;
    if constexpr (side == left)
      kernels::map_vjp_left(op, g, in_a, in_b, out);
    else
      kernels::map_vjp_right(op, g, in_a, in_b, out);
    return sum_to(out, shape);
  };
}

Tensor for_result(const char* name, const Tensor& a, const Tensor& b, Dtype dtype) {
  return Tensor(a.shape() == b.shape() ? a.shape() : broadcast_shape(name, a.shape(), b.shape()), dtype, a.device());
}

template <class Op>
Tensor binary(const Op& op, const Tensor& a, const Tensor& b) {
  check_same(Op::name, {&a, &b});
  ops::check_given(Op::name, {&b});
  const Tensor y = for_result(Op::name, a, b, a.dtype());
  kernels::map(op, a, b, y);
  if (plain(a, b)) return y;
  std::vector<Edge> edges(2);
  edges[0] = {a, wants_gradient(a) ? binary_vjp<Op, left>(op, a, b) : Vjp{}};
  edges[1] = {b, wants_gradient(b) ? binary_vjp<Op, right>(op, a, b) : Vjp{}};
  return differentiable(Op::name, y, std::move(edges));
}

template <class Op>
Tensor comparison(const Op& op, const Tensor& a, const Tensor& b) {
  check_same(Op::name, {&a, &b});
  ops::check_given(Op::name, {&b});
  const Tensor y = for_result(Op::name, a, b, Dtype::u8);
  kernels::compare(op, a, b, y);
  return observed() ? differentiable(Op::name, y, {{a, nullptr}, {b, nullptr}}) : y;
}

Tensor like(const Tensor& a, double b) { return Tensor::scalar(b, a.dtype(), a.device()); }

}  // namespace

Tensor operator+(const Tensor& a, const Tensor& b) { return binary(Add{}, a, b); }
Tensor operator-(const Tensor& a, const Tensor& b) { return binary(Subtract{}, a, b); }
Tensor operator*(const Tensor& a, const Tensor& b) { return binary(Multiply{}, a, b); }
Tensor operator/(const Tensor& a, const Tensor& b) { return binary(Divide{}, a, b); }
Tensor operator+(const Tensor& a, double b) { return unary(Linear{1, b}, a); }
Tensor operator-(const Tensor& a, double b) { return unary(Linear{1, -b}, a); }
Tensor operator*(const Tensor& a, double b) { return unary(Linear{b, -0.0}, a); }  // -0: x + -0 is x, the sign of a zero included
Tensor operator/(const Tensor& a, double b) { return unary(Linear{1 / b, -0.0}, a); }
Tensor operator+(double a, const Tensor& b) { return unary(Linear{1, a}, b); }
Tensor operator-(double a, const Tensor& b) { return unary(Linear{-1, a}, b); }
Tensor operator*(double a, const Tensor& b) { return b * a; }
Tensor operator/(double a, const Tensor& b) { return unary(Reciprocal{a}, b); }
Tensor operator-(const Tensor& x) { return unary(Negative{}, x); }

Tensor exp(const Tensor& x) { return unary(Exp{}, x); }
Tensor log(const Tensor& x) { return unary(Log{}, x); }
Tensor log1p(const Tensor& x) { return unary(Log1p{}, x); }
Tensor sqrt(const Tensor& x) { return unary(Sqrt{}, x); }
Tensor square(const Tensor& x) { return unary(Square{}, x); }
Tensor pow(const Tensor& x, double p) { return unary(PowScalar{p}, x); }
Tensor pow(const Tensor& a, const Tensor& b) { return binary(Pow{}, a, b); }
Tensor abs(const Tensor& x) { return unary(Abs{}, x); }
Tensor sin(const Tensor& x) { return unary(Sin{}, x); }
Tensor cos(const Tensor& x) { return unary(Cos{}, x); }
Tensor erf(const Tensor& x) { return unary(Erf{}, x); }
Tensor tanh(const Tensor& x) { return unary(Tanh{}, x); }
Tensor sigmoid(const Tensor& x) { return unary(Sigmoid{}, x); }
Tensor relu(const Tensor& x) { return unary(Relu{}, x); }
Tensor leaky_relu(const Tensor& x, double slope) { return unary(LeakyRelu{slope}, x); }
Tensor prelu(const Tensor& x, const Tensor& slope) { return binary(Prelu{}, x, slope); }
Tensor elu(const Tensor& x, double alpha) { return unary(Elu{alpha}, x); }
Tensor gelu(const Tensor& x) { return unary(Gelu{}, x); }
Tensor silu(const Tensor& x) { return unary(Silu{}, x); }
Tensor softplus(const Tensor& x) { return unary(Softplus{}, x); }
Tensor maximum(const Tensor& a, const Tensor& b) { return binary(Maximum{}, a, b); }
Tensor minimum(const Tensor& a, const Tensor& b) { return binary(Minimum{}, a, b); }
Tensor bce_with_logits(const Tensor& logits, const Tensor& targets) { return binary(BceWithLogits{}, logits, targets); }

Tensor clamp(const Tensor& x, double low, double high) {
  if (!(low <= high)) throw Error("[clamp] the lower bound " + std::to_string(low) + " is above the upper bound " + std::to_string(high));
  return unary(Clamp{low, high}, x);
}

Tensor operator<(const Tensor& a, const Tensor& b) { return comparison(Less{}, a, b); }
Tensor operator<=(const Tensor& a, const Tensor& b) { return comparison(LessEqual{}, a, b); }
Tensor operator>(const Tensor& a, const Tensor& b) { return comparison(Less{}, b, a); }
Tensor operator>=(const Tensor& a, const Tensor& b) { return comparison(LessEqual{}, b, a); }
Tensor operator<(const Tensor& a, double b) { return a < like(a, b); }
Tensor operator<=(const Tensor& a, double b) { return a <= like(a, b); }
Tensor operator>(const Tensor& a, double b) { return a > like(a, b); }
Tensor operator>=(const Tensor& a, double b) { return a >= like(a, b); }
Tensor equal(const Tensor& a, const Tensor& b) { return comparison(Equal{}, a, b); }
Tensor not_equal(const Tensor& a, const Tensor& b) { return comparison(NotEqual{}, a, b); }

Tensor zero_like(const Tensor& x) { return Tensor::zeros_like(x); }

Tensor select(const Tensor& mask, const Tensor& yes, const Tensor& no) {
  check_same("select", {&yes, &no});
  ops::check_given("select", {&mask, &no});
  if (mask.dtype() != Dtype::u8)
    throw DtypeError("[select] the mask " + to_string(mask.shape()) + " must be u8, got " + to_string(mask.dtype()));
  if (mask.device() != yes.device())
    throw DeviceError("[select] the mask " + to_string(mask.shape()) + " is on another device than " + to_string(yes.shape()));
  const Shape shape = broadcast_shape("select", mask.shape(), broadcast_shape("select", yes.shape(), no.shape()));
  const Tensor y(shape, yes.dtype(), yes.device());
  kernels::select(mask.detach(), yes, no, y);
  if (plain(yes, no)) return y;
  const Saved kept(mask, "mask");
  return differentiable("select", y,
                        {{mask, nullptr},
                         {yes, [kept, to = yes.shape()](const Tensor& g) { return sum_to(select(*kept, g, like(g, 0)), to); }},
                         {no, [kept, to = no.shape()](const Tensor& g) { return sum_to(select(*kept, like(g, 0), g), to); }}});
}

Tensor cast(const Tensor& x, Dtype dtype) {
  ops::check_given("cast", {&x});
  if (x.dtype() == dtype) return x;
  const bool real = dtype == Dtype::f32 || dtype == Dtype::f64;
  const Vjp back = [from = x.dtype()](const Tensor& g) { return cast(g, from); };
  return differentiable("cast", x.to(dtype), {{x, real ? back : Vjp{}}}, [&] {
    return Attributes{{"dtype", std::string(to_string(dtype))}};
  });
}

Tensor to_device(const Tensor& x, Device device) {
  ops::check_given("to_device", {&x});
  if (x.device() == device) return x;
  return differentiable("to_device", x.to(device), {{x, [from = x.device()](const Tensor& g) { return to_device(g, from); }}}, [&] {
    return Attributes{{"device", std::string(to_string(device))}};
  });
}

}  // namespace sono
