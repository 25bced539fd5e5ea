// print: Python's, for whoever writes a program against the library; and the same to streams.
#pragma once

#include <concepts>
#include <cstdio>
#include <ostream>
#include <string>
#include <vector>

#include "nnm/base/value.h"

namespace nnm {

template <class T>
concept HasRepr = requires(const T& x) {
  { x.repr() } -> std::same_as<std::string>;
};
template <class T>
concept HasStr = !HasRepr<T> && !std::convertible_to<const T&, Value> && requires(const T& x) {
  { x.str() } -> std::same_as<std::string>;
};

/// Python's str of whatever goes into a Value, and of what has its own: `repr()` (modules,
/// optimizers), `str()`, or a function of this name (a Shape prints as torch.Size([2, 3])).
inline std::string str(const Value& v) { return v.str(); }
inline std::string str(const Values& args) { return Value::tuple(args).repr(); }
inline std::string str(const Items& kwargs) { return Value::dict(kwargs).repr(); }
inline std::string str(const std::vector<std::string>& names) {
  return Value::list(Values(names.begin(), names.end())).repr();
}
template <HasRepr T>
std::string str(const T& x) {
  return x.repr();
}
template <HasStr T>
std::string str(const T& x) {
  return x.str();
}

/// Python's repr: as str, a text in quotes.
inline std::string repr(const Value& v) { return v.repr(); }

/// std::cout << x: what print(x) writes.
template <class T>
requires(HasRepr<T> || HasStr<T>) std::ostream& operator<<(std::ostream& out, const T& x) {
  return out << str(x);
}
inline std::ostream& operator<<(std::ostream& out, DType t) { return out << str(Value(t)); }
template <class T>
requires requires { ValueHandle<Ref<T>>::kind; }
std::ostream& operator<<(std::ostream& out, const Ref<T>& x) { return out << str(Value(x)); }

/// Python's print: the arguments with spaces between them and a line break, to stdout.
///   print("output:", model(x));
template <class... A>
void print(const A&... args) {
  std::string line;
  ((line += str(args), line += ' '), ...);
  if (!line.empty()) line.pop_back();
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stdout);
}

}  // namespace nnm
