// HDF5 files: a reader that trusts nothing, and a writer of plain, checksummed, reproducible files.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "kernels/view.h"
#include "nnm/base/value.h"
#include "nnm/tensor/tensor.h"

namespace nnm::io {

/// What the elements of a dataset or attribute are.
struct Element {
  /// `number` reads as dtype, `text` is a fixed-length string, `other` cannot be read (variable
  /// length, compound, …).
  enum class Kind : uint8_t { number, text, other };
  Kind kind = Kind::other;
  DType dtype = DType::f32;  ///< of a number: what it is read as
  size_t size = 0;           ///< bytes of one element in the file
  bool exact = false;        ///< the bytes in the file are those in memory
  bool unsigned64 = false;   ///< u64 in the file: values beyond i64 are an error on reading
  std::string name;          ///< "f32", "u16", "f32 (big-endian)", "string[12]", "compound"
  bool bits = false;         ///< of u64: read as its bits, whatever its value
};

/// A group or a dataset of a file, as found when it was opened.
struct H5Node {
  std::string name;  ///< the link's name, "" for the root
  std::string path;  ///< "/state_dict/fc.weight"
  bool group = false;
  uint64_t address = 0;    ///< of the object: equal for hard links to the same one
  int64_t attributes = 0;  ///< how many it has
  Element element;         ///< of a dataset
  std::vector<int64_t> shape;
  int64_t numel = 1;
  bool chunked = false;
  bool fletcher32 = false;
  std::vector<H5Node> children;   ///< of a group, in creation order where the file keeps it
  std::vector<uint32_t> by_name;  ///< the places of children, sorted by their names

  /// The child of that name, or null.
  const H5Node* find(std::string_view child) const;
  int64_t bytes() const { return numel * static_cast<int64_t>(element.size); }
};

/// Bytes [begin, begin + size) of a file.
struct Extent {
  uint64_t begin = 0, size = 0;
};

/// What a file may ask of us.
struct H5Limits {
  int64_t max_objects = 100'000;
  int max_depth = 64;
  size_t max_name = 1024;
  /// Of one dataset, in memory; 0: the machine's memory.
  int64_t max_bytes = 0;
  /// Look at the file's structure in a child process first, in case libhdf5 crashes or hangs on it;
  /// but not again at one of the last that this process found sound, where nobody has changed it.
  bool probe = true;

  bool operator==(const H5Limits&) const = default;
};

/// Whether this is a regular file that starts as HDF5 files do.
bool is_hdf5(const std::string& path);

/// An HDF5 file open for reading. Opening walks the whole tree and refuses, before any data are
/// read: soft and external links, external storage, virtual datasets, filters other than deflate,
/// shuffle and fletcher32, extents that the file does not hold, and whatever exceeds the limits.
/// All errors are Error(input_file) and name the file and the object. Safe from any thread.
class H5Reader {
 public:
  explicit H5Reader(const std::string& path, const H5Limits& limits = {});
  ~H5Reader();
  H5Reader(H5Reader&&) noexcept;
  H5Reader& operator=(H5Reader&&) noexcept;

  const std::string& path() const;
  const H5Node& root() const;
  /// "a/b" or "/a/b"; null if there is none. Link names are never split at dots.
  const H5Node* find(std::string_view path) const;
  /// As find; throws with the names that are there.
  const H5Node& at(std::string_view path) const;

  /// Reads all metadata of an object, of which reading its data needs only a part. Throws where
  /// HDF5's checksums find damage.
  void check_metadata(const H5Node& node) const;

  /// Names of an object's attributes, sorted.
  std::vector<std::string> attributes(const H5Node& node) const;
  /// A number, a text, a tuple of those, or none (absent, or of null extent). Throws for attributes
  /// of types that cannot be read.
  Value attribute(const H5Node& node, const std::string& name) const;
  /// All of them, by name.
  Items attribute_items(const H5Node& node) const;
  /// Whether there is such an attribute.
  bool has_attribute(const H5Node& node, const std::string& name) const;

  /// The whole dataset as `node.element.dtype`, row-major; `bytes` is the size of dst.
  void read(const H5Node& node, void* dst, size_t bytes) const;
  /// Rows [first, first + count) of the first axis.
  void read_rows(const H5Node& node, int64_t first, int64_t count, void* dst, size_t bytes) const;
  /// The block of these extents that begins at `start`, dense; both have the dataset's rank.
  void read_block(const H5Node& node, std::span<const int64_t> start,
                  std::span<const int64_t> extents, void* dst, size_t bytes) const;
  /// The dataset in a fresh CPU tensor.
  Tensor tensor(const H5Node& node) const;
  /// A scalar text dataset; bytes after the text (null padding) are dropped.
  std::string text(const H5Node& node) const;
  /// A 1-D text dataset.
  std::vector<std::string> texts(const H5Node& node) const;
  /// Where the data of a contiguous dataset lie in the file.
  Extent extent(const H5Node& node) const;
  /// How many bytes of the file are HDF5's.
  uint64_t end() const;
  /// The bytes of a dataset as they lie in the file, whatever their type; for checksums.
  void read_raw(const H5Node& node, void* dst, size_t bytes) const;
  /// Throws the reader's error about an object of this file.
  [[noreturn]] void fail(const H5Node& node, const std::string& what) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// One dataset as /manifest lists it.
struct ManifestRow {
  std::string path, dtype, shape;  ///< shape as "2,3", "" for a scalar
  int64_t nbytes = 0;
  uint32_t crc32c = 0;
};

struct DiskState;

/// An HDF5 file being written. Everything but the stream datasets is contiguous and listed for the
/// manifest with its CRC32C; strings have fixed lengths, no object carries a time, groups keep
/// creation order. Parents are made as needed. All errors are Error(output) with file and object.
/// A writer that goes without `close` leaves an unfinished file behind.
class H5Writer {
 public:
  /// HDF5's format bounds. v18 protects all metadata of contiguous datasets by checksums, v110
  /// that of chunked ones too.
  enum class Format : uint8_t { v18, v110 };
  /// Creates the file; one that exists already is an error.
  explicit H5Writer(const std::string& path, Format format = Format::v18);
  ~H5Writer();
  H5Writer(const H5Writer&) = delete;

