// One batch of N rows, chains of C rows. The units of data and chains lie one below the other, (N + C, visible) and (N + C, hidden), so that
// both terms of dW are one product. Gaussian visible units are kept divided by their deviations: u = v / s, u | h ~ N(a / s + W h, 1).
#include "optim/contrastive_divergence.h"

#include <algorithm>
#include <cmath>

#include "tensor/parallel.h"
#include "tensor/random.h"

namespace sono {

using kernels::Activation;

struct ContrastiveDivergence::Workspace {
  int64_t N = 0, C = 0;
  Tensor visible, hidden;          // (N + C, …): what the statistics are made of
  Tensor mean, scaled;             // (max(N, C), visible), and what the hidden units are given where up is not 1
  Tensor sample, probability;      // (max(N, C), hidden): what drives the chain
  Tensor bias;                     // of the visible units: a, or a / s
  Tensor weight_gradient, visible_gradient, hidden_gradient, deviation_gradient, activity;

  void make(const Rbm& rbm, int64_t n, int64_t c) {
    if (N == n && C == c && weight_gradient.dtype() == rbm.weight.dtype()) return;
    N = n, C = c;
    const Dtype dtype = rbm.weight.dtype();
    const int64_t V = rbm.visible(), H = rbm.hidden(), most = std::max(n, c);
    visible = Tensor({n + c, V}, dtype), hidden = Tensor({n + c, H}, dtype);
    mean = Tensor({most, V}, dtype), scaled = Tensor({most, V}, dtype);
    sample = Tensor({most, H}, dtype), probability = Tensor({most, H}, dtype);
    if (weight_gradient && weight_gradient.dtype() == dtype) return;
    bias = Tensor({V}, dtype), weight_gradient = Tensor({V, H}, dtype), visible_gradient = Tensor({V}, dtype);
    hidden_gradient = Tensor({H}, dtype), deviation_gradient = Tensor({V}, dtype), activity = Tensor({H}, dtype);
  }
};

namespace {

// y = activation(x W + bias), and 0-1 draws of it where a sample is wanted.
void product(const Tensor& x, const Tensor& w, bool transpose_w, const Tensor& bias, Activation activation, const Tensor& y, const Tensor& sample, Draw draw) {
  const bool fused = sample && y.dtype() == Dtype::f32;  // the fast products of f64 draw nothing
  kernels::matmul({x, w, y, false, transpose_w, bias, activation, {}, fused ? sample : Tensor(), draw.seed, draw.stream});
  if (sample && !fused) random_bernoulli(y, sample, draw.seed, draw.stream);
}

void scale(const Tensor& x, double factor, const Tensor& y) {
  visit_real("contrastive divergence", x.dtype(), [&]<class T>() {
    const T *from = x.data<T>(), f = static_cast<T>(factor);
    T* to = y.data<T>();
    parallel_for(x.size(), 1 << 15, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; i++) to[i] = f * from[i];
    });
  });
}

// Column sums of rows [0, split) and [split, rows) in one pass over (rows, n): upper and lower. Jobs are columns: no sum crosses threads.
template <class T>
void column_sums(const Tensor& x, int64_t split, T* upper, T* lower) {
  const int64_t rows = x.dim(0), n = x.dim(1);
  const T* from = x.data<T>();
  parallel_for(n, std::max<int64_t>(64, (1 << 15) / std::max<int64_t>(1, rows) / 64 * 64), [&](int64_t first, int64_t last) {
    std::fill(upper + first, upper + last, T(0)), std::fill(lower + first, lower + last, T(0));
    for (int64_t r = 0; r < rows; r++) {
      T* sum = r < split ? upper : lower;
      for (int64_t j = first; j < last; j++) sum[j] += from[r * n + j];
    }
  });
}

