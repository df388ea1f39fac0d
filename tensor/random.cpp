#include "tensor/random.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>

#include "tensor/cpu/simd.h"
#include "tensor/parallel.h"

namespace sono {

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> c, std::array<uint32_t, 2> k) {
  for (int round = 0; round < 10; round++) {
    const uint64_t a = uint64_t{0xD2511F53} * c[0], b = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(b), static_cast<uint32_t>(a >> 32) ^ c[3] ^ k[1],
         static_cast<uint32_t>(a)};
    k = {k[0] + 0x9E3779B9, k[1] + 0xBB67AE85};
  }
  return c;
}

void philox_blocks(uint32_t (&out)[4][philox_lanes], uint64_t first, uint64_t stream, uint64_t seed) {
  cpu::simd().philox(first, stream, seed, out[0]);
}

namespace {

std::array<uint32_t, 4> draw(uint64_t seed, uint64_t stream, uint64_t counter) {
  return philox4x32({static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), static_cast<uint32_t>(stream),
                     static_cast<uint32_t>(stream >> 32)},
                    {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
}

uint64_t mix(uint64_t h) {
  h ^= h >> 33;
  h *= 0xFF51AFD7ED558CCDull;
  h ^= h >> 33;
  h *= 0xC4CEB9FE1A85EC53ull;
  return h ^ (h >> 33);
}

double unit(uint32_t u) { return u * 0x1p-32; }

// Two normal deviates from two uniform ones [Box and Muller 1958]; 1 - u lies in (0, 1].
std::array<double, 2> box_muller(uint32_t a, uint32_t b) {
  const double r = std::sqrt(-2 * std::log(1 - unit(a))), angle = 2 * 3.14159265358979323846 * unit(b);
  return {r * std::cos(angle), r * std::sin(angle)};
}

std::atomic<uint64_t> seed_of_program{0}, stream_of_program{0};

}  // namespace

uint64_t hash64(std::string_view bytes) {
  uint64_t h = 0xCBF29CE484222325ull;
  for (const char c : bytes) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001B3ull;
  return mix(h);
}

Random::Random(uint64_t seed, std::string_view purpose, uint64_t a, uint64_t b) : Random(seed, mix(mix(hash64(purpose) + a) + b)) {}

uint32_t Random::bits() {
  if (left_ == 0) {
    block_ = draw(seed_, stream_, counter_++);
    left_ = 4;
  }
  return block_[static_cast<size_t>(4 - left_--)];
}

void Random::bits(uint32_t* out, int64_t n) {
  for (; n > 0 && left_ > 0; n--) *out++ = bits();
  uint32_t words[4][philox_lanes];
  for (; n >= 4 * philox_lanes; n -= 4 * philox_lanes, counter_ += philox_lanes) {
    philox_blocks(words, counter_, stream_, seed_);
    for (int k = 0; k < philox_lanes; k++)
      for (int w = 0; w < 4; w++) *out++ = words[w][k];
  }
  for (; n > 0; n--) *out++ = bits();
}

double Random::uniform() { return unit(bits()); }

double Random::normal() {
  const uint32_t a = bits(), b = bits();
  return box_muller(a, b)[0];
}

// Lemire's multiplication with rejection of the uneven rest.
int64_t Random::below(int64_t n) {
  if (n <= 0) throw Error("[random] below() wants a positive bound, got " + std::to_string(n));
  const auto range = static_cast<uint64_t>(n);
  if (range > 0xFFFFFFFFull) return static_cast<int64_t>(((uint64_t{bits()} << 32) | bits()) % range);
  const uint32_t threshold = static_cast<uint32_t>(-static_cast<uint32_t>(range)) % static_cast<uint32_t>(range);
  while (true) {
    const uint64_t product = range * bits();
    if (static_cast<uint32_t>(product) >= threshold) return static_cast<int64_t>(product >> 32);
  }
}

double Random::gamma(double shape) {
  if (shape < 1) return gamma(shape + 1) * std::pow(1 - uniform(), 1 / shape);
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = normal(), v = std::pow(1 + c * x, 3);
    if (v > 0 && std::log(1 - uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

// Knuth's product for small means; above, a Poisson of mean m is split as Poisson(m/2) + Poisson(m/2).
int64_t Random::poisson(double mean) {
  if (mean > 30) {
    const int64_t first = poisson(mean / 2);
    return first + poisson(mean / 2);
  }
  int64_t n = 0;
  for (double p = 1 - uniform(), limit = std::exp(-mean); p > limit; p *= 1 - uniform()) n++;
  return n;
}

std::vector<int64_t> Random::permutation(int64_t n) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = n - 1; i > 0; i--) std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(below(i + 1))]);
  return order;
}

