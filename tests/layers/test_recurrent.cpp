// Recurrent layers: lengths, states, truncation, very long chains.
#include "layers/linear.h"
#include "layers/recurrent.h"
#include "tests/layers/check.h"

using namespace sono;
using namespace sono::tests;

namespace {

// Runs f with an Rnn, a Gru and an Lstm of the same options, in double precision.
template <class F>
void for_each_kind(const RecurrentOptions& options, F&& f) {
  for (Cell cell : {Cell::tanh, Cell::relu, Cell::gru, Cell::lstm}) {
    Recurrent layer(nullptr, "", cell, options);
    layer.to(Dtype::f64);
    CAPTURE(layer.kind());
    f(layer);
  }
}

}  // namespace

TEST_CASE("sequences of different lengths in one batch give what each gives alone, gradients included") {
  set_seed(1);
  for_each_kind({.in = 3, .hidden = 4, .layers = 2, .bidirectional = true}, [](Recurrent& layer) {
    const std::vector<int64_t> lengths{5, 2, 6};
    const Tensor x = leaf(normal({3, 6, 3}, 1)), upstream = normal({3, 6, 8}, 2), end_upstream = normal({4, 3, 4}, 3);
    const auto [y, state] = layer(x, {.lengths = lengths});
    backward(sum(y * upstream) + sum(state.h * end_upstream));
    std::vector<Tensor> together;
    for (const auto& e : layer.parameters()) together.push_back(gradient(*e.value));
    const Tensor x_gradient = gradient(x);
    layer.zero_gradients();
    for (int64_t n = 0; n < 3; n++) {
      const int64_t length = lengths[static_cast<size_t>(n)];
      const Tensor alone = leaf(slice(x.detach().rows(n, n + 1), 1, 0, length));
      const auto [y1, state1] = layer(alone);
      CHECK(distance(slice(y.detach().rows(n, n + 1), 1, 0, length), y1) < 1e-12);
      if (length < 6) CHECK(sum(abs(slice(y.detach().rows(n, n + 1), 1, length, 6))).item() == 0);
      CHECK(distance(slice(state.h.detach(), 1, n, n + 1), state1.h) < 1e-12);
      if (state.c) CHECK(distance(slice(state.c.detach(), 1, n, n + 1), state1.c) < 1e-12);
      backward(sum(y1 * slice(upstream.rows(n, n + 1), 1, 0, length)) + sum(state1.h * slice(end_upstream, 1, n, n + 1)));
      CHECK(distance(slice(x_gradient.rows(n, n + 1), 1, 0, length), gradient(alone)) < 1e-10);
    }
    size_t k = 0;
    for (const auto& e : layer.parameters()) CHECK(distance(gradient(*e.value), together[k++]) < 1e-10);
  });
}

TEST_CASE("a length of zero gives zeros and leaves the initial state") {
  Gru gru({.in = 2, .hidden = 3});
  const Tensor h = normal({1, 2, 3}, 1, Dtype::f32);
  const auto [y, state] = gru(normal({2, 4, 2}, 2, Dtype::f32), {.lengths = {0, 4}, .initial = {.h = h, .c = {}}});
  CHECK(sum(abs(y.rows(0, 1))).item() == 0);
  CHECK(distance(slice(state.h, 1, 0, 1), slice(h, 1, 0, 1)) == 0);
}

TEST_CASE("gradients of recurrent layers agree with finite differences") {
  set_seed(2);
  for_each_kind({.in = 2, .hidden = 2, .layers = 2, .bidirectional = true}, [](Recurrent& layer) {
    const Tensor x = leaf(normal({2, 3, 2}, 1)), upstream = normal({2, 3, 4}, 2);
    CHECK(gradient_error([&] { return sum(layer(x, {.lengths = {3, 2}}).y * upstream); }, leaves(layer, {x})) < 1e-6);
  });
}

