// Heads, rankings, codebooks, PCA, NMF and paired tests against scikit-learn and scipy (golden_heads.json, made by golden_heads.py), closed
// forms and brute force.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "tensor/parallel.h"
#include "tensor/random.h"
#include "tests/message.h"
#include "zoo/heads/calibration.h"
#include "zoo/heads/codebook.h"
#include "zoo/heads/folds.h"
#include "zoo/heads/grid_search.h"
#include "zoo/heads/kernel_matrix.h"
#include "zoo/heads/lda.h"
#include "zoo/heads/mkl.h"
#include "zoo/heads/nmf.h"
#include "zoo/heads/pca.h"
#include "zoo/heads/ranking.h"
#include "zoo/heads/spatial_pyramid.h"
#include "zoo/heads/svm.h"
#include "zoo/metrics/classification.h"
#include "zoo/metrics/comparison.h"

using namespace sono;
using namespace sono::zoo;
using nlohmann::json;
using sono::tests::contains, sono::tests::message;

namespace {

const json& golden() {
  static const json all = json::parse(read_file(std::string(SONO_SOURCE_DIR) + "/tests/zoo/golden_heads.json"));
  return all;
}

Tensor table_of(const json& values, int64_t columns) {
  const std::vector<float> v = values.get<std::vector<float>>();
  return Tensor::from<float>({static_cast<int64_t>(v.size()) / columns, columns}, v);
}

Cases cases_of(const json& g) { return {table_of(g.at("x"), g.at("features")), g.at("y").get<std::vector<int>>(), g.at("classes"), {}}; }

double largest_difference(const Tensor& t, const json& expected) {
  const std::vector<double> a = t.to_vector<double>(), b = expected.get<std::vector<double>>();
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (size_t i = 0; i < a.size(); i++) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

std::unique_ptr<Head> head_with(const std::string& name, const Choice& settings) {
  auto head = make_head(name);
  for (const auto& [key, value] : settings) head->settings().set(key, value);
  return head;
}

// Two clouds; the first of the features tells them apart, the others are noise. `each` cases per patient, one category each.
Cases clouds(int64_t n, int64_t features, double shift, uint64_t seed, int64_t each = 1) {
  Random random(seed, "clouds");
  Cases cases{Tensor({n, features}), {}, 2, {}};
  for (int64_t i = 0; i < n; i++) {
    cases.groups.push_back(i / each);
    cases.y.push_back(static_cast<int>(i / each % 2));
    for (int64_t j = 0; j < features; j++)
      cases.x.data<float>()[i * features + j] = static_cast<float>(random.normal() + (j == 0 && cases.y.back() ? shift : 0));
  }
  return cases;
}

double accuracy_of(const Head& head, const Cases& cases) {
  const std::vector<int> found = head.predict(cases.x);
  double right = 0;
  for (size_t i = 0; i < found.size(); i++) right += found[i] == cases.y[i];
  return right / static_cast<double>(found.size());
}

}  // namespace

TEST_CASE("heads: scores and probabilities of scikit-learn") {
  for (const char* set : {"two", "three"}) {
    CAPTURE(set);
    const json& g = golden().at(set);
    const Cases cases = cases_of(g);
    const Tensor test = table_of(g.at("test"), cases.x.dim(1));
    const auto check_svm = [&](const char* key, const std::string& name, const Choice& settings, double sign) {
      CAPTURE(key);
      auto head = head_with(name, settings);
      head->fit(cases);
      Tensor scores = dynamic_cast<SvmHead&>(*head).decisions(test);
      for (int64_t i = 0; i < scores.size(); i++) scores.data<double>()[i] *= sign;
      CHECK(largest_difference(scores, g.at(key)) < 1e-4);
    };
    const double turn = cases.classes == 2 ? -1 : 1;  // scikit-learn turns the only pair around
    check_svm("rbf", "svm", {{"C", "2"}, {"tolerance", "1e-8"}}, turn);
    check_svm("linear", "svm", {{"kernel", "linear"}, {"C", "0.5"}, {"tolerance", "1e-8"}}, turn);
    check_svm("linear_svm", "linear-svm", {{"C", "0.7"}, {"tolerance", "1e-9"}}, 1);
    if (cases.classes == 2) check_svm("balanced", "svm", {{"gamma", "0.05"}, {"balanced", "true"}, {"tolerance", "1e-8"}}, turn);

    const auto check = [&](const char* key, const std::string& name, const Choice& settings, double tolerance) {
      CAPTURE(key);
      auto head = head_with(name, settings);
      head->fit(cases);
      CHECK(largest_difference(head->probabilities(test), g.at(key)) < tolerance);
    };
    check("lda_auto", "lda", {}, 1e-5);
    check("lda_fixed", "lda", {{"shrinkage", "0.3"}}, 1e-5);
    check("lda_none", "lda", {{"shrinkage", "0"}}, 1e-5);
    check("knn_uniform", "knn", {}, 1e-6);
    check("knn_distance", "knn", {{"weights", "distance"}}, 1e-5);
    check("logistic", "logistic", {{"C", "0.8"}}, 1e-4);
    CHECK(std::abs(ledoit_wolf(cases.x) - g.at("ledoit_wolf").get<double>()) < 1e-8);
  }
}

TEST_CASE("heads: probabilities add up to 1, beat chance on held-out cases, and come back from their tensors") {
  const json& g = golden().at("three");
  const Cases cases = cases_of(g);
  for (const std::string& name : head_names()) {
    CAPTURE(name);
    auto head = make_head(name);
    CHECK(contains(message([&] { head->probabilities(cases.x); }), "call fit first"));
    std::vector<int64_t> train, held_out;
    for (int64_t i = 0; i < cases.size(); i++) (i % 3 ? train : held_out).push_back(i);
    head->fit(subset(cases, train));
    const Cases others = subset(cases, held_out);
    const Tensor p = head->probabilities(others.x);
    for (int64_t i = 0; i < p.dim(0); i++) CHECK(std::abs(p.at({i, 0}) + p.at({i, 1}) + p.at({i, 2}) - 1) < 1e-5);
    CHECK(accuracy_of(*head, others) > 0.55);  // the most frequent category: 0.44
    const auto copy = load_head(json::parse(head->describe().dump()), head->tensors());
    CHECK(copy->probabilities(others.x).to_vector<float>() == p.to_vector<float>());
    CHECK(contains(message([&] { head->probabilities(Tensor::zeros({2, 4})); }), "learnt 5 features, got x (2, 4)"));
    NamedTensors damaged = head->tensors();
    damaged.front().second = Tensor::zeros({1, 1}, damaged.front().second.dtype());
    CHECK_THROWS_AS(load_head(head->describe(), damaged), Error);
  }
}

TEST_CASE("heads: the same bits with 1 and 2 threads, and when run again") {
  const Cases cases = clouds(60, 4, 1.5, 3, 2);
  for (const std::string& name : head_names()) {
    CAPTURE(name);
    std::vector<std::vector<float>> results;
    for (const int n : {1, 2, 2}) {
      set_threads(n);
      auto head = make_head(name);
      head->fit(cases);
      results.push_back(head->probabilities(cases.x).to_vector<float>());
    }
    set_threads(0);
    CHECK(results[0] == results[1]);
    CHECK(results[1] == results[2]);
  }
}

TEST_CASE("a forest learns what no line separates, from its seed") {
  Random random(1, "exclusive or");
  const auto draw = [&](int64_t n) {
    Cases c{Tensor({n, 3}), {}, 2, {}};
    for (int64_t i = 0; i < n; i++) {
      float* row = c.x.data<float>() + 3 * i;
      for (int k = 0; k < 3; k++) row[k] = static_cast<float>(random.normal());
      c.y.push_back(row[0] * row[1] > 0);
    }
    return c;
  };
  const Cases cases = draw(400), others = draw(400);
  auto forest = make_head("forest"), again = make_head("forest"), other = head_with("forest", {{"seed", "7"}}),
       line = make_head("logistic");
  for (Head* head : {forest.get(), again.get(), other.get(), line.get()}) head->fit(cases);
  CHECK(accuracy_of(*forest, others) > 0.9);
  CHECK(accuracy_of(*line, others) < 0.6);
  CHECK(forest->probabilities(others.x).to_vector<float>() == again->probabilities(others.x).to_vector<float>());
  CHECK(forest->probabilities(others.x).to_vector<float>() != other->probabilities(others.x).to_vector<float>());
  CHECK(contains(message([&] { head_with("forest", {{"tries", "4"}})->fit(cases); }), "cannot try 4 of 3 features"));
  NamedTensors damaged = forest->tensors();
  damaged.back().second = Tensor::from<uint8_t>({3}, {1, 2, 3});
  CHECK(contains(message([&] { load_head(forest->describe(), damaged); }), "the file is damaged"));
}

TEST_CASE("heads: bad input is refused in one line") {
  const Cases cases = clouds(12, 3, 1, 1);
  auto head = make_head("svm");
  for (const int c : {0, 1})
    CHECK(contains(message([&] { head->fit(cases.x, std::vector<int>(12, c), 2); }),
                   "[svm] all 12 cases are of category " + std::to_string(c) + "; give cases of each of the 2 categories"));
  CHECK(contains(message([&] { head->fit(cases.x, cases.y, 3); }), "no case is of category 2"));
  CHECK(contains(message([&] { head->fit(cases.x, {0, 1}, 2); }), "features (cases, features) of 2 categories"));
  CHECK(contains(message([&] {
                   head->fit(cases.x, {0, 1, 2, 0, 1, 0, 1, 0, 1, 0, 1, 0}, 2);
                 }),
                 "category 2 of case 2 is not within 0 … 1"));
  Tensor x = cases.x.clone();
  x.data<float>()[7] = NAN;
  CHECK(contains(message([&] { head->fit(x, cases.y, 2); }), "feature 1 of case 2 is not finite"));
  CHECK(contains(message([&] { head->fit(Tensor::ones({12, 3}), cases.y, 2); }), "all 3 features are the same in all 12 cases"));
  CHECK(contains(message([] { make_head("svn"); }), "unknown head 'svn'; did you mean svm?"));
  CHECK(contains(message([&] { head_with("lda", {{"shrinkage", "2"}})->fit(cases); }), "shrinkage wants 'auto' or a number within [0, 1]"));
  auto knn = head_with("knn", {{"k", "13"}});
  CHECK(contains(message([&] { knn->fit(cases); }), "k = 13 neighbours of 12 cases"));
  CHECK(contains(message([&] { knn->probabilities(cases.x); }), "call fit first"));
  CHECK(contains(message([&] { head_with("mkl", {{"views", "1,1"}})->fit(cases); }), "the views have 2 columns together, x has 3"));
  CHECK(contains(message([&] {
                   head_with("svm", {{"kernel", "precomputed"}})->fit(cases);
                 }),
                 "wants the (cases, cases) kernel, got (12, 3)"));
}

TEST_CASE("standardisation leaves constant columns out and says so") {
  Cases cases = clouds(20, 3, 4, 2);
  for (int64_t i = 0; i < 20; i++) cases.x.data<float>()[i * 3 + 1] = 7;
  const Standardizer s = Standardizer::fit(cases.x);
  CHECK(s.constant() == std::vector<int64_t>{1});
  CHECK(s.message() == "1 of 3 features do not vary and are left out: 1");
  const Tensor z = s(cases.x);
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < 20; i++) {
    CHECK(z.at({i, 1}) == 0);
    sum += z.at({i, 0}), squares += z.at({i, 0}) * z.at({i, 0});
  }
  CHECK(std::abs(sum) < 1e-4);
  CHECK(std::abs(squares - 20) < 1e-3);
  auto head = make_head("lda");
  head->fit(cases);
  CHECK(head->notes() == "[lda] 1 of 3 features do not vary and are left out: 1");
  CHECK(accuracy_of(*head, cases) > 0.9);
}

