// One argument of a recorded group, entry by entry, checked.
#include "nnm/io/trace_record.h"

#include <algorithm>
#include <cstring>

#include "nnm/base/file.h"

namespace nnm::io {
namespace {

// The block of the given extents at the origin of a padded entry, without gaps; false if what lies
// beyond it is not zero.
bool cut_block(const char* entry, std::span<const int64_t> padded, std::span<const int64_t> block,
               size_t item, char* out) {
  if (padded.empty()) {
    std::memcpy(out, entry, item);
    return true;
  }
  int64_t inner = 1, inner_block = 1;
  for (size_t i = 1; i < padded.size(); ++i) {
    inner *= padded[i];
    inner_block *= block[i];
  }
  for (int64_t i = 0; i < padded[0]; ++i) {
    const char* row = entry + i * inner * static_cast<int64_t>(item);
    if (i < block[0]) {
      if (!cut_block(row, padded.subspan(1), block.subspan(1), item, out + i * inner_block * item))
        return false;
    } else if (std::any_of(row, row + inner * item, [](char c) { return c != 0; })) {
      return false;
    }
  }
  return true;
}

// Columns [first, first + width) of a 2-D table of whole numbers with `rows` rows at least.
std::vector<int64_t> columns(const H5Reader& file, const H5Node& table, int64_t rows, int64_t all,
                             int64_t first, int64_t width) {
  if (table.element.dtype != DType::i64 || table.shape.size() != 2 || table.shape[0] < rows ||
      table.shape[1] != all) {
    file.fail(table, fmt::format("its extents are [{}], and [{},{}] are needed",
                                 shape_text(table.shape), rows, all));
  }
  std::vector<int64_t> whole(table.numel), out;
  file.read(table, whole.data(), whole.size() * sizeof(int64_t));
  for (int64_t i = 0; i < rows; ++i) {
    out.insert(out.end(), whole.begin() + i * all + first, whole.begin() + i * all + first + width);
  }
  return out;
}

}  // namespace

RecordColumn::RecordColumn(const H5Reader& file, const H5Node& what, const std::string& arg,
                           bool unfinished) {
  int64_t args = 0, ranks = 0, column = 0, first = 0;
  for (const H5Node& c : what.children) {
    if (c.name.starts_with('@')) continue;
    if (c.group || c.shape.empty() || !c.element.exact || c.element.kind != Element::Kind::number) {
      file.fail(c, "not a dataset of records");
    }
    const int64_t rank = static_cast<int64_t>(c.shape.size()) - 1;
    ++args;
    ranks += rank;
    if (c.name == arg) node_ = &c;
    if (c.name < arg) {
      ++column;
      first += rank;
    }
  }
  if (!node_) file.fail(what, fmt::format("no '{}' in it", arg));
  if (node_->shape.size() > static_cast<size_t>(kMaxDims) + 1)
    file.fail(*node_, "too many dimensions");
  padded_.assign(node_->shape.begin() + 1, node_->shape.end());
  const H5Node *sums = what.find("@crc32c"), *shapes = what.find("@shape");
  if (!sums) file.fail(what, "no @crc32c in it");
  count_ = node_->shape[0];
  for (const H5Node* table : {sums, shapes})
    if (unfinished && table && !table->shape.empty()) count_ = std::min(count_, table->shape[0]);
  sums_ = columns(file, *sums, count(), args, column, 1);
  if (shapes && !padded_.empty()) {
    shapes_ = columns(file, *shapes, count(), ranks, first, static_cast<int64_t>(padded_.size()));
  }
}

// The true shape of an entry; none where the shape alone tells that it is absent.
std::optional<std::vector<int64_t>> RecordColumn::shape_of(const H5Reader& file, int64_t i) const {
  if (i < 0 || i >= count()) file.fail(*node_, fmt::format("entry {} of {}", i, count()));
  std::vector<int64_t> shape = padded_;
  if (!shapes_.empty()) {
    const auto row = shapes_.begin() + i * static_cast<int64_t>(padded_.size());
    shape.assign(row, row + static_cast<int64_t>(padded_.size()));
  }
  // Of a lower rank where an end is left out; absent, or a scalar, where all are.
  const auto end = std::find(shape.begin(), shape.end(), -1);
  const bool ends_well = std::all_of(end, shape.end(), [](int64_t e) { return e == -1; });
  shape.erase(end, shape.end());
  if (shape.empty() && sums_[i] == 0 && !padded_.empty()) return std::nullopt;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (!ends_well || shape[d] < 0 || shape[d] > padded_[d])
      file.fail(*node_, fmt::format("entry {}: @shape does not fit", i));
  }
  return shape;
}

std::optional<StoredTensor> RecordColumn::stored(const H5Reader& file, int64_t i) const {
  std::optional<std::vector<int64_t>> shape = shape_of(file, i);
  if (!shape || (padded_.empty() && !read(file, i).defined())) return std::nullopt;
  return StoredTensor(file, *node_, i, std::move(*shape), static_cast<uint32_t>(sums_[i]));
}

Tensor RecordColumn::read(const H5Reader& file, int64_t i) const {
  const std::optional<std::vector<int64_t>> known = shape_of(file, i);
  if (!known) return {};
  const std::vector<int64_t>& shape = *known;
  const size_t item = item_size(node_->element.dtype);
  std::vector<char> entry(node_->numel / node_->shape[0] * item);
  file.read_rows(*node_, i, 1, entry.data(), entry.size());
  // No data have the checksum 0 and are all zero: that is how an absent scalar is marked.
  const bool zeros = std::all_of(entry.begin(), entry.end(), [](char c) { return c == 0; });
  if (padded_.empty() && zeros && sums_[i] == 0) return {};
  Tensor t = empty(Shape(shape), {.dtype = node_->element.dtype});
  std::vector<int64_t> block = shape;
  block.resize(padded_.size(), 1);
  if (!cut_block(entry.data(), padded_, block, item, t.data<char>())) {
    file.fail(*node_, fmt::format("entry {}: its padding is not zero", i));
  }
  if (crc32c(t.data(), t.numel() * item) != static_cast<uint32_t>(sums_[i])) {
    file.fail(*node_, fmt::format("entry {} does not have its checksum", i));
  }
  return t;
}

}  // namespace nnm::io
