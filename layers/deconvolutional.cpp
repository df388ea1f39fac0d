#include "layers/deconvolutional.h"

#include <algorithm>
#include <cmath>

#include "tensor/parallel.h"
#include "tensor/random.h"

namespace sono {
namespace {

int64_t up_to(int64_t n, int64_t window) { return (n + window - 1) / window; }

Shape per_image(const Tensor& t) { return {t.dim(0), t.size() / std::max<int64_t>(t.dim(0), 1)}; }

// Sum over everything but the images: (N, 1, 1, 1).
Tensor image_sum(const Tensor& t) { return sum(t, {1, 2, 3}, true); }

double total(const Tensor& t) { return sum(square(t)).item(); }

// The largest magnitude of one window of one image (H, W, K): where it is.
template <class T>
int64_t largest(const T* z, const Shape& size, const std::array<int64_t, 3>& from, const std::array<int64_t, 3>& to) {
  int64_t best = -1;
  T most = 0;
  for (int64_t y = from[0]; y < to[0]; y++)
    for (int64_t x = from[1]; x < to[1]; x++)
      for (int64_t k = from[2]; k < to[2]; k++) {
        const int64_t at = (y * size[2] + x) * size[3] + k;
        const T value = std::abs(z[at]);
        if (best < 0 || value > most) best = at, most = value;
      }
  return best;
}

template <class T>
void find_switches(const Tensor& z, const Tensor& index, const Shape& to, int64_t window, int64_t maps) {
  const Shape& size = z.shape();
  const int64_t from_count = size[1] * size[2] * size[3], rows = to[0] * to[1];
  parallel_for(rows, 4, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++) {
      const int64_t n = row / to[1], i = row % to[1];
      int32_t* out = index.data<int32_t>() + row * to[2] * to[3];
      for (int64_t j = 0; j < to[2]; j++)
        for (int64_t k = 0; k < to[3]; k++)
          *out++ = static_cast<int32_t>(
              largest(z.data<T>() + n * from_count, size, {i * window, j * window, k * maps},
                      {std::min((i + 1) * window, size[1]), std::min((j + 1) * window, size[2]), std::min((k + 1) * maps, size[3])}));
    }
  });
}

}  // namespace

Pooled max_pool_3d(const Tensor& z, int64_t window, int64_t maps) {
  if (z.rank() != 4 || window < 1 || maps < 1)
    throw ShapeError("[max_pool_3d] expected (N, H, W, K) and windows of at least 1, got " + to_string(z.shape()) + " and " +
                     std::to_string(window) + ", " + std::to_string(maps));
  const Tensor host = z.detach().to(Device::cpu);
  const Shape to{z.dim(0), up_to(z.dim(1), window), up_to(z.dim(2), window), up_to(z.dim(3), maps)};
  const Tensor index(Shape{to[0], to[1] * to[2] * to[3]}, Dtype::i32);
  visit_real("max_pool_3d", z.dtype(), [&]<class T>() { find_switches<T>(host, index, to, window, maps); });
  const Switches switches{index.to(z.device()), z.shape(), to};
  return {pool_at(z, switches), switches};
}

Tensor pool_at(const Tensor& z, const Switches& s) {
  if (z.shape() != s.from) throw ShapeError("[pool_at] the switches are of maps " + to_string(s.from) + ", got " + to_string(z.shape()));
  return reshape(gather(reshape(z, per_image(z)), s.index, 1), s.to);
}

Tensor unpool_at(const Tensor& p, const Switches& s) {
  if (p.shape() != s.to)
    throw ShapeError("[unpool_at] the switches are of pooled maps " + to_string(s.to) + ", got " + to_string(p.shape()));
  const Shape flat{s.from[0], s.from[1] * s.from[2] * s.from[3]};
  return reshape(scatter_add(reshape(p, s.index.shape()), s.index, flat, 1), s.from);
}

Tensor soft_threshold(const Tensor& z, const Tensor& threshold) { return relu(z - threshold) - relu(-z - threshold); }

