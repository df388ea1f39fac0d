// Eigen's matrix product: what a good library gives without knowing this processor's caches. f32 and f64, in chunks of 96 rows.
#include <Eigen/Core>

#include "tensor/cpu/activation.h"
#include "tensor/cpu/matmul.h"
#include "tensor/parallel.h"

namespace sono::kernels::eigen {
namespace {

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Rows [m, m + rows) of one matrix of the batch.
template <class T>
void block(const MatmulArgs& args, const MatmulSizes& s, int64_t matrix, int64_t m, int64_t rows) {
  const T *a = args.a.data<T>() + matrix * s.step_a, *b = args.b.data<T>() + matrix * s.step_b;
  Eigen::Map<Matrix<T>> y(args.y.data<T>() + (matrix * s.M + m) * s.N, rows, s.N);
  const Eigen::Map<const Matrix<T>> A(a, args.transpose_a ? s.K : s.M, args.transpose_a ? s.M : s.K);
  const Eigen::Map<const Matrix<T>> B(b, args.transpose_b ? s.N : s.K, args.transpose_b ? s.K : s.N);
  if (args.transpose_a && args.transpose_b)
    y.noalias() = A.middleCols(m, rows).transpose() * B.transpose();
  else if (args.transpose_a)
    y.noalias() = A.middleCols(m, rows).transpose() * B;
  else if (args.transpose_b)
    y.noalias() = A.middleRows(m, rows) * B.transpose();
  else
    y.noalias() = A.middleRows(m, rows) * B;
  if (args.bias) y.rowwise() += Eigen::Map<const Eigen::Matrix<T, 1, Eigen::Dynamic>>(args.bias.data<T>(), s.N);
  for (int64_t i = 0; args.activation != Activation::none && i < y.size(); i++) y.data()[i] = activated(args.activation, y.data()[i]);
}

}  // namespace

bool fits(const MatmulArgs& a) { return a.y.size() > 0 && !a.packed && !a.sample; }

void run(const MatmulArgs& a) {
  const MatmulSizes s(a);
  constexpr int64_t rows = 96;
  const int64_t down = (s.M + rows - 1) / rows;
  visit_real("matmul", a.y.dtype(), [&]<class T>() {
    parallel_for(s.batch * down, std::max<int64_t>(1, 100000 / std::max<int64_t>(1, std::min(rows, s.M) * s.N * s.K)),
                 [&](int64_t first, int64_t last) {
                   for (int64_t i = first; i < last; i++) {
                     const int64_t m = i % down * rows;
                     block<T>(a, s, i / down, m, std::min(rows, s.M - m));
                   }
                 });
  });
}

}  // namespace sono::kernels::eigen
