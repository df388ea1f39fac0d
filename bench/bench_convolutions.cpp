// Every entry of the convolutions on the zoo's shapes, interleaved: share of the peak that this run measured, the share that the entry's
// cost() predicts, and where the entry that is chosen is not the fastest.
//
//   bench_convolutions [PATTERN [N]]   # lines whose "kernel/shape" contains PATTERN; batches of N; SONO_THREADS=2 SONO_ISA=v3
//
// A star marks the entry that is chosen; the last column says how much slower than the fastest it is. The FLOPs are those of the
// definition: Winograd can be above the peak.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "tensor/cpu/simd.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"
#include "tensor/random.h"

using namespace sono;
using namespace sono::kernels;

namespace {

// Of one thread its own time, which a neighbour on the same core does not count to.
double seconds() {
  timespec t;
  clock_gettime(threads() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Multiply-adds on whole vectors per second, on all threads together.
double peak_vectors() {
  constexpr int64_t steps = 1000000;
  const int chains = cpu::simd().lanes == 16 ? 16 : 12, team = threads();
  volatile float sink = 0;
  double best = 1e9;
  for (int i = 0; i < 20; i++) {
    const double start = seconds();
    parallel_for(team, 1, [&](int64_t, int64_t) { sink = cpu::simd().multiply_adds(steps); });
    best = std::min(best, seconds() - start);
  }
  return static_cast<double>(steps) * chains * team / best;
}

struct Layer {
  const char* what;
  int64_t N, D, H, W, C, O, kernel, stride, padding, dilation = 1, groups = 1;
};

constexpr Layer layers[] = {
    {"first layer", 8, 1, 128, 128, 1, 16, 3, 1, 1},
    {"resnet stem", 8, 1, 128, 128, 1, 16, 3, 2, 1},
    {"first layer 5x5", 8, 1, 64, 64, 1, 6, 5, 1, 2},
    {"first layer 7x7", 8, 1, 128, 128, 1, 64, 7, 2, 3},
    {"first layer 32", 8, 1, 128, 128, 1, 32, 3, 1, 1},
    {"colour", 8, 1, 128, 128, 3, 24, 3, 1, 1},
    {"unet", 8, 1, 128, 128, 16, 16, 3, 1, 1},
    {"unet", 8, 1, 64, 64, 16, 32, 3, 1, 1},
    {"unet", 8, 1, 64, 64, 32, 32, 3, 1, 1},
    {"unet", 8, 1, 32, 32, 32, 64, 3, 1, 1},
    {"unet", 8, 1, 32, 32, 64, 64, 3, 1, 1},
    {"unet", 8, 1, 16, 16, 64, 128, 3, 1, 1},
    {"unet", 8, 1, 16, 16, 128, 128, 3, 1, 1},
    {"unet", 8, 1, 32, 32, 128, 64, 3, 1, 1},
    {"unet", 8, 1, 64, 64, 64, 32, 3, 1, 1},
    {"unet", 8, 1, 128, 128, 32, 16, 3, 1, 1},
    {"resnet deep", 8, 1, 8, 8, 128, 128, 3, 1, 1},
    {"deep", 8, 1, 32, 32, 256, 256, 3, 1, 1},
    {"odd", 8, 1, 33, 47, 20, 20, 3, 1, 1},
    {"unet head", 8, 1, 128, 128, 16, 1, 1, 1, 0},
    {"1x1", 8, 1, 32, 32, 64, 64, 1, 1, 0},
    {"shortcut", 8, 1, 64, 64, 16, 32, 1, 2, 0},
    {"shortcut", 8, 1, 32, 32, 32, 64, 1, 2, 0},
    {"shortcut", 8, 1, 16, 16, 64, 128, 1, 2, 0},
    {"transposed", 8, 1, 32, 32, 64, 128, 2, 2, 0},
    {"transposed", 8, 1, 64, 64, 32, 64, 2, 2, 0},
    {"transposed", 8, 1, 128, 128, 16, 32, 2, 2, 0},
    {"strided", 8, 1, 64, 64, 16, 32, 3, 2, 1},
    {"strided", 8, 1, 32, 32, 32, 64, 3, 2, 1},
    {"strided", 8, 1, 16, 16, 64, 128, 3, 2, 1},
    {"dilated", 8, 1, 32, 32, 64, 64, 3, 1, 2, 2},
    {"grouped", 8, 1, 32, 32, 64, 64, 3, 1, 1, 1, 4},
    {"depthwise", 8, 1, 64, 64, 32, 32, 3, 1, 1, 1, 32},
    {"depthwise", 8, 1, 64, 64, 96, 96, 3, 2, 1, 1, 96},
    {"depthwise", 8, 1, 32, 32, 144, 144, 5, 1, 2, 1, 144},
    {"cnn3d", 2, 64, 64, 64, 1, 8, 3, 1, 1},
    {"cnn3d", 2, 32, 32, 32, 8, 16, 3, 1, 1},
    {"cnn3d", 2, 16, 16, 16, 16, 32, 3, 1, 1},
    {"volume 2x2x2", 2, 32, 32, 32, 8, 16, 2, 2, 0},
};

ConvArgs arguments(const Layer& l) {
  const bool volume = l.D > 1;
  const auto out = [&](int64_t n) { return (n + 2 * l.padding - l.dilation * (l.kernel - 1) - 1) / l.stride + 1; };
  ConvArgs a;
  a.x = random_normal({l.N, l.D, l.H, l.W, l.C}, 1, 1);
  a.w = random_normal({volume ? l.kernel : 1, l.kernel, l.kernel, l.C / l.groups, l.O}, 1, 2);
  a.y = random_normal({l.N, volume ? out(l.D) : 1, out(l.H), out(l.W), l.O}, 1, 3);
  a.bias = random_normal({l.O}, 1, 4);
  a.geometry = {{volume ? l.stride : 1, l.stride, l.stride},
                {volume ? l.padding : 0, l.padding, l.padding},
                {volume ? l.dilation : 1, l.dilation, l.dilation},
                l.groups};
  return a;
}

std::string text(const Layer& l) {
  std::string s = std::to_string(l.C) + "->" + std::to_string(l.O) + " " + std::to_string(l.kernel) + (l.D > 1 ? "^3 " : "^2 ") +
                  std::to_string(l.H) +
                  (l.H != l.W ? "x" + std::to_string(l.W)
                   : l.D > 1  ? "^3"
                              : "^2");
  if (l.stride > 1) s += " /" + std::to_string(l.stride);
  if (l.dilation > 1) s += " dilated";
  if (l.groups > 1) s += " groups " + std::to_string(l.groups);
  return s + " (" + l.what + ")";
}

struct Outcome {
  const Implementation<ConvArgs>* entry;
  double best, predicted;
};

// About 0.05 s for each entry, in turns.
std::vector<Outcome> measure(const Kernel<ConvArgs>& kernel, const ConvArgs& a, double vectors) {
  std::vector<Outcome> all;
  for (const auto& entry : kernel.cpu)
    if (entry.fits(a) && &entry != &kernel.cpu.back()) all.push_back({&entry, 1e9, entry.cost ? entry.cost(a) / vectors : 0});
  for (double start = seconds(); seconds() - start < 0.05 * static_cast<double>(all.size());)
    for (Outcome& o : all) {
      const double before = seconds();
      o.entry->run(a);
      o.best = std::min(o.best, seconds() - before);
    }
  return all;
}

void report(const Kernel<ConvArgs>& kernel, const Layer& layer, double vectors, const std::string& pattern) {
  const std::string name = std::string(kernel.name) + "/" + text(layer);
  if (name.find(pattern) == std::string::npos) return;
  ConvArgs a = arguments(layer);
  if (kernel.name == std::string("conv2d_input") || kernel.name == std::string("conv3d_input")) a.bias = {};
  const double multiply_adds = static_cast<double>(a.y.size()) * static_cast<double>(a.w.size() / layer.O);
  const double at_peak = multiply_adds / cpu::simd().lanes / vectors;
  const auto* chosen = &kernel.choose(a);
  const std::vector<Outcome> all = measure(kernel, a, vectors);
  const double fastest = std::min_element(all.begin(), all.end(), [](auto& l, auto& r) { return l.best < r.best; })->best;
  for (const Outcome& o : all) {
    std::printf("%-58s %c%-10s %9.1f us %7.1f GFLOP/s %6.1f %%", name.c_str(), o.entry == chosen ? '*' : ' ', o.entry->name, 1e6 * o.best,
                2 * multiply_adds / o.best / 1e9, 100 * at_peak / o.best);
    if (o.predicted > 0) std::printf("  predicted %6.1f %%", 100 * at_peak / o.predicted);
    if (o.entry == chosen && o.best > fastest) std::printf("  %.0f %% slower than the fastest", 100 * (o.best / fastest - 1));
    std::printf("\n");
  }
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string pattern = argc > 1 ? argv[1] : "";
  const double vectors = peak_vectors();
  std::printf("%s, %d threads, peak %.1f GFLOP/s\n", cpu::simd().name, threads(), 2 * vectors * cpu::simd().lanes / 1e9);
  for (Layer layer : layers) {
    if (argc > 2) layer.N = std::stoll(argv[2]);
    const bool volume = layer.D > 1;
    report(volume ? conv3d : conv2d, layer, vectors, pattern);
    if (layer.C > 1) report(volume ? conv3d_input : conv2d_input, layer, vectors, pattern);
    report(volume ? conv3d_weight : conv2d_weight, layer, vectors, pattern);
  }
}
