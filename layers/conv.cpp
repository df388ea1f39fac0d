#include "layers/conv.h"

#include "layers/init.h"

namespace sono {
namespace {

// "3x3": one number per dimension.
std::string by(const Extent& extent, int64_t dimensions) {
  const auto all = extent.spatial(dimensions, 1);
  std::string text;
  for (int64_t i = 3 - dimensions; i < 3; i++) text += (text.empty() ? "" : "x") + std::to_string(all[static_cast<size_t>(i)]);
  return text;
}

bool is(const Extent& extent, int64_t value) {
  for (int64_t size : extent.sizes)
    if (size != value) return false;
  return true;
}

template <class Options>
void check(const char* kind, int64_t dimensions, const Options& o) {
  const auto fail = [&](const std::string& why) { throw ShapeError(std::string("[") + kind + "] " + why); };
  if (o.in < 1 || o.out < 1) fail("in and out must be at least 1, got " + std::to_string(o.in) + " and " + std::to_string(o.out));
  if (o.groups < 1 || o.in % o.groups || o.out % o.groups)
    fail("groups " + std::to_string(o.groups) + " must divide in " + std::to_string(o.in) + " and out " + std::to_string(o.out));
  const auto at_least = [&](const char* name, const Extent& extent, int64_t least) {
    for (int64_t size : extent.spatial(dimensions, least))
      if (size < least) fail(std::string(name) + " must be at least " + std::to_string(least) + ", got " + by(extent, dimensions));
  };
  at_least("kernel", o.kernel, 1), at_least("stride", o.stride, 1), at_least("dilation", o.dilation, 1), at_least("padding", o.padding, 0);
}

Shape weight_shape(const Extent& kernel, int64_t dimensions, int64_t in, int64_t out) {
  const auto k = kernel.spatial(dimensions, 1);
  Shape shape(k.end() - dimensions, k.end());
  shape.push_back(in), shape.push_back(out);
  return shape;
}

template <class Options>
std::string describe_options(const Options& o, int64_t dimensions) {
  std::string text = std::to_string(o.in) + " -> " + std::to_string(o.out) + ", kernel " + by(o.kernel, dimensions);
  if (!is(o.stride, 1)) text += ", stride " + by(o.stride, dimensions);
  if (!is(o.padding, 0)) text += ", padding " + by(o.padding, dimensions);
  if (!is(o.dilation, 1)) text += ", dilation " + by(o.dilation, dimensions);
  if (o.groups != 1) text += ", groups " + std::to_string(o.groups);
  return text + (o.bias ? "" : ", no bias");
}

constexpr const char* conv_kinds[] = {"Conv1d", "Conv2d", "Conv3d"};
constexpr const char* transpose_kinds[] = {"ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"};

void check_rank(const char* kind, const Tensor& x, int64_t dimensions, int64_t channels) {
  if (x.rank() == dimensions + 2 && x.dim(-1) == channels) return;
  const char* form[] = {"(N, T, ", "(N, H, W, ", "(N, D, H, W, "};
  throw ShapeError(std::string("[") + kind + "] expected " + form[dimensions - 1] + std::to_string(channels) + "), got " +
                   to_string(x.shape()));
}

}  // namespace

Conv::Conv(Module* parent, std::string name, int64_t dimensions, const Options& o)
    : Module(parent, std::move(name)), layout_(o), options_{o.stride, o.padding, o.dilation, o.groups}, dimensions_(dimensions) {
  check(kind(), dimensions, o);
  parameter("weight", weight, Tensor(weight_shape(o.kernel, dimensions, o.in / o.groups, o.out)), Layout::filters);
  if (o.bias) parameter("bias", bias, Tensor({o.out}));
  init::pytorch_default(weight, bias);
}

Tensor Conv::operator()(const Tensor& x) const {
  const Scope scope(*this);
  check_rank(kind(), x, dimensions_, layout_.in);
  return conv(x, weight, bias, options_);
}

Tensor Conv::joined(const Tensor& a, const Tensor& b) const {
  if (bias || observed()) return (*this)(concat({a, b}, -1));
  const Scope scope(*this);
  return concat_conv(a, b, weight, options_);
}

const char* Conv::kind() const { return conv_kinds[dimensions_ - 1]; }
std::string Conv::describe() const { return describe_options(layout_, dimensions_); }

ConvTranspose::ConvTranspose(Module* parent, std::string name, int64_t dimensions, const Options& o)
    : Module(parent, std::move(name)), layout_(o), options_{o.stride, o.padding, o.dilation, o.groups}, dimensions_(dimensions) {
  check(kind(), dimensions, o);
  parameter("weight", weight, Tensor(weight_shape(o.kernel, dimensions, o.out / o.groups, o.in)), Layout::filters);
  if (o.bias) parameter("bias", bias, Tensor({o.out}));
  init::pytorch_default(weight, bias);
}

Tensor ConvTranspose::operator()(const Tensor& x) const {
  const Scope scope(*this);
  check_rank(kind(), x, dimensions_, layout_.in);
  return conv_transpose(x, weight, bias, options_, layout_.output_padding);
}

const char* ConvTranspose::kind() const { return transpose_kinds[dimensions_ - 1]; }
std::string ConvTranspose::describe() const { return describe_options(layout_, dimensions_); }

}  // namespace sono
