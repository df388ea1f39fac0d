// Modules: paths, training mode, freezing, loading, initial values, and the summary.
#include "layers/activation.h"
#include "layers/conv.h"
#include "layers/init.h"
#include "layers/linear.h"
#include "layers/networks.h"
#include "layers/norm.h"
#include "layers/pool.h"
#include "layers/summary.h"
#include "tests/layers/check.h"

using namespace sono;
using namespace sono::tests;

namespace {

struct Block : Module {
  using Module::Module;
  Conv2d conv1{this, "conv1", {.in = 1, .out = 2, .padding = 1}};
  BatchNorm norm{this, "norm", {.channels = 2}};
  Tensor operator()(const Tensor& x) const { return norm(conv1(x)); }
};
struct Net : Module {
  Block encoder{this, "encoder"};
  Linear head{this, "head", {.in = 2, .out = 3, .bias = false}};
};

std::vector<std::string> paths(const std::vector<Module::Entry>& entries) {
  std::vector<std::string> all;
  for (const auto& e : entries) all.push_back(e.path);
  return all;
}

double mean_of(const std::vector<double>& v) {
  double s = 0;
  for (double x : v) s += x;
  return s / static_cast<double>(v.size());
}
double deviation_of(const std::vector<double>& v) {
  const double m = mean_of(v);
  double s = 0;
  for (double x : v) s += (x - m) * (x - m);
  return std::sqrt(s / static_cast<double>(v.size()));
}
double largest(const std::vector<double>& v) {
  double most = 0;
  for (double x : v) most = std::max(most, std::abs(x));
  return most;
}

}  // namespace

TEST_CASE("parameters and buffers have PyTorch's paths, in order of construction") {
  Net net;
  CHECK(paths(net.parameters()) ==
        std::vector<std::string>{"encoder.conv1.weight", "encoder.conv1.bias", "encoder.norm.weight", "encoder.norm.bias", "head.weight"});
  CHECK(paths(net.buffers()) == std::vector<std::string>{"encoder.norm.running_mean", "encoder.norm.running_var"});
  CHECK(net.modules().size() == 5);
  Sequential row;
  row.append<Conv2d>({.in = 1, .out = 2});
  row.append<Relu>();
  row.append<Sequential>().append<Linear>({.in = 1, .out = 1});
  CHECK(paths(row.parameters()) == std::vector<std::string>{"0.weight", "0.bias", "2.0.weight", "2.0.bias"});
  CHECK(paths(ResNetSmall({.widths = {2, 3}}).parameters()).back() == "fc.bias");
}

TEST_CASE("names are unique and plain, and a member that fails to build leaves nothing behind") {
  Sequential row;
  Linear first(&row, "a", {.in = 1, .out = 1});
  CHECK(contains(message([&] { Linear again(&row, "a", {.in = 1, .out = 1}); }), "two members are named \"a\""));
  CHECK(contains(message([&] { Linear dotted(&row, "a.b", {.in = 1, .out = 1}); }), "\"a.b\" cannot be a member's name"));
  CHECK_THROWS_AS(row.append<Linear>({.in = 0, .out = 1}), ShapeError);
  CHECK(row.children().size() == 1);
  { Linear passing(&row, "b", {.in = 1, .out = 1}); }
  CHECK(row.children().size() == 1);
}

TEST_CASE("a path pattern takes * for any run of characters and ? for one") {
  for (const auto& [pattern, path, expected] : std::vector<std::tuple<const char*, const char*, bool>>{{"*", "a.b", true},
                                                                                                       {"a.*", "a.b.c", true},
                                                                                                       {"a.*", "ab", false},
                                                                                                       {"*.weight", "x.y.weight", true},
                                                                                                       {"*.weight", "x.weights", false},
                                                                                                       {"?.b", "a.b", true},
                                                                                                       {"?.b", "aa.b", false},
                                                                                                       {"a*b*c", "aXbXbXc", true},
                                                                                                       {"", "", true},
                                                                                                       {"", "a", false},
                                                                                                       {"*a", "aba", true},
                                                                                                       {"**", "x", true}}) {
    CAPTURE(pattern);
    CAPTURE(path);
    CHECK(matches(pattern, path) == expected);
  }
}

