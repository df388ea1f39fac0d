#pragma once
// Solvers of libraries that take long to load: OpenCV, and LIBLINEAR with the BLAS that it wants (OpenBLAS starts threads, which spin).
// They are in a module that comes with the first head that asks for them, so that whoever needs none of them does not wait.
#include <memory>
#include <string>
#include <vector>

struct model;  // LIBLINEAR's
struct parameter;
struct problem;

namespace sono::zoo {

struct ForestOptions {
  int trees, depth, leaf, tries, seed;
};

// A random forest [Breiman, "Random forests", 2001] by OpenCV.
class Trees {
 public:
  virtual ~Trees() = default;
  virtual int features() const = 0;
  virtual void votes(const float* x, int rows, int classes, float* p) const = 0;  // p (rows, classes): the trees' share; x (rows, features)
  virtual std::string text() const = 0;                                           // for read_forest()
};

struct Learners {
  std::unique_ptr<Trees> (*grow_forest)(const float* x, int rows, int features, const std::vector<int>& y, const ForestOptions& options);
  std::unique_ptr<Trees> (*read_forest)(const std::string& text);  // empty: that is no forest
  model* (*train_linear)(const problem* cases, const parameter* settings);
  void (*free_linear)(model** m);
};

// Loads them, once: lib/sonograd_learners.so beside the program's folder, or in the build tree. FileError if it is not there.
const Learners& learners();

}  // namespace sono::zoo
