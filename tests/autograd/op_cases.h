#pragma once
// One record per operation and variant. The runner in test_ops.cpp does the rest: gradient and second gradient by finite differences,
// f32 against f64, the same bits twice and with 1 and 2 threads, the graph freed afterwards.
#include <functional>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "tensor/elementwise.h"

namespace sono::tests {

using Inputs = std::vector<Tensor>;

struct OpCase {
  std::string name;
  std::vector<Shape> inputs;
  std::function<Tensor(const Inputs&)> run;
  double low = -2, high = 2;           // the values of the inputs
  double kink = 1e300, kink2 = 1e300;  // points that they keep away from
};

inline Tensor index_of(Shape shape, const std::vector<int32_t>& values) { return Tensor::from(std::move(shape), values); }

inline std::vector<OpCase> elementwise_cases() {
  using namespace elementwise;
  std::vector<OpCase> cases;
  const auto add = [&](const char* name, Domain d, std::function<Tensor(const Tensor&)> f) {
    cases.push_back({name, {{3, 5}}, [f](auto& x) { return f(x[0]); }, d.low, d.high, d.kink, d.kink2});
  };
  add("negative", Negative::domain, [](auto& x) { return -x; });
  add("exp", Exp::domain, [](auto& x) { return exp(x); });
  add("log", Log::domain, [](auto& x) { return log(x); });
  add("log1p", Log1p::domain, [](auto& x) { return log1p(x); });
  add("sqrt", Sqrt::domain, [](auto& x) { return sqrt(x); });
  add("square", Square::domain, [](auto& x) { return square(x); });
  add("pow_scalar", PowScalar::domain, [](auto& x) { return pow(x, 2.5); });
  add("pow_scalar 0", PowScalar::domain, [](auto& x) { return pow(x, 0.0) + x; });
  add("abs", Abs::domain, [](auto& x) { return abs(x); });
  add("sin", Sin::domain, [](auto& x) { return sin(x); });
  add("cos", Cos::domain, [](auto& x) { return cos(x); });
  add("tanh", Tanh::domain, [](auto& x) { return tanh(x); });
  add("sigmoid", Sigmoid::domain, [](auto& x) { return sigmoid(x); });
  add("relu", Relu::domain, [](auto& x) { return relu(x); });
  add("leaky_relu", LeakyRelu::domain, [](auto& x) { return leaky_relu(x, 0.1); });
  add("elu", Elu::domain, [](auto& x) { return elu(x, 1.3); });
  add("gelu", Gelu::domain, [](auto& x) { return gelu(x); });
  add("erf", Erf::domain, [](auto& x) { return erf(x); });
  add("silu", Silu::domain, [](auto& x) { return silu(x); });
  add("softplus", Softplus::domain, [](auto& x) { return softplus(x); });
  add("clamp", Clamp::domain, [](auto& x) { return clamp(x, -1, 1); });
  add("linear map", Linear::domain, [](auto& x) { return 1.0 - x * 2.0 / 3.0; });
  add("reciprocal", Reciprocal::domain, [](auto& x) { return 2.0 / x; });
  return cases;
}

inline std::vector<OpCase> binary_cases() {
  using namespace elementwise;
  std::vector<OpCase> cases;
  const auto add = [&](const char* name, Domain d, std::function<Tensor(const Tensor&, const Tensor&)> f) {
    const std::vector<std::vector<Shape>> shapes{{{2, 3, 4}, {2, 3, 4}}, {{2, 3, 4}, {4}}, {{2, 1, 4}, {3, 1}}, {{}, {2, 3}}, {{1, 4}, {}}};
    for (const auto& s : shapes)
      cases.push_back({std::string(name) + " " + to_string(s[0]) + " " + to_string(s[1]), s, [f](auto& x) { return f(x[0], x[1]); }, d.low,
                       d.high, d.kink, d.kink2});
  };
  add("add", Add::domain, [](auto& a, auto& b) { return a + b; });
  add("subtract", Subtract::domain, [](auto& a, auto& b) { return a - b; });
  add("multiply", Multiply::domain, [](auto& a, auto& b) { return a * b; });
  add("divide", Divide::domain, [](auto& a, auto& b) { return a / b; });
  add("pow", Pow::domain, [](auto& a, auto& b) { return pow(a, b); });
  add("maximum", Maximum::domain, [](auto& a, auto& b) { return maximum(a, b); });
  add("minimum", Minimum::domain, [](auto& a, auto& b) { return minimum(a, b); });
  add("prelu", Prelu::domain, [](auto& a, auto& b) { return prelu(a, b); });
  add("bce_with_logits", BceWithLogits::domain, [](auto& a, auto& b) { return bce_with_logits(a, b); });
  const Tensor mask = Tensor::from<uint8_t>({3, 1}, {1, 0, 1});
  cases.push_back({"select", {{2, 3, 4}, {4}}, [mask](auto& x) { return select(mask, x[0], x[1]); }});
  cases.push_back({"the same tensor twice", {{3, 4}}, [](auto& x) { return x[0] * x[0] / (x[0] + x[0]) + x[0]; }, 0.5, 2});
  return cases;
}

inline std::vector<OpCase> reduction_cases() {
  const Shape s{2, 3, 4};
  return {
      {"sum", {s}, [](auto& x) { return sum(x[0]); }},
      {"sum of a value", {{}}, [](auto& x) { return sum(x[0]); }},
      {"sum {0, 2}",
       {s},
       [](auto& x) {
         return sum(x[0], {0, 2});
       }},
      {"sum {0, 2} keep",
       {s},
       [](auto& x) {
         return sum(x[0], {0, -1}, true);
       }},
      {"mean {1}", {s}, [](auto& x) { return mean(x[0], {1}); }},
      {"mean {0, 1, 2} of (2, 3, 4, 2)",
       {{2, 3, 4, 2}},
       [](auto& x) {
         return mean(x[0], {0, 1, 2});
       }},
      {"var", {s}, [](auto& x) { return var(x[0]); }},
      {"var {0, 2} unbiased",
       {s},
       [](auto& x) {
         return var(x[0], {0, 2}, true, true);
       }},
      {"max", {s}, [](auto& x) { return max(x[0]); }},
      {"max {1}", {s}, [](auto& x) { return max(x[0], {1}, true); }},
      {"max {0, 2}",
       {s},
       [](auto& x) {
         return max(x[0], {0, 2});
       }},
      {"min {0, 2} keep",
       {s},
       [](auto& x) {
         return min(x[0], {0, 2}, true);
       }},
      {"min {1, 2}",
       {s},
       [](auto& x) {
         return min(x[0], {1, 2});
       }},
      {"logsumexp", {s}, [](auto& x) { return logsumexp(x[0]); }},
      {"logsumexp {0, 2}",
       {s},
       [](auto& x) {
         return logsumexp(x[0], {0, 2}, true);
       }},
      {"softmax", {s}, [](auto& x) { return softmax(x[0]); }},
      {"softmax 0", {s}, [](auto& x) { return softmax(x[0], 0); }},
      {"log_softmax", {s}, [](auto& x) { return log_softmax(x[0]); }},
      {"log_softmax 1", {s}, [](auto& x) { return log_softmax(x[0], 1); }},
      {"cumsum", {s}, [](auto& x) { return cumsum(x[0]); }},
      {"cumsum 0 reverse", {s}, [](auto& x) { return cumsum(x[0], 0, true); }},
      {"sort", {s}, [](auto& x) { return sort(x[0], 1).first; }},
      {"sort falling", {s}, [](auto& x) { return sort(x[0], -1, true).first; }},
      {"topk", {s}, [](auto& x) { return topk(x[0], 2, 1).first; }},
      {"sum_to",
       {s},
       [](auto& x) {
         return sum_to(x[0], {3, 1});
       }},
      {"broadcast_to",
       {{3, 1}},
       [](auto& x) {
         return broadcast_to(x[0], {2, 3, 4});
       }},
      {"broadcast_to from a value",
       {{}},
       [](auto& x) {
         return broadcast_to(x[0], {2, 3});
       }},
  };
}

inline std::vector<OpCase> shape_cases() {
  const Shape s{2, 3, 4};
  const Tensor rows = index_of({2, 2}, {2, 0, 2, 1}), places = index_of({2, 2, 4}, {0, 1, 2, 0, 2, 2, 0, 1, 1, 1, 1, 1, 0, 0, 2, 2});
  return {
      {"reshape",
       {s},
       [](auto& x) {
         return reshape(x[0], {4, -1});
       }},
      {"permute",
       {{2, 3, 4, 2}},
       [](auto& x) {
         return permute(x[0], {2, 0, 3, 1});
       }},
      {"transpose", {s}, [](auto& x) { return transpose(x[0]); }},
      {"slice 0", {{5, 3}}, [](auto& x) { return slice(x[0], 0, 1, 4); }},
      {"slice 1 by 3", {{2, 8}}, [](auto& x) { return slice(x[0], 1, 1, -1, 3); }},
      {"slice of nothing", {{2, 3}}, [](auto& x) { return sum(slice(x[0], 1, 2, 2)) + sum(x[0]); }},
      {"concat", {{2, 1, 3}, {2, 4, 3}, {2, 2, 3}}, [](auto& x) { return concat(x, 1); }},
      {"concat -1", {{2, 3}, {2, 1}}, [](auto& x) { return concat(x, -1); }},
      {"stack", {{2, 3}, {2, 3}}, [](auto& x) { return stack(x, -1); }},
      {"split",
       {{2, 6}},
       [](auto& x) {
         const auto p = split(x[0], 3, 1);
         return p[0] * p[1] + p[2];
       }},
      {"pad",
       {{2, 3}},
       [](auto& x) {
         return pad(x[0], {{1, 2}, {0, 3}});
       }},
      {"pad reflect",
       {{2, 4, 3}},
       [](auto& x) {
         return pad(x[0], {{0, 0}, {3, 2}, {1, 2}}, Padding::reflect);
       }},
      {"pad edge",
       {{2, 4, 3}},
       [](auto& x) {
         return pad(x[0], {{1, 0}, {3, 5}, {0, 2}}, Padding::edge);
       }},
      {"flip",
       {s},
       [](auto& x) {
         return flip(x[0], {0, 2});
       }},
      {"roll", {s}, [](auto& x) { return roll(x[0], -5, 1); }},
      {"take 0", {{3, 4}}, [rows](auto& x) { return take(x[0], rows); }},
      {"take 1", {s}, [rows](auto& x) { return take(x[0], rows, 1); }},
      {"embedding", {{5, 3}}, [rows](auto& x) { return embedding(x[0], rows); }},
      {"gather", {s}, [places](auto& x) { return gather(x[0], places, 1); }},
      {"scatter_add",
       {{2, 2, 4}},
       [places](auto& x) {
         return scatter_add(x[0], places, {2, 3, 4}, 1);
       }},
      {"cast", {s}, [](auto& x) { return cast(cast(x[0], Dtype::f64) * 2.0, x[0].dtype()); }},
  };
}

inline std::vector<OpCase> product_cases() {
  std::vector<OpCase> cases = {
      {"linear", {{2, 3, 4}, {4, 5}, {5}}, [](auto& x) { return linear(x[0], x[1], x[2]); }},
      {"linear no bias", {{3, 4}, {4, 1}}, [](auto& x) { return linear(x[0], x[1]); }},
      {"linear of a vector", {{4}, {4, 3}, {3}}, [](auto& x) { return linear(x[0], x[1], x[2]); }},
  };
  for (const bool ta : {false, true})
    for (const bool tb : {false, true})
      for (const auto& [batch_a, batch_b] :
           std::vector<std::pair<Shape, Shape>>{{{}, {}}, {{2}, {2}}, {{2}, {}}, {{}, {2}}, {{2, 1}, {2, 1}}}) {
        Shape a = batch_a, b = batch_b;
        a.insert(a.end(), {ta ? 4 : 3, ta ? 3 : 4});
        b.insert(b.end(), {tb ? 5 : 4, tb ? 4 : 5});
        cases.push_back({"matmul " + to_string(a) + (ta ? "T " : " ") + to_string(b) + (tb ? "T" : ""), {a, b}, [ta, tb](auto& x) {
                           return matmul(x[0], x[1], ta, tb);
                         }});
      }
  return cases;
}

inline std::vector<OpCase> conv_cases() {
  std::vector<OpCase> cases;
  const auto add = [&](const std::string& name, Shape x, Shape w, ConvOptions o, bool bias) {
    std::vector<Shape> inputs{x, w};
    if (bias) inputs.push_back({w.back()});
    cases.push_back({name, inputs, [o](auto& t) { return conv(t[0], t[1], t.size() > 2 ? t[2] : Tensor{}, o); }, -1, 1});
  };
  add("conv1d", {2, 7, 2}, {3, 2, 3}, {.stride = 2, .padding = 1}, true);
  add("conv2d 1x1", {2, 3, 3, 3}, {1, 1, 3, 2}, {}, true);
  add("conv2d", {2, 5, 6, 2}, {3, 2, 2, 3}, {}, false);
  add("conv2d stride padding", {1, 5, 6, 2}, {3, 3, 2, 3}, {.stride = {2, 1}, .padding = {1, 2}}, true);
  add("conv2d stride beyond kernel", {1, 7, 7, 1}, {2, 2, 1, 2}, {.stride = 3}, true);
  add("conv2d dilation", {1, 6, 7, 2}, {2, 3, 2, 2}, {.padding = 1, .dilation = 2}, true);
  add("conv2d groups", {1, 4, 4, 4}, {3, 3, 2, 6}, {.padding = 1, .groups = 2}, true);
  add("conv2d depthwise", {1, 4, 4, 3}, {3, 3, 1, 3}, {.padding = 1, .groups = 3}, false);
  add("conv3d", {1, 3, 4, 3, 2}, {2, 3, 2, 2, 2}, {.stride = {1, 2, 1}, .padding = {1, 1, 0}}, true);
  add("conv3d flat kernel", {1, 3, 4, 4, 2}, {1, 3, 3, 2, 2}, {.padding = {0, 1, 1}}, true);
  const auto up = [&](const std::string& name, Shape x, Shape w, ConvOptions o, Extent extra, int64_t out) {
    cases.push_back({name, {x, w, {out}}, [o, extra](auto& t) { return conv_transpose(t[0], t[1], t[2], o, extra); }, -1, 1});
  };
  up("conv_transpose 1d", {2, 4, 3}, {4, 2, 3}, {.stride = 3, .padding = 1}, 0, 2);
  up("conv_transpose 2d", {1, 3, 3, 2}, {3, 3, 3, 2}, {.stride = 2, .padding = 1}, 1, 3);
  up("conv_transpose 2d side by side", {1, 3, 2, 3}, {2, 3, 2, 3}, {.stride = {2, 3}}, 0, 2);
  up("conv_transpose 2d groups", {1, 3, 3, 4}, {2, 2, 1, 4}, {.stride = 2, .groups = 2}, 0, 2);
  cases.push_back({"conv_input",
                   {{1, 3, 3, 2}, {3, 3, 3, 2}},
                   [](auto& t) {
                     return conv_input(t[0], t[1], {1, 6, 6, 3}, {.stride = 2, .padding = 1});
                   },
                   -1,
                   1});
  cases.push_back({"conv_weight",
                   {{1, 6, 6, 3}, {1, 3, 3, 2}},
                   [](auto& t) {
                     return conv_weight(t[0], t[1], {3, 3, 3, 2}, {.stride = 2, .padding = 1});
                   },
                   -1,
                   1});
  return cases;
}

inline std::vector<OpCase> pool_cases() {
  const Shape image{2, 5, 6, 2}, volume{1, 4, 3, 4, 2};
  return {
      {"max_pool", {image}, [](auto& x) { return max_pool(x[0]); }},
      {"max_pool overlapping, ceil",
       {image},
       [](auto& x) {
         return max_pool(x[0], {.window = {3, 2}, .stride = Extent{2, 1}, .padding = {1, 1}, .ceil = true});
       }},
      {"max_pool 1d", {{2, 7, 3}}, [](auto& x) { return max_pool(x[0], {.window = 3, .stride = Extent(2)}); }},
      {"max_pool 3d",
       {volume},
       [](auto& x) {
         return max_pool(x[0], {.window = {2, 1, 3}, .stride = Extent(1)});
       }},
      {"max_unpool",
       {{1, 2, 2, 1}},
       [](auto& x) {
         return max_unpool(x[0], index_of({1, 2, 2, 1}, {0, 3, 8, 15}), {1, 4, 4, 1});
       }},
      {"avg_pool", {image}, [](auto& x) { return avg_pool(x[0]); }},
      {"avg_pool padded", {image}, [](auto& x) { return avg_pool(x[0], {.window = 3, .stride = Extent(2), .padding = 1}); }},
      {"avg_pool inside",
       {image},
       [](auto& x) { return avg_pool(x[0], {.window = 3, .stride = Extent(2), .padding = 1, .ceil = true, .count_padding = false}); }},
      {"avg_pool ceil",
       {image},
       [](auto& x) {
         return avg_pool(x[0], {.window = {4, 3}, .stride = Extent{3, 2}, .padding = {2, 1}, .ceil = true});
       }},
      {"avg_pool 3d", {volume}, [](auto& x) { return avg_pool(x[0], {.window = 2, .stride = Extent(1)}); }},
      {"global_avg_pool", {image}, [](auto& x) { return global_avg_pool(x[0]); }},
      {"adaptive_avg_pool",
       {image},
       [](auto& x) {
         return adaptive_avg_pool(x[0], {3, 4});
       }},
      {"adaptive_avg_pool 3d",
       {volume},
       [](auto& x) {
         return adaptive_avg_pool(x[0], {3, 2, 1});
       }},
      {"adaptive_max_pool",
       {image},
       [](auto& x) {
         return adaptive_max_pool(x[0], {3, 4});
       }},
  };
}

inline std::vector<OpCase> norm_cases() {
  const Shape image{2, 3, 2, 4}, c{4};
  return {
      {"batch_norm", {image, c, c}, [](auto& x) { return batch_norm(x[0], x[1], x[2]).y; }},
      {"batch_norm plain", {image}, [](auto& x) { return batch_norm(x[0], {}, {}).y; }},
      {"batch_norm scale only", {image, c}, [](auto& x) { return batch_norm(x[0], x[1], {}).y; }},
      {"batch_norm shift only", {image, c}, [](auto& x) { return batch_norm(x[0], {}, x[1]).y; }},
      {"batch_norm relu", {image, c, c}, [](auto& x) { return batch_norm(x[0], x[1], x[2], 1e-5, true).y; }},
      {"batch_norm joined", {image, c, c, image}, [](auto& x) { return batch_norm(x[0], x[1], x[2], 1e-5, false, x[3]).y; }},
      {"batch_norm joined relu", {image, c, c, image}, [](auto& x) { return batch_norm(x[0], x[1], x[2], 1e-5, true, x[3]).y; }},
      {"batch_norm_conv", {image, c, c, {3, 3, 4, 2}}, [](auto& x) { return batch_norm_conv(x[0], x[1], x[2], x[3], {.padding = 1}).y; }},
      {"batch_norm_conv of many channels",
       {{1, 6, 7, 16}, {16}, {16}, {3, 3, 16, 16}},
       [](auto& x) {
         return batch_norm_conv(x[0], x[1], x[2], x[3], {.padding = 1}).y;
       }},
      {"concat_conv", {image, {2, 3, 2, 1}, {3, 3, 5, 2}}, [](auto& x) { return concat_conv(x[0], x[1], x[2], {.padding = 1}); }},
      {"concat_conv of many channels",
       {{1, 6, 7, 16}, {1, 6, 7, 3}, {3, 3, 19, 16}},
       [](auto& x) {
         return concat_conv(x[0], x[1], x[2], {.padding = 1});
       }},
      {"batch_norm_max_pool", {image, c, c}, [](auto& x) { return batch_norm_max_pool(x[0], x[1], x[2], 2, 1e-5, true).pooled; }},
      {"batch_norm_max_pool of both",
       {{2, 3, 5, 4}, c, c},
       [](auto& x) {
         const NormPoolResult r = batch_norm_max_pool(x[0], x[1], x[2], {2, 3}, 1e-5, true, true);
         return concat({reshape(r.y, {-1, 4}), reshape(r.pooled, {-1, 4})}, 0);
       }},
      {"batch_norm_max_pool 3d",
       {{1, 2, 3, 4, 2}},
       [](auto& x) {
         return batch_norm_max_pool(x[0], {}, {}, {2, 1, 2}).pooled;
       }},
      {"batch_norm of (N, C)", {{5, 4}, c, c}, [](auto& x) { return batch_norm(x[0], x[1], x[2]).y; }},
      {"batch_norm_eval",
       {image, c, c},
       [](auto& x) { return batch_norm_eval(x[0], x[1], x[2], Tensor::full({4}, 0.3, x[0].dtype()), Tensor::full({4}, 2, x[0].dtype())); }},
      {"batch_norm_eval plain",
       {image},
       [](auto& x) { return batch_norm_eval(x[0], {}, {}, Tensor::full({4}, 0.3, x[0].dtype()), Tensor::full({4}, 2, x[0].dtype())); }},
      {"layer_norm", {{2, 3, 4}, c, c}, [](auto& x) { return layer_norm(x[0], x[1], x[2]); }},
      {"group_norm", {image, c, c}, [](auto& x) { return group_norm(x[0], 2, x[1], x[2]); }},
      {"instance_norm", {image, c, c}, [](auto& x) { return instance_norm(x[0], x[1], x[2]); }},
      {"local_response_norm", {{1, 2, 2, 6}}, [](auto& x) { return local_response_norm(x[0], 5, 0.3, 0.75, 1.5); }},
      {"local_response_norm even", {{1, 2, 2, 5}}, [](auto& x) { return local_response_norm(x[0], 2, 0.3); }},
  };
}

inline std::vector<OpCase> loss_cases() {
  const Tensor target = index_of({2, 3}, {0, 3, -100, 2, 1, 3}), present = index_of({2, 3}, {0, 3, 1, 2, 1, 3});
  const auto weight = [](const Tensor& like) { return Tensor::from({4}, std::vector<double>{0.5, 2, 1, 0.3}).to(like.dtype()); };
  return {
      {"cross_entropy", {{2, 3, 4}}, [=](auto& x) { return cross_entropy(x[0], target); }},
      {"cross_entropy each", {{2, 3, 4}}, [=](auto& x) { return cross_entropy(x[0], target, {.average = Average::none}); }},
      {"cross_entropy weights",
       {{2, 3, 4}},
       [=](auto& x) { return cross_entropy(x[0], target, {.weight = weight(x[0]), .smoothing = 0.2}); }},
      {"cross_entropy sum",
       {{2, 3, 4}},
       [=](auto& x) { return cross_entropy(x[0], present, {.weight = weight(x[0]), .ignore = 3, .average = Average::sum}) * 1.0; }},
      {"logit_sums",
       {{2, 3, 2}},
       [](auto& x) { return logit_sums(x[0], Tensor::arange(12, x[0].dtype()).view({2, 3, 2}).to(x[0].device()) * 0.09); }},
      {"logit_sums squared", {{2, 3, 1, 2}, {2, 3, 1, 2}}, [](auto& x) { return logit_sums(x[0], x[1], true); }},
  };
}

inline std::vector<OpCase> resample_cases() {
  using I = Interpolation;
  const Shape image{2, 3, 4, 2};
  return {
      {"interpolate nearest",
       {image},
       [](auto& x) {
         return interpolate(x[0], {6, 5}, I::nearest);
       }},
      {"interpolate linear",
       {image},
       [](auto& x) {
         return interpolate(x[0], {5, 7});
       }},
      {"interpolate down",
       {{1, 7, 5, 2}},
       [](auto& x) {
         return interpolate(x[0], {3, 2});
       }},
      {"interpolate corners",
       {image},
       [](auto& x) {
         return interpolate(x[0], {5, 1}, I::linear, true);
       }},
      {"interpolate 1d", {{2, 5, 2}}, [](auto& x) { return interpolate(x[0], 8); }},
      {"interpolate 3d",
       {{1, 2, 3, 2, 2}},
       [](auto& x) {
         return interpolate(x[0], {3, 4, 5});
       }},
      // Grid values of these ranges stay away from the lines between pixels, where the sample has a kink.
      {"grid_sample", {image, {2, 2, 3, 2}}, [](auto& x) { return grid_sample(x[0] * 3.0, x[1]); }, 0.02, 0.22},
      {"grid_sample at the border", {image, {2, 2, 3, 2}}, [](auto& x) { return grid_sample(x[0], x[1]); }, 1.02, 1.2},
      {"grid_sample corners", {image, {2, 2, 3, 2}}, [](auto& x) { return grid_sample(x[0], x[1], I::linear, true); }, -0.3, -0.05},
      {"grid_sample nearest", {image, {2, 2, 3, 2}}, [](auto& x) { return grid_sample(x[0], x[1], I::nearest); }, 0.1, 0.3},
      {"grid_sample 3d", {{1, 3, 4, 3, 2}, {1, 2, 2, 2, 3}}, [](auto& x) { return grid_sample(x[0], x[1]); }, 0.05, 0.22},
      {"affine_grid",
       {{2, 2, 3}},
       [](auto& x) {
         return affine_grid(x[0], {2, 3, 4, 1});
       }},
      {"affine_grid 3d",
       {{1, 3, 4}},
       [](auto& x) {
         return affine_grid(x[0], {1, 2, 3, 4, 1}, true);
       }},
  };
}

inline std::vector<OpCase> fourier_cases() {
  return {
      {"fft", {{2, 6, 2}}, [](auto& x) { return fft(x[0]); }},        {"fft of 1", {{2, 1, 2}}, [](auto& x) { return fft(x[0]); }},
      {"ifft", {{2, 7, 2}}, [](auto& x) { return ifft(x[0]); }},      {"rfft", {{2, 5}}, [](auto& x) { return rfft(x[0]); }},
      {"irfft", {{2, 4, 2}}, [](auto& x) { return irfft(x[0], 6); }}, {"irfft odd", {{2, 4, 2}}, [](auto& x) { return irfft(x[0], 7); }},
      {"hilbert", {{2, 8}}, [](auto& x) { return hilbert(x[0]); }},
  };
}

// y, h and c of a layer as one value; inputs x, the four weights, h and, of an LSTM, c.
inline std::vector<OpCase> recurrent_cases() {
  std::vector<OpCase> cases;
  const auto add = [&](const std::string& name, Cell cell, const SequenceOptions& o) {
    const int64_t N = 2, T = 3, in = 2, H = 2, width = gates(cell) * H;
    std::vector<Shape> shapes{{N, T, in}, {in, width}, {H, width}, {width}, {width}, {N, H}};
    if (cell == Cell::lstm) shapes.push_back({N, H});
    const auto run = [=](const Inputs& x) {
      const SequenceResult r = recurrent(cell, x[0], {x[1], x[2], x[3], x[4]}, {x[5], cell == Cell::lstm ? x[6] : Tensor()}, o);
      std::vector<Tensor> parts{reshape(r.y, {-1, H}), r.state.h};
      if (r.state.c) parts.push_back(r.state.c);
      return concat(parts, 0);
    };
    cases.push_back({name, shapes, run, -1, 1});
  };
  add("rnn", Cell::tanh, {});
  add("lstm", Cell::lstm, {});
  add("gru", Cell::gru, {});
  add("lstm reverse, lengths", Cell::lstm, {.lengths = {3, 1}, .reverse = true});
  add("gru reverse, lengths", Cell::gru, {.lengths = {2, 0}, .reverse = true});
  add("gru lengths", Cell::gru, {.lengths = {2, 3}});
  cases.push_back({"lstm no bias, no state", {{2, 3, 2}, {2, 8}, {2, 8}}, [](auto& x) {
                     return recurrent(Cell::lstm, x[0], {x[1], x[2], {}, {}}).y;
                   }, -1, 1});
  return cases;
}

inline std::vector<OpCase> op_cases() {
  std::vector<OpCase> all;
  for (auto* group : {elementwise_cases, binary_cases, reduction_cases, shape_cases, product_cases, conv_cases, pool_cases, norm_cases,
                      loss_cases, resample_cases, fourier_cases, recurrent_cases})
    for (OpCase& c : group()) all.push_back(std::move(c));
  return all;
}

}  // namespace sono::tests
