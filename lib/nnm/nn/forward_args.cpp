// How the arguments of a call find the parameters of a forward, and what Python says where they
// do not.
#include <algorithm>
#include <string>
#include <vector>

#include "nnm/nn/module.h"

namespace nnm {

namespace {

/// 'a', 'b', and 'c'
std::string quoted(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) out += i + 1 < names.size() ? ", " : names.size() == 2 ? " and " : ", and ";
    out += python_string(names[i]);
  }
  return out;
}

const char* plural(size_t n) { return n == 1 ? "" : "s"; }

/// A call that may not fit; it is looked at in the order in which Python looks.
class CallCheck {
 public:
  CallCheck(std::string function, const Signature& signature, const Args& args)
      : function_(std::move(function)),
        signature_(signature),
        args_(args),
        given_(signature.params().size()) {
    for (size_t i = 0, left = args.pos.size(); i < given_.size(); ++i) {
      if (!is_positional(i)) continue;
      ++positional_;
      required_ += !signature.params()[i].fallback;
      if (left > 0) --left, given_[i] = true;
    }
  }

  void run() {
    for (const auto& [name, value] : args_.kw) take_keyword(name);
    if (args_.pos.size() > positional_ && !any(&Param::variadic)) throw_too_many();
    check_missing(false, "positional");
    check_missing(true, "keyword-only");
  }

 private:
  bool is_positional(size_t i) const {
    const Param& p = signature_.params()[i];
    return !p.keyword_only && !p.variadic && !p.keywords;
  }
  bool any(bool Param::*kind) const {
    const auto& params = signature_.params();
    return std::any_of(params.begin(), params.end(), [kind](const Param& p) { return p.*kind; });
  }

  [[noreturn]] void fail(const std::string& text, std::string hint, std::string name) const {
    throw BindError(function_ + "() " + text, std::move(hint), -1, std::move(name));
  }

  void take_keyword(const std::string& name) {
    const int at = signature_.index_of(name);
    const auto i = static_cast<size_t>(at);
    if (at < 0 || signature_.params()[i].keywords) {
      if (any(&Param::keywords)) return;
      std::vector<std::string> names;
      for (const Param& p : signature_.params()) names.push_back(p.name);
      fail(fmt::format("got an unexpected keyword argument '{}'", name), did_you_mean(name, names),
           name);
    }
    if (given_[i]) fail(fmt::format("got multiple values for argument '{}'", name), "", name);
    given_[i] = true;
  }

  // Python counts `self`.
  [[noreturn]] void throw_too_many() const {
    const size_t most = positional_ + 1, least = required_ + 1, got = args_.pos.size() + 1;
    size_t by_name = 0;
    for (size_t i = 0; i < given_.size(); ++i) {
      by_name += given_[i] && signature_.params()[i].keyword_only;
    }
    const std::string range =
        least < most ? fmt::format("from {} to {}", least, most) : std::to_string(most);
    const std::string also =
        by_name == 0 ? ""
                     : fmt::format(" positional arguments (and {} keyword-only argument{})",
                                   by_name, plural(by_name));
    fail(fmt::format("takes {} positional argument{} but {}{} were given", range,
                     least < most ? "s" : plural(most), got, also),
         "", "");
  }

  void check_missing(bool keyword_only, const char* kind) const {
    std::vector<std::string> names;
    for (size_t i = 0; i < given_.size(); ++i) {
      const Param& p = signature_.params()[i];
      const bool optional = p.fallback || p.variadic || p.keywords;
      if (!given_[i] && !optional && p.keyword_only == keyword_only) names.push_back(p.name);
    }
    if (names.empty()) return;
    fail(fmt::format("missing {} required {} argument{}: {}", names.size(), kind,
                     plural(names.size()), quoted(names)),
         "", names[0]);
  }

  const std::string function_;
  const Signature& signature_;
  const Args& args_;
  std::vector<bool> given_;
  size_t positional_ = 0, required_ = 0;
};

}  // namespace

Values Module::forward_args(const Signature& signature, const Args& args) const {
  try {
    return signature.bind(args);
  } catch (const BindError& e) {
    const std::string function = type_name() + ".forward";
    CallCheck(function, signature, args).run();
    // All are there, and one is of a wrong kind: "forward: `x`: expected …".
    throw BindError(type_name() + "." + e.what(), e.hint(), e.position, e.name, e.kind());
  }
}

Value Module::only_input(const Args& args) const {
  if (args.pos.size() == 1 && args.kw.empty()) return args.pos[0];
  static const Signature signature = Signature::parse("forward(input)");
  return forward_args(signature, args)[0];
}

}  // namespace nnm
