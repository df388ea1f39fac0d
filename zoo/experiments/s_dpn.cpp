// Does a stack of deep polynomial networks represent texture better than stacked autoencoders, a deep belief network, or no representation?
#include "zoo/classification/dbn_stage.h"
#include "zoo/classification/sdae_stage.h"
#include "zoo/experiments/simulated.h"

namespace sono::zoo {
namespace {

class SDpnExperiment : public Experiment {
 public:
  SDpnExperiment() { size_.list(settings_); }
  std::string name() const override { return "s-dpn"; }
  std::string question() const override {
    return "does S-DPN beat stacked autoencoders, a DBN and SVMs on texture features of breast lesions?";
  }

  ExperimentResult run(const ExperimentCall& call) override {
    if (call.quick) size_.shrink();
    const int64_t epochs = call.quick ? 8 : 40, pretrain = call.quick ? 4 : 20;
    const auto data = experiment_data(call, "breast-types", size_, 1);
    const std::string features = call.data.empty() ? "lesion" : "all";  // as the systems choose on their own
    const Contender stacked = system_contender("S-DPN, linear SVM", "s-dpn", {{"crops", "1"}, {"features", features}});
    std::vector<Contender> all{stacked};
    all.push_back(system_contender("DPN, linear SVM", "dpn", {{"crops", "1"}, {"features", features}}));
    all.back().sees = stacked.sees;
    all.push_back(system_contender("DPN, a kernel per layer (DPN-MKL)", "dpn",
                                   {{"crops", "1"}, {"features", features}, {"head", "mkl"}, {"C", "1"}}));
    all.back().sees = stacked.sees;
    Contender coder = stacked;
    coder.name = "stacked autoencoders, fine-tuned";
    coder.make = [=] {
      Pipeline p;
      p.add<UnitRange>();
      p.add<SdaeStage>(
          SdaeStageOptions{.hidden = {100, 50}, .corruption = {Noise::none, 0}, .pretrain_epochs = pretrain, .epochs = epochs});
      return p;
    };
    all.push_back(coder);
    Contender belief = stacked;
    belief.name = "deep belief network, fine-tuned";
    belief.make = [=] {
      Pipeline p;
      p.add<UnitRange>();
      p.add<DbnStage>(DbnStageOptions{.hidden = {100, 50}, .pretrain_epochs = pretrain, .fine_tune_epochs = epochs});
      return p;
    };
    all.push_back(belief);
    all.push_back(
        head_contender("RBF SVM on the features", stacked, "svm", {{"C", {"1", "10", "100"}}, {"gamma", {"scale", "0.001", "0.0003"}}}));
    all.push_back(head_contender("linear SVM on the features", stacked, "linear-svm", {{"C", {"0.0001", "0.001", "0.01", "0.1"}}}));
    ExperimentResult result{.name = name(), .question = question()};
    cross_validate(*data, all, {size_.folds, size_.repeats, call.seed}, result);
    return result;
  }

 private:
  ExperimentSize size_{.cases = 400};
};

}  // namespace

std::unique_ptr<Experiment> make_s_dpn_experiment() { return std::make_unique<SDpnExperiment>(); }

}  // namespace sono::zoo
