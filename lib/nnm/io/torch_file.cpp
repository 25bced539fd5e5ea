// A zip archive of stored members: a pickle that describes tensors, and a member per storage.
#include "nnm/io/torch_file.h"

#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>

#include "nnm/base/error.h"
#include "nnm/base/file.h"
#include "nnm/io/row_major.h"

namespace nnm::io {
namespace {

constexpr uint64_t kMost = uint64_t{4} << 30, kDirectory = uint64_t{16} << 20;
constexpr size_t kMembers = 65000;

/// Numbers as little-endian bytes.
class Bytes {
 public:
  template <class T>
  Bytes& number(T v) {
    text.append(reinterpret_cast<const char*>(&v), sizeof v);
    return *this;
  }
  Bytes& u16(size_t v) { return number(static_cast<uint16_t>(v)); }
  Bytes& u32(uint64_t v) { return number(static_cast<uint32_t>(v)); }
  Bytes& add(std::string_view s) {
    text += s;
    return *this;
  }
  std::string text;
};

/// Members one after the other, each after its header, then the directory.
class Zip {
 public:
  explicit Zip(const std::string& path) : path_(path), out_(path, std::ios::binary) {}

  void member(const std::string& name, const void* data, size_t bytes) {
    NNM_CHECK(at_ + bytes < kMost - kDirectory && members_ < kMembers, output,
              "{}: more than 4 GiB, or 65,000 tensors, do not fit into it", path_);
    const auto crc = static_cast<uint32_t>(
        ::crc32_z(::crc32_z(0, nullptr, 0), static_cast<const Bytef*>(data), bytes));
    Bytes about;
    about.u16(0).u16(0).u32(0).u32(crc).u32(bytes).u32(bytes).u16(name.size()).u16(0);
    directory_.add("PK\1\2").u16(20).u16(20).add(about.text);
    directory_.u16(0).u16(0).u16(0).u32(0).u32(at_).add(name);
    ++members_;
    write(Bytes().add("PK\3\4").u16(20).add(about.text).add(name).text);
    write({static_cast<const char*>(data), bytes});
  }
  void member(const std::string& name, std::string_view text) {
    member(name, text.data(), text.size());
  }
  void close() {
    const uint64_t begin = at_;
    write(directory_.text);
    Bytes end;
    end.add("PK\5\6").u16(0).u16(0).u16(members_).u16(members_);
    end.u32(directory_.text.size()).u32(begin).u16(0);
    write(end.text);
    out_.close();
    NNM_CHECK(out_, output, "{}: {}", path_, std::strerror(errno));
  }

 private:
  void write(std::string_view text) {
    out_.write(text.data(), static_cast<std::streamsize>(text.size()));
    NNM_CHECK(out_, output, "{}: {}", path_, std::strerror(errno));
    at_ += text.size();
  }

  std::string path_;
  std::ofstream out_;
  Bytes directory_;
  uint64_t at_ = 0;
  size_t members_ = 0;
};

const char* storage_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return "FloatStorage";
    case DType::f64: return "DoubleStorage";
    case DType::bf16: return "BFloat16Storage";
    case DType::f16: return "HalfStorage";
    case DType::i64: return "LongStorage";
    case DType::i32: return "IntStorage";
    case DType::i16: return "ShortStorage";
    case DType::i8: return "CharStorage";
    case DType::u8: return "ByteStorage";
    case DType::b8: return "BoolStorage";
  }
  return "";
}

/// The opcodes of protocol 2 that a state_dict takes.
class Pickle {
 public:
  Pickle() {
    out_.add("\x80\x02");
    empty_dict();
    out_.add("(");
  }
  void tensor(const std::string& name, const Tensor& dense, const std::string& storage) {
    string(name);
    global("torch._utils", "_rebuild_tensor_v2");
    out_.add("((");
    string("storage");
    global("torch", storage_of(dense.dtype()));
    string(storage);
    string("cpu");
    integer(dense.numel());
    out_.add("tQ");  // what the archive's reader finds by that tuple
    integer(0);
    tuple(dense.shape());
    tuple(dense.strides());
    out_.add("\x89");  // requires_grad: False
    empty_dict();      // no backward hooks
    out_.add("tR");
  }
  std::string finish() { return out_.add("u.").text; }

 private:
  void empty_dict() {
    global("collections", "OrderedDict");
    out_.add(")R");
  }
  void global(const char* module, const char* name) {
    out_.add(fmt::format("c{}\n{}\n", module, name));
  }
  void string(const std::string& s) { out_.add("X").u32(s.size()).add(s); }
  void integer(int64_t n) { out_.add("\x8a\x08").number(n); }
  template <class Numbers>
  void tuple(const Numbers& numbers) {
    out_.add("(");
    for (const int64_t n : numbers) integer(n);
    out_.add("t");
  }
  Bytes out_;
};

}  // namespace

void write_torch(const std::string& path, const std::vector<NamedTensor>& tensors) {
  write_atomically(path, [&](const std::string& part) {
    Pickle pickle;
    std::vector<Tensor> storages;
    std::map<const void*, std::string> names;  // of storages, by the memory of the given tensors
    for (const NamedTensor& t : tensors) {
      const Tensor dense = row_major(t.tensor);
      const std::string next = std::to_string(storages.size());
      const auto [at, fresh] = names.emplace(t.tensor.numel() ? t.tensor.data() : &t, next);
      // Another view of memory that is there already is a tensor of its own.
      const bool same = !fresh && storages[std::stoul(at->second)].shape() == dense.shape() &&
                        storages[std::stoul(at->second)].dtype() == dense.dtype();
      pickle.tensor(t.name, dense, same ? at->second : next);
      if (!same) storages.push_back(dense);
    }
    Zip zip(part);
    zip.member("archive/data.pkl", pickle.finish());
    zip.member("archive/byteorder", "little");
    for (size_t i = 0; i < storages.size(); ++i)
      zip.member(fmt::format("archive/data/{}", i), storages[i].data(),
                 static_cast<size_t>(storages[i].numel()) * item_size(storages[i].dtype()));
    zip.member("archive/version", "3\n");
    zip.close();
  });
}

}  // namespace nnm::io
