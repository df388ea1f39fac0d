#pragma once
// Recurrent networks over x (N, T, in) [Elman 1990; Hochreiter and Schmidhuber 1997; Cho et al., EMNLP 2014], with PyTorch's equations,
// order of gates (LSTM i f g o, GRU r z n) and parameter names; weights are (in, gates * hidden).
//
//   Lstm lstm{this, "lstm", {.in = 64, .hidden = 128, .layers = 2, .bidirectional = true}};
//   auto [y, state] = lstm(x, {.lengths = {100, 87}});   // y (N, T, 256): zero beyond a sequence's length
//   Tensor logits = head(last(state.h, 2));              // (N, 256): where each sequence, and its reverse, ended
#include <memory>

#include "layers/module.h"

namespace sono {

struct CellOptions {
  int64_t in, hidden;
  bool bias = true;
};

// One step of time: x (N, in) and the state before -> the state after. An empty state means zeros. Weights uniform in ±1/sqrt(hidden).
class RecurrentCell : public Module {
 public:
  using Options = CellOptions;
  RecurrentCell(Module* parent, std::string name, Cell cell, const Options& options);
  RecurrentState operator()(const Tensor& x, const RecurrentState& before = {}) const;
  const char* kind() const override;
  std::string describe() const override;

  Tensor weight_ih, weight_hh, bias_ih, bias_hh;  // (in, gates * hidden), (hidden, gates * hidden), (gates * hidden)

 private:
  Cell cell_;
};
struct RnnCell : RecurrentCell {
  explicit RnnCell(const Options& o) : RecurrentCell(nullptr, "", Cell::tanh, o) {}
  RnnCell(Module* parent, std::string name, const Options& o) : RecurrentCell(parent, std::move(name), Cell::tanh, o) {}
};
struct LstmCell : RecurrentCell {
  explicit LstmCell(const Options& o) : RecurrentCell(nullptr, "", Cell::lstm, o) {}
  LstmCell(Module* parent, std::string name, const Options& o) : RecurrentCell(parent, std::move(name), Cell::lstm, o) {}
};
struct GruCell : RecurrentCell {
  explicit GruCell(const Options& o) : RecurrentCell(nullptr, "", Cell::gru, o) {}
  GruCell(Module* parent, std::string name, const Options& o) : RecurrentCell(parent, std::move(name), Cell::gru, o) {}
};

struct RecurrentOptions {
  int64_t in, hidden, layers = 1;
  bool bidirectional = false;
  bool bias = true;
  double dropout = 0;  // between layers, in training
};
struct RecurrentCall {
  std::vector<int64_t> lengths = {};  // of each sequence, 0 … T; empty: all T. Steps beyond it change nothing and give zeros
  RecurrentState initial = {};        // (layers * directions, N, hidden), layer by layer, forward before reverse; empty: zeros
  int64_t truncate = 0;               // k > 0: the state is cut from the graph after every k steps [Williams and Peng 1990]
};
struct RecurrentResult {
  Tensor y;              // (N, T, hidden * directions): the last layer's h, forward beside reverse
  RecurrentState state;  // like the initial one: where each sequence ended (a reverse direction ends at its first step)
};

// Parameters weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, then …_l0_reverse, …_l1 …, as in PyTorch.
class Recurrent : public Module {
 public:
  using Options = RecurrentOptions;
  Recurrent(Module* parent, std::string name, Cell cell, const Options& options);
  RecurrentResult operator()(const Tensor& x, const RecurrentCall& call = {}) const;
  const char* kind() const override;
  std::string describe() const override;

  using Weights = RecurrentWeights;
  const Weights& weights(int64_t layer, bool reverse = false) const;

 private:
  void check(const Tensor& x, const RecurrentCall& call) const;
  std::vector<RecurrentState> initial_states(const RecurrentCall& call) const;

  Cell cell_;
  Options options_;
  std::vector<std::unique_ptr<Weights>> weights_;  // layer by layer, forward before reverse
};
struct Rnn : Recurrent {
  explicit Rnn(const Options& o) : Recurrent(nullptr, "", Cell::tanh, o) {}
  Rnn(Module* parent, std::string name, const Options& o) : Recurrent(parent, std::move(name), Cell::tanh, o) {}
};
struct ReluRnn : Recurrent {  // with weight_hh near the identity it remembers for long [Le et al. 2015]
  explicit ReluRnn(const Options& o) : Recurrent(nullptr, "", Cell::relu, o) {}
  ReluRnn(Module* parent, std::string name, const Options& o) : Recurrent(parent, std::move(name), Cell::relu, o) {}
};
struct Lstm : Recurrent {
  explicit Lstm(const Options& o) : Recurrent(nullptr, "", Cell::lstm, o) {}
  Lstm(Module* parent, std::string name, const Options& o) : Recurrent(parent, std::move(name), Cell::lstm, o) {}
};
struct Gru : Recurrent {
  explicit Gru(const Options& o) : Recurrent(nullptr, "", Cell::gru, o) {}
  Gru(Module* parent, std::string name, const Options& o) : Recurrent(parent, std::move(name), Cell::gru, o) {}
};

// The last layer's h of a state, directions side by side: (layers * directions, N, hidden) -> (N, directions * hidden).
Tensor last(const Tensor& h, int64_t directions = 1);

}  // namespace sono
