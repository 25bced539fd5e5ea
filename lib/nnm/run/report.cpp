// Lines of JSON and CSV.
#include "nnm/run/report.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <set>
#include <utility>

#include "nnm/base/file.h"
#include "nnm/base/json.h"
#include "nnm/base/output.h"

namespace nnm::run {

namespace {

// N of `fd:N`, a descriptor that is open.
int descriptor_of(const std::string& target) {
  int fd = -1;
  const char* end = target.data() + target.size();
  const auto read = std::from_chars(target.data() + 3, end, fd);
  NNM_CHECK(read.ec == std::errc() && read.ptr == end, config, "`{}` is no descriptor: fd:N",
            target);
  NNM_CHECK(::fcntl(fd, F_GETFD) >= 0, output, "descriptor {} is not open", fd);
  return fd;
}

}  // namespace

LineFile::LineFile(const std::string& target, bool append) : target_(target) {
  if (target.starts_with("fd:")) {
    owned_ = false;
    fd_ = descriptor_of(target);
    return;
  }
  if (const int own = own_descriptor(target); own >= 0) {
    owned_ = false;
    fd_ = own;
    return;
  }
  fd_ = open_to_write(target, O_CREAT | (append ? O_APPEND : O_TRUNC));
}

void LineFile::check(const std::string& target) {
  if (target.starts_with("fd:")) (void)descriptor_of(target);
  else check_writable(target);
}

LineFile::~LineFile() {
  if (owned_ && fd_ >= 0) ::close(fd_);
}

void LineFile::close() {
  if (!owned_ || fd_ < 0) return;
  const int fd = fd_;
  fd_ = -1;
  NNM_CHECK(::close(fd) == 0, output, "cannot write {}: {}", target_, std::strerror(errno));
}

void LineFile::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd_, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    NNM_CHECK(n > 0, output, "cannot write {}: {}", target_, std::strerror(errno));
    text.remove_prefix(static_cast<size_t>(n));
  }
}

namespace {

// Seconds that a clock gave, to the microsecond.
double rounded(double seconds) { return std::round(seconds * 1e6) / 1e6; }

Json opened(const char* event, const train::Moment& m) {
  Json j;
  j.object()
      .entry("event", event)
      .entry("time", rounded(m.seconds))
      .entry("step", m.step)
      .entry("epoch", m.epoch);
  return j;
}

std::string closed(Json& j) { return j.end().text() + "\n"; }

// The number after a key in a line that EventLog wrote; -1 where there is none.
template <class T>
T number_in(std::string_view line, std::string_view key) {
  const size_t at = line.find(key);
  T number = -1;
  if (at != std::string_view::npos)
    std::from_chars(line.data() + at + key.size(), line.data() + line.size(), number);
  return number;
}

}  // namespace

void EventLog::step(const train::StepEvent& e) {
  Json j = opened("step", e);
  j.entry("loss", e.loss).entry("loss_mean", e.loss_mean).entry("lr", e.lr);
  if (e.grad_norm) j.entry("grad_norm", *e.grad_norm);
  j.entry("samples_per_s", std::round(e.samples_per_s * 10) / 10);
  file_.write(closed(j));
}

void EventLog::epoch(const train::Moment& m) {
  Json j = opened("epoch", m);
  file_.write(closed(j));
}

void EventLog::eval(const train::EvalEvent& e) {
  Json j = opened("eval", e);
  j.entry("split", e.split).entry("loss", e.loss);
  for (const auto& [name, value] : e.metrics) j.entry(name, value);
  j.entry("samples", e.samples).entry("seconds", rounded(e.took));
  file_.write(closed(j));
}

void EventLog::checkpoint(const train::CheckpointEvent& e) {
  Json j = opened("checkpoint", e);
  j.entry("path", e.path).entry("bytes", e.bytes).entry("seconds", rounded(e.took));
  j.entry("best", e.best);
  file_.write(closed(j));
}

void EventLog::other(const std::string& kind, const train::Moment& m, const Items& fields) {
  Json j = opened(kind.c_str(), m);
  for (const auto& [name, value] : fields) j.entry(name, value);
  file_.write(closed(j));
}

void EventLog::end(const train::EndEvent& e) {
  Json j = opened("end", e);
  j.entry("reason", train::reason_name(e.reason)).entry("exit_code", e.exit_code);
  j.entry("seconds", rounded(e.seconds));
  file_.write(closed(j));
}

