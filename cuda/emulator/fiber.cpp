#include "cuda/emulator/fiber.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <cstdint>
#include <cstring>
#include <new>

#include "tensor/sanitizers.h"

#if defined(__x86_64__)
// Keeps what a function must preserve (System V ABI) on the old stack and takes it from the new one.
extern "C" void sono_switch_stack(void** save, void* load);
asm(R"(
.pushsection .text
.hidden sono_switch_stack
.globl sono_switch_stack
.type sono_switch_stack, @function
sono_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size sono_switch_stack, . - sono_switch_stack
.popsection
)");
#endif

namespace sono::emulator {
namespace {

constexpr uint64_t canary = 0x736f6e6f67726164;  // at the lowest address of each stack
constexpr size_t cache_line = 64;

thread_local Fiber* running = nullptr;      // set just before the stack changes
thread_local Fiber* handed_over = nullptr;  // who ran before

}  // namespace

struct Fiber::Portable {
  ucontext_t context;
};

Fiber::Fiber() : portable_(std::make_unique<Portable>()) {
#ifdef SONO_TSAN
  thread_sanitizer_ = __tsan_get_current_fiber();
#endif
}

Fiber::Fiber(Entry entry, size_t stack_bytes, size_t number, bool portable)
    : entry_(entry), bytes_(stack_bytes), stagger_(number * 5 % 64 * cache_line) {  // aligned stacks would share few sets of the L1 cache
#if !defined(__x86_64__)
  portable = true;
#endif
  if (portable) portable_ = std::make_unique<Portable>();
  void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  stack_ = static_cast<char*>(memory);
#ifdef SONO_TSAN
  thread_sanitizer_ = __tsan_create_fiber(0);
#endif
  restart();
}

Fiber::~Fiber() {
  if (!stack_) return;
#ifdef SONO_TSAN
  __tsan_destroy_fiber(thread_sanitizer_);
#endif
  munmap(stack_, bytes_);
}

void Fiber::restart() {
  allow(stack_, bytes_);  // frames that were never left
  address_sanitizer_ = {stack_, bytes_, nullptr};
  std::memcpy(stack_, &canary, sizeof canary);
  if (portable_) {
    getcontext(&portable_->context);
    portable_->context.uc_stack.ss_sp = stack_;
    portable_->context.uc_stack.ss_size = bytes_ - stagger_;
    portable_->context.uc_link = nullptr;
    makecontext(&portable_->context, &Fiber::begin, 0);
    return;
  }
  void** top = reinterpret_cast<void**>(stack_ + bytes_ - stagger_ - cache_line);
  *--top = nullptr;  // begin()'s return address: debuggers see the end of the stack
  *--top = reinterpret_cast<void*>(&Fiber::begin);
  for (int i = 0; i < 6; i++) *--top = nullptr;
  stack_pointer_ = top;
}

bool Fiber::overflowed() const { return stack_ && std::memcmp(stack_, &canary, sizeof canary) != 0; }

void Fiber::begin() {
#ifdef SONO_ASAN
  const void* stack;
  size_t bytes;
  __sanitizer_finish_switch_fiber(nullptr, &stack, &bytes);
  handed_over->address_sanitizer_.lowest = stack;  // how an OS thread's stack becomes known before anyone hands back to it
  handed_over->address_sanitizer_.bytes = bytes;
#endif
  running->entry_();
}

void Fiber::hand_over_to(Fiber& next) {
  running = &next, handed_over = this;
#ifdef SONO_ASAN
  __sanitizer_start_switch_fiber(&address_sanitizer_.shadow, next.address_sanitizer_.lowest, next.address_sanitizer_.bytes);
#endif
#ifdef SONO_TSAN
  __tsan_switch_to_fiber(next.thread_sanitizer_, 0);
#endif
#if defined(__x86_64__)
  if (!(stack_ ? portable_ : next.portable_))
    sono_switch_stack(&stack_pointer_, next.stack_pointer_);
  else
#endif
    swapcontext(&portable_->context, &next.portable_->context);
#ifdef SONO_ASAN
  __sanitizer_finish_switch_fiber(address_sanitizer_.shadow, nullptr, nullptr);
#endif
}

}  // namespace sono::emulator
