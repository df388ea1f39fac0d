// Autoencoders, their noise and their penalties, against formulas, explicit Jacobians and finite differences.
#include "layers/autoencoder.h"

#include <cstring>

#include "tensor/parallel.h"
#include "tests/layers/check.h"

using namespace sono;
using namespace sono::tests;

namespace {

const UnitType all_units[] = {UnitType::linear, UnitType::sigmoid, UnitType::tanh, UnitType::relu};

template <class Coder>
std::unique_ptr<Coder> made(const typename Coder::Options& options) {
  set_seed(5);
  auto coder = std::make_unique<Coder>(options);
  coder->to(Dtype::f64);
  return coder;
}

Tensor in_unit_range(Shape shape, uint64_t stream) { return random_uniform(std::move(shape), 7, stream, 0.05, 0.95, Dtype::f64); }

}  // namespace

TEST_CASE("a tied weight gathers the gradients of both its uses") {
  const auto tied = made<Autoencoder>({.widths = {6, 4, 3}, .hidden = UnitType::sigmoid, .tied = true});
  const Tensor x = in_unit_range({5, 6}, 1);
  Sequential free;  // the same function with weights of its own in the decoder
  tied->append_encoder(free);
  tied->append_decoder(free);
  CHECK(distance(free(x), (*tied)(x)) < 1e-14);
  backward(reconstruction_loss((*tied)(x), x, UnitType::sigmoid));
  backward(reconstruction_loss(free(x), x, UnitType::sigmoid));
  const auto weight = [](Module& m) { return static_cast<Linear&>(m).weight; };
  for (size_t layer = 0; layer < 2; layer++) {
    const Tensor up = gradient(weight(free[2 * layer])), down = gradient(weight(free[layer == 0 ? 6 : 4]));
    CHECK(distance(gradient(weight(tied->encoder[2 * layer])), up + transpose(down)) < 1e-12);
  }
  CHECK(tied->parameters().size() == 6);  // two weights, four biases
}

TEST_CASE("gradients of autoencoders with every penalty, by finite differences") {
  const AutoencoderObjective all{.corruption = {Noise::masking, 0.3}, .kl = 0.7, .kl_target = 0.1, .l1 = 0.2, .contractive = 0.5};
  const Tensor x = in_unit_range({4, 5}, 2), image = in_unit_range({2, 4, 6, 1}, 3);
  for (const bool tied : {false, true}) {
    const auto one = made<Autoencoder>({.widths = {5, 3}, .hidden = UnitType::sigmoid, .tied = tied});
    CHECK(gradient_error([&] { return autoencoder_loss(*one, x, all, {1, 2}); }, leaves(*one)) < 1e-7);
    const auto two = made<Autoencoder>(
        {.widths = {5, 4, 3}, .hidden = UnitType::tanh, .output = UnitType::linear, .code = UnitType::sigmoid, .tied = tied});
    CHECK(gradient_error([&] { return autoencoder_loss(*two, x, all, {1, 2}); }, leaves(*two)) < 1e-7);
    const auto maps = made<ConvAutoencoder>({.widths = {1, 2, 2}, .hidden = UnitType::sigmoid, .tied = tied});
    CHECK(gradient_error([&] { return autoencoder_loss(*maps, image, all, {1, 2}); }, leaves(*maps)) < 1e-7);
  }
}

TEST_CASE("the convolutional decoder gives back the sizes; tied, it is the encoder's adjoint") {
  for (const int64_t dimensions : {1, 2, 3})
    for (const int64_t stride : {1, 2, 3}) {
      const auto coder = made<ConvAutoencoder>({.widths = {2, 3},
                                                .kernel = 5,
                                                .stride = stride,
                                                .dimensions = dimensions,
                                                .hidden = UnitType::linear,
                                                .output = UnitType::linear,
                                                .tied = true});
      Shape shape(static_cast<size_t>(dimensions), 6);
      shape.insert(shape.begin(), 2), shape.push_back(2);
      for (const auto& [path, value] : coder->state())
        if (path.find("bias") != path.npos) value.fill(0);
      const Tensor x = normal(shape, 4), code = coder->encode(x), y = normal(code.shape(), 5);
      CHECK((*coder)(x).shape() == shape);
      CHECK(code.dim(1) == 6 / stride);
      CHECK(sum(code * y).item() == doctest::Approx(sum(x * coder->decode(y)).item()).epsilon(1e-10));
      Sequential free;
      coder->append_encoder(free);
      coder->append_decoder(free);
      CHECK(distance(free(x), (*coder)(x)) < 1e-13);
    }
}

