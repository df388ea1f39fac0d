#pragma once
// What anybody gets without a network: the score that a trained system has to be shown beside.
//   masks         the better, on the training cases, of the best constant mask (pixels that are foreground in more than t of the cases) and
//                 the best grey threshold (pixels darker than t), by mean Dice
//   categories    the most frequent one, with its share as probability
//   measurements  the mean of the training cases
#include <nlohmann/json_fwd.hpp>

#include "zoo/data/sample.h"

namespace sono::zoo {

class Baseline {
 public:
  static Baseline learn(const Dataset& data, const std::vector<int64_t>& train, bool masks);  // masks: is that what the system finds?
  Labels predict(const Sample& sample) const;
  std::string name() const;  // "best constant mask", "darker than 0.21", "always benign"

  nlohmann::json to_json() const;
  static Baseline from_json(const nlohmann::json& j);

 private:
  static constexpr int64_t grid = 48;        // constant masks are learnt at grid x grid and stretched to the image
  std::vector<uint8_t> mask_;                // grid * grid; empty: no masks, or the threshold was better
  double threshold_ = -1;                    // < 0: not used
  std::vector<float> shares_;                // of the categories
  std::vector<std::string> categories_;
  std::vector<Measurement> measurements_;
};

}  // namespace sono::zoo
