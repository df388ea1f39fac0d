// Canonical correlation against closed forms, scikit-learn's CCA and finite differences; what two networks find and linear CCA cannot.
#include "layers/deep_cca.h"

#include "tests/layers/check.h"

using namespace sono;
using namespace sono::tests;

namespace {

double correlation(const std::vector<double>& a, const std::vector<double>& b) {
  const double n = static_cast<double>(a.size());
  double ma = 0, mb = 0, ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); i++) ma += a[i] / n, mb += b[i] / n;
  for (size_t i = 0; i < a.size(); i++) ab += (a[i] - ma) * (b[i] - mb), aa += (a[i] - ma) * (a[i] - ma), bb += (b[i] - mb) * (b[i] - mb);
  return ab / std::sqrt(aa * bb);
}

}  // namespace

TEST_CASE("the trace norm's gradient, of both views, by finite differences") {
  const std::pair<int64_t, int64_t> widths[] = {{3, 3}, {2, 4}, {4, 2}, {1, 3}};
  for (const auto& [d1, d2] : widths) {
    const Tensor common = normal({9, 1}, 1), h1 = leaf(normal({9, d1}, 2) + common), h2 = leaf(normal({9, d2}, 3) - common * 0.5);
    for (const int64_t k : {int64_t{0}, int64_t{1}})
      CHECK(gradient_error([&] { return canonical_correlation(h1, h2, {.r1 = 1e-3, .r2 = 2e-2, .top_k = k}); }, {h1, h2}) < 1e-7);
  }
  const Tensor h = leaf(normal({8, 2}, 4)), g = normal({8, 2}, 5);  // as the end of a network
  CHECK(gradient_error([&] { return canonical_correlation(tanh(h), sin(h) * g) * 3.0; }, {h}) < 1e-7);
}

TEST_CASE("one value per view: the magnitude of Pearson's correlation") {
  const Tensor a = normal({20, 1}, 1), b = normal({20, 1}, 2) - a * 0.7;
  const double wanted = std::abs(correlation(a.to_vector<double>(), b.to_vector<double>()));
  CHECK(canonical_correlation(a, b, {.r1 = 0, .r2 = 0}).item() == doctest::Approx(wanted).epsilon(1e-12));
}

TEST_CASE("linearly related views correlate fully, independent ones hardly, linear maps change nothing") {
  const Tensor x = normal({400, 4}, 1), map = normal({4, 4}, 2);
  const CanonicalCorrelationOptions plain{.r1 = 0, .r2 = 0};
  CHECK(canonical_correlation(x, matmul(x, map) + 3.0, plain).item() == doctest::Approx(4).epsilon(1e-9));
  CHECK(canonical_correlation(x, matmul(x, map), {.r1 = 0, .r2 = 0, .top_k = 3}).item() == doctest::Approx(3).epsilon(1e-9));
  const Tensor other = normal({400, 4}, 3);
  const Tensor few = canonical_correlations(x, other, plain);
  CHECK(few.at({0}) < 0.25);  // about (sqrt(4) + sqrt(4)) / sqrt(400) at most
  CHECK(canonical_correlation(x, other, plain).item() == doctest::Approx(sum(few).item()).epsilon(1e-12));
  CHECK(canonical_correlation(matmul(x, map), other, plain).item() == doctest::Approx(sum(few).item()).epsilon(1e-8));
  // the sum of singular values, not the root of the sum of their squares
  CHECK(canonical_correlation(x, matmul(x, map), plain).item() > 1.9 * std::sqrt(4));
}

TEST_CASE("equals scikit-learn's CCA") {
  const Golden golden("cca");
  const Tensor x1 = golden["x1"], x2 = golden["x2"];
  LinearCca cca;
  cca.fit(x1, x2, {.components = 3, .r1 = 0, .r2 = 0});
  CHECK(distance(cca.correlations(), golden["correlations"]) < 1e-6);
  const auto [p1, p2] = cca.transform(golden["test1"], golden["test2"]);
  for (int64_t k = 0; k < 3; k++) {  // each projection up to sign and scale
    const auto column = [k](const Tensor& t) { return slice(t, 1, k, k + 1).to_vector<double>(); };
    CHECK(std::abs(correlation(column(p1), column(golden["projected1"]))) > 1 - 1e-6);
    CHECK(std::abs(correlation(column(p2), column(golden["projected2"]))) > 1 - 1e-6);
  }
}

