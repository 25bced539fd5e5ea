// Tables: alignment, escapes, quoting.
#include "nnm/base/text_table.h"

#include <doctest/doctest.h>

using namespace nnm;

TEST_CASE("text table: names to the left, numbers to the right") {
  TextTable t({"name", "n"}, 1);
  t.row({"a", "10"});
  t.row({"längst", "1000"});
  CHECK(t.rows() == 2);
  CHECK(t.text() == "name       n\n------------\na         10\nlängst  1000\n");
}

TEST_CASE("text table: a terminal obeys no cell, a spreadsheet reads every cell") {
  TextTable t({"name", "n"}, 1);
  t.row({"a\x1b[2J", "1"});
  t.row({"x, \"y\"", "2"});
  CHECK(t.text().find('\x1b') == std::string::npos);
  CHECK(t.csv() == "name,n\na\x1b[2J,1\n\"x, \"\"y\"\"\",2\n");
}
