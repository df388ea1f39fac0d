// Rewrites of the list of calls. A recurrent layer is the product with what comes from below, and its steps. A product here is a convolution, a transposed one, or a matrix product with constant weights:
//   product, batch norm       weights and bias scaled per output channel: y = a (W x + b) + c = (a W) x + (a b + c)
//   batch norm, product       weights scaled per input channel, where no padding comes between: W (a x + c) + b = (W a) x + (W c + b)
//   product, + bias           the bias of the product
//   product, activation       done where the product is written
//   map, map, …               one pass in blocks that stay in the cache, each map writing over the one before it
#include <algorithm>
#include <cmath>
#include <optional>

#include "autograd/ops/common.h"
#include "autograd/plan/graph.h"

namespace sono::plan {

namespace {

using kernels::Activation;

bool starts_with(const std::string& s, const char* start) { return s.rfind(start, 0) == 0; }
bool ends_with(const std::string& s, const std::string& end) {
  return s.size() >= end.size() && s.compare(s.size() - end.size(), end.size(), end) == 0;
}
bool is_conv(const Call& c) { return c.name == "conv1d" || c.name == "conv2d" || c.name == "conv3d"; }
bool is_transposed_conv(const Call& c) { return starts_with(c.name, "conv") && ends_with(c.name, "d_input"); }
bool is_linear(const Call& c) { return c.name == "linear" && c.inputs.size() > 1; }  // the map a x + b has the same name and one input
bool is_plain_matmul(const Graph& g, const Call& c) {
  return c.name == "matmul" && !integer(c.attributes, "transpose_b") && g.shape(c.inputs[1]).size() == 2;
}

// The weights of a product whose weights are known, with the output channel behind `inner` others: (rows, channels, inner).
struct Weights {
  Tensor w;
  int64_t rows, channels, inner;
};
std::optional<Weights> weights_of(const Graph& g, const Call& c) {
  const bool transposed = is_transposed_conv(c);
  if (!is_conv(c) && !transposed && !is_linear(c) && !is_plain_matmul(g, c)) return {};
  if (!g.constant(c.inputs[1]) || (c.inputs.size() > 2 && !g.constant(c.inputs[2])) || c.activation != Activation::none || !c.then.empty())
    return {};
  const Tensor w = g.tensor(c.inputs[1]);
  if (transposed && integer(c.attributes, "groups", 1) != 1) return {};
  const int64_t inner = transposed ? w.dim(-1) : 1, channels = transposed ? w.dim(-2) : w.dim(-1);
  return Weights{w, w.size() / std::max<int64_t>(1, inner * channels), channels, inner};
}

// The affine map of a norm with known statistics, y = factor x + shift per channel.
struct Affine {
  std::vector<double> factor, shift;
};
std::optional<Affine> affine_of(const Graph& g, const Call& c) {
  if (c.name != "batch_norm_eval" || c.activation != Activation::none) return {};
  for (size_t k = 1; k < c.inputs.size(); k++)
    if (c.inputs[k] != none && !g.constant(c.inputs[k])) return {};
  const auto values = [&](size_t k, std::vector<double> missing) {
    return c.inputs[k] == none ? missing : g.tensor(c.inputs[k]).to_vector<double>();
  };
  const size_t channels = static_cast<size_t>(g.shape(c.inputs[3])[0]);
  Affine a{values(1, std::vector<double>(channels, 1)), values(2, std::vector<double>(channels, 0))};
  const std::vector<double> mean = values(3, {}), variance = values(4, {});
  for (size_t i = 0; i < channels; i++) {
    a.factor[i] /= std::sqrt(variance[i] + real(c.attributes, "epsilon"));
    a.shift[i] -= a.factor[i] * mean[i];
  }
  return a;
}

Tensor scaled(const Weights& w, const std::vector<double>& factor) {
  const Tensor out = Tensor::empty_like(w.w);
  visit_real("plan", w.w.dtype(), [&]<class T>() {
    const T* from = w.w.data<T>();
    T* to = out.data<T>();
    for (int64_t r = 0; r < w.rows; r++)
      for (int64_t c = 0; c < w.channels; c++)
        for (int64_t i = 0; i < w.inner; i++, from++, to++)
          *to = static_cast<T>(static_cast<double>(*from) * factor[static_cast<size_t>(c)]);
  });
  return out;
}

bool is_recurrent(const Call& c) { return c.name == "lstm" || c.name == "gru" || c.name == "rnn" || c.name == "rnn_relu"; }

// Inputs x, weight_ih, weight_hh, bias_ih, bias_hh, h0, c0. The part that does not wait for the state becomes a call of its own; `steps`
// has it in the place of x.
std::vector<Call> with_steps_apart(Graph& g, std::vector<Call> calls) {
  std::vector<Call> all;
  for (Call& c : calls) {
    if (is_recurrent(c)) {
      const Shape x = g.shape(c.inputs[0]), w = g.shape(c.inputs[1]), shape{x[0], x[1], w[1]};
      g.buffers.push_back({g.dtype(c.inputs[0]), count(shape)});
      g.values.push_back({shape, g.buffers.size() - 1});
      const Id projected = g.values.size() - 1;
      Call product{"linear", {c.inputs[0], c.inputs[1]}, projected};
      if (c.inputs[3] != none) product.inputs.push_back(c.inputs[3]);
      all.push_back(std::move(product));
      c.inputs = {projected, c.inputs[2], c.inputs[4], c.inputs[5], c.inputs[6]};
    }
    all.push_back(std::move(c));
  }
  return all;
}

class Simplifier {
 public:
  explicit Simplifier(Graph& graph) : g(graph) {}

