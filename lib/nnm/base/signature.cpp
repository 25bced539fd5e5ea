// Signatures: reading their text form, binding arguments, and their spelling in messages.
#include "nnm/base/signature.h"

#include <algorithm>
#include <cctype>

#include "nnm/base/literal.h"

namespace nnm {

namespace {

Param parse_param(Scanner& s, bool keyword_only) {
  Param p;
  p.keyword_only = keyword_only;
  p.keywords = s.accept("**");
  p.keyword_only |= p.keywords;
  p.variadic = !p.keywords && s.accept("*");
  p.name = s.name();
  if (p.name.empty()) s.fail("expected a name");
  if (s.accept(":")) p.type = ArgType::parse(s);
  if (s.accept("=")) {
    const Value v = s.literal();
    // A default need not be in the type: `int = none` means that none stands for "not given".
    p.fallback = v.is_none() ? v : p.type.convert(v);
    p.type.optional |= v.is_none();
  }
  if ((p.variadic || p.keywords) && p.fallback) s.fail("a variadic parameter has no default");
  return p;
}

}  // namespace

Signature Signature::parse(std::string_view text) {
  Scanner s(text);
  Signature out;
  out.name_ = s.name();
  while (s.accept(".")) out.name_ += "." + s.name();
  s.expect("(");
  bool keyword_only = false, comma = true;
  while (!s.accept(")")) {
    if (!comma) s.fail("expected `,` or `)`");
    if (s.accept("*,")) {
      keyword_only = true;
      continue;
    }
    Param p = parse_param(s, keyword_only);
    if (out.index_of(p.name) >= 0) s.fail(fmt::format("`{}` stands twice", p.name));
    keyword_only |= p.variadic;
    out.params_.push_back(std::move(p));
    comma = s.accept(",");
  }
  if (!s.at_end()) s.fail("unexpected text");
  return out;
}

int Signature::index_of(std::string_view param) const {
  for (size_t i = 0; i < params_.size(); ++i) {
    if (params_[i].name == param) return static_cast<int>(i);
  }
  return -1;
}

namespace {

/// One binding under way: what has been given, and where it came from.
struct Binder {
  const std::string& name;
  const std::vector<Param>& params;
  Values out;
  std::vector<char> given;
  Items other = {};  ///< keyword arguments that `**name` takes
  std::vector<BindError> errors = {};
  bool misnamed = false;  ///< an argument has no place: another one may be missing because of it

  /// Runs f, which is about one argument.
  template <class F>
  void attempt(const F& f) {
    try {
      f();
    } catch (const BindError& e) {
      errors.push_back(e);
    }
  }

  void set(size_t index, const Value& v, int position) {
    const Param& p = params[index];
    if (given[index]) {
      throw BindError(fmt::format("{}: argument `{}` is given twice", name, p.name), "", position,
                      p.name);
    }
    given[index] = 1;
    out[index] = convert(p, v, position);
  }

  Value convert(const Param& p, const Value& v, int position) const {
    try {
      return p.type.convert(v);
    } catch (const Error& e) {
      throw BindError(fmt::format("{}: `{}`: {}", name, p.name, e.what()), e.hint(), position,
                      p.name, e.kind());
    }
  }

  void positional(const Values& pos) {
    size_t slot = 0;
    for (size_t i = 0; i < pos.size(); ++i) {
      while (slot < params.size() && params[slot].keyword_only) ++slot;
      const int position = static_cast<int>(i);
      if (slot == params.size()) {
        misnamed = true;
        return attempt([&] { throw_too_many(pos.size(), position); });
      }
      if (params[slot].variadic) return attempt([&] { rest(slot, pos, i); });
      attempt([&] { set(slot, pos[i], position); });
      ++slot;
    }
  }

  void rest(size_t slot, const Values& pos, size_t from) {
    Values taken;
    for (size_t i = from; i < pos.size(); ++i) {
      taken.push_back(convert(params[slot], pos[i], static_cast<int>(i)));
    }
    given[slot] = 1;
    out[slot] = Value::tuple(std::move(taken));
  }

  void keyword(const std::string& key, const Value& v) {
    const auto it = std::find_if(params.begin(), params.end(),
                                 [&](const Param& p) { return p.name == key && !p.keywords; });
    if (it == params.end()) return other_keyword(key, v);
    const auto index = static_cast<size_t>(it - params.begin());
    // `reshape(x, shape=[2, 3])`: by name, what would be collected stands in one list.
    if (it->variadic && !given[index] && v.is_sequence()) return rest(index, v.items(), 0);
    set(index, v, -1);
    if (it->variadic) out[index] = Value::tuple({out[index]});
  }

  void other_keyword(const std::string& key, const Value& v) {
    const auto taker =
        std::find_if(params.begin(), params.end(), [](const Param& p) { return p.keywords; });
    if (taker == params.end()) {
      misnamed = true;
      throw_unknown(key);
    }
    for (const auto& [before, ignored] : other) {
      if (before == key) {
        throw BindError(fmt::format("{}: argument `{}` is given twice", name, key), "", -1, key);
      }
    }
    other.emplace_back(key, convert(*taker, v, -1));
  }

