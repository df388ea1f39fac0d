#include "cuda/emulator/emulator.h"

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "cuda/emulator/fiber.h"
#include "tensor/error.h"
#include "tensor/parallel.h"
#include "tensor/random.h"
#include "tensor/sanitizers.h"

namespace sono::emulator {

constinit thread_local const Thread* thread = nullptr;
constinit thread_local const Block* block = nullptr;

namespace {

constexpr size_t stack_bytes = 256 << 10;  // reserved; only touched pages exist
constexpr size_t red_zone = 64;            // bytes before and behind each shared array
constexpr unsigned char poison = 0xFF;     // every float and double made of it is NaN

// Reports are put together without the heap: they are written on a stack that is forgotten, so nothing would be freed.
struct Text {
  char characters[200];
};
[[gnu::format(printf, 1, 2)]] Text text(const char* format, ...) {
  Text t;
  va_list values;
  va_start(values, format);
  std::vsnprintf(t.characters, sizeof t.characters, format, values);
  va_end(values);
  return t;
}
Text text(const uint3& i) { return text("(%u, %u, %u)", i.x, i.y, i.z); }
Text text(const Where& where) {
  const char* slash = std::strrchr(where.file_name(), '/');
  return text("%s:%u", slash ? slash + 1 : where.file_name(), static_cast<unsigned>(where.line()));
}

bool same(const Where& a, const Where& b) {
  return a.line() == b.line() && a.column() == b.column() && (a.file_name() == b.file_name() || !std::strcmp(a.file_name(), b.file_name()));
}
uint3 unravel(uint64_t i, const dim3& size) {
  return {static_cast<unsigned>(i % size.x), static_cast<unsigned>(i / size.x % size.y), static_cast<unsigned>(i / size.x / size.y)};
}

// First in, first out; a thread is in it at most once.
class Queue {
 public:
  bool empty() const { return head_ == tail_; }
  void push(unsigned i) { items_[tail_++ % items_.size()] = i; }
  unsigned pop() { return items_[head_++ % items_.size()]; }
  void clear() { head_ = tail_ = 0; }

 private:
  std::array<unsigned, largest_block> items_;
  uint32_t head_ = 0, tail_ = 0;
};

// Where the lanes that one mask names meet. Values are kept twice: a lane may bring the next one while another has not read the last.
struct Meeting {
  unsigned mask = 0, arrived = 0, round = 0;
  WarpOperation operation{};
  uint64_t value[2][warp_size];
};

enum class State : uint8_t { runs, at_barrier, in_warp_operation, left };
struct ThreadState : Thread {
  State state;
  Fiber* fiber;
  Where waits_at;
};

struct SharedArray {
  const void* site;
  unsigned char* data;
  size_t bytes;
};

// What one OS thread needs to run blocks, one after another. Threads begin on idle fibers; one that ends without waiting leaves its fiber
// to the next, so that a kernel without barriers needs a single one.
class Engine {
 public:
  void prepare(const Launch& launch);
  void run_block(uint64_t number);
  void barrier(const Where& where);
  const uint64_t* exchange(WarpOperation operation, unsigned mask, uint64_t value, const Where& where);
  uint64_t shuffle(unsigned mask, uint64_t value, unsigned source, const Where& where);
  void* shared_array(const void* site, size_t bytes);
  void* dynamic_shared() { return shared_array(&launch_, launch_.shared_bytes); }

 private:
  void work();
  void run_thread(unsigned i);
  void wait(State state, const Where& where);
  void hand_over_to(Fiber& next);
  Fiber& next_fiber();
  Fiber& idle_fiber();
  void choose_order();
  void check_red_zones();
  void give_up();
  unsigned random(unsigned below) { return static_cast<unsigned>(random_.below(below)); }
  [[noreturn, gnu::format(printf, 2, 3)]] void fail(const char* what, ...);
  [[noreturn]] void report_deadlock();

  Launch launch_{};
  Block block_{};
  unsigned count_ = 0, begun_ = 0, left_ = 0, at_barrier_ = 0;
  Where barrier_;
  std::vector<ThreadState> threads_;
  std::vector<std::array<Meeting, warp_size>> warps_;  // a meeting is found by the lowest lane of its mask
  std::vector<unsigned> order_;
  Queue ready_;
  Random random_{0};

