// A training step holds a few hundred large blocks, and tens of free pieces lie between them: a search through an array is quicker than any
// tree. Ranges are aligned to 2 MiB and ask for huge pages: a 512th of the page faults, and of the misses of address translation.
#include "tensor/heap.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "tensor/sanitizers.h"

namespace sono {
namespace {

constexpr size_t huge_page = size_t{2} << 20;
#ifdef SONO_ASAN
constexpr size_t range = size_t{64} << 20;  // each byte of it costs an eighth of a byte of shadow
#else
constexpr size_t range = size_t{1} << 30;
#endif

size_t rounded_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

// Addresses cost nothing until they are used, so a range is wide. One for a block that is wider yet is checked against the memory that
// there is.
bool Heap::reserve(size_t bytes) {
  if (bytes > SIZE_MAX / 4) return false;
  for (size_t wide = std::max(range, rounded_up(bytes, huge_page)); wide >= bytes; wide /= 2) {
    void* p =
        ::mmap(nullptr, wide + huge_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | (wide <= range ? MAP_NORESERVE : 0), -1, 0);
    if (p == MAP_FAILED) continue;
    char* aligned = reinterpret_cast<char*>(rounded_up(reinterpret_cast<uintptr_t>(p), huge_page));
#ifdef MADV_HUGEPAGE
    ::madvise(aligned, wide, MADV_HUGEPAGE);  // a wish: without it pages are small
#endif
    forbid(aligned, wide);
    const auto after = std::upper_bound(free_.begin(), free_.end(), aligned, [](const char* at, const Piece& f) { return at < f.at; });
    free_.insert(after, {aligned, wide, 0});
    return true;
  }
  return false;
}

int Heap::find(size_t bytes) {
  for (int attempt = 0; attempt < 2; attempt++) {
    int best = -1;
    for (int i = 0; i < static_cast<int>(free_.size()); i++) {
      const size_t size = free_[static_cast<size_t>(i)].bytes;
      if (size >= bytes && (best < 0 || size < free_[static_cast<size_t>(best)].bytes)) best = i;
    }
    if (best >= 0) return best;
    if (!reserve(bytes)) break;
  }
  return -1;
}

size_t Heap::fresh(int piece, size_t bytes) const {
  const size_t touched = free_[static_cast<size_t>(piece)].touched;
  return bytes > touched ? bytes - touched : 0;
}

void* Heap::take(int piece, size_t bytes) {
  Piece& f = free_[static_cast<size_t>(piece)];
  void* p = f.at;
  f.at += bytes, f.bytes -= bytes, f.touched -= std::min(f.touched, bytes);
  if (f.bytes == 0) free_.erase(free_.begin() + piece);
  allow(p, bytes);
  return p;
}

void Heap::give(void* p, size_t bytes) {
  forbid(p, bytes);
  const Piece piece{static_cast<char*>(p), bytes, bytes};
  auto at = std::upper_bound(free_.begin(), free_.end(), piece.at, [](const char* a, const Piece& f) { return a < f.at; });
  at = free_.insert(at, piece);
  const auto join = [&](std::vector<Piece>::iterator left) {  // with its right neighbour, if they touch
    const auto right = std::next(left);
    if (left->at + left->bytes != right->at) return;
    left->bytes += right->bytes, left->touched += right->touched;
    free_.erase(right);
  };
  if (std::next(at) != free_.end()) join(at);
  if (at != free_.begin()) join(std::prev(at));
}

void Heap::trim() {
  for (Piece& f : free_) {
    if (f.touched) ::madvise(f.at, f.bytes, MADV_DONTNEED);
    f.touched = 0;
  }
}

}  // namespace sono
