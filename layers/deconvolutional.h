#pragma once
// Adaptive deconvolutional networks: an image as a sum of few filters, layer upon layer, with the places of the largest values remembered
// [Zeiler, Taylor, Fergus, "Adaptive deconvolutional networks for mid and high level feature learning", ICCV 2011].
//
//   DeconvolutionalNetwork network({.channels = 1, .layers = {{.maps = 16}, {.maps = 32}}});
//   network.learn(images);                            // (N, H, W, 1)
//   Tensor maps = network.infer(images).back().z;     // (N, H / 2, W / 2, 32): sparse
#include <functional>

#include "layers/sequential.h"

namespace sono {

struct DeconvolutionalLayerOptions {
  int64_t maps = 15;
  int64_t kernel = 7;               // odd
  int64_t pool = 2, pool_maps = 2;  // the window of the 3D pooling above this layer: space, and neighbouring maps
  double lambda = 10;               // weight of the reconstruction against sparsity
};

struct DeconvolutionalOptions {
  int64_t channels = 1;
  std::vector<DeconvolutionalLayerOptions> layers = {{.maps = 15}, {.maps = 50}};
  int64_t steps = 10;            // of ISTA
  bool refresh_switches = true;  // after each step all but the largest value of each pooling window become zero, as in the paper; false:
                                 // plain ISTA, whose objective never rises
};

// ---- 3D max pooling with switches: window (s, s, m) over height, width and maps; windows at the edges may be smaller
// -------------------------------------------------
struct Switches {
  Tensor index;  // (N, h w k) i32: where in the H W K values of its image each pooled value was
  Shape from;    // (N, H, W, K)
  Shape to;      // (N, h, w, k): rounded up
};
struct Pooled {
  Tensor values;  // of the largest magnitude, with their signs; ties: the first
  Switches switches;
};
Pooled max_pool_3d(const Tensor& z, int64_t window, int64_t maps);
Tensor pool_at(const Tensor& z, const Switches& switches);    // to `to`: the values at the switches
Tensor unpool_at(const Tensor& p, const Switches& switches);  // to `from`: zeros, then the values at the switches; the adjoint of pool_at

// sign(z) max(|z| - threshold, 0); threshold broadcasts.
Tensor soft_threshold(const Tensor& z, const Tensor& threshold);

// Layer l explains the image y by maps z_l through all filters below, C_l = lambda / 2 |R_l z_l - y|^2 + |z_l|_1,
// R_l z = F_1 U_1 F_2 U_2 … F_l z, F the convolution with a layer's filters (zero padding), U the unpooling with its switches.
// Parameters: layers.0.weight (kernel, kernel, maps, channels) …; each map's filter has unit L2 norm. Images f32 or f64 as the network is.
// Errors: images of other channels, NaN or infinite values, images that do not vary at all.
class DeconvolutionalNetwork : public Module {
 public:
  using Options = DeconvolutionalOptions;
  explicit DeconvolutionalNetwork(const Options& options = {}) : DeconvolutionalNetwork(nullptr, "", options) {}
  DeconvolutionalNetwork(Module* parent, std::string name, const Options& options);
  const char* kind() const override { return "DeconvolutionalNetwork"; }

  // What was found for one layer.
  struct Maps {
    Tensor z;                       // (N, h, w, maps), before pooling
    Tensor pooled;                  // what the layer above would see
    Switches switches;              // of that pooling
    std::vector<Tensor> objective;  // C_l of each image (N) f64, before the first step and after each
  };
  // Layers 1 … `layers` (0: all) in turn, each by `steps` iterations of ISTA from zero: z <- shrink(z - lambda R^T (R z - y) / L, 1 / L), L
  // of each image found by backtracking, so that a step never raises C_l (before the switches are refreshed).
  std::vector<Maps> infer(const Tensor& y, int64_t layers = 0) const;
  // R_l z, with the switches of the layers below.
  Tensor reconstruct(const std::vector<Maps>& maps) const;

  struct LearnOptions {
    int64_t epochs = 10;   // per layer
    int64_t batch = 0;     // images per update of the filters; 0: all
    int64_t cg_steps = 3;  // of conjugate gradients for the least-squares filters
    uint64_t seed = 1;     // order of the batches
    std::function<void(int64_t layer, int64_t epoch, double objective)> on_epoch = {};  // the mean over images, at the epoch's inference
  };
  // Layer by layer: infer the maps of all images, then the filters that explain the images best (least squares), scaled to norm 1; again.
  // Returns the mean objective of each epoch, layer after layer.
  std::vector<double> learn(const Tensor& y, const LearnOptions& options);
  std::vector<double> learn(const Tensor& y) { return learn(y, LearnOptions()); }
  std::vector<double> learn_layer(int64_t layer, const Tensor& y, const LearnOptions& options);  // 0 …; those below are as they are

  struct Layer : Module {
    Layer(Module* parent, std::string name, int64_t below, const DeconvolutionalLayerOptions& options);
    const char* kind() const override { return "DeconvolutionalLayer"; }
    std::string describe() const override;
    Tensor weight;  // (kernel, kernel, maps, below)
    DeconvolutionalLayerOptions options;
  };
  ModuleList<Layer> layers;
  const Options& options() const { return options_; }

 private:
  void check(const Tensor& y) const;
  Tensor down(const Tensor& z, int64_t layer, const std::vector<Maps>& below) const;        // R z
  Tensor up(const Tensor& e, int64_t layer, const std::vector<Maps>& below) const;          // R^T e
  Tensor below_down(const Tensor& v, int64_t layer, const std::vector<Maps>& below) const;  // the part of R under the layer's own filters
  Tensor below_up(const Tensor& e, int64_t layer, const std::vector<Maps>& below) const;
  void step(int64_t layer, const std::vector<Maps>& below, Tensor& z, Tensor& error, Tensor& curvature) const;
  Maps infer_layer(const Tensor& y, int64_t layer, const std::vector<Maps>& below) const;
  void update_filters(const Tensor& y, int64_t layer, const std::vector<Maps>& below, const Tensor& z, int64_t steps);
  Options options_;
};

}  // namespace sono
