#include "tensor/tensor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "tensor/memory.h"

namespace sono {

int64_t count(const Shape& shape) {
  int64_t n = 1;
  for (int64_t d : shape) {
    if (d < 0) throw ShapeError("[tensor] shape " + to_string(shape) + " has a negative dimension");
    if (d && n > std::numeric_limits<int64_t>::max() / 16 / d) throw ShapeError("[tensor] shape " + to_string(shape) + " is too large");
    n *= d;
  }
  return n;
}

std::string to_string(const Shape& shape) {
  std::string s = "(";
  for (size_t i = 0; i < shape.size(); i++) s += (i ? ", " : "") + std::to_string(shape[i]);
  return s + ")";
}

const char* to_string(Dtype dtype) {
  constexpr const char* names[] = {"f32", "f64", "i32", "u8"};
  return names[static_cast<int>(dtype)];
}
const char* to_string(Device device) { return device == Device::cpu ? "cpu" : "cuda"; }

int64_t byte_size(Dtype dtype) {
  constexpr int64_t sizes[] = {4, 8, 4, 1};
  return sizes[static_cast<int>(dtype)];
}

void not_real(const char* operation, Dtype dtype) {
  throw DtypeError("[" + std::string(operation) + "] wants f32 or f64, got " + to_string(dtype));
}

Tensor::Tensor(Shape shape, Dtype dtype, Device device) : shape_(std::move(shape)), size_(count(shape_)), dtype_(dtype), device_(device) {
  storage_ = std::make_shared<Storage>(static_cast<size_t>(bytes()), device);
  address_ = storage_->data;
}

Tensor Tensor::zeros(Shape shape, Dtype dtype, Device device) { return full(std::move(shape), 0, dtype, device); }
Tensor Tensor::ones(Shape shape, Dtype dtype, Device device) { return full(std::move(shape), 1, dtype, device); }
Tensor Tensor::scalar(double value, Dtype dtype, Device device) { return full({}, value, dtype, device); }

Tensor Tensor::full(Shape shape, double value, Dtype dtype, Device device) {
  Tensor t(std::move(shape), dtype, Device::cpu);
  visit(dtype, [&]<class T> { std::fill_n(t.data<T>(), t.size(), static_cast<T>(value)); });
  return t.to(device);
}

Tensor Tensor::arange(int64_t n, Dtype dtype) {
  Tensor t({n}, dtype);
  visit(dtype, [&]<class T> {
    for (int64_t i = 0; i < n; i++) t.data<T>()[i] = static_cast<T>(i);
  });
  return t;
}

int64_t Tensor::dim(int64_t i) const {
  const int64_t k = i < 0 ? i + rank() : i;
  if (k < 0 || k >= rank()) throw ShapeError("[dim] shape " + to_string(shape_) + " has no dimension " + std::to_string(i));
  return shape_[static_cast<size_t>(k)];
}

void Tensor::wrong_dtype(Dtype asked) const {
  throw DtypeError("[data] a tensor " + to_string(shape_) + " of " + to_string(dtype_) + " was read as " + to_string(asked));
}

double Tensor::item() const {
  if (size_ != 1) throw ShapeError("[item] wants one value, the shape is " + to_string(shape_));
  const Tensor t = to(Device::cpu);
  return visit(dtype_, [&]<class T> { return static_cast<double>(t.data<T>()[0]); });
}

double Tensor::at(std::initializer_list<int64_t> index) const {
  int64_t offset = 0;
  size_t k = 0;
  for (int64_t i : index) {
    if (k >= shape_.size() || i < 0 || i >= shape_[k]) throw ShapeError("[at] the index is outside of shape " + to_string(shape_));
    offset = offset * shape_[k++] + i;
  }
  if (k != shape_.size()) throw ShapeError("[at] shape " + to_string(shape_) + " wants " + std::to_string(rank()) + " indices");
  return visit(dtype_, [&]<class T> { return static_cast<double>(to(Device::cpu).data<T>()[offset]); });
}

Tensor Tensor::view(Shape shape) const {
  if (const auto free = std::find(shape.begin(), shape.end(), -1); free != shape.end()) {
    *free = 1;
    const int64_t rest = count(shape);
    *free = rest ? size_ / rest : 0;
  }
  if (count(shape) != size_)
    throw ShapeError("[reshape] " + to_string(shape_) + " has " + std::to_string(size_) + " values, " + to_string(shape) + " wants " +
                     std::to_string(count(shape)));
  Tensor t = detach();
  t.shape_ = std::move(shape);
  return t;
}

Tensor Tensor::rows(int64_t first, int64_t last) const {
  if (rank() == 0 || first < 0 || last < first || last > shape_[0])
    throw ShapeError("[rows] " + std::to_string(first) + " to " + std::to_string(last) + " is outside of shape " + to_string(shape_));
  Tensor t = detach();
  t.shape_[0] = last - first;
  t.size_ = count(t.shape_);
  const int64_t row = shape_[0] ? bytes() / shape_[0] : 0;
  t.address_ = static_cast<char*>(address_) + first * row;
  return t;
}

Tensor Tensor::clone() const {
  Tensor t(shape_, dtype_, device_);
  if (bytes()) device_memory(device_).copy(t.address_, device_, address_, device_, static_cast<size_t>(bytes()));
  return t;
}

namespace {

template <class To, class From>
To convert(From x) {
  if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    if (x != x) return To{};
    const double r = std::nearbyint(static_cast<double>(x)), low = static_cast<double>(std::numeric_limits<To>::min()),
                 high = static_cast<double>(std::numeric_limits<To>::max());
    return static_cast<To>(std::clamp(r, low, high));
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace

Tensor Tensor::to(Dtype dtype) const {
  if (dtype == dtype_) return *this;
  if (device_ != Device::cpu) return to(Device::cpu).to(dtype).to(device_);
  Tensor t(shape_, dtype);
  visit(dtype, [&]<class To> {
    visit(dtype_, [&]<class From> {
      const From* from = data<From>();
      To* into = t.data<To>();
      for (int64_t i = 0; i < size_; i++) into[i] = convert<To>(from[i]);
    });
  });
  return t;
}

Tensor Tensor::to(Device device) const {
  if (device == device_) return *this;
  Tensor t(shape_, dtype_, device);
  const Device other = device_ == Device::cpu ? device : device_;  // the one that knows how to copy
  if (bytes()) device_memory(other).copy(t.address_, device, address_, device_, static_cast<size_t>(bytes()));
  return t;
}

void Tensor::copy_from(const Tensor& other) const {
  if (other.shape() != shape_) throw ShapeError("[copy] from shape " + to_string(other.shape()) + " into " + to_string(shape_));
  const Tensor source = other.to(dtype_);
  const Device knows = device_ == Device::cpu ? source.device() : device_;
  if (bytes() && source.raw() != address_)
    device_memory(knows).copy(address_, device_, source.raw(), source.device(), static_cast<size_t>(bytes()));
  raise_version();
}

void Tensor::fill(double value) const { copy_from(full(shape_, value, dtype_)); }

void Tensor::raise_version() const { storage_->version++; }
uint32_t Tensor::version() const { return storage_ ? storage_->version : 0; }

Tensor Tensor::with_node(std::shared_ptr<Node> node) const {
  Tensor t = *this;
  t.node_ = std::move(node);
  return t;
}

}  // namespace sono
