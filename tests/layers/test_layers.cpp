// What layers and blocks do beside PyTorch's numbers (test_golden.cpp): gradients of whole networks, modes, odd sizes, messages.
#include "layers/activation.h"
#include "layers/conv.h"
#include "layers/linear.h"
#include "layers/loss.h"
#include "layers/networks.h"
#include "layers/norm.h"
#include "layers/pool.h"
#include "layers/sequential.h"
#include "layers/weight_map.h"
#include "tests/layers/check.h"

using namespace sono;
using namespace sono::tests;

TEST_CASE("gradients of composite modules agree with finite differences") {
  set_seed(5);
  const auto check = [](const char* name, auto& net, const Shape& shape) {
    CAPTURE(name);
    net.to(Dtype::f64);
    const Tensor x = leaf(normal(shape, 1)), upstream = normal(net(x).shape(), 2);
    CHECK(gradient_error([&] { return sum(net(x) * upstream); }, leaves(net, {x})) < 1e-6);
  };
  UNet unet({.in = 2, .out = 2, .widths = {2, 3, 2}});
  check("UNet", unet, {2, 7, 5, 2});
  ResNetSmall resnet({.widths = {2, 3}});
  check("ResNetSmall", resnet, {2, 7, 6, 1});
  Inception inception({.in = 2, .one = 1, .reduce_three = 2, .three = 2, .reduce_five = 1, .five = 2, .pool = 1});
  check("Inception", inception, {2, 4, 3, 2});
  Sequential row;
  row.append<Conv1d>({.in = 2, .out = 6, .padding = 1});
  row.append<Maxout>({.pieces = 2});
  row.append<LayerNorm>({.channels = 3});
  row.append<PRelu>({.channels = 3});
  row.append<AvgPool>({.window = 2});
  row.append<Flatten>();
  row.append<Linear>({.in = 6, .out = 2});
  row.append<Gelu>();
  check("Sequential", row, {2, 5, 2});
}

TEST_CASE("the U-Net takes any size down to one pixel at its deepest level") {
  UNet net({.in = 1, .out = 3, .widths = {2, 3, 4}});
  net.eval();
  for (const Shape& size : {Shape{1, 4, 4, 1}, Shape{2, 13, 11, 1}, Shape{1, 7, 16, 1}, Shape{1, 5, 5, 1}})
    CHECK(net(Tensor::zeros(size)).shape() == Shape{size[0], size[1], size[2], 3});
  CHECK(contains(message([&] {
                   net(Tensor::zeros({1, 3, 8, 1}));
                 }),
                 "[UNet] expected (N, H, W, C) with H and W of at least 4, got (1, 3, 8, 1)"));
  CHECK(contains(message([&] { net(Tensor::zeros({1, 8, 8, 2})); }), "[Conv2d] expected (N, H, W, 1), got (1, 8, 8, 2)"));
  CHECK(contains(message([] { UNet none({.widths = {}}); }), "widths is empty"));
}

TEST_CASE("fit adds zeros or cuts at the end of each side") {
  const Tensor x = Tensor::arange(6).view({1, 2, 3, 1});
  CHECK(fit(x, 3, 2).to_vector<double>() == std::vector<double>{0, 1, 3, 4, 0, 0});
  CHECK(fit(x, 2, 3).shares_memory_with(x));
}

TEST_CASE("batch norm follows its batches and uses what it has seen in evaluation") {
  BatchNorm norm({.channels = 2, .relu = true});
  norm.to(Dtype::f64);
  const Tensor x = normal({4, 3, 3, 2}, 1) * 2.0 + 1.0;
  const Tensor y = norm(x);
  const Tensor m = mean(x, {0, 1, 2}), v = var(x, {0, 1, 2}, false, true);
  CHECK(distance(norm.running_mean, m * 0.1) < 1e-12);
  CHECK(distance(norm.running_var, 0.9 + v * 0.1) < 1e-12);
  CHECK(distance(y, relu((x - m) / sqrt(var(x, {0, 1, 2}) + 1e-5))) < 1e-12);
  norm.eval();
  const Tensor mean_before = norm.running_mean.clone();
  CHECK(distance(norm(x), relu((x - mean_before) / sqrt(norm.running_var + 1e-5))) < 1e-12);
  CHECK(distance(norm.running_mean, mean_before) == 0);
  norm.train();
  CHECK(contains(message([&] {
                   norm(Tensor::zeros({1, 2}, Dtype::f64));
                 }),
                 "[BatchNorm] one value per channel has no variance: input (1, 2)"));
  CHECK(contains(message([&] { norm(Tensor::zeros({1, 4, 3}, Dtype::f64)); }), "[BatchNorm] expected (N, …, 2), got (1, 4, 3)"));
}

