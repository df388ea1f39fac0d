#pragma once
// Work in a child process (internal to zoo/data). The libraries behind ITK print to stderr as they like, and some assert on damaged files,
// which ends the process: a child's end costs an error message, not the program.
#include <functional>
#include <optional>
#include <string>

namespace sono::zoo {

// What `work` returned, or nothing if it threw or its process died. `work` may use the standard library alone: no tensors and no threads
// (locks that other threads held when the child was made stay locked in it). Its stderr is closed.
std::optional<std::string> run_isolated(const std::function<std::string()>& work);

}  // namespace sono::zoo
