#pragma once
// Whole networks as work to be timed, the same as bench/peers gives to other frameworks; inputs are random, weights fresh.
//
//   const Work w = make_work("step:unet");   w.run();   // forward, loss, backward, Adam
//
// step:cnn            conv, norm, ReLU, pool with 1-16-32-64-64 channels, mean, linear 2; N = 8, 128 x 128; cross-entropy
// step:unet           U-Net 16-32-64-128; N = 8, 128 x 128; binary cross-entropy
// step:resnet-small   stem of stride 2, stages of 16, 32, 64, 128 channels; N = 8, 128 x 128; cross-entropy
// step:cnn3d          as cnn, 1-8-16-32 channels; N = 2, 64 x 64 x 64
// step:lstm           LSTM 128 -> 256 over 64 steps, linear 2 of its last state; N = 8; cross-entropy
// step:autoencoder    784-500-250-500-784, sigmoid units; N = 100; binary cross-entropy
// infer:*             one image (volume, sequence) in eval(): cnn, unet, resnet-small 128 x 128; unet-256; sononet-16 224 x 288; cnn3d;
// lstm
// train:unet          what a step of `unet`'s training is: U-Net 16-32-64-128-256, N = 8, 128 x 128, Dice + cross-entropy, AdamW, clipped
// gradients, averaged weights; train:unet-hc: 16-32-64-128, 128 x 192
// rbm:cd1             an epoch of CD-1 (v and h drawn, no momentum): 784-500, 100 batches of 100 samples in [0, 1]; rbm:cd1-binary: of 0 and 1
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace sono::lab {

struct Work {
  int64_t parameters = 0;
  double flops = 0;  // of convolutions and matrix products, forward and backward
  std::function<void()> run;
};
const std::vector<std::string>& work_names();
Work make_work(const std::string& name);  // Error for an unknown name

}  // namespace sono::lab