  Fiber main_;
  Fiber* running_ = &main_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  bool portable_ = false;

  struct alignas(128) Line {
    unsigned char bytes[128];
  };
  std::vector<Line> arena_{2 * largest_shared / sizeof(Line)};  // room for the red zones
  unsigned char* const arena_begin_ = arena_.data()->bytes;
  const size_t arena_bytes_ = arena_.size() * sizeof(Line);
  size_t arena_used_ = 0, static_used_ = 0;
  std::vector<SharedArray> arrays_;
  Text failure_{};
};

Engine& engine() {
  thread_local Engine engine;
  return engine;
}

void Engine::prepare(const Launch& launch) {
  launch_ = launch;
  block_ = {{}, launch.block, launch.grid};
  count_ = launch.block.x * launch.block.y * launch.block.z;
  if (std::exchange(portable_, options().portable_fibers) != options().portable_fibers) fibers_.clear(), idle_.clear();
  threads_.resize(count_);
  for (unsigned i = 0; i < count_; i++) static_cast<Thread&>(threads_[i]) = {unravel(i, launch.block), i, i % warp_size, i / warp_size};
  warps_.resize((count_ + warp_size - 1) / warp_size);
  order_.resize(count_);
}

void Engine::run_block(uint64_t number) {
  block_.index = unravel(number, launch_.grid);
  block = &block_;
  random_ = Random(options().seed, number);
  begun_ = left_ = at_barrier_ = 0;
  arena_used_ = static_used_ = 0;
  arrays_.clear();
  forbid(arena_begin_, arena_bytes_);
  choose_order();
  Fiber& first = idle_fiber();
  running_ = &first;
  main_.hand_over_to(first);
  thread = nullptr;
  allow(arena_begin_, arena_bytes_);
  if (!*failure_.characters) check_red_zones();
  if (*failure_.characters) give_up();
}

// What every fiber does: begin the threads that have not begun unless another can go on; when there is neither, lie idle.
void Engine::work() {
  for (;;) {
    while (ready_.empty() && begun_ < count_) run_thread(order_[begun_++]);
    Fiber& next = next_fiber();
    idle_.push_back(running_);
    hand_over_to(next);
  }
}

void Engine::run_thread(unsigned i) {
  ThreadState& t = threads_[i];
  t.state = State::runs;
  t.fiber = running_;
  thread = &t;
  launch_.body(launch_.arguments);
  t.state = State::left;
  left_++;
  if (running_->overflowed()) fail("a thread needs more than %zu KB of stack", stack_bytes >> 10);
  if (at_barrier_) fail("a thread left the kernel while others wait at __syncthreads (%s)", text(barrier_).characters);
}

Fiber& Engine::next_fiber() {
  if (!ready_.empty()) {
    ThreadState& t = threads_[ready_.pop()];
    t.state = State::runs;
    thread = &t;
    return *t.fiber;
  }
  if (begun_ < count_) return idle_fiber();
  if (left_ == count_) return main_;
  report_deadlock();
}

Fiber& Engine::idle_fiber() {
  if (idle_.empty()) {
    fibers_.push_back(std::make_unique<Fiber>([] { engine().work(); }, stack_bytes, fibers_.size(), portable_));
    return *fibers_.back();
  }
  Fiber& fiber = *idle_.back();
  idle_.pop_back();
  return fiber;
}

void Engine::hand_over_to(Fiber& next) {
  Fiber& before = *running_;
  running_ = &next;
  if (&next != &before) before.hand_over_to(next);
}

void Engine::wait(State state, const Where& where) {
  ThreadState& me = threads_[thread->linear];
  me.state = state;
  me.fiber = running_;
  me.waits_at = where;
  hand_over_to(next_fiber());
  thread = &me;
}

void Engine::barrier(const Where& where) {
  if (left_) fail("a thread waits at __syncthreads (%s) that others left the kernel without", text(where).characters);
  if (!at_barrier_) barrier_ = where;
  if (!same(barrier_, where))
    fail("threads of one block wait at different __syncthreads: %s and %s", text(barrier_).characters, text(where).characters);
  if (++at_barrier_ == count_) {
    at_barrier_ = 0;
    choose_order();
    for (unsigned i : order_) ready_.push(i);
  }
  wait(State::at_barrier, where);
}

void Engine::choose_order() {
  std::iota(order_.begin(), order_.end(), 0u);
  if (options().order == Order::reverse) std::reverse(order_.begin(), order_.end());
  if (options().order == Order::random)
    for (unsigned i = count_; i > 1; i--) std::swap(order_[i - 1], order_[random(i)]);
}

const uint64_t* Engine::exchange(WarpOperation operation, unsigned mask, uint64_t value, const Where& where) {
  const ThreadState& me = threads_[thread->linear];
  const unsigned first = me.warp * warp_size, lanes = std::min(count_ - first, warp_size);
  if (lanes < warp_size) mask &= (1u << lanes) - 1;
  if (!(mask >> me.lane & 1)) fail("a lane takes part in a warp operation (%s) whose mask does not name it", text(where).characters);
  Meeting& meeting = warps_[me.warp][__builtin_ctz(mask)];
  if (meeting.arrived && meeting.mask != mask) fail("lanes of one warp name different masks (%s)", text(where).characters);
  if (meeting.arrived && meeting.operation != operation)
    fail("lanes of one warp are in different warp operations (%s)", text(where).characters);
  const unsigned round = meeting.round;
  meeting.mask = mask;
  meeting.operation = operation;
  meeting.value[round][me.lane] = value;
  meeting.arrived |= 1u << me.lane;
  if (meeting.arrived != mask) {
    wait(State::in_warp_operation, where);
    return meeting.value[round];
  }
  meeting.arrived = 0;
  meeting.round ^= 1;
  const unsigned step = options().order == Order::forward   ? 1
                        : options().order == Order::reverse ? 31
                                                            : 2 * random(16) + 1;  // odd: meets every lane once
  for (unsigned i = 0, lane = step == 31 ? 31 : 0; i < warp_size; i++, lane = (lane + step) % warp_size)
    if (lane != me.lane && mask >> lane & 1) ready_.push(first + lane);
  return meeting.value[round];
}

uint64_t Engine::shuffle(unsigned mask, uint64_t value, unsigned source, const Where& where) {
  const unsigned lanes = std::min(count_ - thread->warp * warp_size, warp_size);
  if (!(mask >> source & 1) || source >= lanes) fail("a shuffle (%s) reads lane %u, which takes no part", text(where).characters, source);
  return exchange(WarpOperation::shuffle, mask, value, where)[source];
}

void* Engine::shared_array(const void* site, size_t bytes) {
  for (const SharedArray& a : arrays_)
    if (a.site == site) return a.data;
  if (site != &launch_) static_used_ += bytes;
  const size_t total = static_used_ + launch_.shared_bytes;
  if (static_used_ > largest_static_shared)
    fail("GPU_SHARED arrays take %zu bytes, the limit is 48 KB: use GPU_DYNAMIC_SHARED", static_used_);
  if (total > largest_shared) fail("%zu bytes of shared memory, the limit of the smallest target is 99 KB", total);
  const size_t begin = (arena_used_ + red_zone + 127) / 128 * 128, end = begin + bytes + red_zone;
  if (end > arena_bytes_) fail("more shared arrays than the emulator has room for");
  unsigned char* data = arena_begin_ + begin;
  allow(arena_begin_ + arena_used_, end - arena_used_);
  std::memset(arena_begin_ + arena_used_, poison, end - arena_used_);
  forbid(arena_begin_ + arena_used_, end - arena_used_);
  allow(data, bytes);
  arena_used_ = end;
  arrays_.push_back({site, data, bytes});
  return data;
}

void Engine::check_red_zones() {
  for (const SharedArray& a : arrays_)
    for (size_t i = 0; i < red_zone; i++)
      if (a.data[a.bytes + i] != poison || *(a.data - 1 - i) != poison) {
        failure_ = text("[%s] a thread of block %s wrote beyond a shared array of %zu bytes", launch_.name, text(block_.index).characters,
                        a.bytes);
        return;
      }
}

// Leaves the block where it stands: the stacks of its threads are forgotten, and run_block() throws on the OS thread's own.
void Engine::fail(const char* what, ...) {
  Text reason;
  va_list values;
  va_start(values, what);
  std::vsnprintf(reason.characters, sizeof reason.characters, what, values);
  va_end(values);
  failure_ =
      text("[%s] %s; block %s, thread %s", launch_.name, reason.characters, text(block_.index).characters, text(thread->index).characters);
  hand_over_to(main_);
  std::abort();  // nobody hands back to a forgotten fiber
}

void Engine::report_deadlock() {
  unsigned in_warp_operation = 0;
  const ThreadState* first = nullptr;
  for (const ThreadState& t : threads_) {
    in_warp_operation += t.state == State::in_warp_operation;
    if (!first && t.state != State::left) first = &t;
  }
  thread = first;
  fail("deadlock: %u threads in a warp operation, %u at __syncthreads, %u have left; the first waits at %s", in_warp_operation, at_barrier_,
       left_, text(first->waits_at).characters);
}

void Engine::give_up() {
  ready_.clear();
  idle_.clear();
  for (auto& fiber : fibers_) {
    fiber->restart();
    idle_.push_back(fiber.get());
  }
  for (auto& warp : warps_)
    for (Meeting& meeting : warp) meeting.arrived = 0;
  throw DeviceError(std::exchange(failure_, Text{}).characters);
}

Options options_at_start() {
  const char* name = std::getenv("SONO_EMULATOR_ORDER");
  const std::string order = name ? name : "forward";
  if (order == "forward") return {.order = Order::forward};
  if (order == "reverse") return {.order = Order::reverse};
  if (order == "random") return {.order = Order::random};
  throw DeviceError("[cuda] SONO_EMULATOR_ORDER is " + order + ", it may be forward, reverse or random");
}

}  // namespace

Options& options() {
  static Options options = options_at_start();
  return options;
}

void barrier(Where where) { engine().barrier(where); }
const uint64_t* exchange(WarpOperation operation, unsigned mask, uint64_t value, Where where) {
  return engine().exchange(operation, mask, value, where);
}
uint64_t shuffle(unsigned mask, uint64_t value, unsigned source_lane, Where where) {
  return engine().shuffle(mask, value, source_lane, where);
}
void* shared_array(const void* site, size_t bytes) { return engine().shared_array(site, bytes); }
void* dynamic_shared() { return engine().dynamic_shared(); }

namespace {

// What no GPU would start.
void check(const Launch& launch) {
  const auto [name, grid, block, shared_bytes, body, arguments] = launch;
  const auto refuse = [&](const Text& what) { throw DeviceError(std::string("[") + name + "] " + what.characters); };
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > largest_block || block.z > 64)
    refuse(text("a block of %s threads; 1 to 1024 are possible", text(uint3{block.x, block.y, block.z}).characters));
  if (!grid.x || !grid.y || !grid.z || grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535)
    refuse(text("a grid of %s blocks; 1 to 2147483647 x 65535 x 65535 are possible", text(uint3{grid.x, grid.y, grid.z}).characters));
  if (shared_bytes > largest_shared)
    refuse(text("asks for %zu bytes of shared memory, the limit of the smallest target is 99 KB", shared_bytes));
}

}  // namespace

void run(const Launch& launch) {
  check(launch);
  const int64_t blocks = int64_t{launch.grid.x} * launch.grid.y * launch.grid.z;
  std::vector<int64_t> shuffled;
  if (options().order == Order::random) shuffled = Random(options().seed, "blocks").permutation(blocks);
  parallel_for(blocks, std::max<int64_t>(1, blocks / 256), [&](int64_t first, int64_t last) {
    engine().prepare(launch);
    for (int64_t b = first; b < last; b++)
      engine().run_block(static_cast<uint64_t>(!shuffled.empty() ? shuffled[b] : options().order == Order::reverse ? blocks - 1 - b : b));
  });
}

}  // namespace sono::emulator
