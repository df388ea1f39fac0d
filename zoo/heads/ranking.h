#pragma once
// Which features tell the categories apart: scores, and the columns from best to worst.
//   t_test   |Welch's t| of two categories [Biometrika 34, 1947]; of more: the largest of each against the others
//   fisher   between the categories over within: sum_c n_c (m_c - m)^2 / sum_c n_c s_c^2, s_c^2 divided by n_c
//   mrmr     minimum redundancy, maximum relevance [Peng, Long and Ding, IEEE PAMI 27, 2005], difference form: next comes the feature
//            with the largest I(f; y) - mean over those chosen of I(f; g); information in nats, features cut into `bins` of equal counts
//
//   Ranking r = rank_features("t-test", x, y, 2);   Tensor best = columns_of(x, {r.order.begin(), r.order.begin() + 10});
//
// Learn the ranking on training cases alone: chosen on all cases, features of pure noise look good in a cross-validation.
#include <cstdint>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace sono::zoo {

struct Ranking {
  std::vector<double> score;   // per column; mrmr: relevance minus redundancy when it was chosen
  std::vector<int64_t> order;  // columns, best first; equals as they come
};

std::vector<double> welch_t(const Tensor& x, const std::vector<int>& y);  // per column, positive: category 1 is larger; y 0 or 1. No spread: 0 if the means are equal, else infinite
std::vector<double> fisher_score(const Tensor& x, const std::vector<int>& y, int classes);

// Cut at quantiles into `bins` values 0 …; mutual information of two such rows of values.
std::vector<int> quantised(const std::vector<double>& values, int bins);
double mutual_information(const std::vector<int>& a, const std::vector<int>& b);

struct RankingOptions {
  int64_t count = 0;  // mrmr: how many to choose; 0: all. The others follow by relevance
  int bins = 5;       // mrmr
};
Ranking rank_features(const std::string& method, const Tensor& x, const std::vector<int>& y, int classes, const RankingOptions& options = {});

Tensor columns_of(const Tensor& x, const std::vector<int64_t>& columns);  // (N, columns.size())

}  // namespace sono::zoo