TEST_CASE("a sequence can be differentiated twice") {
  set_seed(3);
  Lstm lstm({.in = 2, .hidden = 2});
  lstm.to(Dtype::f64);
  const Tensor x = leaf(normal({1, 4, 2}, 1)), direction = normal({1, 4, 2}, 2);
  const auto along = [&] { return sum(grad(sum(square(lstm(x).y)), {x}, true)[0] * direction); };
  const Tensor w = lstm.weights(0).weight_hh, second = grad(along(), {w})[0];
  double worst = 0;
  for (int64_t i = 0; i < w.size(); i++) {
    double& v = w.data<double>()[i];
    const double before = v, h = 1e-5;
    v = before + h;
    const double up = along().item();
    v = before - h;
    const double down = along().item();
    v = before;
    worst = std::max(worst, std::abs((up - down) / (2 * h) - second.data<double>()[i]));
  }
  CHECK(worst < 1e-8);
}

TEST_CASE("unstack gives the steps, and zeros as the gradient of steps that nobody used") {
  const Tensor x = leaf(normal({4, 2, 3}, 1));
  const std::vector<Tensor> steps = unstack(x);
  REQUIRE(steps.size() == 4);
  CHECK(steps[2].shares_memory_with(x));
  CHECK(steps[2].at({1, 2}) == x.at({2, 1, 2}));
  const auto g = [&] { return grad(sum(square(steps[1])) + sum(steps[3] * 2.0), {x})[0]; };
  const Tensor first = g(), again = g();  // a second walk does not see the first
  CHECK(first.at({1, 0, 1}) == doctest::Approx(2 * x.at({1, 0, 1})));
  CHECK(first.at({3, 1, 1}) == 2);
  CHECK(sum(abs(first.rows(0, 1))).item() == 0);
  CHECK(distance(again, first) == 0);
  CHECK(grad(sum(steps[0]), {x})[0].at({3, 1, 1}) == 0);
}

TEST_CASE("cells step as layers do") {
  set_seed(4);
  LstmCell cell({.in = 3, .hidden = 4});
  Lstm lstm({.in = 3, .hidden = 4});
  State state;
  for (const auto& [path, value] : cell.state()) state.emplace_back(path + "_l0", value);
  lstm.load(state);
  const Tensor x = normal({2, 5, 3}, 1, Dtype::f32);
  RecurrentState now;
  for (int64_t t = 0; t < 5; t++) now = cell(reshape(slice(x, 1, t, t + 1), {2, 3}), now);
  CHECK(distance(now.h, last(lstm(x).state.h)) < 1e-6);
  CHECK(std::string(cell.kind()) == "LstmCell");
  CHECK(contains(message([&] { cell(Tensor::zeros({2, 4})); }), "[LstmCell] expected (N, 3), got (2, 4)"));
  CHECK(contains(message([&] { cell(Tensor::zeros({2, 3}), {Tensor::zeros({1, 4}), {}}); }), "the state must be (2, 4), got (1, 4)"));
}

TEST_CASE("truncated back-propagation cuts the gradient and not the values") {
  set_seed(5);
  for_each_kind({.in = 2, .hidden = 3}, [](Recurrent& layer) {
    const Tensor x = leaf(normal({2, 7, 2}, 1)), whole = layer(x).y;
    const Tensor cut = layer(x, {.truncate = 3}).y;
    CHECK(distance(cut, whole) < 1e-14);
    const auto gradient_of_step = [&](const Tensor& y, int64_t t) { return grad(sum(slice(y, 1, t, t + 1)), {x})[0]; };
    const Tensor g = gradient_of_step(cut, 4);  // blocks 0-2, 3-5, 6
    CHECK(sum(abs(slice(g, 1, 0, 3))).item() == 0);
    CHECK(sum(abs(slice(g, 1, 3, 4))).item() > 0);
    CHECK(sum(abs(slice(gradient_of_step(whole, 4), 1, 0, 1))).item() > 0);

    // The same by hand: blocks of three, the state detached in between.
    RecurrentState state;
    std::vector<Tensor> blocks;
    for (int64_t first = 0; first < 7; first += 3) {
      const auto [y, end] = layer(slice(x, 1, first, std::min<int64_t>(first + 3, 7)), {.initial = state});
      blocks.push_back(y);
      state = end.detach();
    }
    const Tensor by_hand = concat(blocks, 1), upstream = normal({2, 7, 3}, 2);
    CHECK(distance(grad(sum(by_hand * upstream), {x})[0], grad(sum(cut * upstream), {x})[0]) < 1e-12);
  });
}