TEST_CASE("frozen parameters want no gradient and stay as they are") {
  Net net;
  CHECK(net.freeze("encoder.*") == 4);
  CHECK(paths(net.trainable()) == std::vector<std::string>{"head.weight"});
  const Tensor y = sum(square(net.encoder(normal({1, 4, 4, 1}, 1, Dtype::f32))));
  CHECK_FALSE(wants_gradient(y));
  CHECK(net.freeze("nothing.*") == 0);
  CHECK(net.unfreeze("encoder.conv1.*") == 2);
  CHECK(net.trainable().size() == 3);
  backward(sum(square(net.encoder(normal({1, 4, 4, 1}, 1, Dtype::f32)))));
  CHECK(gradient(net.encoder.conv1.weight));
  net.zero_gradients();
  CHECK_FALSE(gradient(net.encoder.conv1.weight));
}

TEST_CASE("train and eval reach every module below, later ones too") {
  Net net;
  net.eval();
  CHECK_FALSE(net.encoder.norm.training());
  net.encoder.train();
  CHECK(net.encoder.norm.training());
  CHECK_FALSE(net.head.training());
  Sequential row;
  row.eval();
  CHECK_FALSE(row.append<Relu>().training());
}

TEST_CASE("load says in one line what is missing, unknown and of another shape, and changes nothing") {
  Net net, other;
  const std::vector<float> before = net.head.weight.to_vector<float>();
  State state = other.state();
  std::erase_if(state, [](const auto& s) { return s.first == "encoder.conv1.bias"; });
  for (auto& [path, value] : state)
    if (path == "encoder.conv1.weight") value = Tensor::zeros({3, 3, 3, 2});
  state.emplace_back("tail.weight", Tensor::zeros({2}));
  const std::string said = message([&] { net.load(state); });
  CHECK(said ==
        "[load] the weights do not fit the model; missing: encoder.conv1.bias (2); unknown: tail.weight (2); "
        "of another shape: encoder.conv1.weight (model (3, 3, 1, 2), file (3, 3, 3, 2))");
  CHECK(net.head.weight.to_vector<float>() == before);
  const std::vector<std::string> left = net.load(state, false);
  CHECK(left == std::vector<std::string>{"encoder.conv1.weight", "tail.weight", "encoder.conv1.bias"});
  CHECK(net.head.weight.to_vector<float>() == other.head.weight.to_vector<float>());
  state.push_back(state.back());
  CHECK(contains(message([&] { net.load(state); }), "\"tail.weight\" is given twice"));
}

TEST_CASE("state holds the model's own values; load converts to its dtype and keeps what wants a gradient") {
  Net net, other;
  other.to(Dtype::f64);
  CHECK(other.head.weight.dtype() == Dtype::f64);
  CHECK(other.encoder.norm.running_var.dtype() == Dtype::f64);
  CHECK(wants_gradient(other.head.weight));
  net.load(other.state());
  CHECK(net.head.weight.dtype() == Dtype::f32);
  CHECK(wants_gradient(net.head.weight));
  CHECK(distance(net.head.weight, other.head.weight) < 1e-7);
  net.state().back().second.fill(5);
  CHECK(net.head.weight.at({0, 0}) != 5);  // the last entry is a buffer
  CHECK(net.encoder.norm.running_var.at({0}) == 5);
}

TEST_CASE("one seed makes one model") {
  set_seed(3), set_next_stream(0);
  Net a, b;
  set_seed(3), set_next_stream(0);
  Net c;
  CHECK(a.head.weight.to_vector<float>() == c.head.weight.to_vector<float>());
  CHECK(a.head.weight.to_vector<float>() != b.head.weight.to_vector<float>());
}

TEST_CASE("initial values have the variances of their papers") {
  set_seed(11);
  const Tensor w({3, 3, 20, 50}, Dtype::f64);  // fan in 180, fan out 450
  const auto values = [&] { return w.to_vector<double>(); };
  CHECK(init::fan_in(w.shape()) == 180);
  CHECK(init::fan_out(w.shape()) == 450);
  const auto close = [](double a, double b) { return std::abs(a / b - 1) < 0.03; };
  init::xavier_normal(w);
  CHECK(close(deviation_of(values()), std::sqrt(2.0 / 630)));
  init::xavier_uniform(w, 2);
  CHECK(close(deviation_of(values()), 2 * std::sqrt(2.0 / 630)));
  CHECK(largest(values()) <= 2 * std::sqrt(6.0 / 630));
  init::kaiming_normal(w);
  CHECK(close(deviation_of(values()), std::sqrt(2.0 / 180)));
  init::kaiming_normal(w, {.fan = init::Fan::out});
  CHECK(close(deviation_of(values()), std::sqrt(2.0 / 450)));
  init::kaiming_uniform(w, {.slope = std::sqrt(5.0)});
  CHECK(close(largest(values()), 1 / std::sqrt(180.0)));
  const Tensor bias({50}, Dtype::f64);
  init::pytorch_default(w, bias);
  CHECK(close(largest(values()), 1 / std::sqrt(180.0)));
  CHECK(largest(bias.to_vector<double>()) <= 1 / std::sqrt(180.0));
  CHECK(deviation_of(bias.to_vector<double>()) > 0.02);
  CHECK_THROWS_AS(init::xavier_normal(bias), ShapeError);
}

