#pragma once
// How well predicted categories and their scores agree with the truth.
//
//   auc({0, 0, 1, 1}, {0.1, 0.4, 0.35, 0.8});            // 0.75: P(score of a positive > score of a negative)
//   ConfusionMatrix m = confusion_matrix(truth, predicted, 3);   accuracy(m);   macro_f1(m);
//
// Where a value is not defined (no positives, say) it is NaN. A NaN score is refused (NumericError).
#include <cstdint>
#include <vector>

#include "zoo/metrics/segmentation.h"

namespace sono::zoo {

using ConfusionMatrix = std::vector<std::vector<int64_t>>;  // [truth][predicted], cases
ConfusionMatrix confusion_matrix(const std::vector<int>& truth, const std::vector<int>& predicted, int categories);
Overlap one_versus_rest(const ConfusionMatrix& matrix, int category);  // TP, FP, FN, TN with `category` as the positive one

double accuracy(const ConfusionMatrix& matrix);
double f1(const Overlap& o);  // 2 TP / (2 TP + FP + FN); NaN if there is neither a positive nor a call
// Means over the categories for which the value is defined. sensitivity(o) and specificity(o) are segmentation.h's.
double macro_f1(const ConfusionMatrix& matrix);
double macro_sensitivity(const ConfusionMatrix& matrix);
double macro_specificity(const ConfusionMatrix& matrix);

// Area under the ROC curve as Mann-Whitney's U: (sum of the positives' ranks - n1 (n1 + 1) / 2) / (n1 n0), ties count 1/2.
// truth: 0 or 1. NaN unless both occur.
double auc(const std::vector<int>& truth, const std::vector<double>& scores);

// The area with its confidence interval [DeLong, DeLong and Clarke-Pearson, Biometrics 1988], in O(n log n) by midranks
// [Sun and Xu, IEEE Signal Processing Letters 2014], cut to [0, 1]. Cases are taken as independent: with several images of a patient
// use bootstrap.h.
struct AucInterval {
  double auc, variance, lo, hi;
};
AucInterval delong(const std::vector<int>& truth, const std::vector<double>& scores, double level = 0.95);

// Average precision: sum over the distinct scores, highest first, of (R_n - R_{n-1}) P_n. NaN without a positive.
double average_precision(const std::vector<int>& truth, const std::vector<double>& scores);

// Points of the ROC curve from (0, 0) to (1, 1), one per distinct score; a case is called positive when score >= threshold.
struct RocPoint {
  double false_positive_rate, true_positive_rate, threshold;
};
std::vector<RocPoint> roc_curve(const std::vector<int>& truth, const std::vector<double>& scores);

// Mean over the categories, each against the rest, for which the value is defined. probabilities[i][k]: case i, category k.
// Two categories: that of category 1, as is usual.
double macro_auc(const std::vector<int>& truth, const std::vector<std::vector<float>>& probabilities);
double macro_average_precision(const std::vector<int>& truth, const std::vector<std::vector<float>>& probabilities);

}  // namespace sono::zoo
