#include "zoo/sim/simulate.h"

#include <cmath>
#include <cstdio>

#include "tensor/random.h"
#include "zoo/sim/breast.h"
#include "zoo/sim/fetal_head.h"
#include "zoo/sim/perfusion.h"
#include "zoo/sim/temporal.h"

namespace sono::zoo {
namespace {

// What the phantoms have in common: samples are frames of patients.
class Simulated : public Dataset {
 public:
  Simulated(std::string phantom, int64_t count, uint64_t seed, const SimulateOptions& options)
      : phantom_(std::move(phantom)), count_(count), seed_(seed), options_(options) {}

  int64_t size() const override { return count_; }
  std::string name() const override { return "sim:" + phantom_; }

  Sample get(int64_t i) const override {
    check(i);
    Sample s = draw(patient(i), i % options_.frames_per_patient);
    Meta known = meta(i);
    known.spacing = s.meta.spacing, known.domain = s.meta.domain;
    s.meta = known;
    return s;
  }

  Meta meta(int64_t i) const override {
    check(i);
    Meta m;
    m.patient = phantom_ + "-s" + std::to_string(seed_) + "-p" + std::to_string(patient(i));
    m.id = m.patient + "-f" + std::to_string(i % options_.frames_per_patient);
    m.frame = i % options_.frames_per_patient;
    m.domain = domain(patient(i));
    m.source = name() + " seed " + std::to_string(seed_);
    return m;
  }

 protected:
  uint64_t patient(int64_t i) const { return static_cast<uint64_t>(i / options_.frames_per_patient); }
  virtual Sample draw(uint64_t patient, int64_t frame) const = 0;
  virtual std::string domain(uint64_t patient) const = 0;

  const std::string phantom_;
  const int64_t count_;
  const uint64_t seed_;
  const SimulateOptions options_;

  void check(int64_t i) const {
    if (i < 0 || i >= count_) throw Error("[simulate] sample " + std::to_string(i) + " of " + std::to_string(count_));
  }
};

// Exactly the wanted share, to one, in every run of patients; which ones depends on the seed.
bool chosen(uint64_t p, double share, uint64_t seed, const char* purpose) {
  const double start = Random(seed, purpose).uniform();
  return std::floor(start + share * static_cast<double>(p + 1)) > std::floor(start + share * static_cast<double>(p));
}

class Breast : public Simulated {
 public:
  using Simulated::Simulated;
  std::vector<std::string> categories() const override { return {"benign", "malignant"}; }
  std::vector<std::string> mask_labels() const override { return {"background", "lesion"}; }
  std::optional<int> category(int64_t i) const override { return check(i), malignant(patient(i)); }

 private:
  bool malignant(uint64_t p) const { return chosen(p, options_.malignant, seed_, "breast class"); }
  sim::BreastPatient of(uint64_t p) const { return sim::breast_patient(seed_, p, malignant(p), options_); }
  Sample draw(uint64_t p, int64_t frame) const override { return sim::breast_sample(of(p), frame, options_); }
  std::string domain(uint64_t p) const override { return sim::breast_domain(seed_, p, options_).name; }
};

class Perfusion : public Simulated {
 public:
  using Simulated::Simulated;
  std::vector<std::string> categories() const override { return {"benign", "malignant"}; }
  std::vector<std::string> mask_labels() const override { return {"background", "lesion"}; }
  std::optional<int> category(int64_t i) const override { return check(i), malignant(patient(i)); }

 private:
  bool malignant(uint64_t p) const { return chosen(p, options_.malignant, seed_, "ceus class"); }
  Sample draw(uint64_t p, int64_t frame) const override {
    return sim::perfusion_sample(sim::perfusion_patient(seed_, p, malignant(p), options_), frame, options_);
  }
  std::string domain(uint64_t) const override { return "ceus"; }
};

// Regions of a patient are its frames; each has a tissue of its own.
class Temporal : public Simulated {
 public:
  using Simulated::Simulated;
  std::vector<std::string> categories() const override { return {"benign", "cancer"}; }
  std::optional<int> category(int64_t i) const override { return check(i), cancer(i); }

