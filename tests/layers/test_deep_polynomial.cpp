// Deep polynomial networks: what their bases span, what replay gives, what they refuse.
#include "layers/deep_polynomial.h"

#include <cstring>

#include "tests/folder.h"
#include "tests/layers/check.h"

using namespace sono;
using namespace sono::tests;

namespace {

const Tensor& named(const State& state, const std::string& name) {
  for (const auto& [key, value] : state)
    if (key == name) return value;
  throw Error("no " + name);
}
bool has(const State& state, const std::string& name) {
  return std::any_of(state.begin(), state.end(), [&](const auto& entry) { return entry.first == name; });
}

// The units of one sample straight from the definition and the saved tensors: value by value, with plain loops.
std::vector<double> evaluated(const State& state, const std::vector<double>& x) {
  std::vector<double> z, all;
  for (size_t j = 0; j < x.size(); j++)
    z.push_back((x[j] - named(state, "mean").data<double>()[j]) / named(state, "deviation").data<double>()[j]);
  const Tensor& first = named(state, "first");
  for (int64_t k = 0; k < first.dim(1); k++) {
    double value = 0;
    for (int64_t j = 0; j < first.dim(0); j++) value += z[static_cast<size_t>(j)] * first.at({j, k});
    all.push_back(value);
  }
  size_t below = 0;
  for (int t = 2; has(state, "layer" + std::to_string(t) + ".pairs"); t++) {
    const std::string prefix = "layer" + std::to_string(t) + ".";
    const Tensor &pairs = named(state, prefix + "pairs"), &scale = named(state, prefix + "scale"),
                 &c = named(state, prefix + "coefficients");
    const size_t here = all.size();
    for (int64_t k = 0; k < pairs.dim(0); k++) {
      const auto i = static_cast<size_t>(pairs.at({k, 0})), j = static_cast<size_t>(pairs.at({k, 1}));
      double value = scale.at({k}) * all[below + i] * all[j] - c.at({0, k});
      const size_t before = all.size();
      for (size_t u = 0; u < before; u++) value -= all[u] * c.at({static_cast<int64_t>(u) + 1, k});
      all.push_back(value);
    }
    below = here;
  }
  return all;
}

Tensor classes_of(const Tensor& values) { return (values > 0.0).to(Dtype::i32); }

double accuracy(const Tensor& scores, const Tensor& labels) {
  return mean(equal(argmax(scores).to(Dtype::f64), labels.to(Dtype::f64)).to(Dtype::f64)).item();
}

}  // namespace

TEST_CASE("degree 2 without a width spans all quadratics") {
  const int64_t d = 4;
  const Tensor x = normal({60, d}, 1);
  Tensor y = Tensor::full({60, 1}, 0.7, Dtype::f64);  // a random quadratic
  const Tensor linear = normal({d, 1}, 2), bent = normal({d, d}, 3);
  const auto quadratic = [&](const Tensor& v) { return matmul(v, linear) + sum(matmul(v, bent) * v, {1}, true) + 0.7; };
  DeepPolynomial network({.degree = 2, .ridge = 0});
  network.fit(x, quadratic(x));
  CHECK(network.widths() == std::vector<int64_t>{d, d * (d + 1) / 2});
  CHECK(distance(network.predict(x), quadratic(x)) < 1e-10);
  const Tensor other = normal({30, d}, 4) * 2.0;
  CHECK(distance(network.predict(other), quadratic(other)) < 1e-9);
  DeepPolynomial flat({.degree = 1, .ridge = 0});  // a linear one does not
  flat.fit(x, quadratic(x));
  CHECK(distance(flat.predict(x), quadratic(x)) > 0.1);
}

TEST_CASE("units are orthogonal to each other and to the constant, of mean square 1") {
  DeepPolynomial network({.degree = 3, .width = 9});
  const Tensor x = normal({50, 5}, 1);
  network.fit(x, classes_of(slice(x, 1, 0, 1) * slice(x, 1, 1, 2)).view({50}));
  const Tensor f = network.features(x);
  CHECK(f.shape() == Shape{50, 5 + 9 + 9});
  const Tensor gram = matmul(f, f, true) / 50.0;
  CHECK(distance(gram, one_hot(Tensor::arange(23, Dtype::i32), 23, Dtype::f64)) < 1e-9);
  CHECK(max(abs(mean(f, {0}))).item() < 1e-10);
  CHECK(distance(concat(network.layers(x), 1), f) == 0);
}

