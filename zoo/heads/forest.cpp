#include "zoo/heads/forest.h"

#include <opencv2/ml.hpp>

namespace sono::zoo {
namespace {

// x as OpenCV sees it; it does not write to what it learns from.
cv::Mat matrix(const Tensor& x) { return {static_cast<int>(x.dim(0)), static_cast<int>(x.dim(1)), CV_32F, x.data<float>()}; }

class Forest : public Head {
 public:
  Forest() : Head(false) {
    settings_.add("trees", trees_, 1, 10000, "that vote");
    settings_.add("depth", depth_, 1, 100, "of a tree at most");
    settings_.add("leaf", leaf_, 1, 10000, "cases that a node has at least, to be split");
    settings_.add("tries", tries_, 0, 100000, "features that each split chooses among; 0: the root of their number");
    settings_.add("seed", seed_, 0, 1000000, "of the samples and the features tried");
  }
  std::string name() const override { return "forest"; }

 protected:
  void learn(const Cases& cases) override {
    if (tries_ > cases.x.dim(1))
      throw NumericError("[forest] each split cannot try " + std::to_string(tries_) + " of " + std::to_string(cases.x.dim(1)) +
                         " features");
    const cv::Ptr<cv::ml::RTrees> model = cv::ml::RTrees::create();
    model->setMaxDepth(static_cast<int>(depth_));
    model->setMinSampleCount(static_cast<int>(leaf_));
    model->setActiveVarCount(static_cast<int>(tries_));
    model->setTermCriteria({cv::TermCriteria::MAX_ITER, static_cast<int>(trees_), 0});
    const std::vector<int> y(cases.y.begin(), cases.y.end());
    cv::setRNGSeed(static_cast<int>(seed_));  // of this thread, on which all trees are grown
    const auto data = cv::ml::TrainData::create(matrix(cases.x), cv::ml::ROW_SAMPLE, cv::Mat(y, true));
    if (!model->train(data)) throw NumericError("[forest] could not be grown on these cases");
    model_ = model;
  }

  // The first row of the votes names the categories, the others count the trees.
  Tensor classify(const Tensor& x) const override {
    const Tensor p = Tensor::zeros({x.dim(0), classes()});
    if (x.dim(0) == 0) return p;
    cv::Mat votes;
    model_->getVotes(matrix(x), votes, 0);
    for (int i = 0; i < p.dim(0); i++) {
      double sum = 0;
      for (int c = 0; c < votes.cols; c++) sum += votes.at<int>(i + 1, c);
      for (int c = 0; c < votes.cols; c++)
        p.data<float>()[i * classes() + votes.at<int>(0, c)] = static_cast<float>(votes.at<int>(i + 1, c) / sum);
    }
    return p;
  }

  NamedTensors state() const override {
    cv::FileStorage file(".json", cv::FileStorage::WRITE | cv::FileStorage::MEMORY);
    model_->write(file);
    const std::string text = file.releaseAndGetString();
    return {{"trees", Tensor::from<uint8_t>({static_cast<int64_t>(text.size())}, {text.begin(), text.end()})}};
  }

  void take(const NamedTensors& state) override {
    const std::vector<uint8_t> text = named_tensor(state, "trees").to_vector<uint8_t>();
    try {
      const cv::Ptr<cv::ml::RTrees> model = cv::ml::RTrees::create();
      const cv::FileStorage file(std::string(text.begin(), text.end()), cv::FileStorage::READ | cv::FileStorage::MEMORY);
      model->read(file.root());
      if (!model->isTrained() || model->getVarCount() != features()) throw FileError("");
      model_ = model;
    } catch (const std::exception&) { throw FileError("[forest] the trees do not fit the features; the file is damaged"); }
  }

 private:
  int64_t trees_ = 200, depth_ = 25, leaf_ = 2, tries_ = 0, seed_ = 0;
  cv::Ptr<cv::ml::RTrees> model_;
};

}  // namespace

std::unique_ptr<Head> make_forest() { return std::make_unique<Forest>(); }

}  // namespace sono::zoo
