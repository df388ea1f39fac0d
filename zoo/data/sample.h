#pragma once
// What is known of an image, or what a system says of it. A prediction is the same type as a label, with confidences: one metric
// function compares any two, one painter draws any, one writer puts any into JSON.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace sono::zoo {

struct Box { double x = 0, y = 0, width = 0, height = 0; int category = 0; double score = 1; };  // pixels, of the image as loaded
struct Landmark { std::string name; double x = 0, y = 0, score = 1; };                            // pixels
struct Measurement { std::string name; double value = 0; std::string unit; };                     // "head circumference", 174.2, "mm"
struct Event { std::string name; int64_t frame = 0; };                                            // "end-diastole", 12
struct Ellipse { double cx = 0, cy = 0, a = 0, b = 0, angle = 0; };                               // pixels; semi-axes a >= b; angle of a to the x axis in radians

struct Labels {
  std::optional<int> category;
  std::vector<float> probabilities;  // one per category
  Tensor mask;                       // (H, W) u8 label values (or (D, H, W)); empty handle: not stated. All zero: stated to be empty
  Tensor score;                      // (H, W) f32 foreground probability of a prediction; empty handle otherwise
  std::vector<Box> boxes;
  std::vector<Landmark> landmarks;
  std::vector<Measurement> measurements;
  std::vector<Event> events;
  std::optional<Ellipse> ellipse;    // a head, for example
};

struct Meta {
  std::string id;                    // unique in its data set, for people: "benign (17)"
  std::string patient, video;        // empty: unknown; each image is then a group of its own
  std::optional<int64_t> frame;
  std::optional<std::array<double, 2>> spacing;  // mm per pixel: {x, y}; none: unknown
  std::string domain;                // vendor or site
  std::string source;                // file
};

// Values over time beside the image: time-intensity curves, radio-frequency samples of a region.
struct Sequence {
  Tensor values;                      // (T, C) f32; empty handle: there is none
  double rate = 0;                    // samples per second
  std::vector<std::string> channels;  // names of the C columns
  explicit operator bool() const { return static_cast<bool>(values); }
};

struct Sample {
  Tensor image;      // (H, W, C) f32 in [0, 1], C = 1 unless colour is asked for or the image has several channels (contrast phases)
  Tensor scan_mask;  // (H, W) u8, 1 inside the ultrasound sector; empty handle: everywhere
  Tensor elasticity; // (H, W) f32 Young's modulus in kPa, 0 where it was not measured; empty handle: no elastogram
  Sequence sequence;
  Labels labels;
  Meta meta;
};

// A collection of samples that are read (or simulated) when asked for. get() is thread-safe and a pure function of i.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  virtual Sample get(int64_t i) const = 0;
  virtual Meta meta(int64_t i) const = 0;                    // without reading pixels
  virtual std::optional<int> category(int64_t i) const = 0;  // without reading pixels, where it is known
  virtual std::vector<std::string> categories() const { return {}; }  // names of the categories, if there are any
  virtual std::vector<std::string> mask_labels() const { return {}; } // names of mask values 0, 1, …: {"background", "lesion"}
  virtual std::string name() const = 0;                      // "busi", "sim:breast", the folder's name
};

}  // namespace sono::zoo
