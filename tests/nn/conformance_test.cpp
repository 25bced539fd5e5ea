// conformance.tsv, which maps what PyTorch says of modules to tests here, names tests that exist.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "support/paths.h"

namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& file) {
  std::ostringstream out;
  out << std::ifstream(file).rdbuf();
  return out.str();
}

/// The names of all test cases in tests/; one that is long may be written in several pieces.
std::set<std::string> test_cases() {
  std::set<std::string> names;
  const std::regex piece("\"((?:[^\"\\\\]|\\\\.)*)\"");
  for (const auto& entry :
       fs::recursive_directory_iterator(nnm::testing::source_dir() + "/tests")) {
    if (entry.path().extension() != ".cpp") continue;
    const std::string text = text_of(entry.path());
    for (size_t at = text.find("TEST_CASE("); at != std::string::npos;
         at = text.find("TEST_CASE(", at + 1)) {
      const std::string line = text.substr(at, text.find(" {", at) - at);
      std::string name;
      for (std::sregex_iterator m(line.begin(), line.end(), piece), end; m != end; ++m) {
        name += (*m)[1];
      }
      names.insert(name);
    }
  }
  return names;
}

}  // namespace

TEST_SUITE_BEGIN("nn");

TEST_CASE("the table of PyTorch's tests and rules names tests that exist, or reasons") {
  const std::set<std::string> names = test_cases();
  CHECK(names.size() > 100);
  std::ifstream table(nnm::testing::source_dir() + "/tests/nn/conformance.tsv");
  size_t rows = 0, of_module_hooks = 0;
  std::set<std::string> seen;
  for (std::string line; std::getline(table, line);) {
    if (line.empty() || line[0] == '#') continue;
    ++rows;
    CAPTURE(line);
    std::vector<std::string> cells;
    std::istringstream in(line);
    for (std::string cell; std::getline(in, cell, '\t');) cells.push_back(cell);
    REQUIRE(cells.size() >= 3);
    CHECK(seen.insert(cells[0] + "\t" + cells[1]).second);
    of_module_hooks += cells[0] == "test_module_hooks.py";
    if (cells[2] == "-") CHECK(cells.size() == 4);
    else CHECK(names.contains(cells[2]));
  }
  CHECK(of_module_hooks == 43);
  CHECK(rows > 400);
}

TEST_SUITE_END();
