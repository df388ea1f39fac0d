// Convolutions: the layers of the zoo's networks, and of the networks that the comparison with other frameworks uses.
#include "zoo/lab/add_case.h"
#include "zoo/lab/rivals.h"

namespace sono::lab {
namespace {

using kernels::ConvArgs;

struct Layer {
  int64_t N, D, H, W, C, O, kernel, stride = 1;
  int64_t padding() const { return (kernel - 1) / 2; }
  int64_t depth_kernel() const { return D > 1 ? kernel : 1; }
  int64_t out(int64_t size) const { return (size + 2 * padding() - kernel) / stride + 1; }
  int64_t depth_out() const { return D > 1 ? out(D) : 1; }
  int64_t y_size() const { return N * depth_out() * out(H) * out(W) * O; }
  int64_t taps() const { return depth_kernel() * kernel * kernel; }

  std::string name() const {
    const std::string k = text(kernel), by = "x";
    return text(C) + "->" + text(O) + " " + (D > 1 ? k + by : "") + k + by + k + (stride > 1 ? " stride " + text(stride) : "") + " " +
           (D > 1 ? text(D) + by : "") + text(H) + by + text(W) + " N" + text(N);
  }
  Amount amount() const { return {2 * number(y_size()) * number(taps() * C), 4 * number(N * D * H * W * C + taps() * C * O + y_size())}; }
  ConvArgs args() const {
    const int64_t s = D > 1 ? stride : 1, p = D > 1 ? padding() : 0;
    return {normal({N, D, H, W, C}, 1),
            normal({depth_kernel(), kernel, kernel, C, O}, 2),
            normal({N, depth_out(), out(H), out(W), O}, 3),
            {{s, stride, stride}, {p, padding(), padding()}}};
  }
  ConvShape shape() const {
    const int64_t s = D > 1 ? stride : 1, p = D > 1 ? padding() : 0;
    return {
        N, D, H, W, C, O, depth_out(), out(H), out(W), {depth_kernel(), kernel, kernel}, {s, stride, stride}, {p, padding(), padding()}};
  }
};

const std::vector<Layer> layers = {
    // U-Net 16-32-64-128 at 128 x 128: down, up, the head and the adjoints of its 2 x 2 transposed convolutions
    {8, 1, 128, 128, 1, 16, 3},
    {8, 1, 128, 128, 16, 16, 3},
    {8, 1, 64, 64, 16, 32, 3},
    {8, 1, 64, 64, 32, 32, 3},
    {8, 1, 32, 32, 32, 64, 3},
    {8, 1, 32, 32, 64, 64, 3},
    {8, 1, 16, 16, 64, 128, 3},
    {8, 1, 16, 16, 128, 128, 3},
    {8, 1, 32, 32, 128, 64, 3},
    {8, 1, 64, 64, 64, 32, 3},
    {8, 1, 128, 128, 32, 16, 3},
    {8, 1, 128, 128, 16, 1, 1},
    {8, 1, 32, 32, 64, 128, 2, 2},
    {8, 1, 64, 64, 32, 64, 2, 2},
    {8, 1, 128, 128, 16, 32, 2, 2},
    // the small ResNet: its stem, its blocks of stride 2 and the first and last shortcut
    {8, 1, 128, 128, 1, 16, 3, 2},
    {8, 1, 64, 64, 16, 32, 3, 2},
    {8, 1, 32, 32, 32, 64, 3, 2},
    {8, 1, 16, 16, 64, 128, 3, 2},
    {8, 1, 64, 64, 16, 32, 1, 2},
    {8, 1, 16, 16, 64, 128, 1, 2},
    {8, 1, 8, 8, 128, 128, 3},
    // SonoNet-16 on one frame
    {1, 1, 224, 288, 16, 16, 3},
    {1, 1, 112, 144, 32, 32, 3},
    {1, 1, 28, 36, 128, 128, 3},
    {1, 1, 14, 18, 128, 64, 1},
    // colour images, wide layers
    {8, 1, 128, 128, 3, 24, 3},
    {8, 1, 32, 32, 256, 256, 3},
    // the 3D CNN 1-8-16-32
    {2, 64, 64, 64, 1, 8, 3},
    {2, 32, 32, 32, 8, 16, 3},
    {2, 16, 16, 16, 16, 32, 3}};

void add_rivals(std::vector<Case>& cases, const char* kernel, const Layer& l, ConvPass pass) {
  const Amount amount = l.amount();
  for (const Rival& r : rivals())
    if (r.conv)
      cases.push_back({std::string(kernel) + "/" + r.name + "/" + l.name(), kernel, r.name, l.name(), amount.flops, amount.bytes, true,
                       false, [conv = r.conv, l, pass] { return Prepared{conv(l.shape(), pass)}; }});
}

void add_pass(std::vector<Case>& cases, const kernels::Kernel<ConvArgs>& kernel, const Layer& l, ConvPass pass) {
  add(cases, kernel, l.name(), l.amount(), [l] { return l.args(); });
  add_rivals(cases, kernel.name, l, pass);
}

}  // namespace

void add_conv_cases(std::vector<Case>& cases) {
  using namespace kernels;
  for (const Layer& l : layers) {
    add_pass(cases, l.D > 1 ? conv3d : conv2d, l, ConvPass::forward);
    if (l.C > 1) add_pass(cases, l.D > 1 ? conv3d_input : conv2d_input, l, ConvPass::input);  // a first layer needs none
    add_pass(cases, l.D > 1 ? conv3d_weight : conv2d_weight, l, ConvPass::weight);
  }
}

}  // namespace sono::lab
