// Tables that grow: a group of columns of equal length, filled row by row and written in pieces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nnm/io/h5.h"

namespace nnm::io {

/// One column: a number type, or text of at most `text` bytes (longer ones are cut).
struct ColumnSpec {
  std::string name;
  DType dtype = DType::i64;  ///< i64 or f64
  size_t text = 0;
};

/// A table at a path of a file being written, guarded by Fletcher32. Rows wait in memory until
/// `flush`; the first one makes the columns, and as much as there is then comes into one chunk.
class Table {
 public:
  Table(H5Writer& file, const std::string& path, std::vector<ColumnSpec> columns);

  /// Adds the next cell of the row; after the last column a new row begins.
  Table& operator<<(int64_t value);
  Table& operator<<(double value);
  Table& operator<<(std::string_view value);

  int64_t rows() const { return rows_; }
  void flush();
  void close();

 private:
  struct Filled {
    ColumnSpec spec;
    std::vector<char> waiting;
    H5Writer::Stream stream;
  };
  Filled& next(bool text, DType dtype);
  void create();

  H5Writer& file_;
  std::string path_;
  std::vector<Filled> columns_;
  size_t at_ = 0;
  int64_t rows_ = 0, waiting_ = 0;
  bool created_ = false;
};

}  // namespace nnm::io
