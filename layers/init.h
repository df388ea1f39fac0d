#pragma once
// First values of weights, written in place. Every draw takes the next stream of the program's generator (tensor/random.h), so that
// set_seed(s) before a model is built makes it the same model again. A weight is (…, in, out): fan_in = count / out, fan_out = count / in.
//
//   set_seed(1);
//   Conv2d conv{{.in = 1, .out = 16}};
//   init::kaiming_normal(conv.weight, {.fan = init::Fan::out});
#include "tensor/tensor.h"

namespace sono::init {

// While it lives, this thread's initialisers draw nothing and leave values as they are: for a model whose weights are about to be loaded.
class Skip {
 public:
  Skip();
  ~Skip();
  Skip(const Skip&) = delete;

 private:
  bool before_;
};

enum class Fan { in, out };
int64_t fan_in(const Shape& weight);  // values that an output sums over; ShapeError below rank 2
int64_t fan_out(const Shape& weight);

void constant(const Tensor& w, double value);
void uniform(const Tensor& w, double low, double high);
void normal(const Tensor& w, double mean, double deviation);

// Variance 2 / (fan_in + fan_out) * gain^2 [Glorot and Bengio, AISTATS 2010].
void xavier_uniform(const Tensor& w, double gain = 1);
void xavier_normal(const Tensor& w, double gain = 1);

// Variance gain^2 / fan with gain^2 = 2 / (1 + slope^2), for units with a (leaky) ReLU of that slope [He et al., ICCV 2015].
struct KaimingOptions {
  double slope = 0;
  Fan fan = Fan::in;
};
void kaiming_uniform(const Tensor& w, const KaimingOptions& options = {});
void kaiming_normal(const Tensor& w, const KaimingOptions& options = {});

// w as a matrix (…·in, out): orthonormal rows or columns, whichever are fewer, times gain; uniform among all of them [Saxe et al., ICLR
// 2014].
void orthogonal(const Tensor& w, double gain = 1);

// Each output is connected to `connections` inputs at random (all if there are fewer), the rest is zero
// [Martens, ICML 2010; Sutskever et al., ICML 2013: 15 connections of deviation 1].
void sparse(const Tensor& w, int64_t connections = 15, double deviation = 1);

// What PyTorch's Linear and Conv do: weight and bias uniform in ±1/sqrt(fan_in) (its Kaiming rule with slope sqrt(5)). The bias may be
// empty.
void pytorch_default(const Tensor& w, const Tensor& bias);

}  // namespace sono::init
