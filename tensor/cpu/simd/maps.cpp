// Elementwise maps: one pass over memory, bound by it (4 bytes read per operand and 4 written). The loops vectorise because f is
// branch-free; operands that are contiguous or constant get a loop of their own. Left to the compiler, exp, log, tanh, sigmoid and gelu
// take 14 to 20 operations a vector, longer than memory does (66 to 85 % of the triad's speed beyond the cache on one core of a Zen 4);
// with AVX-512 they run by math16.h's shorter ones (89 to 98 %).
#include "tensor/cpu/maps.h"
#include "tensor/cpu/simd/lanes.h"
#include "tensor/elementwise.h"

namespace sono::cpu::SONO_ISA {
namespace {

// F::run<T>(op, values of the operands…) -> element of out. A stride template argument of -1 means: as given at run time.
template <class F, class T, class Out, int64_t S0>
void loop1(const void* op, const void* const* in, const int64_t* stride, const int64_t* row_stride, void* out, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; r++) {
    const T* a = static_cast<const T*>(in[0]) + r * row_stride[0];
    Out* y = static_cast<Out*>(out) + r * n;
    const int64_t s0 = S0 < 0 ? stride[0] : S0;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = F::template run<T>(op, a[i * s0]);
  }
}

template <class F, class T, class Out, int64_t S0, int64_t S1>
void loop2(const void* op, const void* const* in, const int64_t* stride, const int64_t* row_stride, void* out, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; r++) {
    const T* a = static_cast<const T*>(in[0]) + r * row_stride[0];
    const T* b = static_cast<const T*>(in[1]) + r * row_stride[1];
    Out* y = static_cast<Out*>(out) + r * n;
    const int64_t s0 = S0 < 0 ? stride[0] : S0, s1 = S1 < 0 ? stride[1] : S1;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = F::template run<T>(op, a[i * s0], b[i * s1]);
  }
}

template <class F, class First, class T, int64_t S0, int64_t S1, int64_t S2>
void loop3(const void* op, const void* const* in, const int64_t* stride, const int64_t* row_stride, void* out, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; r++) {
    const First* a = static_cast<const First*>(in[0]) + r * row_stride[0];
    const T* b = static_cast<const T*>(in[1]) + r * row_stride[1];
    const T* c = static_cast<const T*>(in[2]) + r * row_stride[2];
    T* y = static_cast<T*>(out) + r * n;
    const int64_t s0 = S0 < 0 ? stride[0] : S0, s1 = S1 < 0 ? stride[1] : S1, s2 = S2 < 0 ? stride[2] : S2;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = F::template run<T>(op, a[i * s0], b[i * s1], c[i * s2]);
  }
}

template <class F, class T, class Out = T>
void map1(const void* op, const void* const* in, const int64_t* s, const int64_t* rs, void* out, int64_t rows, int64_t n) {
  if (s[0] == 1) return loop1<F, T, Out, 1>(op, in, s, rs, out, rows, n);
  loop1<F, T, Out, -1>(op, in, s, rs, out, rows, n);
}

template <class F, class T, class Out = T>
void map2(const void* op, const void* const* in, const int64_t* s, const int64_t* rs, void* out, int64_t rows, int64_t n) {
  if (s[0] == 1 && s[1] == 1) return loop2<F, T, Out, 1, 1>(op, in, s, rs, out, rows, n);
  if (s[0] == 1 && s[1] == 0) return loop2<F, T, Out, 1, 0>(op, in, s, rs, out, rows, n);
  if (s[0] == 0 && s[1] == 1) return loop2<F, T, Out, 0, 1>(op, in, s, rs, out, rows, n);
  loop2<F, T, Out, -1, -1>(op, in, s, rs, out, rows, n);
}

template <class F, class T, class First = T>
void map3(const void* op, const void* const* in, const int64_t* s, const int64_t* rs, void* out, int64_t rows, int64_t n) {
  if (s[0] == 1 && s[1] == 1 && s[2] == 1) return loop3<F, First, T, 1, 1, 1>(op, in, s, rs, out, rows, n);
  if (s[0] == 1 && s[1] == 1 && s[2] == 0) return loop3<F, First, T, 1, 1, 0>(op, in, s, rs, out, rows, n);
  loop3<F, First, T, -1, -1, -1>(op, in, s, rs, out, rows, n);
}

template <class Op>
SONO_INLINE const Op& as(const void* op) {
  return *static_cast<const Op*>(op);
}

