#include "layers/module.h"

#include <algorithm>
#include <map>

namespace sono {
namespace {

thread_local const Module::Scope* innermost = nullptr;

std::string join(const std::vector<std::string>& parts) {
  std::string all;
  for (const std::string& part : parts) all += (all.empty() ? "" : ", ") + part;
  return all;
}

}  // namespace

Module::Module(Module* parent, std::string name) {
  if (!parent) return;
  parent->claim(name);
  training_ = parent->training_;
  parent->children_.emplace_back(std::move(name), this);
  parent_ = parent;
}

Module::~Module() {
  if (parent_) std::erase_if(parent_->children_, [this](const auto& child) { return child.second == this; });
}

void Module::claim(const std::string& name) const {
  if (name.empty() || name.find('.') != std::string::npos)
    throw Error("[Module] \"" + name + "\" cannot be a member's name: it is empty or has a dot in it");
  const auto same = [&](const auto& member) { return member.first == name; };
  if (std::any_of(children_.begin(), children_.end(), same) || std::any_of(buffers_.begin(), buffers_.end(), same) ||
      std::any_of(parameters_.begin(), parameters_.end(), [&](const Parameter& p) { return p.name == name; }))
    throw Error("[Module] two members are named \"" + name + "\": give each its own name");
}

void Module::parameter(std::string name, Tensor& member, const Tensor& value, Layout layout) {
  claim(name);
  member = leaf(value);
  parameters_.push_back({std::move(name), &member, layout});
}

void Module::buffer(std::string name, Tensor& member, const Tensor& value) {
  claim(name);
  member = value;
  buffers_.emplace_back(std::move(name), &member);
}

// f(module, prefix) for itself and all below, parents first; prefix ends with a dot unless it is empty.
template <class F>
void Module::visit_modules(const std::string& prefix, F&& f) const {
  f(*this, prefix);
  for (const auto& [name, child] : children_) child->visit_modules(prefix + name + ".", f);
}

std::vector<Module::Entry> Module::parameters() const {
  std::vector<Entry> all;
  visit_modules("", [&](const Module& m, const std::string& prefix) {
    for (const Parameter& p : m.parameters_) all.push_back({prefix + p.name, p.value});
  });
  return all;
}

std::vector<Module::Entry> Module::trainable() const {
  std::vector<Entry> all = parameters();
  std::erase_if(all, [](const Entry& e) { return !wants_gradient(*e.value); });
  return all;
}

std::vector<Module::Entry> Module::buffers() const {
  std::vector<Entry> all;
  visit_modules("", [&](const Module& m, const std::string& prefix) {
    for (const auto& [name, value] : m.buffers_) all.push_back({prefix + name, value});
  });
  return all;
}

std::vector<std::pair<std::string, Layout>> Module::layouts() const {
  std::vector<std::pair<std::string, Layout>> all;
  visit_modules("", [&](const Module& m, const std::string& prefix) {
    for (const Parameter& p : m.parameters_) all.emplace_back(prefix + p.name, p.layout);
  });
  return all;
}

std::vector<std::pair<std::string, Module*>> Module::modules() {
  std::vector<std::pair<std::string, Module*>> all{{"", this}};
  for (const auto& [name, child] : children_)
    for (const auto& [path, module] : child->modules()) all.emplace_back(path.empty() ? name : name + "." + path, module);
  return all;
}

void Module::train(bool on) {
  training_ = on;
  for (const auto& [name, child] : children_) child->train(on);
}

int64_t Module::freeze(const std::string& pattern) {
  int64_t found = 0;
  for (const Entry& e : parameters())
    if (matches(pattern, e.path)) *e.value = e.value->detach(), found++;
  return found;
}

int64_t Module::unfreeze(const std::string& pattern) {
  int64_t found = 0;
  for (const Entry& e : parameters()) {
    if (!matches(pattern, e.path)) continue;
    if (!wants_gradient(*e.value)) *e.value = leaf(*e.value);
    found++;
  }
  return found;
}

void Module::zero_gradients() {
  for (const Entry& e : trainable()) set_gradient(*e.value, {});
}

void Module::to(Device device) {
  for (const Entry& e : parameters())
    if (e.value->device() != device) *e.value = wants_gradient(*e.value) ? leaf(e.value->detach().to(device)) : e.value->to(device);
  for (const Entry& e : buffers()) *e.value = e.value->to(device);
}

void Module::to(Dtype dtype) {
  for (const Entry& e : parameters())
    if (e.value->dtype() != dtype) *e.value = wants_gradient(*e.value) ? leaf(e.value->detach().to(dtype)) : e.value->to(dtype);
  for (const Entry& e : buffers()) *e.value = e.value->to(dtype);
}

State Module::state() const {
  State all;
  for (const Entry& e : parameters()) all.emplace_back(e.path, e.value->detach());
  for (const Entry& e : buffers()) all.emplace_back(e.path, e.value->detach());
  return all;
}

std::vector<std::string> Module::load(const State& state, bool strict) {
  const State own = this->state();
  std::map<std::string, Tensor> targets(own.begin(), own.end()), given;
  std::vector<std::string> missing, unknown, different, left;
  for (const auto& [path, value] : state) {
    if (!given.emplace(path, value).second) throw Error("[load] \"" + path + "\" is given twice");
    const auto target = targets.find(path);
    if (target == targets.end())
      unknown.push_back(path + " " + to_string(value.shape())), left.push_back(path);
    else if (target->second.shape() != value.shape())
      different.push_back(path + " (model " + to_string(target->second.shape()) + ", file " + to_string(value.shape()) + ")"),
          left.push_back(path);
  }
  for (const auto& [path, value] : own)
    if (!given.count(path)) missing.push_back(path + " " + to_string(value.shape())), left.push_back(path);

  std::vector<std::string> complaints;
  if (!missing.empty()) complaints.push_back("missing: " + join(missing));
  if (!unknown.empty()) complaints.push_back("unknown: " + join(unknown));
  if (!different.empty()) complaints.push_back("of another shape: " + join(different));
  if (strict && !complaints.empty()) {
    std::string line = "[load] the weights do not fit the model; ";
    for (size_t i = 0; i < complaints.size(); i++) line += (i ? "; " : "") + complaints[i];
    throw ShapeError(line);
  }
  for (const auto& [path, target] : own)
    if (const auto value = given.find(path); value != given.end() && value->second.shape() == target.shape())
      target.copy_from(value->second.to(target.dtype()));
  return left;
}

Module::Scope::Scope(const Module& module) : module_(module), outer_(innermost) { innermost = this; }
Module::Scope::~Scope() { innermost = outer_; }
const Module::Scope* Module::Scope::current() { return innermost; }

// Greedy with one point of return: the last * takes one character more whenever what follows it does not fit.
bool matches(const std::string& pattern, const std::string& path) {
  size_t p = 0, s = 0, star = std::string::npos, taken = 0;
  while (s < path.size()) {
    if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == path[s]) && pattern[p] != '*')
      p++, s++;
    else if (p < pattern.size() && pattern[p] == '*')
      star = p++, taken = s;
    else if (star != std::string::npos)
      p = star + 1, s = ++taken;
    else
      return false;
  }
  while (p < pattern.size() && pattern[p] == '*') p++;
  return p == pattern.size();
}

}  // namespace sono
