#include "layers/autoencoder.h"

#include <algorithm>
#include <cmath>

#include "layers/init.h"
#include "layers/loss.h"

namespace sono {
namespace {

const std::vector<int64_t>& checked(const char* kind, const std::vector<int64_t>& widths) {
  if (widths.size() < 2) throw ShapeError(std::string("[") + kind + "] widths needs at least two values: the input's and the code's");
  return widths;
}

template <class Options>
UnitType code_units(const Options& o) {
  return o.code.value_or(o.hidden);
}

std::string description(const std::vector<int64_t>& widths, bool tied) {
  std::string text;
  for (const int64_t w : widths) text += (text.empty() ? "" : " -> ") + std::to_string(w);
  return text + (tied ? ", tied" : "");
}

// The layers of one type, in order.
template <class T>
std::vector<const T*> layers_in(const Sequential& net) {
  std::vector<const T*> all;
  for (size_t i = 0; i < net.size(); i++)
    if (const auto* layer = dynamic_cast<const T*>(&net[i])) all.push_back(layer);
  return all;
}

// Weights as they are elsewhere, dtype and device too.
template <class Layer>
void copy_into(Layer& layer, const Tensor& weight, const Tensor& bias) {
  layer.to(weight.dtype());
  layer.to(weight.device());
  layer.weight.detach().copy_from(weight.detach());
  layer.bias.detach().copy_from(bias.detach());
}

}  // namespace

void append_units(Sequential& net, UnitType units) {
  if (units == UnitType::sigmoid) net.append<Sigmoid>();
  if (units == UnitType::tanh) net.append<Tanh>();
  if (units == UnitType::relu) net.append<Relu>();
}

// ---- dense -----------------------------------------------------------------------------------------------------------------------------
Autoencoder::Autoencoder(Module* parent, std::string name, const Options& o)
    : Module(parent, std::move(name)), encoder(this, "encoder"), decoder(this, "decoder"), options_(o) {
  const std::vector<int64_t>& widths = checked("Autoencoder", o.widths);
  std::vector<const Linear*> layers;
  for (size_t i = 1; i < widths.size(); i++) {
    layers.push_back(&encoder.append<Linear>({.in = widths[i - 1], .out = widths[i]}));
    append_units(encoder, i + 1 < widths.size() ? o.hidden : code_units(o));
  }
  for (size_t i = widths.size(); i-- > 1;) {
    if (o.tied)
      decoder.append<TiedLinear>(*layers[i - 1]);
    else
      decoder.append<Linear>({.in = widths[i], .out = widths[i - 1]});
    if (i > 1) append_units(decoder, o.hidden);
  }
}

Tensor Autoencoder::encode(const Tensor& x) const {
  const Scope scope(*this);
  return encoder(x);
}
Tensor Autoencoder::decode(const Tensor& code) const {
  const Scope scope(*this);
  return decoder(code);
}

void Autoencoder::append_encoder(Sequential& net) const {
  const auto from = layers_in<Linear>(encoder);
  for (size_t i = 0; i < from.size(); i++) {
    copy_into(net.append<Linear>({.in = options_.widths[i], .out = options_.widths[i + 1]}), from[i]->weight, from[i]->bias);
    append_units(net, i + 1 < from.size() ? options_.hidden : code_units(options_));
  }
}

void Autoencoder::append_decoder(Sequential& net) const {
  const auto up = layers_in<Linear>(encoder), down = layers_in<Linear>(decoder);
  const auto tied = layers_in<TiedLinear>(decoder);
  for (size_t i = up.size(); i-- > 0;) {
    const size_t k = up.size() - 1 - i;  // its place in the decoder
    const NoGrad plain;
    copy_into(net.append<Linear>({.in = options_.widths[i + 1], .out = options_.widths[i]}),
              options_.tied ? transpose(up[i]->weight) : down[k]->weight, options_.tied ? tied[k]->bias : down[k]->bias);
    if (i > 0) append_units(net, options_.hidden);
  }
}

std::string Autoencoder::describe() const { return description(options_.widths, options_.tied); }

TiedLinear::TiedLinear(Module* parent, std::string name, const Linear& encoder) : Module(parent, std::move(name)), encoder_(encoder) {
  parameter("bias", bias, Tensor({encoder.weight.dim(0)}));
  const double bound = 1 / std::sqrt(static_cast<double>(encoder.weight.dim(1)));  // as a Linear of this size
  init::uniform(bias, -bound, bound);
}
Tensor TiedLinear::operator()(const Tensor& x) const {
  const Scope scope(*this);
  return matmul(x, encoder_.weight, false, true) + bias;
}
std::string TiedLinear::describe() const {
  return std::to_string(encoder_.weight.dim(1)) + " -> " + std::to_string(encoder_.weight.dim(0)) + ", the encoder's weight";
}

// ---- convolutional
// -----------------------------------------------------------------------------------------------------------------------
namespace {

// Of the encoder's layer i = 0 …, and of its mirror.
ConvLayout layout_up(const ConvAutoencoderOptions& o, size_t i) {
  return {.in = o.widths[i], .out = o.widths[i + 1], .kernel = o.kernel, .stride = o.stride, .padding = o.kernel / 2};
}
ConvTransposeLayout layout_down(const ConvAutoencoderOptions& o, size_t i) {  // output_padding: sizes that the stride divides come back
  return {.in = o.widths[i + 1],
          .out = o.widths[i],
          .kernel = o.kernel,
          .stride = o.stride,
          .padding = o.kernel / 2,
          .output_padding = o.stride - 1};
}

}  // namespace

ConvAutoencoder::ConvAutoencoder(Module* parent, std::string name, const Options& o)
    : Module(parent, std::move(name)), encoder(this, "encoder"), decoder(this, "decoder"), options_(o) {
  const size_t count = checked("ConvAutoencoder", o.widths).size() - 1;
  if (o.kernel < 1 || o.kernel % 2 == 0 || o.stride < 1 || o.stride > o.kernel)
    throw ShapeError("[ConvAutoencoder] kernel must be odd and stride from 1 to kernel, got " + std::to_string(o.kernel) + " and " +
                     std::to_string(o.stride));
  std::vector<const Conv*> layers;
  for (size_t i = 0; i < count; i++) {
    layers.push_back(&encoder.append<Conv>(o.dimensions, layout_up(o, i)));
    append_units(encoder, i + 1 < count ? o.hidden : code_units(o));
  }
  for (size_t i = count; i-- > 0;) {
    if (o.tied)
      decoder.append<TiedConvTranspose>(*layers[i], layout_down(o, i));
    else
      decoder.append<ConvTranspose>(o.dimensions, layout_down(o, i));
    if (i > 0) append_units(decoder, o.hidden);
  }
}

void ConvAutoencoder::append_encoder(Sequential& net) const {
  const auto from = layers_in<Conv>(encoder);
  for (size_t i = 0; i < from.size(); i++) {
    copy_into(net.append<Conv>(options_.dimensions, layout_up(options_, i)), from[i]->weight, from[i]->bias);
    append_units(net, i + 1 < from.size() ? options_.hidden : code_units(options_));
  }
}

void ConvAutoencoder::append_decoder(Sequential& net) const {
  const auto up = layers_in<Conv>(encoder);
  const auto down = layers_in<ConvTranspose>(decoder);
  const auto tied = layers_in<TiedConvTranspose>(decoder);
  for (size_t i = up.size(); i-- > 0;) {
    const size_t k = up.size() - 1 - i;
    copy_into(net.append<ConvTranspose>(options_.dimensions, layout_down(options_, i)), options_.tied ? up[i]->weight : down[k]->weight,
              options_.tied ? tied[k]->bias : down[k]->bias);
    if (i > 0) append_units(net, options_.hidden);
  }
}

Tensor ConvAutoencoder::encode(const Tensor& x) const {
  const Scope scope(*this);
  int64_t step = 1;
  for (size_t i = 1; i < options_.widths.size(); i++) step *= options_.stride;
  bool fits = x.rank() == options_.dimensions + 2 && x.dim(-1) == options_.widths.front();
  for (int64_t d = 1; fits && d + 1 < x.rank(); d++) fits = x.dim(d) % step == 0;
  if (!fits)
    throw ShapeError("[ConvAutoencoder] expected " + std::to_string(options_.dimensions + 2) + " dimensions (N, …, " +
                     std::to_string(options_.widths.front()) + ") with sizes that " + std::to_string(step) + " divides, got " +
                     to_string(x.shape()) + "; crop or pad the images");
  return encoder(x);
}
Tensor ConvAutoencoder::decode(const Tensor& code) const {
  const Scope scope(*this);
  return decoder(code);
}
std::string ConvAutoencoder::describe() const { return description(options_.widths, options_.tied); }

TiedConvTranspose::TiedConvTranspose(Module* parent, std::string name, const Conv& encoder, const ConvTransposeLayout& layout)
    : Module(parent, std::move(name)), encoder_(encoder), layout_(layout) {
  parameter("bias", bias, Tensor({layout.out}));
  const double bound = 1 / std::sqrt(static_cast<double>(init::fan_out(encoder.weight.shape())));
  init::uniform(bias, -bound, bound);
}
Tensor TiedConvTranspose::operator()(const Tensor& x) const {
  const Scope scope(*this);
  return conv_transpose(x, encoder_.weight, bias, {.stride = layout_.stride, .padding = layout_.padding}, layout_.output_padding);
}

// ---- penalties
// ---------------------------------------------------------------------------------------------------------------------------
Tensor kl_sparsity(const Tensor& code, double target) {
  if (!(target > 0 && target < 1)) throw Error("[kl_sparsity] the target must lie in (0, 1), got " + std::to_string(target));
  if (code.rank() < 2 || code.size() == 0)
    throw ShapeError("[kl_sparsity] expected codes (N, …, units) of at least one sample, got " + to_string(code.shape()));
  const Tensor rho = mean(reshape(code, {-1, code.dim(-1)}), {0});
  const double least = min(rho.detach()).item(), most = max(rho.detach()).item();
  if (!(least >= 0 && most <= 1))
    throw Error("[kl_sparsity] a unit's mean must lie in [0, 1], got " + std::to_string(least < 0 ? least : most) +
                "; use sigmoid units, or the L1 penalty");
  const Tensor inside = clamp(rho, 1e-6, 1 - 1e-6);
  const double entropy = target * std::log(target) + (1 - target) * std::log(1 - target);
  return sum(entropy - target * log(inside) - (1 - target) * log1p(-inside));
}

Tensor l1_sparsity(const Tensor& code) {
  if (code.rank() < 1 || code.dim(0) == 0)
    throw ShapeError("[l1_sparsity] expected codes (N, …) of at least one sample, got " + to_string(code.shape()));
  return sum(abs(code)) / static_cast<double>(code.dim(0));
}

namespace {

// s'(a) told from h = s(a).
Tensor slope(const Tensor& h, UnitType units) {
  switch (units) {
    case UnitType::sigmoid:
      return h * (1.0 - h);
    case UnitType::tanh:
      return 1.0 - square(h);
    case UnitType::relu:
      return (h > 0.0).to(h.dtype());
    case UnitType::linear:
      break;
  }
  return Tensor::ones(h.shape(), h.dtype(), h.device());
}

}  // namespace

Tensor contractive_penalty(const Tensor& code, const Tensor& weight, UnitType units) {
  if (code.rank() != 2 || weight.rank() != 2 || code.dim(1) != weight.dim(1) || code.dim(0) == 0)
    throw ShapeError("[contractive_penalty] code " + to_string(code.shape()) + " (N, out) and weight " + to_string(weight.shape()) +
                     " (in, out) do not belong together");
  return sum(square(slope(code, units)) * sum(square(weight), {0})) / static_cast<double>(code.dim(0));
}

Tensor jacobian_penalty(const std::function<Tensor(const Tensor&)>& encode, const Tensor& x) {
  const bool train = recording();
  const Tensor input = wants_gradient(x) ? x : leaf(x);
  const Tensor code = encode(input);
  if (code.rank() < 1 || code.dim(0) != x.dim(0) || code.size() == 0)
    throw ShapeError("[jacobian_penalty] input " + to_string(x.shape()) + " gives a code " + to_string(code.shape()) +
                     "; expected one row for each sample");
  const Tensor rows = reshape(code, {code.dim(0), -1});
  Tensor total;
  for (int64_t j = 0; j < rows.dim(1); j++) {  // row j of every sample's Jacobian
    const Tensor row = grad(sum(slice(rows, 1, j, j + 1)), {input}, train)[0];
    total = total ? total + sum(square(row)) : sum(square(row));
  }
  return total / static_cast<double>(x.dim(0));
}

// ---- objective
// ---------------------------------------------------------------------------------------------------------------------------
namespace {

void check_targets(const Tensor& x) {
  const double least = min(x).item(), most = max(x).item();
  if (!(least >= 0 && most <= 1))
    throw Error("[reconstruction_loss] cross-entropy needs values in [0, 1], got " + std::to_string(least < 0 ? least : most) +
                "; scale the data, or use squared error with linear outputs");
}

}  // namespace

Tensor reconstruction_loss(const Tensor& y, const Tensor& x, UnitType output, ReconstructionLoss kind) {
  const double samples = static_cast<double>(x.dim(0));
  if (kind == ReconstructionLoss::automatic)
    kind = output == UnitType::sigmoid ? ReconstructionLoss::cross_entropy : ReconstructionLoss::squared_error;
  if (kind == ReconstructionLoss::squared_error) return mse_loss(apply(output, y), x, Average::sum) / samples;
  if (output != UnitType::sigmoid)
    throw Error(std::string("[reconstruction_loss] cross-entropy needs sigmoid outputs, these are ") + to_string(output));
  check_targets(x);
  return binary_cross_entropy(y, x, {.average = Average::sum}) / samples;
}

namespace {

Tensor contraction(const Autoencoder& coder, const Tensor& code, const Tensor& x) {
  const auto& o = coder.options();
  if (o.widths.size() == 2) return contractive_penalty(code, static_cast<const Linear&>(coder.encoder[0]).weight, code_units(o));
  return jacobian_penalty([&](const Tensor& v) { return coder.encode(v); }, x);
}
Tensor contraction(const ConvAutoencoder& coder, const Tensor&, const Tensor& x) {
  return jacobian_penalty([&](const Tensor& v) { return coder.encode(v); }, x);
}

template <class Coder>
Tensor loss_of(const Coder& coder, const Tensor& x, const AutoencoderObjective& o, const NoiseKey& key) {
  if (x.rank() < 2 || x.dim(0) == 0)
    throw ShapeError("[autoencoder_loss] expected (N, …) of at least one sample, got " + to_string(x.shape()));
  if (o.kl < 0 || o.l1 < 0 || o.contractive < 0) throw Error("[autoencoder_loss] the penalties' weights must not be negative");
  const Tensor noisy = corrupt(x, o.corruption, key.seed, key.stream), code = coder.encode(noisy);
  Tensor loss = reconstruction_loss(coder.decode(code), x.detach(), coder.options().output, o.reconstruction);
  if (o.kl > 0) loss = loss + kl_sparsity(code, o.kl_target) * o.kl;
  if (o.l1 > 0) loss = loss + l1_sparsity(code) * o.l1;
  if (o.contractive > 0) loss = loss + contraction(coder, code, noisy) * o.contractive;
  return loss;
}

}  // namespace

Tensor autoencoder_loss(const Autoencoder& coder, const Tensor& x, const AutoencoderObjective& o, const NoiseKey& key) {
  return loss_of(coder, x, o, key);
}
Tensor autoencoder_loss(const ConvAutoencoder& coder, const Tensor& x, const AutoencoderObjective& o, const NoiseKey& key) {
  return loss_of(coder, x, o, key);
}

}  // namespace sono
