// nnm explain: what the code of an error means, with an example and how to put it right.
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <memory>

#include "cli/verb.h"
#include "nnm/base/error.h"
#include "nnm/base/json.h"
#include "nnm/base/text_table.h"
#include "nnm/lang/code_examples.h"
#include "nnm/lang/explain.h"

namespace nnm::cli {

namespace {

using lang::CodeCase;
using lang::CodeExample;
using lang::CodeInfo;

constexpr size_t kNear = 3;  // codes that are suggested

/// "E0303" of "e0303", "[E0303]" and "error[E0303]:".
std::string code_in(std::string_view word) {
  const size_t open = word.find('[');
  if (open != word.npos) word = word.substr(open + 1, word.find(']') - open - 1);
  return std::string(word);
}

/// The numbers nearest to that of a code that does not exist.
std::vector<std::string> near_codes(const std::string& code) {
  const auto number = [](std::string_view c) {
    int n = 0;
    const size_t digit = std::min(c.find_first_of("0123456789"), c.size());
    std::from_chars(c.data() + digit, c.data() + c.size(), n);
    return n;
  };
  const bool warning = code.starts_with('W') || code.starts_with('w');
  std::vector<std::string> all;
  for (const CodeInfo& c : lang::codes())
    if ((c.code[0] == 'W') == warning) all.emplace_back(c.code);
  std::stable_sort(all.begin(), all.end(), [&](const std::string& a, const std::string& b) {
    return std::abs(number(a) - number(code)) < std::abs(number(b) - number(code));
  });
  all.resize(std::min(all.size(), kNear));
  std::sort(all.begin(), all.end());
  return all;
}

const CodeInfo& find(const std::string& word) {
  const std::string code = code_in(word);
  if (const CodeInfo* info = lang::find_code(code)) return *info;
  throw Error(
      ErrorKind::config, fmt::format("there is no code `{}`", code),
      fmt::format("near are {}; `nnm explain` lists all", fmt::join(near_codes(code), ", ")));
}

void write_json(Json& j, const CodeInfo& info) {
  j.object().entry("code", info.code).entry("title", info.title).entry("text", info.text);
  if (const CodeExample* e = lang::find_example(info.code)) {
    const auto part = [&](const char* name, const CodeCase& c) {
      j.key(name).object().entry("command", c.command).entry("config", c.file());
      if (const std::string base = c.base_file(); !base.empty()) j.entry("base", base);
      j.end();
    };
    part("wrong", e->wrong);
    part("right", e->right);
  }
  j.end();
}

int run_explain(const std::string& code, const std::string& format) {
  const bool json = format == "json", csv = format == "csv";
  NNM_CHECK(!csv || code.empty(), config, "--format csv is for the table of all codes");
  if (code.empty() && !json) {
    TextTable table({"code", "meaning"}, 0);
    for (const CodeInfo& c : lang::codes()) table.row({c.code, c.title});
    print(csv ? table.csv() : table.text());
    return 0;
  }
  if (!json) {
    print(lang::explain(find(code)));
    return 0;
  }
  Json j(2);
  if (!code.empty()) {
    write_json(j, find(code));
  } else {
    j.array();
    for (const CodeInfo& c : lang::codes()) write_json(j, c);
    j.end();
  }
  print_line(j.text());
  return 0;
}

}  // namespace

Action explain(App app) {
  auto code = std::make_shared<std::string>();
  auto format = std::make_shared<std::string>();
  app.add_option("code", *code, "the code of an error or warning; without one, all are listed");
  add_format(app, *format, {"text", "json", "csv"});
  return [code, format] { return run_explain(*code, *format); };
}

}  // namespace nnm::cli
