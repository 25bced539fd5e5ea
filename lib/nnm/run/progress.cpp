// A bar that rewrites its line, or lines that become rarer.
#include "nnm/run/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "nnm/base/error.h"
#include "nnm/base/log.h"
#include "nnm/base/signature.h"
#include "nnm/base/text.h"
#include "nnm/base/text_table.h"

namespace nnm::run {

namespace {

std::string clock_text(double seconds) {
  const auto s = static_cast<int64_t>(std::ceil(std::min(seconds, 9e15)));
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}:{:02}", s / 60, s % 60);
  return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

std::string metrics_text(const train::EvalEvent& e) {
  std::string out =
      fmt::format("{} ({}): loss {}", e.split, counted(e.samples, "sample"), short_number(e.loss));
  for (const auto& [name, value] : e.metrics)
    out += fmt::format(", {} {}", name, short_number(value));
  return out;
}

void put(const std::string& text) {
  [[maybe_unused]] const size_t n = std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

// What both styles know of the run's speed.
class Progress : public train::Events {
 public:
  explicit Progress(train::Goal goal) : goal_(goal) {}
  void step(const train::StepEvent& e) override {
    samples_per_s_ = e.samples_per_s;
    loss_ = e.loss_mean;
  }
  void other(const std::string& kind, const train::Moment& m, const Items& fields) override {
    (void)fields;
    if (kind == "start") start_ = m;
  }

 protected:
  std::string line(const train::Moment& m) const {
    std::string out = fmt::format("epoch {} step {}", m.epoch, m.step);
    if (goal_.steps) out += fmt::format("/{}", goal_.steps);
    if (loss_) out += "  loss " + short_number(*loss_);
    if (samples_per_s_ > 0) out += fmt::format("  {} samples/s", compact(samples_per_s_));
    if (const auto left = goal_.seconds_left(start_, m); left && *left > 0)
      out += "  eta " + clock_text(*left);
    return out;
  }
  static std::string compact(double n) {
    return n < 100 ? fmt::format("{:.3g}", n) : with_thousands(static_cast<int64_t>(n));
  }
  const train::Goal& goal() const { return goal_; }
  void set_loss(double loss) { loss_ = loss; }

 private:
  train::Goal goal_;
  train::Moment start_;  // of this process
  double samples_per_s_ = 0;
  std::optional<double> loss_;  // none at the start of a resumed run
};

class Plain : public Progress {
 public:
  using Progress::Progress;
  void tick(const train::Moment& m, double loss) override {
    set_loss(loss);
    if (m.seconds - last_ < wait()) return;
    say(m);
    ++lines_;
  }
  void epoch(const train::Moment& m) override {
    if (m.seconds - last_ >= 1) say(m);
  }
  void eval(const train::EvalEvent& e) override {
    newest_ = metrics_text(e);
    if (e.step != said_ && e.seconds - last_ < 1) return;
    put(newest_ + "\n");
    newest_.clear();
  }
  void end(const train::EndEvent& e) override {
    if (e.step != said_) say(e);
    if (!newest_.empty()) put(newest_ + "\n");
  }

 private:
  // Seconds from the last line to the next: 1, 2, 5, 10, 30, 60, 120, then twice as long.
  double wait() const {
    constexpr std::array<double, 7> kWaits = {1, 2, 5, 10, 30, 60, 120};
    if (lines_ < kWaits.size()) return kWaits[lines_];
    return std::ldexp(kWaits.back(), static_cast<int>(lines_ - kWaits.size()) + 1);
  }
  void say(const train::Moment& m) {
    last_ = m.seconds;
    said_ = m.step;
    put(line(m) + "\n");
  }
  double last_ = 0;
  int64_t said_ = 0;  // the step of the last line
  size_t lines_ = 0;
  std::string newest_;  // evaluation, not said yet
};

// Columns of the terminal, which may have another size by now.
size_t columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// Drawn over with spaces, not by escape sequences: those are colours to some readers.
class Bar : public Progress {
 public:
  explicit Bar(train::Goal goal) : Progress(goal), leave_([this] { leave(); }) {}
  void tick(const train::Moment& m, double loss) override {
    set_loss(loss);
    if (m.seconds - last_ >= 0.1) draw(m);
  }
  void eval(const train::EvalEvent& e) override {
    leave();
    put(fmt::format("epoch {}  {}\n", e.epoch, metrics_text(e)));
    draw(e);
  }
  void end(const train::EndEvent& e) override {
    draw(e);
    put("\n");
    drawn_ = 0;
  }

 private:
  static constexpr size_t kWidest = 24, kNarrowest = 5;
  void draw(const train::Moment& m) {
    last_ = m.seconds;
    // A line that fills the last column wraps, and is not drawn over any more.
    const size_t room = columns() - 1;
    std::string text = line(m);
    if (const std::optional<double> share = goal().share(m)) {
      text = fmt::format("{:3.0f}%  ", std::floor(100 * *share)) + text;
      const size_t left = room - std::min(room, text.size() + 1);
      if (left >= kNarrowest) text = bar(std::min(left, kWidest), *share) + " " + text;
    }
    // A bar is only there where all fits, so that bytes are characters here.
    if (code_points(text) > room) text.resize(room);
    const size_t width = code_points(text), before = std::min(drawn_.load(), room);
    put("\r" + text + std::string(before - std::min(before, width), ' '));
    drawn_ = width;
  }
  static std::string bar(size_t width, double share) {
    std::string out;
    for (size_t i = 0; i < width; ++i)
      out += static_cast<double>(i + 1) <= share * static_cast<double>(width) ? "█" : "░";
    return out;
  }
  // Gives the line to somebody else.
  void leave() {
    const size_t width = std::min(drawn_.exchange(0), columns() - 1);
    if (width > 0) put("\r" + std::string(width, ' ') + "\r");
  }

  double last_ = 0;
  std::atomic<size_t> drawn_{0};  // characters of the line that stands there
  BeforeLines leave_;
};

bool set(const char* variable) {
  const char* v = std::getenv(variable);
  return v && *v;
}

bool bar_is_seen() {
  const char* term = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) && !set("CI") && term && std::string_view(term) != "dumb";
}

}  // namespace

ProgressStyle parse_progress(const std::string& word) {
  const std::vector<std::string> words = {"auto", "bar", "plain", "none"};
  for (size_t i = 0; i < words.size(); ++i)
    if (word == words[i]) return static_cast<ProgressStyle>(i);
  throw Error(ErrorKind::config, fmt::format("unknown style of progress `{}`", word),
              "there is auto, bar, plain, none");
}

std::unique_ptr<train::Events> make_progress(ProgressStyle style, train::Goal goal) {
  if (style == ProgressStyle::none) return nullptr;
  if (style == ProgressStyle::bar || (style == ProgressStyle::automatic && bar_is_seen()))
    return std::make_unique<Bar>(goal);
  return std::make_unique<Plain>(goal);
}

}  // namespace nnm::run
