// Codes: what each error code of the language means, in a line and at length.
#pragma once

#include <string_view>
#include <vector>

namespace nnm::lang {

struct CodeInfo {
  const char* code;   ///< "E0303"
  const char* title;  ///< one line
  const char* text;   ///< what it means, why it is an error, what to write
};

/// All codes, ascending.
const std::vector<CodeInfo>& codes();
/// The entry of a code ("E0303", "e0303"), or null.
const CodeInfo* find_code(std::string_view code);

}  // namespace nnm::lang
