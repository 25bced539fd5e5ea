// H5Writer: creating files, groups, attributes, contiguous datasets, links and the manifest.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "nnm/base/file.h"
#include "nnm/io/h5.h"
#include "nnm/io/h5_disk.h"
#include "nnm/io/h5_handle.h"
#include "nnm/io/row_major.h"
#include "nnm/io/seal.h"

namespace nnm::io {
namespace {

Handle creation(hid_t kind) {
  Handle plist(H5Pcreate(kind));
  H5Pset_obj_track_times(plist, false);
  if (kind != H5P_DATASET_CREATE) {
    H5Pset_link_creation_order(plist, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  }
  return plist;
}

Handle link_names() {
  Handle plist(H5Pcreate(H5P_LINK_CREATE));
  H5Pset_char_encoding(plist, H5T_CSET_UTF8);
  return plist;
}

Handle simple_space(std::span<const int64_t> shape) {
  if (shape.empty()) return Handle(H5Screate(H5S_SCALAR));
  std::vector<hsize_t> extents(shape.begin(), shape.end());
  return Handle(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr));
}

// Values of an attribute, packed: the type that holds them all, and their bytes.
struct Packed {
  Handle text;
  hid_t type = -1;
  std::vector<char> bytes;
};

template <class T>
void put(std::vector<char>& out, T v) {
  const size_t at = out.size();
  out.resize(at + sizeof v);
  std::memcpy(out.data() + at, &v, sizeof v);
}

bool all_are(const Values& items, Value::Kind kind) {
  return std::all_of(items.begin(), items.end(), [&](const Value& v) { return v.is(kind); });
}

Packed pack(const Values& items) {
  Packed p;
  if (!items.empty() && all_are(items, Value::Kind::string)) {
    size_t width = 1;
    for (const Value& v : items) width = std::max(width, v.string().size());
    for (const Value& v : items) {
      p.bytes.insert(p.bytes.end(), v.string().begin(), v.string().end());
      p.bytes.resize(p.bytes.size() + width - v.string().size());
    }
    p.text = h5_text_type(width);
    p.type = p.text;
  } else if (!items.empty() && all_are(items, Value::Kind::boolean)) {
    for (const Value& v : items) put<int8_t>(p.bytes, v.boolean());
    p.type = h5_type(DType::b8);
  } else if (std::none_of(items.begin(), items.end(),
                          [](const Value& v) { return v.is(Value::Kind::real); })) {
    for (const Value& v : items) put(p.bytes, v.integer());
    p.type = H5T_STD_I64LE;
  } else {
    for (const Value& v : items) put(p.bytes, v.real());
    p.type = H5T_IEEE_F64LE;
  }
  return p;
}

}  // namespace

H5Writer::H5Writer(const std::string& path, Format format) : path_(path), disk_(new DiskState) {
  H5Lock lock;
  Handle access(H5Pcreate(H5P_FILE_ACCESS)), made_with = creation(H5P_FILE_CREATE);
  const H5F_libver_t bound = format == Format::v18 ? H5F_LIBVER_V18 : H5F_LIBVER_V110;
  use_disk(access, *disk_);
  H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
  H5Pset_libver_bounds(access, bound, bound);
  file_ = H5Fcreate(path.c_str(), H5F_ACC_EXCL, made_with, access);
  const std::string why = disk_->error != 0 ? std::strerror(disk_->error) : h5_message();
  if (file_ >= 0 && disk_->error == 0) return;
  // The destructor does not run; of a file that was created and could not be written nothing stays.
  if (file_ >= 0) H5Fclose(file_);
  if (disk_->created) std::remove(path.c_str());
  H5Eclear2(H5E_DEFAULT);
  throw Error(ErrorKind::output, fmt::format("{}: cannot be created: {}", path, why));
}

H5Writer::~H5Writer() {
  H5Lock lock;
  if (file_ >= 0) H5Fclose(file_);
  H5Eclear2(H5E_DEFAULT);
}

void H5Writer::fail(const std::string& object, const std::string& what) const {
  const std::string message = h5_message(),
                    why = disk_->error != 0 ? std::strerror(disk_->error) : message;
  throw Error(ErrorKind::output,
              fmt::format("{}: {}: {}{}{}", path_, object, what, why.empty() ? "" : ": ", why));
}

void H5Writer::check_disk(const std::string& object) const {
  if (disk_->error != 0) fail(object, "cannot be written");
}

void H5Writer::group(const std::string& path) {
  H5Lock lock;
  if (path.empty() || path == "/" || !groups_.insert(path).second) return;
  const size_t slash = path.find_last_of('/');
  if (slash != std::string::npos) group(path.substr(0, slash));
  Handle made_with = creation(H5P_GROUP_CREATE), names = link_names();
  Handle made(H5Gcreate2(file_, path.c_str(), names, made_with, H5P_DEFAULT));
  if (!made.valid()) fail(path, "cannot be created");
}

void H5Writer::attribute(const std::string& path, const std::string& name, const Value& value) {
  H5Lock lock;
  Packed p;
  Handle space;
  if (value.is_none()) {
    p.type = H5T_STD_I64LE;
    space = Handle(H5Screate(H5S_NULL));
  } else if (value.is_sequence()) {
    p = pack(value.items());
    space = simple_space(std::vector<int64_t>{static_cast<int64_t>(value.items().size())});
  } else {
    p = pack({value});
    space = simple_space({});
  }
  write_attribute(path, name, p.type, space, p.bytes.empty() ? nullptr : p.bytes.data());
}

void H5Writer::attribute_u32(const std::string& path, const std::string& name, uint32_t value) {
  H5Lock lock;
  write_attribute(path, name, H5T_STD_U32LE, simple_space({}), &value);
}

void H5Writer::write_attribute(const std::string& path, const std::string& name, int64_t type,
                               int64_t space, const void* data) {
  const std::string where = path + "@" + name;
  Handle object(H5Oopen(file_, path.c_str(), H5P_DEFAULT));
  if (!object.valid()) fail(where, "its object cannot be opened");
  if (H5Aexists(object, name.c_str()) > 0) H5Adelete(object, name.c_str());
  Handle made_with(H5Pcreate(H5P_ATTRIBUTE_CREATE));
  H5Pset_char_encoding(made_with, H5T_CSET_UTF8);
  Handle attr(H5Acreate2(object, name.c_str(), type, space, made_with, H5P_DEFAULT));
  const bool written = attr.valid() && (!data || H5Awrite(attr, type, data) >= 0);
  if (!written || !attr.close() || !object.close()) fail(where, "cannot be written");
}

void H5Writer::make_parent(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash != std::string::npos) group(path.substr(0, slash));
}

