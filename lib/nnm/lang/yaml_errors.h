// What is wrong with a YAML text that yaml-cpp refuses, and what to write instead.
#pragma once

#include <string>
#include <vector>

#include "nnm/lang/tree.h"

namespace nnm::lang {

/// How far the reading had come.
struct YamlState {
  struct Open {
    size_t begin;
    bool map, flow;
  };
  std::vector<Open> open;  ///< collections that are not closed, outermost first
  size_t last_begin = 0;   ///< of the last scalar, in the source
  size_t last_end = 0;
  std::string last_text;
  bool last_quoted = false;
  std::vector<std::string> anchors;
};

/// The error at byte `at` (beyond the text at its end), for which yaml-cpp says `message`.
Diagnostic explain_yaml(const SourceRef& file, size_t at, const std::string& message,
                        const YamlState& state);

struct Openness {
  int parens = 0, brackets = 0;
  char quote = 0;
  bool balanced() const { return parens == 0 && brackets == 0 && quote == 0; }
};
/// Whether the quotes and brackets of a piece of code are closed: the number of open `(`, of open
/// `[`, and the quote that is open at the end. `before` is how an earlier piece ended.
Openness openness(std::string_view code, Openness before = {});

/// What to write for a line or piece of a mapping that has no `:`.
std::string colon_advice(const std::string& key, bool flow);

/// What to write where YAML took `text: ` for a key of a mapping inside of code; "" if the text is
/// no cut code.
std::string mapping_advice(std::string_view text);

}  // namespace nnm::lang
