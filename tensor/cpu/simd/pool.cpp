// Pooling of a row of windows. All channels of a pixel are contiguous, so a window is a handful of vector loads and compares.
#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {
namespace {

// Calls f<P, Far>(w): P the number of positions of a window where it is a common one, else 0: w.positions. Far: the image is not in the
// cache. w goes by value: what a lambda refers to would be read again after every store.
template <class F>
inline auto with_form(const Windows& w, F f) {
  const auto with_positions = [&]<bool Far>() {
    return w.positions == 4   ? f.template operator()<4, Far>(w)
           : w.positions == 8 ? f.template operator()<8, Far>(w)
                              : f.template operator()<0, Far>(w);
  };
  if (!w.ahead) return with_positions.template operator()<false>();
  struct Done {
    ~Done() { stores_done(); }
  } done;
  return with_positions.template operator()<true>();
}

// Collects whether every lane has been seen; whole vectors without leaving the registers.
struct All {
  IntVec missing{};
  bool found = true;
  template <int L>
  void take(typename VectorOf<L>::Int seen) {
    if constexpr (L == lanes)
      missing |= ~seen;
    else
      for (int l = 0; l < L; l++) found &= seen[l] != 0;
  }
  bool result() {
    for (int l = 0; l < lanes; l++) found &= missing[l] == 0;
    return found;
  }
};

// Values alone, the same ones.
template <int Positions, bool Far>
void max_values(const Windows w, const float* x, float* y) {
  const int64_t positions = Positions ? Positions : w.positions;
  for (int64_t j = 0; j < w.pixels; j++)
    for_each_vector(w.channels, [&]<int L>(int64_t c) {
      using F = typename VectorOf<L>::Float;
      F best = load_ahead<Far, F>(x + (w.at[0] + j * w.step) * w.channels + c, w.ahead);
#pragma GCC unroll 4
      for (int64_t p = 1; p < positions; p++) {
        const F value = load_ahead<Far, F>(x + (w.at[p] + j * w.step) * w.channels + c, w.ahead);
        best = ((value > best) | (value != value)) ? value : best;
      }
      store_past_if<Far>(w.past, y + j * w.channels + c, best);
    });
}

}  // namespace

void max_pool_row(const Windows& w, const float* x, float* y, int32_t* index) {
  if (!index) return with_form(w, [&]<int P, bool Far>(const Windows& v) { max_values<P, Far>(v, x, y); });
  with_form(w, [&]<int P, bool Far>(const Windows w) {
    const int64_t positions = P ? P : w.positions;
    for (int64_t j = 0; j < w.pixels; j++)
      for_each_vector(w.channels, [&]<int L>(int64_t c) {
        using F = typename VectorOf<L>::Float;
        using I = typename VectorOf<L>::Int;
        F best = load_ahead<Far, F>(x + (w.at[0] + j * w.step) * w.channels + c, w.ahead);
        I where = static_cast<int32_t>(w.at[0] + j * w.step) - I{};
#pragma GCC unroll 8
        for (int64_t p = 1; p < positions; p++) {
          const int64_t at = w.at[p] + j * w.step;
          const F value = load_ahead<Far, F>(x + at * w.channels + c, w.ahead);
          const I take = (value > best) | ((value != value) & (best == best));
          best = take ? value : best;
          where = take ? static_cast<int32_t>(at) - I{} : where;
        }
        store_past_if<Far>(w.past, y + j * w.channels + c, best);
        store_past_if<Far>(w.past, index + j * w.channels + c, where);
      });
  });
}

bool max_pool_at_row(const Windows& w, const float* x, float* y, const int32_t* index) {
  return with_form(w, [&]<int P, bool Far>(const Windows w) {
    const int64_t positions = P ? P : w.positions;
    All all;
    for (int64_t j = 0; j < w.pixels; j++)
      for_each_vector(w.channels, [&]<int L>(int64_t c) {
        using F = typename VectorOf<L>::Float;
        using I = typename VectorOf<L>::Int;
        const I where = load<I>(index + j * w.channels + c);
        F value{};
        I seen{};
#pragma GCC unroll 8
        for (int64_t p = 0; p < positions; p++) {
          const int64_t at = w.at[p] + j * w.step;
          const I here = where == static_cast<int32_t>(at) - I{};
          value = here ? load_ahead<Far, F>(x + at * w.channels + c, w.ahead) : value;
          seen |= here;
        }
        store_past_if<Far>(w.past, y + j * w.channels + c, value);
        all.template take<L>(seen);
      });
    return all.result();
  });
}

bool max_unpool_row(const Windows& w, float* x, const float* y, const int32_t* index) {
  return with_form(w, [&]<int P, bool Far>(const Windows w) {
    const int64_t positions = P ? P : w.positions;
    All all;
    for (int64_t j = 0; j < w.pixels; j++)
      for_each_vector(w.channels, [&]<int L>(int64_t c) {
        using F = typename VectorOf<L>::Float;
        using I = typename VectorOf<L>::Int;
        const F value = load<F>(y + j * w.channels + c);
        const I where = load<I>(index + j * w.channels + c);
        I seen{};
#pragma GCC unroll 8
        for (int64_t p = 0; p < positions; p++) {
          const int64_t at = w.at[p] + j * w.step;
          const I here = where == static_cast<int32_t>(at) - I{};
          store_past_if<Far, F>(w.past, x + at * w.channels + c, here ? value : F{});
          seen |= here;
        }
        all.template take<L>(seen);
      });
    return all.result();
  });
}

void avg_pool_row(const Windows& w, const float* x, float* y, float scale) {
  with_form(w, [&]<int P, bool Far>(const Windows w) {
    for (int64_t j = 0; j < w.pixels; j++)
      for_each_vector(w.channels, [&]<int L>(int64_t c) {
        using F = typename VectorOf<L>::Float;
        const auto value = [&](int64_t p) { return load_ahead<Far, F>(x + (w.at[p] + j * w.step) * w.channels + c, w.ahead); };
        F total{};
        if constexpr (P > 0) {
          F sum[2] = {value(0), value(1)};
#pragma GCC unroll 8
          for (int p = 2; p < P; p++) sum[p & 1] += value(p);
          total = sum[0] + sum[1];
        } else {
          for (int64_t first = 0; first < w.positions; first += 256) {  // blocks: the error of long sums grows with their length
            F sum[4] = {};
            for (int64_t p = first; p < smaller(w.positions, first + 256); p++) sum[p & 3] += value(p);
            total += (sum[0] + sum[1]) + (sum[2] + sum[3]);
          }
        }
        store_past_if<Far, F>(w.past, y + j * w.channels + c, total * scale);
      });
  });
}

void avg_unpool_row(const Windows& w, float* x, const float* y, float scale) {
  with_form(w, [&]<int P, bool Far>(const Windows w) {
    const int64_t positions = P ? P : w.positions;
    for (int64_t j = 0; j < w.pixels; j++)
      for_each_vector(w.channels, [&]<int L>(int64_t c) {
        using F = typename VectorOf<L>::Float;
        const F value = load<F>(y + j * w.channels + c) * scale;
#pragma GCC unroll 8
        for (int64_t p = 0; p < positions; p++) store_past_if<Far>(w.past, x + (w.at[p] + j * w.step) * w.channels + c, value);
      });
  });
}

}  // namespace sono::cpu::SONO_ISA
