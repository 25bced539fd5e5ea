// H5Writer's growing datasets: one entry after the other along the first axis.
#include <algorithm>
#include <functional>
#include <numeric>

#include "nnm/base/file.h"
#include "nnm/io/fletcher32.h"
#include "nnm/io/h5.h"
#include "nnm/io/h5_disk.h"
#include "nnm/io/h5_handle.h"

namespace nnm::io {
namespace {

// HDF5 allows 4 GiB; a chunk is allocated as a whole, so a large entry spans several.
constexpr int64_t kMaxChunkBytes = int64_t{16} << 20;

// In how many parts an axis is cut so that none is larger than `most` bytes of `bytes`: without a
// rest where that takes few more, for a chunk is written as a whole.
int64_t parts_of(int64_t axis, int64_t bytes, int64_t most) {
  const int64_t least = std::min(axis, (bytes + most - 1) / most);
  for (int64_t n = least; n <= 2 * least; ++n)
    if (axis % n == 0) return n;
  return least;
}

std::vector<int64_t> chunk_extents(std::span<const int64_t> row, int64_t item, int64_t wanted) {
  std::vector<int64_t> chunk{1};
  int64_t bytes = item;
  for (int64_t e : row) {
    chunk.push_back(std::max<int64_t>(e, 1));
    bytes *= chunk.back();
  }
  for (size_t i = 1; i < chunk.size() && bytes > kMaxChunkBytes; ++i) {
    const int64_t parts = parts_of(chunk[i], bytes, kMaxChunkBytes);
    const int64_t part = (chunk[i] + parts - 1) / parts;
    bytes = bytes / chunk[i] * part;
    chunk[i] = part;
  }
  chunk[0] = std::max<int64_t>(1, wanted / bytes);
  return chunk;
}

Handle growing_space(std::span<const int64_t> row) {
  std::vector<hsize_t> extents{0};
  extents.insert(extents.end(), row.begin(), row.end());
  const std::vector<hsize_t> most(extents.size(), H5S_UNLIMITED);
  return Handle(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), most.data()));
}

Handle chunked(std::span<const int64_t> chunk, bool fletcher32) {
  const std::vector<hsize_t> extents(chunk.begin(), chunk.end());
  Handle made_with(H5Pcreate(H5P_DATASET_CREATE));
  H5Pset_chunk(made_with, static_cast<int>(extents.size()), extents.data());
  if (fletcher32) H5Pset_fletcher32(made_with);
  return made_with;
}

int64_t item_bytes(const H5Writer::Stream& s) {
  if (s.text > 0) return static_cast<int64_t>(s.text);
  return s.u32 ? 4 : static_cast<int64_t>(item_size(s.dtype));
}

size_t bytes_of(const H5Writer::Stream& s, std::span<const int64_t> block) {
  return static_cast<size_t>(
      std::accumulate(block.begin(), block.end(), item_bytes(s), std::multiplies()));
}

int64_t entry_bytes(const H5Writer::Stream& s) { return static_cast<int64_t>(bytes_of(s, s.row)); }

// Whether a chunk of a checksummed dataset is so many whole entries, and what it lacks is known.
bool guarded_whole(const H5Writer::Stream& s) {
  return s.filtered && std::equal(s.row.begin(), s.row.end(), s.chunk.begin() + 1, s.chunk.end()) &&
         s.rows % s.chunk[0] * entry_bytes(s) == static_cast<int64_t>(s.begun.size());
}

// Bytes of a chunk if each is one piece of an entry's memory and the pieces fill the entry, else 0.
int64_t piece_bytes(const H5Writer::Stream& s) {
  if (s.filtered || s.text > 0 || s.chunk[0] != 1) return 0;
  int64_t bytes = item_bytes(s);
  bool cut = false;
  for (size_t i = s.row.size(); i > 0; --i) {
    const int64_t extent = s.row[i - 1], part = s.chunk[i];
    if (extent == 0 || extent % part != 0 || (cut && part != 1)) return 0;
    cut |= part != extent;
    bytes *= part;
  }
  return bytes;
}

std::vector<hsize_t> extents_of(const H5Writer::Stream& s) {
  std::vector<hsize_t> extents{static_cast<hsize_t>(s.rows)};
  extents.insert(extents.end(), s.row.begin(), s.row.end());
  return extents;
}

}  // namespace

