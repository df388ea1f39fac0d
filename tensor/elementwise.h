#pragma once
// Every elementwise operation, each defined once: its value f and its vector-Jacobian product, as templates on the value type.
// With T = float or double they are the vectorised map, the fused backward kernel and the CUDA kernel; with T = Lanes, those of 16 values at
// once (tensor/cpu/simd/lanes.h); with T = Tensor the same lines build a graph that can be differentiated again. The lists at the end drive
// kernels, tests and benchmarks: a new operation is one struct and its place in a list.
//
//   vjp(g, x)            keeps the input for backward        vjp_left(g, a, b), vjp_right(g, a, b)   for two inputs
//   vjp_of_output(g, y)  keeps the output instead
//
// Branches are written select(condition, yes, no) and constants num<T>(c), so that they read the same for numbers and Tensors.
// x * 0 is written zero_like(x): it keeps NaN and infinity from spreading. The base class tells test inputs that are safe to differentiate.
#include <tuple>
#include <type_traits>

#include "tensor/scalar_math.h"

namespace sono {

template <class T> SONO_INLINE auto num(double c) {
  if constexpr (std::is_arithmetic_v<T>) return static_cast<T>(c);
  else return c;
}
template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>> SONO_INLINE T select(bool condition, T yes, T no) { return condition ? yes : no; }
template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>> SONO_INLINE T zero_like(T) { return T(0); }

namespace elementwise {

// Test inputs are drawn from [low, high]; kinks are points where the function has no derivative, kept at a distance by the tests.
struct Domain { double low = -3, high = 3; double kink = 1e300, kink2 = 1e300; };

struct Negative {
  static constexpr auto name = "negative";
  static constexpr Domain domain{};
  template <class T> SONO_INLINE T f(T x) const { return -x; }
  template <class T> SONO_INLINE T vjp(T g, T) const { return -g; }
};

struct Exp {
  static constexpr auto name = "exp";
  static constexpr Domain domain{};
  template <class T> SONO_INLINE T f(T x) const { using math::exp; return exp(x); }
  template <class T> SONO_INLINE T vjp_of_output(T g, T y) const { return g * y; }
};

struct Log {
  static constexpr auto name = "log";
  static constexpr Domain domain{0.2, 4};
  template <class T> SONO_INLINE T f(T x) const { using math::log; return log(x); }
  template <class T> SONO_INLINE T vjp(T g, T x) const { return g / x; }
};

struct Log1p {
  static constexpr auto name = "log1p";
  static constexpr Domain domain{-0.7, 4};
  template <class T> SONO_INLINE T f(T x) const { using math::log1p; return log1p(x); }
  template <class T> SONO_INLINE T vjp(T g, T x) const { return g / (num<T>(1) + x); }
};

struct Sqrt {
  static constexpr auto name = "sqrt";
  static constexpr Domain domain{0.2, 4};
  template <class T> SONO_INLINE T f(T x) const { using math::sqrt; return sqrt(x); }
  template <class T> SONO_INLINE T vjp_of_output(T g, T y) const { return g / (num<T>(2) * y); }
};

struct Square {
  static constexpr auto name = "square";
  static constexpr Domain domain{};
  template <class T> SONO_INLINE T f(T x) const { return x * x; }
  template <class T> SONO_INLINE T vjp(T g, T x) const { return num<T>(2) * g * x; }
};

// x^p for a constant p. Its derivative at p = 0 is 0 everywhere, as in PyTorch.
struct PowScalar {
  static constexpr auto name = "pow_scalar";
  static constexpr Domain domain{0.2, 3};
  double p = 2;
  template <class T> SONO_INLINE T f(T x) const { return power(x, p); }
  template <class T> SONO_INLINE T vjp(T g, T x) const { if (p == 0) return zero_like(g); return num<T>(p) * g * power(x, p - 1); }
  // The small powers by products: loops over them are vectors.
  template <class T> static SONO_INLINE T power(T x, double p) { using math::pow; if (p == 1) return x; if (p == 2) return x * x; if (p == 3) return x * x * x; return pow(x, num<T>(p)); }
};

struct Abs {
  static constexpr auto name = "abs";
  static constexpr Domain domain{-3, 3, 0};
  template <class T> SONO_INLINE T f(T x) const { return select(x < num<T>(0), -x, x); }
  template <class T> SONO_INLINE T vjp(T g, T x) const { return select(x > num<T>(0), g, select(x < num<T>(0), -g, zero_like(g))); }
};

struct Sin {
  static constexpr auto name = "sin";
  static constexpr Domain domain{};
  template <class T> SONO_INLINE T f(T x) const { using math::sin; return sin(x); }
  template <class T> SONO_INLINE T vjp(T g, T x) const { using math::cos; return g * cos(x); }
};

struct Cos {
  static constexpr auto name = "cos";
  static constexpr Domain domain{};
  template <class T> SONO_INLINE T f(T x) const { using math::cos; return cos(x); }
  template <class T> SONO_INLINE T vjp(T g, T x) const { using math::sin; return -(g * sin(x)); }
};

struct Tanh {
  static constexpr auto name = "tanh";
  static constexpr Domain domain{};
  template <class T> SONO_INLINE T f(T x) const { using math::tanh; return tanh(x); }
  template <class T> SONO_INLINE T vjp_of_output(T g, T y) const { return g * (num<T>(1) - y * y); }
};

// 1 / (1 + exp(-x)) [0, 1], without overflow.
struct Sigmoid {
  static constexpr auto name = "sigmoid";
  static constexpr Domain domain{};
  template <class T> SONO_INLINE T f(T x) const { using math::exp; return num<T>(1) / (num<T>(1) + exp(-x)); }
  template <class T> SONO_INLINE T vjp_of_output(T g, T y) const { return g * y * (num<T>(1) - y); }
};

// Written so that NaN stays NaN.
struct Relu {
  static constexpr auto name = "relu";
  static constexpr Domain domain{-3, 3, 0};
  template <class T> SONO_INLINE T f(T x) const { return select(x < num<T>(0), zero_like(x), x); }
  template <class T> SONO_INLINE T vjp_of_output(T g, T y) const { return select(y > num<T>(0), g, zero_like(g)); }
};

struct LeakyRelu {
  static constexpr auto name = "leaky_relu";
  static constexpr Domain domain{-3, 3, 0};
  double slope = 0.01;
  template <class T> SONO_INLINE T f(T x) const { return select(x < num<T>(0), num<T>(slope) * x, x); }
  template <class T> SONO_INLINE T vjp(T g, T x) const { return select(x > num<T>(0), g, num<T>(slope) * g); }
};

// x for x > 0, alpha * (exp(x) - 1) below [Clevert et al., ICLR 2016].
struct Elu {
  static constexpr auto name = "elu";
  static constexpr Domain domain{-3, 3, 0};
  double alpha = 1;
  template <class T> SONO_INLINE T f(T x) const { using math::expm1; return select(x > num<T>(0), x, num<T>(alpha) * expm1(x)); }
  template <class T> SONO_INLINE T vjp(T g, T x) const { using math::exp; return select(x > num<T>(0), g, num<T>(alpha) * g * exp(x)); }
};

// x * Phi(x) with erf [Hendrycks and Gimpel 2016].
struct Gelu {
  static constexpr auto name = "gelu";
  static constexpr Domain domain{};
  template <class T> static SONO_INLINE T phi(T x) {
    using math::normal_below;
    if constexpr (requires { normal_below(x); }) return normal_below(x);
    else return num<T>(0.5) * (num<T>(1) + erf(x * num<T>(0.70710678118654752)));
  }
  template <class T> SONO_INLINE T f(T x) const { return x * phi(x); }
  template <class T> SONO_INLINE T vjp(T g, T x) const {
    using math::exp;
    return g * (phi(x) + x * (num<T>(0.39894228040143268) * exp(x * x * num<T>(-0.5))));
  }
};

struct Erf {
  static constexpr auto name = "erf";
  static constexpr Domain domain{};
  template <class T> SONO_INLINE T f(T x) const { using math::erf; return erf(x); }
  template <class T> SONO_INLINE T vjp(T g, T x) const { using math::exp; return g * (num<T>(1.1283791670955126) * exp(-(x * x))); }
};

struct Silu {
  static constexpr auto name = "silu";
  static constexpr Domain domain{};
  template <class T> SONO_INLINE T f(T x) const { return x * Sigmoid{}.f(x); }
  template <class T> SONO_INLINE T vjp(T g, T x) const { const T s = Sigmoid{}.f(x); return g * (s + x * s * (num<T>(1) - s)); }
};

// log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)).
struct Softplus {
  static constexpr auto name = "softplus";
  static constexpr Domain domain{};
  template <class T> SONO_INLINE T f(T x) const { using math::exp; using math::log1p; return Relu{}.f(x) + log1p(exp(-Abs{}.f(x))); }
  template <class T> SONO_INLINE T vjp(T g, T x) const { return g * Sigmoid{}.f(x); }
};

// Into [low, high]; outside, the gradient is 0.
struct Clamp {
  static constexpr auto name = "clamp";
  static constexpr Domain domain{-3, 3, -1, 1};
  double low = -1, high = 1;
  template <class T> SONO_INLINE T f(T x) const { return select(x < num<T>(low), zero_like(x) + num<T>(low), select(x > num<T>(high), zero_like(x) + num<T>(high), x)); }
  template <class T> SONO_INLINE T vjp(T g, T x) const { return select(x < num<T>(low), zero_like(g), select(x > num<T>(high), zero_like(g), g)); }
};

// a * x + b for constants: what x * 2.0 and 1.0 - x become.
struct Linear {
  static constexpr auto name = "linear";
  static constexpr Domain domain{};
  double a = 2, b = 1;
  template <class T> SONO_INLINE T f(T x) const { return num<T>(a) * x + num<T>(b); }
  template <class T> SONO_INLINE T vjp(T g, T) const { return num<T>(a) * g; }
};

// c / x.
struct Reciprocal {
  static constexpr auto name = "reciprocal";
  static constexpr Domain domain{0.3, 3};
  double c = 1;
  template <class T> SONO_INLINE T f(T x) const { return num<T>(c) / x; }
  template <class T> SONO_INLINE T vjp(T g, T x) const { return -(num<T>(c) * g / (x * x)); }
};

struct Add {
  static constexpr auto name = "add";
  static constexpr Domain domain{};
  template <class T> SONO_INLINE T f(T a, T b) const { return a + b; }
  template <class T> SONO_INLINE T vjp_left(T g, T, T) const { return g; }
  template <class T> SONO_INLINE T vjp_right(T g, T, T) const { return g; }
};

struct Subtract {
  static constexpr auto name = "subtract";
  static constexpr Domain domain{};
  template <class T> SONO_INLINE T f(T a, T b) const { return a - b; }
  template <class T> SONO_INLINE T vjp_left(T g, T, T) const { return g; }
  template <class T> SONO_INLINE T vjp_right(T g, T, T) const { return -g; }
};

struct Multiply {
  static constexpr auto name = "multiply";
  static constexpr Domain domain{};
  template <class T> SONO_INLINE T f(T a, T b) const { return a * b; }
  template <class T> SONO_INLINE T vjp_left(T g, T, T b) const { return g * b; }
  template <class T> SONO_INLINE T vjp_right(T g, T a, T) const { return g * a; }
};

struct Divide {
  static constexpr auto name = "divide";
  static constexpr Domain domain{0.3, 3};
  template <class T> SONO_INLINE T f(T a, T b) const { return a / b; }
  template <class T> SONO_INLINE T vjp_left(T g, T, T b) const { return g / b; }
  template <class T> SONO_INLINE T vjp_right(T g, T a, T b) const { return -(g * a / (b * b)); }
};

// a^b for a > 0 where b is differentiated.
struct Pow {
  static constexpr auto name = "pow";
  static constexpr Domain domain{0.3, 2};
  template <class T> SONO_INLINE T f(T a, T b) const { using math::pow; return pow(a, b); }
  template <class T> SONO_INLINE T vjp_left(T g, T a, T b) const { using math::pow; return g * b * pow(a, b - num<T>(1)); }
  template <class T> SONO_INLINE T vjp_right(T g, T a, T b) const { using math::pow; using math::log; return g * pow(a, b) * log(a); }
};

// NaN in either gives NaN; at a tie the left one has the gradient.
struct Maximum {
  static constexpr auto name = "maximum";
  static constexpr Domain domain{};
  template <class T> SONO_INLINE T f(T a, T b) const { return select(a < b, b, select(b != b, b, a)); }
  template <class T> SONO_INLINE T vjp_left(T g, T a, T b) const { return select(a < b, zero_like(g), g); }
  template <class T> SONO_INLINE T vjp_right(T g, T a, T b) const { return select(a < b, g, zero_like(g)); }
};

struct Minimum {
  static constexpr auto name = "minimum";
  static constexpr Domain domain{};
  template <class T> SONO_INLINE T f(T a, T b) const { return select(b < a, b, select(b != b, b, a)); }
  template <class T> SONO_INLINE T vjp_left(T g, T a, T b) const { return select(b < a, zero_like(g), g); }
  template <class T> SONO_INLINE T vjp_right(T g, T a, T b) const { return select(b < a, g, zero_like(g)); }
};

// max(x, 0) + slope * min(x, 0) with a learned slope, broadcast over the channels [He et al., ICCV 2015].
struct Prelu {
  static constexpr auto name = "prelu";
  static constexpr Domain domain{-3, 3, 0};
  template <class T> SONO_INLINE T f(T x, T slope) const { return select(x < num<T>(0), slope * x, x); }
  template <class T> SONO_INLINE T vjp_left(T g, T x, T slope) const { return select(x > num<T>(0), g, slope * g); }
  template <class T> SONO_INLINE T vjp_right(T g, T x, T) const { return select(x > num<T>(0), zero_like(g), g * x); }
};

// Binary cross-entropy of logits x against targets t in [0, 1]: max(x, 0) - x*t + log1p(exp(-|x|)).
struct BceWithLogits {
  static constexpr auto name = "bce_with_logits";
  static constexpr Domain domain{};
  template <class T> SONO_INLINE T f(T x, T t) const { using math::exp; using math::log1p; return Relu{}.f(x) - x * t + log1p(exp(-Abs{}.f(x))); }
  template <class T> SONO_INLINE T vjp_left(T g, T x, T t) const { return g * (Sigmoid{}.f(x) - t); }
  template <class T> SONO_INLINE T vjp_right(T g, T x, T) const { return -(g * x); }
};

using Unary = std::tuple<Negative, Exp, Log, Log1p, Sqrt, Square, PowScalar, Abs, Sin, Cos, Tanh, Sigmoid, Relu, LeakyRelu, Elu, Gelu, Erf, Silu,
                         Softplus, Clamp, Linear, Reciprocal>;
using Binary = std::tuple<Add, Subtract, Multiply, Divide, Pow, Maximum, Minimum, Prelu, BceWithLogits>;

// Comparisons have values 0 and 1 (u8) and no gradient.
struct Less { static constexpr auto name = "less"; template <class T> SONO_INLINE bool f(T a, T b) const { return a < b; } };
struct LessEqual { static constexpr auto name = "less_equal"; template <class T> SONO_INLINE bool f(T a, T b) const { return a <= b; } };
struct Equal { static constexpr auto name = "equal"; template <class T> SONO_INLINE bool f(T a, T b) const { return a == b; } };
struct NotEqual { static constexpr auto name = "not_equal"; template <class T> SONO_INLINE bool f(T a, T b) const { return a != b; } };
using Compare = std::tuple<Less, LessEqual, Equal, NotEqual>;  // > and >= are < and <= with the operands exchanged

// What a vjp keeps.
template <class Op> constexpr bool keeps_output = requires(Op op) { op.template vjp_of_output<double>(0., 0.); };

// Where Op stands in its list: the row of the kernel table.
template <class Op, class List> struct IndexOf;
template <class Op, class... Ops> struct IndexOf<Op, std::tuple<Ops...>> {
  static constexpr int value = [] { int i = 0; (void)((std::is_same_v<Op, Ops> || (i++, false)) || ...); return i; }();
};

}  // namespace elementwise
}  // namespace sono
