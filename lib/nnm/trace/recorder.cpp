// The hooks that capture.
#include "nnm/trace/recorder.h"

#include <algorithm>
#include <map>
#include <set>

#include "nnm/autograd/node.h"
#include "nnm/nn/onlooker.h"
#include "nnm/trace/targets.h"

namespace nnm::tracing {
namespace {

// Time that hooks take is not the modules' own.
class Overhead {
 public:
  Overhead(const Ticks& ticks, int64_t& total) : Overhead(ticks, total, ticks.now()) {}
  Overhead(const Ticks& ticks, int64_t& total, int64_t begin)
      : ticks_(ticks), total_(total), begin_(begin) {}
  ~Overhead() { total_ += ticks_.now() - begin_; }
  Overhead(const Overhead&) = delete;

 private:
  const Ticks& ticks_;
  int64_t& total_;
  const int64_t begin_;
};

bool about_parameters(What what) { return what == What::weight || what == What::weight_grad; }

// Where a hook is: on a module (of its input, for kind `tensor`), or on a parameter.
enum class Place : uint8_t { module, input, leaf };

Place place_of(const Targets::OfModule& m) { return m.of_input ? Place::input : Place::module; }

// Whether such a hook comes with a value that is of no parameter.
bool gives(HookKind kind, Place place, What what) {
  if (place == Place::leaf) return false;
  if (kind != HookKind::tensor) return sees(kind, what);
  return what == (place == Place::input ? What::grad_input : What::grad_output);
}

std::vector<What> default_what(HookKind kind, Place place) {
  switch (kind) {
    case HookKind::forward_pre: return {What::input};
    case HookKind::forward: return {What::output};
    case HookKind::full_backward_pre: return {What::grad_output};
    case HookKind::full_backward: return {What::grad_input, What::grad_output};
    case HookKind::tensor:
      return {place == Place::leaf    ? What::weight_grad
              : place == Place::input ? What::grad_input
                                      : What::grad_output};
    case HookKind::post_accumulate_grad: return {What::weight_grad};
  }
  return {};
}

// What a hook captures, where `asked` is what --what lists.
std::vector<What> what_of(HookKind kind, Place place, const std::vector<std::string>& asked) {
  if (asked.empty()) return default_what(kind, place);
  std::vector<What> out;
  for (int i = 0; i < kWhats; ++i) {
    const auto w = static_cast<What>(i);
    const bool listed = std::find(asked.begin(), asked.end(), name_of(w)) != asked.end();
    if (listed && (about_parameters(w) || gives(kind, place, w))) out.push_back(w);
  }
  return out;
}

}  // namespace

// One argument of one call, and the number that the sink gave it.
struct Recorder::Known {
  std::string name;
  int64_t number;
};

struct Recorder::Hooked {
  Recorder* recorder;  // null once it is gone
  bool records() const { return recorder && recorder->recording_; }
};

struct Recorder::Site {
  Site(Module* m, std::string n, const std::string& arg)
      : module(m), name(std::move(n)), named(input_place(*m, arg)) {}

  Module* module;
  std::string name;             // the dotted path, the root's class name
  std::optional<size_t> named;  // the position of the input that is asked for by name
  bool kinds[kHookKinds] = {};
  bool tensor_input = false, tensor_output = false;
  // Parameters that were selected themselves; all where the module was.
  std::map<std::string, std::set<HookKind>> leaves;
  bool all_parameters = false;
  struct Captured {
    std::optional<HookKind> by;             // the kind of hook that captures it
    std::vector<std::vector<Known>> known;  // by call
  } captured[kWhats];

  struct Open {
    int64_t call;
    int64_t start, overhead;  // in ticks
    int64_t flops;
  };
  std::vector<Open> open;      // calls that run …
  std::vector<Open> backward;  // … and those that run backward
  Calls calls;
  int64_t flops = 0;
  bool called = false;