TEST_CASE("orthogonal weights have orthonormal rows or columns, sparse ones a fixed number of connections") {
  for (const Shape& shape : {Shape{7, 4}, Shape{4, 7}, Shape{3, 3, 2, 5}}) {
    const Tensor w(shape, Dtype::f64);
    init::orthogonal(w, 1.5);
    const Tensor m = w.view({-1, shape.back()});
    const bool tall = m.dim(0) >= m.dim(1);
    const Tensor product = tall ? matmul(m, m, true) : matmul(m, m, false, true);
    for (int64_t i = 0; i < product.dim(0); i++)
      for (int64_t j = 0; j < product.dim(0); j++) CHECK(product.at({i, j}) == doctest::Approx(i == j ? 2.25 : 0).epsilon(1e-12));
  }
  const Tensor w({40, 30});
  init::sparse(w, 15, 2);
  std::vector<double> kept;
  for (int64_t c = 0; c < 30; c++) {
    int64_t connections = 0;
    for (int64_t r = 0; r < 40; r++)
      if (const double v = w.at({r, c})) connections++, kept.push_back(v);
    CHECK(connections == 15);
  }
  CHECK(deviation_of(kept) == doctest::Approx(2).epsilon(0.15));
}

TEST_CASE("the summary counts parameters, operations and bytes of one run") {
  UNet net({.widths = {4, 8}});
  net.decoder[0].eval();
  net.freeze("encoder.0.*");
  const Summary s = summarize(net, [&] { net(Tensor::zeros({1, 12, 10, 1})); });
  const auto row = [&](const std::string& path) {
    for (const SummaryRow& r : s.rows)
      if (r.path == path) return r;
    throw Error("no row " + path);
  };
  CHECK(row("encoder.0.conv1").flops == 2 * 12 * 10 * 4 * 9);
  CHECK(row("encoder.0.conv1").output == Shape{1, 12, 10, 4});
  CHECK(row("encoder.0.conv1").activations == 12 * 10 * 4 * 4);
  CHECK(row("encoder.0.conv1").trainable == 0);
  CHECK(row("encoder.1.conv2").flops == 2 * 6 * 5 * 8 * 8 * 9);
  CHECK(row("decoder.0.up").flops >= 2 * 6 * 5 * 8 * 4 * 4);                // the product
  CHECK(row("decoder.0.up").flops <= 2 * 6 * 5 * 8 * 4 * 4 + 12 * 10 * 4);  // and its bias
  CHECK(row("head").parameters == 5);
  int64_t parameters = 0, trainable = 0;
  for (const auto& e : net.parameters()) parameters += e.value->size();
  for (const auto& e : net.trainable()) trainable += e.value->size();
  CHECK(s.parameters == parameters);
  CHECK(s.trainable == trainable);
  CHECK(s.parameter_bytes == 4 * parameters);
  CHECK(net.training());                   // restored …
  CHECK_FALSE(net.decoder[0].training());  // … one by one
  CHECK(net.encoder[0].norm1.running_mean.at({0}) == 0);
  const std::string table = s.table();
  CHECK(contains(table, "encoder.0.conv1       Conv2d           1 -> 4, kernel 3x3, padding 1x1, no bias  (1, 12, 10, 4)"));
  CHECK(contains(table, "36 frozen"));
  size_t start = 0, lines = 0;
  for (size_t end; (end = table.find('\n', start)) != std::string::npos; start = end + 1) lines++;
  CHECK(lines == s.rows.size() + 3);
}

TEST_CASE("the summary names what did not run, and works for any callable with modules in it") {
  struct Two : Module {
    Linear used{this, "used", {.in = 3, .out = 4}}, unused{this, "unused", {.in = 3, .out = 4}};
  } two;
  const Summary s = summarize(two, [&] { relu(two.used(Tensor::zeros({5, 3}))); });
  REQUIRE(s.rows.size() == 3);
  CHECK(s.rows[0].path == "(model)");
  CHECK(s.rows[0].flops == 20);  // the relu
  CHECK(s.rows[1].flops == 2 * 5 * 3 * 4);
  CHECK_FALSE(s.rows[2].ran);
  CHECK(contains(s.table(), "did not run"));
}