// Mean of (a - b)^2; rows are summed one by one, then in their order.
template <class T>
double mean_square_difference(const T* a, const T* b, int64_t rows, int64_t n) {
  std::vector<double> sums(static_cast<size_t>(rows));
  parallel_for(rows, std::max<int64_t>(1, (1 << 15) / n), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; r++) {
      T lane[16] = {};
      int64_t i = 0;
      for (; i + 16 <= n; i += 16)
        for (int64_t k = 0; k < 16; k++) {
          const T d = a[r * n + i + k] - b[r * n + i + k];
          lane[k] += d * d;
        }
      for (; i < n; i++) lane[0] += (a[r * n + i] - b[r * n + i]) * (a[r * n + i] - b[r * n + i]);
      double sum = 0;
      for (const T l : lane) sum += static_cast<double>(l);
      sums[static_cast<size_t>(r)] = sum;
    }
  });
  double sum = 0;
  for (const double s : sums) sum += s;
  return sum / static_cast<double>(rows * n);
}

double mean_square_difference(const Tensor& a, const Tensor& b) {
  return visit_real("contrastive divergence", a.dtype(), [&]<class T>() { return mean_square_difference(a.data<T>(), b.data<T>(), a.dim(0), a.dim(1)); });
}

}  // namespace

ContrastiveDivergence::ContrastiveDivergence(Rbm& rbm, const ContrastiveDivergenceOptions& o)
    : BoltzmannLearner(rbm, o.rule), rbm_(rbm), options_(o), work_(std::make_shared<Workspace>()) {
  const auto fail = [](const std::string& why) { throw Error("[contrastive divergence] " + why); };
  if (o.steps < 1) fail("steps must be at least 1, got " + std::to_string(o.steps));
  if (o.chains < 0 || o.temperatures < 1) fail("chains must not be negative and temperatures at least 1");
  if (o.temperatures > 1 && (!o.persistent || rbm.units() != VisibleUnits::bernoulli))
    fail("parallel tempering wants persistent chains and bernoulli visible units");
  if (!(o.up > 0 && o.down > 0)) fail("up and down must be positive");
  if ((o.up != 1 || o.down != 1) && rbm.units() != VisibleUnits::bernoulli) fail("up and down are for bernoulli visible units");
}

// P(h = 1 | u) of rows of the workspace, and draws.
void ContrastiveDivergence::hidden_of(const Tensor& u, const Tensor& probability, const Tensor& sample, Draw draw) const {
  Tensor x = u;
  if (options_.up != 1) x = work_->scaled.rows(0, u.dim(0)), scale(u, options_.up, x);
  product(x, rbm_.weight.detach(), false, rbm_.hidden_bias.detach(), Activation::sigmoid, probability, sample, draw);
}

// Means of u | h, and draws, where sample is given.
void ContrastiveDivergence::visible_of(const Tensor& h, const Tensor& mean, const Tensor& sample, Draw draw) const {
  if (options_.down != 1) scale(h, options_.down, h);
  const bool gaussian = rbm_.units() == VisibleUnits::gaussian;
  product(h, rbm_.weight.detach(), true, work_->bias, gaussian ? Activation::none : Activation::sigmoid, mean, gaussian ? Tensor() : sample, draw);
  if (!gaussian || !sample) return;
  const Tensor noise = random_normal(mean.shape(), draw.seed, draw.stream, 0, 1, mean.dtype());
  visit_real("contrastive divergence", mean.dtype(), [&]<class T>() {
    const T *m = mean.data<T>(), *n = noise.data<T>();
    T* y = sample.data<T>();
    parallel_for(mean.size(), 1 << 15, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; i++) y[i] = m[i] + n[i];
    });
  });
}

// Rows divided (or multiplied) by the deviations of Gaussian units; a copy for others.
void ContrastiveDivergence::rescale(const Tensor& v, const Tensor& u, bool divide) const {
  if (rbm_.units() == VisibleUnits::bernoulli) return u.copy_from(v);
  const Tensor s = rbm_.deviation().detach();
  u.copy_from(divide ? v / s : v * s);
}