TEST_CASE("the KL penalty and its gradient are the formula's") {
  const Tensor code = leaf(in_unit_range({6, 3}, 6));
  const double target = 0.05;
  const std::vector<double> h = code.to_vector<double>();
  double value = 0;
  std::vector<double> wanted(h.size());
  for (size_t j = 0; j < 3; j++) {
    double rho = 0;
    for (size_t i = 0; i < 6; i++) rho += h[3 * i + j] / 6;
    value += target * std::log(target / rho) + (1 - target) * std::log((1 - target) / (1 - rho));
    for (size_t i = 0; i < 6; i++) wanted[3 * i + j] = (-target / rho + (1 - target) / (1 - rho)) / 6;
  }
  CHECK(kl_sparsity(code, target).item() == doctest::Approx(value).epsilon(1e-12));
  CHECK(distance(grad(kl_sparsity(code, target), {code})[0], Tensor::from<double>({6, 3}, wanted)) < 1e-12);
  CHECK(kl_sparsity(Tensor::full({4, 2}, 0.3, Dtype::f64), 0.3).item() == doctest::Approx(0).epsilon(1e-12));
  CHECK(std::isfinite(kl_sparsity(Tensor::zeros({4, 2}), 0.05).item()));  // dead units
}

TEST_CASE("contractive penalties equal the squared norm of the explicit Jacobian") {
  for (const UnitType units : all_units) {
    const auto coder = made<Autoencoder>({.widths = {5, 4}, .hidden = units});
    const Tensor x = normal({3, 5}, 8), weight = static_cast<Linear&>(coder->encoder[0]).weight;
    const double h = 1e-5;
    double wanted = 0;  // over the samples, by central differences
    for (int64_t i = 0; i < 5; i++) {
      const Tensor up = x.clone(), down = x.clone();
      for (int64_t n = 0; n < 3; n++) up.data<double>()[5 * n + i] += h, down.data<double>()[5 * n + i] -= h;
      wanted += sum(square((coder->encode(up) - coder->encode(down)) / (2 * h))).item() / 3;
    }
    CHECK(contractive_penalty(coder->encode(x), weight, units).item() == doctest::Approx(wanted).epsilon(1e-7));
    CHECK(jacobian_penalty([&](const Tensor& v) { return coder->encode(v); }, x).item() == doctest::Approx(wanted).epsilon(1e-7));
    const Tensor analytic = grad(contractive_penalty(coder->encode(x), weight, units), {weight})[0];
    const Tensor automatic = grad(jacobian_penalty([&](const Tensor& v) { return coder->encode(v); }, x), {weight})[0];
    CHECK(distance(analytic, automatic) < 1e-11);
  }
}

TEST_CASE("noise: how much, of what kind, the same on any number of threads") {
  const Tensor x = Tensor::full({200, 500}, 0.5);
  const auto share = [](const Tensor& t, double value) { return mean(equal(t, Tensor::full({}, value)).to(Dtype::f64)).item(); };
  const double sigma = std::sqrt(0.3 * 0.7 / 1e5);
  const Tensor masked = corrupt(x, {Noise::masking, 0.3}, 1, 2);
  CHECK(share(masked, 0) == doctest::Approx(0.3).epsilon(5 * sigma / 0.3));
  CHECK(share(masked, 0) + share(masked, 0.5) == 1);
  const Tensor salted = corrupt(x, {Noise::salt_and_pepper, 0.3, -1, 2}, 1, 2);
  CHECK(share(salted, -1) == doctest::Approx(0.15).epsilon(5 * sigma / 0.15));
  CHECK(share(salted, 2) == doctest::Approx(0.15).epsilon(5 * sigma / 0.15));
  CHECK(share(salted, -1) + share(salted, 2) + share(salted, 0.5) == doctest::Approx(1).epsilon(1e-12));
  const Tensor blurred = corrupt(x, {Noise::gaussian, 0.2}, 1, 2) - 0.5;
  CHECK(std::abs(mean(blurred).item()) < 5 * 0.2 / std::sqrt(1e5));
  CHECK(mean(square(blurred)).item() == doctest::Approx(0.04).epsilon(0.03));
  CHECK(corrupt(x, {}, 1, 2).shares_memory_with(x));

  const Tensor kept = leaf(x);
  CHECK(distance(grad(sum(corrupt(kept, {Noise::masking, 0.3}, 1, 2)), {kept})[0], (masked > 0.0).to(Dtype::f32)) == 0);
  const int before = threads();
  for (const Noise noise : {Noise::masking, Noise::salt_and_pepper, Noise::gaussian}) {
    set_threads(1);
    const Tensor one = corrupt(x, {noise, 0.25}, 3, 4);
    set_threads(2);
    const Tensor two = corrupt(x, {noise, 0.25}, 3, 4);
    CHECK(std::memcmp(one.raw(), two.raw(), static_cast<size_t>(one.bytes())) == 0);
    CHECK(distance(corrupt(x, {noise, 0.25}, 3, 5), one) > 0);
  }
  set_threads(before);

  Corrupt layer({.noise = Noise::masking, .amount = 0.5});
  CHECK(distance(layer(x), x) > 0);
  CHECK(distance(layer(x), layer(x)) > 0);  // the next stream
  layer.eval();
  CHECK(distance(layer(x), x) == 0);
}

