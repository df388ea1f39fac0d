#include "tests/tensor/kernel_check.h"

using namespace sono;
using namespace sono::tests;
using kernels::TakeArgs;

namespace {

Tensor indices(const Shape& shape, int64_t below, uint64_t stream) {
  Random random(5, stream);
  Tensor t = guarded(shape, Dtype::i32);
  for (int64_t i = 0; i < t.size(); i++) t.data<int32_t>()[i] = static_cast<int32_t>(random.below(below));
  return t;
}

}  // namespace

TEST_CASE("take, gather and their adjoints: guards, NaN outputs, threads") {
  for (const auto& [outer, n, m, inner] :
       std::vector<std::array<int64_t, 4>>{{1, 7, 5, 1}, {3, 5, 9, 17}, {2, 33, 200, 65}, {1, 100, 3000, 7}, {4, 1, 3, 129}}) {
    const std::string repro = to_string({outer, n, m, inner});
    const Tensor rows = indices({m}, n, 1), places = indices({outer, m, inner}, n, 2);
    const Tensor x = normal({outer, n, inner}, 3), y = normal({outer, m, inner}, 4);
    check_kernel(kernels::take, TakeArgs{x, rows, y, outer, n, m, inner}, {&TakeArgs::y}, repro);
    check_kernel(kernels::take_adjoint, TakeArgs{x, rows, y, outer, n, m, inner}, {&TakeArgs::x}, repro);
    check_kernel(kernels::gather, TakeArgs{x, places, y, outer, n, m, inner}, {&TakeArgs::y}, repro);
    check_kernel(kernels::gather_adjoint, TakeArgs{x, places, y, outer, n, m, inner}, {&TakeArgs::x}, repro);
  }
}

TEST_CASE("gather by definition") {
  const Tensor x = normal({2, 5, 3}, 1), index = indices({2, 4, 3}, 5, 2), y({2, 4, 3});
  kernels::gather({x, index, y, 2, 5, 4, 3});
  for (int64_t o = 0; o < 2; o++)
    for (int64_t j = 0; j < 4; j++)
      for (int64_t i = 0; i < 3; i++) CHECK(y.at({o, j, i}) == x.at({o, static_cast<int64_t>(index.at({o, j, i})), i}));
}

TEST_CASE("an index outside of its bounds is refused before anything is read") {
  const Tensor x = normal({1, 4, 2}, 1), y({1, 2, 2});
  for (int32_t bad : {-1, 4, 1 << 30}) {
    const Tensor index = Tensor::from<int32_t>({2}, {0, bad});
    CHECK_THROWS_AS(kernels::take({x, index, y, 1, 4, 2, 2}), ShapeError);
    CHECK_THROWS_AS(kernels::take_adjoint({x, index, y, 1, 4, 2, 2}), ShapeError);
    CHECK_THROWS_AS(kernels::one_hot({index, Tensor({2, 4}), 4}), ShapeError);
  }
}
