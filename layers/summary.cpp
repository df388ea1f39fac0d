#include "layers/summary.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <string_view>

namespace sono {
namespace {

bool starts_with(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

// 1234567 -> "1,234,567"
std::string grouped(int64_t n) {
  std::string text = std::to_string(n);
  for (int64_t i = static_cast<int64_t>(text.size()) - 3; i > 0; i -= 3) text.insert(static_cast<size_t>(i), ",");
  return text;
}

// Three digits and a unit: scaled(4718592, 1000, {"", " k", " M", " G", " T"}) is "4.72 M".
std::string scaled(double value, double base, std::initializer_list<const char*> units) {
  auto unit = units.begin();
  for (; value >= base && unit + 1 != units.end(); unit++) value /= base;
  char text[32];
  std::snprintf(text, sizeof text,
                unit == units.begin() ? "%.0f%s"
                : value < 10          ? "%.2f%s"
                : value < 100         ? "%.1f%s"
                                      : "%.0f%s",
                value, *unit);
  return text;
}
std::string operations(int64_t n) { return scaled(static_cast<double>(n), 1000, {"", " k", " M", " G", " T"}); }
std::string bytes(int64_t n) { return scaled(static_cast<double>(n), 1024, {" B", " KiB", " MiB", " GiB", " TiB"}); }

// Restores each module's own training flag; an exception in run included.
class Training {
 public:
  explicit Training(Module& model) {
    for (const auto& [path, module] : model.modules()) before_.emplace_back(module, module->training());
    model.eval();
  }
  ~Training() {  // parents come first, so a child's own flag has the last word
    for (const auto& [module, on] : before_) module->train(on);
  }
  Training(const Training&) = delete;

 private:
  std::vector<std::pair<Module*, bool>> before_;
};

int64_t last_axes_product(const Shape& shape) {  // all but the last: multiply-adds per value of a convolution's wide side
  int64_t n = 1;
  for (size_t i = 0; i + 1 < shape.size(); i++) n *= shape[i];
  return n;
}

bool attribute(const OpCall& call, std::string_view name) {
  for (const auto& [key, value] : call.attributes)
    if (key == name)
      if (const int64_t* on = std::get_if<int64_t>(&value)) return *on != 0;
  return false;
}

std::string pad_to(const std::string& text, size_t width, bool right) {
  size_t length = 0;  // of UTF-8 characters
  for (char c : text) length += (c & 0xC0) != 0x80;
  const std::string space(width > length ? width - length : 0, ' ');
  return right ? space + text : text + space;
}

}  // namespace

int64_t flops(const OpCall& call) {
  const std::string_view name = call.name;
  static const std::set<std::string_view> moves{"reshape",    "permute", "slice", "concat", "stack",   "pad",
                                                "crop",       "flip",    "roll",  "take",   "gather",  "broadcast_to",
                                                "max_unpool", "unstack", "step",  "cast",   "one_hot", "to_device",
                                                "sort_index", "max_pool_index", "adaptive_max_index"};
  if (moves.count(name)) return 0;
  const auto& in = call.inputs;
  if (starts_with(name, "conv") && in.size() >= 2) {
    const bool transposed = name.find("_input") != name.npos || name.find("transpose") != name.npos;
    if (name.find("_weight") != name.npos) return 2 * in[1].size() * last_axes_product(call.output.shape());
    return 2 * (transposed ? in[0].size() : call.output.size()) * last_axes_product(in[1].shape());
  }
  if ((name == "lstm" || name == "gru" || name == "rnn" || name == "rnn_relu") && in.size() >= 3)  // x (N, T, in), weight_ih, weight_hh
    return 2 * in[0].dim(0) * in[0].dim(1) * (in[1].size() + in[2].size());
  if ((name == "matmul" || name == "linear") && in.size() >= 2)  // "linear" of one input is a map
    return 2 * call.output.size() * in[0].dim(attribute(call, "transpose_a") ? -2 : -1);
  return std::max(call.output.size(), in.empty() ? int64_t{0} : in[0].size());
}

Summary summarize(Module& model, const std::function<void()>& run) {
  Summary s;
  std::vector<SummaryRow> rows;
  std::map<const Module*, size_t> index;
  for (const auto& [path, module] : model.modules()) {
    index.emplace(module, rows.size());
    rows.push_back({.path = path.empty() ? "(model)" : path, .kind = module->kind(), .what = module->describe(), .output = {}});
  }
  for (const Module::Entry& e : model.parameters()) {
    const size_t dot = e.path.rfind('.');
    const std::string owner = dot == std::string::npos ? "(model)" : e.path.substr(0, dot);
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const SummaryRow& r) { return r.path == owner; });
    row->parameters += e.value->size();
    if (wants_gradient(*e.value)) row->trainable += e.value->size();
    s.parameter_bytes += e.value->bytes();
  }
  for (const Module::Entry& e : model.buffers()) s.buffer_bytes += e.value->bytes();

  const Training training(model);
  const NoGrad plain;
  const Observer observer([&](const OpCall& call) {
    SummaryRow* innermost = nullptr;
    for (const Module::Scope* scope = Module::Scope::current(); scope; scope = scope->outer())
      if (const auto found = index.find(&scope->module()); found != index.end()) {
        SummaryRow& row = rows[found->second];
        row.output = call.output.shape(), row.ran = true;
        if (!innermost) innermost = &row;
      }
    if (!innermost) innermost = &rows[0];
    innermost->flops += flops(call);
    const bool view =
        std::any_of(call.inputs.begin(), call.inputs.end(), [&](const Tensor& t) { return t.shares_memory_with(call.output); });
    if (!view) innermost->activations += call.output.bytes();
  });
  run();

  for (SummaryRow& row : rows) {
    s.parameters += row.parameters, s.trainable += row.trainable, s.flops += row.flops, s.activations += row.activations;
    if (row.parameters || row.flops || row.activations) s.rows.push_back(std::move(row));
  }
  return s;
}

std::string Summary::table() const {
  std::vector<std::vector<std::string>> cells{{"layer", "kind", "what", "output", "parameters", "FLOPs", "activations"}};
  for (const SummaryRow& r : rows)
    cells.push_back({r.path, r.kind, r.what,
                     r.ran                 ? to_string(r.output)
                     : r.path == "(model)" ? ""
                                           : "did not run",
                     r.parameters ? grouped(r.parameters) + (r.trainable == r.parameters ? ""
                                                             : r.trainable               ? " partly frozen"
                                                                                         : " frozen")
                                  : "",
                     r.flops ? operations(r.flops) : "", r.activations ? bytes(r.activations) : ""});
  cells.push_back({"total", "", "", "", grouped(parameters), operations(flops), bytes(activations)});
  std::vector<size_t> width(cells[0].size(), 0);
  for (const auto& row : cells)
    for (size_t i = 0; i < row.size(); i++) width[i] = std::max(width[i], pad_to(row[i], 0, false).size());
  std::string text;
  for (const auto& row : cells) {
    std::string line;
    for (size_t i = 0; i < row.size(); i++) line += (i ? "  " : "") + pad_to(row[i], width[i], i >= 4);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text + grouped(trainable) + " parameters are trained; weights " + bytes(parameter_bytes) + ", buffers " + bytes(buffer_bytes) +
         "\n";
}

}  // namespace sono
