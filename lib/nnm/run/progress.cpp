// A bar that rewrites its line, or lines that become rarer.
#include "nnm/run/progress.h"

#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "nnm/base/error.h"
#include "nnm/base/signature.h"
#include "nnm/base/text.h"
#include "nnm/base/text_table.h"

namespace nnm::run {

namespace {

std::string clock_text(double seconds) {
  const auto s = static_cast<int64_t>(std::ceil(seconds));
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
  explicit Progress(int64_t total_steps) : total_steps_(total_steps) {}
  void step(const train::StepEvent& e) override {
    samples_per_s_ = e.samples_per_s;
    loss_ = e.loss_mean;
  }

 protected:
  std::string line(const train::Moment& m) {
    if (first_step_ < 0) {
      first_step_ = std::max<int64_t>(m.step - 1, 0);
      began_ = m.seconds;
    }
    std::string out = fmt::format("epoch {} step {}", m.epoch, m.step);
    if (total_steps_) out += fmt::format("/{}", total_steps_);
    if (loss_) out += "  loss " + short_number(*loss_);
    if (samples_per_s_ > 0) out += fmt::format("  {} samples/s", compact(samples_per_s_));
    if (total_steps_ && m.step > first_step_ + 1 && m.step < total_steps_) {
      const double each = (m.seconds - began_) / static_cast<double>(m.step - first_step_ - 1);
      out += "  eta " + clock_text(each * static_cast<double>(total_steps_ - m.step));
    }
    return out;
  }
  static std::string compact(double n) {
    return n < 100 ? fmt::format("{:.3g}", n) : with_thousands(static_cast<int64_t>(n));
  }
  int64_t total_steps() const { return total_steps_; }
  void set_loss(double loss) { loss_ = loss; }

 private:
  int64_t total_steps_, first_step_ = -1;
  double samples_per_s_ = 0, began_ = 0;
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

class Bar : public Progress {
 public:
  using Progress::Progress;
  void tick(const train::Moment& m, double loss) override {
    set_loss(loss);
    if (m.seconds - last_ >= 0.1) draw(m);
  }
  void eval(const train::EvalEvent& e) override {
    put("\r\x1b[K" + fmt::format("epoch {}  ", e.epoch) + metrics_text(e) + "\n");
    draw(e);
  }
  void end(const train::EndEvent& e) override {
    draw(e);
    put("\n");
  }

 private:
  void draw(const train::Moment& m) {
    constexpr int kWidth = 24;
    last_ = m.seconds;
    std::string bar;
    if (total_steps()) {
      const int done = static_cast<int>(kWidth * m.step / total_steps());
      for (int i = 0; i < kWidth; ++i) bar += i < done ? "█" : "░";
      bar += fmt::format(" {:3}%  ", 100 * m.step / total_steps());
    }
    put("\r" + bar + line(m) + "\x1b[K");
  }
  double last_ = 0;
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

std::unique_ptr<train::Events> make_progress(ProgressStyle style, int64_t total_steps) {
  if (style == ProgressStyle::none) return nullptr;
  if (style == ProgressStyle::bar || (style == ProgressStyle::automatic && bar_is_seen()))
    return std::make_unique<Bar>(total_steps);
  return std::make_unique<Plain>(total_steps);
}

}  // namespace nnm::run
