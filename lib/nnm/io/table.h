// Tables that grow: a group of columns of equal length, filled row by row and written in pieces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nnm/io/h5.h"

namespace nnm::io {

/// One column: whole numbers, or text of at most `text` bytes (longer ones are cut).
struct ColumnSpec {
  std::string name;
  size_t text = 0;
};

/// A table at a path of a file being written, guarded by Fletcher32. Rows wait in memory until
/// `flush`; the first one makes the columns, and as much as there is then comes into one chunk.
class Table {
 public:
  Table(H5Writer& file, const std::string& path, std::vector<ColumnSpec> columns);

  /// Adds a row: a number or a text for each column, in their order.
  template <class... Cells>
  void row(const Cells&... cells) {
    begin_row(sizeof...(cells));
    auto column = columns_.begin();
    (put(*column++, cells), ...);
    ++rows_;
    ++waiting_;
  }

  int64_t rows() const { return rows_; }
  void flush();
  void close();

 private:
  struct Filled {
    ColumnSpec spec;
    size_t width;               // bytes of a cell
    std::vector<char> waiting;  // as many cells as there is room for
    H5Writer::Stream stream;
  };
  void begin_row(size_t cells);
  void put(Filled& column, int64_t value);
  void put(Filled& column, std::string_view text);
  void create();

  H5Writer& file_;
  std::string path_;
  std::vector<Filled> columns_;
  int64_t rows_ = 0;
  size_t waiting_ = 0, room_ = 0;  // rows in memory, and for how many there is room
  bool created_ = false;
};

}  // namespace nnm::io