int64_t H5Writer::create(const std::string& path, int64_t type, int64_t space, int64_t made_with) {
  make_parent(path);
  Handle names = link_names();
  H5Pset_obj_track_times(made_with, false);
  const hid_t dataset = H5Dcreate2(file_, path.c_str(), type, space, names, made_with, H5P_DEFAULT);
  if (dataset < 0) fail(path, "cannot be created");
  return dataset;
}

uint32_t H5Writer::write(const std::string& path, int64_t type, const char* type_name,
                         std::span<const int64_t> shape, const void* data, size_t bytes,
                         uint32_t seed) {
  Handle made_with(H5Pcreate(H5P_DATASET_CREATE)), space = simple_space(shape);
  H5Pset_layout(made_with, H5D_CONTIGUOUS);
  H5Pset_fill_time(made_with, H5D_FILL_TIME_NEVER);
  Handle dataset(create(path, type, space, made_with));
  if (bytes > 0 && H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0) {
    fail(path, "cannot be written");
  }
  if (bytes > 0) guarded_.push_back({H5Dget_offset(dataset), bytes});
  if (!dataset.close()) fail(path, "cannot be closed");
  check_disk(path);
  const uint32_t crc = crc32c(data, bytes, seed);
  manifest_.push_back({path, type_name, shape_text(shape), static_cast<int64_t>(bytes), crc});
  return crc;
}

