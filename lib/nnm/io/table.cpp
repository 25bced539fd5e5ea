// Tables that grow.
#include "nnm/io/table.h"

#include <cstring>

namespace nnm::io {
namespace {

constexpr size_t kChunkBytes = 4096;

// At most `size` bytes, not ending inside of a UTF-8 sequence.
std::string_view cut(std::string_view text, size_t size) {
  if (text.size() <= size) return text;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return text.substr(0, size);
}

template <class T>
void put(std::vector<char>& out, T v) {
  const size_t at = out.size();
  out.resize(at + sizeof v);
  std::memcpy(out.data() + at, &v, sizeof v);
}

}  // namespace

Table::Table(H5Writer& file, const std::string& path, std::vector<ColumnSpec> columns)
    : file_(file) {
  for (ColumnSpec& c : columns) {
    const std::string at = path + "/" + c.name;
    H5Writer::Stream stream = c.text > 0 ? file.text_stream(at, c.text, kChunkBytes, true)
                                         : file.stream(at, c.dtype, {}, kChunkBytes, true);
    columns_.push_back({std::move(c), std::move(stream), {}});
  }
}

Table::Filled& Table::next(bool text, DType dtype) {
  Filled& c = columns_[at_];
  if ((c.spec.text > 0) != text || (!text && c.spec.dtype != dtype)) {
    throw Error(ErrorKind::internal,
                fmt::format("column {} of a table takes another type", c.spec.name));
  }
  if (++at_ == columns_.size()) {
    at_ = 0;
    ++rows_;
    ++waiting_;
  }
  return c;
}

Table& Table::operator<<(int64_t value) {
  put(next(false, DType::i64).waiting, value);
  return *this;
}

Table& Table::operator<<(double value) {
  put(next(false, DType::f64).waiting, value);
  return *this;
}

Table& Table::operator<<(std::string_view value) {
  Filled& c = next(true, DType::i64);
  const std::string_view text = cut(value, c.spec.text);
  c.waiting.insert(c.waiting.end(), text.begin(), text.end());
  c.waiting.resize(c.waiting.size() + c.spec.text - text.size());
  return *this;
}

void Table::flush() {
  if (waiting_ == 0) return;
  for (Filled& c : columns_) {
    file_.append(c.stream, c.waiting.data(), waiting_);
    c.waiting.clear();
  }
  waiting_ = 0;
}

void Table::close() {
  flush();
  for (Filled& c : columns_) file_.close(c.stream);
}

}  // namespace nnm::io