TEST_CASE("svm: a precomputed kernel gives what the kernel itself gives") {
  const Cases cases = clouds(40, 3, 1.5, 4), test = clouds(10, 3, 1.5, 5);
  auto rbf = head_with("svm", {{"gamma", "0.3"}, {"standardize", "false"}}), given = head_with("svm", {{"kernel", "precomputed"}});
  rbf->fit(cases);
  given->fit(rbf_kernel(cases.x, cases.x, 0.3).to(Dtype::f32), cases.y, 2, cases.groups);
  const Tensor a = rbf->probabilities(test.x), b = given->probabilities(rbf_kernel(test.x, cases.x, 0.3).to(Dtype::f32));
  for (int64_t i = 0; i < 10; i++) CHECK(std::abs(a.at({i, 0}) - b.at({i, 0})) < 1e-3);
  Cases kernel{rbf_kernel(cases.x, cases.x, 0.3).to(Dtype::f32), cases.y, 2, cases.groups};
  const GridResult found = grid_search("svm", {{"C", {"0.1", "1"}}}, kernel, {.folds = 4, .fixed = {{"kernel", "precomputed"}}});
  const GridResult same =
      grid_search("svm", {{"C", {"0.1", "1"}}}, cases, {.folds = 4, .fixed = {{"gamma", "0.3"}, {"standardize", "false"}}});
  for (size_t i = 0; i < 2; i++) CHECK(std::abs(found.points[i].score - same.points[i].score) < 1e-9);
}