namespace {

// 8 x 8 images of two bars each, one across and one down: 64 combinations of places.
Tensor bars(int64_t n, uint64_t stream) {
  Random random(3, stream);
  const Tensor x = Tensor::zeros({n, 64});
  for (int64_t i = 0; i < n; i++) {
    const int64_t row = random.below(8), column = random.below(8);
    for (int64_t k = 0; k < 8; k++) x.data<float>()[64 * i + 8 * row + k] = x.data<float>()[64 * i + 8 * k + column] = 1;
  }
  return x;
}

// What is left wrong of corrupted held-out images, mean per value, after training with this objective.
double restored(const AutoencoderObjective& objective) {
  set_seed(2);
  Autoencoder coder({.widths = {64, 48}, .hidden = UnitType::sigmoid, .tied = true});
  const Tensor x = bars(200, 1);
  std::vector<Tensor> momentum;
  for (uint64_t step = 0; step < 300; step++) {
    coder.zero_gradients();
    backward(autoencoder_loss(coder, x, objective, {9, step}));
    size_t k = 0;
    for (const auto& p : coder.parameters()) {
      if (step == 0) momentum.push_back(Tensor::zeros(p.value->shape()));
      const NoGrad plain;
      momentum[k] = momentum[k] * 0.9 + gradient(*p.value);
      p.value->detach().copy_from(p.value->detach() - momentum[k] * 0.02);
      k++;
    }
  }
  const NoGrad plain;
  const Tensor held = bars(100, 2), noisy = corrupt(held, {Noise::masking, 0.3}, 11, 0);
  return mean(square(coder.reconstruct(noisy) - held)).item();
}

}  // namespace

TEST_CASE("an autoencoder that learnt from noise restores corrupted held-out images better than one that did not") {
  const Tensor held = bars(100, 2);
  const double nothing = mean(square(corrupt(held, {Noise::masking, 0.3}, 11, 0) - held)).item();
  const double plain = restored({}), denoising = restored({.corruption = {Noise::masking, 0.3}});
  MESSAGE("error per value: corrupted ", nothing, ", plain ", plain, ", denoising ", denoising);
  CHECK(denoising < 0.7 * plain);
  CHECK(denoising < 0.7 * nothing);
}

TEST_CASE("autoencoders refuse what they cannot use") {
  const Autoencoder coder({.widths = {4, 3}});
  const Tensor x = Tensor::from<float>({1, 4}, {0, 0.5, 1, 1.7F});
  CHECK(
      message([&] { autoencoder_loss(coder, x); }) ==
      "[reconstruction_loss] cross-entropy needs values in [0, 1], got 1.700000; scale the data, or use squared error with linear outputs");
  CHECK(contains(message([] { Autoencoder({.widths = {4}}); }), "at least two values"));
  CHECK(contains(message([&] { kl_sparsity(-x); }), "must lie in [0, 1], got -1.7"));
  CHECK(contains(message([&] { kl_sparsity(x, 1.5); }), "target must lie in (0, 1)"));
  CHECK(contains(message([&] { corrupt(x, {Noise::masking, 1.5}, 1, 1); }), "must be a probability in [0, 1], got 1.5"));
  CHECK(contains(message([&] { corrupt(x.to(Dtype::u8), {Noise::masking, 0.5}, 1, 1); }), "[corrupt]"));
  CHECK(contains(message([&] { ConvAutoencoder().encode(Tensor({1, 6, 8, 1})); }), "with sizes that 4 divides, got (1, 6, 8, 1)"));
  CHECK(contains(message([] { ConvAutoencoder({.kernel = 4}); }), "kernel must be odd"));
  CHECK(contains(message([&] { contractive_penalty(x, Tensor({4, 3}), UnitType::sigmoid); }), "do not belong together"));
  const Autoencoder linear({.widths = {4, 3}, .output = UnitType::linear});
  CHECK(contains(message([&] { autoencoder_loss(linear, x, {.reconstruction = ReconstructionLoss::cross_entropy}); }),
                 "needs sigmoid outputs"));
}
