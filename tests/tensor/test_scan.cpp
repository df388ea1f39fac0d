#include <algorithm>

#include "tests/tensor/kernel_check.h"

using namespace sono;
using namespace sono::tests;
using kernels::ScanArgs;
using kernels::SortArgs;

TEST_CASE("cumsum: guards, threads, and the definition in both directions") {
  for (const auto& [outer, n, inner] : std::vector<std::array<int64_t, 3>>{{1, 1, 1}, {3, 17, 1}, {2, 31, 70}, {5, 400, 129}})
    for (bool reverse : {false, true})
      check_kernel(kernels::cumsum, ScanArgs{normal({outer, n, inner}, 1), normal({outer, n, inner}, 2), outer, n, inner, reverse},
                   {&ScanArgs::y}, to_string({outer, n, inner}));
  const Tensor x = Tensor::from<float>({4}, {1, 2, 3, 4}), y({4});
  kernels::cumsum({x, y, 1, 4, 1, false});
  CHECK(y.to_vector<float>() == std::vector<float>{1, 3, 6, 10});
  kernels::cumsum({x, y, 1, 4, 1, true});
  CHECK(y.to_vector<float>() == std::vector<float>{10, 9, 7, 4});
}

TEST_CASE("sort agrees with insertion, NaN counts as the largest, k cuts") {
  Random random(3);
  for (int trial = 0; trial < 40; trial++) {
    const int64_t n = 1 + random.below(30), k = random.below(n + 1), inner = 1 + random.below(3);
    const bool falling = random.chance(0.5);
    Tensor x({2, n, inner}), y({2, k, inner}), index({2, k, inner}, Dtype::i32);
    for (int64_t i = 0; i < x.size(); i++)
      x.data<float>()[i] = random.chance(0.1) ? NAN : static_cast<float>(random.below(6));  // many ties
    kernels::sort(SortArgs{x, y, index, 2, n, inner, k, falling});
    const auto key = [](double v) { return std::isnan(v) ? infinite : v; };
    for (int64_t o = 0; o < 2; o++)
      for (int64_t i = 0; i < inner; i++) {
        std::vector<int64_t> order;  // by insertion behind all that are not greater
        for (int64_t j = 0; j < n; j++) {
          const double v = key(x.at({o, j, i}));
          const auto behind = std::find_if(order.begin(), order.end(), [&](int64_t p) {
            const double u = key(x.at({o, p, i}));
            return falling ? u < v : u > v;
          });
          order.insert(behind, j);
        }
        for (int64_t j = 0; j < k; j++) {
          CHECK(index.at({o, j, i}) == order[static_cast<size_t>(j)]);
          const double v = y.at({o, j, i}), expected = x.at({o, order[static_cast<size_t>(j)], i});
          CHECK((v == expected || (std::isnan(v) && std::isnan(expected))));
        }
      }
  }
}
