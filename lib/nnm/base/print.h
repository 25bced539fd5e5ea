// print: Python's, for whoever writes a program against the library.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "nnm/base/value.h"

namespace nnm {

/// Python's str of whatever goes into a Value. Types that do not have their own beside themselves:
/// Shape prints `torch.Size([2, 3])`, a Module as repr, a vector of tensors as a tuple.
inline std::string str(const Value& v) { return v.str(); }
inline std::string str(const Values& args) { return Value::tuple(args).repr(); }
inline std::string str(const Items& kwargs) { return Value::dict(kwargs).repr(); }
inline std::string str(const std::vector<std::string>& names) {
  return Value::list(Values(names.begin(), names.end())).repr();
}

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
