#pragma once
// The fast convolutions of the CPU, f32: entries of the lists in conv.cpp.
#include "tensor/kernels.h"

namespace sono::kernels {

// y = activation(y) for n values, but relu, which kernels apply in registers.
void activate(Activation activation, float* y, int64_t n);

namespace narrow {  // conv_narrow.cpp: one to three channels, kernel rows of 3, 5 or 7 taps
bool fits(const ConvArgs& a);
void forward(const ConvArgs& a);
void weight(const ConvArgs& a);
Tensor pack(const ConvArgs& a);
double cost(const ConvArgs& a);  // this and those below: conv_cost.cpp
}  // namespace narrow

namespace depthwise {  // conv_depthwise.cpp: as many groups as channels, in and out
bool fits(const ConvArgs& a);
void forward(const ConvArgs& a);
void input(const ConvArgs& a);
void weight(const ConvArgs& a);
double cost(const ConvArgs& a);
}  // namespace depthwise

namespace rows {  // conv_rows.cpp, conv_weight.cpp: any geometry
bool fits(const ConvArgs& a);
void forward(const ConvArgs& a);
void input(const ConvArgs& a);
void weight(const ConvArgs& a);
Tensor pack(const ConvArgs& a);
Tensor pack_input(const ConvArgs& a);
double forward_cost(const ConvArgs& a);
double input_cost(const ConvArgs& a);
double weight_cost(const ConvArgs& a);
}  // namespace rows

namespace winograd {  // conv_winograd*.cpp: 3 x 3, and with stride 1 kD x 3 x 3
enum class Algorithm : uint8_t { tiles4, tiles2, stride2 };  // F(4x4, 3x3), F(2x2, 3x3); stride 2 by F(4x4, 2x2)
template <Algorithm A> bool fits(const ConvArgs& a);
template <Algorithm A> void forward(const ConvArgs& a);
template <Algorithm A> void input(const ConvArgs& a);
template <Algorithm A> void weight(const ConvArgs& a);
template <Algorithm A> Tensor pack(const ConvArgs& a);
template <Algorithm A> Tensor pack_input(const ConvArgs& a);
template <Algorithm A> double forward_cost(const ConvArgs& a);
template <Algorithm A> double input_cost(const ConvArgs& a);
template <Algorithm A> double weight_cost(const ConvArgs& a);
}  // namespace winograd

}  // namespace sono::kernels
