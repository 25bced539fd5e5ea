// Lines of Python by their first words.
#include "nnm/lang/python_advice.h"

#include <fmt/format.h>

#include <array>
#include <cctype>

namespace nnm::lang {

namespace {

std::string_view trimmed(std::string_view s) {
  const size_t begin = s.find_first_not_of(" \t");
  if (begin == s.npos) return {};
  return s.substr(begin, s.find_last_not_of(" \t;") - begin + 1);
}

bool name_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

/// The word at the start of a line.
std::string_view leading_name(std::string_view line) {
  size_t end = 0;
  while (end < line.size() && name_char(line[end])) ++end;
  return line.substr(0, end);
}

struct Known {
  const char *word, *advice;
};
constexpr std::array kStatements = {
    Known{"import", "leave it away: layers and functions of PyTorch go by their own names"},
    Known{"from", "leave it away: layers and functions of PyTorch go by their own names"},
    Known{"class", "a class stands under `define:`, by its name: `Net:`"},
    Known{"super", "leave it away: every class is a module"},
    Known{"with", "leave it away: gradients are recorded in training alone"},
    Known{"try", "there are no exceptions: `require condition, \"text\"` ends with an error"},
    Known{"except", "there are no exceptions: `require condition, \"text\"` ends with an error"},
    Known{"raise", "write `require condition, \"text\"`"},
    Known{"pass", "leave it away"},
    Known{"print", "leave it away: `nnm trace --hook forward` records what modules give"},
    Known{"yield", "a forward ends with `return …`"},
    Known{"del", "leave it away: what nobody needs any more is freed"},
    Known{"nonlocal", "leave it away: a class sees its args, lets, inputs and children"},
    Known{"global", "leave it away: a class sees its args, lets, inputs and children"},
};

/// "Linear(2, 3)" of "nn.Linear(2, 3)".
std::string_view without_module(std::string_view value) {
  for (const std::string_view prefix :
       {"torch.nn.functional.", "torch.nn.", "nn.functional.", "nn.", "F."})
    if (value.starts_with(prefix)) return value.substr(prefix.size());
  return value;
}

}  // namespace

std::string python_advice(std::string_view line) {
  line = trimmed(line);
  const std::string_view word = leading_name(line);
  const std::string_view rest = trimmed(line.substr(word.size()));
  if (rest.starts_with('=') || (rest.starts_with('.') && word != "self")) return "";
  if (word == "def") {
    return rest.starts_with("__init__") ? "what `__init__` makes stands under `modules:`"
           : rest.starts_with("forward")
               ? "the statements of forward are a list: `forward:` and below it `- return …`"
               : "there are no functions: write a class of `define:`";
  }
  if (word == "assert") return fmt::format("write `require {}`", rest.empty() ? "condition" : rest);
  for (const Known& k : kStatements)
    if (word == k.word) return k.advice;
  if (word != "self" || !rest.starts_with('.')) return "";
  const std::string_view name = leading_name(rest.substr(1));
  const std::string_view value = trimmed(rest.substr(1 + name.size()));
  if (value.empty()) return fmt::format("write `{}`, without `self.`", name);
  if (!value.starts_with('=')) return "";
  return fmt::format("write `{}: {}`", name, without_module(trimmed(value.substr(1))));
}

}  // namespace nnm::lang
