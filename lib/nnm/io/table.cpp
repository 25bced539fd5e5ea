// Tables that grow.
#include "nnm/io/table.h"

#include <algorithm>
#include <cstring>

namespace nnm::io {
namespace {

constexpr size_t kLeastChunk = 4096, kMostChunk = 65536;

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
    : file_(file), path_(path) {
  for (ColumnSpec& c : columns) columns_.push_back({std::move(c), {}, {}});
}

void Table::create() {
  if (created_) return;
  created_ = true;
  for (Filled& c : columns_) {
    const std::string at = path_ + "/" + c.spec.name;
    const size_t chunk = std::clamp(c.waiting.size(), kLeastChunk, kMostChunk);
    c.stream = c.spec.text > 0 ? file_.text_stream(at, c.spec.text, chunk, true)
                               : file_.stream(at, c.spec.dtype, {}, chunk, true);
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
  const size_t at = c.waiting.size();
  c.waiting.resize(at + c.spec.text);
  std::memcpy(c.waiting.data() + at, text.data(), text.size());
  return *this;
}

void Table::flush() {
  create();
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
