#include "layers/norm.h"

#include <algorithm>

namespace sono {
namespace {

void check_channels(const char* kind, const Tensor& x, int64_t channels) {
  if (x.rank() < 2 || x.dim(-1) != channels)
    throw ShapeError(std::string("[") + kind + "] expected (N, …, " + std::to_string(channels) + "), got " + to_string(x.shape()));
}

void check_options(const char* kind, int64_t channels, double epsilon) {
  if (channels < 1) throw ShapeError(std::string("[") + kind + "] channels must be at least 1, got " + std::to_string(channels));
  if (!(epsilon > 0)) throw Error(std::string("[") + kind + "] epsilon must be above 0, got " + std::to_string(epsilon));
}

std::string channels_text(int64_t channels, bool affine) { return std::to_string(channels) + (affine ? "" : ", not affine"); }

}  // namespace

BatchNorm::BatchNorm(Module* parent, std::string name, const Options& o) : Module(parent, std::move(name)), options_(o) {
  check_options(kind(), o.channels, o.epsilon);
  if (o.affine) {
    parameter("weight", weight, Tensor::ones({o.channels}));
    parameter("bias", bias, Tensor::zeros({o.channels}));
  }
  buffer("running_mean", running_mean, Tensor::zeros({o.channels}));
  buffer("running_var", running_var, Tensor::ones({o.channels}));
}

// How many values a channel has; in training more than one.
int64_t BatchNorm::check(const Tensor& x) const {
  check_channels(kind(), x, options_.channels);
  const int64_t values = x.size() / options_.channels;
  if (training() && values < 2)
    throw ShapeError("[BatchNorm] one value per channel has no variance: input " + to_string(x.shape()) +
                     "; train on more than one, or use eval()");
  return values;
}

Tensor BatchNorm::joined(const Tensor& x, const Tensor& add) const {
  const Scope scope(*this);
  const int64_t values = check(x);
  if (!training()) {
    Tensor y = batch_norm_eval(x, weight, bias, running_mean, running_var, options_.epsilon);
    if (add) y = y + add;
    return options_.relu ? relu(y) : y;
  }
  const NormResult result = batch_norm(x, weight, bias, options_.epsilon, options_.relu, add);
  follow(result.mean.detach(), result.rstd.detach(), values);
  return result.y;
}

std::pair<Tensor, Tensor> BatchNorm::pooled(const Tensor& x, const Extent& window, bool with_y) const {
  if (!training()) {
    const Tensor y = (*this)(x);
    return {with_y ? y : Tensor{}, max_pool(y, {.window = window})};
  }
  const Scope scope(*this);
  const int64_t values = check(x);
  const NormPoolResult result = batch_norm_max_pool(x, weight, bias, window, options_.epsilon, options_.relu, with_y);
  follow(result.mean.detach(), result.rstd.detach(), values);
  return {result.y, result.pooled};
}

Tensor BatchNorm::before(const Conv& next, const Tensor& x) const {
  if (!training() || !options_.relu || !options_.affine || next.bias || observed()) return next((*this)(x));
  const int64_t values = check(x);
  const NormResult result = batch_norm_conv(x, weight, bias, next.weight, next.options(), options_.epsilon);
  follow(result.mean.detach(), result.rstd.detach(), values);
  return result.y;
}

// The running statistics move towards those of a batch with `values` per channel; variance = 1 / rstd^2 - epsilon.
void BatchNorm::follow(const Tensor& mean, const Tensor& rstd, int64_t values) const {
  const NoGrad plain;
  const double unbiased = static_cast<double>(values) / static_cast<double>(values - 1), m = options_.momentum;
  const Tensor variance = maximum(1.0 / square(rstd) - options_.epsilon, Tensor::scalar(0, rstd.dtype(), rstd.device())) * unbiased;
  running_mean.copy_from(running_mean * (1 - m) + mean * m);
  running_var.copy_from(running_var * (1 - m) + variance * m);
}

std::string BatchNorm::describe() const { return channels_text(options_.channels, options_.affine) + (options_.relu ? ", relu" : ""); }

LayerNorm::LayerNorm(Module* parent, std::string name, const Options& o) : Module(parent, std::move(name)), options_(o) {
  check_options(kind(), o.channels, o.epsilon);
  if (!o.affine) return;
  parameter("weight", weight, Tensor::ones({o.channels}));
  parameter("bias", bias, Tensor::zeros({o.channels}));
}

Tensor LayerNorm::operator()(const Tensor& x) const {
  const Scope scope(*this);
  check_channels(kind(), x, options_.channels);
  return layer_norm(x, weight, bias, options_.epsilon);
}

std::string LayerNorm::describe() const { return channels_text(options_.channels, options_.affine); }

GroupNorm::GroupNorm(Module* parent, std::string name, const Options& o) : Module(parent, std::move(name)), options_(o) {
  check_options(kind(), o.channels, o.epsilon);
  if (o.groups < 1 || o.channels % o.groups)
    throw ShapeError("[GroupNorm] groups " + std::to_string(o.groups) + " must divide channels " + std::to_string(o.channels));
  if (!o.affine) return;
  parameter("weight", weight, Tensor::ones({o.channels}));
  parameter("bias", bias, Tensor::zeros({o.channels}));
}

Tensor GroupNorm::operator()(const Tensor& x) const {
  const Scope scope(*this);
  check_channels(kind(), x, options_.channels);
  return group_norm(x, options_.groups, weight, bias, options_.epsilon);
}

std::string GroupNorm::describe() const {
  return channels_text(options_.channels, options_.affine) + ", " + std::to_string(options_.groups) + " groups";
}

InstanceNorm::InstanceNorm(Module* parent, std::string name, const Options& o) : Module(parent, std::move(name)), options_(o) {
  check_options(kind(), o.channels, o.epsilon);
  if (!o.affine) return;
  parameter("weight", weight, Tensor::ones({o.channels}));
  parameter("bias", bias, Tensor::zeros({o.channels}));
}

Tensor InstanceNorm::operator()(const Tensor& x) const {
  const Scope scope(*this);
  check_channels(kind(), x, options_.channels);
  return instance_norm(x, weight, bias, options_.epsilon);
}

std::string InstanceNorm::describe() const { return channels_text(options_.channels, options_.affine); }

Tensor LocalResponseNorm::operator()(const Tensor& x) const {
  const Scope scope(*this);
  return local_response_norm(x, options_.size, options_.alpha, options_.beta, options_.k);
}

std::string LocalResponseNorm::describe() const { return "over " + std::to_string(options_.size) + " channels"; }

}  // namespace sono
