// print: Python's, for whoever writes a program against the library.
#pragma once

#include <concepts>
#include <cstdio>
#include <string>
#include <vector>

#include "nnm/base/value.h"

namespace nnm {

/// Python's str of whatever goes into a Value, and of what has its own: `repr()` (modules,
/// optimizers), `str()`, or a function of this name (a Shape prints as torch.Size([2, 3])).
inline std::string str(const Value& v) { return v.str(); }
inline std::string str(const Values& args) { return Value::tuple(args).repr(); }
inline std::string str(const Items& kwargs) { return Value::dict(kwargs).repr(); }
inline std::string str(const std::vector<std::string>& names) {
  return Value::list(Values(names.begin(), names.end())).repr();
}
template <class T>
requires requires(const T& x) {
  { x.repr() } -> std::same_as<std::string>;
}
std::string str(const T& x) { return x.repr(); }
template <class T>
requires(!std::convertible_to<const T&, Value>) && requires(const T& x) {
  { x.str() } -> std::same_as<std::string>;
}
std::string str(const T& x) { return x.str(); }

/// Python's repr: as str, a text in quotes.
inline std::string repr(const Value& v) { return v.repr(); }

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
