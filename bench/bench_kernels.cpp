// Every entry of every heavy kernel on the zoo's shapes: GFLOP/s (or GB/s) and how much that is of the peak that this run measured.
//
//   bench_kernels --benchmark_filter=conv2d/          # SONO_THREADS=2 SONO_ISA=v3 choose threads and instruction set
//
// The peak is that of multiply-adds on registers, or of copying 32 MB, on as many threads; a Winograd convolution can be above it, because
// the FLOPs counted are those of the definition.
#include <benchmark/benchmark.h>

#include <chrono>
#include <string>

#include "tensor/cpu/simd.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"
#include "tensor/random.h"

using namespace sono;
using namespace sono::kernels;

namespace {

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// The best of ten tries.
template <class F>
double fastest(F f) {
  double best = 1e9;
  for (int i = 0; i < 10; i++) {
    const double start = seconds();
    f();
    best = std::min(best, seconds() - start);
  }
  return best;
}

double peak_flops() {
  static const double peak = [] {
    constexpr int64_t steps = 1000000;
    const int chains = cpu::simd().lanes == 16 ? 16 : 12, team = threads();
    volatile float sink = 0;
    const double time = fastest([&] { parallel_for(team, 1, [&](int64_t, int64_t) { sink = cpu::simd().multiply_adds(steps); }); });
    return 2.0 * team * static_cast<double>(steps) * chains * cpu::simd().lanes / time;
  }();
  return peak;
}

double peak_bytes() {
  static const double peak = [] {
    const Tensor from = Tensor::ones({8 << 20}), to = Tensor::zeros({8 << 20});
    const double time = fastest([&] {
      parallel_for(from.size(), 1 << 16, [&](int64_t first, int64_t last) {
        std::copy(from.data<float>() + first, from.data<float>() + last, to.data<float>() + first);
      });
    });
    return 2.0 * static_cast<double>(from.bytes()) / time;
  }();
  return peak;
}

struct Work {
  double flops = 0, bytes = 0;
};

template <class Args>
void add(const Kernel<Args>& kernel, const std::string& shape, Work work, Args (*make)(const std::vector<int64_t>&),
         std::vector<int64_t> numbers) {
  for (const auto& entry : kernel.cpu) {
    if (std::string(entry.name) == "reference" && work.flops > 4e9) continue;  // seconds each
    benchmark::RegisterBenchmark(
        (std::string(kernel.name) + "/" + entry.name + "/" + shape).c_str(),
        [=, run = entry.run, fits = entry.fits](benchmark::State& state) {
          const Args a = make(numbers);
          if (!fits(a)) return state.SkipWithError("does not fit");
          for (auto _ : state) run(a);
          const double times = static_cast<double>(state.iterations());
          if (work.flops > 0) {
            state.counters["GFLOP/s"] = benchmark::Counter(work.flops * times / 1e9, benchmark::Counter::kIsRate);
            state.counters["%peak"] = benchmark::Counter(100 * work.flops * times / peak_flops(), benchmark::Counter::kIsRate);
          } else {
            state.counters["GB/s"] = benchmark::Counter(work.bytes * times / 1e9, benchmark::Counter::kIsRate);
            state.counters["%copy"] = benchmark::Counter(100 * work.bytes * times / peak_bytes(), benchmark::Counter::kIsRate);
          }
        })
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond)
        ->MinTime(0.1);
  }
}

Tensor normal(Shape shape, uint64_t stream) { return random_normal(std::move(shape), 1, stream); }

// N, D, H, W, C, O, kernel, stride; padding (kernel - 1) / 2
ConvArgs make_conv(const std::vector<int64_t>& v) {
  const int64_t k = v[6], s = v[7], p = (k - 1) / 2, kd = v[1] > 1 ? k : 1, sd = v[1] > 1 ? s : 1, pd = v[1] > 1 ? p : 0;
  const auto out = [&](int64_t n) { return (n + 2 * p - k) / s + 1; };
  return {normal({v[0], v[1], v[2], v[3], v[4]}, 1),
          normal({kd, k, k, v[4], v[5]}, 2),
          normal({v[0], v[1] > 1 ? out(v[1]) : 1, out(v[2]), out(v[3]), v[5]}, 3),
          {{sd, s, s}, {pd, p, p}}};
}

