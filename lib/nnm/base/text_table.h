// Tables for people and for spreadsheets.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace nnm {

/// Rows of text under a head. Cells may hold anything; what a terminal would obey is shown escaped.
class TextTable {
 public:
  /// The last `numbers` columns stand to the right.
  TextTable(std::vector<std::string> head, size_t numbers)
      : numbers_(numbers), rows_{std::move(head)} {}
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  size_t rows() const { return rows_.size() - 1; }
  /// Aligned columns, a rule below the head.
  std::string text() const;
  /// RFC 4180: commas, quotes where needed.
  std::string csv() const;

 private:
  size_t numbers_;
  std::vector<std::vector<std::string>> rows_;
};

/// "[2, 128, 28]", as tables show a shape; "[]" of a scalar.
std::string shape_cell(std::span<const int64_t> shape);
/// Four significant digits, as a table shows a statistic: "0.01234", "1.2e-05", "nan".
std::string short_number(double x, int digits = 4);
/// A number of a table: short_number for people, all digits in csv.
std::string number_cell(double x, bool csv);

}  // namespace nnm
