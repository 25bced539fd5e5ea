// npz files: a ZIP archive of npy arrays, stored or deflated.
#include <set>

#include "nnm/data/file.h"
#include "nnm/data/npy.h"
#include "nnm/io/zip.h"

namespace nnm::data {
namespace {

class Npz final : public DataFile {
 public:
  explicit Npz(const std::string& path) : DataFile(path, Format::npz) {
    const std::string_view ending = ".npy";
    const io::ZipArchive archive(path);
    std::set<std::string> names;
    for (const io::ZipMember& m : archive.members()) {
      if (m.name.size() <= ending.size() || !m.name.ends_with(ending)) continue;
      members_.push_back(m);
      std::string& name = members_.back().name;
      name.resize(m.name.size() - ending.size());
      NNM_CHECK(names.insert(name).second, input_file, "{}: two arrays are named `{}`", path, name);
    }
    for (const io::ZipMember& m : members_) {
      io::ZipReader r(path, m);
      const NpyHeader h = header(m, r);
      arrays_.push_back({m.name, h.dtype, h.shape});
    }
  }
  Tensor read(const std::string& name) const override {
    const io::ZipMember& m = members_[find(name)];
    io::ZipReader r(path_, m);
    const NpyHeader h = header(m, r);
    Tensor x = read_npy_body(path_, h, [&](void* into, size_t n) { r.take(into, n); });
    r.check_end();
    return x;
  }

 private:
  NpyHeader header(const io::ZipMember& m, io::ZipReader& r) const {
    const std::string where = path_ + ":" + m.name;
    NpyHeader h = read_npy_header(where, [&](void* into, size_t n) { r.take(into, n); });
    NNM_CHECK(h.data_bytes() < m.size && m.size / 1040 <= m.packed, input_file,
              "{} is corrupt: the header announces more than the archive holds", where);
    return h;
  }
  std::vector<io::ZipMember> members_;
};

}  // namespace

Ref<DataFile> open_npz(const std::string& path) { return make_ref<Npz>(path); }

}  // namespace nnm::data
