#pragma once
// The fast convolutions of the CPU, f32: entries of the lists in conv.cpp.
#include "tensor/kernels.h"

namespace sono::kernels {

namespace rows {  // conv_rows.cpp: any geometry
bool fits(const ConvArgs& a);
void forward(const ConvArgs& a);
void input(const ConvArgs& a);
void weight(const ConvArgs& a);
}  // namespace rows

namespace winograd {  // conv_winograd.cpp: 3 x 3 (and kD x 3 x 3), stride 1, by F(Tile x Tile, 3 x 3); Tile is 4 or 2
template <int Tile> bool fits(const ConvArgs& a);
template <int Tile> void forward(const ConvArgs& a);
template <int Tile> void input(const ConvArgs& a);
template <int Tile> void weight(const ConvArgs& a);
}  // namespace winograd

}  // namespace sono::kernels
