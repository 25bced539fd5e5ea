// Errors of a check with their calls, and where sizes come from.
#include "nnm/lang/check_session.h"

#include <algorithm>

#include "nnm/lang/forward.h"
#include "nnm/lang/size_clash.h"
#include "nnm/ops/ops.h"

namespace nnm::lang {

namespace {

using Kind = Value::Kind;

constexpr int64_t kMaxRounds = 200'000;

bool is_mask(const Value& v) {
  if (v.is(Kind::list))
    return std::any_of(v.items().begin(), v.items().end(),
                       [](const Value& item) { return item.is(Kind::boolean); });
  if (!v.is(Kind::tensor)) return false;
  const DType t = v.as<Tensor>().dtype();
  return t == DType::b8 || t == DType::u8;
}

/// The dimensions of what a function gives whose sizes count something in its operands, a bit each.
uint32_t counted_dims(const std::string& what, const Value* in, size_t n) {
  constexpr uint32_t kAll = ~0u;
  if (what == "masked_select" || what == "nonzero" || what == "argwhere" || what == "bincount")
    return 1;
  if (what == "where") return n > 1 && in[1].is_none() ? 1 : 0;
  if (what == "unique" || what == "unique_consecutive") return kAll;
  if (what == "repeat_interleave")
    return n > 3 && in[1].is(Kind::tensor) && in[3].is_none() ? kAll : 0;
  if (what != "[…]" || n < 2) return 0;
  if (is_mask(in[1])) return 1;
  const bool tuple = in[1].is(Kind::tuple);
  return tuple && std::any_of(in[1].items().begin(), in[1].items().end(), is_mask) ? kAll : 0;
}

/// Sizes that operands may have to have for a function to take them: those that stand among its
/// arguments, their product, and small ones.
class Sizes {
 public:
  void add(const Value& v) {
    if (v.is_sequence()) {
      for (const Value& item : v.items()) add(item);
    } else if (v.is(Kind::integer)) {
      add(v.integer());
    } else if (v.is(Kind::tensor)) {
      const Shape shape = v.as<Tensor>().shape();
      sizes_.insert(sizes_.end(), shape.begin(), shape.end());
    } else if (v.is(Kind::module)) {
      for (const Tensor& p : v.as<Ref<Module>>()->parameters()) add(Value(p));
    }
  }
  std::vector<int64_t> all() const {
    std::vector<int64_t> out = sizes_;
    if (product_ > 1) out.push_back(product_);
    constexpr int64_t kSmall = 64;
    for (int64_t n = kSmall; n >= 0; --n) out.push_back(n);
    return out;
  }

