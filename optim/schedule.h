#pragma once
// Learning-rate schedules. A schedule is a function from the optimiser's step (0, 1, …) to a factor of the learning rate; it has no state.
//
//   Schedule schedule = schedules::warm_up(500, schedules::cosine(20000));
//   optimizer.set_rate_factor(schedule(step));         // before each step; the Trainer does it by itself
//
// Where the literature counts in epochs, multiply by the steps of an epoch.
#include <cstdint>
#include <functional>
#include <vector>

#include "tensor/files.h"

namespace sono {

using Schedule = std::function<double(int64_t step)>;

namespace schedules {
Schedule constant();
Schedule step(int64_t every, double gamma = 0.1);                          // gamma^floor(t / every)
Schedule multi_step(std::vector<int64_t> milestones, double gamma = 0.1);  // gamma^(how many milestones are <= t)
Schedule exponential(double gamma);                                        // gamma^t
Schedule poly(int64_t total, double power = 0.9);  // (1 - min(t, total) / total)^power [Chen et al., DeepLab, PAMI 2018]
Schedule cosine(int64_t total,
                double low = 0);  // low + (1 - low) (1 + cos(pi min(t, total) / total)) / 2 [Loshchilov and Hutter, ICLR 2017]
// A cosine from 1 / start_divisor up to 1 over the first `rising` part, then one down to 1 / (start_divisor * end_divisor) [Smith and
// Topin, 2018].
Schedule one_cycle(int64_t total, double rising = 0.3, double start_divisor = 25, double end_divisor = 1e4);
// then(0) * (start + (1 - start) t / steps) while t < steps, afterwards then(t - steps).
Schedule warm_up(int64_t steps, Schedule then = constant(), double start = 0);
// Of the momentum (SgdOptions::momentum_at), not the rate: `before` for the first `steps` steps, `after` from then on [Hinton, "A practical
// guide to training restricted Boltzmann machines", 2010: 0.5, then 0.9].
Schedule momentum(int64_t steps, double before = 0.5, double after = 0.9);
}  // namespace schedules

// Lowers the rate when a score has stopped getting better for more than `patience` looks (PyTorch's ReduceLROnPlateau, relative threshold).
struct PlateauOptions {
  bool maximise = false;                              // a Dice rises, a loss falls
  double factor = 0.1, threshold = 1e-4, lowest = 0;  // lowest: factor of the rate that is not undercut
  int64_t patience = 10, cooldown = 0;                // looks; none counts during the cool-down after a reduction
};
class Plateau {
 public:
  explicit Plateau(PlateauOptions options = {});
  double see(double score);  // one look, usually one epoch; returns the factor from now on
  double factor() const { return factor_; }
  Tensor state() const;  // four f64 values
  void load_state(const Tensor& state);

 private:
  PlateauOptions options_;
  double factor_ = 1, best_;
  int64_t bad_ = 0, cooling_ = 0;
};

}  // namespace sono