  void want(HookKind kind, bool of_input) {
    kinds[static_cast<int>(kind)] = true;
    if (kind != HookKind::tensor) return;
    tensor_input |= of_input;
    tensor_output |= !of_input;
  }
  void take(HookKind kind, const std::vector<What>& what) {
    for (What w : what)
      if (auto& by = captured[static_cast<int>(w)].by; !by) by = kind;
  }
  bool takes(HookKind kind, What what) const { return captured[static_cast<int>(what)].by == kind; }
  bool has(HookKind k) const { return kinds[static_cast<int>(k)]; }
  bool has_backward() const {
    return has(HookKind::full_backward) || has(HookKind::full_backward_pre);
  }
  bool has_work_before() const {
    return has_backward() || has(HookKind::forward_pre) || tensor_input;
  }
  bool has_calls() const { return has_work_before() || has(HookKind::forward) || tensor_output; }
};

Recorder::Recorder(Module& root, CaptureOptions options, Sink& sink, LateStatistics* late)
    : options_(std::move(options)),
      sink_(sink),
      late_(late),
      reduction_(options_.statistics()),
      histogram_(options_.histogram()),
      hooked_(std::make_shared<Hooked>(Hooked{this})) {
  options_.check();
  values_.resize(reduction_.size());
  bins_.resize(histogram_ || reduction_.needs_histogram() ? kHistogramBins : 0);
  Sites sites;
  for (const HookRequest& request : options_.hooks) select(root, request, sites);
  check_captured(sites);
  std::set<const TensorImpl*> seen;
  for (auto& [place, site] : sites) {
    attach(*site);
    attach_leaves(*site, seen);
    sites_.push_back(std::move(site));
  }
}

// One site per module; a shared one's is under its first name.
void Recorder::select(Module& root, const HookRequest& request, Sites& sites) const {
  const auto site_of = [&](const Targets::OfModule& m) -> Site& {
    std::unique_ptr<Site>& site = sites[m.place];
    if (!site) site = std::make_unique<Site>(m.module, m.name, options_.arg);
    return *site;
  };
  const Targets targets = find_targets(root, request, options_.optional);
  for (const Targets::OfModule& m : targets.modules) {
    Site& site = site_of(m);
    site.want(request.kind, m.of_input);
    site.take(request.kind, what_of(request.kind, place_of(m), options_.what));
    site.all_parameters = true;
  }
  for (const Targets::OfParameter& p : targets.parameters) {
    Site& site = site_of(p.owner);
    site.leaves[p.name].insert(request.kind);
    site.take(request.kind, what_of(request.kind, Place::leaf, options_.what));
  }
}

// Where something was asked for by name, a hook there must come with it.
void Recorder::check_captured(const Sites& sites) const {
  for (const std::string& name : options_.what) {
    const auto w = static_cast<size_t>(parse_what(name));
    const auto captured = [&](const auto& s) { return s.second->captured[w].by.has_value(); };
    if (sites.empty() || std::any_of(sites.begin(), sites.end(), captured)) continue;
    const bool leaves = std::all_of(sites.begin(), sites.end(),
                                    [](const auto& s) { return !s.second->all_parameters; });
    throw Error(ErrorKind::config, fmt::format("no hook that was asked for sees `{}`", name),
                leaves ? "the gradient of a parameter is its `weight_grad`"
                       : "`tensor` hooks of `fc1.output` see `grad_output`, those of `fc1.input` "
                         "`grad_input`");
  }
}

Recorder::~Recorder() {
  hooked_->recorder = nullptr;
  for (RemovableHandle& h : handles_) h.remove();
}

void Recorder::attach(Site& site) {
  if (!site.has_calls()) return;
  Module& m = *site.module;
  handles_.push_back(m.register_forward_pre_hook(
      [this, &site](Module&, Args& args) {
        if (recording_) begin_call(site, args);
      },
      options_.place));
  handles_.push_back(m.register_forward_hook(
      [this, &site](Module&, const Args& args, const Value& output) {
        if (recording_) end_call(site, args, output);
      },
      options_.place));
  if (!site.has_backward()) return;
  handles_.push_back(m.register_full_backward_pre_hook(
      [hooked = hooked_, &site](Module&, const Tensors& grad_output) {
        if (hooked->records()) hooked->recorder->begin_backward(site, grad_output);
      },
      options_.place));
  // There in any case, so that gradients of the inputs flow past the hooks.
  handles_.push_back(m.register_full_backward_hook(
      BackwardOnlooker{[hooked = hooked_, &site, wanted = site.has(HookKind::full_backward)](
                           Module&, const Tensors& in, const Tensors& out) {
        if (wanted && hooked->records()) hooked->recorder->end_backward(site, in, out);
      }},
      options_.place));
}

// A parameter with several names has its hooks once, as PyTorch's loop over parameters() would.
void Recorder::attach_leaves(Site& site, std::set<const TensorImpl*>& seen) {
  for (const auto& slot : site.module->parameter_slots()) {
    const Tensor& leaf = slot->value;
    if (!leaf.defined() || !leaf.requires_grad()) continue;
    std::set<HookKind> kinds;
    if (site.has(HookKind::post_accumulate_grad)) kinds.insert(HookKind::post_accumulate_grad);
    if (const auto own = site.leaves.find(slot->name); own != site.leaves.end())
      kinds.insert(own->second.begin(), own->second.end());
    if (kinds.empty() || !seen.insert(leaf.impl()).second) continue;
    if (kinds.contains(HookKind::tensor))
      handles_.push_back(leaf.register_hook(
          [this, &site, name = slot->name](const Tensor&) -> std::optional<Tensor> {
            if (recording_) told(site, HookKind::tensor, 0, name);
            return std::nullopt;
          }));
    if (kinds.contains(HookKind::post_accumulate_grad))
      handles_.push_back(
          leaf.register_post_accumulate_grad_hook([this, &site, name = slot->name](const Tensor&) {
            if (recording_) told(site, HookKind::post_accumulate_grad, 0, name);
          }));
  }
}

void Recorder::begin_call(Site& site, const Args& args) {
  const int64_t call = site.calls.next();
  if (site.has_work_before()) {
    const Overhead here(ticks_, overhead_);
    if (site.has(HookKind::forward_pre)) {
      told(site, HookKind::forward_pre, call);
      capture(site, HookKind::forward_pre, What::input, call, args);
    }
    if (site.tensor_input) attach_tensors(site, What::grad_input, args, call);
  }
  site.open.push_back({call, ticks_.now(), overhead_, flops_ ? flops_->flops : 0});
}

// The end of a call: its time and operations, those of children included, without the hooks'.
void Recorder::end_call(Site& site, const Args& args, const Value& output) {
  if (site.open.empty()) return;
  const int64_t now = ticks_.now();
  const Overhead here(ticks_, overhead_, now);
  const Site::Open open = site.open.back();
  site.open.pop_back();
  site.called = true;
  if (flops_) site.flops += flops_->flops - open.flops;
  if (site.has(HookKind::forward)) {
    sink_.timing(HookKind::forward, site.name, open.call, ticks_.ns(open.start - start_),
                 ticks_.ns(now - open.start - (overhead_ - open.overhead)));
    told(site, HookKind::forward, open.call);
    capture(site, HookKind::forward, What::input, open.call, args);
    capture(site, HookKind::forward, What::output, open.call, output);
  }
  if (site.tensor_output) attach_tensors(site, What::grad_output, output, open.call);
}

template <class T>
void Recorder::attach_tensors(Site& site, What what, const T& value, int64_t call) {
  if (options_.call && *options_.call != call) return;
  args_.clear();
  flatten(value, args_);
  keep_wanted(site, what);
  for (const io::TraceArg& arg : args_) {
    if (!arg.tensor.requires_grad()) continue;
    arg.tensor.register_hook([hooked = hooked_, &site, what, call,
                              name = arg.name](const Tensor& grad) -> std::optional<Tensor> {
      if (!hooked->records()) return std::nullopt;
      Recorder& r = *hooked->recorder;
      const Overhead here(r.ticks_, r.overhead_);
      r.told(site, HookKind::tensor, call, std::string(name_of(what)) + name);
      if (!site.takes(HookKind::tensor, what)) return std::nullopt;
      r.args_.assign({{name, grad}});
      r.capture_args(site, HookKind::tensor, what, call);
      return std::nullopt;
    });
  }
  args_.clear();
}

void Recorder::begin_backward(Site& site, const Tensors& grad_output) {
  const int64_t call = site.calls.of_backward();
  if (call < 0) return;
  {
    const Overhead here(ticks_, overhead_);
    if (site.has(HookKind::full_backward_pre)) {
      told(site, HookKind::full_backward_pre, call);
      capture(site, HookKind::full_backward_pre, What::grad_output, call, grad_output);
    }
  }
  site.backward.push_back({call, ticks_.now(), overhead_, 0});
}

// Where no input needs a gradient this is told before the module's own backward, which is not timed
// then.
void Recorder::end_backward(Site& site, const Tensors& grad_input, const Tensors& grad_output) {
  const int64_t call = site.calls.of_backward();
  if (call < 0) return;
  const int64_t now = ticks_.now();
  const Overhead here(ticks_, overhead_, now);
  const auto open = std::find_if(site.backward.rbegin(), site.backward.rend(),
                                 [&](const Site::Open& o) { return o.call == call; });
  const bool through = std::any_of(grad_input.begin(), grad_input.end(),
                                   [](const Tensor& g) { return g.defined(); });
  if (open != site.backward.rend() && through)
    sink_.timing(HookKind::full_backward, site.name, call, ticks_.ns(open->start - start_),
                 ticks_.ns(now - open->start - (overhead_ - open->overhead)));
  told(site, HookKind::full_backward, call);
  capture(site, HookKind::full_backward, What::grad_input, call, grad_input);
  capture(site, HookKind::full_backward, What::grad_output, call, grad_output);
}

void Recorder::begin_step() {
  for (const auto& s : sites_) {
    s->calls.clear();
    s->flops = 0;
    s->open.clear();
    s->backward.clear();
  }
  if (!flops_told_) flops_ = std::make_unique<FlopCounter>();
  script_.told.clear();
  script_.due.clear();
  start_ = ticks_.now();
  overhead_ = 0;
  recording_ = true;
}

void Recorder::end_step() {
  recording_ = false;
  for (const auto& site : sites_) {
    for (What what : {What::weight, What::weight_grad}) capture_parameters(*site, what);
    if (site->called && flops_) sink_.flops(site->name, site->flops);
  }
  flops_told_ = true;
  flops_.reset();
}

void Recorder::abandon_step() {
  recording_ = false;
  script_.told.clear();
  script_.due.clear();
  flops_.reset();
}

void Recorder::capture_parameters(Site& site, What what) {
  const std::optional<HookKind> by = site.captured[static_cast<int>(what)].by;
  if (!by) return;
  args_.clear();
  for (const auto& slot : site.module->parameter_slots()) {
    if (!slot->value.defined()) continue;
    if (!site.all_parameters && !site.leaves.contains(slot->name)) continue;
    args_.push_back({slot->name, what == What::weight ? slot->value : slot->value.grad()});
  }
  capture_args(site, *by, what, 0);
}

void Recorder::told(Site& site, HookKind kind, int64_t call, const std::string& tensor) {
  if (options_.call && *options_.call != call) return;
  fired_ = true;
  script_.told.push_back({&site, kind, call, tensor});
  sink_.call(kind, site.name, call, tensor);
}

template <class T>
void Recorder::capture(Site& site, HookKind kind, What what, int64_t call, const T& value) {
  if (!site.takes(kind, what) || (options_.call && *options_.call != call)) return;
  args_.clear();
  flatten(value, args_);
  keep_wanted(site, what);
  capture_args(site, kind, what, call);
}

// Leaves those in args_ that were asked for.
void Recorder::keep_wanted(const Site& site, What what) {
  if (options_.arg == "all") return;
  const bool of_input = what == What::input || what == What::grad_input;
  const std::optional<size_t> named = of_input ? site.named : std::nullopt;
  size_t kept = 0;
  for (size_t i = 0; i < args_.size(); ++i)
    if (options_.wants(i, args_[i].name, named)) std::swap(args_[kept++], args_[i]);
  args_.resize(kept);
}

// The tensors in args_, which it lets go of.
void Recorder::capture_args(Site& site, HookKind kind, What what, int64_t call) {
  const NoGradGuard no_grad;
  bool any = false;
  for (size_t i = 0; i < args_.size(); ++i) {
    io::TraceArg& arg = args_[i];
    if (!arg.tensor.defined()) continue;
    reduce(number(site, kind, what, call, i), arg.tensor);
    arg.tensor = options_.tensor.of(arg.tensor);
    any |= arg.tensor.defined();
  }
  if (any) sink_.tensors(site.name, name_of(what), call, args_);
  args_.clear();
}

// That of args_[position], which is new the first time.
int64_t Recorder::number(Site& site, HookKind kind, What what, int64_t call, size_t position) {
  const io::TraceArg& arg = args_[position];
  auto& calls = site.captured[static_cast<int>(what)].known;
  if (calls.size() <= static_cast<size_t>(call)) calls.resize(static_cast<size_t>(call) + 1);
  std::vector<Known>& known = calls[static_cast<size_t>(call)];
  if (position < known.size() && known[position].name == arg.name) return known[position].number;
  for (const Known& k : known)
    if (k.name == arg.name) return k.number;
  const Shape& s = arg.tensor.shape();
  known.push_back({arg.name, sink_.site({.module = site.name,
                                         .what = name_of(what),
                                         .arg = arg.name,
                                         .call = call,
                                         .hook = std::string(name_of(kind)),
                                         .shape = {s.begin(), s.end()},
                                         .dtype = arg.tensor.dtype()})});
  return known.back().number;
}

void Recorder::reduce(int64_t number, const Tensor& t) {
  if (t.is_meta() || (reduction_.size() == 0 && !histogram_)) return;
  if (late_ && late_->takes(t)) {
    script_.due.push_back({number, late_->add(t, !reduction_.moments_only(), !bins_.empty())});
    return;
  }
  TensorStatistics s;
  std::fill(bins_.begin(), bins_.end(), 0);
  const auto& kernel = reduction_.moments_only() ? kernels::moments : kernels::statistics;
  kernel(t.view(), &s, bins_.empty() ? nullptr : bins_.data());
  give(number, s);
}

void Recorder::give(int64_t number, const TensorStatistics& s) {
  reduction_(s, bins_.data(), values_.data());
  sink_.stats(number, values_,
              histogram_ ? std::span<const uint32_t>(bins_) : std::span<const uint32_t>());
}

void Recorder::settle() {
  for (const Due& d : script_.due) {
    std::fill(bins_.begin(), bins_.end(), 0);
    give(d.number, late_->get(d.ticket, bins_.empty() ? nullptr : bins_.data()));
  }
  script_.due.clear();
}

void Recorder::repeat(const Script& script) {
  script_ = script;
  for (const Told& t : script.told) {
    fired_ = true;
    sink_.call(t.kind, t.site->name, t.call, t.tensor);
  }
}

void Recorder::ids(std::vector<uint64_t>& out) const {
  for (const RemovableHandle& h : handles_) out.push_back(h.id());
}

}  // namespace nnm::tracing
