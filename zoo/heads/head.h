#pragma once
// A head turns features into categories: the classical classifiers that stand on texture features, on the codes of an autoencoder or on
// the hidden units of a Boltzmann machine. All of them are deterministic: no random numbers but the forest's, from its seed; the same
// bits with any number of threads.
//
//   auto head = make_head("svm");
//   head->settings().set("C", "10");
//   head->fit(x, y, 2, patients);            // x (N, F) f32; y 0 … classes - 1; the patient's number of each case, or none
//   Tensor p = head->probabilities(x_new);   // (M, 2) f32, rows add up to 1
//
// Features are standardised first unless the setting `standardize` is off; constant columns are left out, and notes() says so.
// NumericError: a category without a case (one class only), features that are NaN or infinite. ShapeError: sizes that differ.
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "zoo/common/named_tensors.h"
#include "zoo/common/settings.h"
#include "zoo/heads/standardize.h"

namespace sono::zoo {

// What a head learns from.
struct Cases {
  Tensor x;            // (N, F) f32
  std::vector<int> y;  // 0 … classes - 1
  int classes = 2;
  std::vector<int64_t> groups;  // patients: their cases stay together in a cross-validation within the head. Empty: every case is its own
  int64_t size() const { return static_cast<int64_t>(y.size()); }
};
Cases subset(const Cases& cases, const std::vector<int64_t>& rows);
Tensor rows_of(const Tensor& x, const std::vector<int64_t>& rows);  // (rows.size(), …)
void check_cases(const std::string& who, const Cases& cases);       // sizes, range of y, every category present, finite features

class Head {
 public:
  virtual ~Head() = default;
  Head(const Head&) = delete;
  Head& operator=(const Head&) = delete;

  virtual std::string name() const = 0;  // as make_head takes it
  Settings& settings() { return settings_; }
  const Settings& settings() const { return settings_; }

  void fit(const Cases& cases);
  void fit(const Tensor& x, const std::vector<int>& y, int classes, const std::vector<int64_t>& groups = {});
  Tensor probabilities(const Tensor& x) const;         // (M, classes)
  std::vector<int> predict(const Tensor& x) const;     // the most probable category of each case
  const std::string& notes() const { return notes_; }  // of the last fit, one line: constant columns; empty: nothing to say
  // Rows of x as features against the training cases `train`: for cross-validation. Only a precomputed kernel has columns to choose.
  virtual Tensor part(const Tensor& x, const std::vector<int64_t>& rows, const std::vector<int64_t>& train) const;

  int classes() const { return classes_; }  // 0: not fitted
  int64_t features() const { return features_; }

  // A fitted head is its description and its tensors; a system puts these into config.json and model.safetensors.
  nlohmann::json describe() const;
  NamedTensors tensors() const;
  void restore(const nlohmann::json& description, const NamedTensors& tensors);

 protected:
  explicit Head(bool standardize);
  virtual void learn(const Cases& cases) = 0;          // checked, standardised
  virtual Tensor classify(const Tensor& x) const = 0;  // (M, classes) f32
  virtual NamedTensors state() const = 0;              // what was learnt; classes() and features() are known when it is taken back
  virtual void take(const NamedTensors& state) = 0;
  virtual bool standardises() const { return standardize_; }
  Tensor ready(const Tensor& x) const;  // checked against what was learnt, standardised

  Settings settings_;

 private:
  bool standardize_;
  int classes_ = 0;
  int64_t features_ = 0;
  Standardizer standardizer_;
  std::string notes_;
};

// svm, linear-svm, mkl, lda, knn, logistic, forest. Error: unknown head 'svn'; did you mean svm?
std::unique_ptr<Head> make_head(const std::string& name);
const std::vector<std::string>& head_names();
std::unique_ptr<Head> load_head(const nlohmann::json& description, const NamedTensors& tensors);

}  // namespace sono::zoo
