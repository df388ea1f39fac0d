// Does a pre-trained deep belief network read time-intensity curves better than classical classifiers and a network without pre-training?
#include "zoo/experiments/simulated.h"

namespace sono::zoo {
namespace {

class TicDbnExperiment : public Experiment {
 public:
  TicDbnExperiment() { size_.list(settings_); }
  std::string name() const override { return "tic-dbn"; }
  std::string question() const override {
    return "does TIC-DBN beat LDA, k-NN, SVM and a back-propagation network on time-intensity curves?";
  }

  ExperimentResult run(const ExperimentCall& call) override {
    if (call.quick) size_.shrink();
    const std::vector<std::pair<std::string, std::string>> effort =
        call.quick ? std::vector<std::pair<std::string, std::string>>{{"epochs", "15"}, {"pretrain_epochs", "5"}}
                   : std::vector<std::pair<std::string, std::string>>{};
    const auto data = experiment_data(call, "ceus", size_, 1);
    const Contender dbn = system_contender("TIC-DBN", "tic-dbn", effort);
    auto without = effort;
    without.emplace_back("pretrain", "false");
    std::vector<Contender> all{dbn};
    all.push_back(head_contender("LDA, shrinkage", dbn, "lda", {}));
    all.push_back(head_contender("k nearest neighbours", dbn, "knn", {{"k", {"5", "11", "21"}}}));
    all.push_back(head_contender("RBF SVM", dbn, "svm", {{"C", {"1", "10", "100"}}, {"gamma", {"scale", "0.001"}}}));
    all.push_back(head_contender("linear SVM", dbn, "linear-svm", {{"C", {"0.001", "0.01", "0.1", "1"}}}));
    all.push_back(system_contender("back-propagation network, same layers", "tic-dbn", without));
    ExperimentResult result{.name = name(), .question = question()};
    cross_validate(*data, all, {size_.folds, size_.repeats, call.seed}, result);
    return result;
  }

 private:
  ExperimentSize size_{.cases = 800};
};

}  // namespace

std::unique_ptr<Experiment> make_tic_dbn_experiment() { return std::make_unique<TicDbnExperiment>(); }

}  // namespace sono::zoo
