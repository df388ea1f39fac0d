// Losses with kernels of their own.
#include "autograd/ops/common.h"
#include "tensor/kernels.h"

namespace sono {

using namespace ops;

namespace {

// How much each log-probability counts: loss of a row = -sum over c of log p[c] * counts[c].
Tensor counts(const Tensor& target, const Tensor& weight, int64_t classes, Dtype dtype, int64_t ignore, double smoothing) {
  const std::vector<int32_t> t = target.to_vector<int32_t>();
  const std::vector<double> w = weight ? weight.to_vector<double>() : std::vector<double>(static_cast<size_t>(classes), 1);
  std::vector<double> all;
  for (int32_t wanted : t)
    for (int64_t c = 0; c < classes; c++)
      all.push_back(wanted == ignore
                        ? 0
                        : ((c == wanted ? 1 - smoothing : 0) + smoothing / static_cast<double>(classes)) * w[static_cast<size_t>(c)]);
  return Tensor::from({target.size(), classes}, all).to(dtype).to(target.device());
}

void check(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& o) {
  const char* name = "cross_entropy";
  check_same(name, {&logits, &o.weight});
  check_index(name, logits, target);
  if (logits.rank() < 1 || logits.dim(-1) < 1 || target.shape() != Shape(logits.shape().begin(), logits.shape().end() - 1))
    throw ShapeError("[cross_entropy] logits " + to_string(logits.shape()) + " (…, classes) and target " + to_string(target.shape()) +
                     " (…) do not belong together");
  if (o.weight && o.weight.shape() != Shape{logits.dim(-1)})
    throw ShapeError("[cross_entropy] weight " + to_string(o.weight.shape()) + " must hold one value for each of " +
                     std::to_string(logits.dim(-1)) + " classes");
  if (!(o.smoothing >= 0 && o.smoothing <= 1))
    throw Error("[cross_entropy] smoothing must be in [0, 1], got " + std::to_string(o.smoothing));
}

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& o) {
  check(logits, target, o);
  const int64_t classes = logits.dim(-1), rows = target.size();
  const Tensor x = logits.detach().view({rows, classes}), flat = target.view({rows}), weight = o.weight.detach();
  const Tensor y(target.shape(), x.dtype(), x.device()), row_weight = Tensor::empty_like(y), log_sum = Tensor::empty_like(y);
  kernels::cross_entropy({x, flat, weight, y, row_weight, log_sum, o.ignore, o.smoothing});

  const auto back = [logits = Saved(logits, "logits"), flat = Saved(flat, "target"), weight = Saved(weight, "weight"), log_sum, rows,
                     classes, ignore = o.ignore, smoothing = o.smoothing](const Tensor& g) {
    if (will_record(g, *logits)) {  // dL/dlogits = g * (p * sum of the row's counts - counts)
      const Tensor c = counts(*flat, *weight, classes, g.dtype(), ignore, smoothing), p = softmax(reshape(*logits, {rows, classes}));
      return reshape((p * sum(c, {1}, true) - c) * reshape(g, {rows, 1}), logits->shape());
    }
    const Tensor gx = Tensor::empty_like(*logits);
    kernels::cross_entropy_backward(
        {logits->view({rows, classes}), *flat, *weight, log_sum, g.view({rows}), gx.view({rows, classes}), ignore, smoothing});
    return gx;
  };
  const Tensor losses = differentiable("cross_entropy", y, {{logits, back}, {target, nullptr}}, [&] {
    return Attributes{{"ignore", o.ignore}, {"smoothing", o.smoothing}};
  });
  if (o.average == Average::none) return losses;
  if (o.average == Average::sum) return sum(losses);
  return sum(losses) / sum(row_weight);
}

Tensor logit_sums(const Tensor& logits, const Tensor& targets, bool squared) {
  check_same("logit_sums", {&logits, &targets});
  check_given("logit_sums", {&targets});
  if (logits.rank() < 2 || logits.shape() != targets.shape())
    throw ShapeError("[logit_sums] logits " + to_string(logits.shape()) + " and targets " + to_string(targets.shape()) +
                     " must have one shape (N, …, C)");
  const int64_t N = logits.dim(0), C = logits.dim(-1);
  const Shape rows{N, N * C > 0 ? logits.size() / (N * C) : 0, C};
  const auto composed = [rows, squared](const Tensor& x, const Tensor& targets) {
    const Tensor z = reshape(x, rows), t = reshape(targets, rows), s = sigmoid(z);
    return stack({sum(s * t, {1}), sum(squared ? square(s) : s, {1}), sum(squared ? square(t) : t, {1}), sum(bce_with_logits(z, t), {1})},
                 -1);
  };
  if (will_record(targets) || logits.device() != Device::cpu) return composed(logits, targets);
  const Tensor y({N, C, 4}, logits.dtype());
  kernels::logit_sums({logits.detach().view(rows), targets.view(rows), y, squared});
  const auto back = [x = Saved(logits, "logits"), t = Saved(targets, "targets"), rows, squared, composed](const Tensor& g) {
    if (will_record(g, *x)) return partial_gradients(composed(*x, *t), {*x}, {true}, g)[0];
    const Tensor gx = Tensor::empty_like(*x);
    kernels::logit_sums_backward({x->view(rows), t->view(rows), g, gx.view(rows), squared});
    return gx;
  };
  return differentiable("logit_sums", y, {{logits, back}, {targets, nullptr}}, [&] { return Attributes{{"squared", int64_t{squared}}}; });
}

}  // namespace sono