// The chain beginning at h in sample: `steps` times u | h, then h | u. Returns the error of its first means against the data.
double ContrastiveDivergence::run_chain() {
  Workspace& w = *work_;
  const Tensor u = w.visible.rows(w.N, w.N + w.C), mean = w.mean.rows(0, w.C), h = w.hidden.rows(w.N, w.N + w.C), drive = w.sample.rows(0, w.C);
  double error = 0;
  for (int64_t t = 0; t < options_.steps; t++) {
    const auto step = static_cast<uint64_t>(t);
    const bool means = !options_.sample_visible, last = t + 1 == options_.steps;
    visible_of(drive, means ? u : mean, means ? Tensor() : u, draw("visible", step));
    if (t == 0) error = mean_square_difference(w.visible.rows(0, w.N), means ? u : mean);
    hidden_of(u, h, last ? Tensor() : drive, draw("hidden", step + 1));
  }
  return error;
}

// The chains of before, `steps` further. The error is that of a reconstruction of the first rows of the data.
double ContrastiveDivergence::run_persistent_chains() {
  Workspace& w = *work_;
  const int64_t some = std::min<int64_t>(16, w.N);
  visible_of(w.sample.rows(0, some), w.mean.rows(0, some), {}, {});
  const double error = mean_square_difference(w.visible.rows(0, some), w.mean.rows(0, some));
  const Tensor u = w.visible.rows(w.N, w.N + w.C), mean = w.mean.rows(0, w.C), h = w.hidden.rows(w.N, w.N + w.C), drive = w.sample.rows(0, w.C);
  rescale(chain_, u, true);
  for (int64_t t = 0; t < options_.steps; t++) {
    const auto step = static_cast<uint64_t>(t);
    hidden_of(u, h, drive, draw("chain hidden", step));
    visible_of(drive, mean, u, draw("chain visible", step));
    if (options_.temperatures > 1) temper(u, drive, step);
  }
  hidden_of(u, h, {}, {});
  rescale(u, chain_, false);
  return error;
}

namespace {

// Rows of a and b change places where accept says so.
template <class T>
void swap_rows(const Tensor& a, const Tensor& b, const std::vector<bool>& accept) {
  const int64_t n = a.dim(1);
  for (size_t r = 0; r < accept.size(); r++)
    if (accept[r]) std::swap_ranges(a.data<T>() + static_cast<int64_t>(r) * n, a.data<T>() + static_cast<int64_t>(r + 1) * n, b.data<T>() + static_cast<int64_t>(r) * n);
}

}  // namespace

// One Gibbs step of every tempered copy of the chains, then swaps between neighbours: pairs (0, 1), (2, 3) … at even steps, (1, 2) … at odd.
void ContrastiveDivergence::temper(const Tensor& cold_visible, const Tensor& cold_hidden, uint64_t step) {
  const int64_t T = options_.temperatures;
  const Tensor W = rbm_.weight.detach(), b = rbm_.hidden_bias.detach(), a = rbm_.visible_bias.detach();
  std::vector<Tensor> v{cold_visible}, h{cold_hidden.clone()}, energy;
  const auto beta = [&](int64_t t) { return 1 - static_cast<double>(t) / static_cast<double>(T - 1); };
  for (int64_t t = 1; t < T; t++) {
    const auto key = step * static_cast<uint64_t>(T) + static_cast<uint64_t>(t);
    const Tensor place = hot_.rows(t - 1, t).view({hot_.dim(1), hot_.dim(2)});
    h.push_back(bernoulli(sigmoid(linear(place, W, b) * beta(t)), draw("hot hidden", key)));
    place.copy_from(bernoulli(sigmoid((matmul(h.back(), W, false, true) + a) * beta(t)), draw("hot visible", key)));
    v.push_back(place);
  }
  for (size_t t = 0; t < v.size(); t++) energy.push_back(rbm_.energy(v[t], h[t]).detach().to(Dtype::f64));
  const Draw swaps = draw("swaps", step);
  for (int64_t t = static_cast<int64_t>((static_cast<uint64_t>(steps_) + step) % 2); t + 1 < T; t += 2) {
    const Tensor &cold = energy[static_cast<size_t>(t)], &hot = energy[static_cast<size_t>(t + 1)];
    Random random(swaps.seed, "swap", swaps.stream, static_cast<uint64_t>(t));
    std::vector<bool> accept;
    for (int64_t r = 0; r < cold.size(); r++)
      accept.push_back(std::log(1 - random.uniform()) < (beta(t) - beta(t + 1)) * (cold.data<double>()[r] - hot.data<double>()[r]));
    visit_real("parallel tempering", W.dtype(), [&]<class V>() { swap_rows<V>(v[static_cast<size_t>(t)], v[static_cast<size_t>(t + 1)], accept); });
  }
}

