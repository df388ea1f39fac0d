#include "autograd/graph.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "autograd/ops.h"
#include "tensor/memory.h"
#include "tests/autograd/check.h"

using namespace sono;
using namespace sono::tests;

namespace {

template <class E, class F>
std::string message(F f) {
  try {
    f();
  } catch (const E& e) { return e.what(); }
  return "no error";
}

Tensor wide(std::vector<double> values) { return Tensor::from({static_cast<int64_t>(values.size())}, values); }
using Values = std::vector<double>;

}  // namespace

TEST_CASE("backward adds to the leaves, grad returns") {
  const Tensor w = leaf(wide({1, 2, 3}));
  CHECK_FALSE(gradient(w));
  backward(sum(square(w)));
  CHECK(gradient(w).to_vector<double>() == Values{2, 4, 6});
  backward(sum(w * 10.0));
  CHECK(gradient(w).to_vector<double>() == Values{12, 14, 16});
  CHECK(grad(sum(w * w * w), {w})[0].to_vector<double>() == Values{3, 12, 27});
  CHECK(gradient(w).to_vector<double>() == Values{12, 14, 16});
  set_gradient(w, {});
  CHECK_FALSE(gradient(w));
  backward(w * 2.0, wide({1, 0, -1}));
  CHECK(gradient(w).to_vector<double>() == Values{2, 0, -2});
}

TEST_CASE("higher derivatives: x^5 down to its fifth") {
  const Tensor x = leaf(Tensor::scalar(2, Dtype::f64));
  Tensor y = x * x * x * x * x;
  for (const double expected : {80.0, 160.0, 240.0, 240.0, 120.0}) {
    y = grad(y, {x}, true)[0];
    CHECK(y.item() == expected);
  }
}

TEST_CASE("gradients of inner tensors, of inputs twice, and of what the loss does not depend on") {
  const Tensor x = leaf(wide({1, 2})), other = leaf(wide({5}));
  const Tensor h = x * 3.0, loss = sum(h * h) + sum(x);
  const auto g = grad(loss, {h, x, x, other});
  CHECK(g[0].to_vector<double>() == Values{6, 12});
  CHECK(g[1].to_vector<double>() == Values{19, 37});
  CHECK(same_bits(g[1], g[2]));
  CHECK(g[3].to_vector<double>() == Values{0});
}

TEST_CASE("leaves own their gradients: two leaves of one sum, an upstream, a gradient that is held") {
  const Tensor a = leaf(wide({1, 2})), b = leaf(wide({3, 4})), upstream = wide({1, 1});
  backward(a + b, upstream);
  CHECK_FALSE(gradient(a).shares_memory_with(gradient(b)));
  CHECK_FALSE(gradient(a).shares_memory_with(upstream));
  const Tensor held = gradient(a);
  backward(sum(a * 5.0));
  CHECK(held.to_vector<double>() == Values{1, 1});
  CHECK(gradient(a).to_vector<double>() == Values{6, 6});
}

