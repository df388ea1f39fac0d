#include <numeric>

#include "tests/tensor/kernel_check.h"

using namespace sono;
using namespace sono::tests;

namespace {

// The definition, one value at a time.
std::vector<double> by_definition(const kernels::CopyArgs& a, const Tensor& y_before) {
  const auto x = a.x.to_vector<double>();
  auto y = y_before.to_vector<double>();
  for (int64_t i = 0; i < count(a.shape); i++) {
    int64_t rest = i, from = a.x_offset, to = a.y_offset;
    for (size_t d = a.shape.size(); d-- > 0; rest /= a.shape[d]) {
      from += rest % a.shape[d] * a.x_stride[d];
      to += rest % a.shape[d] * a.y_stride[d];
    }
    y[static_cast<size_t>(to)] = x[static_cast<size_t>(from)];
  }
  return y;
}

Shape contiguous(const Shape& shape) {
  Shape strides(shape.size());
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0; step *= shape[i]) strides[i] = step;
  return strides;
}

void check_copy(const kernels::CopyArgs& args) {
  for (const Dtype dtype : {Dtype::u8, Dtype::i32, Dtype::f64})
    for (int threads : {1, 3}) {
      set_threads(threads);
      kernels::CopyArgs a = args;
      a.x = args.x.to(dtype);
      a.y = Tensor::full(args.y.shape(), 77, dtype);
      const auto expected = by_definition(a, a.y);
      kernels::strided_copy(a);
      set_threads(0);
      CHECK(a.y.to_vector<double>() == expected);
    }
}

Tensor counting(const Shape& shape) {
  Tensor t(shape);
  for (int64_t i = 0; i < t.size(); i++) t.data<float>()[i] = static_cast<float>(i % 251);
  return t;
}

}  // namespace

TEST_CASE("strided copies: every permutation of shapes with tails") {
  for (const Shape& shape : {Shape{3, 5, 7}, Shape{2, 33, 70}, Shape{1, 65, 1}, Shape{31, 1, 33}, Shape{2, 3, 4, 5}, Shape{}}) {
    std::vector<size_t> order(shape.size());
    std::iota(order.begin(), order.end(), 0);
    const Shape strides = contiguous(shape);
    do {
      CAPTURE(to_string(shape));
      Shape to, from;
      for (size_t k : order) to.push_back(shape[k]), from.push_back(strides[k]);
      check_copy({counting(shape), Tensor(to), to, from, contiguous(to)});
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

TEST_CASE("strided copies: parts, steps, mirrors and repeats leave the rest alone") {
  const Tensor x = counting({40, 50});
  check_copy({x, Tensor({10, 20}), {10, 20}, {50, 1}, {20, 1}, 7 * 50 + 3, 0});     // slice
  check_copy({x, Tensor({60, 70}), {40, 50}, {50, 1}, {70, 1}, 0, 5 * 70 + 11});    // pad
  check_copy({x, Tensor({40, 17}), {40, 17}, {50, 3}, {17, 1}});                    // step
  check_copy({x, Tensor({40, 50}), {40, 50}, {-50, -1}, {50, 1}, 40 * 50 - 1, 0});  // flip
  check_copy({x, Tensor({3, 40, 50}), {3, 40, 50}, {0, 50, 1}, {2000, 50, 1}});     // repeat
  check_copy({x, Tensor({40, 50}), {0, 50}, {50, 1}, {50, 1}});                     // nothing
}
