// Messages for people: one line each on stderr.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>
#include <string_view>

namespace nnm {

/// quiet: warnings only; normal: notes, too; verbose: details, too.
enum class LogLevel : uint8_t { quiet, normal, verbose };

void set_log_level(LogLevel level);
LogLevel log_level();

namespace detail {
void log_line(LogLevel needed, const char* prefix, std::string_view text);
void warn(const std::string& text);
}  // namespace detail

/// A line of its own, at the normal level and above. Control characters are escaped.
template <class... A>
void log_note(fmt::format_string<A...> format, A&&... args) {
  if (log_level() < LogLevel::normal) return;
  detail::log_line(LogLevel::normal, "", fmt::format(format, std::forward<A>(args)...));
}

/// As log_note, at the verbose level only.
template <class... A>
void log_detail(fmt::format_string<A...> format, A&&... args) {
  if (log_level() < LogLevel::verbose) return;
  detail::log_line(LogLevel::verbose, "", fmt::format(format, std::forward<A>(args)...));
}

/// `warning: …`, at every level; the sinks get the bare text.
template <class... A>
void log_warning(fmt::format_string<A...> format, A&&... args) {
  detail::warn(fmt::format(format, std::forward<A>(args)...));
}

/// While one lives, every warning of the process is also given to its function (a run writes them
/// to its events). Calls are serialised; the function must not throw or warn. Innermost first.
class WarningSink {
 public:
  explicit WarningSink(std::function<void(const std::string&)> sink);
  ~WarningSink();
  WarningSink(const WarningSink&) = delete;
  WarningSink& operator=(const WarningSink&) = delete;

 private:
  friend void detail::warn(const std::string&);
  std::function<void(const std::string&)> sink_;
  WarningSink* outer_;
};

/// While it lives, its function is called before each line of this file's: what stands on the
/// screen without being a whole line (a progress bar) makes way. One at a time; calls are
/// serialised.
class BeforeLines {
 public:
  explicit BeforeLines(std::function<void()> f);
  ~BeforeLines();
  BeforeLines(const BeforeLines&) = delete;
  BeforeLines& operator=(const BeforeLines&) = delete;
};

}  // namespace nnm
