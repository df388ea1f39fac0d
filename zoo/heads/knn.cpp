#include "zoo/heads/knn.h"

#include <algorithm>
#include <cmath>

#include "tensor/parallel.h"

namespace sono::zoo {
namespace {

double squared_distance(const float* a, const float* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += d * d;
  }
  return sum;
}

class Knn : public Head {
 public:
  Knn() : Head(true) {
    settings_.add("k", k_, 1, 100000, "neighbours that vote");
    settings_.add("weights", weights_, {"equal", "distance"}, "of a vote: 1, or 1 / distance");
  }
  std::string name() const override { return "knn"; }

 protected:
  void learn(const Cases& cases) override {
    if (k_ > cases.size()) throw NumericError("[knn] k = " + std::to_string(k_) + " neighbours of " + std::to_string(cases.size()) + " cases; choose fewer");
    table_ = cases.x;
    y_.assign(cases.y.begin(), cases.y.end());
  }
  Tensor classify(const Tensor& x) const override {
    const Neighbours near = nearest_neighbours(x, table_, k_);
    Tensor p = Tensor::zeros({x.dim(0), classes()});
    std::vector<double> votes(static_cast<size_t>(classes()));
    for (int64_t i = 0; i < x.dim(0); i++) {
      std::fill(votes.begin(), votes.end(), 0.0);
      const int32_t* index = near.index.data<int32_t>() + i * k_;
      const double* distance = near.distance.data<double>() + i * k_;
      const bool same = weights_ == "distance" && distance[0] <= 0;  // cases that are equal to this one decide alone
      double sum = 0;
      for (int64_t j = 0; j < k_; j++) {
        const double vote = weights_ == "equal" ? 1 : same ? (distance[j] <= 0 ? 1 : 0) : 1 / distance[j];
        votes[static_cast<size_t>(y_[static_cast<size_t>(index[j])])] += vote, sum += vote;
      }
      for (size_t c = 0; c < votes.size(); c++) p.data<float>()[i * classes() + static_cast<int64_t>(c)] = static_cast<float>(votes[c] / sum);
    }
    return p;
  }
  NamedTensors state() const override { return {{"table", table_}, {"categories", Tensor::from<int32_t>({static_cast<int64_t>(y_.size())}, y_)}}; }
  void take(const NamedTensors& state) override {
    table_ = named_tensor(state, "table");
    y_ = named_tensor(state, "categories").to_vector<int32_t>();
    const bool known = std::all_of(y_.begin(), y_.end(), [&](int32_t c) { return c >= 0 && c < classes(); });
    if (!known || table_.shape() != Shape{static_cast<int64_t>(y_.size()), features()} || k_ > static_cast<int64_t>(y_.size()))
      throw FileError("[knn] the table does not fit its categories; the file is damaged");
  }

 private:
  int64_t k_ = 5;
  std::string weights_ = "equal";
  Tensor table_;  // (N, F) f32
  std::vector<int32_t> y_;
};

}  // namespace

Neighbours nearest_neighbours(const Tensor& x, const Tensor& table, int64_t k) {
  if (x.rank() != 2 || table.rank() != 2 || x.dim(1) != table.dim(1))
    throw ShapeError("[knn] wants (M, F) and (N, F), got " + to_string(x.shape()) + " and " + to_string(table.shape()));
  const int64_t n = table.dim(0), f = x.dim(1);
  if (k < 1 || k > n) throw NumericError("[knn] " + std::to_string(k) + " neighbours of " + std::to_string(n) + " cases");
  Neighbours near{Tensor({x.dim(0), k}, Dtype::i32), Tensor({x.dim(0), k}, Dtype::f64)};
  const float *values = x.data<float>(), *rows = table.data<float>();
  int32_t* index = near.index.data<int32_t>();
  double* distance = near.distance.data<double>();
  parallel_for(x.dim(0), 16, [&](int64_t first, int64_t last) {
    std::vector<std::pair<double, int32_t>> all(static_cast<size_t>(n));
    for (int64_t i = first; i < last; i++) {
      for (int64_t j = 0; j < n; j++) all[static_cast<size_t>(j)] = {squared_distance(values + i * f, rows + j * f, f), static_cast<int32_t>(j)};
      std::partial_sort(all.begin(), all.begin() + k, all.end());
      for (int64_t j = 0; j < k; j++) {
        distance[i * k + j] = std::sqrt(all[static_cast<size_t>(j)].first);
        index[i * k + j] = all[static_cast<size_t>(j)].second;
      }
    }
  });
  return near;
}

std::unique_ptr<Head> make_knn() { return std::make_unique<Knn>(); }

}  // namespace sono::zoo
