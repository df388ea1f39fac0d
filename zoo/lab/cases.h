#pragma once
// What is measured: every entry of every heavy kernel on the shapes that the zoo's networks have, rivals beside them, and whole networks.
// One list, which `sonograd bench` and the Google Benchmark programs share. A new kernel is a line in one of the *_cases.cpp; a new entry
// of a kernel needs nothing.
//
//   conv2d/winograd/16->32 3x3 64x64 N8      kernel / entry / shape
//   step:unet, infer:unet                    one training step, one inference
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace sono::lab {

struct Prepared {
  std::function<void()> run;  // one call; empty: the entry does not fit, or the rival does not have it
  bool chosen = false;        // the entry that the kernel's list takes for these operands
  double flops = 0;           // of a whole network, known once it is built
};

struct Case {
  std::string name, kernel, entry, shape;  // entry and shape are empty for whole networks
  double flops = 0;                        // of the definition: a multiply-add is 2, a padded tap counts, a function of one value is 1
  double bytes = 0;                        // operands once, from memory and to memory; 0: not stated
  bool rival = false, slow = false;        // slow: seconds a call, left out unless asked for by name
  std::function<Prepared()> prepare;       // makes the operands
};

std::vector<Case> all_cases();

// The cases whose names contain the pattern or match it as a glob (* and ?), or all that are not slow. Error that names near ones if none.
std::vector<Case> select_cases(const std::string& pattern);
bool matches(const std::string& pattern, const std::string& name);

void add_conv_cases(std::vector<Case>& cases);
void add_matmul_cases(std::vector<Case>& cases);
void add_recurrent_cases(std::vector<Case>& cases);
void add_memory_cases(std::vector<Case>& cases);   // what moves more than it computes
void add_network_cases(std::vector<Case>& cases);  // works.h

}  // namespace sono::lab