TEST_CASE("calibration: scikit-learn's Platt and isotonic fits; coupling returns the probabilities that made the pairs") {
  const json& g = golden().at("calibration");
  const std::vector<double> scores = g.at("scores"), at = g.at("at"), expected = g.at("isotonic");
  const std::vector<int> truth = g.at("truth");
  const Calibration platt = Calibration::fit("platt", scores, truth), isotonic = Calibration::fit("isotonic", scores, truth);
  CHECK(std::abs(platt.tensor().at({0, 0}) - g.at("platt")[0].get<double>()) < 1e-4);
  CHECK(std::abs(platt.tensor().at({0, 1}) - g.at("platt")[1].get<double>()) < 1e-4);
  for (size_t i = 0; i < at.size(); i++) CHECK(std::abs(isotonic(at[i]) - expected[i]) < 1e-9);
  const Calibration again = Calibration::from("isotonic", isotonic.tensor());
  for (const double s : at) CHECK(again(s) == isotonic(s));
  CHECK(contains(message([&] { Calibration::fit("platt", {1, 2}, {1, 1}); }), "all 2 cases are of one category"));

  const std::vector<double> p = {0.5, 0.3, 0.15, 0.05};
  std::vector<std::vector<double>> r(4, std::vector<double>(4));
  for (size_t i = 0; i < 4; i++)
    for (size_t j = 0; j < 4; j++) r[i][j] = p[i] / (p[i] + p[j]);
  const std::vector<double> q = couple(r);
  for (size_t i = 0; i < 4; i++) CHECK(std::abs(q[i] - p[i]) < 1e-9);
}