void add_conv(std::vector<int64_t> v) {
  const ConvArgs a = make_conv(v);
  const std::string shape = std::to_string(v[4]) + "->" + std::to_string(v[5]) + " " + std::to_string(v[6]) + (v[1] > 1 ? "^3" : "^2") +
                            (v[7] > 1 ? " stride " + std::to_string(v[7]) : "") + " " + std::to_string(v[2]) + (v[1] > 1 ? "^3" : "^2") +
                            " N" + std::to_string(v[0]);
  const Work work{2.0 * static_cast<double>(a.y.size()) * static_cast<double>(a.w.size() / v[5])};
  add(v[1] > 1 ? conv3d : conv2d, shape, work, make_conv, v);
  if (v[4] > 1) add(v[1] > 1 ? conv3d_input : conv2d_input, shape, work, make_conv, v);
  add(v[1] > 1 ? conv3d_weight : conv2d_weight, shape, work, make_conv, v);
}

// M, N, K, transpose_a, transpose_b
MatmulArgs make_matmul(const std::vector<int64_t>& v) {
  return {v[3] ? normal({v[2], v[0]}, 1) : normal({v[0], v[2]}, 1), v[4] ? normal({v[1], v[2]}, 2) : normal({v[2], v[1]}, 2),
          Tensor({v[0], v[1]}), v[3] > 0, v[4] > 0};
}

void add_matmul(int64_t M, int64_t N, int64_t K) {
  for (int64_t t : {0, 1, 2})
    add(matmul,
        std::to_string(M) + "x" + std::to_string(N) + "x" + std::to_string(K) +
            (t == 1   ? " A^T"
             : t == 2 ? " B^T"
                      : ""),
        Work{2.0 * static_cast<double>(M * N * K)}, make_matmul, {M, N, K, t == 1, t == 2});
}

// N, H, W, C, window
PoolArgs make_pool(const std::vector<int64_t>& v) {
  PoolArgs a{
      normal({v[0], 1, v[1], v[2], v[3]}, 1), normal({v[0], 1, v[1] / v[4], v[2] / v[4], v[3]}, 2), {}, {1, v[4], v[4]}, {1, v[4], v[4]}};
  a.index = Tensor(a.y.shape(), Dtype::i32);
  max_pool.cpu.back().run(a);
  return a;
}

// rows (L), channels (G)
NormArgs make_norm(const std::vector<int64_t>& v) {
  const Tensor x = normal({v[0], v[1]}, 1);
  NormArgs a{x,
             Tensor::ones({v[1]}),
             Tensor::zeros({v[1]}),
             Tensor::empty_like(x),
             Tensor::zeros({v[1]}),
             Tensor::ones({v[1]}),
             {1, v[0], v[1], 1}};
  a.relu = true;
  return a;
}
NormBackwardArgs make_norm_backward(const std::vector<int64_t>& v) {
  NormBackwardArgs a;
  a.gy = normal({v[0], v[1]}, 2), a.x = normal({v[0], v[1]}, 1), a.gx = a.gy;
  a.scale = Tensor::ones({v[1]}), a.shift = Tensor::zeros({v[1]}), a.mean = Tensor::zeros({v[1]}), a.rstd = Tensor::ones({v[1]});
  a.gscale = Tensor({v[1]}), a.gshift = Tensor({v[1]});
  a.view = {1, v[0], v[1], 1}, a.relu = true;
  return a;
}

// N, size, channels, with y
NormPoolArgs make_norm_pool(const std::vector<int64_t>& v) {
  NormPoolArgs a;
  a.x = normal({v[0], 1, v[1], v[1], v[2]}, 1), a.pooled = Tensor({v[0], 1, v[1] / 2, v[1] / 2, v[2]});
  if (v[3]) a.y = Tensor::empty_like(a.x);
  a.scale = Tensor::ones({v[2]}), a.shift = Tensor::zeros({v[2]}), a.mean = Tensor({v[2]}), a.rstd = Tensor({v[2]});
  a.window = {1, 2, 2}, a.relu = true;
  return a;
}
NormPoolBackwardArgs make_norm_pool_backward(const std::vector<int64_t>& v) {
  const NormPoolArgs f = make_norm_pool(v);
  normalize_pool(f);
  NormPoolBackwardArgs a;
  a.x = f.x, a.scale = f.scale, a.shift = f.shift, a.mean = f.mean, a.rstd = f.rstd, a.gpooled = normal(f.pooled.shape(), 2);
  if (v[3]) a.gy = normal(f.x.shape(), 3);
  a.gx = v[3] ? a.gy : Tensor::empty_like(a.x), a.gscale = Tensor({v[2]}), a.gshift = Tensor({v[2]});
  a.window = f.window, a.relu = true;
  return a;
}

