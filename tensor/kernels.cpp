#include "tensor/kernels.h"

#include <cstdlib>
#include <map>
#include <string>

#include "tensor/error.h"
#include "tensor/memory.h"

namespace sono::kernels {
namespace {

// "conv2d:reference,matmul:packed" -> {conv2d: reference, …}
std::map<std::string, std::string, std::less<>> parse(const char* text) {
  std::map<std::string, std::string, std::less<>> forced;
  std::string_view rest = text ? text : "";
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string_view entry = rest.substr(0, comma);
    const size_t colon = entry.find(':');
    if (colon == entry.npos) throw Error("SONO_KERNEL wants KERNEL:IMPLEMENTATION[,…], got '" + std::string(entry) + "'");
    forced[std::string(entry.substr(0, colon))] = entry.substr(colon + 1);
    rest = comma == rest.npos ? "" : rest.substr(comma + 1);
  }
  return forced;
}

struct Registered {
  MapTable table;
  bool present = false;
};
Registered& registered(Device device) {
  static Registered tables[2];
  return tables[static_cast<int>(device)];
}

}  // namespace

const char* forced_implementation(const char* kernel) {
  static const auto forced = parse(std::getenv("SONO_KERNEL"));
  if (forced.empty()) return nullptr;
  const auto found = forced.find(std::string_view(kernel));
  return found == forced.end() ? nullptr : found->second.c_str();
}

void no_implementation(const char* kernel, Device device, const char* forced) {
  const std::string name = "[" + std::string(kernel) + "] ";
  if (forced) throw Error(name + "SONO_KERNEL asks for '" + forced + "', which does not fit this call or does not exist");
  if (device == Device::cuda) throw DeviceError(name + "has no CUDA kernel for this call; run on the CPU (--device cpu)");
  throw Error(name + "has no implementation for this call");
}

const MapTable& cpu_map_table();  // tensor/cpu/maps.cpp

const MapTable& map_table(Device device) {
  if (device == Device::cpu) return cpu_map_table();
  if (!registered(device).present)
    throw DeviceError("device " + std::string(to_string(device)) + " is not available in this program; use the CPU");
  return registered(device).table;
}
void register_map_table(Device device, const MapTable& table) { registered(device) = {table, true}; }

Shape broadcast_shape(const char* name, const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()), 1);
  for (size_t i = 0; i < out.size(); i++) {
    const int64_t u = i < a.size() ? a[a.size() - 1 - i] : 1, v = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (u != v && u != 1 && v != 1)
      throw ShapeError("[" + std::string(name) + "] shapes " + to_string(a) + " and " + to_string(b) + " do not broadcast");
    out[out.size() - 1 - i] = u == 1 ? v : u;
  }
  return out;
}

namespace {

// Strides of an operand over the output's shape, 0 where it is repeated.
void set_strides(const char* name, const Shape& operand, const Shape& out, int64_t* stride) {
  if (operand.size() > out.size())
    throw ShapeError("[" + std::string(name) + "] " + to_string(operand) + " does not broadcast to " + to_string(out));
  const size_t missing = out.size() - operand.size();
  int64_t step = 1;
  for (size_t i = out.size(); i-- > 0;) {
    const int64_t d = i < missing ? 1 : operand[i - missing];
    if (d != out[i] && d != 1)
      throw ShapeError("[" + std::string(name) + "] " + to_string(operand) + " does not broadcast to " + to_string(out));
    stride[i] = d == 1 ? 0 : step;
    step *= d;
  }
}

// Joins dimensions that every operand walks through as one, so that most calls have rank 1.
void join_dimensions(MapArgs& a) {
  int rank = 0;
  for (int i = 0; i < a.rank; i++) {
    const int64_t d = a.shape[i];
    if (d == 1) continue;
    bool joins = rank > 0;
    for (int k = 0; joins && k < a.inputs; k++) joins = a.stride[k][rank - 1] == a.stride[k][i] * d;
    if (joins) a.shape[rank - 1] *= d;
    else a.shape[rank++] = d;
    for (int k = 0; k < a.inputs; k++) a.stride[k][rank - 1] = a.stride[k][i];
  }
  if (rank == 0) {
    a.shape[0] = 1;
    for (int k = 0; k < a.inputs; k++) a.stride[k][0] = 0;
    rank = 1;
  }
  a.rank = rank;
}

}  // namespace

MapArgs map_arguments(const char* name, const void* op, std::span<const Tensor> in, const Tensor& out) {
  if (out.rank() > max_map_rank)
    throw ShapeError("[" + std::string(name) + "] shape " + to_string(out.shape()) + " has more than 8 dimensions");
  MapArgs a;
  a.op = op;
  a.name = name;
  a.inputs = static_cast<int>(in.size());
  a.dtype = in.back().dtype();
  a.out = out.raw();
  a.rank = static_cast<int>(out.rank());
  a.size = out.size();
  std::copy(out.shape().begin(), out.shape().end(), a.shape);
  int k = 0;
  for (const Tensor& t : in) {
    if (t.device() != out.device()) throw DeviceError("[" + std::string(name) + "] operands are on different devices");
    a.in[k] = t.raw();
    set_strides(name, t.shape(), out.shape(), a.stride[k++]);
  }
  if (a.size > 0) join_dimensions(a);
  return a;
}

void run_map(MapFunction function, const char* name, const void* op, std::initializer_list<Tensor> in, const Tensor& out) {
  if (!function) no_implementation(name, out.device(), nullptr);
  const MapArgs a = map_arguments(name, op, {in.begin(), in.size()}, out);
  if (a.size > 0) function(a);
}

void select(const Tensor& mask, const Tensor& yes, const Tensor& no, const Tensor& y) {
  if (mask.dtype() != Dtype::u8) throw DtypeError("[select] the mask must be u8, got " + std::string(to_string(mask.dtype())));
  run_map(map_table(y.device()).select, "select", nullptr, {mask, yes, no}, y);
}

}  // namespace sono::kernels