TEST_CASE("dropout thins in training, draws anew each time, and does nothing in evaluation") {
  Dropout drop({.p = 0.25});
  const Tensor x = Tensor::ones({100, 100});
  const auto a = drop(x).to_vector<double>(), b = drop(x).to_vector<double>();
  CHECK(a != b);
  const auto zeros = std::count(a.begin(), a.end(), 0.0);
  CHECK(std::abs(static_cast<double>(zeros) / 10000 - 0.25) < 0.02);
  for (double v : a) CHECK((v == 0 || v == doctest::Approx(4.0 / 3)));
  drop.eval();
  CHECK(drop(x).to_vector<double>() == x.to_vector<double>());
  CHECK(contains(message([] { Dropout all({.p = 1}); }), "[Dropout] p must be in [0, 1)"));
}

TEST_CASE("maxout takes the largest of neighbouring channels") {
  const Tensor x = Tensor::from<float>({1, 6}, {1, 5, -2, -7, 3, 3});
  CHECK(maxout(x, 2).to_vector<double>() == std::vector<double>{5, -2, 3});
  CHECK(maxout(x, 3).to_vector<double>() == std::vector<double>{5, 3});
  CHECK(contains(message([&] { maxout(x, 4); }), "4 pieces do not divide the channels of (1, 6)"));
}

TEST_CASE("an embedding looks rows up and adds their gradients") {
  Embedding table({.count = 5, .out = 3});
  const Tensor index = Tensor::from<int32_t>({2, 2}, {4, 1, 1, 1});
  const Tensor y = table(index);
  CHECK(y.shape() == Shape{2, 2, 3});
  CHECK(y.at({0, 0, 2}) == table.weight.at({4, 2}));
  backward(sum(y));
  CHECK(gradient(table.weight).at({1, 0}) == 3);
  CHECK(gradient(table.weight).at({0, 0}) == 0);
}

TEST_CASE("a grouped, strided and dilated layer describes itself; options that do not fit are refused") {
  CHECK(Conv2d({.in = 4, .out = 6, .kernel = {3, 5}, .stride = 2, .groups = 2, .bias = false}).describe() ==
        "4 -> 6, kernel 3x5, stride 2x2, groups 2, no bias");
  CHECK(std::string(ConvTranspose3d({.in = 1, .out = 1}).kind()) == "ConvTranspose3d");
  CHECK(contains(message([] { Conv2d c({.in = 3, .out = 4, .groups = 2}); }), "[Conv2d] groups 2 must divide in 3 and out 4"));
  CHECK(contains(message([] { Conv1d c({.in = 3, .out = 4, .stride = 0}); }), "[Conv1d] stride must be at least 1, got 0"));
  CHECK_THROWS_AS(Conv2d({.in = 3, .out = 4, .kernel = {1, 2, 3}}), ShapeError);
  CHECK(contains(message([] { GroupNorm g({.groups = 3, .channels = 4}); }), "[GroupNorm] groups 3 must divide channels 4"));
  CHECK(contains(message([] { BatchNorm b({.channels = 0}); }), "[BatchNorm] channels must be at least 1, got 0"));
}

TEST_CASE("a network overfits four images: loss falls far below the trivial one") {
  set_seed(9), set_next_stream(0);
  ResNetSmall net({.widths = {4, 8}});
  const Tensor x = normal({4, 12, 12, 1}, 3, Dtype::f32), t = Tensor::from<int32_t>({4}, {0, 1, 0, 1});
  double loss = 0;
  for (int step = 0; step < 60; step++) {
    net.zero_gradients();
    const Tensor l = cross_entropy(net(x), t);
    backward(l);
    const NoGrad plain;
    for (const auto& [path, w] : net.parameters()) w->copy_from(w->detach() - gradient(*w) * 0.2);
    loss = l.item();
  }
  CHECK(loss < 0.1 * std::log(2));
}

