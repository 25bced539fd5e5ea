// Errors of a check with their calls, and where sizes come from.
#include "nnm/lang/check_session.h"

#include <algorithm>

#include "nnm/lang/forward.h"

namespace nnm::lang {

namespace {

using Kind = Value::Kind;

constexpr int64_t kMaxRounds = 200'000;

std::string place(const Span& s) { return s ? fmt::format(" ({}:{})", s.file->path, s.line) : ""; }

/// The dimension whose size the layer's own arguments set, or -1: channels of a convolution, the
/// last of Linear and Embedding.
int owned_dim(const Module& m, int rank) {
  const std::string type = m.type_name();
  const auto* entry = Registry<Module>::find(type);
  if (!entry) return -1;
  const Signature& s = entry->signature();
  if (s.index_of("out_features") >= 0 || s.index_of("embedding_dim") >= 0) return rank - 1;
  const size_t digit = type.find_last_of("123");
  if (s.index_of("out_channels") >= 0 && digit != std::string::npos)
    return rank - 1 - (type[digit] - '0');
  return -1;
}

}  // namespace

CheckSession*& CheckSession::current() {
  thread_local CheckSession* session = nullptr;
  return session;
}

void CheckSession::report(const Fault& f) {
  const Span& s = f.diagnostic.span;
  if (f.silent || !seen_.emplace(s ? s.file->path : "", s.line, s.column).second) return;
  Fault whole = f;
  whole.calls.assign(stack_.rbegin(), stack_.rend());
  diagnostics.add(with_calls(whole));
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

void CheckSession::set(const Value& v, std::vector<std::string> origins) {
  const Tensor t = v.as<Tensor>();
  tensors_[t.impl()] = {t, std::move(origins)};
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
  const std::string repr = (m ? m : &called)->repr();
  return fmt::format("{} is {}{}", m ? inner : label, repr.substr(0, repr.find('\n')),
                     place(site_of(inner)));
}

void CheckSession::called(const Module& m, const std::string& label, const Value& in,
                          const Value& out) {
  if (!out.is(Kind::tensor)) return;
  const Shape shape = out.as<Tensor>().shape();
  const std::string own = label + place(site_of(label));
  const auto* from = origins(in);
  const Shape before = from ? in.as<Tensor>().shape() : Shape();
  const int owned = owned_dim(m, shape.size());
  std::vector<std::string> result;
  for (int i = 0; i < shape.size(); ++i) {
    const bool kept = from && i != owned && before.size() == shape.size() && before[i] == shape[i];
    result.push_back(kept ? (*from)[static_cast<size_t>(i)] : own);
  }
  set(out, std::move(result));
}

void CheckSession::computed(const std::string& what, const Span& at, const Value* in, size_t n,
                            const Value& out) {
  if (!out.is(Kind::tensor)) return;
  const Shape shape = out.as<Tensor>().shape();
  std::vector<std::string> result(static_cast<size_t>(shape.size()), "`" + what + "`" + place(at));
  for (int i = 0; i < shape.size(); ++i) {
    for (size_t k = 0; k < n; ++k) {
      const auto* from = origins(in[k]);
      if (!from || from->size() != result.size()) continue;
      if (in[k].as<Tensor>().shape()[i] != shape[i]) continue;
      result[static_cast<size_t>(i)] = (*from)[static_cast<size_t>(i)];
      break;
    }
  }
  set(out, std::move(result));
}

std::string CheckSession::sources(const Tensor& a, const Tensor& b) const {
  const auto *x = origins(a), *y = origins(b);
  if (!x || !y) return "";
  const int n = std::max(a.dim(), b.dim());
  for (int i = 0; i < n; ++i) {
    const int p = i - (n - a.dim()), q = i - (n - b.dim());
    if (p < 0 || q < 0) continue;
    const int64_t s = a.shape()[p], t = b.shape()[q];
    if (s == t || s == 1 || t == 1) continue;
    return fmt::format("{} comes from {}, {} from {}", s, (*x)[static_cast<size_t>(p)], t,
                       (*y)[static_cast<size_t>(q)]);
  }
  return "";
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
  session_.set(v, std::vector<std::string>(static_cast<size_t>(impl->sizes.size()), text));
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
