#pragma once
// Makes values in the background, in order, so that augmentation of the next batch overlaps the step on this one.
//
//   Prefetch<Batch> batches(n, [&](int64_t i) { return make_batch(epoch, i); });
//   for (int64_t i = 0; i < n; i++) train_on(batches.next());
//
// make runs on one other thread, for 0, 1, … in turn; its draws must come from Random(seed, purpose, epoch, i), not from next_stream(), so
// that nothing depends on who is first. Its parallel_for leaves the threads of the pool to the step. What it throws is thrown by next().
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "tensor/parallel.h"

namespace sono {

template <class T>
class Prefetch {
 public:
  Prefetch(int64_t n, std::function<T(int64_t)> make, int64_t ahead = 2) : make_(std::move(make)), n_(n), ahead_(ahead) {
    if (ahead_ > 0) thread_ = std::thread([this] { fill(); });
  }
  ~Prefetch() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }
  Prefetch(const Prefetch&) = delete;
  Prefetch& operator=(const Prefetch&) = delete;

  T next() {  // the caller asks n times at most
    if (ahead_ <= 0) return make_(taken_++);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !ready_.empty() || failure_; });
    if (ready_.empty()) std::rethrow_exception(failure_);
    T value = std::move(ready_.front());
    ready_.pop_front();
    lock.unlock();
    changed_.notify_all();
    return value;
  }

 private:
  void fill() {
    const SerialScope serial;
    try {
      for (int64_t i = 0; i < n_; i++) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return stop_ || static_cast<int64_t>(ready_.size()) < ahead_; });
        if (stop_) return;
        lock.unlock();
        T value = make_(i);
        lock.lock();
        ready_.push_back(std::move(value));
        changed_.notify_all();
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
      changed_.notify_all();
    }
  }

  std::function<T(int64_t)> make_;
  int64_t n_, ahead_, taken_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> ready_;
  std::exception_ptr failure_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace sono
