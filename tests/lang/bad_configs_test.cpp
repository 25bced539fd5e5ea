// Bad configs: each file of tests/lang/bad says in its first lines what must be said about it.
//
//   # expect: E0303 16:35 did you mean `bias`?      code, place, a part of message, help or notes
//   # set: vars.depth=3                             an override it is loaded with
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "nnm/base/file.h"
#include "nnm/lang/codes.h"
#include "nnm/lang/model.h"
#include "support/paths.h"

using namespace nnm;
using namespace nnm::lang;

namespace {

struct Expectation {
  std::string code, place, part;
};

struct Case {
  std::vector<Expectation> expected;
  LoadOptions options;
};

Case read_case(const std::string& text) {
  Case out;
  for (size_t at = 0; text.compare(at, 2, "# ") == 0; at = text.find('\n', at) + 1) {
    const std::string line = text.substr(at, text.find('\n', at) - at);
    if (line.starts_with("# set: ")) out.options.set.push_back(line.substr(7));
    if (!line.starts_with("# expect: ")) continue;
    const size_t place = line.find(' ', 10) + 1,
                 part = std::min(line.find(' ', place), line.size());
    out.expected.push_back({line.substr(10, place - 11), line.substr(place, part - place),
                            line.substr(std::min(part + 1, line.size()))});
  }
  return out;
}

/// All that loading, building and checking on shapes alone say.
Diagnostics check(const std::string& path, const LoadOptions& options) {
  try {
    const Config config = Config::load(path, options);
    const Model model = build_model(config, {.device = {DeviceType::meta}});
    check_shapes(config, model);
  } catch (const DiagnosticError& e) {
    return e.diagnostics;
  }
  return {};
}

bool says(const Diagnostic& d, const Expectation& e) {
  std::string all = d.message + "\n" + d.help;
  for (const Note& n : d.notes) all += "\n" + n.text;
  return d.code == e.code && fmt::format("{}:{}", d.span.line, d.span.column) == e.place &&
         all.find(e.part) != std::string::npos;
}

std::vector<std::string> bad_configs() {
  std::vector<std::string> out;
  for (const auto& e :
       std::filesystem::directory_iterator(testing::source_dir() + "/tests/lang/bad")) {
    out.push_back(e.path().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

TEST_CASE("bad configs: each is told what is wrong, where, and what to write") {
  const std::vector<std::string> paths = bad_configs();
  CHECK(paths.size() >= 260);
  for (const std::string& path : paths) {
    const Case c = read_case(read_file(path, 1 << 20));
    const Diagnostics d = check(path, c.options);
    CAPTURE(path);
    CAPTURE(d.render());
    CHECK_FALSE(c.expected.empty());
    CHECK(d.all().size() == c.expected.size());
    for (const Expectation& e : c.expected) {
      CAPTURE(e.code + " " + e.place + " " + e.part);
      CHECK(std::any_of(d.all().begin(), d.all().end(),
                        [&](const Diagnostic& one) { return says(one, e); }));
      CHECK(find_code(e.code));
    }
  }
}

TEST_CASE("bad configs: every code that the sources use is in the table") {
  std::vector<std::string> unknown;
  for (const char* room : {"/lib", "/cli"}) {
    for (const auto& e :
         std::filesystem::recursive_directory_iterator(testing::source_dir() + room)) {
      if (!e.is_regular_file()) continue;
      const std::string text = read_file(e.path().string(), 16 << 20);
      for (const char* kind : {"\"E0", "\"W0"}) {
        for (size_t at = text.find(kind); at != text.npos; at = text.find(kind, at + 1)) {
          const std::string code = text.substr(at + 1, 5);
          if (text.compare(at + 6, 1, "\"") == 0 && !find_code(code)) unknown.push_back(code);
        }
      }
    }
  }
  CHECK(unknown == std::vector<std::string>());
  CHECK(std::is_sorted(codes().begin(), codes().end(), [](const CodeInfo& a, const CodeInfo& b) {
    return std::string_view(a.code) < b.code;
  }));
  CHECK(find_code("e0303") != nullptr);
  CHECK(find_code("E9999") == nullptr);
}
