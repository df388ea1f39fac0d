#include "tests/tensor/kernel_check.h"

using namespace sono;
using namespace sono::tests;
using kernels::PoolArgs;

namespace {

struct PoolCase {
  Shape x;
  std::array<int64_t, 3> window, stride, padding{0, 0, 0};
  bool ceil = false;
};

PoolArgs make(const PoolCase& c) {
  PoolArgs a{normal(c.x, 1), {}, {}, c.window, c.stride, c.padding};
  Shape out{c.x[0], 0, 0, 0, c.x[4]};
  for (int k = 0; k < 3; k++) {
    const int64_t extent = c.x[k + 1] + 2 * c.padding[k] - c.window[k];
    out[k + 1] = (c.ceil ? (extent + c.stride[k] - 1) / c.stride[k] : extent / c.stride[k]) + 1;
    if ((out[k + 1] - 1) * c.stride[k] >= c.x[k + 1] + c.padding[k]) out[k + 1]--;  // a window that starts behind the image is none
  }
  a.y = normal(out, 2);
  a.index = guarded(out, Dtype::i32);
  return a;
}

void check(const PoolCase& c, void (*change)(PoolArgs&) = nullptr) {
  PoolArgs a = make(c);
  if (change) change(a);
  std::string text = to_string(c.x);
  for (int k = 0; k < 3; k++)
    text +=
        " window " + std::to_string(c.window[k]) + " stride " + std::to_string(c.stride[k]) + " padding " + std::to_string(c.padding[k]);
  check_kernel(kernels::max_pool, a, {&PoolArgs::y, &PoolArgs::index}, text);
  kernels::max_pool(a);
  check_kernel(kernels::max_pool_at, a, {&PoolArgs::y}, text);
  a.y = normal(a.y.shape(), 3);
  check_kernel(kernels::max_unpool, a, {&PoolArgs::x}, text);
  a.index = {};
  for (bool count_padding : {true, false}) {
    a.count_padding = count_padding;
    check_kernel(kernels::avg_pool, a, {&PoolArgs::y}, text);
    check_kernel(kernels::avg_pool_adjoint, a, {&PoolArgs::x}, text);
  }
}

}  // namespace

TEST_CASE("pooling: odd channels") {
  for (int64_t C : {1, 7, 15, 16, 17, 31, 33}) {
    check({{2, 1, 6, 8, C}, {1, 2, 2}, {1, 2, 2}});
    check({{1, 1, 7, 9, C}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}});
  }
}

TEST_CASE("pooling: windows, strides, padding, cut windows") {
  for (int64_t stride : {1, 2, 3})
    for (int64_t padding : {0, 1})
      for (bool ceil : {false, true}) {
        check({{2, 1, 7, 8, 5}, {1, 3, 2}, {1, stride, stride}, {0, padding, padding}, ceil});
        check({{1, 5, 6, 7, 4}, {2, 3, 2}, {stride, stride, stride}, {padding, padding, padding}, ceil});
      }
  check({{1, 1, 9, 9, 6}, {1, 2, 2}, {1, 4, 3}});      // gaps between windows
  check({{2, 1, 33, 31, 8}, {1, 33, 31}, {1, 1, 1}});  // the whole image
}

TEST_CASE("pooling: NaN is the largest, the first of equals is taken") {
  for (int64_t C : {3, 16}) {
    check({{1, 1, 6, 6, C}, {1, 2, 2}, {1, 2, 2}}, [](PoolArgs& a) {
      float* x = a.x.data<float>();
      x[0] = x[a.x.dim(4)] = static_cast<float>(not_a_number);
      x[a.x.size() - 1] = static_cast<float>(not_a_number);
      x[7 * a.x.dim(4)] = static_cast<float>(infinite);
    });
    PoolArgs a = make({{1, 1, 2, 4, C}, {1, 2, 2}, {1, 2, 2}});
    a.x.fill(2);
    kernels::max_pool(a);
    CHECK(a.index.to_vector<double>()[0] == 0);
    CHECK(a.index.to_vector<double>()[C] == 2);
    a.x.fill(-infinite);
    kernels::max_pool(a);
    CHECK(a.index.to_vector<double>()[C] == 2);
    CHECK(a.y.to_vector<double>()[C] == -infinite);
  }
}

TEST_CASE("max_unpool and max_pool_at follow indices that no pooling made") {
  PoolArgs a = make({{1, 1, 4, 4, 3}, {1, 2, 2}, {1, 2, 2}});
  std::fill_n(a.index.data<int32_t>(), a.index.size(), 15);
  check_kernel(kernels::max_unpool, a, {&PoolArgs::x}, "all indices 15");
  check_kernel(kernels::max_pool_at, a, {&PoolArgs::y}, "all indices 15");
}

TEST_CASE("pooling of an empty batch") { check({{0, 1, 4, 4, 3}, {1, 2, 2}, {1, 2, 2}}); }

TEST_CASE("pooling beyond the cache: the same bits as image by image") {
  const int64_t N = 8;
  PoolArgs all{random_normal({N, 1, 256, 256, 16}, 1, 1), Tensor({N, 1, 128, 128, 16}), {}, {1, 2, 2}, {1, 2, 2}};
  all.index = Tensor(all.y.shape(), Dtype::i32);
  const Tensor y = Tensor::empty_like(all.y), x = Tensor::empty_like(all.x), index = Tensor::empty_like(all.index);
  const auto same = [&](const kernels::Kernel<PoolArgs>& kernel, bool adjoint, bool indices) {
    PoolArgs one = all;
    if (!indices) one.index = {};
    kernel(one);
    for (int64_t n = 0; n < N; n++) {
      one.x = (adjoint ? x : all.x).rows(n, n + 1), one.y = (adjoint ? all.y : y).rows(n, n + 1);
      if (indices) one.index = (&kernel == &kernels::max_pool ? index : all.index).rows(n, n + 1);
      kernel(one);
    }
    if (&kernel == &kernels::max_pool) CHECK(std::memcmp(index.raw(), all.index.raw(), index.bytes()) == 0);
    return std::memcmp(adjoint ? x.raw() : y.raw(), adjoint ? all.x.raw() : all.y.raw(), adjoint ? x.bytes() : y.bytes()) == 0;
  };
  CHECK(same(kernels::max_pool, false, true));
  CHECK(same(kernels::max_pool_at, false, true));
  CHECK(same(kernels::avg_pool, false, false));
  CHECK(same(kernels::max_unpool, true, true));
  CHECK(same(kernels::avg_pool_adjoint, true, false));
}
