// Explains YAML errors by looking at the source around the place where yaml-cpp gave up.
#include "nnm/lang/yaml_errors.h"

#include <algorithm>

#include "nnm/base/signature.h"
#include "nnm/base/text.h"
#include "nnm/lang/parser.h"
#include "nnm/lang/python_advice.h"
#include "nnm/lang/scalar_place.h"

namespace nnm::lang {

Openness openness(std::string_view code, Openness before) {
  Openness o = before;
  for (size_t i = 0; i < code.size(); ++i) {
    const char c = code[i];
    if (o.quote) {
      if (c == '\\') {
        ++i;
      } else if (c == o.quote) {
        o.quote = 0;
      }
    } else if (c == '"' || c == '\'') {
      o.quote = c;
    } else if (c == '(') {
      ++o.parens;
    } else if (c == ')') {
      --o.parens;
    } else if (c == '[') {
      ++o.brackets;
    } else if (c == ']') {
      --o.brackets;
    }
  }
  return o;
}

std::string mapping_advice(std::string_view text) {
  const Openness o = openness(text);
  if (o.quote) return "put the whole value into quotes of the other kind";
  if (const size_t word = text.rfind("lambda");
      word != text.npos && text.find(')', word) == text.npos)
    return "there is no `lambda`: a function of its own is a class of `define:`";
  // `fc{i}` may be a name.
  if (const size_t brace = text.find('{'); o.balanced() && brace != text.npos && brace > 0 &&
                                           (text[brace - 1] == ' ' || text[brace - 1] == '('))
    return "there are no dictionaries in code; several outputs are `return a=x, b=y`";
  if (o.brackets > 0)
    return "write a slice without the space, `x[1:3]`, or put the value into quotes";
  if (o.parens > 0)
    return "keyword arguments are written `name=value`; else put the value into quotes";
  return "";
}

std::string colon_advice(const std::string& key, bool flow) {
  const size_t colon = key.find(':'), equals = key.find('=');
  if (colon != key.npos && key.compare(colon + 1, 2, "\u00a0") == 0)
    return "a no-break space stands behind the `:`; write a plain one";
  if (colon != key.npos) {
    return fmt::format("a space is missing: `{}: {}`", key.substr(0, colon), key.substr(colon + 1));
  }
  if (key.starts_with("\u00a0")) return "it starts with no-break spaces; write plain ones";
  if (is_header(key)) return fmt::format("write `{}:`", key);
  if (std::string advice = python_advice(key); !advice.empty()) return advice;
  if (flow)
    return "write `{name: value, name: value}`; a text with brackets or commas needs quotes";
  if (equals == key.npos || equals + 2 >= key.size()) return "a line of a mapping is `name: value`";
  const size_t end = key.find_last_not_of(' ', equals - 1);
  return fmt::format("write `{}: {}`", key.substr(0, end + 1),
                     key.substr(key.find_first_not_of(' ', equals + 1)));
}

namespace {

class Explainer {
 public:
  Explainer(const SourceRef& file, size_t at, const std::string& message, const YamlState& state)
      : file_(file),
        text_(file->text),
        at_(std::min(at, file->text.size())),
        message_(message),
        state_(state) {}

  Diagnostic run() {
    if (const size_t tab = tab_in_indentation(); tab != text_.npos) {
      return error("E0103", tab, tab + 1, "a tab in the indentation", "YAML indents with spaces");
    }
    if (says("anchor is not defined") || says("alias")) return alias();
    if (says("unknown token")) return unquoted_start();
    if (says("block scalar")) return block_scalar();
    if (says("flow not found")) return in_flow();
    if (says("of map not found") || says("of sequence not found")) return after_value();
    if (says("illegal map value")) return second_colon();
    if (says("illegal block entry")) {
      return error("E0104", at_, at_ + 1, "a list starts on a line of its own",
                   "put `- …` below the key, indented");
    }
    if (says("illegal flow end")) {
      return error("E0104", at_, at_ + 1, fmt::format("`{}` closes nothing", text_.substr(at_, 1)),
                   "put a text with brackets into quotes");
    }
    if (says("escape")) {
      return error("E0104", at_ > 0 ? at_ - 2 : 0, at_, "unknown escape in a quoted text",
                   "write `\\\\` for a backslash, or use '…'");
    }
    if (says("EOF in scalar")) return open_quote();
    return error("E0104", at_, at_ + 1, "bad YAML: " + message_, "");
  }