uint32_t H5Writer::dataset(const std::string& path, DType dtype, std::span<const int64_t> shape,
                           const void* data) {
  H5Lock lock;
  size_t bytes = item_size(dtype);
  for (int64_t e : shape) bytes *= static_cast<size_t>(e);
  return write(path, h5_type(dtype), info(dtype).name, shape, data, bytes);
}

uint32_t H5Writer::tensor(const std::string& path, const Tensor& tensor) {
  const Tensor dense = row_major(tensor);
  return dataset(path, dense.dtype(), std::span(dense.shape().begin(), dense.shape().end()),
                 dense.data());
}

void H5Writer::text(const std::string& path, std::string_view text) {
  H5Lock lock;
  const std::string padded(text.empty() ? std::string_view("\0", 1) : text);
  Handle type = h5_text_type(padded.size());
  write(path, type, "string", {}, padded.data(), padded.size());
}

uint32_t H5Writer::write_texts(const std::string& path, std::span<const std::string> texts,
                               uint32_t seed) {
  size_t width = 1;
  for (const std::string& t : texts) width = std::max(width, t.size());
  std::vector<char> packed(width * texts.size());
  for (size_t i = 0; i < texts.size(); ++i) texts[i].copy(packed.data() + i * width, width);
  Handle type = h5_text_type(width);
  const int64_t count = static_cast<int64_t>(texts.size());
  return write(path, type, "string", std::span(&count, 1), packed.data(), packed.size(), seed);
}

void H5Writer::texts(const std::string& path, std::span<const std::string> texts) {
  H5Lock lock;
  write_texts(path, texts, 0);
}

void H5Writer::hard_link(const std::string& existing, const std::string& path) {
  H5Lock lock;
  make_parent(path);
  Handle names = link_names();
  if (H5Lcreate_hard(file_, existing.c_str(), file_, path.c_str(), names, H5P_DEFAULT) < 0) {
    fail(path, "cannot be linked to " + existing);
  }
}

void H5Writer::unlink(const std::string& path) {
  H5Lock lock;
  if (H5Ldelete(file_, path.c_str(), H5P_DEFAULT) < 0) fail(path, "cannot be unlinked");
}

void H5Writer::write_manifest() {
  H5Lock lock;
  const std::vector<ManifestRow> rows = std::move(manifest_);
  const std::vector<Extent> guarded = guarded_;
  std::vector<std::string> paths, dtypes, shapes;
  std::vector<int64_t> nbytes;
  std::vector<uint32_t> crcs;
  for (const ManifestRow& r : rows) {
    paths.push_back(r.path);
    dtypes.push_back(r.dtype);
    shapes.push_back(r.shape);
    nbytes.push_back(r.nbytes);
    crcs.push_back(r.crc32c);
  }
  const int64_t count = static_cast<int64_t>(rows.size());
  uint32_t crc = write_texts("/manifest/path", paths, 0);
  crc = write_texts("/manifest/dtype", dtypes, crc);
  crc = write_texts("/manifest/shape", shapes, crc);
  crc = write("/manifest/nbytes", H5T_STD_I64LE, "i64", std::span(&count, 1), nbytes.data(),
              8 * rows.size(), crc);
  crc = write("/manifest/crc32c", H5T_STD_U32LE, "u32", std::span(&count, 1), crcs.data(),
              4 * rows.size(), crc);
  manifest_ = rows;
  guarded_ = guarded;
  attribute_u32("/", "manifest_crc32c", crc);
}

void H5Writer::flush() {
  H5Lock lock;
  if (H5Fflush(file_, H5F_SCOPE_LOCAL) < 0) fail("/", "cannot be flushed");
  check_disk("/");
}

void H5Writer::close() {
  H5Lock lock;
  flush();
  const int64_t file = std::exchange(file_, -1);
  if (H5Fclose(file) < 0) fail("/", "cannot be closed");
  check_disk("/");
}

void H5Writer::finish() {
  write_manifest();
  flush();
  attribute("/", "complete", 1);
  close();
  write_seal(path_, std::move(guarded_));
}

}  // namespace nnm::io