TEST_CASE("dropout is between layers only, and only in training") {
  set_seed(6);
  const Tensor x = normal({2, 3, 2}, 1, Dtype::f32);
  Gru one({.in = 2, .hidden = 3, .dropout = 0.5}), two({.in = 2, .hidden = 3, .layers = 2, .dropout = 0.5});
  CHECK(distance(one(x).y, one(x).y) == 0);
  CHECK(distance(two(x).y, two(x).y) > 0);
  two.eval();
  CHECK(distance(two(x).y, two(x).y) == 0);
}

TEST_CASE("a chain of a million steps neither overflows the stack nor leaks a node") {
  const int64_t nodes = live_nodes();
  {
    const Tensor w = leaf(Tensor::full({1, 1}, 0.5)), input = Tensor::full({1, 1}, 0.1);
    RecurrentState state{Tensor::zeros({1, 1}), {}};
    for (int t = 0; t < 1'000'000; t++) state = step(Cell::tanh, input, linear(state.h, w), state);
    const double h = state.h.item();  // at rest: h = tanh(w h + input), dh/dw = (1 - h^2) (h + w dh/dw)
    CHECK(h == doctest::Approx(std::tanh(0.5 * h + 0.1)).epsilon(1e-5));
    const Tensor unused = tanh(state.h * 2.0);  // freed without a backward
    backward(state.h);
    CHECK(gradient(w).item() == doctest::Approx((1 - h * h) * h / (1 - (1 - h * h) * 0.5)).epsilon(1e-4));
  }
  CHECK(live_nodes() == nodes);
}

TEST_CASE("long sequences through a layer free their graph, with and without backward") {
  const int64_t nodes = live_nodes();
  {
    Lstm lstm({.in = 1, .hidden = 2});
    const Tensor x = leaf(normal({1, 3000, 1}, 1, Dtype::f32));
    const Tensor unused = lstm(x).y;
    backward(sum(lstm(x).state.h));
    CHECK(std::abs(gradient(x).at({0, 2999, 0})) > 0);
    CHECK(std::abs(gradient(x).at({0, 0, 0})) < 1e-6);  // faded on the way
  }
  CHECK(live_nodes() == nodes);
}

TEST_CASE("what does not fit is refused with the layer's name") {
  Lstm lstm({.in = 3, .hidden = 4});
  const Tensor x = Tensor::zeros({2, 5, 3});
  CHECK(contains(message([&] { lstm(Tensor::zeros({2, 5, 2})); }), "[Lstm] expected (N, T, 3), got (2, 5, 2)"));
  CHECK(contains(message([&] { lstm(x, {.lengths = {5}}); }), "has 2 sequences, got 1 lengths"));
  CHECK(contains(message([&] { lstm(x, {.lengths = {5, 6}}); }), "a sequence of length 6 does not fit in input (2, 5, 3)"));
  CHECK(contains(message([&] { lstm(x, {.initial = {Tensor::zeros({2, 4}), {}}}); }), "the initial state must be (1, 2, 4), got (2, 4)"));
  CHECK(contains(message([] { Gru g({.in = 0, .hidden = 1}); }), "[Gru] in, hidden and layers must be at least 1"));
  CHECK(contains(message([] { last(Tensor::zeros({3, 2, 4}), 2); }), "[last] a state"));
}