 private:
  bool says(const char* part) const { return message_.find(part) != message_.npos; }
  char here(size_t at) const { return at < text_.size() ? text_[at] : '\0'; }
  Diagnostic error(const char* code, size_t begin, size_t end, std::string message,
                   std::string help) const {
    return {code, std::move(message), source_span(file_, begin, end), std::move(help), {}};
  }
  size_t line_start(size_t at) const {
    if (at == 0) return 0;
    const size_t n = text_.rfind('\n', at - 1);
    return n == text_.npos ? 0 : n + 1;
  }
  int line(size_t at) const { return source_span(file_, at, at).line; }
  int column(size_t at) const { return source_span(file_, at, at).column; }
  size_t word_end(size_t at) const {
    return std::min(text_.find_first_of(" \t\r\n", at), text_.size());
  }
  /// The last byte before `at` that is no blank or line break, or npos.
  size_t before(size_t at) const {
    return at == 0 ? text_.npos : text_.find_last_not_of(" \t\r\n", at - 1);
  }

  size_t tab_in_indentation() const {
    for (size_t i = line_start(at_); i < text_.size(); ++i) {
      if (text_[i] == '\t') return i;
      if (text_[i] != ' ') break;
    }
    return text_.npos;
  }

  Diagnostic alias() const {
    // The mark may stand behind the `*`.
    size_t begin = at_;
    if (here(begin) != '*' && begin > 0 && here(begin - 1) == '*') --begin;
    const size_t end = word_end(begin);
    std::string name(text_.substr(std::min(begin + 1, end), end - std::min(begin + 1, end)));
    if (name.ends_with(':')) name.pop_back();
    // What ends the value inside of brackets is none of it.
    while (name.ends_with(',') || name.ends_with(']') ||
           (name.ends_with('}') && name.find('{') == name.npos))
      name.pop_back();
    const bool selector = name.empty() || name.find_first_of(".*/,") != name.npos;
    if (selector) {
      return error("E0110", begin, end, "an unquoted `*` at the start is a YAML alias",
                   fmt::format("put the selector into quotes: \"*{}\"", name));
    }
    const std::string near = nearest(name, state_.anchors);
    Diagnostic d = error("E0108", begin, end, fmt::format("there is no anchor `&{}`", name),
                         near.empty() ? "a selector that starts with `*` needs quotes"
                                      : fmt::format("did you mean `*{}`?", near));
    return d;
  }

  Diagnostic unquoted_start() const {
    return error("E0110", at_, at_ + 1,
                 fmt::format("in YAML a text cannot start with `{}`", text_.substr(at_, 1)),
                 "put the whole text into quotes");
  }

  Diagnostic block_scalar() const {
    const size_t start = text_.find_last_of("|>", at_ > 0 ? at_ - 1 : 0);
    const bool pipe = here(at_) == '>' || (start != text_.npos && start > 0 &&
                                           text_[start - 1] == '|' && text_[start] == '>');
    if (pipe) {
      return error("E0110", at_ > 0 ? at_ - 1 : 0, at_ + 1, "a statement cannot start with `|>`",
                   "a pipe goes on in the next line, without `- `: `- x = x |> conv` and below it "
                   "`    |> relu`");
    }
    const size_t begin = start == text_.npos ? at_ : start;
    return error(
        "E0110", begin, begin + 1,
        fmt::format("in YAML `{}` at the start begins a block of text", text_.substr(begin, 1)),
        "put the whole text into quotes");
  }

