// What is pre-training worth as labels become few? Of 1000 patients' curves 1000 … 20 are labelled; the pre-training sees all of them.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "tensor/random.h"
#include "zoo/classification/dbn_stage.h"
#include "zoo/experiments/simulated.h"

namespace sono::zoo {
namespace {

class PretrainingExperiment : public Experiment {
 public:
  PretrainingExperiment() {
    settings_.add("labelled", labelled_, 4, 100000, "numbers of labelled cases, the largest first: that many cases are known in all");
    settings_.add("test", test_, 20, 100000, "other simulated patients that all are tested on");
    settings_.add("repeats", repeats_, 2, 100, "draws of the labelled cases and of the first weights");
    settings_.add("difficulty", difficulty_, 0, 1, "of the simulated cases");
    settings_.add("epochs", epochs_, 1, 10000, "of fine-tuning");
    settings_.add("pretrain_epochs", pretrain_epochs_, 1, 10000, "of contrastive divergence, per layer");
  }
  std::string name() const override { return "pretraining"; }
  std::string question() const override { return "what is unsupervised pre-training worth as labelled cases shrink from 1000 to 20?"; }

  ExperimentResult run(const ExperimentCall& call) override {
    if (!call.data.empty())
      throw Error("the experiment 'pretraining' needs as many cases as it likes: it runs on simulated curves, leave --data out");
    if (call.quick) labelled_ = {100, 20}, test_ = 100, repeats_ = 2, epochs_ = 15, pretrain_epochs_ = 5;
    const int64_t known = *std::max_element(labelled_.begin(), labelled_.end());
    const Contender like = system_contender("", "tic-dbn");
    const auto data = experiment_data(call, "ceus", {.cases = known + test_, .difficulty = difficulty_}, 1);
    const Lesson all = lesson_of(*data, like.rows);
    ExperimentResult result{.name = name(),
                            .question = question(),
                            .data = data->name(),
                            .cases = known + test_,
                            .patients = known + test_,
                            .folds = 1,
                            .repeats = repeats_};
    result.test_over_train = static_cast<double>(test_) / static_cast<double>(known);
    for (const int64_t n : labelled_) {
      ContenderResult with{.name = fmt::format("{} labelled, pre-trained on {}", n, known)},
          without{.name = fmt::format("{} labelled, not pre-trained", n)};
      for (int64_t r = 0; r < repeats_; r++) compare(all, known, n, call.seed + static_cast<uint64_t>(r), with, without);
      std::vector<double> difference;
      for (size_t i = 0; i < with.auc.size(); i++) difference.push_back(with.auc[i] - without.auc[i]);
      const PairedTest t = corrected_resampled_t(difference, result.test_over_train);
      result.notes.push_back(fmt::format("{:>5} labelled: pre-training changes the AUC by {:+.3f} [{:+.3f}, {:+.3f}], p {:.2g}", n,
                                         t.difference, t.lo, t.hi, t.p));
      result.contenders.push_back(with), result.contenders.push_back(without);
    }
    return result;
  }

 private:
  Lesson lesson_of(const Dataset& data, const RowsOf& rows) const {
    Lesson l;
    l.classes = static_cast<int64_t>(data.categories().size());
    std::vector<Views> each;
    for (int64_t i = 0; i < data.size(); i++) {
      each.push_back(rows(data.get(i)).at(0));
      l.categories.push_back(data.category(i).value()), l.groups.push_back(i);
    }
    l.views = stacked_views(each);
    return l;
  }

  // The first `known` cases, n of them with their category, half of either; tested on the others.
  void compare(const Lesson& all, int64_t known, int64_t n, uint64_t seed, ContenderResult& with, ContenderResult& without) const {
    std::vector<int64_t> first(static_cast<size_t>(known)), test(static_cast<size_t>(test_));
    std::iota(first.begin(), first.end(), 0), std::iota(test.begin(), test.end(), known);
    Lesson lesson = taken_rows(all, first);
    lesson.seed = seed;
    std::vector<int64_t> left(static_cast<size_t>(all.classes), n / all.classes);
    for (const int64_t i : Random(seed, "labelled", static_cast<uint64_t>(n)).permutation(known)) {
      int& category = lesson.categories[static_cast<size_t>(i)];
      if (n < known && left[static_cast<size_t>(category)]-- <= 0) category = -1;
    }
    std::vector<int> truth;
    for (const int64_t i : test) truth.push_back(all.categories[static_cast<size_t>(i)]);
    std::vector<int64_t> case_of(test.size());
    std::iota(case_of.begin(), case_of.end(), 0);
    for (const bool pretrain : {true, false}) {
      Pipeline p;
      p.add<UnitRange>(false);
      p.add<DbnStage>(DbnStageOptions{.pretrain = pretrain, .pretrain_epochs = pretrain_epochs_, .fine_tune_epochs = epochs_});
      p.fit(lesson);
      const auto [area, right] = auc_and_accuracy(p.apply(taken_rows(all.views, test)), case_of, truth);
      ContenderResult& r = pretrain ? with : without;
      r.auc.push_back(area), r.accuracy.push_back(right);
    }
  }

  std::vector<int64_t> labelled_ = {1000, 500, 200, 100, 50, 20};
  int64_t test_ = 600, repeats_ = 5, epochs_ = 60, pretrain_epochs_ = 30;
  double difficulty_ = 0.3;
};

}  // namespace

std::unique_ptr<Experiment> make_pretraining_experiment() { return std::make_unique<PretrainingExperiment>(); }

}  // namespace sono::zoo
