// Reading what to capture, and reducing tensors to numbers.
#include "nnm/trace/capture.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "nnm/base/signature.h"

namespace nnm::tracing {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr std::string_view kKinds[kHookKinds] = {
    "forward_pre",   "forward", "full_backward_pre",
    "full_backward", "tensor",  "post_accumulate_grad"};
constexpr const char* kKindDocs[kHookKinds] = {
    "before a module's forward; sees its inputs",
    "after a module's forward; sees its inputs and outputs",
    "before the gradients of a module are computed; sees those of its outputs",
    "after the gradients of a module are computed; sees those of its inputs and outputs",
    "when the gradient of a tensor is computed: fc1.output, fc1.input, or a parameter, fc1.weight",
    "when the gradient of a parameter is complete"};
const std::vector<std::string>& whats() {
  static const std::vector<std::string> names = {"input",       "output", "grad_input",
                                                 "grad_output", "weight", "weight_grad"};
  return names;
}

[[noreturn]] void unknown(const char* what, std::string_view name,
                          const std::vector<std::string>& known) {
  throw Error(ErrorKind::config, fmt::format("unknown {} `{}`", what, name),
              did_you_mean(name, known, fmt::format("there are {}", fmt::join(known, ", "))));
}

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> out;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    std::string_view word = list.substr(0, comma);
    while (!word.empty() && word.front() == ' ') word.remove_prefix(1);
    while (!word.empty() && word.back() == ' ') word.remove_suffix(1);
    if (!word.empty()) out.emplace_back(word);
    list = comma == std::string_view::npos ? "" : list.substr(comma + 1);
  }
  return out;
}

void check_names(const char* what, const std::vector<std::string>& names,
                 const std::vector<std::string>& known) {
  for (const std::string& n : names)
    if (std::find(known.begin(), known.end(), n) == known.end()) unknown(what, n, known);
}

// The value below which a share of the elements lies, linear within its bin.
double percentile(const TensorStatistics& s, const uint32_t* histogram, double share) {
  if (s.finite == 0) return kNone;
  const double wanted = share * static_cast<double>(s.finite);
  double below = 0;
  for (int i = 0; i < kHistogramBins; ++i) {
    const double here = histogram[i];
    if (here > 0 && below + here >= wanted) {
      const double low = std::max(s.min, histogram_edge(i));
      const double high = std::min(s.max, histogram_edge(i + 1));
      return std::clamp(low + (high - low) * (wanted - below) / here, s.min, s.max);
    }
    below += here;
  }
  return s.max;
}

template <int kPercent>
double percent(const TensorStatistics& s, const uint32_t* histogram) {
  return percentile(s, histogram, kPercent / 100.0);
}

struct Statistic {
  const char* name;
  const char* unit;
  const char* doc;
  double (*value)(const TensorStatistics& s, const uint32_t* histogram);  // null: a histogram
};

// Where nothing is finite there is no moment and no extreme.
constexpr Statistic kStatistics[] = {
    {"mean", "value", "the mean of the finite elements, in float64 as all of these",
     [](const auto& s, auto) { return s.finite > 0 ? s.mean : kNone; }},
    {"std", "value", "their standard deviation, over n - 1 as torch.std",
     [](const auto& s, auto) { return s.std(); }},
    {"min", "value", "the least finite element",
     [](const auto& s, auto) { return s.finite > 0 ? s.min : kNone; }},
    {"max", "value", "the largest finite element",
     [](const auto& s, auto) { return s.finite > 0 ? s.max : kNone; }},
    {"l1", "value", "the sum of the absolute values of the finite elements",
     [](const auto& s, auto) { return s.l1; }},
    {"l2", "value", "the root of the sum of their squares",
     [](const auto& s, auto) { return std::sqrt(s.squares); }},
    {"absmax", "value", "the largest absolute value of the finite elements",
     [](const auto& s, auto) {
       return s.finite > 0 ? std::max(std::abs(s.min), std::abs(s.max)) : kNone;
     }},
    {"sum", "value", "the sum of the finite elements", [](const auto& s, auto) { return s.sum; }},
    {"nan", "count", "how many elements are NaN",
     [](const auto& s, auto) { return static_cast<double>(s.nan); }},
    {"inf", "count", "how many are infinite, of either sign",
     [](const auto& s, auto) { return static_cast<double>(s.inf); }},
    {"zero", "count", "how many are 0",
     [](const auto& s, auto) { return static_cast<double>(s.zero); }},
    {"numel", "count", "how many there are",
     [](const auto& s, auto) { return static_cast<double>(s.numel); }},
    {"p1", "value", "what 1% of the finite elements lie below, as the histogram tells", percent<1>},
    {"p50", "value", "the same of 50%", percent<50>},
    {"p99", "value", "the same of 99%", percent<99>},
    {"histogram", "count", "how many finite elements lie between powers of two (index/bin_edges)",
     nullptr}};