TEST_CASE("a million steps: no deep stack, no node left, little memory") {
  const int64_t before = live_nodes();
  {
    const Tensor start = leaf(wide({0.5})), rate = leaf(wide({1}));
    Tensor x = start;
    for (int i = 0; i < 1'000'000; i++) x = x * rate;
    CHECK(live_nodes() == before + 1'000'002);
    CHECK(grad(sum(x), {start})[0].item() == 1);
    backward(sum(x));
    CHECK(gradient(rate).item() == 500'000);
  }
  CHECK(live_nodes() == before);
  {
    Tensor x = leaf(wide({0.5}));
    for (int i = 0; i < 200'000; i++) x = tanh(x) + x;  // freed without ever being walked
  }
  CHECK(live_nodes() == before);
}

TEST_CASE("backward frees the graph as it goes, unless told to keep it") {
  const Tensor w = leaf(random_normal({256, 256}, 1, 1));
  const auto chain = [&] {
    Tensor x = w;
    for (int i = 0; i < 20; i++) x = tanh(x);
    return sum(x);
  };
  {
    const Tensor loss = chain();
    const int64_t held = memory_stats().live;
    backward(loss);
    CHECK(memory_stats().live < held - 15 * w.bytes());  // the 20 outputs are gone, though loss is still here
    CHECK(message<Error>([&] { backward(loss); }) == "[backward] this graph has been used and freed; compute the loss again");
    CHECK(message<Error>([&] { grad(loss, {w}); }) == "[backward] this graph has been used and freed; compute the loss again");
  }
  const Tensor loss = chain();
  set_gradient(w, {});
  backward(loss, {}, true);
  const Tensor once = gradient(w).clone();
  backward(loss);
  CHECK(difference(gradient(w), once * 2.0) < 1e-6);
  const Tensor again = chain();
  grad(again, {w}, false, {}, true);
  CHECK(message<Error>([&] { backward(again); }) == "[backward] this graph has been used and freed; compute the loss again");
}

TEST_CASE("what a gradient does not need is not kept") {
  const Tensor w = leaf(Tensor::ones({1 << 20}));
  const int64_t before = memory_stats().live;
  {
    Tensor x = w;
    for (int i = 0; i < 10; i++) x = (x + w) * 0.5 - 1.0;  // linear: backward needs no values
    CHECK(memory_stats().live - before < 3 * w.bytes());
  }
  const Tensor mask = Tensor::ones({1 << 20});
  {
    Tensor x = w;
    for (int i = 0; i < 10; i++) x = x * mask;  // needs the mask alone
    CHECK(memory_stats().live - before < 4 * w.bytes());
  }
}

TEST_CASE("NoGrad, detach and integers build no graph") {
  const Tensor w = leaf(wide({1, 2}));
  {
    const NoGrad plain;
    CHECK_FALSE(recording());
    CHECK_FALSE(wants_gradient(w * 2.0));
    {
      const NoGrad off(false);
      CHECK_FALSE(recording());
    }
  }
  CHECK(recording());
  CHECK_FALSE(wants_gradient(w.detach() * 2.0));
  CHECK(grad(sum(w * w.detach()), {w})[0].to_vector<double>() == Values{1, 2});
  CHECK_FALSE(wants_gradient(argmax(w)));
  CHECK_FALSE(wants_gradient(w < 1.5));
  CHECK(message<DtypeError>([] { leaf(Tensor::zeros({2}, Dtype::i32)); }) == "[leaf] wants f32 or f64, got i32");
}

TEST_CASE("wrong uses are told in one line") {
  const Tensor w = leaf(wide({1, 2})), plain = wide({1});
  CHECK(message<ShapeError>([&] { backward(w * 2.0); }) ==
        "[backward] the loss must hold one value or come with its upstream gradient, got (2)");
  CHECK(message<Error>([&] { backward(plain); }) ==
        "[backward] the loss does not depend on any tensor that wants a gradient; make one with leaf()");
  CHECK(message<ShapeError>([&] { backward(w * 2.0, plain); }) == "[backward] upstream gradient (1) for a loss (2)");
  CHECK(message<DtypeError>([&] { backward(w * 2.0, Tensor::ones({2})); }) == "[backward] upstream gradient of f32 for a loss of f64");
  CHECK(message<Error>([&] { grad(sum(w), {plain}); }) == "[grad] input 0 (1) does not want a gradient; make it with leaf()");
  CHECK(message<Error>([&] { set_gradient(plain, plain); }) == "[set_gradient] only a leaf keeps a gradient; make one with leaf()");
  CHECK(message<Error>([&] { add_hook(plain, nullptr); }) == "[add_hook] the tensor (1) does not want a gradient; make it with leaf()");
}

TEST_CASE("a value that was changed in place after it was saved is noticed, by name") {
  const Tensor x = leaf(Tensor::ones({1, 4, 4, 1})), w = leaf(Tensor::ones({3, 3, 1, 2}));
  {
    const Tensor loss = sum(conv2d(x, w));
    w.fill(2);
    CHECK(message<Error>([&] { backward(loss); }) ==
          "[conv2d] its weight (3, 3, 1, 2) was changed in place after it was saved for backward; change it after backward, or change a "
          "clone()");
  }
  {
    const Tensor y = exp(x), loss = sum(y);
    y.fill(0);
    CHECK(message<Error>([&] { backward(loss); }).rfind("[exp] its output (1, 4, 4, 1) was changed in place", 0) == 0);
  }
  {
    const Tensor y = x + 1.0, loss = sum(y);  // addition keeps nothing: no complaint
    x.fill(3);
    backward(loss);
  }
  CHECK(sum(gradient(x)).item() == 16);
}

TEST_CASE("hooks see a gradient when it is complete, may change it, on leaves and inner tensors") {
  const Tensor x = leaf(wide({1, 2}));
  const Tensor h = x * 2.0;
  int calls = 0;
  add_hook(h, [&](const Tensor& g) {
    calls++;
    CHECK(g.to_vector<double>() == Values{4, 4});
    return g * 10.0;
  });
  add_hook(x, [&](const Tensor& g) {
    calls++;
    CHECK(g.to_vector<double>() == Values{80, 80});
    return Tensor{};
  });
  backward(sum(h * 3.0) + sum(h));
  CHECK(calls == 2);
  CHECK(gradient(x).to_vector<double>() == Values{80, 80});
  const Tensor y = leaf(wide({1, 2}));
  add_hook(y, [](const Tensor&) { return Tensor::ones({3}, Dtype::f64); });
  CHECK(message<ShapeError>([&] { backward(sum(y * 2.0)); }) == "[hook] its backward gave a gradient (3) for an input (2) made by leaf");
}

namespace {

// The example of graph.h: a user's own operation.
Tensor cube(const Tensor& x) {
  Tensor y = Tensor::empty_like(x);
  for (int64_t i = 0; i < x.size(); i++) y.data<double>()[i] = std::pow(x.data<double>()[i], 3);
  return differentiable("cube", y, {{x, [x = Saved(x, "input")](const Tensor& g) { return g * *x * *x * 3.0; }}});
}

}  // namespace

TEST_CASE("user-defined operations differentiate like our own, twice, and their mistakes are named") {
  const Tensor x = leaf(wide({1, 2}));
  const Tensor g = grad(sum(cube(x)), {x}, true)[0];
  CHECK(g.to_vector<double>() == Values{3, 12});
  CHECK(grad(sum(g), {x})[0].to_vector<double>() == Values{6, 12});
  const Tensor bad = differentiable("bad", wide({1}), {{x, [](const Tensor& g2) { return g2; }}});
  CHECK(message<ShapeError>([&] { backward(bad); }) == "[bad] its backward gave a gradient (1) for an input (2) made by leaf");
  const Tensor worse = differentiable("worse", wide({1}), {{x, [](const Tensor&) { return Tensor::ones({2}); }}});
  CHECK(message<DtypeError>([&] { backward(worse); }) == "[worse] its backward gave a gradient of f32 for an input of f64 made by leaf");
  const Tensor none = differentiable("none", wide({1}), {{x, [](const Tensor&) { return Tensor{}; }}});
  CHECK(grad(none, {x})[0].to_vector<double>() == Values{0, 0});
}

TEST_CASE("a joint backward is asked only for what is wanted") {
  const Tensor a = leaf(wide({2})), b = leaf(wide({3})), c = wide({4});
  std::vector<bool> asked;
  const auto product = [&] {
    return differentiable_jointly("product", wide({24}), {a, b, c}, [&](const Tensor& g, const std::vector<bool>& wanted) {
      asked = wanted;
      return std::vector<Tensor>{g * 12.0, g * 8.0};
    });
  };
  CHECK(grad(product(), {b})[0].item() == 8);
  CHECK(asked == std::vector<bool>{false, true, false});
  backward(product());
  CHECK(asked == std::vector<bool>{true, true, false});
  CHECK(gradient(a).item() == 12);
}

TEST_CASE("grad walks only the paths that lead to its inputs") {
  const Tensor x = leaf(wide({1})), w = leaf(wide({2}));
  int walked = 0;
  const Tensor side = differentiable("side", wide({1}), {{w, [&](const Tensor& g) {
                                                            walked++;
                                                            return g;
                                                          }}});
  const Tensor loss = x * side;
  grad(loss, {x});
  CHECK(walked == 0);
  grad(loss, {w});
  CHECK(walked == 1);
}

TEST_CASE("checkpoint: the same values and gradients, weights that it captured included, with less memory") {
  const Tensor x = leaf(random_normal({64, 64}, 1, 1, 0, 1, Dtype::f64)), w = leaf(random_normal({64, 64}, 1, 2, 0, 0.1, Dtype::f64));
  const auto block = [&](const std::vector<Tensor>& in) {
    Tensor h = in[0];
    for (int i = 0; i < 8; i++) h = dropout(tanh(matmul(h, w)) + in[0], 0.2, true);
    return h;
  };
  const Tensor upstream = random_normal({64, 64}, 1, 3, 0, 1, Dtype::f64);
  const auto run = [&](bool thrifty, bool create_graph) {
    set_seed(5);
    const Tensor in = x * 2.0;  // an inner tensor, so that the gradient goes on
    const Tensor y = thrifty ? checkpoint(block, {in}) : block({in});
    const uint64_t next = next_stream();
    CHECK(next == 8);
    std::vector<Tensor> g = grad(y, {x, w}, create_graph, upstream);
    CHECK(next_stream() == next + 1);  // the second run of the block has left the streams as they were
    if (create_graph)
      for (Tensor& t : grad(sum(square(g[0])) + sum(g[1] * upstream), {x, w})) g.push_back(t);
    g.push_back(y);
    return g;
  };
  for (const bool create_graph : {false, true}) {
    const auto plain = run(false, create_graph), thrifty = run(true, create_graph);
    REQUIRE(plain.size() == thrifty.size());
    for (size_t k = 0; k < plain.size(); k++) CHECK(difference(thrifty[k].detach(), plain[k].detach()) < 1e-12);
  }
  const auto held = [&](bool thrifty) {
    const int64_t before = memory_stats().live;
    const Tensor y = thrifty ? checkpoint(block, {x}) : block({x});
    return memory_stats().live - before;
  };
  CHECK(held(true) <= 2 * x.bytes());
  CHECK(held(false) > 6 * x.bytes());
  const int64_t nodes = live_nodes();
  {
    const Tensor nested = checkpoint([&](const std::vector<Tensor>& in) { return square(checkpoint(block, {in[0] * 1.0})); }, {x});
    CHECK(live_nodes() == nodes + 1);
    set_gradient(w, {});
    backward(sum(nested));
    CHECK(gradient(w));
  }
  CHECK(live_nodes() == nodes);
  CHECK(message<Error>([&] {
          checkpoint([&](const std::vector<Tensor>& in) { return in[0] * grad(sum(square(in[0])), {in[0]})[0]; }, {x * 1.0});
        }) == "[checkpoint] the function of a checkpoint cannot differentiate inside itself");
}

TEST_CASE("observers see every call: name, inputs, output, attributes") {
  const Tensor x = leaf(Tensor::ones({2, 6, 6, 3})), w = Tensor::ones({3, 3, 3, 4});
  std::vector<std::string> names;
  Attributes conv_attributes;
  std::vector<Shape> conv_shapes;
  {
    const Observer watch([&](const OpCall& call) {
      names.push_back(call.name);
      if (names.back() != "conv2d") return;
      conv_attributes = call.attributes;
      for (const Tensor& t : call.inputs) conv_shapes.push_back(t.shape());
      conv_shapes.push_back(call.output.shape());
      (void)sum(call.output);  // what an observer computes is not observed
    });
    CHECK(observed());
    const NoGrad values;  // also without recording
    sum(max_pool(relu(conv2d(x, w, {}, {.stride = 2, .padding = 1})), {.window = 3}));
    (void)(x < 0.5);
  }
  CHECK_FALSE(observed());
  CHECK(names == std::vector<std::string>{"conv2d", "relu", "max_pool", "sum", "less"});
  CHECK(conv_shapes == std::vector<Shape>{{2, 6, 6, 3}, {3, 3, 3, 4}, {2, 3, 3, 4}});
  REQUIRE(conv_attributes.size() == 4);
  CHECK(std::string(conv_attributes[0].first) == "stride");
  CHECK(std::get<std::vector<int64_t>>(conv_attributes[0].second) == std::vector<int64_t>{2});
  sum(x);
  CHECK(names.size() == 5);
}

TEST_CASE("two observers: both are told, the inner one first") {
  std::string order;
  const Observer outer([&](const OpCall&) { order += "o"; });
  {
    const Observer inner([&](const OpCall&) { order += "i"; });
    square(wide({1}));
  }
  square(wide({1}));
  CHECK(order == "ioo");
}

TEST_CASE("anomaly mode names the op that made the first NaN or infinity, forward and backward") {
  const Tensor x = leaf(wide({1, 0, 4}));
  {
    const AnomalyMode watch;
    CHECK(message<NumericError>([&] { square(log(x - 1.0) * 2.0); }) ==
          "[log] made the first NaN or infinity, in its output (3) from finite inputs (3)");
    const Tensor y = sum(sqrt(x));  // finite, but its slope at 0 is not
    CHECK(message<NumericError>([&] { backward(y); }) ==
          "[sqrt] its backward made the first NaN or infinity, in the gradient (3) of its input 0");
    CHECK(message<NumericError>([&] { grad(sum(sqrt(x)), {x}, true); }) ==
          "[sqrt] its backward made the first NaN or infinity, in the gradient (3) of its input 0");
    backward(sum(square(x)));
    CHECK(std::isnan(sum(wide({NAN})).item()));  // nobody made it
  }
  CHECK(std::isinf(log(x).at({1})));
}