// Gradients of mean F(data) - mean F(chains) from what the workspace holds; its hidden units are scaled on the way.
void ContrastiveDivergence::statistics() {
  Workspace& w = *work_;
  const double over_n = 1 / static_cast<double>(w.N), over_c = 1 / static_cast<double>(w.C);
  const bool gaussian = rbm_.units() == VisibleUnits::gaussian;
  if (rbm_.options().learn_variance) deviation_statistics();
  visit_real("contrastive divergence", w.visible.dtype(), [&]<class T>() {
    T *ga = w.visible_gradient.data<T>(), *gb = w.hidden_gradient.data<T>(), *active = w.activity.data<T>();
    std::vector<T> lower(static_cast<size_t>(std::max(rbm_.visible(), rbm_.hidden())));
    column_sums<T>(w.visible, w.N, ga, lower.data());
    for (int64_t i = 0; i < rbm_.visible(); i++) ga[i] = lower[static_cast<size_t>(i)] * static_cast<T>(over_c) - ga[i] * static_cast<T>(over_n);
    column_sums<T>(w.hidden, w.N, active, lower.data());
    for (int64_t j = 0; j < rbm_.hidden(); j++) {
      active[j] *= static_cast<T>(over_n);
      gb[j] = lower[static_cast<size_t>(j)] * static_cast<T>(over_c) - active[j];
    }
  });
  if (gaussian) w.visible_gradient.copy_from(w.visible_gradient / rbm_.deviation().detach());
  add_sparsity(w.activity, w.hidden_gradient);
  scale(w.hidden.rows(0, w.N), -over_n, w.hidden.rows(0, w.N));
  scale(w.hidden.rows(w.N, w.N + w.C), over_c, w.hidden.rows(w.N, w.N + w.C));
  kernels::matmul({w.visible, w.hidden, w.weight_gradient, true, false});
  put_gradient(rbm_.weight, w.weight_gradient);
  put_gradient(rbm_.visible_bias, w.visible_gradient);
  put_gradient(rbm_.hidden_bias, w.hidden_gradient);
}

// dF / dlog s = -(u - a / s)^2 + u (W h), u = v / s.
void ContrastiveDivergence::deviation_statistics() {
  Workspace& w = *work_;
  const Tensor drive = matmul(w.hidden, rbm_.weight.detach(), false, true), terms = w.visible * drive - square(w.visible - w.bias);
  w.deviation_gradient.copy_from(mean(terms.rows(0, w.N), {0}) - mean(terms.rows(w.N, w.N + w.C), {0}));
  put_gradient(rbm_.log_deviation, w.deviation_gradient);
}

