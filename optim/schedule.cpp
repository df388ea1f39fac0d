#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>

namespace sono {
namespace schedules {
namespace {
void positive(const char* name, int64_t n) {
  if (n <= 0) throw Error(std::string("[") + name + "] wants a positive number of steps, got " + std::to_string(n));
}
// From a at 0 to b at 1 along half a cosine.
double anneal(double a, double b, double part) { return b + (a - b) * (1 + std::cos(std::numbers::pi * part)) / 2; }
double part_of(int64_t t, int64_t total) { return static_cast<double>(std::min(t, total)) / static_cast<double>(total); }
}  // namespace

Schedule constant() {
  return [](int64_t) { return 1.0; };
}
Schedule step(int64_t every, double gamma) {
  positive("step", every);
  return [=](int64_t t) { return std::pow(gamma, static_cast<double>(t / every)); };
}
Schedule multi_step(std::vector<int64_t> milestones, double gamma) {
  return [=](int64_t t) {
    return std::pow(gamma, static_cast<double>(std::count_if(milestones.begin(), milestones.end(), [&](int64_t m) { return m <= t; })));
  };
}
Schedule exponential(double gamma) {
  return [=](int64_t t) { return std::pow(gamma, static_cast<double>(t)); };
}
Schedule poly(int64_t total, double power) {
  positive("poly", total);
  return [=](int64_t t) { return std::pow(1 - part_of(t, total), power); };
}
Schedule cosine(int64_t total, double low) {
  positive("cosine", total);
  return [=](int64_t t) { return anneal(1, low, part_of(t, total)); };
}
Schedule one_cycle(int64_t total, double rising, double start_divisor, double end_divisor) {
  positive("one_cycle", total);
  const double top = rising * static_cast<double>(total) - 1,
               last = static_cast<double>(total - 1);  // the steps of the peak and of the end
  return [=](int64_t step) {
    const double t = std::min(static_cast<double>(step), last);
    if (t <= top && top > 0) return anneal(1 / start_divisor, 1, t / top);
    return anneal(1, 1 / (start_divisor * end_divisor), last > top ? (t - top) / (last - top) : 1);
  };
}
Schedule warm_up(int64_t steps, Schedule then, double start) {
  if (steps < 0) throw Error("[warm_up] wants a number of steps that is not negative, got " + std::to_string(steps));
  return [=](int64_t t) { return t < steps ? then(0) * (start + (1 - start) * part_of(t, steps)) : then(t - steps); };
}
Schedule momentum(int64_t steps, double before, double after) {
  if (steps < 0) throw Error("[momentum] wants a number of steps that is not negative, got " + std::to_string(steps));
  for (const double value : {before, after})
    if (!(value >= 0 && value < 1)) throw Error("[momentum] must be at least 0 and below 1, got " + std::to_string(value));
  return [=](int64_t t) { return t < steps ? before : after; };
}
}  // namespace schedules

Plateau::Plateau(PlateauOptions options)
    : options_(options), best_(options.maximise ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity()) {}

double Plateau::see(double score) {
  const bool better = options_.maximise ? score > best_ * (1 + (best_ > 0 ? options_.threshold : -options_.threshold))
                                        : score < best_ * (1 - (best_ > 0 ? options_.threshold : -options_.threshold));
  if (better) best_ = score;
  bad_ = better ? 0 : bad_ + 1;
  if (cooling_ > 0) cooling_--, bad_ = 0;
  if (bad_ > options_.patience) {
    factor_ = std::max(factor_ * options_.factor, options_.lowest);
    cooling_ = options_.cooldown;
    bad_ = 0;
  }
  return factor_;
}

Tensor Plateau::state() const {
  return Tensor::from<double>({4}, {factor_, best_, static_cast<double>(bad_), static_cast<double>(cooling_)});
}
void Plateau::load_state(const Tensor& state) {
  if (state.shape() != Shape{4} || state.dtype() != Dtype::f64)
    throw ShapeError("[plateau] state is " + to_string(state.shape()) + " " + to_string(state.dtype()) + ", expected (4) f64");
  const double* s = state.data<double>();
  factor_ = s[0], best_ = s[1], bad_ = static_cast<int64_t>(s[2]), cooling_ = static_cast<int64_t>(s[3]);
}

}  // namespace sono