TEST_CASE("calibration: held-out scores come from a scorer that saw nothing of the patient") {
  const std::vector<int> truth = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
  const std::vector<int64_t> groups = {7, 8, 7, 8, 1, 2, 1, 2, 3, 4, 3, 4};
  held_out_scores(truth, groups, [&](const std::vector<int64_t>& train, const std::vector<int64_t>& held_out) {
    for (const int64_t i : train)
      for (const int64_t j : held_out) CHECK(groups[static_cast<size_t>(i)] != groups[static_cast<size_t>(j)]);
    return std::vector<double>(held_out.size());
  });
}

TEST_CASE("folds: no patient on both sides, categories in equal shares, each case tested once") {
  const Cases cases = clouds(120, 1, 0, 6, 3);
  std::vector<int> tested(120);
  for (const Split& fold : grouped_folds(cases.y, cases.groups, 5, 1)) {
    std::set<int64_t> trained;
    for (const int64_t i : fold.train) trained.insert(cases.groups[static_cast<size_t>(i)]);
    int ones = 0;
    for (const int64_t i : fold.validation) {
      CHECK(!trained.count(cases.groups[static_cast<size_t>(i)]));
      tested[static_cast<size_t>(i)]++;
      ones += cases.y[static_cast<size_t>(i)];
    }
    CHECK(fold.validation.size() == 24);
    CHECK(ones == 12);
  }
  CHECK(tested == std::vector<int>(120, 1));
  const std::vector<Split> repeated = repeated_folds(cases.y, cases.groups, 5, 3, 1);
  CHECK(repeated.size() == 15);
  CHECK(repeated[0].validation != repeated[5].validation);
  CHECK(most_folds(cases.y, cases.groups) == 20);
  CHECK(contains(message([&] {
                   grouped_folds({0, 1, 0, 1}, {1, 1, 2, 2}, 3);
                 }),
                 "[folds] 3 folds of 2 patient(s): some would be empty; ask for 2 or fewer"));
  CHECK(contains(message([&] { grouped_folds({1, 1, 1}, {}, 2); }), "all 3 cases are of one category"));
  CHECK(contains(message([&] { grouped_folds({0, 0, 0, 1}, {1, 2, 3, 4}, 2); }), "would train without category 1"));
}