  Diagnostic in_flow() const {
    const YamlState::Open* open = nullptr;
    for (const YamlState::Open& o : state_.open) {
      if (o.flow) open = &o;
    }
    const size_t begin = open ? open->begin : at_;
    const char bracket = here(begin) == '{' ? '{' : '[';
    // yaml-cpp has the mark at the bracket, one behind it, or, at the end of the text, nowhere.
    size_t stop = std::max(at_, state_.last_end);
    stop = text_.find_first_of("[{\"'", state_.last_end);
    const bool right_behind = stop == state_.last_end && !state_.last_quoted && stop != text_.npos;
    const bool quotes = state_.last_quoted && !openness(flow_text(begin)).balanced();
    if (right_behind || quotes) {
      const bool insert = here(stop) == '{' && state_.last_text.ends_with('$');
      const size_t from = right_behind ? stop : state_.last_begin;
      const char* what = insert ? "a name with `${…}`" : quotes ? "quotes" : "brackets";
      return error(
          "E0111", from, from + 1,
          fmt::format("{} inside of YAML's `{}…{}`", what, bracket, bracket == '{' ? '}' : ']'),
          insert ? "put the name into quotes: \"linear_${i}\""
                 : "put the expression into quotes, or on a line of its own");
    }
    if (const size_t inner = bracket_in_call(begin); inner != text_.npos) {
      return error(
          "E0111", inner, inner + 1,
          fmt::format("brackets inside of YAML's `{}…{}`", bracket, bracket == '{' ? '}' : ']'),
          "put the expression into quotes, or on a line of its own");
    }
    const size_t next = skip_to_content(text_, state_.last_end);
    // What follows is a line of a block around it, or nothing of it has been read.
    const size_t start = text_.find_first_not_of(' ', line_start(begin));
    const bool outside = line(next) > line(begin) && column(next) <= column(start);
    if (next >= text_.size() || at_ == 0 || next <= begin || outside) {
      return error("E0104", begin, begin + 1, fmt::format("`{}` is never closed", bracket),
                   "a text that starts with it needs quotes");
    }
    if (here(next) == '?')
      return error(
          "E0111", next, next + 1,
          fmt::format("a `?` inside of YAML's `{}…{}`", bracket, bracket == '{' ? '}' : ']'),
          "put the text into quotes, or on a line of its own");
    return error("E0104", next, next + 1,
                 fmt::format("a comma or `{}` is missing here", bracket == '{' ? '}' : ']'),
                 "a text with brackets, quotes or commas in it needs quotes");
  }
  /// A bracket between the parentheses of a call, as in `[f(1, [2])]`, or npos: YAML cut the call
  /// at its comma, and read the bracket as a list of its own.
  size_t bracket_in_call(size_t begin) const {
    Openness o;
    for (size_t i = begin + 1; i < state_.last_end; ++i) {
      if (!o.quote && o.parens > 0 && (text_[i] == '[' || text_[i] == '{')) return i;
      o = openness(text_.substr(i, 1), o);
    }
    return text_.npos;
  }
  std::string_view flow_text(size_t begin) const {
    return text_.substr(begin + 1, state_.last_end - std::min(state_.last_end, begin + 1));
  }

  /// A collection was expected to go on, and something else came.
  Diagnostic after_value() const {
    const size_t last = before(at_);
    const bool same_line = last != text_.npos && line(last) == line(at_);
    const char c = last == text_.npos ? '\0' : text_[last];
    if (same_line && (c == ']' || c == '}')) {
      return error("E0110", at_, word_end(at_),
                   fmt::format("YAML reads a {} before this, because the text starts with `{}`",
                               c == ']' ? "list" : "mapping", c == ']' ? '[' : '{'),
                   "put the whole text into quotes");
    }
    if (same_line && (c == '"' || c == '\'')) {
      return error("E0110", at_, word_end(at_), "the text goes on behind its closing quote",
                   "a text that starts with a quote needs quotes of the other kind around all of "
                   "it");
    }
    if (same_line && c != ':' && c != '-') {
      return error("E0104", at_, word_end(at_), "this belongs to nothing",
                   "put the text into quotes");
    }
    return indentation();
  }

