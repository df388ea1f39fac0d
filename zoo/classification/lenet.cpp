// lenet: LeNet-5, the smallest convolutional classifier; with Maxout units instead of ReLU on request.
#include "layers/activation.h"
#include "layers/conv.h"
#include "layers/linear.h"
#include "layers/pool.h"
#include "layers/sequential.h"
#include "zoo/classification/classifier.h"

namespace sono::zoo {
namespace {

struct LeNetSettings : ClassifierSettings {
  std::string activation = "relu";
  void list(Settings& s) override {
    s.add("activation", activation, {"relu", "tanh", "maxout"}, "maxout: the largest of two linear pieces [Goodfellow et al., ICML 2013]");
    ClassifierSettings::list(s);
  }
};

class LeNetSystem : public Classifier {
 public:
  LeNetSystem() {
    options_.height = options_.width = 64;
    options_.epochs = 60;
    options_.batch = 16;
    options_.optimizer = "sgd";
    options_.rate = 0.02;
    options_.weight_decay = 5e-4;
    options_.ema = 0;
    options_.clip = 0;
    options_.list(settings());
  }

  Card card() const override {
    return {.name = "lenet",
            .title = "LeNet-5 for ultrasound pictures",
            .task = "classification: benign or malignant, or the categories that the folder names",
            .input = "B-mode image, whole, or cropped to the lesion with its mask as a second channel (--crop lesion); letterboxed to height x width",
            .method = "two 5x5 convolutions with 2x2 max pools, three linear layers; momentum; ReLU, tanh or Maxout",
            .reference = "LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, Proc. IEEE 86(11), 1998",
            .claim = "",
            .measured = "nothing yet beyond equal losses on CPU and emulated CUDA",
            .limits = "a baseline for teaching; also the first system that runs on the CUDA device"};
  }
  std::string default_source() const override { return "sim:breast"; }

 protected:
  LeNetSettings& base() override { return options_; }

  std::unique_ptr<Module> build() override {
    auto net = std::make_unique<Sequential>();
    const int64_t pieces = options_.activation == "maxout" ? 2 : 1;
    const auto activation = [&] {
      if (options_.activation == "maxout") net->append<Maxout>({.pieces = 2});
      else if (options_.activation == "tanh") net->append<Tanh>();
      else net->append<Relu>();
    };
    net->append<Conv2d>({.in = channels(), .out = 6 * pieces, .kernel = 5, .padding = 2});
    activation();
    net->append<MaxPool>(PoolOptions{});
    net->append<Conv2d>({.in = 6, .out = 16 * pieces, .kernel = 5});
    activation();
    net->append<MaxPool>(PoolOptions{});
    net->append<Flatten>();
    const int64_t features = 16 * ((options_.height / 2 - 4) / 2) * ((options_.width / 2 - 4) / 2);
    net->append<Linear>({.in = features, .out = 120 * pieces});
    activation();
    net->append<Linear>({.in = 120, .out = 84 * pieces});
    activation();
    net->append<Linear>({.in = 84, .out = classes()});
    return net;
  }
  Tensor forward(Module& network, const Tensor& images) override { return static_cast<Sequential&>(network)(images); }

 private:
  LeNetSettings options_;
};

}  // namespace

std::unique_ptr<System> make_lenet() { return std::make_unique<LeNetSystem>(); }

}  // namespace sono::zoo
