// What is fuzzed: every reader of bytes that somebody else wrote.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nnm::fuzz {

/// A reader, by the name of its folder in tests/fuzz/corpus. `run` reads the bytes and returns; an
/// answer that the program would not give a user (another kind of error, a crash, a hang) is a
/// find.
struct Target {
  const char* name;
  void (*run)(std::string_view bytes);
};
const std::vector<Target>& targets();
/// Null where there is none.
const Target* find_target(std::string_view name);

}  // namespace nnm::fuzz
