// Tables that grow.
#include "nnm/io/table.h"

#include <algorithm>
#include <cstring>

namespace nnm::io {
namespace {

// A chunk that is not full when it is flushed is read and written once more with the next rows: it
// is as large as the first flush where that is no more than HDF5 keeps in memory.
constexpr size_t kLeastChunk = 4096, kMostChunk = size_t{1} << 20;
constexpr size_t kLeastRoom = 64;

// At most `size` bytes, not ending inside of a UTF-8 sequence.
std::string_view cut(std::string_view text, size_t size) {
  if (text.size() <= size) return text;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return text.substr(0, size);
}

}  // namespace

Table::Table(H5Writer& file, const std::string& path, std::vector<ColumnSpec> columns)
    : file_(file), path_(path) {
  for (ColumnSpec& c : columns) {
    const size_t width = c.text > 0 ? c.text : sizeof(int64_t);
    columns_.push_back({std::move(c), width, {}, {}});
  }
}

void Table::create() {
  if (created_) return;
  created_ = true;
  for (Filled& c : columns_) {
    const std::string at = path_ + "/" + c.spec.name;
    const size_t chunk = std::clamp(waiting_ * c.width, kLeastChunk, kMostChunk);
    c.stream = c.spec.text > 0 ? file_.text_stream(at, c.spec.text, chunk, true)
                               : file_.stream(at, DType::i64, {}, chunk, true);
  }
}

void Table::begin_row(size_t cells) {
  NNM_CHECK(cells == columns_.size(), internal, "a row of {} cells in a table of {} columns", cells,
            columns_.size());
  if (waiting_ < room_) return;
  room_ = std::max(kLeastRoom, 2 * room_);
  for (Filled& c : columns_) c.waiting.resize(room_ * c.width);
}

void Table::put(Filled& column, int64_t value) {
  NNM_CHECK(column.spec.text == 0, internal, "column {} takes texts", column.spec.name);
  std::memcpy(column.waiting.data() + waiting_ * sizeof value, &value, sizeof value);
}

void Table::put(Filled& column, std::string_view text) {
  const size_t width = column.spec.text;
  NNM_CHECK(width > 0, internal, "column {} takes numbers", column.spec.name);
  const std::string_view kept = cut(text, width);
  char* const cell = column.waiting.data() + waiting_ * width;
  std::copy(kept.begin(), kept.end(), cell);
  std::fill(cell + kept.size(), cell + width, '\0');
}

void Table::flush() {
  create();
  if (waiting_ == 0) return;
  for (Filled& c : columns_) {
    file_.append(c.stream, c.waiting.data(), static_cast<int64_t>(waiting_));
  }
  waiting_ = 0;
}

void Table::close() {
  flush();
  for (Filled& c : columns_) file_.close(c.stream);
}

}  // namespace nnm::io
