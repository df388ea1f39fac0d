#include "zoo/heads/codebook.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/parallel.h"
#include "tensor/random.h"
#include "zoo/heads/matrix.h"

namespace sono::zoo {
namespace {

constexpr int64_t block = 256;  // points per job

struct Assignment {
  std::vector<int32_t> word;
  std::vector<double> distance;  // squared
};

// |x - w|^2 = |x|^2 - 2 x . w + |w|^2, by blocks of points.
Assignment assigned(const Matrix& x, const Matrix& words) {
  Assignment a{std::vector<int32_t>(static_cast<size_t>(x.rows())), std::vector<double>(static_cast<size_t>(x.rows()))};
  const RowVector norms = words.rowwise().squaredNorm().transpose();
  parallel_for(x.rows(), block, [&](int64_t first, int64_t last) {
    const auto points = x.middleRows(first, last - first);
    Matrix d = -2 * (points * words.transpose());
    d.rowwise() += norms;
    for (Eigen::Index i = 0; i < d.rows(); i++) {
      Eigen::Index best = 0;
      const double least = d.row(i).minCoeff(&best);
      a.word[static_cast<size_t>(first + i)] = static_cast<int32_t>(best);
      a.distance[static_cast<size_t>(first + i)] = std::max(0.0, least + points.row(i).squaredNorm());
    }
  });
  return a;
}

// Each next seed is drawn with a probability in proportion to its squared distance from the seeds so far.
Matrix seeds(const Matrix& x, int64_t count, Random& random) {
  Matrix words(count, x.cols());
  words.row(0) = x.row(random.below(x.rows()));
  Vector distance = (x.rowwise() - words.row(0)).rowwise().squaredNorm();
  for (int64_t k = 1; k < count; k++) {
    const double target = random.uniform() * distance.sum();
    double sum = 0;
    Eigen::Index i = 0;
    while (i + 1 < x.rows() && (sum += distance(i)) <= target) i++;
    words.row(k) = x.row(i);
    distance = distance.cwiseMin((x.rowwise() - words.row(k)).rowwise().squaredNorm());
  }
  return words;
}

void move_words(const Matrix& x, Assignment& a, Matrix& words) {
  std::vector<int64_t> count(static_cast<size_t>(words.rows()));
  words.setZero();
  for (Eigen::Index i = 0; i < x.rows(); i++)
    words.row(a.word[static_cast<size_t>(i)]) += x.row(i), count[static_cast<size_t>(a.word[static_cast<size_t>(i)])]++;
  for (size_t k = 0; k < count.size(); k++) {
    if (count[k]) {
      words.row(static_cast<Eigen::Index>(k)) /= static_cast<double>(count[k]);
    } else {
      const auto far = std::max_element(a.distance.begin(), a.distance.end());
      words.row(static_cast<Eigen::Index>(k)) = x.row(far - a.distance.begin());
      *far = 0;
    }
  }
}

}  // namespace

Codebook Codebook::fit(const Tensor& x, const CodebookOptions& options) {
  if (x.rank() != 2 || x.dim(1) < 1) throw ShapeError("[codebook] wants (points, features), got " + to_string(x.shape()));
  if (options.words < 1 || options.words > x.dim(0))
    throw NumericError("[codebook] " + std::to_string(options.words) + " words of " + std::to_string(x.dim(0)) +
                       " points; ask for fewer words or give more points");
  const Matrix points = to_matrix(x);
  if (!points.allFinite()) throw NumericError("[codebook] the points have values that are not finite");
  Matrix best;
  double least = std::numeric_limits<double>::infinity();
  for (int64_t r = 0; r < std::max<int64_t>(1, options.restarts); r++) {
    Random random(options.seed, "k-means", static_cast<uint64_t>(r));
    Matrix words = seeds(points, options.words, random);
    Assignment a = assigned(points, words);
    for (int64_t i = 0; i < options.iterations; i++) {
      move_words(points, a, words);
      Assignment next = assigned(points, words);
      const bool settled = next.word == a.word;
      a = std::move(next);
      if (settled) break;
    }
    double inertia = 0;
    for (const double d : a.distance) inertia += d;
    if (inertia < least) least = inertia, best = words;
  }
  Codebook book(to_tensor(best));
  book.inertia_ = least;
  return book;
}

namespace {

void expect_features(const Tensor& x, const Tensor& words) {
  if (x.rank() != 2 || x.dim(1) != words.dim(1))
    throw ShapeError("[codebook] words have " + std::to_string(words.dim(1)) + " features, got " + to_string(x.shape()));
}

}  // namespace

std::vector<int32_t> Codebook::assign(const Tensor& x) const {
  expect_features(x, words_);
  return assigned(to_matrix(x), to_matrix(words_)).word;
}

}  // namespace sono::zoo