const Statistic* find_statistic(std::string_view name) {
  for (const Statistic& s : kStatistics)
    if (name == s.name) return &s;
  return nullptr;
}

int64_t whole(std::string_view text, std::string_view all) {
  int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (text.empty() || error != std::errc() || end != text.data() + text.size())
    throw Error(ErrorKind::config, fmt::format("cannot read the part of a tensor `{}`", all),
                "write full, none or slice:BEGIN:END");
  return n;
}

void collect(const Value& v, const std::string& prefix, int& position,
             std::vector<io::TraceArg>& out) {
  if (v.is_sequence()) {
    for (const Value& x : v.items()) collect(x, prefix, position, out);
    return;
  }
  if (v.is(Value::Kind::dict)) {
    for (const auto& [key, x] : v.entries()) {
      const std::string name = prefix.empty() ? key : prefix + "." + key;
      if (x.is(Value::Kind::tensor)) {
        out.push_back({name, x.as<Tensor>()});
      } else {
        int inner = 0;
        collect(x, name, inner, out);
      }
    }
    return;
  }
  const std::string number = std::to_string(position++);
  if (v.is(Value::Kind::tensor))
    out.push_back({prefix.empty() ? number : prefix + "." + number, v.as<Tensor>()});
}

}  // namespace

std::string_view name_of(HookKind kind) { return kKinds[static_cast<int>(kind)]; }
const std::string& name_of(What what) { return whats()[static_cast<size_t>(what)]; }

What parse_what(std::string_view name) {
  const auto at = std::find(whats().begin(), whats().end(), name);
  NNM_CHECK(at != whats().end(), internal, "`{}` is nothing that a hook sees", name);
  return static_cast<What>(at - whats().begin());
}

const char* doc_of(HookKind kind) { return kKindDocs[static_cast<int>(kind)]; }

HookKind parse_kind(std::string_view text) {
  if (text == "backward") return HookKind::full_backward;
  if (text == "backward_pre") return HookKind::full_backward_pre;
  for (int i = 0; i < kHookKinds; ++i)
    if (text == kKinds[i]) return static_cast<HookKind>(i);
  unknown("hook", text, {std::begin(kKinds), std::end(kKinds)});
}

bool is_backward(HookKind kind) {
  return kind != HookKind::forward_pre && kind != HookKind::forward;
}

HookRequest parse_hook(std::string_view text) {
  const size_t colon = text.find(':');
  const HookKind kind = parse_kind(text.substr(0, colon));
  text = colon == std::string_view::npos ? "**" : text.substr(colon + 1);
  return {kind, Selector::parse(text), kind == HookKind::tensor};
}

TensorMode TensorMode::parse(std::string_view text) {
  TensorMode m;
  if (text == "full") return m;
  if (text == "none") {
    m.keep = Keep::none;
    return m;
  }
  const std::string_view start = "slice:";
  const size_t colon = text.find(':', start.size());
  m.keep = Keep::slice;
  const bool is_slice = text.starts_with(start) && colon != std::string_view::npos;
  m.begin = whole(is_slice ? text.substr(start.size(), colon - start.size()) : "", text);
  m.end = whole(text.substr(colon + 1), text);
  if (m.begin < 0 || m.end <= m.begin)
    throw Error(ErrorKind::config, fmt::format("`{}` keeps nothing of a tensor", text),
                "rows BEGIN up to END, without END: slice:0:4 keeps four");
  return m;
}

std::string TensorMode::text() const {
  if (keep == Keep::slice) return fmt::format("slice:{}:{}", begin, end);
  return keep == Keep::full ? "full" : "none";
}

Tensor TensorMode::of(const Tensor& t) const {
  if (keep == Keep::none || !t.defined()) return {};
  if (keep == Keep::full || t.dim() == 0) return t;
  const int64_t rows = t.size(0), first = std::min(begin, rows), last = std::min(end, rows);
  Shape sizes = t.shape();
  sizes[0] = last - first;
  return t.as_strided(sizes, t.strides(), t.impl()->offset + first * t.strides()[0]);
}