// ---- the network
// -------------------------------------------------------------------------------------------------------------------------
namespace {

// Each map's filter (over space and the channels below) to norm 1; one that is nothing stays as `before`.
void normalise(const Tensor& weight, const Tensor& before) {
  const NoGrad plain;
  const Tensor norm = sqrt(sum(square(weight.detach()), {0, 1, 3}, true));
  const Tensor one = Tensor::ones({}, weight.dtype(), weight.device());
  weight.copy_from(select(norm > 1e-12, weight.detach() / select(norm > 1e-12, norm, one), before));
}

ConvOptions padded(const Tensor& weight) { return {.padding = weight.dim(0) / 2}; }

}  // namespace

DeconvolutionalNetwork::Layer::Layer(Module* parent, std::string name, int64_t below, const DeconvolutionalLayerOptions& o)
    : Module(parent, std::move(name)), options(o) {
  if (o.maps < 1 || o.kernel < 1 || o.kernel % 2 == 0 || o.pool < 1 || o.pool_maps < 1 || !(o.lambda > 0))
    throw Error("[deconvolutional] a layer needs at least one map, an odd kernel, pooling windows of at least 1 and a lambda above 0");
  parameter("weight", weight, random_normal({o.kernel, o.kernel, o.maps, below}, global_seed(), next_stream()));
  normalise(weight, weight.detach());
}

std::string DeconvolutionalNetwork::Layer::describe() const {
  return std::to_string(options.maps) + " maps, kernel " + std::to_string(options.kernel) + ", pool " + std::to_string(options.pool) +
         " x " + std::to_string(options.pool_maps);
}

DeconvolutionalNetwork::DeconvolutionalNetwork(Module* parent, std::string name, const Options& o)
    : Module(parent, std::move(name)), layers(this, "layers"), options_(o) {
  if (o.layers.empty() || o.channels < 1 || o.steps < 1)
    throw Error("[deconvolutional] needs at least one layer, one channel and one step");
  int64_t below = o.channels;
  for (const DeconvolutionalLayerOptions& layer : o.layers) {
    layers.append(below, layer);
    below = up_to(layer.maps, layer.pool_maps);
  }
}

void DeconvolutionalNetwork::check(const Tensor& y) const {
  if (y.rank() != 4 || y.dim(3) != options_.channels || y.size() == 0)
    throw ShapeError("[deconvolutional] expected images (N, H, W, " + std::to_string(options_.channels) + "), got " + to_string(y.shape()));
  const Tensor& weight = layers[0].weight;
  if (y.dtype() != weight.dtype() || y.device() != weight.device())
    throw DtypeError(std::string("[deconvolutional] images are ") + to_string(y.dtype()) + " on " + to_string(y.device()) +
                     ", the network " + to_string(weight.dtype()) + " on " + to_string(weight.device()) +
                     "; convert one of them with to()");
  if (!std::isfinite(sum(abs(y.detach())).item())) throw NumericError("[deconvolutional] the images have NaN or infinite values");
}

Tensor DeconvolutionalNetwork::below_down(const Tensor& v, int64_t layer, const std::vector<Maps>& below) const {
  Tensor y = v;
  for (int64_t j = layer; j-- > 0;) {
    const Tensor weight = layers[static_cast<size_t>(j)].weight.detach();
    y = conv(unpool_at(y, below[static_cast<size_t>(j)].switches), weight, {}, padded(weight));
  }
  return y;
}

Tensor DeconvolutionalNetwork::below_up(const Tensor& e, int64_t layer, const std::vector<Maps>& below) const {
  Tensor v = e;
  for (int64_t j = 0; j < layer; j++) {
    const Tensor weight = layers[static_cast<size_t>(j)].weight.detach();
    const Switches& switches = below[static_cast<size_t>(j)].switches;
    v = pool_at(conv_input(v, weight, switches.from, padded(weight)), switches);
  }
  return v;
}

Tensor DeconvolutionalNetwork::down(const Tensor& z, int64_t layer, const std::vector<Maps>& below) const {
  const Tensor weight = layers[static_cast<size_t>(layer)].weight.detach();
  return below_down(conv(z, weight, {}, padded(weight)), layer, below);
}