  const std::string& path() const { return path_; }
  void group(const std::string& path);
  /// Sets or replaces an attribute of an object: none, bool, int, float, str, and tuples or lists
  /// of one of those (numbers of mixed kinds become floats).
  void attribute(const std::string& path, const std::string& name, const Value& value);
  /// An unsigned 32-bit attribute.
  void attribute_u32(const std::string& path, const std::string& name, uint32_t value);
  /// A dataset of row-major data. Returns its CRC32C.
  uint32_t dataset(const std::string& path, DType dtype, std::span<const int64_t> shape,
                   const void* data);
  /// A CPU tensor (copied first if it is not row-major).
  uint32_t tensor(const std::string& path, const Tensor& tensor);
  /// A scalar text.
  void text(const std::string& path, std::string_view text);
  /// A 1-D text dataset, as wide as its longest entry.
  void texts(const std::string& path, std::span<const std::string> texts);
  /// Another name for an object that exists.
  void hard_link(const std::string& existing, const std::string& path);
  /// Takes a dataset's name away; its space in the file stays unused.
  void unlink(const std::string& path);

  /// Chunked, growing along the first axis; `row` is the shape of one entry (empty for a scalar),
  /// and about `chunk_bytes` of entries make a chunk. Not in the manifest. Fletcher32 guards small
  /// tables; large data carry checksums of their own. Close it before the file: on a full disk only
  /// the closing of a chunked dataset fails.
  struct Stream {
    int64_t id = -1;  ///< HDF5's
    std::string path;
    DType dtype = DType::f32;
    size_t text = 0;   ///< bytes of an entry if it is text
    bool u32 = false;  ///< entries are uint32_t, whatever dtype says
    bool filtered = false;
    std::vector<int64_t> row;
    std::vector<int64_t> chunk;  ///< extents, those of the rows first
    int64_t rows = 0;
    double fill = 0;
    std::string begun;  ///< bytes of the last chunk, while entries are missing in it
  };
  /// `fill` is what f64 entries read as where nothing was written.
  Stream stream(const std::string& path, DType dtype, std::span<const int64_t> row,
                size_t chunk_bytes, bool fletcher32, double fill = 0);
  Stream u32_stream(const std::string& path, std::span<const int64_t> row, size_t chunk_bytes,
                    bool fletcher32);
  /// A column of texts of at most `bytes` bytes.
  Stream text_stream(const std::string& path, size_t bytes, size_t chunk_bytes, bool fletcher32);
  /// Writes `count` entries after the last one.
  void append(Stream& s, const void* rows, int64_t count = 1);
  /// Appends one entry with its own extents, at most s.row; the rest of the entry reads as zeros.
  /// Returns the data's CRC32C.
  uint32_t append_block(Stream& s, std::span<const int64_t> block, const void* data);
  /// Reads back entry `row` of a stream of numbers, with all of its extents.
  void read(const Stream& s, int64_t row, void* out) const;
  /// Appends `count` entries that nothing is written to.
  void skip(Stream& s, int64_t count = 1);
  /// Lets entries be as large as `row`; those written keep their place.
  void grow(Stream& s, std::span<const int64_t> row);
  void close(Stream& s);

  /// What has been written so far, streams excepted.
  const std::vector<ManifestRow>& manifest() const { return manifest_; }
  /// Writes /manifest and the root attribute manifest_crc32c. No datasets may follow.
  void write_manifest();
  /// Writes the manifest, says that the file is complete, closes and seals it.
  void finish();
  void flush();
  /// Closes the file, and throws if HDF5 could not write all of it.
  void close();

 private:
  [[noreturn]] void fail(const std::string& object, const std::string& what) const;
  /// Throws if the disk has refused a write so far.
  void check_disk(const std::string& object) const;
  void make_parent(const std::string& path);
  int64_t create(const std::string& path, int64_t type, int64_t space, int64_t made_with);
  uint32_t write(const std::string& path, int64_t type, const char* type_name,
                 std::span<const int64_t> shape, const void* data, size_t bytes, uint32_t seed = 0);
  uint32_t write_texts(const std::string& path, std::span<const std::string> texts, uint32_t seed);
  /// `crc`, unless it is null, becomes the data's CRC32C.
  void append_rows(Stream& s, std::span<const int64_t> block, const void* data, uint32_t* crc);
  void append_pieces(Stream& s, int64_t count, int64_t bytes, const void* data, uint32_t* crc);
  void append_guarded(Stream& s, int64_t count, const void* data);
  void write_guarded(Stream& s, int64_t first);
  void write_attribute(const std::string& path, const std::string& name, int64_t type,
                       int64_t space, const void* data);

  std::string path_;
  std::unique_ptr<DiskState> disk_;
  int64_t file_ = -1;
  std::unordered_set<std::string> groups_;
  std::vector<ManifestRow> manifest_;
  std::vector<Extent> guarded_;  // where the data of the manifest's rows lie
};

/// "2,3" for {2, 3}, "" for a scalar.
std::string shape_text(std::span<const int64_t> shape);

}  // namespace nnm::io
