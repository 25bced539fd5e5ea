// A dry run on the meta device, watched by hooks.
#include "nnm/run/summary.h"

#include <algorithm>
#include <map>
#include <utility>

#include "nnm/autograd/node.h"
#include "nnm/base/json.h"
#include "nnm/base/text.h"
#include "nnm/base/text_table.h"
#include "nnm/io/module_rows.h"
#include "nnm/lang/expression.h"
#include "nnm/ops/ops.h"
#include "nnm/optim/optimizer.h"
#include "nnm/run/check.h"
#include "nnm/tensor/allocator.h"

namespace nnm::run {
namespace {

constexpr Device kMeta{DeviceType::meta, 0};

std::vector<int64_t> dims(const Tensor& t) { return {t.shape().begin(), t.shape().end()}; }

int64_t bytes_of(const Tensor& t) { return t.numel() * static_cast<int64_t>(item_size(t.dtype())); }

void tensors_of(const Value& v, Tensors& out) {
  if (v.is(Value::Kind::tensor)) out.push_back(v.as<Tensor>());
  else if (v.is_sequence()) {
    for (const Value& x : v.items()) tensors_of(x, out);
  } else if (v.is(Value::Kind::dict)) {
    for (const auto& [name, x] : v.entries()) tensors_of(x, out);
  }
}

/// Hooks on every module that note the shapes of its first call, and the operations and memory of
/// all.
class Watch {
 public:
  explicit Watch(Module& root) {
    for (Module* m : root.modules()) {
      Seen& seen = seen_[m];
      handles_.emplace_back(m->register_forward_pre_hook([this, &seen](Module&, const Values&) {
        seen.begun.push_back({counter_.flops, taken()});
      }));
      handles_.emplace_back(
          m->register_forward_hook([this, &seen](Module&, const Args&, const Value& out) {
            seen.flops += counter_.flops - seen.begun.back().flops;
            seen.memory += taken() - seen.begun.back().memory;
            seen.begun.pop_back();
            if (std::exchange(seen.called, true)) return;
            Tensors outputs;
            tensors_of(out, outputs);
            for (const Tensor& t : outputs) seen.outputs.push_back(dims(t));
          }));
    }
  }
  void tell_calls(Module* m, ModuleSummary& s) const {
    const Seen& seen = seen_.at(m);
    s.outputs = seen.outputs;
    s.flops = seen.flops;
  }
  void tell_memory(Module* m, ModuleSummary& s) const {
    const Seen& seen = seen_.at(m);
    if (seen.called) s.memory = seen.memory;
  }
  int64_t flops() const { return counter_.flops; }

