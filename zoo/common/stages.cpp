#define EIGEN_DONT_PARALLELIZE
#include "zoo/common/stages.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

namespace sono::zoo {

Tensor text_tensor(const std::string& text) {
  return Tensor::from<uint8_t>({static_cast<int64_t>(text.size())}, {text.begin(), text.end()});
}
std::string text_of(const Tensor& t) { return {reinterpret_cast<const char*>(t.data<uint8_t>()), static_cast<size_t>(t.size())}; }
Tensor category_tensor(const std::vector<int>& categories) {
  return Tensor::from<int32_t>({static_cast<int64_t>(categories.size())}, {categories.begin(), categories.end()});
}

// ---- heads -----------------------------------------------------------------------------------------------------------------------------

void HeadStage::fit(const Lesson& lesson) {
  const Cases cases{joined_views(lesson.views), lesson.categories, static_cast<int>(lesson.classes), lesson.groups};
  Choice settings = settings_;
  if (head_name_ == "mkl") {  // a kernel for each view
    std::string widths;
    for (const Tensor& v : lesson.views) widths += (widths.empty() ? "" : ",") + std::to_string(v.dim(1));
    settings.emplace_back("views", widths);
  }
  if (!grid_.empty()) {
    GridResult found = grid_search(head_name_, grid_, cases, {.seed = lesson.seed, .fixed = settings});
    if (lesson.log) lesson.log({{name_ + "_grid_auc", found.best.score}});
    head_ = std::move(found.head);
    return;
  }
  head_ = make_head(head_name_);
  for (const auto& [key, value] : settings) head_->settings().set(key, value);
  head_->fit(cases);
}

Views HeadStage::apply(const Views& views) const { return {head_->probabilities(joined_views(views))}; }

NamedTensors HeadStage::state() const {
  NamedTensors all = head_->tensors();
  all.emplace_back("description", text_tensor(head_->describe().dump()));
  return all;
}

void HeadStage::load(const NamedTensors& state) {
  const nlohmann::json description = nlohmann::json::parse(text_of(stage_tensor(state, "description")), nullptr, false);
  if (!description.is_object() || !description.contains("head"))
    throw FileError("the model's '" + name_ + "' is damaged: it has no description");
  head_ = load_head(description, state);
}

Pipeline plain_pipeline(const std::string& head, Choice settings, Grid grid) {
  Pipeline p;
  p.add<HeadStage>(head, head, std::move(settings), std::move(grid));
  return p;
}

// ---- ranges ----------------------------------------------------------------------------------------------------------------------------

namespace {

NamedTensors numbered(const char* a, const std::vector<Tensor>& as, const char* b, const std::vector<Tensor>& bs) {
  NamedTensors all;
  for (size_t k = 0; k < as.size(); k++) all.emplace_back(a + std::to_string(k), as[k]), all.emplace_back(b + std::to_string(k), bs[k]);
  return all;
}

void take_numbered(const NamedTensors& state, const char* a, std::vector<Tensor>& as, const char* b, std::vector<Tensor>& bs) {
  as.clear(), bs.clear();
  for (size_t k = 0; 2 * k < state.size(); k++)
    as.push_back(stage_tensor(state, a + std::to_string(k))), bs.push_back(stage_tensor(state, b + std::to_string(k)));
}

void expect_width(const char* stage, const Tensor& x, int64_t width) {
  if (x.dim(1) != width)
    throw ShapeError("[" + std::string(stage) + "] got " + std::to_string(x.dim(1)) + " features, learnt were " + std::to_string(width));
}

}  // namespace

void UnitRange::fit(const Lesson& lesson) {
  low_.clear(), scale_.clear();
  for (const Tensor& x : lesson.views) {
    const int64_t d = x.dim(1);
    Tensor low = Tensor::full({d}, INFINITY), high = Tensor::full({d}, -INFINITY);
    float *l = low.data<float>(), *h = high.data<float>();
    for (int64_t i = 0; i < x.size(); i++) {
      const float v = x.data<float>()[i];
      if (!std::isfinite(v))
        throw NumericError("[unit-range] feature " + std::to_string(i % d) + " of training case " + std::to_string(i / d) +
                           " is not finite");
      l[i % d] = std::min(l[i % d], v), h[i % d] = std::max(h[i % d], v);
    }
    const float least = *std::min_element(l, l + d), largest = *std::max_element(h, h + d);
    if (!by_column_) std::fill(l, l + d, least), std::fill(h, h + d, largest);
    if (largest == least || std::equal(l, l + d, h))
      throw NumericError("[unit-range] the features have zero variance over the " + std::to_string(x.dim(0)) +
                         " training cases: there is nothing to learn from");
    for (int64_t j = 0; j < d; j++) h[j] = h[j] > l[j] ? 1 / (h[j] - l[j]) : 0;
    low_.push_back(low), scale_.push_back(high);
  }
}

Views UnitRange::apply(const Views& views) const {
  Views all;
  for (size_t k = 0; k < views.size(); k++) {
    const Tensor& x = views[k];
    const int64_t d = x.dim(1);
    expect_width("unit-range", x, low_.at(k).size());
    const Tensor y(x.shape());
    for (int64_t i = 0; i < x.size(); i++)
      y.data<float>()[i] = std::clamp((x.data<float>()[i] - low_[k].data<float>()[i % d]) * scale_[k].data<float>()[i % d], 0.0f, 1.0f);
    all.push_back(y);
  }
  return all;
}

NamedTensors UnitRange::state() const { return numbered("low", low_, "scale", scale_); }
void UnitRange::load(const NamedTensors& state) { take_numbered(state, "low", low_, "scale", scale_); }

// ---- linear maps -----------------------------------------------------------------------------------------------------------------------

namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Matrix matrix_of(const Tensor& t) {
  return Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(t.data<float>(), t.dim(0), t.dim(1))
      .cast<double>();
}

Tensor tensor_of(const Matrix& m) {
  Tensor t({m.rows(), m.cols()});
  Eigen::Map<Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(t.data<float>(), m.rows(), m.cols()) = m.cast<float>();
  return t;
}

// Mean of the rows, and eigenvectors and eigenvalues (rising) of their covariance.
struct Covariance {
  Eigen::RowVectorXd mean;
  Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver;
  explicit Covariance(const Tensor& x) {
    Matrix m = matrix_of(x);
    mean = m.colwise().mean();
    m.rowwise() -= mean;
    solver.compute(Eigen::MatrixXd(m.transpose() * m / static_cast<double>(std::max<int64_t>(1, x.dim(0) - 1))));
    if (!(solver.eigenvalues().sum() > 0))
      throw NumericError("[principal] the features have zero variance over the " + std::to_string(x.dim(0)) +
                         " training cases: there is nothing to learn from");
  }
};

Tensor mean_tensor(const Eigen::RowVectorXd& mean) { return tensor_of(mean).view({mean.size()}); }

Views mapped(const char* stage, const Views& views, const std::vector<Tensor>& mean, const std::vector<Tensor>& matrix) {
  Views all;
  for (size_t k = 0; k < views.size(); k++) {
    expect_width(stage, views[k], mean.at(k).size());
    Matrix x = matrix_of(views[k]);
    x.rowwise() -= Eigen::Map<const Eigen::RowVectorXf>(mean[k].data<float>(), mean[k].size()).cast<double>();
    all.push_back(tensor_of(x * matrix_of(matrix[k])));
  }
  return all;
}

}  // namespace