TEST_CASE("dice of an empty mask is as documented") {
  const Tensor empty = Tensor::zeros({2, 4, 4, 1}), some = Tensor::ones({2, 4, 4, 1});
  CHECK(dice_loss(empty, empty).item() == 0);
  CHECK(dice_loss(some, empty).item() == doctest::Approx(1 - 1.0 / 17));
  CHECK(dice_loss(some, empty, {.empty = EmptyMask::skip}).item() == 0);
  Tensor half = Tensor::zeros({2, 4, 4, 1});
  half.rows(0, 1).fill(1);
  const DiceOptions skip{.empty = EmptyMask::skip};
  CHECK(dice_loss(some, half, skip).item() == doctest::Approx(0));
  CHECK(dice_loss(some, half).item() == doctest::Approx((1 - 1.0 / 17) / 2));
  CHECK(dice_loss(some, half, {.average = Average::none}).shape() == Shape{2, 1});
  CHECK(tversky_loss(empty, empty).item() == 0);
  const Tensor mask = Tensor::ones({2, 4, 4, 1}, Dtype::u8);
  CHECK(dice_loss(some, mask).item() == doctest::Approx(0));
}

TEST_CASE("losses are finite for extreme logits and refuse shapes that differ") {
  const Tensor z = leaf(Tensor::from<float>({1, 1, 2, 1}, {-500, 500})), y = Tensor::from<float>({1, 1, 2, 1}, {1, 0});
  for (const Tensor& loss :
       {binary_cross_entropy(z, y), binary_cross_entropy(z, y, {.pos_weight = Tensor::scalar(2)}), focal_loss(z, y), dice_bce_loss(z, y)}) {
    CHECK(std::isfinite(loss.item()));
    z.node()->gradient = {};
    backward(loss);
    for (double g : gradient(z).to_vector<double>()) CHECK(std::isfinite(g));
  }
  CHECK(contains(message([&] { mse_loss(z, Tensor::zeros({2})); }), "[mse_loss] output (1, 1, 2, 1) and target (2) differ in shape"));
  CHECK(contains(message([&] { huber_loss(z, y, 0); }), "delta must be above 0"));
}

TEST_CASE("the distance transform is exact, and the border map follows its formula") {
  Random random(1, "weight map");
  const int64_t h = 13, w = 17;
  std::vector<int32_t> pieces(static_cast<size_t>(h * w), 0);
  for (int k = 1; k <= 3; k++)
    for (int n = 0; n < 6; n++) pieces[static_cast<size_t>(random.below(h * w))] = k;
  const Tensor label = Tensor::from({h, w}, pieces);
  const auto nearest = [&](int64_t y, int64_t x, auto inside) {
    double best = INFINITY;
    for (int64_t v = 0; v < h; v++)
      for (int64_t u = 0; u < w; u++)
        if (inside(pieces[static_cast<size_t>(v * w + u)]))
          best = std::min(best, std::hypot(static_cast<double>(v - y), static_cast<double>(u - x)));
    return best;
  };
  const Tensor d = distance_transform(label), map = border_weight_map(label), boundary = boundary_weight_map(label, 5, 10);
  const double objects = static_cast<double>(h * w - std::count(pieces.begin(), pieces.end(), 0)), total = static_cast<double>(h * w);
  for (int64_t y = 0; y < h; y++)
    for (int64_t x = 0; x < w; x++) {
      CHECK(d.at({y, x}) == doctest::Approx(nearest(y, x, [](int32_t p) { return p != 0; })));
      std::vector<double> each;
      for (int k = 1; k <= 3; k++) each.push_back(nearest(y, x, [&](int32_t p) { return p == k; }));
      std::sort(each.begin(), each.end());
      const bool object = pieces[static_cast<size_t>(y * w + x)] != 0;
      const double gap = each[0] + each[1], balance = total / (2 * (object ? objects : total - objects));
      CHECK(map.at({y, x}) == doctest::Approx(balance + (object ? 0 : 10 * std::exp(-gap * gap / 50))));
      const double to_other = nearest(y, x, [&](int32_t p) { return (p != 0) != object; }) - 0.5;
      CHECK(boundary.at({y, x}) == doctest::Approx(1 + 5 * std::exp(-to_other / 10)));
    }
  CHECK(border_weight_map(Tensor::zeros({3, 4}, Dtype::u8)).to_vector<double>() == std::vector<double>(12, 1.0));
  CHECK(boundary_weight_map(Tensor::ones({3, 4}, Dtype::u8)).to_vector<double>() == std::vector<double>(12, 1.0));
  CHECK(std::isinf(distance_transform(Tensor::zeros({2, 2}, Dtype::u8)).at({1, 1})));
  CHECK_THROWS_AS(distance_transform(Tensor::zeros({2, 2})), DtypeError);
}
