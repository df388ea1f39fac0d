#pragma once
// Is one method better than another? Paired tests, and the honest score of one that was trained and tested on the same few patients.
//
//   PairedTest t = corrected_resampled_t(differences, 0.25);   // of 5-fold scores: test / train = 1/4
//   PairedTest d = delong_test(truth, scores_a, scores_b);     // of two areas under the ROC curve
//   McNemar m = mcnemar(right_a, right_b);                     // of two accuracies
#include <cstdint>
#include <functional>
#include <vector>

#include "zoo/metrics/bootstrap.h"

namespace sono::zoo {

struct PairedTest {
  double difference;     // mean, or area of a minus area of b
  double lo, hi;         // its confidence interval
  double statistic;      // t or z; infinite if nothing varies and the difference is not 0
  double p;              // two-sided
};

// Scores of two methods on the same folds of a repeated cross-validation, a minus b. Folds share training cases, so the plain t-test sees
// far too much: t = mean / sqrt((1 / n + n_test / n_train) s^2), n - 1 degrees [Nadeau and Bengio, Machine Learning 52, 2003].
PairedTest corrected_resampled_t(const std::vector<double>& differences, double test_over_train, double level = 0.95);

// Two sets of scores of the same cases [DeLong, DeLong and Clarke-Pearson, Biometrics 1988]; cases are taken as independent.
PairedTest delong_test(const std::vector<int>& truth, const std::vector<double>& scores_a, const std::vector<double>& scores_b, double level = 0.95);

// Cases that only one of two methods gets right [McNemar 1947], by the exact binomial test: two-sided p of the smaller count.
struct McNemar {
  int64_t only_a = 0, only_b = 0;
  double p = 1;
};
McNemar mcnemar(const std::vector<bool>& right_a, const std::vector<bool>& right_b);

// The .632+ estimate of the area under the ROC curve [Efron and Tibshirani, JASA 92, 1997; for areas Sahiner, Chan and Hadjiiski, Medical
// Physics 35, 2008]. Replicate b trains on patients drawn with repeats and scores those left out, A_b. With A_0 trained and tested on all:
//   A_b' = max(A_b, 1/2),  R = (A_0 - A_b') / (A_0 - 1/2) cut to [0, 1],  w = .632 / (1 - .368 R),  (1 - w) A_0 + w A_b'
// averaged over b; the interval is that of the replicates' percentiles.
struct Bootstrap632 {
  double area, lo, hi;
  double apparent;       // A_0
  double left_out;       // mean of A_b
  int64_t replicates;    // those in which both categories were drawn and left out
};
// Trains on cases (with repeats) and returns the scores of others; called from several threads.
using TrainAndScore = std::function<std::vector<double>(const std::vector<int64_t>& train, const std::vector<int64_t>& test)>;
// groups as of group_numbers(): the patient of each case.
Bootstrap632 bootstrap_632_plus(const std::vector<int>& truth, const std::vector<int64_t>& groups, const TrainAndScore& run, const BootstrapOptions& options = {.replicates = 200});

// P(|T| > t) of Student's t with that many degrees of freedom, and the t with P(|T| < t) = level.
double student_two_sided(double t, double degrees);
double student_quantile(double level, double degrees);

}  // namespace sono::zoo