void Whiten::fit(const Lesson& lesson) {
  mean_.clear(), matrix_.clear();
  for (const Tensor& x : lesson.views) {
    const Covariance c(x);
    const Eigen::VectorXd values = c.solver.eigenvalues().cwiseMax(0).array() + ridge_ * c.solver.eigenvalues().mean();
    mean_.push_back(mean_tensor(c.mean));
    matrix_.push_back(
        tensor_of(c.solver.eigenvectors() * values.cwiseSqrt().cwiseInverse().asDiagonal() * c.solver.eigenvectors().transpose()));
  }
}

Views Whiten::apply(const Views& views) const { return mapped("whiten", views, mean_, matrix_); }
NamedTensors Whiten::state() const { return numbered("mean", mean_, "matrix", matrix_); }
void Whiten::load(const NamedTensors& state) { take_numbered(state, "mean", mean_, "matrix", matrix_); }

void Principal::fit(const Lesson& lesson) {
  mean_.clear(), matrix_.clear();
  for (const Tensor& x : lesson.views) {
    const Covariance c(x);
    const int64_t k = std::min(components_, std::min(x.dim(1), x.dim(0) - 1));
    mean_.push_back(mean_tensor(c.mean));
    matrix_.push_back(tensor_of(c.solver.eigenvectors().rightCols(k).rowwise().reverse()));
  }
}

Views Principal::apply(const Views& views) const { return mapped("principal", views, mean_, matrix_); }
NamedTensors Principal::state() const { return numbered("mean", mean_, "matrix", matrix_); }
void Principal::load(const NamedTensors& state) { take_numbered(state, "mean", mean_, "matrix", matrix_); }

}  // namespace sono::zoo
