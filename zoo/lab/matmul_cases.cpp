// Matrix products: squares, and the shapes of linear layers, their gradients and recurrent steps.
#include "zoo/lab/add_case.h"
#include "zoo/lab/rivals.h"

namespace sono::lab {
namespace {

using kernels::MatmulArgs;

std::string name_of(const MatmulShape& s) {
  return text(s.M) + "x" + text(s.N) + "x" + text(s.K) + (s.transpose_a ? " A^T" : s.transpose_b ? " B^T" : "");
}

MatmulArgs args_of(const MatmulShape& s) {
  return {s.transpose_a ? normal({s.K, s.M}, 1) : normal({s.M, s.K}, 1), s.transpose_b ? normal({s.N, s.K}, 2) : normal({s.K, s.N}, 2),
          Tensor({1, s.M, s.N}), s.transpose_a, s.transpose_b};
}

void add_product(std::vector<Case>& cases, const MatmulShape& s) {
  const Amount amount{2 * number(s.M) * number(s.N) * number(s.K), 4 * number(s.M * s.K + s.K * s.N + s.M * s.N)};
  add(cases, kernels::matmul, name_of(s), amount, [s] { return args_of(s); });
  for (const Rival& r : rivals())
    if (r.matmul)
      cases.push_back({std::string("matmul/") + r.name + "/" + name_of(s), "matmul", r.name, name_of(s), amount.flops, amount.bytes, true,
                       false, [s, matmul = r.matmul] {
                         const MatmulArgs a = args_of(s);
                         const auto run = matmul(s, a.a.data<float>(), a.b.data<float>(), a.y.data<float>());
                         return Prepared{[a, run] { run(); }};  // a: the operands live as long as the call
                       }});
}

}  // namespace

void add_matmul_cases(std::vector<Case>& cases) {
  for (int64_t n : {32, 64, 128, 256, 512, 1024, 2048})
    for (int t : {0, 1, 2})
      if (t == 0 || n < 2048) add_product(cases, {n, n, n, t == 1, t == 2});
  // The autoencoder's first layer (N = 100) and its two gradients; the LSTM's projection of all steps and one step's recurrent product.
  for (const MatmulShape& s : {MatmulShape{100, 500, 784, false, false}, {100, 784, 500, false, true}, {784, 500, 100, true, false}})
    add_product(cases, s);
  for (const MatmulShape& s : {MatmulShape{512, 1024, 128, false, false}, {8, 1024, 256, false, false}, {8, 256, 1024, false, true}})
    add_product(cases, s);
}

}  // namespace sono::lab
