// sonograd_learners.so: see zoo/heads/learners.h.
#include "zoo/heads/learners.h"

#include <linear.h>

#include <opencv2/ml.hpp>

namespace sono::zoo {
namespace {

using Model = cv::Ptr<cv::ml::RTrees>;

// x as OpenCV sees it; it does not write to what it learns from.
cv::Mat matrix(const float* x, int rows, int columns) { return {rows, columns, CV_32F, const_cast<float*>(x)}; }

class Forest : public Trees {
 public:
  explicit Forest(Model model) : model_(std::move(model)) {}
  int features() const override { return model_->getVarCount(); }
  // OpenCV's first row of votes names the categories, the others count the trees.
  void votes(const float* x, int rows, int classes, float* p) const override {
    cv::Mat votes;
    model_->getVotes(matrix(x, rows, features()), votes, 0);
    std::fill_n(p, static_cast<int64_t>(rows) * classes, 0.0f);
    for (int i = 0; i < rows; i++, p += classes) {
      double sum = 0;
      for (int c = 0; c < votes.cols; c++) sum += votes.at<int>(i + 1, c);
      for (int c = 0; c < votes.cols; c++) p[votes.at<int>(0, c)] = static_cast<float>(votes.at<int>(i + 1, c) / sum);
    }
  }
  std::string text() const override {
    cv::FileStorage file(".json", cv::FileStorage::WRITE | cv::FileStorage::MEMORY);
    model_->write(file);
    return file.releaseAndGetString();
  }

 private:
  Model model_;
};

std::unique_ptr<Trees> grow_forest(const float* x, int rows, int features, const std::vector<int>& y, const ForestOptions& o) {
  const Model model = cv::ml::RTrees::create();
  model->setMaxDepth(o.depth);
  model->setMinSampleCount(o.leaf);
  model->setActiveVarCount(o.tries);
  model->setTermCriteria({cv::TermCriteria::MAX_ITER, o.trees, 0});
  cv::setRNGSeed(o.seed);  // of this thread, on which all trees are grown
  const auto data = cv::ml::TrainData::create(matrix(x, rows, features), cv::ml::ROW_SAMPLE, cv::Mat(y, true));
  return model->train(data) ? std::make_unique<Forest>(model) : nullptr;
}

std::unique_ptr<Trees> read_forest(const std::string& text) {
  try {
    const Model model = cv::ml::RTrees::create();
    const cv::FileStorage file(text, cv::FileStorage::READ | cv::FileStorage::MEMORY);
    model->read(file.root());
    return model->isTrained() ? std::make_unique<Forest>(model) : nullptr;
  } catch (const cv::Exception&) { return nullptr; }
}

}  // namespace
}  // namespace sono::zoo

extern "C" __attribute__((visibility("default"))) const sono::zoo::Learners* sonograd_learners() {
  static const sono::zoo::Learners all = [] {
    set_print_string_function([](const char*) {});
    return sono::zoo::Learners{sono::zoo::grow_forest, sono::zoo::read_forest, train, free_and_destroy_model};
  }();
  return &all;
}