double ContrastiveDivergence::compute_gradients(const Tensor& given) {
  const NoGrad values;
  if (given.rank() != 2 || given.dim(1) != rbm_.visible() || given.dim(0) < 1)
    throw ShapeError("[contrastive divergence] expected (N, " + std::to_string(rbm_.visible()) + "), got " + to_string(given.shape()));
  if (rbm_.weight.device() != Device::cpu) throw DeviceError("[contrastive divergence] runs on the CPU; move the rbm there");
  check_visible("rbm", rbm_.units(), given);
  const Tensor batch = given.detach().to(rbm_.weight.dtype());
  if (options_.persistent && !chain_) start_chains(batch);
  Workspace& w = *work_;
  w.make(rbm_, batch.dim(0), options_.persistent ? chain_.dim(0) : batch.dim(0));
  if (rbm_.units() == VisibleUnits::gaussian)
    w.bias.copy_from(rbm_.visible_bias.detach() / rbm_.deviation().detach());
  else
    w.bias.copy_from(rbm_.visible_bias.detach());
  rescale(batch, w.visible.rows(0, w.N), true);
  hidden_of(w.visible.rows(0, w.N), w.hidden.rows(0, w.N), w.sample.rows(0, w.N), draw("hidden", 0));
  const double error = options_.persistent ? run_persistent_chains() : run_chain();
  statistics();
  return error;
}

// Rows of the batch in turn; the tempered copies begin there too.
void ContrastiveDivergence::start_chains(const Tensor& batch) {
  const int64_t C = options_.chains ? options_.chains : batch.dim(0);
  std::vector<int32_t> rows;
  for (int64_t i = 0; i < C; i++) rows.push_back(static_cast<int32_t>(i % batch.dim(0)));
  chain_ = take(batch, Tensor::from({C}, rows), 0);
  if (rbm_.units() == VisibleUnits::bernoulli) chain_ = bernoulli(chain_, draw("start"));
  if (options_.temperatures == 1) return;
  hot_ = Tensor({options_.temperatures - 1, C, rbm_.visible()}, batch.dtype());
  for (int64_t t = 0; t + 1 < options_.temperatures; t++) hot_.rows(t, t + 1).copy_from(chain_.view({1, C, rbm_.visible()}));
}

Tensor ContrastiveDivergence::negative() const {
  if (!work_->visible) return {};
  const Tensor u = work_->visible.rows(work_->N, work_->N + work_->C), v = Tensor::empty_like(u);
  const NoGrad values;
  rescale(u, v, false);
  return v;
}

Tensor ContrastiveDivergence::free_energy(const Tensor& v) const { return rbm_.free_energy(v.to(rbm_.weight.dtype())); }

double ContrastiveDivergence::pseudo_likelihood(const Tensor& v) const {
  if (rbm_.units() != VisibleUnits::bernoulli) return std::nan("");
  return sono::pseudo_likelihood(rbm_, v.to(rbm_.weight.dtype()), draw("pseudo-likelihood"));
}

NamedTensors ContrastiveDivergence::own_state() const {
  NamedTensors all;
  if (chain_) all.emplace_back("chain", chain_);
  if (hot_) all.emplace_back("hot", hot_);
  return all;
}

void ContrastiveDivergence::take_state(const NamedTensors& state) {
  Tensor chain, hot;
  for (const auto& [name, t] : state) {
    const bool is_chain = name == "chain";
    if ((!is_chain && name != "hot") || t.rank() != (is_chain ? 2 : 3) || t.dim(-1) != rbm_.visible() || t.dtype() != rbm_.weight.dtype())
      throw ShapeError("[contrastive divergence] state " + name + " " + to_string(t.shape()) + " does not fit this learner");
    (is_chain ? chain : hot) = t.clone();
  }
  chain_ = chain, hot_ = hot;
}

ContrastiveDivergence::Settings ContrastiveDivergence::own_settings() const {
  return {{"steps", static_cast<double>(options_.steps)},
          {"sample_visible", options_.sample_visible},
          {"persistent", options_.persistent},
          {"chains", static_cast<double>(options_.chains)},
          {"temperatures", static_cast<double>(options_.temperatures)},
          {"up", options_.up},
          {"down", options_.down}};
}

}  // namespace sono