TEST_CASE("a basis that spans the samples fits any labels exactly") {
  const Tensor x = normal({15, 3}, 1), y = normal({15, 2}, 9);  // values that have nothing to do with x
  DeepPolynomial network({.degree = 6, .ridge = 0});
  network.fit(x, y);
  CHECK(network.columns() == 14);
  CHECK(distance(network.predict(x), y) < 1e-8);
  Tensor labels({15}, Dtype::i32);
  for (int64_t i = 0; i < 15; i++) labels.data<int32_t>()[i] = static_cast<int32_t>((i * 7) % 3);
  network.fit(x, labels);
  CHECK(accuracy(network.predict(x), labels) == 1);
}

TEST_CASE("replay on new samples equals direct evaluation, and is of the degree that it says") {
  const Tensor x = normal({40, 4}, 1), test = normal({6, 4}, 2);
  DeepPolynomial network({.degree = 4, .first = 3, .width = 6});
  network.fit(x, classes_of(sum(x, {1})));
  CHECK(network.widths() == std::vector<int64_t>{3, 6, 6, 6});
  const Tensor f = network.features(test);
  for (int64_t i = 0; i < 6; i++) {
    const std::vector<double> direct = evaluated(network.state(), test.rows(i, i + 1).to_vector<double>());
    CHECK(distance(Tensor::from<double>({1, 21}, direct), f.rows(i, i + 1)) < 1e-10);
  }
  // Along a line the differences of order t + 1 of layer t vanish, those of order t do not.
  std::vector<Tensor> points;
  for (int k = 0; k < 7; k++) points.push_back(test.rows(0, 1) + (test.rows(1, 2) - test.rows(0, 1)) * (0.5 * k));
  const std::vector<Tensor> layers = network.layers(concat(points, 0));
  for (int64_t t = 1; t <= 4; t++) {
    Tensor v = layers[static_cast<size_t>(t - 1)];
    const double size = max(abs(v)).item();
    for (int64_t order = 1; order <= t; order++) v = slice(v, 0, 1, v.dim(0)) - slice(v, 0, 0, v.dim(0) - 1);
    CHECK(max(abs(v)).item() > 1e-4 * size);
    v = slice(v, 0, 1, v.dim(0)) - slice(v, 0, 0, v.dim(0) - 1);
    CHECK(max(abs(v)).item() < 1e-9 * size);
  }
}

TEST_CASE("units chosen by the targets explain them better than units chosen without") {
  const Tensor x = normal({300, 8}, 1), y = slice(x, 1, 0, 1) * slice(x, 1, 1, 2) - slice(x, 1, 2, 3) * slice(x, 1, 5, 6);
  DeepPolynomial wise({.degree = 2, .width = 6, .ridge = 0}), blind({.degree = 2, .width = 6});
  wise.fit(x, y);
  blind.fit(x);
  const auto explained = [&](const DeepPolynomial& network) {  // the units are orthogonal: parts add up
    const Tensor f = network.features(x), along = matmul(f, y, true) / 300.0;
    return sum(square(along)).item() / mean(square(y)).item();
  };
  CHECK(explained(wise) == doctest::Approx(1 - mean(square(wise.predict(x) - y)).item() / mean(square(y)).item()).epsilon(0.05));
  MESSAGE("explained by units chosen with targets ", explained(wise), ", without ", explained(blind));
  CHECK(explained(wise) > explained(blind) + 0.2);
}

