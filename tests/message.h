#pragma once
#include <functional>
#include <string>

#include "tensor/error.h"

namespace sono::tests {

// The message of the Error that f throws; empty if it throws none.
inline std::string message(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) { return error.what(); }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace sono::tests