  void fill_defaults() {
    for (size_t i = 0; i < params.size(); ++i) {
      if (given[i]) continue;
      if (params[i].keywords) {
        out[i] = Value::dict(std::move(other));
      } else if (params[i].variadic) {
        out[i] = Value::tuple({});
      } else if (params[i].fallback) {
        out[i] = *params[i].fallback;
      } else {
        throw BindError(fmt::format("{}: missing argument `{}`", name, params[i].name), "", -1,
                        params[i].name);
      }
    }
  }

  [[noreturn]] void throw_too_many(size_t got, int position) const {
    const auto most =
        std::count_if(params.begin(), params.end(), [](const Param& p) { return !p.keyword_only; });
    const char* kind = static_cast<size_t>(most) == params.size() ? "" : " positional";
    throw BindError(most == 0 ? fmt::format("{} takes no{} arguments, got {}", name, kind, got)
                              : fmt::format("{} takes at most {}{} argument{}, got {}", name, most,
                                            kind, most == 1 ? "" : "s", got),
                    "", position, "");
  }

  [[noreturn]] void throw_unknown(const std::string& key) const {
    throw BindError(fmt::format("{} has no argument `{}`", name, key), argument_advice(key, params),
                    -1, key);
  }
};

}  // namespace

std::string argument_advice(const std::string& key, const std::vector<Param>& params) {
  std::vector<std::string> names;
  for (const Param& p : params) {
    if (!p.keywords) names.push_back(p.name);
  }
  const std::string near = nearest(key, names);
  if (!near.empty()) return fmt::format("did you mean `{}`?", near);
  // What numpy, other libraries and other layers call it.
  static const std::vector<std::pair<std::string, std::string>> kSame = {
      {"axis", "dim"},
      {"axes", "dim"},
      {"keepdims", "keepdim"},
      {"x", "input"},
      {"learning_rate", "lr"},
      {"wd", "weight_decay"},
      {"decay", "weight_decay"},
      {"beta1", "betas"},
      {"beta2", "betas"},
      {"epsilon", "eps"},
      {"use_bias", "bias"},
      {"input_size", "in_features"},
      {"input_dim", "in_features"},
      {"in_dim", "in_features"},
      {"output_size", "out_features"},
      {"output_dim", "out_features"},
      {"out_dim", "out_features"},
      {"units", "out_features"},
      {"filters", "out_channels"},
      {"features", "num_features"},
      {"hidden_dim", "hidden_size"},
      {"vocab_size", "num_embeddings"},
      {"rate", "p"},
      {"prob", "p"},
      {"dropout", "p"},
      {"heads", "num_heads"},
      {"nhead", "num_heads"},
      {"n_head", "num_heads"},
      {"d_model", "embed_dim"},
      {"smoothing", "label_smoothing"},
      {"activation", "nonlinearity"}};
  for (const auto& [other, ours] : kSame) {
    if (key == other && std::find(names.begin(), names.end(), ours) != names.end())
      return fmt::format("did you mean `{}`?", ours);
  }
  return "";
}

Values Signature::bind(const Args& args) const {
  Binder b{name_, params_, Values(params_.size()), std::vector<char>(params_.size())};
  b.positional(args.pos);
  for (const auto& [key, value] : args.kw)
    b.attempt([&, &k = key, &v = value] { b.keyword(k, v); });
  if (!b.misnamed) b.attempt([&] { b.fill_defaults(); });
  if (b.errors.empty()) return std::move(b.out);
  BindError first = std::move(b.errors.front());
  first.more.assign(b.errors.begin() + 1, b.errors.end());
  throw first;
}

std::string Signature::text(bool config_spelling) const {
  std::string out = name_ + "(";
  bool star = false;
  for (size_t i = 0; i < params_.size(); ++i) {
    const Param& p = params_[i];
    if (i) out += ", ";
    if (p.keyword_only && !star && !p.keywords) out += "*, ";
    star |= p.keyword_only || p.variadic;
    out += (p.variadic ? "*" : p.keywords ? "**" : "") + p.name;
    if (p.fallback) {
      out += "=" + (config_spelling ? p.fallback->config_text() : p.fallback->repr());
    }
  }
  return out + ")";
}

size_t edit_distance(std::string_view a, std::string_view b) {
  // Three rows of the table: transpositions look two rows back.
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = a[i - 1] == b[j - 1];
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::string nearest(std::string_view name, const std::vector<std::string>& candidates) {
  const auto lower = [](std::string_view s) {
    std::string out(s);
    for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
  };
  const std::string wanted = lower(name);
  size_t best = wanted.size();  // everything replaced is no slip
  std::string found;
  for (const std::string& candidate : candidates) {
    const size_t limit = std::max<size_t>(std::max(wanted.size(), candidate.size()) / 3, 1);
    const size_t length_gap = wanted.size() > candidate.size() ? wanted.size() - candidate.size()
                                                               : candidate.size() - wanted.size();
    if (length_gap > limit) continue;
    const size_t distance = edit_distance(wanted, lower(candidate));
    if (distance > limit || distance > best) continue;
    // Of two that are as near, the one that has more of the letters' cases.
    if (distance == best &&
        (found.empty() || edit_distance(name, candidate) >= edit_distance(name, found)))
      continue;
    best = distance;
    found = candidate;
  }
  return found;
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates,
                         std::string otherwise) {
  const std::string near = nearest(name, candidates);
  return near.empty() ? std::move(otherwise) : fmt::format("did you mean `{}`?", near);
}

}  // namespace nnm
