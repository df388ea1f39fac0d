#include "layers/blocks.h"

namespace sono {

ConvUnit::ConvUnit(Module* parent, std::string name, const Options& o)
    : Module(parent, std::move(name)),
      conv(this, "conv", {.in = o.in, .out = o.out, .kernel = o.kernel, .stride = o.stride, .padding = o.padding, .bias = !o.norm}),
      pool_(o.pool) {
  if (o.norm) norm_ = std::make_unique<BatchNorm>(this, "bn", BatchNormOptions{.channels = o.out, .relu = true});
}

Tensor ConvUnit::operator()(const Tensor& x) const {
  const Scope scope(*this);
  if (norm_) return pool_ ? norm_->pooled(conv(x), *pool_).second : (*norm_)(conv(x));
  const Tensor y = relu(conv(x));
  return pool_ ? max_pool(y, {.window = *pool_}) : y;
}

ResidualBlock::ResidualBlock(Module* parent, std::string name, const Options& o)
    : Module(parent, std::move(name)),
      conv1(this, "conv1", {.in = o.in, .out = o.out, .stride = o.stride, .padding = 1, .bias = false}),
      bn1(this, "bn1", {.channels = o.out, .relu = true}),
      conv2(this, "conv2", {.in = o.out, .out = o.out, .padding = 1, .bias = false}),
      bn2(this, "bn2", {.channels = o.out, .relu = true}) {
  if (o.in == o.out && o.stride == 1) return;
  downsample_ = std::make_unique<Sequential>(this, "downsample");
  downsample_->append<Conv2d>({.in = o.in, .out = o.out, .kernel = 1, .stride = o.stride, .bias = false});
  downsample_->append<BatchNorm>({.channels = o.out});
}

Tensor ResidualBlock::operator()(const Tensor& x) const {
  const Scope scope(*this);
  const Tensor shortcut = downsample_ ? (*downsample_)(x) : x;
  return bn2.joined(bn1.before(conv2, conv1(x)), shortcut);
}

Inception::Inception(Module* parent, std::string name, const Options& o)
    : Module(parent, std::move(name)),
      branch1(this, "branch1", {.in = o.in, .out = o.one, .kernel = 1, .padding = 0, .norm = o.norm}),
      branch2(this, "branch2"),
      branch3(this, "branch3"),
      branch4(this, "branch4") {
  branch2.append<ConvUnit>({.in = o.in, .out = o.reduce_three, .kernel = 1, .padding = 0, .norm = o.norm});
  branch2.append<ConvUnit>({.in = o.reduce_three, .out = o.three, .norm = o.norm});
  branch3.append<ConvUnit>({.in = o.in, .out = o.reduce_five, .kernel = 1, .padding = 0, .norm = o.norm});
  branch3.append<ConvUnit>({.in = o.reduce_five, .out = o.five, .kernel = 5, .padding = 2, .norm = o.norm});
  branch4.append<MaxPool>({.window = 3, .stride = 1, .padding = 1});
  branch4.append<ConvUnit>({.in = o.in, .out = o.pool, .kernel = 1, .padding = 0, .norm = o.norm});
}

Tensor Inception::operator()(const Tensor& x) const {
  const Scope scope(*this);
  return concat({branch1(x), branch2(x), branch3(x), branch4(x)}, -1);
}

DoubleConv::DoubleConv(Module* parent, std::string name, const Options& o)
    : Module(parent, std::move(name)),
      conv1(this, "conv1", {.in = o.in, .out = o.out, .padding = 1, .bias = false}),
      norm1(this, "norm1", {.channels = o.out, .relu = true}),
      conv2(this, "conv2", {.in = o.out, .out = o.out, .padding = 1, .bias = false}),
      norm2(this, "norm2", {.channels = o.out, .relu = true}) {}

Tensor DoubleConv::operator()(const Tensor& x) const {
  const Scope scope(*this);
  return norm2(norm1.before(conv2, conv1(x)));
}

// Nobody else wants a and b: where they are not kept for the gradients they are given back before the second convolution.
Tensor DoubleConv::joined(Tensor a, Tensor b) const {
  const Scope scope(*this);
  const Tensor x = conv1.joined(std::exchange(a, {}), std::exchange(b, {}));
  return norm2(norm1.before(conv2, x));
}

std::pair<Tensor, Tensor> DoubleConv::with_pooled(const Tensor& x) const {
  const Scope scope(*this);
  return norm2.pooled(norm1.before(conv2, conv1(x)), 2, true);
}

UpBlock::UpBlock(Module* parent, std::string name, const Options& o)
    : Module(parent, std::move(name)),
      up(this, "up", {.in = o.in, .out = o.out}),
      conv(this, "conv", {.in = o.out + o.skip, .out = o.out}) {}

Tensor UpBlock::operator()(const Tensor& x, Tensor skip) const {
  const Scope scope(*this);
  Tensor larger = fit(up(x), skip.dim(1), skip.dim(2));
  return conv.joined(std::move(skip), std::move(larger));
}

Tensor fit(const Tensor& x, int64_t height, int64_t width) {
  if (x.rank() != 4) throw ShapeError("[fit] expected (N, H, W, C), got " + to_string(x.shape()));
  Tensor y = x;
  if (y.dim(1) > height) y = slice(y, 1, 0, height);
  if (y.dim(2) > width) y = slice(y, 2, 0, width);
  if (y.dim(1) == height && y.dim(2) == width) return y;
  return pad(y, {{0, 0}, {0, height - y.dim(1)}, {0, width - y.dim(2)}, {0, 0}});
}

}  // namespace sono