namespace {

// Values 4k … 4k+3 come from counter k: any chunk can start anywhere.
template <class F>
Tensor fill_blocks(Shape shape, Dtype dtype, uint64_t seed, uint64_t stream, F values_of) {
  Tensor t(std::move(shape), dtype);
  visit_real("random", dtype, [&]<class T> {
    T* out = t.data<T>();
    const int64_t n = t.size(), blocks = (n + 3) / 4;
    parallel_for(blocks, 4096, [&](int64_t first, int64_t last) {
      for (int64_t k = first; k < last; k++) {
        const std::array<double, 4> v = values_of(draw(seed, stream, static_cast<uint64_t>(k)));
        for (int64_t i = 0; i < 4 && 4 * k + i < n; i++) out[4 * k + i] = static_cast<T>(v[static_cast<size_t>(i)]);
      }
    });
  });
  return t;
}

}  // namespace

Tensor random_uniform(Shape shape, uint64_t seed, uint64_t stream, double low, double high, Dtype dtype) {
  return fill_blocks(std::move(shape), dtype, seed, stream, [=](const std::array<uint32_t, 4>& u) {
    return std::array<double, 4>{low + (high - low) * unit(u[0]), low + (high - low) * unit(u[1]), low + (high - low) * unit(u[2]),
                                 low + (high - low) * unit(u[3])};
  });
}

Tensor random_normal(Shape shape, uint64_t seed, uint64_t stream, double mean, double deviation, Dtype dtype) {
  return fill_blocks(std::move(shape), dtype, seed, stream, [=](const std::array<uint32_t, 4>& u) {
    const auto a = box_muller(u[0], u[1]), b = box_muller(u[2], u[3]);
    return std::array<double, 4>{mean + deviation * a[0], mean + deviation * a[1], mean + deviation * b[0], mean + deviation * b[1]};
  });
}

void random_bernoulli(const Tensor& probability, const Tensor& out, uint64_t seed, uint64_t stream) {
  if (probability.size() != out.size() || probability.dtype() != out.dtype())
    throw ShapeError("[random] probabilities " + to_string(probability.shape()) + " " + to_string(probability.dtype()) + " and draws " +
                     to_string(out.shape()) + " " + to_string(out.dtype()) + " differ");
  if (out.dtype() == Dtype::f32) {
    parallel_for(out.size(), 1 << 15, [&, p = probability.data<float>(), y = out.data<float>()](int64_t first, int64_t last) {
      cpu::simd().bernoulli(p + first, last - first, static_cast<uint64_t>(first), seed, stream, y + first);
    });
    return;
  }
  parallel_for(out.size(), 1 << 14, [&, p = probability.data<double>(), y = out.data<double>()](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i += 4) {
      const std::array<uint32_t, 4> u = draw(seed, stream, static_cast<uint64_t>(i / 4));
      for (int64_t j = i; j < std::min(i + 4, last); j++) y[j] = unit(u[static_cast<size_t>(j - i)]) < p[j] ? 1 : 0;
    }
  });
}

void set_seed(uint64_t seed) {
  seed_of_program = seed;
  stream_of_program = 0;
}
uint64_t global_seed() { return seed_of_program; }
uint64_t next_stream() { return stream_of_program++; }
void set_next_stream(uint64_t stream) { stream_of_program = stream; }

}  // namespace sono
