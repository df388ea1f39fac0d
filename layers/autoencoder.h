#pragma once
// Autoencoders: a code from which the input can be told, and what makes the code worth having.
//
//   Autoencoder coder({.widths = {784, 500}, .hidden = UnitType::sigmoid, .tied = true});
//   Tensor loss = autoencoder_loss(coder, x, {.corruption = {Noise::masking, 0.25}, .kl = 0.1}, {.seed = 1, .stream = step});
//   Tensor code = coder.encode(x);   // (N, 784) -> (N, 500)
#include "layers/activation.h"
#include "layers/conv.h"
#include "layers/corruption.h"
#include "layers/linear.h"
#include "layers/sequential.h"

namespace sono {

// Adds these units to the end of a network; nothing for linear ones.
void append_units(Sequential& net, UnitType units);

struct AutoencoderOptions {
  std::vector<int64_t> widths = {784, 500, 250};  // the input first, the code last
  UnitType hidden = UnitType::relu;               // of every layer but the output
  UnitType output = UnitType::sigmoid;            // of the reconstruction
  std::optional<UnitType> code = {};              // of the code, if it differs from `hidden` (linear in the paper)
  bool tied = false;                              // the decoder's weights are the encoder's, transposed; its biases are its own
};

// [Hinton and Salakhutdinov, Science 2006] encoder and, mirrored, decoder. x (N, in) -> (N, in) before the output's units: logits, if those
// are sigmoids. Paths: encoder.0.weight, encoder.2.weight …, decoder.0.weight …, as of PyTorch's Sequential (a layer and its units); tied:
// decoder.0.bias alone, and the encoder's weight gathers the gradients of both its uses. ShapeError: fewer than two widths.
class Autoencoder : public Module {
 public:
  using Options = AutoencoderOptions;
  explicit Autoencoder(const Options& options = {}) : Autoencoder(nullptr, "", options) {}
  Autoencoder(Module* parent, std::string name, const Options& options);
  Tensor operator()(const Tensor& x) const { return decode(encode(x)); }
  Tensor encode(const Tensor& x) const;
  Tensor decode(const Tensor& code) const;                                                  // before the output's units
  Tensor reconstruct(const Tensor& x) const { return apply(options_.output, (*this)(x)); }  // after them
  // Adds its layers to the end of another network, with copies of its weights (tied ones become free): from the input to the code, and from
  // the code to what stands before the output's units.
  void append_encoder(Sequential& net) const;
  void append_decoder(Sequential& net) const;
  const char* kind() const override { return "Autoencoder"; }
  std::string describe() const override;
  const Options& options() const { return options_; }

  Sequential encoder, decoder;

 private:
  Options options_;
};

struct ConvAutoencoderOptions {
  std::vector<int64_t> widths = {1, 16, 32};  // channels: the image's first, the code's last
  int64_t kernel = 3;                         // odd
  int64_t stride = 2;                         // of each layer: the code is stride^layers times smaller
  int64_t dimensions = 2;                     // 3: volumes; 1: sequences
  UnitType hidden = UnitType::relu, output = UnitType::sigmoid;
  std::optional<UnitType> code = {};
  bool tied = false;  // the decoder's convolutions are the adjoints of the encoder's [Masci et al., ICANN 2011]
};

// x (N, H, W, C) -> (N, H, W, C) before the output's units; the code is (N, H / stride^layers, W / stride^layers, widths.back()).
// Paths as Autoencoder. ShapeError: a size that stride^layers does not divide.
class ConvAutoencoder : public Module {
 public:
  using Options = ConvAutoencoderOptions;
  explicit ConvAutoencoder(const Options& options = {}) : ConvAutoencoder(nullptr, "", options) {}
  ConvAutoencoder(Module* parent, std::string name, const Options& options);
  Tensor operator()(const Tensor& x) const { return decode(encode(x)); }
  Tensor encode(const Tensor& x) const;
  Tensor decode(const Tensor& code) const;
  Tensor reconstruct(const Tensor& x) const { return apply(options_.output, (*this)(x)); }
  void append_encoder(Sequential& net) const;
  void append_decoder(Sequential& net) const;
  const char* kind() const override { return "ConvAutoencoder"; }
  std::string describe() const override;
  const Options& options() const { return options_; }

