// Diagnostics: the rendered text, carets over code points, limits.
#include "nnm/base/diagnostic.h"

#include <doctest/doctest.h>

using namespace nnm;

TEST_CASE("diagnostic: rendered as the language page shows") {
  const auto file = std::make_shared<SourceFile>(
      "mlp.yaml",
      std::string(15, '\n') + "        linear_${i}: Linear(a, b, biass=false)\r\nnext\n");
  Diagnostics all;
  Diagnostic d;
  d.code = "E0303";
  d.message = "Linear has no argument `biass`";
  d.span = {file, 16, 35, 40};
  d.help = "did you mean `bias`?";
  d.notes = {{"Linear(in_features, out_features, bias=true)", {}},
             {"declared here", {file, 17, 1, 5}}};
  all.add(d);
  CHECK(all.render() ==
        "error[E0303]: Linear has no argument `biass`\n"
        "  --> mlp.yaml:16:35\n"
        "   |\n"
        "16 |         linear_${i}: Linear(a, b, biass=false)\n"
        "   |                                   ^^^^^\n"
        "   = help: did you mean `bias`?\n"
        "   = note: Linear(in_features, out_features, bias=true)\n"
        "   = note: declared here (mlp.yaml:17:1)\n");
  CHECK(all.has_errors());
  CHECK_THROWS_AS(all.throw_if_errors(), DiagnosticError);
  CHECK(all.render(true).find("\x1b[1;31merror[E0303]\x1b[0m") != std::string::npos);
}

TEST_CASE(
    "diagnostic: columns count code points, tabs keep the carets in place, escapes are shown") {
  const auto file = std::make_shared<SourceFile>("x", "\tä\x1b[31m: zz");
  Diagnostics all;
  all.add({"W1", "m", {file, 1, 9, 11}, "", {}});
  const std::string text = all.render();
  CHECK(text.find("1 | \tä\xef\xbf\xbd[31m: zz\n") != std::string::npos);
  CHECK(text.find("  | \t       ^^\n") != std::string::npos);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK_FALSE(all.has_errors());
  CHECK_NOTHROW(all.throw_if_errors());
}

TEST_CASE("diagnostic: places beyond the text and long lines are harmless") {
  const auto file =
      std::make_shared<SourceFile>("x", std::string(5000, 'a') + "B" + std::string(5000, 'c'));
  Diagnostics all;
  all.add({"E1", "long", {file, 1, 5001, 5002}, "", {}});
  all.add({"E2", "gone", {file, 9, 70, 90}, "", {}});
  all.add({"E3", "", {file, 1, 9999999, 3}, "", {}});
  const std::string text = all.render();
  CHECK(text.find("B") != std::string::npos);
  CHECK(text.size() < 2000);
  // The caret stands below the B, one column per code point.
  const size_t row = text.find("1 | …") + 4, mark = text.find("  |", text.find("B")) + 4;
  CHECK(text.find('B') - row - 2 == text.find('^') - mark);
}

TEST_CASE("diagnostic: the same of the same place is told once") {
  const auto file = std::make_shared<SourceFile>("a.yaml", "seed: abc\n");
  const Diagnostic d{"E0301", "unknown name `abc`", {file, 1, 7, 10}, "", {}};
  Diagnostic other = d;
  other.notes = {{"with i = 1", {}}};
  Diagnostics all;
  all.add(d);
  all.add(d);
  all.add(other);
  CHECK(all.all().size() == 2);
}

TEST_CASE("diagnostic: twenty errors are shown, the rest counted") {
  Diagnostics all;
  for (int i = 0; i < 23; ++i) all.add({"E1", fmt::format("number {}.", i), {}, "", {}});
  const std::string text = all.render();
  CHECK(text.find("number 19.") != std::string::npos);
  CHECK(text.find("number 20.") == std::string::npos);
  CHECK(text.find("3 more errors") != std::string::npos);
}

TEST_CASE("error: kinds have Python's names and the exit codes of the command line") {
  CHECK(std::string(python_name(ErrorKind::index)) == "IndexError");
  CHECK(std::string(python_name(ErrorKind::output)) == "Error");
  CHECK(exit_code(ErrorKind::negative) == 1);
  CHECK(exit_code(ErrorKind::config) == 2);
  CHECK(exit_code(ErrorKind::value) == 2);
  CHECK(exit_code(ErrorKind::input_file) == 3);
  CHECK(exit_code(ErrorKind::output) == 4);
  CHECK(exit_code(ErrorKind::diverged) == 5);
  CHECK(exit_code(ErrorKind::device) == 6);
  CHECK(exit_code(ErrorKind::internal) == 70);
}
