// Aligned and comma-separated tables.
#include "nnm/base/text_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "nnm/base/text.h"

namespace nnm {

std::string TextTable::text() const {
  std::vector<std::vector<std::string>> cells;
  std::vector<size_t> width(rows_.front().size());
  for (const auto& row : rows_) {
    cells.emplace_back();
    for (size_t i = 0; i < row.size(); ++i) {
      cells.back().push_back(escape_terminal(row[i]));
      width[i] = std::max(width[i], code_points(cells.back()[i]));
    }
  }
  std::string out;
  for (const auto& row : cells) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string space(width[i] - code_points(row[i]), ' ');
      line += (i ? "  " : "") + (i + numbers_ < row.size() ? row[i] + space : space + row[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
    if (&row != &cells.front()) continue;
    size_t length = 2 * (width.size() - 1);
    for (size_t w : width) length += w;
    out += std::string(length, '-') + "\n";
  }
  return out;
}

std::string TextTable::csv() const {
  std::string out;
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      if (i) out += ',';
      if (row[i].find_first_of(",\"\n\r") == std::string::npos) {
        out += row[i];
        continue;
      }
      out += '"';
      for (char c : row[i]) out += c == '"' ? std::string("\"\"") : std::string(1, c);
      out += '"';
    }
    out += "\n";
  }
  return out;
}

std::string shape_cell(std::span<const int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::string short_number(double x, int digits) {
  return std::isnan(x) ? "nan" : fmt::format("{:.{}g}", x, digits);
}

std::string number_cell(double x, bool csv) {
  return csv && !std::isnan(x) ? fmt::format("{}", x) : short_number(x);
}

}  // namespace nnm
