// Reading and writing .safetensors files.
#include "nnm/io/safetensors.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "nnm/base/file.h"
#include "nnm/io/bools.h"
#include "nnm/io/row_major.h"
#include "nnm/io/safetensors_header.h"

namespace nnm::io {
namespace {

constexpr uint64_t kMaxHeader = 100'000'000;

// `read_as` is what it becomes; `bits` and `is_signed` describe integers that need widening.
struct StoredType {
  const char* name;
  DType read_as;
  int size;
  bool exact;
  bool is_signed;
};
constexpr StoredType kTypes[] = {
    {"F32", DType::f32, 4, true, true},   {"F64", DType::f64, 8, true, true},
    {"BF16", DType::bf16, 2, true, true}, {"F16", DType::f16, 2, true, true},
    {"I64", DType::i64, 8, true, true},   {"I32", DType::i32, 4, true, true},
    {"U8", DType::u8, 1, true, false},    {"BOOL", DType::b8, 1, true, false},
    {"I16", DType::i16, 2, true, true},   {"I8", DType::i8, 1, true, true},
    {"U16", DType::i32, 2, false, false}, {"U32", DType::i64, 4, false, false},
    {"U64", DType::i64, 8, false, false}};

const StoredType* stored_type(const std::string& name) {
  for (const StoredType& t : kTypes) {
    if (name == t.name) return &t;
  }
  return nullptr;
}

const char* type_name(DType dtype) {
  for (const StoredType& t : kTypes) {
    if (t.exact && t.read_as == dtype) return t.name;
  }
  return "";
}

class File {
 public:
  File(const std::string& path, int flags)
      : path_(path), fd_(open(path.c_str(), flags | O_CLOEXEC, 0666)) {}
  ~File() { close_now(); }
  bool valid() const { return fd_ >= 0; }
  bool close_now() { return fd_ < 0 || ::close(std::exchange(fd_, -1)) == 0; }
  int fd() const { return fd_; }

  bool read_at(void* dst, size_t bytes, uint64_t offset) const {
    auto* p = static_cast<char*>(dst);
    while (bytes > 0) {
      const ssize_t n = pread(fd_, p, bytes, static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      p += n;
      bytes -= static_cast<size_t>(n);
      offset += static_cast<uint64_t>(n);
    }
    return true;
  }
  void write_all(const void* src, size_t bytes) const {
    const auto* p = static_cast<const char*>(src);
    while (bytes > 0) {
      const ssize_t n = ::write(fd_, p, bytes);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0)
        throw Error(ErrorKind::output, fmt::format("{}: {}", path_, std::strerror(errno)));
      p += n;
      bytes -= static_cast<size_t>(n);
    }
  }

 private:
  std::string path_;
  int fd_;
};

class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path), file_(path, O_RDONLY | O_NONBLOCK) {}

