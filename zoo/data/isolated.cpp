#include "zoo/data/isolated.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "tensor/error.h"

namespace sono::zoo {
namespace {

constexpr uint64_t failed = UINT64_MAX;
constexpr unsigned most_seconds = 300;

bool send_all(int socket, const void* data, size_t n) {
  for (const char* at = static_cast<const char*>(data); n > 0;) {
    const ssize_t sent = send(socket, at, n, MSG_NOSIGNAL);  // a dead child is no reason to get SIGPIPE
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    at += sent, n -= static_cast<size_t>(sent);
  }
  return true;
}

bool receive_all(int socket, void* data, size_t n) {
  for (char* at = static_cast<char*>(data); n > 0;) {
    const ssize_t got = recv(socket, at, n, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got, n -= static_cast<size_t>(got);
  }
  return true;
}

// A message: its length in 8 bytes, then itself.
bool send_message(int socket, const std::string& s) {
  const uint64_t size = s.size();
  return send_all(socket, &size, sizeof size) && send_all(socket, s.data(), s.size());
}

// Answers until the program closes its end.
[[noreturn]] void serve(int socket, std::string (*work)(const std::string&)) {
  const int nowhere = open("/dev/null", O_WRONLY);
  if (nowhere >= 0) dup2(nowhere, STDERR_FILENO), dup2(nowhere, STDOUT_FILENO);
  uint64_t size = 0;
  while (receive_all(socket, &size, sizeof size)) {
    std::string request(size, '\0');
    if (!receive_all(socket, request.data(), size)) break;
    alarm(most_seconds);
    bool sent = false;
    try {
      sent = send_message(socket, work(request));
    } catch (...) {  // the caller hears that it failed
      sent = send_all(socket, &failed, sizeof failed);
    }
    alarm(0);
    if (!sent) break;
  }
  _exit(0);
}

}  // namespace

IsolatedWorkers::Child IsolatedWorkers::take() {
  const std::lock_guard<std::mutex> turn(mutex_);
  if (!idle_.empty()) {
    const Child child = idle_.back();
    idle_.pop_back();
    return child;
  }
  int ends[2] = {-1, -1};  // under the lock: a child must not inherit the child's end of another pair, whose death would go unseen
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) throw Error("[read_image] the system gives no more sockets");
  const pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    serve(ends[1], work_);
  }
  close(ends[1]);
  if (pid > 0) return {pid, ends[0]};
  close(ends[0]);
  throw Error("[read_image] the system starts no more processes");
}

void IsolatedWorkers::end(const Child& child) {
  shutdown(child.socket, SHUT_RDWR);  // not only close: later children hold copies of this end
  close(child.socket);
  int status = 0;
  while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {}
}

std::optional<std::string> IsolatedWorkers::operator()(const std::string& request) {
  const Child child = take();
  uint64_t size = 0;
  std::optional<std::string> reply;
  bool alive = send_message(child.socket, request) && receive_all(child.socket, &size, sizeof size);
  if (alive && size != failed) {
    reply.emplace(size, '\0');
    alive = receive_all(child.socket, reply->data(), size);
    if (!alive) reply.reset();
  }
  if (!alive) {
    end(child);
    return std::nullopt;
  }
  const std::lock_guard<std::mutex> turn(mutex_);
  idle_.push_back(child);
  return reply;
}

IsolatedWorkers::~IsolatedWorkers() {
  for (const Child& child : idle_) end(child);
}

}  // namespace sono::zoo
