// Whole lines by single writes, so that lines of several threads and processes do not mix.
#include "nnm/base/log.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <mutex>

#include "nnm/base/text.h"

namespace nnm {

namespace {

std::atomic<LogLevel> level{LogLevel::normal};

std::mutex& sink_lock() {
  static std::mutex lock;
  return lock;
}
WarningSink* sinks = nullptr;

std::mutex& line_lock() {
  static std::mutex lock;
  return lock;
}
std::function<void()> before_line;

}  // namespace

void set_log_level(LogLevel l) { level.store(l, std::memory_order_relaxed); }
LogLevel log_level() { return level.load(std::memory_order_relaxed); }

namespace detail {

void log_line(LogLevel needed, const char* prefix, std::string_view text) {
  if (log_level() < needed) return;
  const std::string line = prefix + escape_terminal(text) + "\n";
  const std::scoped_lock held(line_lock());
  if (before_line) before_line();
  // A stderr that is gone is no reason to stop a run.
  for (std::string_view rest = line; !rest.empty();) {
    const ssize_t n = ::write(STDERR_FILENO, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    rest.remove_prefix(static_cast<size_t>(n));
  }
}

void warn(const std::string& text) {
  log_line(LogLevel::quiet, "warning: ", text);
  const std::scoped_lock held(sink_lock());
  for (WarningSink* s = sinks; s; s = s->outer_) s->sink_(text);
}

}  // namespace detail

WarningSink::WarningSink(std::function<void(const std::string&)> sink) : sink_(std::move(sink)) {
  const std::scoped_lock held(sink_lock());
  outer_ = sinks;
  sinks = this;
}

WarningSink::~WarningSink() {
  const std::scoped_lock held(sink_lock());
  for (WarningSink** at = &sinks; *at; at = &(*at)->outer_) {
    if (*at == this) {
      *at = outer_;
      return;
    }
  }
}

BeforeLines::BeforeLines(std::function<void()> f) {
  const std::scoped_lock held(line_lock());
  before_line = std::move(f);
}

BeforeLines::~BeforeLines() {
  const std::scoped_lock held(line_lock());
  before_line = nullptr;
}

}  // namespace nnm