 private:
  void add(int64_t n) {
    constexpr int64_t kMost = int64_t{1} << 31;
    if (n < 1) return;
    sizes_.push_back(n);
    if (product_ < kMost && n < kMost) product_ *= n;
  }
  std::vector<int64_t> sizes_;
  int64_t product_ = 1;
};

std::string place(const Span& s) { return s ? fmt::format(" ({}:{})", s.file->path, s.line) : ""; }

}  // namespace

ForwardWatcher*& ForwardWatcher::current() {
  thread_local ForwardWatcher* watcher = nullptr;
  return watcher;
}

CheckSession*& CheckSession::current() {
  thread_local CheckSession* session = nullptr;
  return session;
}

void CheckSession::report(const Fault& f) {
  const Span& s = f.diagnostic.span;
  if (f.silent || !seen_.emplace(s ? s.file->path : "", s.line, s.column).second) return;
  Fault whole = f;
  whole.calls.assign(stack_.rbegin(), stack_.rend());
  Diagnostic d = with_calls(whole);
  for (auto it = frames_.rbegin(); it != frames_.rend(); ++it) d.notes.push_back((**it)());
  diagnostics.add(std::move(d));
}

void CheckSession::spend(const Span& loop) {
  if (++rounds_ > kMaxRounds)
    fault(loop, "E0404", fmt::format("more than {} rounds of loops in forward", kMaxRounds));
}

const std::vector<std::string>* CheckSession::origins(const Value& v) const {
  if (!v.is(Kind::tensor)) return nullptr;
  const auto it = tensors_.find(static_cast<const TensorImpl*>(v.object()));
  return it == tensors_.end() ? nullptr : &it->second.origins;
}

void CheckSession::set(const Value& v, std::vector<std::string> origins, uint32_t open) {
  const Tensor t = v.as<Tensor>();
  tensors_[t.impl()] = {t, std::move(origins), open};
}

uint32_t CheckSession::open_dims(const Value& v) const {
  uint32_t open = 0;
  if (v.is_sequence())
    for (const Value& item : v.items()) open |= open_dims(item);
  if (!v.is(Kind::tensor)) return open;
  const auto it = tensors_.find(static_cast<const TensorImpl*>(v.object()));
  return it == tensors_.end() ? 0 : it->second.open;
}

uint32_t CheckSession::open_of_result(const std::string& what, const Value* in, size_t n,
                                      const Shape& shape) const {
  if (const uint32_t own = counted_dims(what, in, n)) return own;
  uint32_t any = 0;
  for (size_t k = 0; k < n; ++k) any |= open_dims(in[k]);
  if (!any) return 0;
  // A size that an operand of the same rank has is as sure as there; others may follow from
  // guesses.
  uint32_t open = (1u << shape.size()) - 1;
  const auto take = [&](const Value& v) {
    if (!v.is(Kind::tensor)) return;
    const Shape& from = static_cast<const TensorImpl*>(v.object())->sizes;
    if (from.size() != shape.size()) return;
    for (int i = 0; i < shape.size(); ++i)
      if (from[i] == shape[i] && !(open_dims(v) >> i & 1)) open &= ~(1u << i);
  };
  for (size_t k = 0; k < n; ++k) {
    if (in[k].is_sequence()) std::for_each(in[k].items().begin(), in[k].items().end(), take);
    else take(in[k]);
  }
  return open;
}

Span CheckSession::site_of(const std::string& label) const {
  const std::string path = stack_.empty() ? "" : stack_.back().path;
  return site ? site(path.empty() ? label : path + "." + label) : Span();
}

std::string CheckSession::described(Module& called, const std::string& label,
                                    const std::string& inner, const std::string& below) const {
  Module* m = &called;
  for (size_t from = 0; m && from < below.size();) {
    const size_t dot = std::min(below.find('.', from), below.size());
    m = m->child(below.substr(from, dot - from));
    from = dot + 1;
  }
  const Module& told = m ? *m : called;
  const std::string repr = told.repr();
  const bool one_line = repr.find('\n') == std::string::npos;
  return fmt::format("{} is {}{}", m ? inner : label, one_line ? repr : told.type_name(),
                     place(site_of(inner)));
}

std::string CheckSession::label(const std::string& path) const {
  const std::string outer =
      stack_.empty() || stack_.back().path.empty() ? "" : stack_.back().path + ".";
  return path.starts_with(outer) ? path.substr(outer.size()) : path;
}

void CheckSession::given(const std::string& name, const Tensor& t) {
  set(t, std::vector<std::string>(static_cast<size_t>(t.dim()), "input `" + name + "`"));
}

void CheckSession::watch(Module& model) {
  for (const auto& [path, m] : model.named_modules()) {
    watching_.emplace_back(m->register_forward_pre_hook([this, path = path](Module& m, Args& args) {
      entered_ = {&m, path, args.pos.empty() ? Value() : args.pos[0]};
    }));
    watching_.emplace_back(m->register_forward_hook(
        [this, path = path](Module& m, const Args& args, const Value& out) {
          called(m, path, args.pos.empty() ? Value() : args.pos[0], out);
        }));
  }
}

void CheckSession::called(const Module& m, const std::string& path, const Value& in,
                          const Value& out) {
  if (out.is_sequence()) {
    for (const Value& item : out.items()) called(m, path, in, item);
    return;
  }
  // What a chain gives has come from one of its children.
  const bool chain = m.type_name() == "Sequential";
  if (!out.is(Kind::tensor) || (chain && origins(out))) return;
  const Shape shape = out.as<Tensor>().shape();
  const std::string own =
      (path.empty() ? m.type_name() : label(path)) + place(site_of(label(path)));
  const auto* from = origins(in);
  const Shape before = from ? in.as<Tensor>().shape() : Shape();
  const int owned = dim_of_output(m, shape.size());
  std::vector<std::string> result;
  for (int i = 0; i < shape.size(); ++i) {
    const bool kept = from && i != owned && before.size() == shape.size() && before[i] == shape[i];
    result.push_back(kept ? (*from)[static_cast<size_t>(i)] : own);
  }
  uint32_t open = open_of_result("", &in, 1, shape);
  if (owned >= 0) open &= ~(1u << owned);
  set(out, std::move(result), open);
}

/// A size that has moved, as in a transpose; "" where the arguments have none like it.
std::string CheckSession::origin_of_size(int64_t size, const Value* in, size_t n) const {
  for (size_t k = 0; k < n; ++k) {
    const auto* from = origins(in[k]);
    if (!from) continue;
    const Shape& shape = static_cast<const TensorImpl*>(in[k].object())->sizes;
    for (int i = 0; i < shape.size(); ++i)
      if (shape[i] == size) return (*from)[static_cast<size_t>(i)];
  }
  return "";
}

void CheckSession::computed(const std::string& what, const Span& at, const Value* in, size_t n,
                            const Value& out) {
  if (out.is_sequence()) {
    for (const Value& item : out.items()) computed(what, at, in, n, item);
    return;
  }
  if (!out.is(Kind::tensor)) return;
  const Shape shape = out.as<Tensor>().shape();
  std::vector<std::string> result(static_cast<size_t>(shape.size()));
  const auto take = [&](const Value& v) {
    const auto* from = origins(v);
    if (!from || from->size() != result.size()) return;
    const Shape& before = static_cast<const TensorImpl*>(v.object())->sizes;
    for (int i = 0; i < shape.size(); ++i) {
      std::string& origin = result[static_cast<size_t>(i)];
      if (origin.empty() && before[i] == shape[i]) origin = (*from)[static_cast<size_t>(i)];
    }
  };
  for (size_t k = 0; k < n; ++k) {
    if (in[k].is_sequence()) std::for_each(in[k].items().begin(), in[k].items().end(), take);
    else take(in[k]);
  }
  for (int i = 0; i < shape.size(); ++i) {
    std::string& origin = result[static_cast<size_t>(i)];
    if (origin.empty()) origin = origin_of_size(shape[i], in, n);
    if (origin.empty()) origin = "`" + what + "`" + place(at);
  }
  set(out, std::move(result), open_of_result(what, in, n, shape));
}

std::vector<Note> CheckSession::sources(const std::string& what, const Value* in, size_t n,
                                        const Error& e) const {
  const auto clash = find_clash(what, in, n, e.what());
  const auto *x = clash ? origins(clash->a) : nullptr, *y = clash ? origins(clash->b) : nullptr;
  if (!x || !y) return {};
  return {{fmt::format("{} comes from {}, {} from {}", clash->a.size(clash->dim_a),
                       (*x)[static_cast<size_t>(clash->dim_a)], clash->b.size(clash->dim_b),
                       (*y)[static_cast<size_t>(clash->dim_b)]),
           {}}};
}

std::vector<Note> CheckSession::sources_of_call() const {
  const auto* from = origins(entered_.in);
  if (!from) return {};
  const Shape shape = entered_.in.as<Tensor>().shape();
  const auto wanted = size_of_input(*entered_.module, shape.size());
  if (!wanted || shape[wanted->dim] == wanted->size) return {};
  return {{fmt::format("{} comes from {}, {} from {} of {}", shape[wanted->dim],
                       (*from)[static_cast<size_t>(wanted->dim)], wanted->size, wanted->argument,
                       entered_.path.empty() ? entered_.module->type_name() : label(entered_.path)),
           {}}};
}

Value CheckSession::resized(const Value& v, int64_t size) {
  if (v.is_sequence()) {
    Values items;
    for (const Value& item : v.items()) items.push_back(resized(item, size));
    return v.is(Kind::list) ? Value::list(std::move(items)) : Value::tuple(std::move(items));
  }
  const uint32_t open = open_dims(v);
  if (!open) return v;
  Tensor t = v.as<Tensor>();
  for (int d = 0; d < t.dim(); ++d)
    if (open >> d & 1) t = narrow(t, d, 0, std::min(size, t.size(d)));
  const auto* from = origins(v);
  set(t, from ? *from : std::vector<std::string>(), open);
  return t;
}

std::optional<Value> CheckSession::refit(const std::string& what, const Span& at, const Value* in,
                                         size_t n, const std::function<Value(const Value*)>& run) {
  if (std::none_of(in, in + n, [this](const Value& v) { return open_dims(v) != 0; })) return {};
  Sizes sizes;
  for (size_t k = 0; k < n; ++k) sizes.add(in[k]);
  const Entered entered = entered_;
  for (const int64_t size : sizes.all()) {
    Values operands;
    for (size_t k = 0; k < n; ++k) operands.push_back(resized(in[k], size));
    try {
      Value out = run(operands.data());
      if (!what.empty()) computed(what, at, operands.data(), n, out);
      return out;
    } catch (const Error&) {
      // The next size may do.
    }
  }
  entered_ = entered;
  return {};
}

std::string CheckSession::advice_of_call(const Error& e) const {
  const std::string_view what = e.what();
  if (!e.hint().empty()) return e.hint();
  // In a chain of layers each takes what the one before it gives.
  if (what.ends_with("must be Tensor, not tuple"))
    return "the layer before it gives several values, as LSTM does `(output, (h, c))`: call both "
           "in "
           "a forward, `y, state = lstm(x)`";
  if (what.ends_with("missing 1 required positional argument: 'target'"))
    return "a loss is no layer of the model: it stands under `train:`, as `loss: "
           "cross_entropy(out, y)`";
  if (!origins(entered_.in)) return "";
  const Shape shape = entered_.in.as<Tensor>().shape();
  const auto wanted = size_of_input(*entered_.module, shape.size());
  if (!wanted || shape[wanted->dim] == wanted->size) return "";
  const bool features = std::string_view(wanted->argument) == "in_features" && shape.size() > 2;
  if (features && entered_.in.as<Tensor>().numel() == shape[0] * wanted->size)
    return "`Flatten()`, in a forward `flatten(x, 1)`, is missing before it";
  return fmt::format("with `{}={}` it takes what comes before", wanted->argument,
                     shape[wanted->dim]);
}

CheckSession::Running::Running(CheckSession& s, const std::string& path)
    : session_(s), call_(s.call) {
  // Several in a Sequential share the call that led there.
  s.stack_.push_back({path, call_});
}

void CheckSession::Running::input(const std::string& name, bool only, const Value& v) {
  if (!v.is(Kind::tensor)) return;
  const auto* impl = static_cast<const TensorImpl*>(v.object());
  const auto* known = session_.origins(v);
  before_.emplace_back(impl, known ? *known : std::vector<std::string>());
  const std::string& path = session_.stack_.back().path;
  const std::string of = path.empty() ? "" : " of " + path;
  const std::string text = only && !path.empty() ? "the input" + of : "input `" + name + "`" + of;
  session_.set(v, std::vector<std::string>(static_cast<size_t>(impl->sizes.size()), text),
               session_.open_dims(v));
}

CheckSession::Running::~Running() {
  session_.stack_.pop_back();
  session_.call = call_;
  for (auto& [impl, origins] : before_) {
    const auto it = session_.tensors_.find(impl);
    if (it == session_.tensors_.end()) continue;
    if (origins.empty()) session_.tensors_.erase(it);
    else it->second.origins = std::move(origins);
  }
}

}  // namespace nnm::lang
