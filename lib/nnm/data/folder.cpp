// Folders of pictures, a class a folder.
#include <algorithm>
#include <filesystem>

#include "nnm/base/output.h"
#include "nnm/data/picture.h"

namespace nnm::data {
namespace {

namespace fs = std::filesystem;

bool named_like_picture(const fs::path& p) {
  const std::string ending = ending_of(p.string());
  return ending == ".png" || ending == ".jpg" || ending == ".jpeg";
}

// Pictures anywhere below a folder, in the order of their paths. A link that leads nowhere is a
// picture that is missing.
std::vector<std::string> pictures_below(const fs::path& folder) {
  std::vector<std::string> found;
  for (const auto& e : fs::recursive_directory_iterator(folder)) {
    if (!named_like_picture(e.path())) continue;
    std::error_code ec;
    const bool regular = e.is_regular_file(ec);
    NNM_CHECK(!ec, input_file, "cannot open {}: {}", e.path().string(), ec.message());
    if (regular) found.push_back(e.path().string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

class Folder final : public Dataset {
 public:
  Folder(std::vector<FieldInfo> fields, std::vector<std::string> paths, std::vector<int64_t> labels)
      : Dataset(std::move(fields)), paths_(std::move(paths)), labels_(std::move(labels)) {}
  int64_t size(bool) const override { return static_cast<int64_t>(paths_.size()); }
  const void* sample(int, int64_t key) const override { return &labels_[static_cast<size_t>(key)]; }
  bool decodes(int field) const override { return field == 0; }
  Shape decode(int, int64_t key, std::vector<char>& bytes) const override {
    Picture p = read_picture(paths_[static_cast<size_t>(key)], fields()[0].shape[0]);
    bytes.swap(p.pixels);
    return p.shape();
  }
  std::string name_of(int64_t key) const override { return paths_[static_cast<size_t>(key)]; }

 private:
  std::vector<std::string> paths_;
  std::vector<int64_t> labels_;
};

Ref<Dataset> read_folder(const std::string& path) {
  std::vector<fs::path> classes;
  for (const auto& e : fs::directory_iterator(path)) {
    if (e.is_directory() && e.path().filename().string()[0] != '.') classes.push_back(e.path());
  }
  std::sort(classes.begin(), classes.end());
  NNM_CHECK(!classes.empty(), input_file, "{} has no folders, one for each class", path);
  std::vector<std::string> paths;
  std::vector<int64_t> labels;
  for (size_t c = 0; c < classes.size(); ++c) {
    const std::vector<std::string> found = pictures_below(classes[c]);
    NNM_CHECK(!found.empty(), input_file, "{} has no pictures (.png, .jpg, .jpeg)",
              classes[c].string());
    paths.insert(paths.end(), found.begin(), found.end());
    labels.resize(paths.size(), static_cast<int64_t>(c));
  }
  const Shape first = peek_picture(paths[0]).shape();
  return make_ref<Folder>(std::vector<FieldInfo>{{"image", DType::u8, first, DType::u8, path},
                                                 {"label", DType::i64, {}, DType::i64, path}},
                          std::move(paths), std::move(labels));
}

}  // namespace

Ref<Dataset> open_folder(const std::string& path) {
  try {
    return read_folder(path);
  } catch (const fs::filesystem_error& e) {
    throw Error(ErrorKind::input_file,
                fmt::format("cannot read the folder {}: {}",
                            e.path1().empty() ? path : e.path1().string(), e.code().message()));
  }
}

}  // namespace nnm::data