Tensor DeconvolutionalNetwork::up(const Tensor& e, int64_t layer, const std::vector<Maps>& below) const {
  const Tensor weight = layers[static_cast<size_t>(layer)].weight.detach(), v = below_up(e, layer, below);
  return conv_input(v, weight, {v.dim(0), v.dim(1), v.dim(2), weight.dim(2)}, padded(weight));
}

namespace {

// lambda / 2 |error|^2 + |z|_1 of each image: (N) f64.
Tensor objective_of(const Tensor& error, const Tensor& z, double lambda) {
  return reshape(image_sum(square(error)) * (lambda / 2) + image_sum(abs(z)), {z.dim(0)}).to(Dtype::f64);
}

}  // namespace

// One step of ISTA, in place: z, the error R z - y, and each image's curvature L (N, 1, 1, 1), which is raised until the step's upper bound
// holds: lambda |R d|^2 <= L |d|^2, d the change of z.
void DeconvolutionalNetwork::step(int64_t layer, const std::vector<Maps>& below, Tensor& z, Tensor& error, Tensor& curvature) const {
  const double lambda = options_.layers[static_cast<size_t>(layer)].lambda;
  const Tensor gradient = up(error, layer, below) * lambda;
  for (;;) {
    const Tensor next = soft_threshold(z - gradient / curvature, 1.0 / curvature), change = next - z;
    const Tensor moved = down(change, layer, below);
    const Tensor low = image_sum(square(moved)) * lambda > image_sum(square(change)) * curvature * (1 + 1e-5);
    if (max(low.to(z.dtype())).item() == 0) {
      z = next, error = error + moved;
      return;
    }
    curvature = select(low, curvature * 1.5, curvature);
  }
}

DeconvolutionalNetwork::Maps DeconvolutionalNetwork::infer_layer(const Tensor& y, int64_t layer, const std::vector<Maps>& below) const {
  const DeconvolutionalLayerOptions& o = options_.layers[static_cast<size_t>(layer)];
  const Shape size = layer ? below.back().switches.to : y.shape();
  Tensor z = Tensor::zeros({size[0], size[1], size[2], o.maps}, y.dtype(), y.device());
  Tensor error = -y, curvature = Tensor::full({y.dim(0), 1, 1, 1}, o.lambda, y.dtype(), y.device());
  Maps maps;
  maps.objective.push_back(objective_of(error, z, o.lambda));
  for (int64_t t = 0; t < options_.steps; t++) {
    step(layer, below, z, error, curvature);
    if (options_.refresh_switches) {
      const Pooled largest = max_pool_3d(z, o.pool, o.pool_maps);
      z = unpool_at(largest.values, largest.switches);
      error = down(z, layer, below) - y;
    }
    maps.objective.push_back(objective_of(error, z, o.lambda));
  }
  Pooled pooled = max_pool_3d(z, o.pool, o.pool_maps);
  maps.z = z, maps.pooled = pooled.values, maps.switches = std::move(pooled.switches);
  return maps;
}

std::vector<DeconvolutionalNetwork::Maps> DeconvolutionalNetwork::infer(const Tensor& y, int64_t count) const {
  const NoGrad plain;
  const Scope scope(*this);
  check(y);
  const auto all = static_cast<int64_t>(layers.size());
  if (count < 0 || count > all) throw Error("[deconvolutional] has " + std::to_string(all) + " layers, asked for " + std::to_string(count));
  std::vector<Maps> maps;
  for (int64_t layer = 0; layer < (count ? count : all); layer++) maps.push_back(infer_layer(y.detach(), layer, maps));
  return maps;
}

Tensor DeconvolutionalNetwork::reconstruct(const std::vector<Maps>& maps) const {
  if (maps.empty() || maps.size() > layers.size())
    throw Error("[deconvolutional] reconstruct wants the maps of 1 to " + std::to_string(layers.size()) + " layers, got " +
                std::to_string(maps.size()));
  const NoGrad plain;
  return down(maps.back().z, static_cast<int64_t>(maps.size()) - 1, maps);
}

