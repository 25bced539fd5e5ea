// A first look at a file in a process of its own. Private to lib/nnm/io.
#pragma once

#include <functional>
#include <string>

namespace nnm::io {

/// Runs `look` in a child process: libhdf5 crashes or loops on some damaged metadata. Returns what
/// was wrong: the text of the Error that it threw, "" for nothing, or that the child crashed or
/// took more than five seconds of processor time. Also "" where no process can be made.
std::string probe(const std::function<void()>& look);

}  // namespace nnm::io
