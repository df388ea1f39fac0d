#pragma once
// Work in other processes (internal to zoo/data). The libraries behind ITK print to stderr as they like, and some assert on damaged files,
// which ends the process: a child's end costs an error message, not the program.
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace sono::zoo {

// Children that answer requests, one for each caller at a time. They are made when first needed and stay: to fork for every file would make
// the program pay for its memory's pages each time.
class IsolatedWorkers {
 public:
  // `work` runs in the child. It may use the standard library and what it loads itself, but no tensors and no threads of ours: locks that
  // other threads held when the child was made stay locked in it. Its stdout and stderr are closed. More than five minutes for one request
  // end it.
  explicit IsolatedWorkers(std::string (*work)(const std::string& request)) : work_(work) {}
  ~IsolatedWorkers();
  IsolatedWorkers(const IsolatedWorkers&) = delete;
  IsolatedWorkers& operator=(const IsolatedWorkers&) = delete;

  // What `work` returned, or nothing if it threw or its process died. Thread-safe. Error if the system starts no process.
  std::optional<std::string> operator()(const std::string& request);

 private:
  struct Child {
    int pid = -1, socket = -1;
  };
  Child take();
  static void end(const Child& child);

  std::string (*work_)(const std::string&);
  std::mutex mutex_;
  std::vector<Child> idle_;
};

}  // namespace sono::zoo