template <class Op>
struct Value {
  template <class T>
  static SONO_INLINE T run(const void* op, T x) {
    return as<Op>(op).template f<T>(x);
  }
  template <class T>
  static SONO_INLINE T run(const void* op, T a, T b) {
    return as<Op>(op).template f<T>(a, b);
  }
};
template <class Op>
struct Backward {
  template <class T>
  static SONO_INLINE T run(const void* op, T g, T kept) {
    if constexpr (elementwise::keeps_output<Op>)
      return as<Op>(op).template vjp_of_output<T>(g, kept);
    else
      return as<Op>(op).template vjp<T>(g, kept);
  }
};
template <class Op>
struct Left {
  template <class T>
  static SONO_INLINE T run(const void* op, T g, T a, T b) {
    return as<Op>(op).template vjp_left<T>(g, a, b);
  }
};
template <class Op>
struct Right {
  template <class T>
  static SONO_INLINE T run(const void* op, T g, T a, T b) {
    return as<Op>(op).template vjp_right<T>(g, a, b);
  }
};
template <class Op>
struct Compare {
  template <class T>
  static SONO_INLINE uint8_t run(const void* op, T a, T b) {
    return as<Op>(op).template f<T>(a, b);
  }
};
struct Select {
  template <class T>
  static SONO_INLINE T run(const void*, uint8_t mask, T a, T b) {
    return mask ? a : b;
  }
};

template <class T, class... Ops>
void fill_unary(MapInnerTable& t, int d, std::tuple<Ops...>*) {
  int i = 0;
  ((t.unary[d][i] = map1<Value<Ops>, T>, t.unary_vjp[d][i] = map2<Backward<Ops>, T>, i++), ...);
}
template <class T, class... Ops>
void fill_binary(MapInnerTable& t, int d, std::tuple<Ops...>*) {
  int i = 0;
  ((t.binary[d][i] = map2<Value<Ops>, T>, t.binary_left[d][i] = map3<Left<Ops>, T>, t.binary_right[d][i] = map3<Right<Ops>, T>, i++), ...);
}
template <class T, class... Ops>
void fill_compare(MapInnerTable& t, int d, std::tuple<Ops...>*) {
  int i = 0;
  ((t.compare[d][i] = map2<Compare<Ops>, T, uint8_t>, i++), ...);
}
template <class T>
void fill(MapInnerTable& t, int d) {
  fill_unary<T>(t, d, static_cast<elementwise::Unary*>(nullptr));
  fill_binary<T>(t, d, static_cast<elementwise::Binary*>(nullptr));
  fill_compare<T>(t, d, static_cast<elementwise::Compare*>(nullptr));
  t.select[d] = map3<Select, T, uint8_t>;
}

#if defined(__AVX512F__)

// Of what lies `step` apart `count` values, zeros behind them.
inline Lanes read(const float* p, int64_t step, int64_t count) {
  if (step == 1 && count == lanes) return load<Vec>(p);
  float values[lanes] = {};
  for (int64_t l = 0; l < count; l++) values[l] = p[l * step];
  return load<Vec>(values);
}
inline void write(float* p, Lanes x, int64_t count) {
  if (count == lanes) return store(p, x.v);
  __builtin_memcpy(p, &x, static_cast<size_t>(count) * sizeof(float));
}

template <class F>
void lanes1(const void* op, const void* const* in, const int64_t* stride, const int64_t* row_stride, void* out, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; r++) {
    const float* a = static_cast<const float*>(in[0]) + r * row_stride[0];
    float* y = static_cast<float*>(out) + r * n;
    for (int64_t i = 0; i < n; i += lanes) {
      const int64_t count = smaller(lanes, n - i);
      write(y + i, F::template run<Lanes>(op, read(a + i * stride[0], stride[0], count)), count);
    }
  }
}

template <class F>
void lanes2(const void* op, const void* const* in, const int64_t* stride, const int64_t* row_stride, void* out, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; r++) {
    const float* a = static_cast<const float*>(in[0]) + r * row_stride[0];
    const float* b = static_cast<const float*>(in[1]) + r * row_stride[1];
    float* y = static_cast<float*>(out) + r * n;
    for (int64_t i = 0; i < n; i += lanes) {
      const int64_t count = smaller(lanes, n - i);
      const Lanes u = read(a + i * stride[0], stride[0], count), v = read(b + i * stride[1], stride[1], count);
      write(y + i, F::template run<Lanes>(op, u, v), count);
    }
  }
}

// The operations whose functions are faster sixteen at once, whatever the strides: a value does not depend on where it lies.
template <class... Ops>
void fill_values_by_lanes(MapInnerTable& t, std::tuple<Ops...>*) {
  ((t.unary[0][elementwise::IndexOf<Ops, elementwise::Unary>::value] = lanes1<Value<Ops>>), ...);
}
template <class... Ops>
void fill_gradients_by_lanes(MapInnerTable& t, std::tuple<Ops...>*) {
  ((t.unary_vjp[0][elementwise::IndexOf<Ops, elementwise::Unary>::value] = lanes2<Backward<Ops>>), ...);
}
void fill_by_lanes(MapInnerTable& t) {
  using namespace elementwise;
  fill_values_by_lanes(t, static_cast<std::tuple<Exp, Log, Tanh, Sigmoid, Silu, Gelu>*>(nullptr));
  fill_gradients_by_lanes(t, static_cast<std::tuple<Elu, Gelu, Silu, Softplus>*>(nullptr));
}

#else

void fill_by_lanes(MapInnerTable&) {}

#endif

}  // namespace

void fill_maps(MapInnerTable& table) {
  fill<float>(table, 0);
  fill<double>(table, 1);
  fill_by_lanes(table);
}

}  // namespace sono::cpu::SONO_ISA
