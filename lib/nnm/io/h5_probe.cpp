// A first look at a file in a process of its own.
#include "nnm/io/h5_probe.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "nnm/base/error.h"

namespace nnm::io {
namespace {

constexpr rlim_t kSeconds = 5;
constexpr size_t kMaxMessage = 4096;  // less than a pipe holds, so that the child never waits
constexpr char kSound = 'k', kRefused = 'e';

void tell(int out, char verdict, std::string_view message) {
  std::string text(1, verdict);
  text += message.substr(0, kMaxMessage - 1);
  // A lost verdict reads as a crash.
  [[maybe_unused]] const ssize_t written = write(out, text.data(), text.size());
}

// The handlers of the program belong to its own crashes, and no core file is wanted of this one.
void prepare_child() {
  for (int s : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGXCPU, SIGALRM}) signal(s, SIG_DFL);
  const rlimit no_core{0, 0}, seconds{kSeconds, kSeconds};
  setrlimit(RLIMIT_CORE, &no_core);
  setrlimit(RLIMIT_CPU, &seconds);
}

[[noreturn]] void be_child(int out, const std::function<void()>& look) {
  prepare_child();
  try {
    look();
    tell(out, kSound, "");
  } catch (const std::exception& e) {
    tell(out, kRefused, e.what());
  }
  _exit(0);
}

std::string read_all(int in) {
  std::string text(kMaxMessage, '\0');
  size_t have = 0;
  while (have < text.size()) {
    const ssize_t n = read(in, text.data() + have, text.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    have += static_cast<size_t>(n);
  }
  text.resize(have);
  return text;
}

}  // namespace

std::string probe(const std::function<void()>& look) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return "";
  const pid_t child = fork();
  if (child == 0) be_child(ends[1], look);
  close(ends[1]);
  std::string text(1, kSound);
  if (child > 0) {
    // Where the program ignores SIGCHLD this waits too, and then fails: the verdict is in the pipe.
    while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) continue;
    text = read_all(ends[0]);
  }
  close(ends[0]);
  if (text.empty()) return "libhdf5 crashes or does not come to an end on it: the file is damaged";
  return text[0] == kSound ? "" : text.substr(1);
}

}  // namespace nnm::io