const std::vector<std::string>& statistic_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    for (const Statistic& s : kStatistics) out.emplace_back(s.name);
    return out;
  }();
  return names;
}

void CaptureOptions::set_what(std::string_view list) {
  what = split(list);
  check_names("kind of value", what, whats());
}

void CaptureOptions::set_reduce(std::string_view list) {
  reduce = split(list);
  if (reduce == std::vector<std::string>{"none"}) reduce.clear();
  check_names("statistic", reduce, statistic_names());
}

bool CaptureOptions::histogram() const {
  return std::find(reduce.begin(), reduce.end(), "histogram") != reduce.end();
}

std::vector<std::string> CaptureOptions::statistics() const {
  std::vector<std::string> out = reduce;
  std::erase(out, "histogram");
  return out;
}

bool CaptureOptions::needs_backward() const {
  return std::any_of(hooks.begin(), hooks.end(),
                     [](const auto& h) { return is_backward(h.kind); }) ||
         std::find(what.begin(), what.end(), "weight_grad") != what.end();
}

void CaptureOptions::check() const {
  for (const std::string& w : what) {
    const What kind = parse_what(w);
    const auto can = [&](const HookRequest& h) { return sees(h.kind, kind); };
    if (kind == What::weight || kind == What::weight_grad ||
        std::any_of(hooks.begin(), hooks.end(), can))
      continue;
    const char* add = kind == What::input         ? "forward_pre"
                      : kind == What::output      ? "forward"
                      : kind == What::grad_output ? "full_backward_pre"
                                                  : "full_backward";
    throw Error(ErrorKind::config, fmt::format("no hook that was asked for sees `{}`", w),
                fmt::format("add `--hook {}`", add));
  }
}

bool sees(HookKind kind, What what) {
  switch (kind) {
    case HookKind::forward_pre: return what == What::input;
    case HookKind::forward: return what == What::input || what == What::output;
    case HookKind::full_backward_pre: return what == What::grad_output;
    case HookKind::full_backward: return what == What::grad_input || what == What::grad_output;
    case HookKind::tensor:
      return what == What::grad_input || what == What::grad_output || what == What::weight_grad;
    case HookKind::post_accumulate_grad: return what == What::weight_grad;
  }
  return false;
}

Reduction::Reduction(const std::vector<std::string>& names) {
  for (const std::string& n : names) {
    const Statistic* s = find_statistic(n);
    NNM_CHECK(s && s->value, internal, "`{}` is no statistic of one number", n);
    values_.push_back(s->value);
    needs_histogram_ |= n[0] == 'p';
    moments_only_ &= n != "l1" && n != "zero";
  }
}

std::string unit_of(std::string_view statistic) {
  const Statistic* s = find_statistic(statistic);
  return s ? s->unit : "";
}

std::string doc_of(std::string_view statistic) {
  const Statistic* s = find_statistic(statistic);
  return s ? s->doc : "";
}

void flatten(const Value& value, std::vector<io::TraceArg>& out) {
  int position = 0;
  collect(value, "", position, out);
}

void flatten(const Args& args, std::vector<io::TraceArg>& out) {
  int position = 0;
  for (const Value& v : args.pos) collect(v, "", position, out);
  for (const auto& [name, v] : args.kw) {
    int inner = 0;
    if (v.is(Value::Kind::tensor)) out.push_back({name, v.as<Tensor>()});
    else if (v.is_sequence() || v.is(Value::Kind::dict)) collect(v, name, inner, out);
  }
}

void flatten(const Tensors& grads, std::vector<io::TraceArg>& out) {
  for (size_t i = 0; i < grads.size(); ++i) out.push_back({std::to_string(i), grads[i]});
}

std::vector<io::TraceArg> flatten(const Value& value) {
  std::vector<io::TraceArg> out;
  flatten(value, out);
  return out;
}

std::vector<io::TraceArg> flatten(const Args& args) {
  std::vector<io::TraceArg> out;
  flatten(args, out);
  return out;
}

std::vector<io::TraceArg> flatten(const Tensors& grads) {
  std::vector<io::TraceArg> out;
  flatten(grads, out);
  return out;
}

}  // namespace nnm::tracing
