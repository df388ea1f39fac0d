#pragma once
// A fiber: a function with a stack of its own that runs until it hands the processor to another fiber of the same OS thread.
// On x86-64 a hand-over saves six registers and changes the stack pointer (some 3 ns); ucontext, the portable way, asks the
// kernel for the signal mask each time (some 200 ns). Address and thread sanitizer are told of every change of stack.
//
//   Fiber here, other(entry);        // entry is a void() that never returns
//   here.hand_over_to(other);        // entry runs until other.hand_over_to(here)
#include <cstddef>
#include <memory>

namespace sono::emulator {

class Fiber {
 public:
  using Entry = void (*)();

  Fiber();                                                               // whatever runs now: the OS thread's own stack
  Fiber(Entry entry, size_t stack_bytes, size_t number, bool portable);  // `number` staggers the stacks over the cache's sets
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  void hand_over_to(Fiber& next);  // returns when somebody hands back
  void restart();                  // forgets what was running: the next hand-over begins the entry again
  bool overflowed() const;         // its function needed more than its stack

 private:
  static void begin();

  struct Portable;  // the ucontext
  Entry entry_ = nullptr;
  char* stack_ = nullptr;  // lowest address; null for the OS thread's own
  size_t bytes_ = 0, stagger_ = 0;
  void* stack_pointer_ = nullptr;
  std::unique_ptr<Portable> portable_;
  struct {
    const void* lowest = nullptr;
    size_t bytes = 0;
    void* shadow = nullptr;
  } address_sanitizer_;
  [[maybe_unused]] void* thread_sanitizer_ = nullptr;
};

}  // namespace sono::emulator