H5Writer::Stream H5Writer::stream(const std::string& path, DType dtype,
                                  std::span<const int64_t> row, size_t chunk_bytes, bool fletcher32,
                                  double fill) {
  H5Lock lock;
  std::vector<int64_t> chunk =
      chunk_extents(row, static_cast<int64_t>(item_size(dtype)), static_cast<int64_t>(chunk_bytes));
  Handle space = growing_space(row), made_with = chunked(chunk, fletcher32);
  if (fill != 0) H5Pset_fill_value(made_with, H5T_NATIVE_DOUBLE, &fill);
  return {.id = create(path, h5_type(dtype), space, made_with),
          .path = path,
          .dtype = dtype,
          .filtered = fletcher32,
          .row = {row.begin(), row.end()},
          .chunk = std::move(chunk),
          .fill = fill};
}

H5Writer::Stream H5Writer::u32_stream(const std::string& path, std::span<const int64_t> row,
                                      size_t chunk_bytes, bool fletcher32) {
  H5Lock lock;
  std::vector<int64_t> chunk = chunk_extents(row, 4, static_cast<int64_t>(chunk_bytes));
  Handle space = growing_space(row), made_with = chunked(chunk, fletcher32);
  return {.id = create(path, H5T_STD_U32LE, space, made_with),
          .path = path,
          .u32 = true,
          .filtered = fletcher32,
          .row = {row.begin(), row.end()},
          .chunk = std::move(chunk)};
}

H5Writer::Stream H5Writer::text_stream(const std::string& path, size_t bytes, size_t chunk_bytes,
                                       bool fletcher32) {
  H5Lock lock;
  bytes = std::max<size_t>(bytes, 1);
  std::vector<int64_t> chunk =
      chunk_extents({}, static_cast<int64_t>(bytes), static_cast<int64_t>(chunk_bytes));
  Handle space = growing_space({}), type = h5_text_type(bytes);
  Handle made_with = chunked(chunk, fletcher32);
  return {.id = create(path, type, space, made_with),
          .path = path,
          .text = bytes,
          .filtered = fletcher32,
          .chunk = std::move(chunk)};
}

void H5Writer::append(Stream& s, const void* rows, int64_t count) {
  std::vector<int64_t> block{count};
  block.insert(block.end(), s.row.begin(), s.row.end());
  append_rows(s, block, rows, nullptr);
}

uint32_t H5Writer::append_block(Stream& s, std::span<const int64_t> block, const void* data) {
  std::vector<int64_t> one{1};
  one.insert(one.end(), block.begin(), block.end());
  uint32_t crc = 0;
  append_rows(s, one, data, &crc);
  return crc;
}

uint32_t H5Writer::fill_in(Stream& s, int64_t row, std::span<const int64_t> block,
                           const void* data) {
  H5Lock lock;
  std::vector<int64_t> one{1};
  one.insert(one.end(), block.begin(), block.end());
  uint32_t crc = 0;
  if (std::find(one.begin(), one.end(), 0) == one.end()) write_rows(s, row, one, data, &crc);
  return crc;
}

void H5Writer::append_rows(Stream& s, std::span<const int64_t> block, const void* data,
                           uint32_t* crc) {
  H5Lock lock;
  const bool guarded =
      std::equal(s.row.begin(), s.row.end(), block.begin() + 1, block.end()) && guarded_whole(s);
  const int64_t first = s.rows;
  s.rows += block[0];
  if (H5Dset_extent(s.id, extents_of(s).data()) < 0) fail(s.path, "cannot be extended");
  if (std::find(block.begin(), block.end(), 0) != block.end()) return;
  if (!guarded) return write_rows(s, first, block, data, crc);
  if (crc) *crc = crc32c(data, bytes_of(s, block));
  append_guarded(s, block[0], data);
}

void H5Writer::write_rows(Stream& s, int64_t first, std::span<const int64_t> block,
                          const void* data, uint32_t* crc) {
  s.begun.clear();
  const bool whole = std::equal(s.row.begin(), s.row.end(), block.begin() + 1, block.end());
  if (const int64_t bytes = whole ? piece_bytes(s) : 0)
    return write_pieces(s, first, block[0], bytes, data, crc);
  if (crc) *crc = crc32c(data, bytes_of(s, block));
  std::vector<hsize_t> start(block.size(), 0);
  start[0] = static_cast<hsize_t>(first);
  const std::vector<hsize_t> extents(block.begin(), block.end());
  Handle text, file_space(H5Dget_space(s.id));
  Handle memory_space(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr));
  if (s.text > 0) text = h5_text_type(s.text);
  H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start.data(), nullptr, extents.data(), nullptr);
  const hid_t type = s.text > 0 ? hid_t(text) : s.u32 ? H5T_STD_U32LE : h5_type(s.dtype);
  if (H5Dwrite(s.id, type, memory_space, file_space, H5P_DEFAULT, data) < 0) {
    fail(s.path, "cannot be written");
  }
  check_disk(s.path);
}