double EventLog::cut(const std::string& path, int64_t step, const train::History& history) {
  std::set<std::pair<std::string_view, int64_t>> rows;
  for (const train::History::Row& row : history.rows())
    rows.emplace(row.eval ? "eval" : "step", row.step);
  // Where a run stopped it told of a step that it would not tell of when it goes on.
  const auto gone = [&](std::string_view line) {
    // What a power failure leaves of a line.
    if (!line.starts_with("{\"event\": \"") || !line.ends_with("}\n")) return true;
    const auto at = number_in<int64_t>(line, "\"step\": ");
    if (at > step || line.starts_with("{\"event\": \"end\"")) return true;
    for (const std::string_view kind : {"step", "eval"})
      if (line.starts_with(fmt::format("{{\"event\": \"{}\"", kind)))
        return !rows.contains({kind, at});
    return false;
  };
  double last = 0;
  if (::access(path.c_str(), F_OK) != 0) return last;
  const std::string all = read_file(path, size_t{1} << 40);
  std::string kept;
  for (size_t begin = 0, end = 0; begin < all.size(); begin = end + 1) {
    end = all.find('\n', begin);
    if (end == std::string::npos) break;
    const std::string_view line = std::string_view(all).substr(begin, end + 1 - begin);
    if (gone(line)) continue;
    last = std::max(last, number_in<double>(line, "\"time\": "));
    kept += line;
  }
  write_file_atomic(path, kept);
  return last;
}

namespace {

// Replaces the file, so that a disk which fills up here costs none of its rows.
const std::string& begun(const std::string& path, const train::History& history) {
  std::string text = history.csv_header();
  for (const train::History::Row& row : history.rows())
    text += train::History::csv(row, history.names().size());
  write_file_atomic(path, text);
  return path;
}

}  // namespace

MetricsFile::MetricsFile(const std::string& path, const train::History& history)
    : history_(history), file_(begun(path, history), true) {}

void MetricsFile::step(const train::StepEvent& e) {
  file_.write(train::History::csv(history_.row(e), history_.names().size()));
}

void MetricsFile::eval(const train::EvalEvent& e) {
  file_.write(train::History::csv(history_.row(e), history_.names().size()));
}

StatusFile::StatusFile(std::string path, train::Goal goal, train::Target target)
    : path_(std::move(path)), goal_(goal), target_(std::move(target)) {}

void StatusFile::start(const train::Moment& m, std::optional<double> loss,
                       std::optional<double> best) {
  start_ = m;
  loss_ = loss;
  best_ = best;
  write("running", m, nullptr);
}

void StatusFile::eval(const train::EvalEvent& e) {
  const auto take = [&](const std::string& name, double value) {
    if (e.split + "." + name != target_.metric) return;
    if (!best_ || target_.better(value, *best_)) best_ = value;
  };
  take("loss", e.loss);
  for (const auto& [name, value] : e.metrics) take(name, value);
}

void StatusFile::tick(const train::Moment& m, double loss) {
  loss_ = loss;
  if (m.seconds - written_ >= 1) write("running", m, nullptr);
}

void StatusFile::end(const train::EndEvent& e) {
  const bool failed = e.reason == train::Reason::diverged || e.reason == train::Reason::error;
  write(failed ? "failed" : e.exit_code ? "stopped" : "done", e, &e);
}

void StatusFile::write(const std::string& state, const train::Moment& m,
                       const train::EndEvent* end) {
  written_ = m.seconds;
  Json j;
  j.object().entry("state", state).entry("pid", static_cast<int64_t>(::getpid()));
  j.entry("step", m.step).entry("epoch", m.epoch);
  const auto number = [&](const char* key, const std::optional<double>& v) {
    j.key(key);
    if (v) j.value(*v);
    else j.value(nullptr);
  };
  number("loss", loss_);
  number("best", best_);
  std::optional<double> eta = end ? 0 : goal_.seconds_left(start_, m);
  if (eta) eta = std::round(10 * *eta) / 10;
  number("eta_s", eta);
  j.key("exit_code");
  if (end) j.value(end->exit_code);
  else j.value(nullptr);
  j.key("reason");
  if (end) j.value(train::reason_name(end->reason));
  else j.value(nullptr);
  const std::string text = j.end().text() + "\n";
  // Whole or absent for readers, but not synced: it is about the present moment.
  const std::string part = path_ + kPart;
  try {
    LineFile file(part, false);
    file.write(text);
    file.close();
    NNM_CHECK(std::rename(part.c_str(), path_.c_str()) == 0, output, "cannot write {}: {}", path_,
              std::strerror(errno));
  } catch (...) {
    ::unlink(part.c_str());
    throw;
  }
}

}  // namespace nnm::run