TEST_CASE("grid search: finds the width that a ring needs, with the same scores on 1 and 2 threads, and refuses nonsense") {
  Random random(9, "ring");
  Cases cases{Tensor({120, 2}), {}, 2, {}};
  for (int64_t i = 0; i < 120; i++) {
    const double radius = (i % 2 ? 2.0 : 0.7) + 0.2 * random.normal(), angle = random.uniform(0, 6.283);
    cases.y.push_back(static_cast<int>(i % 2));
    cases.groups.push_back(i / 4);
    cases.x.data<float>()[2 * i] = static_cast<float>(radius * std::cos(angle)),
                              cases.x.data<float>()[2 * i + 1] = static_cast<float>(radius * std::sin(angle));
  }
  const Grid grid = {{"kernel", {"linear", "rbf"}}, {"C", {"0.1", "10"}}};
  set_threads(1);
  const GridResult one = grid_search("svm", grid, cases, {.folds = 3});
  set_threads(2);
  const GridResult two = grid_search("svm", grid, cases, {.folds = 3});
  set_threads(0);
  REQUIRE(one.points.size() == 4);
  for (size_t i = 0; i < 4; i++) CHECK(one.points[i].folds == two.points[i].folds);
  CHECK(one.points[0].settings == Choice{{"kernel", "linear"}, {"C", "0.1"}});
  CHECK(one.points[0].score < 0.7);
  CHECK(one.best.score > 0.95);
  CHECK(one.best.settings[0].second == "rbf");
  CHECK(accuracy_of(*one.head, cases) > 0.95);
  CHECK(contains(message([&] { grid_search("svm", {{"c", {"1"}}}, cases); }), "unknown setting 'c'"));
  CHECK(contains(message([&] { grid_search("svm", grid, cases, {.folds = 31}); }), "31 folds of 30 patient(s)"));
  const Tensor p = cross_validated([] { return make_head("svm"); }, cases, 5);
  std::vector<double> score;
  for (int64_t i = 0; i < 120; i++) score.push_back(p.at({i, 1}));
  CHECK(auc(cases.y, score) > 0.95);
}

TEST_CASE("SimpleMKL: the weight goes to the kernel that tells the categories apart; the objective is the least over a grid") {
  const Cases cases = clouds(60, 6, 2.5, 12);
  const Tensor informative = rbf_kernel(columns_of(cases.x, {0}), columns_of(cases.x, {0}), 0.5);
  const Tensor noise = rbf_kernel(columns_of(cases.x, {1, 2}), columns_of(cases.x, {1, 2}), 0.02),
               more = linear_kernel(columns_of(cases.x, {3, 4, 5}), columns_of(cases.x, {3, 4, 5}));
  const MklOptions options{.gap = 1e-4};
  const MklWeights two = simple_mkl({informative, noise}, cases.y, 2, options);
  CHECK(two.d[0] > 0.9);
  CHECK(std::abs(two.d[0] + two.d[1] - 1) < 1e-12);
  CHECK(two.gap < 1e-3);
  double least = INFINITY;
  for (int i = 0; i <= 50; i++) least = std::min(least, mkl_objective({informative, noise}, {i / 50.0, 1 - i / 50.0}, cases.y, 2, options));
  CHECK(two.objective <= least * (1 + 1e-4));

  const MklWeights three = simple_mkl({informative, noise, more}, cases.y, 2, options);
  least = INFINITY;
  for (int i = 0; i <= 20; i++)
    for (int j = 0; i + j <= 20; j++)
      least = std::min(least, mkl_objective({informative, noise, more}, {i / 20.0, j / 20.0, (20 - i - j) / 20.0}, cases.y, 2, options));
  CHECK(three.objective <= least * (1 + 1e-3));
  CHECK(three.gap < 1e-2);

  auto head = head_with("mkl", {{"views", "1,2,3"}});
  head->fit(cases);
  const std::vector<double> d = dynamic_cast<MklHead&>(*head).weights();
  CHECK(d[0] > d[1] + d[2]);
  CHECK(accuracy_of(*head, clouds(200, 6, 2.5, 13)) > 0.8);
}