// Whole chunks go to the file from where they are: HDF5 would fill each with zeros and copy it.
void H5Writer::write_pieces(Stream& s, int64_t first, int64_t count, int64_t bytes,
                            const void* data, uint32_t* crc) {
  int64_t pieces = 1;
  for (size_t i = 0; i < s.row.size(); ++i) pieces *= s.row[i] / s.chunk[i + 1];
  const auto* piece = static_cast<const char*>(data);
  std::vector<hsize_t> at(s.chunk.size(), 0);
  const auto size = static_cast<size_t>(bytes);
  disk_->crc = 0;
  for (int64_t row = first; row < first + count; ++row) {
    at[0] = static_cast<hsize_t>(row);
    for (int64_t k = 0; k < pieces; ++k, piece += bytes) {
      if (crc) disk_->sum_of = piece;
      if (H5Dwrite_chunk(s.id, H5P_DEFAULT, 0, at.data(), size, piece) < 0)
        fail(s.path, "cannot be written");
      // HDF5 may have written a copy.
      if (std::exchange(disk_->sum_of, nullptr)) disk_->crc = crc32c(piece, size, disk_->crc);
      // On to the next one in row-major order, at last to the first again.
      for (size_t axis = s.row.size(); axis > 0; --axis) {
        at[axis] += static_cast<hsize_t>(s.chunk[axis]);
        if (at[axis] < static_cast<hsize_t>(s.row[axis - 1])) break;
        at[axis] = 0;
      }
    }
  }
  if (crc) *crc = disk_->crc;
  check_disk(s.path);
}

// Checksummed chunks are made here: HDF5 would copy each twice and sum it byte by byte. One that is
// not full yet is written all the same, so that a flush has it, and once more with what comes.
void H5Writer::append_guarded(Stream& s, int64_t count, const void* data) {
  const int64_t bytes = entry_bytes(s);
  const auto* entries = static_cast<const char*>(data);
  for (int64_t row = s.rows - count; row < s.rows;) {
    const int64_t taken = std::min(s.rows - row, s.chunk[0] - row % s.chunk[0]);
    s.begun.append(entries, static_cast<size_t>(taken * bytes));
    write_guarded(s, row / s.chunk[0] * s.chunk[0]);
    entries += taken * bytes;
    row += taken;
  }
  check_disk(s.path);
}

// The chunk of `s.begun`, whose first entry is `first`, with what it lacks filled up.
void H5Writer::write_guarded(Stream& s, int64_t first) {
  const size_t bytes = static_cast<size_t>(s.chunk[0] * entry_bytes(s)), begun = s.begun.size();
  while (s.fill != 0 && s.begun.size() < bytes)
    s.begun.append(reinterpret_cast<const char*>(&s.fill), sizeof s.fill);
  s.begun.resize(bytes, '\0');
  const uint32_t sum = fletcher32(s.begun.data(), bytes);
  s.begun.append(reinterpret_cast<const char*>(&sum), sizeof sum);
  std::vector<hsize_t> at(s.chunk.size(), 0);
  at[0] = static_cast<hsize_t>(first);
  if (H5Dwrite_chunk(s.id, H5P_DEFAULT, 0, at.data(), s.begun.size(), s.begun.data()) < 0)
    fail(s.path, "cannot be written");
  s.begun.resize(begun < bytes ? begun : 0);
}

void H5Writer::read(const Stream& s, int64_t row, void* out) const {
  H5Lock lock;
  std::vector<hsize_t> start(s.row.size() + 1, 0), extents{1};
  start[0] = static_cast<hsize_t>(row);
  extents.insert(extents.end(), s.row.begin(), s.row.end());
  Handle file_space(H5Dget_space(s.id));
  Handle memory_space(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr));
  H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start.data(), nullptr, extents.data(), nullptr);
  if (H5Dread(s.id, h5_type(s.dtype), memory_space, file_space, H5P_DEFAULT, out) < 0)
    fail(s.path, "cannot be read back");
}

void H5Writer::skip(Stream& s, int64_t count) {
  H5Lock lock;
  s.rows += count;
  if (H5Dset_extent(s.id, extents_of(s).data()) < 0) fail(s.path, "cannot be extended");
}

void H5Writer::grow(Stream& s, std::span<const int64_t> row) {
  H5Lock lock;
  for (size_t i = 0; i < s.row.size(); ++i) s.row[i] = std::max(s.row[i], row[i]);
  if (H5Dset_extent(s.id, extents_of(s).data()) < 0) fail(s.path, "cannot be extended");
}

void H5Writer::close(Stream& s) {
  H5Lock lock;
  if (!Handle(std::exchange(s.id, -1)).close()) fail(s.path, "cannot be closed");
  check_disk(s.path);
}

}  // namespace nnm::io
