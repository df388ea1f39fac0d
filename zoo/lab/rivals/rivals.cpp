// The rivals' side of zoo/lab/rivals.h: a module of its own, compiled for one instruction set.
#include <Eigen/Core>
#include <memory>

#include "zoo/lab/rivals.h"

#ifdef SONO_HAVE_OPENBLAS
#include <cblas.h>
#endif
#ifdef SONO_HAVE_ONEDNN
#include <omp.h>

#include <cstring>
#include <dnnl.hpp>
#include <unordered_map>
#endif

namespace sono::lab {
namespace {

using Run = std::function<void()>;

namespace eigen {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using In = Eigen::Map<const Matrix>;

void set_threads(int n) { Eigen::setNbThreads(n); }

Run matmul(const MatmulShape& s, const float* a, const float* b, float* y) {
  const In A(a, s.transpose_a ? s.K : s.M, s.transpose_a ? s.M : s.K), B(b, s.transpose_b ? s.N : s.K, s.transpose_b ? s.K : s.N);
  return [=] {
    Eigen::Map<Matrix> Y(y, s.M, s.N);
    if (s.transpose_a)
      Y.noalias() = A.transpose() * B;
    else if (s.transpose_b)
      Y.noalias() = A * B.transpose();
    else
      Y.noalias() = A * B;
  };
}

}  // namespace eigen

#ifdef SONO_HAVE_OPENBLAS
namespace openblas {

void set_threads(int n) { openblas_set_num_threads(n); }

Run matmul(const MatmulShape& s, const float* a, const float* b, float* y) {
  const int M = static_cast<int>(s.M), N = static_cast<int>(s.N), K = static_cast<int>(s.K);
  return [=, ta = s.transpose_a, tb = s.transpose_b] {
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, M, N, K, 1, a, ta ? M : K, b, tb ? K : N, 0,
                y, N);
  };
}

}  // namespace openblas
#endif

#ifdef SONO_HAVE_ONEDNN
namespace onednn {

using dnnl::memory;
using Tag = memory::format_tag;
using Arguments = std::unordered_map<int, memory>;

const dnnl::engine& engine() {
  static const dnnl::engine e(dnnl::engine::kind::cpu, 0);
  return e;
}
dnnl::stream& stream() {
  static dnnl::stream s(engine());
  return s;
}
void set_threads(int n) { omp_set_num_threads(n); }

Run matmul(const MatmulShape& s, const float* a, const float* b, float* y) {
  return [=] {
    dnnl_sgemm(s.transpose_a ? 'T' : 'N', s.transpose_b ? 'T' : 'N', s.M, s.N, s.K, 1, a, s.transpose_a ? s.M : s.K, b,
               s.transpose_b ? s.K : s.N, 0, y, s.N);
  };
}

// Memory of its own, filled with small numbers.
memory filled(const memory::desc& d) {
  memory m(d, engine());
  auto* values = static_cast<float*>(m.get_data_handle());
  for (size_t i = 0; i < d.get_size() / sizeof(float); i++) values[i] = 0.01f * static_cast<float>(i % 17);
  return m;
}

Run call(const dnnl::primitive& p, Arguments arguments) {
  return [p, arguments = std::move(arguments)] {
    p.execute(stream(), arguments);
    stream().wait();
  };
}

// The operands in the layout that oneDNN chooses for `algorithm`, or channels last.
Run conv(const ConvShape& s, ConvPass pass, dnnl::algorithm algorithm, bool channels_last) {
  const bool volume = s.D > 1;
  const auto spatial = [&](const int64_t(&v)[3], int64_t less = 0) {
    return volume ? memory::dims{v[0] - less, v[1] - less, v[2] - less} : memory::dims{v[1] - less, v[2] - less};
  };
  const auto dims = [](memory::dims d, const memory::dims& rest) {
    d.insert(d.end(), rest.begin(), rest.end());
    return d;
  };
  const Tag image = !channels_last ? Tag::any : volume ? Tag::ndhwc : Tag::nhwc;
  const auto describe = [](const memory::dims& d, Tag tag) { return memory::desc(d, memory::data_type::f32, tag); };
  const memory::desc x = describe(dims({s.N, s.C}, spatial({s.D, s.H, s.W})), image),
                     y = describe(dims({s.N, s.O}, spatial({s.Do, s.Ho, s.Wo})), image);
  const memory::desc w = describe(dims({s.O, s.C}, spatial(s.kernel)), Tag::any);
  const memory::dims stride = spatial(s.stride), padding = spatial(s.padding);
  try {
    const dnnl::convolution_forward::primitive_desc forward(
        {dnnl::prop_kind::forward_training, algorithm, x, w, y, stride, padding, padding}, engine());
    if (pass == ConvPass::forward)
      return call(dnnl::convolution_forward(forward), {{DNNL_ARG_SRC, filled(forward.src_desc())},
                                                       {DNNL_ARG_WEIGHTS, filled(forward.weights_desc())},
                                                       {DNNL_ARG_DST, filled(forward.dst_desc())}});
    if (pass == ConvPass::input) {
      const dnnl::convolution_backward_data::primitive_desc d({algorithm, x, w, y, stride, padding, padding}, engine(), forward);
      return call(dnnl::convolution_backward_data(d), {{DNNL_ARG_DIFF_SRC, filled(d.diff_src_desc())},
                                                       {DNNL_ARG_WEIGHTS, filled(d.weights_desc())},
                                                       {DNNL_ARG_DIFF_DST, filled(d.diff_dst_desc())}});
    }
    const dnnl::convolution_backward_weights::primitive_desc d({algorithm, x, w, y, stride, padding, padding}, engine(), forward);
    return call(dnnl::convolution_backward_weights(d), {{DNNL_ARG_SRC, filled(d.src_desc())},
                                                        {DNNL_ARG_DIFF_WEIGHTS, filled(d.diff_weights_desc())},
                                                        {DNNL_ARG_DIFF_DST, filled(d.diff_dst_desc())}});
  } catch (const dnnl::error&) {  // it has no such kernel
    return {};
  }
}

Run direct(const ConvShape& s, ConvPass pass) { return conv(s, pass, dnnl::algorithm::convolution_direct, false); }
Run channels_last(const ConvShape& s, ConvPass pass) { return conv(s, pass, dnnl::algorithm::convolution_direct, true); }
Run winograd(const ConvShape& s, ConvPass pass) {
  const bool fits = s.D == 1 && s.kernel[1] == 3 && s.kernel[2] == 3 && s.stride[1] == 1 && s.stride[2] == 1;
  return fits ? conv(s, pass, dnnl::algorithm::convolution_winograd, false) : Run{};
}

}  // namespace onednn
#endif

const Rival list[] = {
    {"eigen-native", eigen::set_threads, eigen::matmul, nullptr},
#ifdef SONO_HAVE_OPENBLAS
    {"openblas", openblas::set_threads, openblas::matmul, nullptr},
#endif
#ifdef SONO_HAVE_ONEDNN
    {"onednn", onednn::set_threads, onednn::matmul, onednn::direct},
    {"onednn-nhwc", onednn::set_threads, nullptr, onednn::channels_last},
    {"onednn-winograd", onednn::set_threads, nullptr, onednn::winograd},
#endif
    {nullptr, nullptr, nullptr, nullptr},
};

}  // namespace
}  // namespace sono::lab

extern "C" __attribute__((visibility("default"))) const sono::lab::Rival* sonograd_rivals() { return sono::lab::list; }