  void run() {
    g.calls = with_steps_apart(g, std::move(g.calls));
    reads_ = g.reads_of_buffers();
    std::vector<Call> calls = std::move(g.calls);
    writer_.assign(g.buffers.size(), none);
    for (Call& c : calls) {
      if (fold_norm(c) || absorb_bias(c) || absorb_activation(c) || join_maps(c)) continue;
      fold_norm_before(c);
      writer_[g.values[c.output].buffer] = g.calls.size();
      g.calls.push_back(std::move(c));
    }
    g.calls.erase(std::remove_if(g.calls.begin(), g.calls.end(), [](const Call& c) { return c.output == none; }), g.calls.end());
  }

 private:
  // The call that made all of this value, if nobody else reads it.
  Call* only_writer(Id value) {
    const Id buffer = g.values[value].buffer;
    if (buffer >= writer_.size() || writer_[buffer] == none || reads_[buffer] != 1 || !g.whole(value)) return nullptr;
    Call& c = g.calls[writer_[buffer]];
    return c.output == none ? nullptr : &c;
  }

  // `c` is done by the call before it: what it wrote now lies where that one writes.
  void take_over(const Call& c, const Call& writer) {
    const Id from = g.values[c.output].buffer, to = g.values[writer.result()].buffer;
    g.merge(from, to);
    reads_[to] = reads_[from];
  }

  std::vector<double> bias_of(const Call& product, int64_t channels) {
    if (product.inputs.size() > 2) return g.tensor(product.inputs[2]).to_vector<double>();
    return std::vector<double>(static_cast<size_t>(channels), 0);
  }
  void set_product(Call& product, const Tensor& w, const std::vector<double>& bias) {
    const Dtype dtype = w.dtype();
    const Id x = product.inputs[0], weights = g.add_constant(w),
             b = g.add_constant(Tensor::from({static_cast<int64_t>(bias.size())}, bias).to(dtype));
    product.inputs = {x, weights, b};
    if (product.name == "matmul") turn_into_linear(product);
    reads_.resize(g.buffers.size(), 0), writer_.resize(g.buffers.size(), none);
  }
  static void turn_into_linear(Call& product) {
    if (!integer(product.attributes, "transpose_a")) product.name = "linear", product.attributes.clear();
  }

  bool fold_norm(const Call& c) {
    const auto affine = affine_of(g, c);
    Call* product = affine ? only_writer(c.inputs[0]) : nullptr;
    const auto w = product ? weights_of(g, *product) : std::nullopt;
    if (!w || g.shape(product->output).back() != w->channels || g.shape(c.output).back() != w->channels) return false;
    std::vector<double> bias = bias_of(*product, w->channels);
    for (size_t o = 0; o < bias.size(); o++) bias[o] = affine->factor[o] * bias[o] + affine->shift[o];
    set_product(*product, scaled(*w, affine->factor), bias);
    take_over(c, *product);
    return true;
  }

