// The hooks that capture.
#include "nnm/trace/recorder.h"

#include <algorithm>

#include "nnm/autograd/node.h"

namespace nnm::tracing {
namespace {

using Clock = std::chrono::steady_clock;

int64_t ns_between(Clock::time_point a, Clock::time_point b) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(b - a).count();
}

// Time that hooks take is not the modules' own.
class Overhead {
 public:
  explicit Overhead(int64_t& total) : total_(total), begin_(Clock::now()) {}
  ~Overhead() { total_ += ns_between(begin_, Clock::now()); }
  Overhead(const Overhead&) = delete;

 private:
  int64_t& total_;
  Clock::time_point begin_;
};

std::vector<std::string> default_what(HookKind kind) {
  switch (kind) {
    case HookKind::forward_pre: return {"input"};
    case HookKind::forward: return {"output"};
    case HookKind::full_backward_pre:
    case HookKind::tensor: return {"grad_output"};
    case HookKind::full_backward: return {"grad_input", "grad_output"};
    case HookKind::post_accumulate_grad: return {"weight_grad"};
  }
  return {};
}

bool about_parameters(const std::string& what) { return what == "weight" || what == "weight_grad"; }

}  // namespace

struct Recorder::Site {
  Module* module;
  std::string name;  // the dotted path, the root's class name
  bool kinds[kHookKinds] = {};
  std::map<std::string, HookKind> owners;  // which kind captures a `what`
  int64_t begun = 0, done = 0, backward = 0, backward_pre = 0;
  struct Open {
    Clock::time_point start;
    int64_t overhead, flops;
  };
  std::vector<Open> open;  // calls of this module that run
  int64_t flops = 0;

  bool has(HookKind k) const { return kinds[static_cast<int>(k)]; }
  bool captures(HookKind k, const std::string& what) const {
    const auto it = owners.find(what);
    return it != owners.end() && it->second == k;
  }
  // Backward visits the calls of a shared module in reverse.
  int64_t call_of(int64_t& fired) const { return std::max<int64_t>(0, begun - 1 - fired++); }
};

Recorder::Recorder(Module& root, CaptureOptions options, Sink& sink)
    : options_(std::move(options)), sink_(sink), statistics_(options_.statistics()) {
  options_.check();
  needs_bins_ = options_.histogram();
  for (const std::string& s : statistics_) needs_bins_ |= s[0] == 'p' && s != "prod";
  select(root);
  for (const auto& site : sites_) attach(*site);
}

Recorder::~Recorder() {
  for (RemovableHandle& h : handles_) h.remove();
}

// One site per module, in the order of named_modules; a shared module under its first name.
void Recorder::select(Module& root) {
  std::map<Module*, size_t> canonical;
  std::vector<NamedModule> names;
  std::vector<Module*> modules;
  for (const auto& [path, m] : root.named_modules("", false)) {
    names.push_back({path, m->type_name()});
    modules.push_back(m);
    canonical.try_emplace(m, names.size() - 1);
  }
  const std::vector<NamedModule> listed = names;
  const Scope scope(std::move(names), {});
  std::vector<std::unique_ptr<Site>> by_module(modules.size());
  for (const HookRequest& request : options_.hooks) {
    std::vector<size_t> chosen;
    if (request.select) {
      chosen = scope.modules(*request.select);
      if (chosen.empty()) throw scope.no_match(*request.select);
    } else {
      for (size_t i = 0; i < modules.size(); ++i) chosen.push_back(i);
    }
    for (size_t i : chosen) {
      const size_t first = canonical.at(modules[i]);
      std::unique_ptr<Site>& site = by_module[first];
      if (!site) {
        site = std::make_unique<Site>();
        site->module = modules[first];
        site->name = listed[first].path.empty() ? listed[first].type : listed[first].path;
      }
      want(*site, request.kind);
    }
  }
  for (auto& site : by_module)
    if (site) sites_.push_back(std::move(site));
}

void Recorder::want(Site& site, HookKind kind) {
  site.kinds[static_cast<int>(kind)] = true;
  for (const std::string& w : options_.what.empty() ? default_what(kind) : options_.what)
    if (sees(kind, w) || about_parameters(w)) site.owners.try_emplace(w, kind);
}

void Recorder::attach(Site& site) {
  attach_forward(site);
  Module& m = *site.module;
  if (site.has(HookKind::full_backward_pre)) {
    handles_.push_back(
        m.register_full_backward_pre_hook([this, &site](Module&, const Tensors& grad_output) {
          if (!recording_) return;
          const int64_t call = site.call_of(site.backward_pre);
          told(site, HookKind::full_backward_pre, call);
          capture(site, HookKind::full_backward_pre, "grad_output", call, flatten(grad_output));
        }));
  }
  if (site.has(HookKind::full_backward)) {
    handles_.push_back(m.register_full_backward_hook(
        [this, &site](Module&, const Tensors& grad_input, const Tensors& grad_output) {
          if (!recording_) return;
          const int64_t call = site.call_of(site.backward);
          told(site, HookKind::full_backward, call);
          capture(site, HookKind::full_backward, "grad_input", call, flatten(grad_input));
          capture(site, HookKind::full_backward, "grad_output", call, flatten(grad_output));
        }));
  }
  if (site.has(HookKind::post_accumulate_grad)) {
    for (const auto& slot : m.parameter_slots()) {
      if (!slot->value.defined() || !slot->value.requires_grad()) continue;
      handles_.push_back(
          slot->value.register_post_accumulate_grad_hook([this, &site](const Tensor&) {
            if (recording_) told(site, HookKind::post_accumulate_grad, 0);
          }));
    }
  }
}

