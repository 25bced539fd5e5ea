// Examples of the error codes: for each a config that yields it, and the same put right.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace nnm::lang {

/// A config and what is to be typed for it; its file is `net.yaml`.
struct CodeCase {
  const char* config;  ///< without its line `nnm: 1`, unless that matters
  const char* command = "nnm check net.yaml";
  const char* base = "";  ///< `base.yaml` beside it, where it takes two
  /// The whole files.
  std::string file() const;
  std::string base_file() const;
};

struct CodeExample {
  const char* code;
  CodeCase wrong, right;  ///< what `right` is told is neither error nor warning
};

/// The example of a code as the table spells it, or null.
const CodeExample* find_example(std::string_view code);

namespace detail {
// The examples by what they are about, each in a file of its own.
std::span<const CodeExample> text_examples();     // E01, E02
std::span<const CodeExample> name_examples();     // E03
std::span<const CodeExample> value_examples();    // E04, E05, W: of models
std::span<const CodeExample> setting_examples();  // of data and training
}  // namespace detail

}  // namespace nnm::lang