TEST_CASE("ranking: Welch's t of scipy, mutual information of scikit-learn, and what is not redundant comes second") {
  const json& g = golden().at("two");
  const Cases cases = cases_of(g);
  const std::vector<double> t = welch_t(cases.x, cases.y), expected = g.at("anova_t");
  for (size_t j = 0; j < t.size(); j++) CHECK(std::abs(t[j] - expected[j]) < 1e-4 * std::max(1.0, std::abs(expected[j])));
  const json& r = golden().at("ranking");
  CHECK(std::abs(mutual_information(r.at("a"), r.at("b")) - r.at("mutual_information").get<double>()) < 1e-9);

  // Fisher by its definition on four numbers: means 1 and 4, overall 2.5, within 1 each.
  CHECK(std::abs(fisher_score(Tensor::from<float>({4, 1}, {0, 2, 3, 5}), {0, 0, 1, 1}, 2)[0] - (2 * 2.25 * 2) / 4.0) < 1e-12);

  Cases copies = clouds(200, 3, 2, 20);  // feature 1: a copy of 0 with a little noise; feature 2: weaker, but of its own
  Random random(1);
  for (int64_t i = 0; i < 200; i++) {
    float* row = copies.x.data<float>() + 3 * i;
    row[1] = row[0] + 0.01f * static_cast<float>(random.normal());
    row[2] += static_cast<float>(1.2 * copies.y[static_cast<size_t>(i)]);
  }
  const Ranking fisher = rank_features("fisher", copies.x, copies.y, 2), mrmr = rank_features("mrmr", copies.x, copies.y, 2);
  CHECK(fisher.order[2] == 2);
  CHECK(mrmr.order[1] == 2);
  CHECK(rank_features("t-test", copies.x, copies.y, 2).order == fisher.order);
  CHECK(columns_of(copies.x, {2, 0}).at({5, 1}) == copies.x.at({5, 0}));
}

TEST_CASE("codebook: scikit-learn's optimum, the same words on 1 and 2 threads; more words than points are refused") {
  const json& g = golden().at("kmeans");
  const Tensor x = table_of(g.at("x"), 2);
  std::vector<std::vector<float>> words;
  for (const int n : {1, 2}) {
    set_threads(n);
    const Codebook book = Codebook::fit(x, {.words = 4, .restarts = 5, .seed = 3});
    words.push_back(book.words().to_vector<float>());
    CHECK(std::abs(book.inertia() - g.at("inertia").get<double>()) < 1e-4 * book.inertia());
    const std::vector<int32_t> word = book.assign(x);
    for (size_t i = 0; i < word.size(); i++) CHECK(word[i] == word[i % 4]);
  }
  set_threads(0);
  CHECK(words[0] == words[1]);
  CHECK(contains(message([&] { Codebook::fit(x, {.words = 81}); }), "81 words of 80 points"));
  CHECK_NOTHROW(Codebook::fit(Tensor::ones({9, 2}), {.words = 3}));  // all points in one place
}

TEST_CASE("spatial pyramid: levels weigh 1/4, 1/4, 1/2; the kernel of an image with itself is 1") {
  const Tensor a = spatial_pyramid({0, 1, 1, 0}, {0.1, 0.9, 0.4, 1.0}, {0.1, 0.9, 0.3, 0.0}, 2),
               b = spatial_pyramid({0, 1}, {0.1, 0.1}, {0.1, 0.9}, 2);
  CHECK(a.size() == 42);
  double level[3] = {};
  for (int64_t i = 0; i < 42; i++) level[i < 2 ? 0 : i < 10 ? 1 : 2] += static_cast<double>(a.data<float>()[i]);
  CHECK(std::abs(level[0] - 0.25) + std::abs(level[1] - 0.25) + std::abs(level[2] - 0.5) < 1e-6);
  Tensor both({2, 42});
  std::copy_n(a.data<float>(), 42, both.data<float>());
  std::copy_n(b.data<float>(), 42, both.data<float>() + 42);
  const Tensor k = histogram_intersection(both, both);
  CHECK(std::abs(k.at({0, 0}) - 1) < 1e-6);
  CHECK(std::abs(k.at({0, 1}) - k.at({1, 0})) < 1e-12);
  // Shared: both words at level 1x1 (1/2 each); the top left word 0 at 2x2 (1/4 of it) and at 4x4 (1/4).
  CHECK(std::abs(k.at({0, 1}) - (0.25 + 0.25 * 0.25 + 0.5 * 0.25)) < 1e-6);
}