TEST_CASE("a stack learns what a single network of its degree cannot, on held-out samples") {
  const auto labels_of = [](const Tensor& x) {  // the sign of a product of four
    return classes_of(slice(x, 1, 0, 1) * slice(x, 1, 1, 2) * slice(x, 1, 2, 3) * slice(x, 1, 3, 4)).view({x.dim(0)});
  };
  const Tensor x = normal({600, 4}, 1), test = normal({400, 4}, 2);
  DeepPolynomial single({.degree = 2});
  single.fit(x, labels_of(x));
  StackedDeepPolynomial stack({{.degree = 2}, {.degree = 2}});
  stack.fit(x, labels_of(x));
  CHECK(stack[1].inputs() == 4 + 10);
  CHECK(stack.columns() == 4 + 10 + 20 + 35);  // all monomials of degree 1 to 4
  const double one = accuracy(single.predict(test), labels_of(test)), two = accuracy(stack.predict(test), labels_of(test));
  MESSAGE("held-out accuracy: one network ", one, ", stack ", two);
  CHECK(two > 0.64);
  CHECK(two > one + 0.15);

  StackedDeepPolynomial narrow({{.degree = 2}, {.degree = 2, .first = 4, .width = 10}});
  narrow.fit(x, labels_of(x));
  CHECK(narrow[1].inputs() == 4);
  CHECK(narrow.features(test).shape() == Shape{400, 14});
  CHECK(concat(narrow.layers(test), 1).shape() == Shape{400, 14});
}

TEST_CASE("a saved network and stack predict the same bits; damaged states are refused") {
  const Tensor x = normal({40, 4}, 1), test = normal({9, 4}, 2);
  StackedDeepPolynomial stack({{.degree = 2}, {.degree = 2, .first = 5, .width = 4}});
  stack.fit(x, classes_of(slice(x, 1, 0, 1)).view({40}));
  const Folder folder("polynomial");
  const std::string path = folder / "network.safetensors";
  write_safetensors(path, stack.state());
  StackedDeepPolynomial read({{.degree = 2}, {.degree = 2, .first = 5, .width = 4}});
  CHECK(contains(message([&] { read.predict(test); }), "fit the stack, or load"));
  read.load(read_safetensors(path).tensors);
  CHECK(distance(read.predict(test), stack.predict(test)) == 0);
  CHECK(distance(read.features(test.to(Dtype::f32)).to(Dtype::f64), stack.features(test)) < 1e-4);

  DeepPolynomial single({.degree = 2});
  State state = stack[0].state();
  single.load(state);
  CHECK(single.columns() == stack[0].columns());
  for (auto& [name, value] : state)
    if (name == "layer2.pairs") value = (value.to(Dtype::f64) + 50.0).to(Dtype::i32);
  CHECK(contains(message([&] { single.load(state); }), "'layer2.pairs' is missing or does not fit"));
  state.pop_back();
  CHECK(contains(message([&] { single.load(state); }), "missing"));
}

TEST_CASE("deep polynomial networks refuse what they cannot use") {
  DeepPolynomial network({.degree = 2});
  const Tensor x = normal({6, 3}, 1), labels = classes_of(slice(x, 1, 0, 1)).view({6});
  const auto fit = [&](const Tensor& v, const Tensor& y) { return message([&] { network.fit(v, y); }); };
  CHECK(contains(fit(x.rows(0, 1), {}), "needs at least two samples"));
  CHECK(
      fit(normal({3, 5}, 1), {}) ==
      "[deep_polynomial] 5 units of layer 1 and the constant need at least 6 samples, got 3; give more samples, or set first to at most 2");
  const Tensor flat = x.clone(), broken = x.clone();
  for (int64_t i = 0; i < 6; i++) flat.data<double>()[3 * i + 1] = 4.2;
  CHECK(fit(flat, labels) == "[deep_polynomial] input 1 has the same value in all samples; leave it out");
  broken.data<double>()[3 * 4 + 2] = NAN;
  CHECK(contains(fit(broken, labels), "sample 4 has NaN or infinite values"));
  CHECK(contains(fit(x, Tensor::zeros({6}, Dtype::i32)), "all samples are of class 0"));
  CHECK(contains(fit(x, Tensor::zeros({5}, Dtype::i32)), "targets must be (6) i32 classes"));
  CHECK(contains(fit(x, Tensor::full({6, 1}, INFINITY)), "the targets have NaN or infinite values"));
  CHECK(contains(message([&] { network.predict(x); }), "fit it"));
  network.fit(x);
  CHECK(contains(message([&] { network.predict(x); }), "was fitted without targets"));
  CHECK(contains(message([&] { network.features(normal({2, 4}, 1)); }), "was fitted to 3 inputs, got samples of 4"));
  CHECK(contains(message([] { DeepPolynomial({.degree = 0}); }), "degree must be at least 1"));
}
