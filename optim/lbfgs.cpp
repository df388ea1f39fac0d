#include "optim/lbfgs.h"

#include <algorithm>
#include <cmath>

namespace sono {
namespace {

constexpr double sufficient_decrease = 1e-4, curvature = 0.9;  // c1 and c2 of the Wolfe conditions
constexpr int64_t max_tries = 25;                              // per line search

double dot(const Tensor& a, const Tensor& b) { return sum(a * b).item(); }
double largest(const Tensor& a) { return max(abs(a)).item(); }

// All values in one row, in memory of its own.
Tensor flat(const std::vector<Tensor>& parts) { return parts.size() == 1 ? parts[0].clone() : concat(parts, 0); }

// The minimum of the cubic with values f and slopes g at two lengths, kept inside [low, high]; the middle if it has none.
double cubic_minimum(double x1, double f1, double g1, double x2, double f2, double g2, double low, double high) {
  if (x1 > x2) std::swap(x1, x2), std::swap(f1, f2), std::swap(g1, g2);
  const double d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2), square = d1 * d1 - g1 * g2;
  if (!(square >= 0)) return (low + high) / 2;
  const double d2 = std::sqrt(square);
  return std::min(std::max(x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2)), low), high);
}

}  // namespace

Lbfgs::Lbfgs(Parameters parameters, LbfgsOptions options) : Optimizer(std::move(parameters), options.rate, 0, {}), options_(options) {
  if (options_.max_evaluations == 0) options_.max_evaluations = options_.max_iterations * 5 / 4;
}

void Lbfgs::step() {
  throw Error("[lbfgs] needs the loss as a function: step(f), where f computes the loss and its gradients and returns the loss");
}

std::vector<Module::Entry> Lbfgs::active() const {
  std::vector<Module::Entry> entries;
  for (const auto& p : parameters_)
    if (wants_gradient(*p.value)) entries.push_back(p);
  if (entries.empty()) throw Error("[lbfgs] no parameter wants a gradient");
  return entries;
}

// Without nodes, as all that is computed from them: nothing here builds a graph.
Tensor Lbfgs::flat_gradient() const {
  std::vector<Tensor> parts;
  for (const auto& p : active()) {
    const Tensor g = gradient(*p.value);
    parts.push_back((g ? g.detach() : Tensor::zeros_like(*p.value)).view({-1}));
  }
  return flat(parts);
}
Tensor Lbfgs::flat_weights() const {
  std::vector<Tensor> parts;
  for (const auto& p : active()) parts.push_back(p.value->detach().view({-1}));
  return flat(parts);
}
void Lbfgs::set_weights(const Tensor& flat) const {
  int64_t first = 0;
  for (const auto& p : active()) {
    const int64_t n = p.value->size();
    p.value->copy_from(flat.rows(first, first + n).view(p.value->shape()));
    first += n;
  }
}

// direction = -H gradient: the newest pair is added, then the two-loop recursion runs newest to oldest and back.
void Lbfgs::find_direction(const Tensor& gradient) {
  if (iterations_ == 1) {
    pairs_.clear();
    scale_ = 1;
    direction_ = -gradient;
    return;
  }
  const Tensor y = gradient - before_, s = direction_ * length_;
  if (const double ys = dot(y, s); ys > 1e-10) {
    if (static_cast<int64_t>(pairs_.size()) == options_.history) pairs_.pop_front();
    pairs_.push_back({s, y, 1 / ys});
    scale_ = ys / dot(y, y);
  }
  Tensor q = -gradient;
  std::vector<double> alpha(pairs_.size());
  for (size_t i = pairs_.size(); i-- > 0;) {
    alpha[i] = dot(pairs_[i].s, q) * pairs_[i].rho;
    q = q - pairs_[i].y * alpha[i];
  }
  Tensor r = q * scale_;
  for (size_t i = 0; i < pairs_.size(); i++) r = r + pairs_[i].s * (alpha[i] - dot(pairs_[i].y, r) * pairs_[i].rho);
  direction_ = r;
}

double Lbfgs::step(const std::function<double()>& f) {
  const double first_loss = f();
  Point here{0, first_loss, 0, flat_gradient()};
  int64_t evaluations = 1;
  if (largest(here.gradient) <= options_.gradient_tolerance) return first_loss;

  for (int64_t i = 1; i <= options_.max_iterations; i++) {
    iterations_++;
    find_direction(here.gradient);
    before_ = here.gradient;
    length_ = iterations_ == 1 ? std::min(1.0, 1 / sum(abs(here.gradient)).item()) * rate() : rate();
    here.length = 0;
    here.slope = dot(here.gradient, direction_);
    if (here.slope > -options_.change_tolerance) break;

    const Tensor start = flat_weights();
    const double loss_before = here.loss;
    const auto at = [&](double length) {
      set_weights(start + direction_ * length);
      Point p{length, f(), 0, {}};
      p.gradient = flat_gradient();
      p.slope = dot(p.gradient, direction_);
      return p;
    };
    if (options_.strong_wolfe) {
      here = line_search(at, here, length_, evaluations);
      length_ = here.length;
      set_weights(start + direction_ * length_);
    } else if (i < options_.max_iterations) {
      here = at(length_);
      evaluations++;
    } else {
      set_weights(start + direction_ * length_);
      break;
    }
    if (evaluations >= options_.max_evaluations || largest(here.gradient) <= options_.gradient_tolerance) break;
    if (largest(direction_ * length_) <= options_.change_tolerance || std::abs(here.loss - loss_before) < options_.change_tolerance) break;
  }
  return first_loss;
}

