// Literals of the config language inside declarations: defaults of arguments, choices, bounds.
#pragma once

#include <string>
#include <string_view>

#include "nnm/base/value.h"

namespace nnm {

/// A cursor over the text of a declaration; every failure names the text and the offset.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  /// Skips blanks, then takes `token` if it comes next.
  bool accept(std::string_view token);
  void expect(std::string_view token);
  bool at_end();
  /// An identifier, or "" where none stands.
  std::string name();
  /// A number, string in either quotes, true, false, none (also as Python has them), inf, nan,
  /// dtype, list or tuple of them; sign allowed. Throws Error(value).
  Value literal();
  /// A number as literal() reads one.
  double number();
  [[noreturn]] void fail(const std::string& what) const;

 private:
  Value string_literal();
  char escape();
  Value number_literal(bool negative);
  Value word_literal();
  Values elements(std::string_view close, bool& comma);
  void skip_blanks();

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;  // of brackets: a text must not overflow the stack
};

/// The whole text as one literal.
Value parse_literal(std::string_view text);
/// How a config writes the element types.
inline constexpr const char* kDTypeNames[] = {"f32", "f64", "bf16", "f16", "i64",
                                              "i32", "i16", "i8",   "u8",  "bool"};
/// The element type of that name ("f32", "float32", "torch.float32", "torch.float"), or none.
Value find_dtype(std::string_view name);

}  // namespace nnm
