// What is said of a bench.
#include "nnm/base/json.h"
#include "nnm/base/text.h"
#include "nnm/base/text_table.h"
#include "nnm/run/bench.h"

namespace nnm::run {

namespace {

std::string milliseconds(double seconds) { return fmt::format("{:.3f}", seconds * 1e3); }

std::string change_cell(int64_t bytes) {
  const std::string text = human_bytes(static_cast<uint64_t>(std::abs(bytes)));
  return bytes < 0 ? "-" + text : text;
}

std::string line(const char* name, const Timing& t) {
  return fmt::format("{:10}{:>10} ms  (min {}, max {})\n", name, milliseconds(t.median),
                     milliseconds(t.min), milliseconds(t.max));
}

}  // namespace

std::string BenchReport::statement() const {
  std::string out = fmt::format(
      "{} of training {} after {} to warm up, batch {}, {} on {} with {}: ", counted(steps, "step"),
      config, warmup, batch, precision, device, counted(threads, "thread"));
  out += made_up ? "made-up inputs, the sum of the outputs as loss, backward"
                 : "the first batch of the data again and again, forward, loss, backward";
  out += optimizer.empty() ? ", no optimizer" : fmt::format(", {}", optimizer);
  out +=
      ". Modules are timed in further steps, with a clock in each: times are medians, of all "
      "calls in a step; `self` leaves out the modules below.";
  return out;
}

std::string BenchReport::text() const {
  TextTable table({"module", "type", "calls", "parameters", "forward", "self", "backward", "self",
                   "share", "memory"},
                  8);
  double all = 0;
  for (const ModuleBench& m : modules) all += m.forward_self + m.backward_self;
  for (const ModuleBench& m : modules) {
    table.row({m.name.empty() ? "(root)" : m.name, m.type, m.calls ? with_thousands(m.calls) : "-",
               m.parameters ? with_thousands(m.parameters) : "-", milliseconds(m.forward),
               milliseconds(m.forward_self), milliseconds(m.backward),
               milliseconds(m.backward_self),
               fmt::format("{:.1f}%", all > 0 ? 100 * (m.forward_self + m.backward_self) / all : 0),
               m.calls ? change_cell(m.memory) : "-"});
  }
  std::string out = statement() + "\n\n" + table.text() + "\n";
  out += line("step", step) + line("forward", forward) + line("backward", backward);
  if (!optimizer.empty()) out += line("optimizer", update);
  out += fmt::format("{:10}{:>10} samples/s\n", "speed", short_number(samples_per_s));
  out += fmt::format("{:10}{:>10} at the peak\n", "memory", human_bytes(peak_bytes));
  return out +
         "times in ms; share: of all time in modules, their own; memory: what the forward "
         "leaves allocated\n";
}

std::string BenchReport::csv() const {
  TextTable table({"module", "type", "calls", "parameters", "forward_s", "forward_self_s",
                   "backward_s", "backward_self_s", "memory_bytes", "memory_self_bytes"},
                  8);
  const auto number = [](double x) { return number_cell(x, true); };
  for (const ModuleBench& m : modules)
    table.row({m.name, m.type, std::to_string(m.calls), std::to_string(m.parameters),
               number(m.forward), number(m.forward_self), number(m.backward),
               number(m.backward_self), std::to_string(m.memory), std::to_string(m.memory_self)});
  return table.csv();
}

std::string BenchReport::json() const {
  Json j(2);
  j.object().entry("measured", statement()).entry("config", config).entry("device", device);
  j.entry("threads", threads).entry("precision", precision).entry("optimizer", optimizer);
  j.entry("batch", batch).entry("steps", steps).entry("warmup", warmup);
  j.entry("made_up_inputs", made_up).key("inputs").object();
  for (const auto& [name, shape] : inputs) j.entry(name, shape);
  j.end();
  for (const auto& [name, t] : {std::pair{"step_s", &step},
                                {"forward_s", &forward},
                                {"backward_s", &backward},
                                {"optimizer_s", &update}}) {
    j.key(name).object().entry("median", t->median).entry("min", t->min).entry("max", t->max).end();
  }
  j.entry("samples_per_s", samples_per_s).entry("peak_bytes", static_cast<int64_t>(peak_bytes));
  j.key("modules").array();
  for (const ModuleBench& m : modules) {
    j.object().entry("name", m.name).entry("type", m.type).entry("calls", m.calls);
    j.entry("parameters", m.parameters).entry("forward_s", m.forward);
    j.entry("forward_self_s", m.forward_self).entry("backward_s", m.backward);
    j.entry("backward_self_s", m.backward_self).entry("memory_bytes", m.memory);
    j.entry("memory_self_bytes", m.memory_self).end();
  }
  return j.end().end().text();
}

}  // namespace nnm::run
