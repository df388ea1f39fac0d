// What training holds, and what it asks of the system.
#include <doctest/doctest.h>

#include <functional>
#include <memory>

#include "layers/loss.h"
#include "layers/networks.h"
#include "optim/optimizer.h"
#include "tensor/memory.h"
#include "tensor/parallel.h"
#include "tensor/random.h"

using namespace sono;

namespace {

Tensor images(int64_t n) { return random_normal({n, 48, 48, 1}, 3, static_cast<uint64_t>(n)); }

// A training step of a batch of n.
using Step = std::function<void(int64_t n)>;

template <class Net>
Step steps_of(const typename Net::Options& options, const std::function<Tensor(const Net&, int64_t)>& loss) {
  const auto net = std::make_shared<Net>(options);
  const auto adam = std::make_shared<Adam>(*net, AdamOptions{});
  return [=](int64_t n) {
    adam->zero_gradients();
    backward(loss(*net, n));
    adam->step();
  };
}

// An epoch has whole batches and a rest. The first two rounds may ask for memory.
void check_settles(const Step& step) {
  const auto epoch = [&] {
    for (const int64_t n : {4, 4, 3}) step(n);
  };
  for (int i = 0; i < 2; i++) epoch();
  const MemoryStats before = memory_stats();
  for (int i = 0; i < 3; i++) {
    epoch();
    CHECK(memory_stats().system_allocations == before.system_allocations);
    CHECK(memory_stats().live == before.live);
    CHECK(memory_stats().cached == before.cached);
  }
  CHECK(before.live + before.cached < before.peak * 1.1 + (1 << 20));  // little more than the peak is ever taken
}

}  // namespace

TEST_CASE("training asks the system for nothing after the first epoch, and holds the same after each step") {
  set_threads(1);  // another thread asks for working memory when it first meets a kernel, which may be late
  empty_cache();
  reset_peak_memory();
  SUBCASE("unet") {
    check_settles(steps_of<UNet>({.widths = {8, 16, 24}}, [](const UNet& net, int64_t n) {
      return binary_cross_entropy(net(images(n)), Tensor::ones({n, 48, 48, 1}));
    }));
  }
  SUBCASE("resnet-small") {
    check_settles(steps_of<ResNetSmall>({.widths = {8, 16, 24}}, [](const ResNetSmall& net, int64_t n) {
      return cross_entropy(net(images(n)), Tensor::zeros({n}, Dtype::i32));
    }));
  }
  set_threads(0);
}

TEST_CASE("a checkpoint trades memory for a second run: the same gradients from a lower peak") {
  struct Chain : Module {
    Chain() : Module(nullptr, "chain"), units(this, "units") {
      for (int i = 0; i < 8; i++) units.append(ConvUnitOptions{.in = i ? 8 : 1, .out = 8});
    }
    const char* kind() const override { return "Chain"; }
    Tensor part(const Tensor& x, size_t first, size_t last) const {
      Tensor y = x;
      for (size_t i = first; i < last; i++) y = units[i](y);
      return y;
    }
    ModuleList<ConvUnit> units;
  };
  set_threads(1);  // the scratch of jobs side by side would add to the peak, now more, now less
  set_seed(1);
  const Chain chain;
  std::vector<Tensor> gradients[2];
  int64_t peaks[2];
  for (const bool recompute : {false, true}) {
    Sgd sgd(chain, SgdOptions{});
    sgd.zero_gradients();
    const int64_t before = memory_stats().live;
    reset_peak_memory();
    Tensor y = images(2);
    for (size_t i = 0; i < 8; i += 2) {
      const auto run = [&chain, i](const std::vector<Tensor>& x) { return chain.part(x[0], i, i + 2); };
      y = recompute ? checkpoint(run, {y}) : run({y});
    }
    backward(sum(square(y)));
    peaks[recompute] = memory_stats().peak - before;
    for (const auto& p : sgd.parameters()) gradients[recompute].push_back(gradient(*p.value).clone());
  }
  MESSAGE("peak " << peaks[0] << " bytes, with checkpoints " << peaks[1]);
  CHECK(peaks[1] < 0.65 * static_cast<double>(peaks[0]));
  REQUIRE(gradients[0].size() == gradients[1].size());
  for (size_t k = 0; k < gradients[0].size(); k++) CHECK(max(abs(gradients[0][k] - gradients[1][k])).item() == 0);
  set_threads(0);
}
