#pragma once
// k nearest neighbours by Euclidean distance [Cover and Hart, IEEE Trans. Information Theory 13, 1967]: the share of each category among
// the k training cases that are nearest (at equal distance the earlier case), each counting 1 or 1 / distance.
//
//   auto head = make_head("knn");   head->settings().set("k", "7");
#include "zoo/heads/head.h"

namespace sono::zoo {

// For each row of x (M, F) the rows of `table` (N, F) that are nearest, nearest first: (M, k) i32, and their distances (M, k) f64.
struct Neighbours {
  Tensor index, distance;
};
Neighbours nearest_neighbours(const Tensor& x, const Tensor& table, int64_t k);

std::unique_ptr<Head> make_knn();

}  // namespace sono::zoo
