// A first look at a file in a process of its own. Private to lib/nnm/io.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace nnm::io {

struct Verdict {
  std::string problem;                ///< "": none
  std::optional<std::string> answer;  ///< without a problem; absent where no process can be made
};

/// Runs `look` in a child process: libhdf5 crashes or loops on some damaged metadata. Gives its
/// answer, or the text of the Error that it threw, or that the child crashed or took more than five
/// seconds of processor time.
Verdict probe(const std::function<std::string()>& look);

}  // namespace nnm::io