 private:
  bool cancer(int64_t i) const { return Random(seed_, "teus class", static_cast<uint64_t>(i)).chance(options_.malignant); }
  Sample draw(uint64_t p, int64_t region) const override {
    const int64_t i = static_cast<int64_t>(p) * options_.frames_per_patient + region;
    return sim::temporal_sample(sim::temporal_region(seed_, p, region, cancer(i), options_), options_);
  }
  std::string domain(uint64_t) const override { return "teus"; }
};

class FetalHead : public Simulated {
 public:
  using Simulated::Simulated;
  std::vector<std::string> categories() const override { return {"thalamic", "ventricular", "cerebellar", "off-plane"}; }
  std::vector<std::string> mask_labels() const override { return {"background", "head"}; }
  std::optional<int> category(int64_t i) const override { return check(i), static_cast<int>(of(patient(i)).plane); }

 private:
  sim::HeadPatient of(uint64_t p) const { return sim::head_patient(seed_, p, options_); }
  Sample draw(uint64_t p, int64_t frame) const override { return sim::head_sample(of(p), frame, options_); }
  std::string domain(uint64_t p) const override { return sim::head_domain(seed_, p, options_).name; }
};

// "a, b"
std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  for (const std::string& n : names)
    if (n == name) return true;
  return false;
}

void expect_range(const char* option, double value, double low, double high) {
  if (value >= low && value <= high) return;
  char text[160];
  std::snprintf(text, sizeof text, "[simulate] %s is %g: expected %g to %g", option, value, low, high);
  throw Error(text);
}

void check_options(const std::string& phantom, int64_t count, const SimulateOptions& o) {
  if (count < 1) throw Error("[simulate] asked for " + std::to_string(count) + " samples: expected at least 1");
  expect_range("width", static_cast<double>(o.width), 16, 4096), expect_range("height", static_cast<double>(o.height), 16, 4096);
  expect_range("frames_per_patient", static_cast<double>(o.frames_per_patient), 1, 4096);
  expect_range("difficulty", o.difficulty, 0, 1), expect_range("overlap", o.overlap, 0, 0.5), expect_range("malignant", o.malignant, 0, 1);
  if (o.spacing != 0) expect_range("spacing", o.spacing, 0.02, 2);
  if (!o.domain.empty() && !has(phantom_domains(phantom), o.domain))
    throw Error("unknown domain '" + o.domain + "' of phantom " + phantom + ": known are " + listed(phantom_domains(phantom)));
}

}  // namespace

std::vector<std::string> phantoms() { return {"breast", "fetal-head", "breast-types", "breast-swe", "ceus", "teus"}; }

std::string phantom_summary(const std::string& phantom) {
  if (phantom == "breast") return "breast lesion, benign or malignant: mask, box, BI-RADS descriptors";
  if (phantom == "breast-types") return "the same of seven lesion types, whose descriptors mean different things together";
  if (phantom == "breast-swe") return "a breast lesion with a shear-wave elastogram in kPa";
  if (phantom == "ceus") return "focal liver lesion under contrast, benign or malignant: time-intensity curves, three phase pictures";
  if (phantom == "teus") return "prostate, 1 mm² regions: radio-frequency echoes over 100 frames, benign or cancer";
  return "fetal head: mask, ellipse, head circumference, BPD and OFD in mm, plane";
}

std::vector<std::string> phantom_domains(const std::string& phantom) {
  if (phantom == "ceus" || phantom == "teus") return {phantom};
  std::vector<std::string> names;
  for (const sim::Domain& d : phantom.starts_with("breast") ? sim::breast_domains() : sim::head_domains()) names.push_back(d.name);
  return names;
}

std::shared_ptr<Dataset> simulate(const std::string& phantom, int64_t count, uint64_t seed, const SimulateOptions& options) {
  if (!has(phantoms(), phantom)) throw Error("unknown phantom '" + phantom + "': known are " + listed(phantoms()));
  SimulateOptions o = options;
  const bool breast = phantom.starts_with("breast");
  if (o.width == 0) o.width = phantom == "ceus" ? 64 : 192;
  if (o.height == 0) o.height = phantom == "ceus" ? 64 : breast ? 160 : 128;
  if (phantom == "breast-swe") o.elasticity = true;
  if (phantom == "breast-types") o.types = true;
  check_options(phantom, count, o);
  if (phantom == "ceus") return std::make_shared<Perfusion>(phantom, count, seed, o);
  if (phantom == "teus") return std::make_shared<Temporal>(phantom, count, seed, o);
  if (breast) return std::make_shared<Breast>(phantom, count, seed, o);
  return std::make_shared<FetalHead>(phantom, count, seed, o);
}

std::optional<double> oracle_probability(const Sample& sample) {
  for (const Measurement& m : sample.labels.measurements)
    if (m.name == "oracle malignancy") return m.value;
  return std::nullopt;
}

}  // namespace sono::zoo