ReduceArgs make_reduce(const std::vector<int64_t>& v) {
  return {normal({v[0], v[1], v[2]}, 1),
          Tensor({v[0], v[2]}, static_cast<Reduction>(v[3]) >= Reduction::argmax ? Dtype::i32 : Dtype::f32),
          v[0],
          v[1],
          v[2],
          static_cast<Reduction>(v[3])};
}
SoftmaxArgs make_softmax(const std::vector<int64_t>& v) {
  const Tensor x = normal({v[0], v[1], v[2]}, 1);
  return {x, Tensor::empty_like(x), v[0], v[1], v[2]};
}

void add_all() {
  // The U-Net 16-32-64-128 at 128 x 128, 2D and 3D layers of other systems.
  for (const auto& v : std::vector<std::vector<int64_t>>{
           {8, 1, 128, 128, 1, 16, 3, 1}, {8, 1, 128, 128, 16, 16, 3, 1}, {8, 1, 64, 64, 16, 32, 3, 1},   {8, 1, 64, 64, 32, 32, 3, 1},
           {8, 1, 32, 32, 32, 64, 3, 1},  {8, 1, 32, 32, 64, 64, 3, 1},   {8, 1, 16, 16, 64, 128, 3, 1},  {8, 1, 16, 16, 128, 128, 3, 1},
           {8, 1, 32, 32, 128, 64, 3, 1}, {8, 1, 64, 64, 64, 32, 3, 1},   {8, 1, 128, 128, 32, 16, 3, 1}, {8, 1, 128, 128, 16, 1, 1, 1},
           {8, 1, 32, 32, 64, 128, 2, 2}, {8, 1, 64, 64, 32, 64, 2, 2},   {8, 1, 128, 128, 16, 32, 2, 2}, {8, 1, 64, 64, 16, 32, 3, 2},
           {8, 1, 128, 128, 3, 24, 3, 1}, {8, 1, 32, 32, 256, 256, 3, 1}, {2, 64, 64, 64, 1, 8, 3, 1},    {2, 32, 32, 32, 8, 16, 3, 1}})
    add_conv(v);
  for (int64_t n : {32, 64, 128, 256, 512, 1024}) add_matmul(n, n, n);
  add_matmul(8, 1024, 256);
  add_matmul(100, 500, 784);
  const auto mega = [](int64_t n) { return Work{0, static_cast<double>(n)}; };
  for (auto [size, C] : {std::pair<int64_t, int64_t>{128, 16}, {32, 64}}) {
    const std::string shape = std::to_string(C) + " channels " + std::to_string(size) + "^2 N8";
    const int64_t pixels = 8 * size * size, bytes = pixels * C * 4;
    for (const auto* kernel : {&max_pool, &max_pool_at, &max_unpool, &avg_pool, &avg_pool_adjoint})
      add(*kernel, shape, mega(bytes * 5 / 4), make_pool, {8, size, size, C, 2});
    add(normalize, shape, mega(3 * bytes), make_norm, {pixels, C});
    add(normalize_given, shape, mega(2 * bytes), make_norm, {pixels, C});
    add(normalize_backward, shape, mega(5 * bytes), make_norm_backward, {pixels, C});
    for (int64_t y : {0, 1}) {
      add(normalize_pool, shape + (y ? " and all" : ""), mega(bytes * 9 / 4 + y * bytes), make_norm_pool, {8, size, C, y});
      add(normalize_pool_backward, shape + (y ? " and all" : ""), mega(bytes * 7 / 2 + 2 * y * bytes), make_norm_pool_backward,
          {8, size, C, y});
    }
    add(reduce, "sum columns " + shape, mega(bytes), make_reduce, {1, pixels, C, 0});
    add(reduce, "sum " + shape, mega(bytes), make_reduce, {1, pixels * C, 1, 0});
    add(reduce, "max rows " + shape, mega(bytes), make_reduce, {pixels, C, 1, 2});
    add(reduce, "argmax rows " + shape, mega(bytes), make_reduce, {pixels, C, 1, 4});
    add(softmax, shape, mega(2 * bytes), make_softmax, {pixels, C, 1});
  }
  add(softmax, "2 classes 128^2 N8", mega(8 * 128 * 128 * 2 * 8), make_softmax, {8 * 128 * 128, 2, 1});
  add(softmax, "1000 classes N64", mega(64 * 1000 * 8), make_softmax, {64, 1000, 1});
}

}  // namespace

int main(int argc, char** argv) {
  add_all();
  benchmark::Initialize(&argc, argv);
  std::fprintf(stderr, "%s, %d threads: peak %.1f GFLOP/s, copying %.1f GB/s\n", cpu::simd().name, threads(), peak_flops() / 1e9,
               peak_bytes() / 1e9);
  benchmark::RunSpecifiedBenchmarks();
}