TEST_CASE("projections have variance 1, are uncorrelated, and pair up; a saved CCA is the same") {
  const Tensor common = normal({60, 2}, 1), x1 = matmul(common, normal({2, 5}, 2)) + normal({60, 5}, 3),
               x2 = matmul(common, normal({2, 3}, 4)) + normal({60, 3}, 5);
  LinearCca cca;
  cca.fit(x1, x2, {.r1 = 0, .r2 = 0});
  const auto [p1, p2] = cca.transform(x1, x2);
  const auto covariance = [](const Tensor& a, const Tensor& b) { return matmul(a - mean(a, {0}), b - mean(b, {0}), true) / 59.0; };
  const Tensor one = one_hot(Tensor::arange(3, Dtype::i32), 3, Dtype::f64);
  CHECK(distance(covariance(p1, p1), one) < 1e-9);
  CHECK(distance(covariance(p2, p2), one) < 1e-9);
  CHECK(distance(covariance(p1, p2), one * cca.correlations()) < 1e-9);
  LinearCca read;
  read.load(cca.state());
  CHECK(distance(read.transform1(x1), p1) == 0);
  CHECK(distance(cca.transform1(x1.to(Dtype::f32)).to(Dtype::f64), p1) < 1e-5);
}

TEST_CASE("two networks find a relation that linear CCA does not see, on held-out cases") {
  set_seed(4);
  const auto views = [](int64_t n, uint64_t stream) {  // an angle seen as (cos a, noise) and (cos 2a, noise)
    const Tensor a = random_uniform({n, 1}, 7, stream, 0, 6.283185307);
    return std::pair{concat({cos(a), random_normal({n, 1}, 7, stream + 1)}, 1),
                     concat({cos(a * 2.0), random_normal({n, 1}, 7, stream + 2)}, 1)};
  };
  const auto [x1, x2] = views(400, 10);
  const auto [t1, t2] = views(400, 20);
  LinearCca linear;
  linear.fit(x1, x2, {.components = 1});
  const auto [l1, l2] = linear.transform(t1, t2);
  DeepCca net({.in1 = 2, .in2 = 2, .hidden = {16}, .out = 1, .units = UnitType::tanh});
  for (int step = 0; step < 400; step++) {
    net.zero_gradients();
    const auto [h1, h2] = net(x1, x2);
    backward(-canonical_correlation(h1, h2, {.r1 = 1e-3, .r2 = 1e-3}));
    const NoGrad plain;
    for (const auto& p : net.parameters()) p.value->detach().copy_from(p.value->detach() - gradient(*p.value) * 0.5);
  }
  const NoGrad plain;
  const auto [h1, h2] = net(t1, t2);
  const double shallow = std::abs(correlation(l1.to_vector<double>(), l2.to_vector<double>()));
  const double deep = std::abs(correlation(h1.to_vector<double>(), h2.to_vector<double>()));
  MESSAGE("held-out correlation: linear ", shallow, ", deep ", deep);
  CHECK(shallow < 0.3);
  CHECK(deep > 0.8);
}

TEST_CASE("canonical correlation refuses what it cannot use") {
  const Tensor x = normal({6, 2}, 1), y = normal({6, 3}, 2);
  CHECK(message([&] {
          canonical_correlation(x, normal({5, 3}, 2));
        }) == "[canonical_correlation] expected two views (N, d1) and (N, d2) of the same samples, got (6, 2) and (5, 3)");
  CHECK(contains(message([&] { canonical_correlation(x, y, {.top_k = 3}); }), "top_k must be from 0 to 2"));
  CHECK(contains(message([&] { canonical_correlation(x.rows(0, 1), y.rows(0, 1)); }), "at least two samples"));
  CHECK(contains(message([&] {
                   canonical_correlation(x, Tensor::ones({6, 3}, Dtype::f64), {.r2 = 0});
                 }),
                 "covariance of the second view is singular"));
  CHECK(contains(message([&] { canonical_correlation(x, y / 0.0); }), "the second view has NaN or infinite values"));
  CHECK(contains(message([&] { canonical_correlation(x, y.to(Dtype::f32)); }), "different dtypes"));
  CHECK(contains(message([&] { LinearCca().transform1(x); }), "fit it"));
  const Tensor h = leaf(x);
  CHECK(contains(message([&] { grad(canonical_correlation(h, y), {h}, true); }), "no second derivative"));
}