  Sequential encoder, decoder;

 private:
  Options options_;
};

// A layer with another layer's weight, used the other way round; the bias (in) is its own. x (N, out) -> (N, in).
class TiedLinear : public Module {
 public:
  TiedLinear(Module* parent, std::string name, const Linear& encoder);  // must outlive this
  Tensor operator()(const Tensor& x) const;                             // x weight^T + bias
  const char* kind() const override { return "TiedLinear"; }
  std::string describe() const override;

  Tensor bias;

 private:
  const Linear& encoder_;
};
class TiedConvTranspose : public Module {  // the adjoint of the encoder's convolution
 public:
  TiedConvTranspose(Module* parent, std::string name, const Conv& encoder, const ConvTransposeLayout& layout);
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "TiedConvTranspose"; }

  Tensor bias;

 private:
  const Conv& encoder_;
  ConvTransposeLayout layout_;
};

// ---- penalties on a code
// ---------------------------------------------------------------------------------------------------------------------------

// sum over units j of KL(target || rho_j) = target log(target / rho_j) + (1 - target) log((1 - target) / (1 - rho_j)), rho_j the unit's
// mean over the batch (and over space) [Lee et al., NIPS 2008; Ng, CS294A notes]. code (N, …, units) in [0, 1], sigmoids; rho is kept 1e-6
// away from 0 and 1. Error: a mean outside [0, 1] or a target outside (0, 1).
Tensor kl_sparsity(const Tensor& code, double target = 0.05);

// sum of |code| over all units, mean over the batch. code (N, …).
Tensor l1_sparsity(const Tensor& code);

// Squared Frobenius norm of the code's Jacobian, mean over the batch [Rifai et al., ICML 2011], of one dense layer code = s(x weight + b):
// sum over j of s'(a_j)^2 sum over i of weight_ij^2. s' is told from the code: sigmoid h (1 - h), tanh 1 - h^2, relu [h > 0], linear 1.
// code (N, out), weight (in, out).
Tensor contractive_penalty(const Tensor& code, const Tensor& weight, UnitType units);

// The same of any encoder, by differentiating it: one backward pass per value of the code, and one more in training. x (N, …),
// encode(x) (N, …), each row of it a function of that row of x alone (no batch norm in training).
Tensor jacobian_penalty(const std::function<Tensor(const Tensor&)>& encode, const Tensor& x);

// ---- what an autoencoder learns
// --------------------------------------------------------------------------------------------------------------------
enum class ReconstructionLoss : uint8_t {
  automatic,      // cross-entropy for sigmoid outputs, squared error for others
  cross_entropy,  // targets in [0, 1]; Error otherwise
  squared_error
};

// Of y, before the output's units, against the clean x: summed over the values of a sample, averaged over the batch.
Tensor reconstruction_loss(const Tensor& y, const Tensor& x, UnitType output, ReconstructionLoss kind = ReconstructionLoss::automatic);

struct AutoencoderObjective {
  Corruption corruption = {};
  ReconstructionLoss reconstruction = ReconstructionLoss::automatic;
  double kl = 0, kl_target = 0.05;  // weight of kl_sparsity (sigmoid codes), and its target
  double l1 = 0;                    // weight of l1_sparsity
  double contractive = 0;           // weight of contractive_penalty (one dense layer) or jacobian_penalty (the others)
};

// Noise is drawn from (seed, stream), the step's own.
struct NoiseKey {
  uint64_t seed = 0, stream = 0;
};

// The reconstruction's loss, plus the penalties. The target is x, clean.
Tensor autoencoder_loss(const Autoencoder& coder, const Tensor& x, const AutoencoderObjective& objective = {}, const NoiseKey& key = {});
Tensor autoencoder_loss(const ConvAutoencoder& coder, const Tensor& x, const AutoencoderObjective& objective = {},
                        const NoiseKey& key = {});

}  // namespace sono
