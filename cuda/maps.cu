// Elementwise maps and their fused vjps, from the structs of tensor/elementwise.h. Bound by memory: 4 bytes read per operand and 4 written.
// One thread per value; an operand that is repeated along a dimension has stride 0 there. Joined dimensions make most calls rank 1,
// which costs no division.
#include "cuda/gpu.h"
#include "tensor/kernels.h"

namespace sono::cuda {
namespace {

using namespace kernels;

// Kernel arguments cannot hold references: shapes and strides travel by value.
struct Layout {
  int rank;
  int64_t shape[max_map_rank], stride[3][max_map_rank];

  explicit Layout(const MapArgs& a) : rank(a.rank) {
    for (int d = 0; d < max_map_rank; d++) {
      shape[d] = a.shape[d];
      for (int k = 0; k < 3; k++) stride[k][d] = a.stride[k][d];
    }
  }
};

struct Offsets {
  int64_t of[3];
};

// Where operands find the value for output i.
__device__ inline Offsets offsets(const Layout& layout, int64_t i) {
  Offsets o{};
  for (int d = layout.rank - 1; d >= 0; d--) {
    const int64_t rest = d > 0 ? i / layout.shape[d] : 0, at = i - rest * layout.shape[d];
    for (int k = 0; k < 3; k++) o.of[k] += at * layout.stride[k][d];
    i = rest;
  }
  return o;
}

// What a pass computes from its operands; Op is handed over by value.
struct Value {
  template <class Op, class... T>
  static SONO_INLINE auto run(const Op& op, T... x) {
    return op.f(x...);
  }
};
struct Vjp {
  template <class Op, class T>
  static SONO_INLINE T run(const Op& op, T g, T kept) {
    if constexpr (elementwise::keeps_output<Op>)
      return op.vjp_of_output(g, kept);
    else
      return op.vjp(g, kept);
  }
};
struct Left {
  template <class Op, class T>
  static SONO_INLINE T run(const Op& op, T g, T a, T b) {
    return op.vjp_left(g, a, b);
  }
};
struct Right {
  template <class Op, class T>
  static SONO_INLINE T run(const Op& op, T g, T a, T b) {
    return op.vjp_right(g, a, b);
  }
};

template <class Pass, class Op, class Out, class A>
__global__ void map1(Op op, Layout layout, const A* a, Out* out, int64_t n) {
  for (int64_t i = gpu::first_index(); i < n; i += gpu::index_step()) out[i] = Pass::run(op, a[offsets(layout, i).of[0]]);
}
template <class Pass, class Op, class Out, class A, class B>
__global__ void map2(Op op, Layout layout, const A* a, const B* b, Out* out, int64_t n) {
  for (int64_t i = gpu::first_index(); i < n; i += gpu::index_step()) {
    const Offsets at = offsets(layout, i);
    out[i] = Pass::run(op, a[at.of[0]], b[at.of[1]]);
  }
}
template <class Pass, class Op, class Out, class A, class B, class C>
__global__ void map3(Op op, Layout layout, const A* a, const B* b, const C* c, Out* out, int64_t n) {
  for (int64_t i = gpu::first_index(); i < n; i += gpu::index_step()) {
    const Offsets at = offsets(layout, i);
    out[i] = Pass::run(op, a[at.of[0]], b[at.of[1]], c[at.of[2]]);
  }
}

template <class T>
const T* in(const MapArgs& a, int k) {
  return static_cast<const T*>(a.in[k]);
}
template <class T>
T* out(const MapArgs& a) {
  return static_cast<T*>(a.out);
}
template <class Op>
Op op(const MapArgs& a) {
  return *static_cast<const Op*>(a.op);
}

template <class Pass, class Op>
void run1(const MapArgs& a) {
  visit_real(a.name, a.dtype, [&]<class T>() {
    gpu::launch_over(a.size, a.name, map1<Pass, Op, T, T>, op<Op>(a), Layout(a), in<T>(a, 0), out<T>(a), a.size);
  });
}
template <class Pass, class Op, class Out = void>
void run2(const MapArgs& a) {
  visit_real(a.name, a.dtype, [&]<class T>() {
    using R = std::conditional_t<std::is_void_v<Out>, T, Out>;
    gpu::launch_over(a.size, a.name, map2<Pass, Op, R, T, T>, op<Op>(a), Layout(a), in<T>(a, 0), in<T>(a, 1), out<R>(a), a.size);
  });
}
template <class Pass, class Op>
void run3(const MapArgs& a) {
  visit_real(a.name, a.dtype, [&]<class T>() {
    gpu::launch_over(a.size, a.name, map3<Pass, Op, T, T, T, T>, op<Op>(a), Layout(a), in<T>(a, 0), in<T>(a, 1), in<T>(a, 2), out<T>(a),
                     a.size);
  });
}

struct Select {
  template <class T>
  SONO_INLINE T f(uint8_t mask, T yes, T no) const {
    return mask ? yes : no;
  }
};
void run_select(const MapArgs& a) {
  visit_real(a.name, a.dtype, [&]<class T>() {
    gpu::launch_over(a.size, a.name, map3<Value, Select, T, uint8_t, T, T>, Select{}, Layout(a), in<uint8_t>(a, 0), in<T>(a, 1),
                     in<T>(a, 2), out<T>(a), a.size);
  });
}

template <class... Ops>
void fill_unary(MapTable& t, std::tuple<Ops...>*) {
  int i = 0;
  ((t.unary[i] = run1<Value, Ops>, t.unary_vjp[i] = run2<Vjp, Ops>, i++), ...);
}
template <class... Ops>
void fill_binary(MapTable& t, std::tuple<Ops...>*) {
  int i = 0;
  ((t.binary[i] = run2<Value, Ops>, t.binary_left[i] = run3<Left, Ops>, t.binary_right[i] = run3<Right, Ops>, i++), ...);
}
template <class... Ops>
void fill_compare(MapTable& t, std::tuple<Ops...>*) {
  int i = 0;
  ((t.compare[i] = run2<Value, Ops, uint8_t>, i++), ...);
}

}  // namespace

void register_maps() {
  MapTable table{};
  fill_unary(table, static_cast<elementwise::Unary*>(nullptr));
  fill_binary(table, static_cast<elementwise::Binary*>(nullptr));
  fill_compare(table, static_cast<elementwise::Compare*>(nullptr));
  table.select = run_select;
  register_map_table(Device::cuda, table);
}

}  // namespace sono::cuda
