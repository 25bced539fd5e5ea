// A first look at a file in a process of its own.
#include "nnm/io/h5_probe.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "nnm/base/error.h"

namespace nnm::io {
namespace {

constexpr rlim_t kSeconds = 5;
constexpr char kSound = 'k', kRefused = 'e';

// The verdict comes last: a lost one reads as a crash.
void tell(int out, char verdict, std::string message) {
  message += verdict;
  for (size_t done = 0; done < message.size();) {
    const ssize_t n = write(out, message.data() + done, message.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    done += static_cast<size_t>(n);
  }
}

// The handlers of the program belong to its own crashes, and no core file is wanted of this one.
void prepare_child() {
  for (int s : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGXCPU, SIGALRM}) signal(s, SIG_DFL);
  const rlimit no_core{0, 0}, seconds{kSeconds, kSeconds};
  setrlimit(RLIMIT_CORE, &no_core);
  setrlimit(RLIMIT_CPU, &seconds);
}

// The kernel sends the one at the soft limit and the other at the hard one, which are the same
// here.
bool ran_out_of_time(int signal) { return signal == SIGXCPU || signal == SIGKILL; }

[[noreturn]] void be_child(int out, const std::function<std::string()>& look) {
  prepare_child();
  try {
    tell(out, kSound, look());
  } catch (const std::exception& e) {
    tell(out, kRefused, e.what());
  }
  _exit(0);
}

// Until the other end is closed.
std::string read_all(int in) {
  constexpr size_t kAtOnce = 1 << 16;  // what a pipe holds
  std::string text;
  for (size_t have = 0;;) {
    text.resize(have + kAtOnce);
    const ssize_t n = read(in, text.data() + have, kAtOnce);
    if (n < 0 && errno == EINTR) continue;
    if (n > 0) have += static_cast<size_t>(n);
    text.resize(have);
    if (n <= 0) return text;
  }
}

}  // namespace

Verdict probe(const std::function<std::string()>& look) {
  // A pipe, not a file in memory: the limit of a file's size is for those, too.
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {};
  const pid_t child = fork();
  if (child == 0) be_child(ends[1], look);
  close(ends[1]);
  std::string text = child > 0 ? read_all(ends[0]) : "";
  close(ends[0]);
  int status = 0;
  // Where the program ignores SIGCHLD this waits too, and then fails: the verdict is there.
  while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (child < 0) return {};
  const char verdict = text.empty() ? '\0' : text.back();
  if (!text.empty()) text.pop_back();
  if (verdict == kSound) return {"", std::move(text)};
  if (verdict == kRefused) return {std::move(text), {}};
  // A sound file of a hundred thousand objects may take a slow machine as long.
  if (WIFSIGNALED(status) && ran_out_of_time(WTERMSIG(status)))
    return {fmt::format("libhdf5 has not read its structure after {} s of processor time: the file "
                        "is damaged, or it has more objects than this machine can look through",
                        kSeconds),
            {}};
  return {"libhdf5 crashes on it: the file is damaged", {}};
}

}  // namespace nnm::io
