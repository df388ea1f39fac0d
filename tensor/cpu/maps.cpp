// The drivers of the elementwise maps: cut the work into chunks for the threads and hand rows to the inner loops of the instruction set.
#include "tensor/cpu/maps.h"

#include <algorithm>
#include <utility>

#include "tensor/cpu/simd.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace sono::cpu {
namespace baseline {
void fill_maps(MapInnerTable&);
}
namespace v3 {
void fill_maps(MapInnerTable&);
}
namespace v4 {
void fill_maps(MapInnerTable&);
}
}  // namespace sono::cpu

namespace sono::kernels {
namespace {

using cpu::MapInner;
constexpr int64_t chunk = 16384;  // elements: 64 KiB of f32 per operand, above the cost of handing out a chunk

const cpu::MapInnerTable& inner() {
  static const auto* tables = [] {
    auto* t = new cpu::MapInnerTable[3]{};  // one per instruction set
    cpu::baseline::fill_maps(t[0]);
#ifdef SONO_HAVE_v3
    if (cpu::has_isa(cpu::Isa::v3)) cpu::v3::fill_maps(t[1]);  // itself compiled for v3: an older processor must not run it
#endif
#ifdef SONO_HAVE_v4
    if (cpu::has_isa(cpu::Isa::v4)) cpu::v4::fill_maps(t[2]);
#endif
    return t;
  }();
  return tables[static_cast<int>(cpu::isa())];
}

int64_t offset(const MapArgs& a, int k, int64_t row) {
  int64_t o = 0;
  for (int d = a.rank - 2; d >= 0; d--) {
    o += row % a.shape[d] * a.stride[k][d];
    row /= a.shape[d];
  }
  return o;
}

// Rows first … last of the last dimension, in runs of rows that lie a fixed step apart (those of dimension rank - 2).
void run_rows(const MapArgs& a, MapInner f, const int64_t* in_bytes, int64_t out_bytes, int64_t first, int64_t last) {
  const int64_t n = a.shape[a.rank - 1], period = a.shape[a.rank - 2];
  for (int64_t row = first; row < last;) {
    const int64_t rows = std::min(last - row, period - row % period);
    const void* in[3];
    int64_t stride[3], row_stride[3];
    for (int k = 0; k < a.inputs; k++) {
      in[k] = static_cast<const char*>(a.in[k]) + offset(a, k, row) * in_bytes[k];
      stride[k] = a.stride[k][a.rank - 1];
      row_stride[k] = a.stride[k][a.rank - 2];
    }
    f(a.op, in, stride, row_stride, static_cast<char*>(a.out) + row * n * out_bytes, rows, n);
    row += rows;
  }
}

void run_flat(const MapArgs& a, MapInner f, const int64_t* in_bytes, int64_t out_bytes, int64_t first, int64_t last) {
  const void* in[3];
  const int64_t row_stride[3] = {};
  int64_t stride[3];
  for (int k = 0; k < a.inputs; k++) {
    stride[k] = a.stride[k][0];
    in[k] = static_cast<const char*>(a.in[k]) + first * stride[k] * in_bytes[k];
  }
  f(a.op, in, stride, row_stride, static_cast<char*>(a.out) + first * out_bytes, 1, last - first);
}

void drive(const MapArgs& a, MapInner f, int64_t first_bytes, int64_t out_bytes) {
  const int64_t value = byte_size(a.dtype), in_bytes[3] = {first_bytes ? first_bytes : value, value, value},
                out = out_bytes ? out_bytes : value;
  if (a.rank == 1) return parallel_for(a.size, chunk, [&](int64_t first, int64_t last) { run_flat(a, f, in_bytes, out, first, last); });
  const int64_t n = a.shape[a.rank - 1];
  parallel_for(a.size / n, std::max<int64_t>(1, chunk / n),
               [&](int64_t first, int64_t last) { run_rows(a, f, in_bytes, out, first, last); });
}

int real(const MapArgs& a) {
  if (a.dtype != Dtype::f32 && a.dtype != Dtype::f64) not_real(a.name, a.dtype);
  return a.dtype == Dtype::f64;
}

template <int I>
void unary(const MapArgs& a) {
  drive(a, inner().unary[real(a)][I], 0, 0);
}
template <int I>
void unary_vjp(const MapArgs& a) {
  drive(a, inner().unary_vjp[real(a)][I], 0, 0);
}
template <int I>
void binary(const MapArgs& a) {
  drive(a, inner().binary[real(a)][I], 0, 0);
}
template <int I>
void binary_left(const MapArgs& a) {
  drive(a, inner().binary_left[real(a)][I], 0, 0);
}
template <int I>
void binary_right(const MapArgs& a) {
  drive(a, inner().binary_right[real(a)][I], 0, 0);
}
template <int I>
void compare_map(const MapArgs& a) {
  drive(a, inner().compare[real(a)][I], 0, 1);
}
void select_map(const MapArgs& a) { drive(a, inner().select[real(a)], 1, 0); }

template <int... U, int... B, int... C>
MapTable make_table(std::integer_sequence<int, U...>, std::integer_sequence<int, B...>, std::integer_sequence<int, C...>) {
  return {{unary<U>...}, {unary_vjp<U>...}, {binary<B>...}, {binary_left<B>...}, {binary_right<B>...}, {compare_map<C>...}, select_map};
}

}  // namespace

const MapTable& cpu_map_table() {
  static const MapTable table =
      make_table(std::make_integer_sequence<int, MapTable::unary_count>{}, std::make_integer_sequence<int, MapTable::binary_count>{},
                 std::make_integer_sequence<int, MapTable::compare_count>{});
  return table;
}

}  // namespace sono::kernels
