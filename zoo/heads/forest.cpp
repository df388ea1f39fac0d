#include "zoo/heads/forest.h"

#include "zoo/heads/learners.h"

namespace sono::zoo {
namespace {

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
    const std::vector<int> y(cases.y.begin(), cases.y.end());
    const ForestOptions options{static_cast<int>(trees_), static_cast<int>(depth_), static_cast<int>(leaf_), static_cast<int>(tries_),
                                static_cast<int>(seed_)};
    grown_ = learners().grow_forest(cases.x.data<float>(), static_cast<int>(cases.x.dim(0)), static_cast<int>(cases.x.dim(1)), y, options);
    if (!grown_) throw NumericError("[forest] could not be grown on these cases");
  }

  Tensor classify(const Tensor& x) const override {
    const Tensor p({x.dim(0), classes()});
    if (x.dim(0) > 0) grown_->votes(x.data<float>(), static_cast<int>(x.dim(0)), static_cast<int>(classes()), p.data<float>());
    return p;
  }

  NamedTensors state() const override {
    const std::string text = grown_->text();
    return {{"trees", Tensor::from<uint8_t>({static_cast<int64_t>(text.size())}, {text.begin(), text.end()})}};
  }

  void take(const NamedTensors& state) override {
    const std::vector<uint8_t> text = named_tensor(state, "trees").to_vector<uint8_t>();
    grown_ = learners().read_forest({text.begin(), text.end()});
    if (!grown_ || grown_->features() != features()) throw FileError("[forest] the trees do not fit the features; the file is damaged");
  }

 private:
  int64_t trees_ = 200, depth_ = 25, leaf_ = 2, tries_ = 0, seed_ = 0;
  std::shared_ptr<const Trees> grown_;
};

}  // namespace

std::unique_ptr<Head> make_forest() { return std::make_unique<Forest>(); }

}  // namespace sono::zoo
