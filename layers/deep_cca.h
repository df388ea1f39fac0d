#pragma once
// Canonical correlation: what two views of the same cases have in common, linear and through networks.
//
//   DeepCca net({.in1 = 40, .in2 = 40, .hidden = {64}, .out = 5});
//   auto [h1, h2] = net(x1, x2);                        // (N, 5) each
//   backward(-canonical_correlation(h1, h2));           // the trace norm: all canonical correlations, summed
//   LinearCca cca;  cca.fit(h1, h2, {.components = 5});  auto [p1, p2] = cca.transform(h1, h2);
#include "layers/autoencoder.h"

namespace sono {

struct CanonicalCorrelationOptions {
  double r1 = 1e-4, r2 = 1e-4;  // added to the diagonals of the views' covariances
  int64_t top_k = 0;            // only the k largest correlations; 0: all
};

// The sum of the canonical correlations of h1 (N, d1) and h2 (N, d2): of the singular values of
//   T = S11^(-1/2) S12 S22^(-1/2),  Sij = Hi^T Hj / (N - 1) (+ ri I if i = j),  Hi = hi without its mean over the samples,
// the trace norm of T [Andrew et al., ICML 2013] (not its Frobenius norm). With T = U D V^T its gradient is
//   dc/dh1 = (H1 2 G11 + H2 G12^T) / (N - 1),  G12 = S11^(-1/2) U V^T S22^(-1/2),  G11 = -1/2 S11^(-1/2) U D U^T S11^(-1/2),
// and with the views exchanged for h2; top_k keeps the first k columns of U and V. Computed in f64; the result has the inputs' dtype and no
// second derivative (Error). Errors: fewer than two samples, other counts of samples, top_k above min(d1, d2), covariances that are
// not positive definite (raise r1, r2), NaN or infinite values.
Tensor canonical_correlation(const Tensor& h1, const Tensor& h2, const CanonicalCorrelationOptions& options = {});

// All canonical correlations, falling: (min(d1, d2)) f64, no gradient.
Tensor canonical_correlations(const Tensor& h1, const Tensor& h2, const CanonicalCorrelationOptions& options = {});

// Linear CCA [Hotelling 1936]: directions of both views, with which the projections are correlated most, each uncorrelated with those
// before and of variance 1 on the training samples (as far as r1 and r2 leave it).
struct LinearCcaOptions {
  int64_t components = 0;  // 0: min(d1, d2)
  double r1 = 1e-4, r2 = 1e-4;
};
class LinearCca {
 public:
  void fit(const Tensor& x1, const Tensor& x2, const LinearCcaOptions& options = {});
  std::pair<Tensor, Tensor> transform(const Tensor& x1, const Tensor& x2) const;  // (N, components) each, of the inputs' dtype
  Tensor transform1(const Tensor& x1) const;
  Tensor transform2(const Tensor& x2) const;
  const Tensor& correlations() const { return correlations_; }  // (components) f64
  State state() const;
  void load(const State& state);

 private:
  Tensor mean1_, mean2_, direction1_, direction2_, correlations_;
};

struct DeepCcaOptions {
  int64_t in1 = 1, in2 = 1;
  std::vector<int64_t> hidden = {};  // widths of the hidden layers of both networks
  int64_t out = 1;
  UnitType units = UnitType::sigmoid;  // of the hidden layers; the outputs are linear
};

// Two networks, one per view. Paths: view1.0.weight …, view2.0.weight …
class DeepCca : public Module {
 public:
  using Options = DeepCcaOptions;
  explicit DeepCca(const Options& options) : DeepCca(nullptr, "", options) {}
  DeepCca(Module* parent, std::string name, const Options& options);
  std::pair<Tensor, Tensor> operator()(const Tensor& x1, const Tensor& x2) const { return {view1(x1), view2(x2)}; }
  const char* kind() const override { return "DeepCca"; }

  Sequential view1, view2;
};

}  // namespace sono
