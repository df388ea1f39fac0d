#include "zoo/heads/head.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

namespace sono::zoo {

Tensor rows_of(const Tensor& x, const std::vector<int64_t>& rows) {
  Shape shape = x.shape();
  shape.at(0) = static_cast<int64_t>(rows.size());
  Tensor out(shape, x.dtype());
  const int64_t bytes = x.dim(0) ? x.bytes() / x.dim(0) : 0;
  for (size_t k = 0; k < rows.size(); k++) {
    if (rows[k] < 0 || rows[k] >= x.dim(0)) throw ShapeError("[rows_of] row " + std::to_string(rows[k]) + " of " + to_string(x.shape()));
    std::memcpy(static_cast<char*>(out.raw()) + static_cast<int64_t>(k) * bytes, static_cast<const char*>(x.raw()) + rows[k] * bytes,
                static_cast<size_t>(bytes));
  }
  return out;
}

Cases subset(const Cases& cases, const std::vector<int64_t>& rows) {
  Cases part{rows_of(cases.x, rows), {}, cases.classes, {}};
  for (const int64_t i : rows) {
    part.y.push_back(cases.y.at(static_cast<size_t>(i)));
    if (!cases.groups.empty()) part.groups.push_back(cases.groups.at(static_cast<size_t>(i)));
  }
  return part;
}

namespace {

void check_finite(const std::string& who, const Tensor& x) {
  const float* v = x.data<float>();
  for (int64_t i = 0; i < x.size(); i++)
    if (!std::isfinite(v[i]))
      throw NumericError("[" + who + "] feature " + std::to_string(i % x.dim(1)) + " of case " + std::to_string(i / x.dim(1)) +
                         " is not finite; replace missing values before");
}

}  // namespace

void check_cases(const std::string& who, const Cases& cases) {
  const std::string start = "[" + who + "] ";
  if (cases.x.rank() != 2 || cases.x.dim(0) != cases.size() || cases.x.dim(1) < 1)
    throw ShapeError(start + "wants features (cases, features) of " + std::to_string(cases.size()) + " categories, got " +
                     to_string(cases.x.shape()));
  if (!cases.groups.empty() && cases.groups.size() != cases.y.size())
    throw ShapeError(start + std::to_string(cases.groups.size()) + " patients of " + std::to_string(cases.y.size()) + " cases");
  if (cases.classes < 2) throw NumericError(start + "wants two categories or more, got " + std::to_string(cases.classes));
  std::vector<int64_t> count(static_cast<size_t>(cases.classes));
  for (size_t i = 0; i < cases.y.size(); i++) {
    if (cases.y[i] < 0 || cases.y[i] >= cases.classes)
      throw NumericError(start + "category " + std::to_string(cases.y[i]) + " of case " + std::to_string(i) + " is not within 0 … " +
                         std::to_string(cases.classes - 1));
    count[static_cast<size_t>(cases.y[i])]++;
  }
  const auto refuse = [&](const std::string& what, size_t c) {
    throw NumericError(start + what + " of category " + std::to_string(c) + "; give cases of each of the " + std::to_string(cases.classes) +
                       " categories");
  };
  for (size_t c = 0; c < count.size(); c++)
    if (count[c] == cases.size()) refuse("all " + std::to_string(cases.size()) + " cases are", c);
  for (size_t c = 0; c < count.size(); c++)
    if (count[c] == 0) refuse("no case is", c);
  check_finite(who, cases.x);
}

Head::Head(bool standardize) : standardize_(standardize) {
  settings_.add("standardize", standardize_, "features with mean 0 and deviation 1");
}

void Head::fit(const Tensor& x, const std::vector<int>& y, int classes, const std::vector<int64_t>& groups) {
  fit(Cases{x, y, classes, groups});
}

void Head::fit(const Cases& cases) {
  check_cases(name(), cases);
  notes_.clear();
  Cases ready = cases;
  if (standardises()) {
    standardizer_ = Standardizer::fit(cases.x);
    if (const std::string message = standardizer_.message(); !message.empty()) notes_ = "[" + name() + "] " + message;
    ready.x = standardizer_(cases.x);
  }
  classes_ = cases.classes;
  features_ = cases.x.dim(1);
  try {
    learn(ready);
  } catch (...) {
    classes_ = 0;  // half learnt is not learnt
    throw;
  }
}

Tensor Head::ready(const Tensor& x) const {
  if (classes_ == 0) throw Error("[" + name() + "] has learnt nothing yet; call fit first");
  if (x.rank() != 2 || x.dim(1) != features_)
    throw ShapeError("[" + name() + "] learnt " + std::to_string(features_) + " features, got x " + to_string(x.shape()));
  check_finite(name(), x);
  return standardises() ? standardizer_(x) : x;
}

Tensor Head::probabilities(const Tensor& x) const { return classify(ready(x)); }

Tensor Head::part(const Tensor& x, const std::vector<int64_t>& rows, const std::vector<int64_t>&) const { return rows_of(x, rows); }

std::vector<int> Head::predict(const Tensor& x) const {
  const Tensor p = probabilities(x);
  std::vector<int> best;
  for (int64_t i = 0; i < p.dim(0); i++) {
    const float* row = p.data<float>() + i * classes_;
    best.push_back(static_cast<int>(std::max_element(row, row + classes_) - row));
  }
  return best;
}

nlohmann::json Head::describe() const {
  return {{"head", name()}, {"settings", settings_.to_json()}, {"classes", classes_}, {"features", features_}};
}

NamedTensors Head::tensors() const {
  if (classes_ == 0) throw Error("[" + name() + "] has learnt nothing that could be saved; call fit first");
  NamedTensors all = state();
  if (standardises()) add_part(all, "standardize.", standardizer_.tensors());
  return all;
}

void Head::restore(const nlohmann::json& description, const NamedTensors& tensors) {
  settings_.from_json(description.at("settings"));
  classes_ = description.at("classes");
  features_ = description.at("features");
  if (classes_ < 2 || features_ < 1) throw FileError("[" + name() + "] the description has no categories or features; the file is damaged");
  if (standardises()) standardizer_ = Standardizer::from(part_of(tensors, "standardize."));
  take(tensors);
}

// ---- the list --------------------------------------------------------------------------------------------------------------------------
std::unique_ptr<Head> make_svm();
std::unique_ptr<Head> make_linear_svm();
std::unique_ptr<Head> make_mkl();
std::unique_ptr<Head> make_lda();
std::unique_ptr<Head> make_knn();
std::unique_ptr<Head> make_logistic();
std::unique_ptr<Head> make_forest();

namespace {

struct Entry {
  const char* name;
  std::unique_ptr<Head> (*make)();
};
constexpr Entry entries[] = {{"svm", make_svm}, {"linear-svm", make_linear_svm}, {"mkl", make_mkl},      {"lda", make_lda},
                             {"knn", make_knn}, {"logistic", make_logistic},     {"forest", make_forest}};

}  // namespace

const std::vector<std::string>& head_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Entry& e : entries) list.emplace_back(e.name);
    return list;
  }();
  return names;
}

std::unique_ptr<Head> make_head(const std::string& name) {
  for (const Entry& e : entries)
    if (name == e.name) return e.make();
  const std::string near = nearest(name, head_names());
  throw Error("unknown head '" + name + "'; " + (near.empty() ? "known are " + joined(head_names()) : "did you mean " + near + "?"));
}

std::unique_ptr<Head> load_head(const nlohmann::json& description, const NamedTensors& tensors) {
  auto head = make_head(description.at("head").get<std::string>());
  head->restore(description, tensors);
  return head;
}

}  // namespace sono::zoo