// Lengthens the step until the interval (previous, current) must hold a point that satisfies the strong Wolfe conditions, then narrows it.
Lbfgs::Point Lbfgs::line_search(const std::function<Point(double)>& at, const Point& start, double length, int64_t& evaluations) const {
  Point previous = start, current = at(length);
  evaluations++;
  for (int64_t tries = 0; tries < max_tries; tries++) {
    const bool too_high = current.loss > start.loss + sufficient_decrease * current.length * start.slope;
    if (too_high || (tries > 1 && current.loss >= previous.loss)) return zoom(at, start, previous, current, tries, evaluations);
    if (std::abs(current.slope) <= -curvature * start.slope) return current;
    if (current.slope >= 0) return zoom(at, start, previous, current, tries, evaluations);
    const double next = cubic_minimum(previous.length, previous.loss, previous.slope, current.length, current.loss, current.slope,
                                      current.length + 0.01 * (current.length - previous.length), current.length * 10);
    previous = std::exchange(current, at(next));
    evaluations++;
  }
  return start.loss <= current.loss ? start : current;
}

Lbfgs::Point Lbfgs::zoom(const std::function<Point(double)>& at, const Point& start, Point low, Point high, int64_t tries,
                         int64_t& evaluations) const {
  if (low.loss > high.loss) std::swap(low, high);
  const double reach = largest(direction_);
  bool stuck = false;
  for (; tries < max_tries; tries++) {
    const double left = std::min(low.length, high.length), right = std::max(low.length, high.length), margin = 0.1 * (right - left);
    if ((right - left) * reach < options_.change_tolerance) break;
    double t = cubic_minimum(low.length, low.loss, low.slope, high.length, high.loss, high.slope, left, right);
    // Too near an end for the second time, or at it: go a tenth inside.
    const bool near_end = std::min(right - t, t - left) < margin;
    const bool move = near_end && (stuck || t >= right || t <= left);
    if (move) t = right - t < t - left ? right - margin : left + margin;
    stuck = near_end && !move;

    Point p = at(t);
    evaluations++;
    if (p.loss > start.loss + sufficient_decrease * t * start.slope || p.loss >= low.loss) {
      high = p;
      if (low.loss > high.loss) std::swap(low, high);
      continue;
    }
    const bool done = std::abs(p.slope) <= -curvature * start.slope;
    if (!done && p.slope * (high.length - low.length) >= 0) high = low;
    low = p;
    if (done) break;
  }
  return low;
}

// The history as matrices (pairs, weights), and the scalars in one row.
NamedTensors Lbfgs::state() const {
  if (iterations_ == 0) return {};
  NamedTensors all{{"direction", direction_}, {"gradient", before_}};
  std::vector<double> scalars{static_cast<double>(iterations_), length_, scale_};
  std::vector<Tensor> s, y;
  for (const auto& pair : pairs_) s.push_back(pair.s), y.push_back(pair.y), scalars.push_back(pair.rho);
  if (!s.empty()) all.emplace_back("steps", stack(s)), all.emplace_back("changes", stack(y));
  all.emplace_back("scalars", Tensor::from<double>({static_cast<int64_t>(scalars.size())}, scalars));
  return all;
}

void Lbfgs::load_state(const NamedTensors& state) {
  if (state.empty()) {
    iterations_ = 0;
    return;
  }
  const Tensor like = flat_weights();
  const auto take = [&](const std::string& name, const Shape& shape, Dtype dtype) {
    for (const auto& [key, t] : state)
      if (key == name && t.shape() == shape && t.dtype() == dtype) return t;
    throw ShapeError("[lbfgs] state " + name + " of shape " + to_string(shape) + " " + to_string(dtype) + " is missing");
  };
  int64_t pairs = 0;
  for (const auto& [name, t] : state)
    if (name == "steps" && t.rank() == 2) pairs = t.dim(0);
  const std::vector<double> scalars = take("scalars", {3 + pairs}, Dtype::f64).to_vector<double>();
  const Tensor direction = take("direction", like.shape(), like.dtype()), before = take("gradient", like.shape(), like.dtype());
  std::deque<Pair> loaded;
  if (pairs > 0) {
    const Tensor s = take("steps", {pairs, like.size()}, like.dtype()), y = take("changes", {pairs, like.size()}, like.dtype());
    const auto row = [&](const Tensor& t, int64_t i) { return t.rows(i, i + 1).view({-1}).clone().to(like.device()); };
    for (int64_t i = 0; i < pairs; i++) loaded.push_back({row(s, i), row(y, i), scalars[static_cast<size_t>(3 + i)]});
  }
  direction_ = direction.to(like.device()).clone(), before_ = before.to(like.device()).clone();
  iterations_ = static_cast<int64_t>(scalars[0]), length_ = scalars[1], scale_ = scalars[2];
  pairs_ = std::move(loaded);
}

}  // namespace sono