// Conjugate gradients on the normal equations of min |R(weight) z - y|^2 (CGLS), from the weight as it is; then norm 1.
void DeconvolutionalNetwork::update_filters(const Tensor& y, int64_t layer, const std::vector<Maps>& below, const Tensor& z,
                                            int64_t steps) {
  const Tensor weight = layers[static_cast<size_t>(layer)].weight.detach(), before = weight.clone();
  const ConvOptions options = padded(weight);
  const auto apply = [&](const Tensor& w) { return below_down(conv(z, w, {}, options), layer, below); };
  const auto adjoint = [&](const Tensor& e) { return conv_weight(z, below_up(e, layer, below), weight.shape(), options); };
  Tensor solution = before, rest = y - apply(before), gradient = adjoint(rest), direction = gradient;
  double square_norm = total(gradient);
  for (int64_t i = 0; i < steps && square_norm > 0; i++) {
    const Tensor image = apply(direction);
    const double curvature = total(image);
    if (!(curvature > 0)) break;
    solution = solution + direction * (square_norm / curvature);
    rest = rest - image * (square_norm / curvature);
    gradient = adjoint(rest);
    const double next = total(gradient);
    direction = gradient + direction * (next / square_norm);
    square_norm = next;
  }
  weight.copy_from(solution);
  normalise(weight, before);
}

namespace {

// Rows [first, last) of the images.
std::vector<DeconvolutionalNetwork::Maps> part_of(const std::vector<DeconvolutionalNetwork::Maps>& all, int64_t first, int64_t last) {
  std::vector<DeconvolutionalNetwork::Maps> some;
  for (const auto& maps : all) {
    Switches s = maps.switches;
    s.index = s.index.rows(first, last);
    s.from[0] = s.to[0] = last - first;
    some.push_back({{}, {}, std::move(s), {}});
  }
  return some;
}

}  // namespace

std::vector<double> DeconvolutionalNetwork::learn_layer(int64_t layer, const Tensor& images, const LearnOptions& o) {
  const NoGrad plain;
  check(images);
  if (layer < 0 || layer >= static_cast<int64_t>(layers.size()))
    throw Error("[deconvolutional] has no layer " + std::to_string(layer) + "; they count from 0 to " + std::to_string(layers.size() - 1));
  if (o.epochs < 1 || o.batch < 0 || o.cg_steps < 1)
    throw Error("[deconvolutional] epochs and cg_steps must be at least 1, batch at least 0");
  if (max(images.detach()).item() == min(images.detach()).item())
    throw Error("[deconvolutional] all images have the same value everywhere; there is nothing to learn");
  const Tensor y = images.detach();
  const std::vector<Maps> below = layer ? infer(y, layer) : std::vector<Maps>();
  const int64_t n = y.dim(0), batch = o.batch ? std::min(o.batch, n) : n, batches = up_to(n, batch);
  std::vector<double> objectives;
  for (int64_t epoch = 1; epoch <= o.epochs; epoch++) {
    double objective = 0;
    for (const int64_t b :
         Random(o.seed, "deconvolutional", static_cast<uint64_t>(layer), static_cast<uint64_t>(epoch)).permutation(batches)) {
      const int64_t first = b * batch, last = std::min(n, first + batch);
      const Tensor some = y.rows(first, last);
      const std::vector<Maps> under = part_of(below, first, last);
      const Maps maps = infer_layer(some, layer, under);
      objective += sum(maps.objective.back()).item();
      update_filters(some, layer, under, maps.z, o.cg_steps);
    }
    objectives.push_back(objective / static_cast<double>(n));
    if (o.on_epoch) o.on_epoch(layer, epoch, objectives.back());
  }
  return objectives;
}

std::vector<double> DeconvolutionalNetwork::learn(const Tensor& y, const LearnOptions& options) {
  std::vector<double> all;
  for (int64_t layer = 0; layer < static_cast<int64_t>(layers.size()); layer++)
    for (const double objective : learn_layer(layer, y, options)) all.push_back(objective);
  return all;
}

}  // namespace sono
