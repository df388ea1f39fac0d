#pragma once
// The cells of recurrent layers, in PyTorch's order of gates: LSTM i f g o, GRU r z n.
#include <cstdint>

namespace sono {

enum class Cell : uint8_t { tanh, relu, lstm, gru };
constexpr int64_t gates(Cell cell) { return cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1; }

}  // namespace sono