void Recorder::attach_forward(Site& site) {
  Module& m = *site.module;
  handles_.push_back(m.register_forward_pre_hook([this, &site](Module&, Args& args) {
    if (!recording_) return;
    const int64_t call = site.begun++;
    {
      const Overhead here(overhead_ns_);
      if (site.has(HookKind::forward_pre)) {
        told(site, HookKind::forward_pre, call);
        capture(site, HookKind::forward_pre, "input", call, flatten(args));
      }
    }
    site.open.push_back({Clock::now(), overhead_ns_, flops_->flops});
  }));
  handles_.push_back(
      m.register_forward_hook([this, &site](Module&, const Args& args, const Value& output) {
        if (!recording_) return;
        const int64_t call = site.done++;
        if (!site.open.empty()) finish(site, call);
        const Overhead here(overhead_ns_);
        if (site.has(HookKind::forward)) {
          told(site, HookKind::forward, call);
          capture(site, HookKind::forward, "input", call, flatten(args));
          capture(site, HookKind::forward, "output", call, flatten(output));
        }
        if (site.has(HookKind::tensor)) attach_tensors(site, output, call);
      }));
}

// The end of a call: its time and operations, those of children included, without the hooks'.
void Recorder::finish(Site& site, int64_t call) {
  const Site::Open open = site.open.back();
  site.open.pop_back();
  site.flops += flops_->flops - open.flops;
  if (!site.has(HookKind::forward)) return;
  const int64_t ns = ns_between(open.start, Clock::now()) - (overhead_ns_ - open.overhead);
  sink_.timing(HookKind::forward, site.name, call, ns_between(start_, open.start), ns);
}

void Recorder::attach_tensors(Site& site, const Value& output, int64_t call) {
  for (const io::TraceArg& arg : flatten(output)) {
    if (!arg.tensor.requires_grad()) continue;
    arg.tensor.register_hook(
        [this, &site, call, name = arg.name](const Tensor& grad) -> std::optional<Tensor> {
          if (!recording_) return std::nullopt;
          told(site, HookKind::tensor, call);
          capture(site, HookKind::tensor, "grad_output", call, {{name, grad}});
          return std::nullopt;
        });
  }
}

void Recorder::begin_step() {
  for (const auto& s : sites_) {
    s->begun = s->done = s->backward = s->backward_pre = s->flops = 0;
    s->open.clear();
  }
  flops_ = std::make_unique<FlopCounter>();
  start_ = Clock::now();
  recording_ = true;
}

void Recorder::end_step() {
  recording_ = false;
  for (const auto& site : sites_) {
    for (const char* what : {"weight", "weight_grad"}) capture_parameters(*site, what);
    if (site->done > 0 && !flops_told_) sink_.flops(site->name, site->flops);
  }
  flops_told_ = true;
  flops_.reset();
}

void Recorder::capture_parameters(Site& site, const char* what) {
  const auto owner = site.owners.find(what);
  if (owner == site.owners.end()) return;
  std::vector<io::TraceArg> args;
  for (const auto& slot : site.module->parameter_slots()) {
    if (!slot->value.defined()) continue;
    args.push_back({slot->name, what == std::string("weight") ? slot->value : slot->value.grad()});
  }
  capture(site, owner->second, what, 0, args);
}

void Recorder::told(Site& site, HookKind kind, int64_t call) {
  fired_ = true;
  sink_.call(kind, site.name, call);
}

void Recorder::capture(Site& site, HookKind kind, const char* what, int64_t call,
                       const std::vector<io::TraceArg>& args) {
  if (!site.captures(kind, what)) return;
  const NoGradGuard no_grad;
  std::vector<io::TraceArg> kept;
  bool any = false;
  for (const io::TraceArg& a : args) {
    if (a.tensor.defined()) reduce(site, kind, what, call, a);
    kept.push_back({a.name, options_.tensor.of(a.tensor)});
    any |= kept.back().tensor.defined();
  }
  if (any) sink_.tensors(site.name, what, call, kept);
}

void Recorder::reduce(Site& site, HookKind kind, const char* what, int64_t call,
                      const io::TraceArg& arg) {
  const std::string key = fmt::format("{}\n{}\n{}\n{}", site.name, what, arg.name, call);
  auto number = numbers_.find(key);
  if (number == numbers_.end()) {
    const Shape& s = arg.tensor.shape();
    number = numbers_
                 .emplace(key, sink_.site({.module = site.name,
                                           .what = what,
                                           .arg = arg.name,
                                           .call = call,
                                           .hook = name_of(kind),
                                           .shape = {s.begin(), s.end()},
                                           .dtype = arg.tensor.dtype()}))
                 .first;
  }
  if (arg.tensor.is_meta() || (statistics_.empty() && !options_.histogram())) return;
  TensorStatistics s;
  std::vector<uint32_t> bins(needs_bins_ ? kHistogramBins : 0);
  kernels::statistics(arg.tensor.view(), &s, needs_bins_ ? bins.data() : nullptr);
  const std::vector<double> values = values_of(s, statistics_, bins.data());
  sink_.stats(number->second, values,
              options_.histogram() ? std::span<const uint32_t>(bins) : std::span<const uint32_t>());
}

}  // namespace nnm::tracing
