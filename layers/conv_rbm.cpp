#include "layers/conv_rbm.h"

#include "layers/init.h"
#include "tensor/parallel.h"
#include "tensor/random.h"

namespace sono {
namespace {

// (N, H, W, K) as (N, H / p, p, W / p, p, K): a block is the second and fourth of the last five.
Tensor in_blocks(const Tensor& h, int64_t p) { return reshape(h, {h.dim(0), h.dim(1) / p, p, h.dim(2) / p, p, h.dim(3)}); }
const Axes within{2, 4};

// One of the block's units or none, by one u: the first whose running sum of probabilities exceeds u.
template <class T>
void draw_blocks(const Tensor& probability, const Tensor& u, int64_t p, const Tensor& units, const Tensor& pooled) {
  const int64_t width = probability.dim(2), maps = probability.dim(3), across = width / p, rows = probability.dim(0) * probability.dim(1) / p;
  const T *from = probability.data<T>(), *chance = u.data<T>();
  T *to = units.data<T>(), *above = pooled.data<T>();
  parallel_for(rows, 4, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++)
      for (int64_t x = 0; x < across; x++)
        for (int64_t k = 0; k < maps; k++) {
          const int64_t block = (row * across + x) * maps + k;
          T sum = 0;
          bool found = false;
          for (int64_t i = 0; i < p * p; i++) {
            const int64_t at = ((row * p + i / p) * width + x * p + i % p) * maps + k;
            sum += from[at];
            const bool on = !found && chance[block] < sum;
            to[at] = on ? T(1) : T(0), found = found || on;
          }
          above[block] = found ? T(1) : T(0);
        }
  });
}

}  // namespace

ConvRbm::ConvRbm(Module* parent, std::string name, const Options& o) : Module(parent, std::move(name)), options_(o) {
  if (o.in < 1 || o.hidden < 1 || o.kernel < 1 || o.pool < 1) throw ShapeError("[conv rbm] in, hidden, kernel and pool must be at least 1");
  parameter("weight", weight, Tensor({o.kernel, o.kernel, o.in, o.hidden}), Layout::filters);
  parameter("visible_bias", visible_bias, Tensor::zeros({o.in}));
  parameter("hidden_bias", hidden_bias, Tensor::zeros({o.hidden}));
  init::normal(weight, 0, o.deviation);
}

Tensor ConvRbm::drive(const Tensor& v) const {
  const auto& o = options_;
  if (v.rank() != 4 || v.dim(3) != o.in) throw ShapeError("[conv rbm] expected (N, H, W, " + std::to_string(o.in) + "), got " + to_string(v.shape()));
  for (const int64_t size : {v.dim(1), v.dim(2)})
    if (const int64_t left = size - o.kernel + 1; left < o.pool || left % o.pool)
      throw ShapeError("[conv rbm] an image of " + to_string(v.shape()) + " leaves " + std::to_string(left) + " positions for a kernel of " +
                       std::to_string(o.kernel) + ", which blocks of " + std::to_string(o.pool) + " do not cover; crop or pad the image");
  check_visible("conv rbm", o.units, v);
  return conv2d(v, weight, hidden_bias);
}

ConvRbm::Hidden ConvRbm::hidden_given_visible(const Tensor& v) const {
  const Scope scope(*this);
  const Tensor I = drive(v), blocks = in_blocks(I, options_.pool), total = logsumexp(blocks, within, true);
  const Tensor units = reshape(exp(blocks - softplus(total)), I.shape());
  return {units, reshape(sigmoid(total), {I.dim(0), I.dim(1) / options_.pool, I.dim(2) / options_.pool, I.dim(3)})};
}

Tensor ConvRbm::visible_given_hidden(const Tensor& h) const {
  const Scope scope(*this);
  if (h.rank() != 4 || h.dim(3) != options_.hidden)
    throw ShapeError("[conv rbm] expected units (N, H', W', " + std::to_string(options_.hidden) + "), got " + to_string(h.shape()));
  const int64_t more = options_.kernel - 1;
  const Tensor mean = conv_input(h, weight, {h.dim(0), h.dim(1) + more, h.dim(2) + more, options_.in}) + visible_bias;
  return options_.units == VisibleUnits::gaussian ? mean : sigmoid(mean);
}

Tensor ConvRbm::visible_energy(const Tensor& v) const {
  return options_.units == VisibleUnits::gaussian ? 0.5 * sum(square(v - visible_bias), {1, 2, 3}) : -sum(v * visible_bias, {1, 2, 3});
}

Tensor ConvRbm::energy(const Tensor& v, const Tensor& h) const {
  const Tensor I = drive(v);
  if (h.shape() != I.shape()) throw ShapeError("[conv rbm] units must be " + to_string(I.shape()) + ", got " + to_string(h.shape()));
  if (max(sum(in_blocks(h.detach(), options_.pool), within)).item() > 1 + 1e-6)
    throw Error("[conv rbm] a block has more than one unit on: its energy is infinite");
  return visible_energy(v) - sum(h * I, {1, 2, 3});
}

Tensor ConvRbm::free_energy(const Tensor& v) const {
  const Scope scope(*this);
  const Tensor I = drive(v);
  return visible_energy(v) - sum(softplus(logsumexp(in_blocks(I, options_.pool), within)), {1, 2, 3});
}

ConvRbm::Hidden ConvRbm::sample_hidden(const Tensor& v, Draw draw) const {
  const NoGrad values;
  const Hidden p = hidden_given_visible(v);
  const Tensor host = p.units.to(Device::cpu), u = random_uniform(p.pooled.shape(), draw.seed, draw.stream, 0, 1, host.dtype());
  const Tensor units = Tensor::empty_like(host), pooled = Tensor::empty_like(u);
  visit_real("conv rbm", host.dtype(), [&]<class T>() { draw_blocks<T>(host, u, options_.pool, units, pooled); });
  return {units.to(v.device()), pooled.to(v.device())};
}

Tensor ConvRbm::sample_visible(const Tensor& h, Draw draw) const {
  const NoGrad values;
  const Tensor mean = visible_given_hidden(h);
  if (options_.units == VisibleUnits::bernoulli) return bernoulli(mean, draw);
  return gaussian(mean, Tensor::ones({1}, mean.dtype(), mean.device()), draw);
}

std::string ConvRbm::describe() const {
  const auto& o = options_;
  return std::to_string(o.in) + (o.units == VisibleUnits::gaussian ? " gaussian" : "") + " - " + std::to_string(o.hidden) + ", kernel " +
         std::to_string(o.kernel) + ", pool " + std::to_string(o.pool);
}

}  // namespace sono