TEST_CASE("pca: scikit-learn's components, tall and flat; whitening gives the unit covariance; zca turns nothing") {
  for (const char* shape : {"tall", "flat"}) {
    CAPTURE(shape);
    const json& all = golden().at("pca");
    const json& g = all.at(shape);
    const Tensor x = std::string(shape) == "tall" ? table_of(all.at("x"), 7) : table_of(all.at("wide"), 20);
    const Pca pca = Pca::fit(x, {.components = 4});
    CHECK(largest_difference(pca(x), g.at("z")) < 1e-4);
    for (size_t k = 0; k < 4; k++) CHECK(std::abs(pca.variance()[k] - g.at("variance")[k].get<double>()) < 1e-6 * pca.variance()[0]);
    CHECK(std::abs(pca.explained() - g.at("ratio").get<double>()) < 1e-8);
    CHECK(Pca::from(pca.tensors())(x).to_vector<float>() == pca(x).to_vector<float>());
  }
  const Tensor x = table_of(golden().at("pca").at("x"), 7);
  for (const char* kind : {"pca", "zca"}) {
    const Pca white = Pca::fit(x, {.whitening = kind});
    const Tensor z = white(x), back = white.restore(z);
    for (int64_t i = 0; i < 7; i++)
      for (int64_t j = 0; j < 7; j++) {
        double sum = 0;
        for (int64_t n = 0; n < 25; n++) sum += z.at({n, i}) * z.at({n, j}) / 24;
        CHECK(std::abs(sum - (i == j)) < 1e-3);
      }
    CHECK(largest_difference(back, x.to_vector<double>()) < 1e-4);
  }
  const Tensor w = Pca::fit(x, {.whitening = "zca"})(x), c = Pca::fit(x, {.whitening = "pca"})(x);
  double with_own = 0;
  for (int64_t j = 0; j < 7; j++) {  // each whitened feature follows its own feature
    double sum = 0;
    for (int64_t n = 0; n < 25; n++) sum += w.at({n, j}) * x.at({n, j});
    with_own += sum > 0;
  }
  CHECK(with_own == 7);
  CHECK(contains(message([&] { Pca::fit(x, {.components = 8}); }), "8 components of (25, 7): there are 7"));
}

TEST_CASE("nmf: the error never rises; two curves and two regions are found again; negative values are refused") {
  Random random(2, "nmf");
  Tensor x({30, 40}, Dtype::f64);
  std::vector<double> early(30), late(30);
  for (size_t t = 0; t < 30; t++)
    early[t] = std::exp(-std::pow((static_cast<double>(t) - 8) / 4, 2)),
    late[t] = std::exp(-std::pow((static_cast<double>(t) - 20) / 5, 2));
  for (int64_t t = 0; t < 30; t++)
    for (int64_t i = 0; i < 40; i++)
      x.data<double>()[t * 40 + i] = (i < 22 ? early : late)[static_cast<size_t>(t)] * (1 + 0.1 * static_cast<double>(i % 5));
  const Nmf f = nmf(x, {.parts = 2, .seed = 4});
  for (size_t i = 1; i < f.error.size(); i++) CHECK(f.error[i] <= f.error[i - 1] * (1 + 1e-12) + 1e-12);
  CHECK(f.error.back() < 1e-3 * f.error.front());
  const int64_t first = f.h.at({0, 0}) > f.h.at({1, 0}) ? 0 : 1;  // the part of the early region
  const auto correlation = [&](int64_t part, const std::vector<double>& curve) {
    double ab = 0, aa = 0, bb = 0;
    for (int64_t t = 0; t < 30; t++)
      ab += f.w.at({t, part}) * curve[static_cast<size_t>(t)], aa += f.w.at({t, part}) * f.w.at({t, part}),
          bb += curve[static_cast<size_t>(t)] * curve[static_cast<size_t>(t)];
    return ab / std::sqrt(aa * bb);
  };
  CHECK(correlation(first, early) > 0.99);
  CHECK(correlation(1 - first, late) > 0.99);
  const Nmf sparse = nmf(x, {.parts = 2, .sparsity = 0.1, .seed = 4});
  for (int64_t k = 0; k < 2; k++) {
    double squares = 0;
    for (int64_t t = 0; t < 30; t++) squares += sparse.w.at({t, k}) * sparse.w.at({t, k});
    CHECK(std::abs(squares - 1) < 1e-9);
  }
  const auto sum_h = [](const Tensor& h) {
    const std::vector<double> v = h.to_vector<double>();
    return std::accumulate(v.begin(), v.end(), 0.0);
  };
  CHECK(sum_h(nmf(x, {.parts = 2, .sparsity = 2, .seed = 4}).h) < sum_h(sparse.h));
  x.data<double>()[41] = -1;
  CHECK(contains(message([&] { nmf(x); }), "[nmf] values must be finite and not negative, got -1.000000 at row 1"));
}

