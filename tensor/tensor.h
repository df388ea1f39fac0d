#pragma once
// A Tensor is a cheap handle on contiguous, row-major memory on one device.
// Images are (N, H, W, C), volumes (N, D, H, W, C), sequences (N, T, C).
//
//   Tensor x = Tensor::zeros({8, 128, 128, 1});      // float32 on the CPU
//   Tensor row = x.rows(2, 3);                 // (1, 128, 128, 1), shares x's memory
//   x.reshape({8, -1});                              // (8, 16384), shares x's memory
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "tensor/error.h"

namespace sono {

using Shape = std::vector<int64_t>;

enum class Dtype : uint8_t { f32, f64, i32, u8 };
enum class Device : uint8_t { cpu, cuda };

int64_t count(const Shape& shape);          // number of values; 1 for ()
std::string to_string(const Shape& shape);  // "(8, 128, 128, 3)"
const char* to_string(Dtype dtype);         // "f32"
const char* to_string(Device device);       // "cpu"
int64_t byte_size(Dtype dtype);

template <class T> constexpr Dtype dtype_of();
template <> constexpr Dtype dtype_of<float>() { return Dtype::f32; }
template <> constexpr Dtype dtype_of<double>() { return Dtype::f64; }
template <> constexpr Dtype dtype_of<int32_t>() { return Dtype::i32; }
template <> constexpr Dtype dtype_of<uint8_t>() { return Dtype::u8; }

struct Node;     // the graph's business (autograd/graph.h); opaque here
struct Storage;  // reference-counted memory (tensor/memory.h)

class Tensor {
 public:
  Tensor() = default;  // empty handle: `if (!t)`
  explicit Tensor(Shape shape, Dtype dtype = Dtype::f32, Device device = Device::cpu);  // memory is not initialised

  static Tensor zeros(Shape shape, Dtype dtype = Dtype::f32, Device device = Device::cpu);
  static Tensor ones(Shape shape, Dtype dtype = Dtype::f32, Device device = Device::cpu);
  static Tensor full(Shape shape, double value, Dtype dtype = Dtype::f32, Device device = Device::cpu);
  static Tensor scalar(double value, Dtype dtype = Dtype::f32, Device device = Device::cpu);  // shape ()
  static Tensor arange(int64_t n, Dtype dtype = Dtype::f32);                                  // 0, 1 … n-1
  template <class T> static Tensor from(Shape shape, const std::vector<T>& values);
  // Like another tensor: same shape, dtype and device.
  static Tensor empty_like(const Tensor& t) { return Tensor(t.shape(), t.dtype(), t.device()); }
  static Tensor zeros_like(const Tensor& t) { return zeros(t.shape(), t.dtype(), t.device()); }

  const Shape& shape() const { return shape_; }
  int64_t rank() const { return static_cast<int64_t>(shape_.size()); }
  int64_t dim(int64_t i) const;  // negative i counts from the end; ShapeError beyond the rank
  int64_t size() const { return size_; }
  int64_t bytes() const { return size_ * byte_size(dtype_); }
  Dtype dtype() const { return dtype_; }
  Device device() const { return device_; }
  explicit operator bool() const { return storage_ != nullptr; }

  // The values. T must be the dtype (DtypeError). On a CUDA tensor this is a device pointer: copy with to(Device::cpu) to read it.
  template <class T> T* data() const {
    if (dtype_of<T>() != dtype_) wrong_dtype(dtype_of<T>());
    return static_cast<T*>(raw());
  }
  void* raw() const { return address_; }
  double item() const;                         // the single value of a one-value tensor, from any device; ShapeError otherwise
  double at(std::initializer_list<int64_t> index) const;  // one value, for tests and reports
  template <class T> std::vector<T> to_vector() const;    // a copy of the values, converted to T

  // Views that share memory and carry no graph node (the differentiable ones are in autograd/ops.h).
  Tensor view(Shape shape) const;                              // one dimension may be -1
  Tensor rows(int64_t first, int64_t last) const;              // [first, last) of the first dimension

  Tensor clone() const;                                        // a copy with its own memory, no node
  Tensor to(Dtype dtype) const;                                // converted copy (itself if nothing changes); floats to integers round to nearest
  Tensor to(Device device) const;
  void copy_from(const Tensor& other) const;                   // in place, same shape and dtype, from any device; raises the version
  void fill(double value) const;                               // in place; raises the version

  // In-place writers call this, so that a value saved for backward is known to have changed.
  void raise_version() const;
  uint32_t version() const;
  bool shares_memory_with(const Tensor& other) const { return storage_ && storage_ == other.storage_; }
  bool sole_owner() const { return storage_.use_count() == 1; }  // no other handle sees this memory: it may be written over

  const std::shared_ptr<Node>& node() const { return node_; }  // null: no gradient is wanted
  Tensor with_node(std::shared_ptr<Node> node) const;
  Tensor detach() const { return with_node(nullptr); }

 private:
  [[noreturn]] void wrong_dtype(Dtype asked) const;

  std::shared_ptr<Storage> storage_;
  void* address_ = nullptr;
  Shape shape_;
  int64_t size_ = 0;
  Dtype dtype_ = Dtype::f32;
  Device device_ = Device::cpu;
  std::shared_ptr<Node> node_;
};

// Calls f<T>() with the dtype's C++ type. visit takes every dtype, visit_real f32 and f64 only (DtypeError names the operation).
template <class F> decltype(auto) visit(Dtype dtype, F&& f) {
  switch (dtype) {
    case Dtype::f64: return f.template operator()<double>();
    case Dtype::i32: return f.template operator()<int32_t>();
    case Dtype::u8: return f.template operator()<uint8_t>();
    case Dtype::f32: break;
  }
  return f.template operator()<float>();
}
[[noreturn]] void not_real(const char* operation, Dtype dtype);
template <class F> decltype(auto) visit_real(const char* operation, Dtype dtype, F&& f) {
  if (dtype != Dtype::f32 && dtype != Dtype::f64) not_real(operation, dtype);
  return dtype == Dtype::f64 ? f.template operator()<double>() : f.template operator()<float>();
}

template <class T> Tensor Tensor::from(Shape shape, const std::vector<T>& values) {
  Tensor t(std::move(shape), dtype_of<T>());
  if (t.size() != static_cast<int64_t>(values.size()))
    throw ShapeError("[from] shape " + to_string(t.shape()) + " wants " + std::to_string(t.size()) + " values, got " + std::to_string(values.size()));
  std::copy(values.begin(), values.end(), t.data<T>());
  return t;
}

template <class T> std::vector<T> Tensor::to_vector() const {
  const Tensor t = to(Device::cpu).to(dtype_of<T>());
  return std::vector<T>(t.data<T>(), t.data<T>() + t.size());
}

}  // namespace sono
