#pragma once
// Deep polynomial networks: each layer's units are products of the units below, chosen and made orthogonal on the training samples by
// linear algebra. No gradients, no starting values: the same samples give the same network [Livni, Shalev-Shwartz, Shamir, "An algorithm
// for training polynomial networks", arXiv:1304.7045, 2014].
//
//   DeepPolynomial network({.degree = 3, .width = 50});
//   network.fit(x, labels);                    // (N, d); (N) i32
//   Tensor features = network.features(test);  // (M, columns): for an SVM; network.layers(test): one kernel per layer, for MKL
//   write_safetensors("dpn.safetensors", network.state());
#include <memory>

#include "layers/module.h"

namespace sono {

struct DeepPolynomialOptions {
  int64_t degree = 2;       // layers; units of layer t are polynomials of degree t of the inputs
  int64_t first = 0;        // units of layer 1: the leading principal directions; 0: all that the inputs have
  int64_t width = 0;        // units of each further layer at most; 0: all products that are independent
  double tolerance = 1e-6;  // a product of whose norm less than this part is new counts as dependent and is left out
  double ridge = 1e-3;      // of the output layer
};

// x (N, d) is standardised: mean 0 and deviation 1 on the training samples.
//   F1 = sqrt(N) U, U the leading left singular vectors of x; with them goes the constant 1.
//   Layer t: the products F(t-1)_i * F1_j, made orthogonal to all units so far and scaled to mean square 1. The next unit is the product
//   whose new part explains most of what is left of the targets; without targets or without a width, the one whose new part is largest.
//   Output: predict(x) = w0 + sum of w_k F_k, w0 the targets' mean, w_k = (F_k^T targets / N) / (1 + ridge): ridge regression, as the units
//   are orthogonal. Classes: one column each, 1 for samples of the class and 0 for the others; the largest value says which.
// For new samples the products, their coefficients and scales are replayed.
// Errors, in one line each: NaN or infinite values, an input that does not vary, one class only, targets that do not belong to x, and fewer
// samples than units of layer 1 and the constant (set `first`).
class DeepPolynomial {
 public:
  using Options = DeepPolynomialOptions;
  explicit DeepPolynomial(const Options& options = Options());
  ~DeepPolynomial();
  DeepPolynomial(DeepPolynomial&&) noexcept;
  DeepPolynomial& operator=(DeepPolynomial&&) noexcept;

  // targets: (N) i32 classes 0 … K-1, (N, K) f32 or f64 values, or an empty handle: units are chosen without them and there is no output.
  void fit(const Tensor& x, const Tensor& targets = {});
  bool fitted() const;

  // All of the dtype of x; x (M, d).
  Tensor features(const Tensor& x) const;             // (M, columns): all layers side by side, without the constant
  std::vector<Tensor> layers(const Tensor& x) const;  // (M, columns of layer t), t = 1 … degree; layers that found nothing new are left out
  Tensor predict(const Tensor& x) const;              // (M, K): the output layer

  int64_t inputs() const;
  int64_t columns() const;              // of features()
  std::vector<int64_t> widths() const;  // units of each layer

  State state() const;            // all that predict needs, as f64 and i32 tensors
  void load(const State& state);  // replaces this network; ShapeError: not such a state

 private:
  struct Model;
  const Model& model() const;  // Error: not fitted
  Options options_;
  std::unique_ptr<Model> model_;
};

// Networks on top of each other [Shi et al., Neurocomputing 194, 2016]: the features of all layers of one are the inputs of the next,
// reduced to its `first` principal directions. Features that do not vary are left out.
class StackedDeepPolynomial {
 public:
  explicit StackedDeepPolynomial(std::vector<DeepPolynomialOptions> networks = {{}, {}});
  void fit(const Tensor& x, const Tensor& targets = {});
  Tensor features(const Tensor& x) const;             // of the last network
  std::vector<Tensor> layers(const Tensor& x) const;  // of the last network
  Tensor predict(const Tensor& x) const;
  size_t size() const { return networks_.size(); }
  int64_t columns() const;  // of features()
  const DeepPolynomial& operator[](size_t i) const { return networks_.at(i); }
  State state() const;  // "0/…", "1/…" …
  void load(const State& state);

 private:
  Tensor below(const Tensor& x) const;  // the last network's input
  std::vector<DeepPolynomialOptions> options_;
  std::vector<DeepPolynomial> networks_;
  std::vector<Tensor> inputs_;  // (columns) i32: which features of the network below are taken; one less than the networks
};

}  // namespace sono
