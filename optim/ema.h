#pragma once
// An exponential moving average of a model's weights and running statistics [Polyak and Juditsky 1992; Tarvainen and Valpola, NIPS 2017]:
// average = d * average + (1 - d) * weights, d = min(decay, (1 + t) / (10 + t)) at update t = 1, 2, … so that early averages are not stuck
// at the start.
//
//   Ema ema(model, 0.999);
//   optimizer.step(); ema.update();
//   { Ema::Swap averaged(ema); validate(); }           // the model has the averaged weights in here
#include "optim/optimizer.h"

namespace sono {

class Ema {
 public:
  explicit Ema(const Module& model, double decay = 0.999, bool warm_up = true);  // the model must outlive it
  void update();

  class Swap {  // the model holds the averages while this lives
   public:
    explicit Swap(Ema& ema);
    ~Swap();
    Swap(const Swap&) = delete;
    Swap& operator=(const Swap&) = delete;

   private:
    Ema& ema_;
    std::vector<Tensor> own_;
  };

  NamedTensors state() const;                  // by the model's paths, and "updates"
  void load_state(const NamedTensors& state);  // ShapeError if a name is missing or does not fit; nothing is changed then

 private:
  std::vector<Module::Entry> entries_;
  std::vector<Tensor> averages_;
  double decay_;
  bool warm_up_;
  int64_t updates_ = 0;
};

}  // namespace sono