 private:
  struct Begun {
    int64_t flops, memory;
  };
  struct Seen {
    std::vector<Begun> begun;
    std::vector<std::vector<int64_t>> outputs;
    int64_t flops = 0, memory = 0;
    bool called = false;
  };
  static int64_t taken() { return static_cast<int64_t>(memory_stats(kMeta).allocated); }
  FlopCounter counter_;
  std::map<Module*, Seen> seen_;
  std::vector<ScopedHandle> handles_;
};

void count_state(Module& root, Summary& s) {
  for (const Tensor& p : root.parameters()) {
    s.parameters += p.numel();
    if (p.requires_grad()) s.trainable += p.numel();
    s.bytes += bytes_of(p);
  }
  for (const Tensor& b : root.buffers()) {
    s.buffers += b.numel();
    s.bytes += bytes_of(b);
  }
  for (const auto& [name, value] : root.state_dict("", true)) {
    if (!value.is(Value::Kind::tensor)) continue;
    const Tensor t = value.as<Tensor>();
    s.state_dict.push_back({name, dims(t), t.dtype(), is_parameter(t), t.requires_grad()});
  }
}

/// Tensors of the optimizer's state per element of a parameter.
int64_t state_bytes(const lang::Config& config, Module& root) {
  const lang::Tree* code = config.find("train.optimizer");
  if (!code || !code->is_scalar()) return 0;
  const std::vector<lang::CallSpec> calls = lang::read_calls(code->scalar, config.vars());
  if (calls.empty()) return 0;
  const Ref<optim::Optimizer> o = Registry<optim::Optimizer>::make(calls[0].name, calls[0].args);
  std::vector<optim::NamedParameter> all;
  for (const auto& [name, p] : root.named_parameters())
    if (p.requires_grad()) all.push_back({name, p});
  if (all.empty()) return 0;
  o->add_param_group(all);
  const auto before = memory_stats(kMeta).allocated;
  o->step();
  return static_cast<int64_t>(memory_stats(kMeta).allocated - before);
}

/// Runs a training step on meta: what lives at its peak, and what each module keeps. The loss
/// stands for any sum over outputs.
void count_training(const lang::Config& config, const lang::Model& model, Summary& s) {
  Module& root = *model.module;
  const auto before = memory_stats(kMeta).allocated;
  reset_peak_memory(kMeta);
  Tensors outputs;
  {
    const Watch watch(root);
    tensors_of(lang::check_shapes(config, model, s.inputs, true).output, outputs);
    std::erase_if(outputs, [](const Tensor& t) { return !t.requires_grad(); });
    if (outputs.empty()) return;
    for (ModuleSummary& m : s.modules) watch.tell_memory(&root.get_submodule(m.name), m);
  }
  Tensors sums;
  for (const Tensor& t : outputs) sums.push_back(sum(t));
  outputs.clear();
  backward(sums);
  sums.clear();
  const auto peak = memory_stats(kMeta).peak;
  s.training_bytes = s.bytes + static_cast<int64_t>(peak - before) + state_bytes(config, root);
}

std::string output_cell(const ModuleSummary& m) {
  std::string out;
  for (const auto& shape : m.outputs) out += (out.empty() ? "" : ", ") + shape_cell(shape);
  return out;
}

/// The last part of its name, set in by how deep it stands.
std::string tree_cell(const ModuleSummary& m) {
  if (m.name.empty()) return "(root)";
  const auto dots = static_cast<size_t>(std::count(m.name.begin(), m.name.end(), '.'));
  return std::string(2 * (dots + 1), ' ') + m.name.substr(m.name.rfind('.') + 1) +
         (m.alias_of.empty() ? "" : " = " + m.alias_of);
}

std::string memory_cell(int64_t bytes) {
  return bytes > 0 ? human_bytes(static_cast<uint64_t>(bytes)) : "0 B";
}

constexpr int64_t kWhole = 10'000;  // counts below are shown as they are

/// 1,234 as it is, larger counts with three digits and a prefix: "3.64 G".
std::string count_cell(int64_t n) {
  constexpr const char* kPrefix[] = {"", " K", " M", " G", " T", " P", " E"};
  if (n < kWhole) return with_thousands(n);
  double x = static_cast<double>(n);
  int i = 0;
  while (x >= 1000 && i < 6) x /= 1000, ++i;
  return fmt::format("{:.{}f}{}", x, x < 10 ? 2 : x < 100 ? 1 : 0, kPrefix[i]);
}

}  // namespace

Summary summarise(const lang::Config& config, const lang::InputShapes& shapes) {
  Summary s;
  const Checked checked = check(config, {.shapes = shapes});
  checked.diagnostics.throw_if_errors();
  for (const auto& [name, t] : checked.shapes.inputs)
    if (t.defined()) s.inputs.emplace_back(name, dims(t));
  s.notes = checked.notes;
  Module& root = *checked.model.module;
  s.repr = root.repr();
  count_state(root, s);
  {
    const Watch watch(root);
    const NoGradGuard no_grad;
    lang::check_shapes(config, checked.model, s.inputs);
    s.flops = watch.flops();
    for (const io::ModuleRow& row : io::module_rows(root)) {
      ModuleSummary m{.name = row.name,
                      .type = row.type,
                      .parameters = row.parameters,
                      .alias_of = row.alias_of};
      watch.tell_calls(&root.get_submodule(row.name), m);
      s.modules.push_back(std::move(m));
    }
  }
  try {
    count_training(config, checked.model, s);
  } catch (const DiagnosticError& e) {
    // Such as a batch norm of one value per channel, which evaluates.
    s.notes.push_back("no training step of this input: " + e.diagnostics.all().front().message);
  }
  return s;
}

void write_modules(Json& j, const std::vector<ModuleSummary>& modules) {
  j.array();
  for (const ModuleSummary& m : modules) {
    j.object()
        .entry("name", m.name)
        .entry("type", m.type)
        .entry("parameters", m.parameters)
        .entry("output", m.outputs)
        .entry("flops", m.flops);
    j.key("memory");
    if (m.memory) j.value(*m.memory);
    else j.value(nullptr);
    j.key("alias_of");
    if (m.alias_of.empty()) j.value(nullptr);
    else j.value(m.alias_of);
    j.end();
  }
  j.end();
}

std::string to_json(const Summary& s) {
  Json j(2);
  j.object().entry("repr", s.repr);
  j.key("parameters").object().entry("total", s.parameters).entry("trainable", s.trainable).end();
  j.entry("buffers", s.buffers).entry("bytes", s.bytes).entry("flops", s.flops);
  j.key("training_bytes");
  if (s.training_bytes) j.value(*s.training_bytes);
  else j.value(nullptr);
  j.key("inputs").object();
  for (const auto& [name, shape] : s.inputs) j.entry(name, shape);
  j.end().key("modules");
  write_modules(j, s.modules);
  j.key("state_dict").array();
  for (const StateSummary& t : s.state_dict) {
    j.object()
        .entry("name", t.name)
        .entry("shape", t.shape)
        .entry("dtype", info(t.dtype).name)
        .entry("kind", t.parameter ? "parameter" : "buffer")
        .entry("requires_grad", t.requires_grad)
        .end();
  }
  return j.end().end().text();
}

std::string to_table(const Summary& s, bool colour) {
  TextTable table({"name", "type", "output", "parameters", "FLOPs", "memory"}, 3);
  for (const ModuleSummary& m : s.modules)
    table.row({tree_cell(m), m.type, output_cell(m),
               m.parameters ? with_thousands(m.parameters) : "-",
               m.flops ? count_cell(m.flops) : "-", m.memory ? memory_cell(*m.memory) : "-"});
  std::string out = table.text();
  if (colour) {
    const size_t rule = out.find('\n') + 1, rows = out.find('\n', rule);
    out = "\x1b[1m" + out.substr(0, rule - 1) + "\x1b[0m\n\x1b[2m" + out.substr(rule, rows - rule) +
          "\x1b[0m" + out.substr(rows);
  }
  const auto line = [&](const char* name, const std::string& value) {
    const std::string padded = fmt::format("{:17}", name);
    out += (colour ? "\x1b[1m" + padded + "\x1b[0m" : padded) + value + "\n";
  };
  out += "\n";
  line("parameters",
       fmt::format("{} ({} trainable)", with_thousands(s.parameters), with_thousands(s.trainable)));
  if (s.buffers) line("buffers", with_thousands(s.buffers));
  line("size", human_bytes(static_cast<uint64_t>(s.bytes)));
  line("forward", count_cell(s.flops) + (s.flops < kWhole ? " FLOPs" : "FLOPs"));
  if (s.training_bytes)
    line("training step", human_bytes(static_cast<uint64_t>(*s.training_bytes)) + " at its peak");
  for (const auto& [name, shape] : s.inputs) line("input", name + " " + shape_cell(shape));
  for (const std::string& n : s.notes) out += "note: " + n + "\n";
  return out;
}

std::string to_csv(const Summary& s) {
  TextTable table({"name", "type", "output", "parameters", "flops", "memory", "alias_of"}, 0);
  for (const ModuleSummary& m : s.modules)
    table.row({m.name, m.type, output_cell(m), std::to_string(m.parameters),
               std::to_string(m.flops), m.memory ? std::to_string(*m.memory) : "", m.alias_of});
  return table.csv();
}

}  // namespace nnm::run