  std::vector<NamedTensor> run() {
    struct stat about;
    if (!file_.valid() || fstat(file_.fd(), &about) != 0) fail(std::strerror(errno));
    if (!S_ISREG(about.st_mode)) fail("not a regular file");
    const auto size = static_cast<uint64_t>(about.st_size);
    uint64_t header_bytes = 0;
    if (size < 8 || !file_.read_at(&header_bytes, 8, 0)) fail("too short for a .safetensors file");
    if (header_bytes > kMaxHeader)
      fail(fmt::format("a header of {} bytes; at most {} are allowed", header_bytes, kMaxHeader));
    if (header_bytes > size - 8) fail("shorter than its header");
    std::string json(header_bytes, '\0');
    if (!file_.read_at(json.data(), json.size(), 8)) fail("its header cannot be read");
    if (!json.starts_with('{')) fail("not a .safetensors file");
    data_ = 8 + header_bytes;
    std::vector<SafetensorsEntry> entries;
    try {
      entries = parse_safetensors_header(json);
    } catch (const std::string& problem) {
      fail(problem);
    }
    check(entries, size - data_);
    std::vector<NamedTensor> out;
    for (const SafetensorsEntry& e : entries) out.push_back({e.name, tensor(e)});
    return out;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::input_file, fmt::format("{}: {}", path_, what));
  }

  void check(std::vector<SafetensorsEntry> entries, uint64_t bytes) const {
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    uint64_t at = 0;
    for (const SafetensorsEntry& e : entries) {
      const StoredType* type = stored_type(e.dtype);
      if (!type) fail(fmt::format("'{}' is of dtype {}, which nnm does not have", e.name, e.dtype));
      if (e.shape.size() > static_cast<size_t>(kMaxDims)) {
        fail(fmt::format("'{}' has {} dimensions; tensors have at most {}", e.name, e.shape.size(),
                         kMaxDims));
      }
      uint64_t want = static_cast<uint64_t>(type->size);
      bool overflow = false;
      for (int64_t extent : e.shape) {
        overflow = overflow || __builtin_mul_overflow(want, static_cast<uint64_t>(extent), &want);
      }
      if (e.begin != at)
        fail(fmt::format("'{}' does not begin where the tensor before it ends", e.name));
      if (overflow || e.end < e.begin || e.end - e.begin != want) {
        fail(fmt::format("'{}' does not have the bytes of {} [{}]", e.name, e.dtype,
                         shape_text(e.shape)));
      }
      at = e.end;
    }
    if (at != bytes)
      fail(
          fmt::format("tensors of {} bytes in a file with {}: truncated, or not whole", at, bytes));
  }

  Tensor tensor(const SafetensorsEntry& e) const {
    const StoredType& type = *stored_type(e.dtype);
    Tensor t = empty(Shape(e.shape), {.dtype = type.read_as});
    std::vector<char> small(type.exact ? 0 : e.end - e.begin);
    void* dst = type.exact ? t.data() : small.data();
    if (!file_.read_at(dst, e.end - e.begin, data_ + e.begin))
      fail(fmt::format("'{}' cannot be read", e.name));
    if (!type.exact) widen(type, small.data(), t, e.name);
    if (type.read_as == DType::b8 && !are_bools(t.data(), t.numel()))
      fail(fmt::format("'{}' has a bool that is neither 0 nor 1", e.name));
    return t;
  }

  void widen(const StoredType& type, const char* from, const Tensor& to,
             const std::string& name) const {
    for (int64_t i = 0; i < to.numel(); ++i) {
      uint64_t v = 0;
      std::memcpy(&v, from + i * type.size, static_cast<size_t>(type.size));
      const int unused = 64 - 8 * type.size;
      const int64_t wide =
          type.is_signed ? static_cast<int64_t>(v << unused) >> unused : static_cast<int64_t>(v);
      if (!type.is_signed && wide < 0) fail(fmt::format("'{}' has a value beyond i64", name));
      if (type.read_as == DType::i32) to.data<int32_t>()[i] = static_cast<int32_t>(wide);
      else to.data<int64_t>()[i] = wide;
    }
  }

  std::string path_;
  File file_;
  uint64_t data_ = 0;
};

std::string header_of(const std::vector<NamedTensor>& tensors,
                      const std::vector<std::pair<std::string, std::string>>& metadata) {
  std::string json = "{";
  if (!metadata.empty()) {
    json += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata)
      json += json_quoted(key) + ":" + json_quoted(value) + ",";
    json.back() = '}';
    json += ",";
  }
  size_t at = 0;
  for (const NamedTensor& named : tensors) {
    const Tensor& t = named.tensor;
    const size_t end = at + t.numel() * item_size(t.dtype());
    json += fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}},",
                        json_quoted(named.name), type_name(t.dtype()),
                        shape_text(std::span(t.shape().begin(), t.shape().end())), at, end);
    at = end;
  }
  if (json.back() == ',') json.pop_back();
  json += "}";
  json.resize((json.size() + 7) / 8 * 8, ' ');
  return json;
}

}  // namespace

std::vector<NamedTensor> read_safetensors(const std::string& path) { return Reader(path).run(); }

void write_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                       const std::vector<std::pair<std::string, std::string>>& metadata) {
  write_atomically(path, [&](const std::string& part) {
    File file(part, O_WRONLY | O_CREAT | O_EXCL);
    if (!file.valid())
      throw Error(ErrorKind::output, fmt::format("{}: {}", part, std::strerror(errno)));
    const std::string json = header_of(tensors, metadata);
    const uint64_t bytes = json.size();
    file.write_all(&bytes, 8);
    file.write_all(json.data(), json.size());
    for (const NamedTensor& t : tensors) {
      const Tensor dense = row_major(t.tensor);
      file.write_all(dense.data(), dense.numel() * item_size(dense.dtype()));
    }
    if (!file.close_now())
      throw Error(ErrorKind::output, fmt::format("{}: {}", part, std::strerror(errno)));
  });
}

}  // namespace nnm::io
