#pragma once
// What the tests of energy-based learning share: small data, digits, distances, bits.
#include <cstring>

#include "autograd/ops.h"
#include "layers/module.h"
#include "tensor/files.h"
#include "tensor/random.h"

namespace sono::tests {

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() && std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())) == 0;
}

inline std::vector<float> bits_of(const Module& module) {
  std::vector<float> all;
  for (const auto& [path, t] : module.state())
    for (const float v : t.to_vector<float>()) all.push_back(v);
  return all;
}

// All parameters normal, mean 0.
inline void randomise(Module& module, double deviation, Dtype dtype = Dtype::f64) {
  module.to(dtype);
  uint64_t stream = 50;
  for (const auto& e : module.parameters()) e.value->detach().copy_from(random_normal(e.value->shape(), 3, stream++, 0, deviation, dtype));
}

inline double largest(const Tensor& t) { return max(abs(t.detach())).item(); }

inline double fraction_right(const Tensor& logits, const Tensor& labels) {
  const Tensor guess = argmax(logits);
  double right = 0;
  for (int64_t i = 0; i < labels.size(); i++) right += guess.data<int32_t>()[i] == labels.data<int32_t>()[i];
  return right / static_cast<double>(labels.size());
}

// All bars or all stripes of a 2 x 2 … n x n image [MacKay 2003]: 2^(n + 1) rows of n^2 pixels, the empty and the full one twice.
inline Tensor bars_and_stripes(int64_t n, Dtype dtype = Dtype::f32) {
  Tensor x({int64_t{2} << n, n * n}, Dtype::f32);
  for (int64_t s = 0; s < int64_t{1} << n; s++)
    for (int64_t i = 0; i < n * n; i++) {
      x.data<float>()[2 * s * n * n + i] = static_cast<float>(s >> (i / n) & 1);
      x.data<float>()[(2 * s + 1) * n * n + i] = static_cast<float>(s >> (i % n) & 1);
    }
  return x.to(dtype);
}

// scikit-learn's 8 x 8 digits (tests/data/digits.py): pixels in [0, 1], labels; every fifth row is held out.
struct Digits {
  Tensor train, train_labels, test, test_labels;
  Digits() {
    const TensorFile file = read_safetensors(SONO_SOURCE_DIR "/tests/data/digits.safetensors");
    const Tensor images = file.tensors[0].second.to(Dtype::f32) / 16.0, labels = file.tensors[1].second.to(Dtype::i32);
    std::vector<int32_t> kept, held;
    for (int32_t i = 0; i < static_cast<int32_t>(images.dim(0)); i++) (i % 5 == 4 ? held : kept).push_back(i);
    const auto rows = [](const std::vector<int32_t>& some) { return Tensor::from({static_cast<int64_t>(some.size())}, some); };
    const auto pick = [&](const std::vector<int32_t>& some) {
      std::vector<int32_t> values;
      for (const int32_t i : some) values.push_back(labels.data<int32_t>()[i]);
      return Tensor::from({static_cast<int64_t>(values.size())}, values);
    };
    train = take(images, rows(kept)), test = take(images, rows(held)), train_labels = pick(kept), test_labels = pick(held);
  }
};

}  // namespace sono::tests
