#include "zoo/heads/logistic.h"

#include "autograd/graph.h"
#include "autograd/ops.h"
#include "layers/module.h"
#include "optim/lbfgs.h"

namespace sono::zoo {
namespace {

struct Model : Module {
  Model(int64_t features, int64_t classes) {
    parameter("weight", weight, Tensor::zeros({features, classes}, Dtype::f64));
    parameter("bias", bias, Tensor::zeros({classes}, Dtype::f64));
  }
  Tensor weight, bias;
};

class Logistic : public Head {
 public:
  Logistic() : Head(true) {
    settings_.add("C", C_, 1e-9, 1e9, "inverse strength of the penalty");
    settings_.add("iterations", iterations_, 1, 1000000, "largest number of steps");
    settings_.add("tolerance", tolerance_, 1e-12, 1, "largest slope of the mean loss at the end");
  }
  std::string name() const override { return "logistic"; }

 protected:
  void learn(const Cases& cases) override {
    Model model(cases.x.dim(1), cases.classes);
    const Tensor x = cases.x.to(Dtype::f64), y = Tensor::from<int32_t>({cases.size()}, {cases.y.begin(), cases.y.end()});
    const double penalty = 1 / (2 * C_ * static_cast<double>(cases.size()));
    Lbfgs optimizer(model, {.max_iterations = iterations_, .gradient_tolerance = tolerance_, .change_tolerance = 1e-14, .history = 20});
    optimizer.step([&] {
      optimizer.zero_gradients();
      const Tensor loss = cross_entropy(linear(x, model.weight, model.bias), y) + sum(square(model.weight)) * penalty;
      backward(loss);
      return loss.item();
    });
    weight_ = model.weight.detach().clone();
    bias_ = model.bias.detach().clone();
  }
  Tensor classify(const Tensor& x) const override {
    const NoGrad no_grad;
    return softmax(linear(x.to(Dtype::f64), weight_, bias_)).to(Dtype::f32);
  }
  NamedTensors state() const override { return {{"weight", weight_}, {"bias", bias_}}; }
  void take(const NamedTensors& state) override {
    weight_ = named_tensor(state, "weight").to(Dtype::f64), bias_ = named_tensor(state, "bias").to(Dtype::f64);
    if (weight_.shape() != Shape{features(), classes()} || bias_.shape() != Shape{classes()})
      throw FileError("[logistic] weight " + to_string(weight_.shape()) + " does not fit " + std::to_string(features()) + " features and " +
                      std::to_string(classes()) + " categories");
  }

 private:
  double C_ = 1, tolerance_ = 1e-6;
  int64_t iterations_ = 1000;
  Tensor weight_, bias_;  // (F, classes), (classes) f64
};

}  // namespace

std::unique_ptr<Head> make_logistic() { return std::make_unique<Logistic>(); }

}  // namespace sono::zoo