TEST_CASE("comparison: scipy's values of the corrected t-test, DeLong's test, McNemar's and Student's distribution") {
  const json& g = golden().at("tests");
  const auto check = [](const PairedTest& t, const json& expected) {
    const double found[] = {t.difference, t.lo, t.hi, t.statistic, t.p};
    for (size_t i = 0; i < 5; i++) CHECK(std::abs(found[i] - expected[i].get<double>()) < 1e-7);
  };
  check(corrected_resampled_t(g.at("differences"), 0.25), g.at("resampled"));
  check(delong_test(g.at("truth"), g.at("a"), g.at("b")), g.at("delong"));
  std::vector<bool> a, b;
  for (const int v : g.at("right_a")) a.push_back(v != 0);
  for (const int v : g.at("right_b")) b.push_back(v != 0);
  const McNemar m = mcnemar(a, b);
  CHECK(m.only_a == g.at("mcnemar")[0].get<int64_t>());
  CHECK(m.only_b == g.at("mcnemar")[1].get<int64_t>());
  CHECK(std::abs(m.p - g.at("mcnemar")[2].get<double>()) < 1e-9);
  for (const json& row : g.at("student")) CHECK(std::abs(student_two_sided(row[0], row[1]) - row[2].get<double>()) < 1e-9);
  CHECK(corrected_resampled_t({0, 0, 0}, 0.25).p == 1);
  CHECK(mcnemar({true, false}, {true, false}).p == 1);
}

TEST_CASE("0.632+ bootstrap: a fixed score keeps its area; one that learns by heart gets 1/2; patients stay together") {
  Random random(3, "632");
  std::vector<int> truth;
  std::vector<int64_t> groups;
  std::vector<double> score;
  for (int64_t i = 0; i < 60; i++)
    truth.push_back(static_cast<int>(i / 2 % 2)), groups.push_back(i / 2), score.push_back(random.normal() + truth.back());
  const TrainAndScore fixed = [&](const std::vector<int64_t>&, const std::vector<int64_t>& test) {
    std::vector<double> s;
    for (const int64_t i : test) s.push_back(score[static_cast<size_t>(i)]);
    return s;
  };
  const Bootstrap632 b = bootstrap_632_plus(truth, groups, fixed, {.replicates = 400});
  CHECK(b.apparent == auc(truth, score));
  CHECK(std::abs(b.area - b.apparent) < 0.04);
  CHECK(b.lo < b.area);
  CHECK(b.hi > b.area);
  const TrainAndScore by_heart = [&](const std::vector<int64_t>& train, const std::vector<int64_t>& test) {
    const std::set<int64_t> known(train.begin(), train.end());
    std::vector<double> s;
    for (const int64_t i : test) {
      if (train.size() != test.size() || train != test)
        for (const int64_t j : train) CHECK(groups[static_cast<size_t>(i)] != groups[static_cast<size_t>(j)]);
      s.push_back(known.count(i) ? truth[static_cast<size_t>(i)] : 0.5);
    }
    return s;
  };
  const Bootstrap632 learnt = bootstrap_632_plus(truth, groups, by_heart, {.replicates = 50});
  CHECK(learnt.apparent == 1);
  CHECK(learnt.left_out == 0.5);
  CHECK(std::abs(learnt.area - 0.5) < 1e-12);
  CHECK(contains(message([&] { bootstrap_632_plus({1, 1}, {0, 1}, fixed); }), "all 2 cases are of one category"));
}