  Diagnostic indentation() const {
    std::string help = "lines of one block start in the same column";
    const YamlState::Open* block = nullptr;
    for (const YamlState::Open& o : state_.open) {
      if (!o.flow) block = &o;
    }
    const bool item = here(at_) == '-' && (here(at_ + 1) == ' ' || here(at_ + 1) == '\n');
    if (block && item && block->map && column(at_) == column(block->begin)) {
      return error("E0104", at_, at_ + 1, "a list item stands among `key: value` lines",
                   "put it below a key of its own");
    }
    if (block && column(at_) != column(block->begin)) {
      help = fmt::format("the block before it starts in column {}, this line in column {}",
                         column(block->begin), column(at_));
    } else if (block && !block->map) {
      help = "every item of this list starts with `- `";
    }
    return error("E0104", at_, word_end(at_), "the indentation does not fit", help);
  }

  Diagnostic second_colon() const {
    std::string advice = mapping_advice(state_.last_text);
    const size_t key = std::max(line_start(at_), text_.find_first_not_of(" ", line_start(at_)));
    if (advice.empty()) advice = mapping_advice(text_.substr(key, at_ - key));
    if (!advice.empty()) {
      return error("E0113", at_, at_ + 1, "YAML reads a mapping here, because of `: `", advice);
    }
    if (at_ - key > 1024 && state_.last_end <= key) {
      return error("E0104", key, key + 1, "a key of more than 1024 characters", "");
    }
    size_t bare = line_without_colon();
    if (bare == text_.npos) bare = header_without_colon();
    if (bare != text_.npos) {
      const std::string content(text_.substr(bare, text_.find_first_of("\r\n#", bare) - bare));
      const std::string name = content.substr(0, content.find_last_not_of(' ') + 1);
      return error("E0104", bare, bare + name.size(), fmt::format("`{}` has no `:`", name),
                   colon_advice(name, false));
    }
    if (line(state_.last_begin) != line(at_)) {
      return error("E0104", key, at_, "a key stands below a value",
                   fmt::format("line {} has a value already; a key of the same block starts in the "
                               "same column, and what holds keys has nothing behind its `:`",
                               line(state_.last_begin)));
    }
    return error("E0104", at_, at_ + 1, "a second `: ` in one line",
                 "put the text behind the first one into quotes");
  }

  /// The first line between the last value and here, if there is one: YAML wants a key there.
  size_t line_without_colon() const {
    const size_t next = skip_to_content(text_, state_.last_end);
    const bool between = next < at_ && line(next) > line(state_.last_end) && line(next) < line(at_);
    return between ? next : text_.npos;
  }

  /// The line above where it is the header of a loop or condition: without its `:`, YAML takes this
  /// line for more of it.
  size_t header_without_colon() const {
    const size_t end = line_start(at_);
    if (end == 0) return text_.npos;
    const size_t begin = text_.find_first_not_of(" ", line_start(end - 1));
    if (begin >= end) return text_.npos;
    const std::string content(text_.substr(begin, text_.find_first_of("\r\n#", begin) - begin));
    return is_header(content) && content.find(':') == content.npos ? begin : text_.npos;
  }

  Diagnostic open_quote() const {
    const size_t quote = text_.find_first_of("\"'", std::min(state_.last_end, text_.size()));
    const size_t begin = quote == text_.npos ? at_ : quote;
    return error("E0104", begin, begin + 1, "this quote is never closed", "");
  }

  const SourceRef& file_;
  std::string_view text_;
  size_t at_;
  const std::string& message_;
  const YamlState& state_;
};

}  // namespace

Diagnostic explain_yaml(const SourceRef& file, size_t at, const std::string& message,
                        const YamlState& state) {
  return Explainer(file, at, message, state).run();
}

}  // namespace nnm::lang
