#pragma once
// Large blocks of the CPU's memory, cut from a few wide ranges of addresses and joined again with their neighbours when they are given
// back: what one layer's activations leave, another layer's gradients of any other size take. Always the smallest free piece that is large
// enough, the lowest of equals. Untouched memory is taken last, so a program holds little more than its tensors at their peak.
#include <cstddef>
#include <vector>

namespace sono {

class Heap {
 public:
  static constexpr size_t page = 4096;  // blocks are multiples of it

  // Where a block of so many bytes would come from; asks the system for addresses if no piece is large enough. -1: there are none.
  int find(size_t bytes);
  size_t fresh(int piece, size_t bytes) const;  // how much of it the system has not given memory for yet
  void* take(int piece, size_t bytes);
  void give(void* p, size_t bytes);
  void trim();  // free memory goes back to the system, the addresses stay

 private:
  struct Piece {
    char* at;
    size_t bytes, touched;  // touched: has memory behind it, from the beginning on
  };
  bool reserve(size_t bytes);
  std::vector<Piece> free_;  // by address
};

}  // namespace sono