  // A norm that could not go into what is before it goes into the product that alone reads it.
  void fold_norm_before(Call& product) {
    if (is_transposed_conv(product) || integer(product.attributes, "groups", 1) != 1 || product.inputs.empty()) return;
    for (const int64_t p : integers(product.attributes, "padding"))
      if (p != 0) return;
    const auto w = weights_of(g, product);
    if (!w || integer(product.attributes, "transpose_a")) return;
    Call* norm = only_writer(product.inputs[0]);
    const auto affine = norm ? affine_of(g, *norm) : std::nullopt;
    const int64_t in = w->w.dim(-2), out = w->channels;
    if (!affine || g.shape(product.inputs[0]).back() != in || g.shape(norm->output).back() != in) return;
    const Weights by_input{w->w, w->w.size() / (in * out), in, out};
    std::vector<double> bias = bias_of(product, out);
    visit_real("plan", w->w.dtype(), [&]<class T>() {
      const T* from = w->w.data<T>();
      for (int64_t i = 0; i < w->w.size(); i++)
        bias[static_cast<size_t>(i % out)] += affine->shift[static_cast<size_t>(i / out % in)] * static_cast<double>(from[i]);
    });
    const Id x = norm->inputs[0];
    norm->output = none;
    set_product(product, scaled(by_input, affine->factor), bias);
    g.values.push_back({g.shape(product.inputs[0]), g.values[x].buffer, g.values[x].offset});
    product.inputs[0] = g.values.size() - 1;
  }

  bool absorb_bias(const Call& c) {
    if (c.name != "add" || c.inputs.size() != 2) return false;
    for (const size_t k : {0, 1}) {
      const Id added = c.inputs[1 - k];
      Call* product = g.constant(added) ? only_writer(c.inputs[k]) : nullptr;
      const auto w = product ? weights_of(g, *product) : std::nullopt;
      if (!w || g.shape(c.output) != g.shape(c.inputs[k]) || g.shape(c.output).back() != w->channels) continue;
      if (g.shape(added).empty() || count(g.shape(added)) != w->channels || g.shape(added).back() != w->channels) continue;
      std::vector<double> bias = bias_of(*product, w->channels);
      const std::vector<double> more = g.tensor(added).to_vector<double>();
      for (size_t o = 0; o < bias.size(); o++) bias[o] += more[o];
      set_product(*product, w->w, bias);
      take_over(c, *product);
      return true;
    }
    return false;
  }

  bool absorb_activation(const Call& c) {
    if (c.inputs.size() != 1) return false;
    const Activation activation = c.name == "relu"      ? Activation::relu
                                  : c.name == "sigmoid" ? Activation::sigmoid
                                  : c.name == "tanh"    ? Activation::tanh
                                                        : Activation::none;
    Call* writer = activation == Activation::none ? nullptr : only_writer(c.inputs[0]);
    if (!writer || writer->activation != Activation::none || !writer->then.empty()) return false;
    const bool norm = writer->name == "batch_norm_eval" && activation == Activation::relu;
    if (!norm && !is_conv(*writer) && !is_transposed_conv(*writer) && !is_linear(*writer) && writer->name != "matmul") return false;
    writer->activation = activation;
    take_over(c, *writer);
    return true;
  }

  // A map that goes on with the result of the call just before it.
  bool join_maps(const Call& c) {
    if (!is_map(c) || g.calls.empty()) return false;
    Call& before = g.calls.back();
    if (before.output == none || !is_map(before)) return false;
    const Id result = before.result();
    for (const Id v : c.inputs) {
      if (only_writer(v) != &before || g.shape(v) != g.shape(result) || g.shape(c.output) != g.shape(result)) continue;
      if (g.dtype(c.output) != g.dtype(result)) continue;
      Call next = c;
      for (Id& input : next.inputs)
        if (input == v) input = result;
      take_over(c, before);
      before.then.push_back(std::move(next));
      return true;
    }
    return false;
  }

