// Are three pictures, one per phase, as good as the whole time-intensity curve, and cheaper?
#include "zoo/classification/curves.h"
#include "zoo/experiments/simulated.h"
#include "zoo/sim/perfusion.h"

namespace sono::zoo {
namespace {

// What is classically read off a curve: peak, time to peak, area, transit time, slopes, of the lesion and relative to the liver.
std::vector<Views> curve_rows(const Sample& s) {
  std::vector<float> all;
  std::vector<sim::CurveFeatures> each;
  for (const char* channel : {"lesion", "liver"}) {
    const Tensor smooth = resampled_curve(curve_of(s, channel), 100);
    each.push_back(sim::curve_features(smooth.to_vector<double>(), s.sequence.rate * 100 / static_cast<double>(s.sequence.values.dim(0))));
  }
  const auto &lesion = each[0], &liver = each[1];
  for (const auto& f : each)
    for (const double v : {f.time_to_peak, f.mean_transit, f.area / f.peak, f.wash_in / f.peak, f.wash_out / f.peak})
      all.push_back(static_cast<float>(v));
  all.push_back(static_cast<float>(lesion.peak / liver.peak)), all.push_back(static_cast<float>(lesion.area / liver.area));
  return {{Tensor::from<float>({static_cast<int64_t>(all.size())}, all)}};
}

class DccaMklExperiment : public Experiment {
 public:
  DccaMklExperiment() { size_.list(settings_); }
  std::string name() const override { return "dcca-mkl"; }
  std::string question() const override {
    return "is DCCA-MKL on three phase pictures as accurate as features of the time-intensity curve, at a lower cost?";
  }

  ExperimentResult run(const ExperimentCall& call) override {
    if (call.quick) size_.shrink();
    const auto data = experiment_data(call, "ceus", size_, 1);
    const Contender dcca = system_contender("DCCA-MKL", "dcca-mkl",
                                            call.quick ? std::vector<std::pair<std::string, std::string>>{{"epochs", "20"}}
                                                       : std::vector<std::pair<std::string, std::string>>{},
                                            "3 pictures");
    std::vector<Contender> all{dcca};
    Contender curve{"TIC features, RBF SVM", "curve", curve_rows, {}, "400 pictures"};
    curve = head_contender(curve.name, curve, "svm", {{"C", {"1", "10", "100"}}, {"gamma", {"scale", "0.01"}}});
    all.push_back(curve);
    all.push_back(
        head_contender("three phases, one kernel (RBF SVM)", dcca, "svm", {{"C", {"1", "10", "100"}}, {"gamma", {"scale", "0.001"}}}));
    all.push_back(head_contender("three phases, logistic regression", dcca, "logistic", {{"C", {"0.001", "0.01", "0.1", "1"}}}));
    ExperimentResult result{.name = name(), .question = question()};
    cross_validate(*data, all, {size_.folds, size_.repeats, call.seed}, result);
    return result;
  }

 private:
  ExperimentSize size_{.cases = 500};
};

}  // namespace

std::unique_ptr<Experiment> make_dcca_mkl_experiment() { return std::make_unique<DccaMklExperiment>(); }

}  // namespace sono::zoo
