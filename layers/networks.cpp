#include "layers/networks.h"

#include "layers/activation.h"

namespace sono {
namespace {

const std::vector<int64_t>& checked(const char* kind, const std::vector<int64_t>& widths) {
  if (widths.empty()) throw Error(std::string("[") + kind + "] widths is empty: name the channels of at least one level");
  return widths;
}

}  // namespace

UNet::UNet(Module* parent, std::string name, const Options& o)
    : Module(parent, std::move(name)),
      encoder(this, "encoder"),
      decoder(this, "decoder"),
      head(this, "head", {.in = checked("UNet", o.widths).front(), .out = o.out, .kernel = 1}) {
  for (size_t i = 0; i < o.widths.size(); i++) encoder.append({.in = i ? o.widths[i - 1] : o.in, .out = o.widths[i]});
  for (size_t i = o.widths.size() - 1; i-- > 0;) decoder.append({.in = o.widths[i + 1], .skip = o.widths[i], .out = o.widths[i]});
}

std::vector<Tensor> UNet::encode(const Tensor& x) const {
  const int64_t least = int64_t{1} << (encoder.size() - 1);
  if (x.rank() != 4 || x.dim(1) < least || x.dim(2) < least)
    throw ShapeError("[UNet] expected (N, H, W, C) with H and W of at least " + std::to_string(least) + ", got " + to_string(x.shape()));
  std::vector<Tensor> levels;
  Tensor down = x;
  for (size_t i = 0; i + 1 < encoder.size(); i++) {
    auto [level, pooled] = encoder[i].with_pooled(down);
    levels.push_back(std::move(level)), down = std::move(pooled);
  }
  levels.push_back(encoder[encoder.size() - 1](down));
  return levels;
}

Tensor UNet::operator()(const Tensor& x) const {
  const Scope scope(*this);
  const std::vector<Tensor> levels = encode(x);
  Tensor y = levels.back();
  for (size_t i = 0; i < decoder.size(); i++) y = decoder[i](y, levels[levels.size() - 2 - i]);
  return head(y);
}

ResNetSmall::ResNetSmall(Module* parent, std::string name, const Options& o)
    : Module(parent, std::move(name)),
      conv1(this, "conv1", {.in = o.in, .out = checked("ResNetSmall", o.widths).front(), .stride = 2, .padding = 1, .bias = false}),
      bn1(this, "bn1", {.channels = o.widths.front(), .relu = true}),
      stages(build(o)),
      fc(this, "fc", {.in = o.widths.back(), .out = o.classes}) {}

std::vector<std::unique_ptr<Sequential>> ResNetSmall::build(const Options& o) {
  if (o.blocks < 1) throw Error("[ResNetSmall] blocks must be at least 1, got " + std::to_string(o.blocks));
  std::vector<std::unique_ptr<Sequential>> all;
  int64_t channels = o.widths.front();
  for (size_t s = 0; s < o.widths.size(); s++) {
    Sequential& stage = *all.emplace_back(std::make_unique<Sequential>(this, "layer" + std::to_string(s + 1)));
    for (int64_t b = 0; b < o.blocks; b++) {
      stage.append<ResidualBlock>({.in = channels, .out = o.widths[s], .stride = s && !b ? 2 : 1});
      channels = o.widths[s];
    }
  }
  return all;
}

Tensor ResNetSmall::features(const Tensor& x) const {
  const Scope scope(*this);
  Tensor y = bn1(conv1(x));
  for (const auto& stage : stages) y = (*stage)(y);
  return y;
}

Tensor ResNetSmall::logits(const Tensor& features) const {
  const Scope scope(*this);
  return fc(global_avg_pool(features));
}

Cnn::Block::Block(Module* parent, std::string name, const Options& o)
    : Module(parent, std::move(name)),
      conv(this, "conv", o.dimensions, {.in = o.in, .out = o.out, .padding = 1, .bias = false}),
      bn(this, "bn", {.channels = o.out, .relu = true}) {}

Tensor Cnn::Block::operator()(const Tensor& x) const {
  const Scope scope(*this);
  return bn.pooled(conv(x), 2).second;
}

Cnn::Cnn(Module* parent, std::string name, const Options& o)
    : Module(parent, std::move(name)), blocks(this, "blocks"), fc(this, "fc", {.in = checked("Cnn", o.widths).back(), .out = o.classes}) {
  if (o.dimensions != 2 && o.dimensions != 3) throw Error("[Cnn] dimensions must be 2 or 3, got " + std::to_string(o.dimensions));
  for (size_t i = 0; i < o.widths.size(); i++)
    blocks.append({.in = i ? o.widths[i - 1] : o.in, .out = o.widths[i], .dimensions = o.dimensions});
}

Tensor Cnn::operator()(const Tensor& x) const {
  const Scope scope(*this);
  Tensor y = x;
  for (size_t i = 0; i < blocks.size(); i++) y = blocks[i](y);
  return fc(global_avg_pool(y));
}

LstmClassifier::LstmClassifier(Module* parent, std::string name, const Options& o)
    : Module(parent, std::move(name)),
      lstm(this, "lstm", {.in = o.in, .hidden = o.hidden, .layers = o.layers}),
      fc(this, "fc", {.in = o.hidden, .out = o.classes}) {}

Tensor LstmClassifier::operator()(const Tensor& x) const {
  const Scope scope(*this);
  return fc(last(lstm(x).state.h));
}

SonoNet::SonoNet(Module* parent, std::string name, const Options& o)
    : Module(parent, std::move(name)), features(this, "features"), adaptation(this, "adaptation") {
  const std::pair<int64_t, int> levels[] = {{1, 2}, {2, 2}, {4, 3}, {8, 3}, {8, 3}};  // width in features, convolutions
  int64_t channels = o.in;
  for (const auto& [width, convolutions] : levels) {
    if (width > 1) features.append<MaxPool>();
    for (int i = 0; i < convolutions; i++) {
      Sequential& unit = features.append<Sequential>();
      unit.append<Conv2d>({.in = channels, .out = width * o.features, .padding = 1, .bias = false});
      unit.append<BatchNorm>({.channels = width * o.features, .relu = true});
      channels = width * o.features;
    }
  }
  adaptation.append<Conv2d>({.in = channels, .out = 4 * o.features, .kernel = 1, .bias = false});
  adaptation.append<BatchNorm>({.channels = 4 * o.features});
  adaptation.append<Relu>();
  adaptation.append<Conv2d>({.in = 4 * o.features, .out = o.classes, .kernel = 1, .bias = false});
  adaptation.append<BatchNorm>({.channels = o.classes});
}

Tensor SonoNet::class_maps(const Tensor& x) const {
  const Scope scope(*this);
  return adaptation(features(x));
}

}  // namespace sono