  Graph& g;
  std::vector<int> reads_;  // by buffer
  std::vector<Id> writer_;  // by buffer: the place in g.calls
};

// Parts of a concatenation along the channels that a transposed convolution makes are written there by it.
void write_beside(Graph& g, Call& concat) {
  const int64_t axis = integer(concat.attributes, "axis");
  if (axis + 1 != static_cast<int64_t>(g.shape(concat.output).size())) return;
  const std::vector<int> reads = g.reads_of_buffers();
  for (size_t k = 0; k < concat.inputs.size();) {
    const Id part = concat.inputs[k], buffer = g.values[part].buffer;
    const auto writer = std::find_if(g.calls.begin(), g.calls.end(), [&](const Call& c) { return c.output == part || g.values[c.result()].buffer == buffer; });
    if (writer == g.calls.end() || !writes_windows(g, *writer) || reads[buffer] != 1 || !g.whole(part) || g.shape(writer->output) != g.shape(part)) {
      k++;
      continue;
    }
    writer->output = concat.output, writer->first = {concat.first[k]};
    concat.inputs.erase(concat.inputs.begin() + static_cast<int64_t>(k)), concat.first.erase(concat.first.begin() + static_cast<int64_t>(k));
  }
}

// The last call that reads each buffer; outputs are read after all.
std::vector<Id> last_reads(const Graph& g) {
  std::vector<Id> last(g.buffers.size(), 0);
  for (size_t i = 0; i < g.calls.size(); i++)
    for (const Id v : g.calls[i].reads()) last[g.values[v].buffer] = i;
  for (const Id v : g.outputs) last[g.values[v].buffer] = g.calls.size();
  return last;
}

// Says where the parts of a concatenation begin. Those that follow one another in memory are written there at once, and need no copy.
void write_in_place(Graph& g, Call& concat) {
  const int64_t axis = integer(concat.attributes, "axis");
  const ops::Block block = ops::block_at(g.shape(concat.output), axis);
  const Id into = g.values[concat.output].buffer;
  int64_t first = 0;
  std::vector<Id> left;
  for (const Id part : concat.inputs) {
    const Id buffer = g.values[part].buffer;
    if (block.outer == 1 && g.whole(part) && !g.buffers[buffer].constant && !g.buffers[buffer].fixed && buffer != into)
      g.merge(buffer, into, first * block.inner);
    else
      left.push_back(part), concat.first.push_back(first);
    first += g.shape(part)[static_cast<size_t>(axis)];
  }
  concat.inputs = left;
}

// Elementwise results go over an operand that nobody reads afterwards.
void reuse_operands(Graph& g) {
  const std::vector<Id> last = last_reads(g);
  for (size_t i = 0; i < g.calls.size(); i++) {
    Call& c = g.calls[i];
    if ((!is_map(c) && c.name != "batch_norm_eval") || !g.whole(c.output)) continue;
    for (const Id v : c.inputs) {
      if (v == none) continue;
      const Id buffer = g.values[v].buffer, out = g.values[c.output].buffer;
      const auto later = [&](const Call& next) {
        return std::any_of(next.inputs.begin(), next.inputs.end(), [&](Id w) { return w != none && g.values[w].buffer == buffer; });
      };
      if (buffer == out || last[buffer] != i || g.constant(v) || g.buffers[buffer].fixed || !g.whole(v) ||
          count(g.shape(v)) != count(g.shape(c.output)) || g.dtype(v) != g.dtype(c.output) ||
          std::any_of(c.then.begin(), c.then.end(), later))
        continue;
      g.merge(buffer, out);
      break;
    }
  }
}

}  // namespace

// Windows side by side, and nothing after it but a ReLU.
bool writes_windows(const Graph& g, const Call& c) {
  using kernels::Activation;
  if (!is_transposed_conv(c) || integer(c.attributes, "groups", 1) != 1 || (c.activation != Activation::none && c.activation != Activation::relu))
    return false;
  const Shape &w = g.shape(c.inputs[1]), &x = g.shape(c.inputs[0]), &y = g.shape(c.output);
  const auto each = [&](const char* name, size_t d) {
    const std::vector<int64_t> sizes = integers(c.attributes, name);
    return sizes[sizes.size() == 1 ? 0 : d];
  };
  for (size_t d = 0; d + 2 < w.size(); d++)
    if (!kernels::side_by_side(w[d], each("stride", d), each("padding", d), each("dilation", d), x[d + 1], y[d + 1])) return false;
  return true;
}

void remove_dead_calls(Graph& g) {
  std::vector<bool> needed(g.buffers.size(), false);
  for (const Id v : g.outputs) needed[g.values[v].buffer] = true;
  std::vector<Call> kept;
  for (size_t i = g.calls.size(); i-- > 0;) {
    Call& c = g.calls[i];
    if (!needed[g.values[c.output].buffer]) continue;
    for (const Id v : c.reads()) needed[g.values[v].buffer] = true;
    kept.push_back(std::move(c));
  }
  g.calls.assign(std::make_move_iterator(kept.rbegin()), std::make_move_iterator(kept.rend()));
}

void simplify(Graph& g) {
  remove_dead_calls(g);
  Simplifier(g).run();
  for (Call& c : g.calls)
    if (c.name == "concat") write_in_place(g, c), write_beside(g, c);
  g.calls.erase(std::remove_if(g.calls.begin(), g.calls.end(), [](const Call& c) { return c.name == "concat" && c.inputs.empty(); }),
                g.calls.end());
  reuse_operands(g);
}

}  // namespace sono::plan
