// Formats by content, and what the formats share.
#include "nnm/data/file.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "nnm/base/signature.h"
#include "nnm/data/bytes.h"
#include "nnm/data/picture.h"

namespace nnm::data {
namespace {

std::string names_of(const std::vector<ArrayInfo>& arrays) {
  std::string out;
  for (size_t i = 0; i < arrays.size(); ++i) {
    if (i == 20) return fmt::format("{} and {} more", out, arrays.size() - i);
    out += (i ? ", " : "") + arrays[i].name;
  }
  return out;
}

}  // namespace

const char* format_name(Format f) {
  static constexpr const char* kNames[] = {"idx", "npy", "npz", "HDF5", "CSV", "picture"};
  return kNames[static_cast<int>(f)];
}

bool is_raw(Format f) { return f == Format::idx || f == Format::csv || f == Format::picture; }

Format detect_format(const std::string& path) {
  ByteReader r(path);
  char head[512];
  const size_t n = r.read_some(head, sizeof head);
  NNM_CHECK(n > 0, input_file, "{} is empty", path);
  auto starts = [&](std::string_view magic) {
    return n >= magic.size() && std::memcmp(head, magic.data(), magic.size()) == 0;
  };
  if (starts("\x89HDF\r\n\x1a\n")) return Format::hdf5;
  if (starts("\x93NUMPY")) return Format::npy;
  if (starts("PK\x03\x04") || starts("PK\x05\x06")) return Format::npz;
  if (n >= 4 && head[0] == 0 && head[1] == 0 && head[2] >= 0x08 && head[2] <= 0x0e) {
    return Format::idx;
  }
  if (is_picture({head, n})) return Format::picture;
  if (std::find(head, head + n, '\0') != head + n) {
    throw Error(ErrorKind::input_file, fmt::format("{} is in no format that nnm knows", path),
                "data files are idx, npy, npz, HDF5, CSV, PNG or JPEG");
  }
  return Format::csv;
}

Ref<DataFile> DataFile::open(const std::string& path) {
  switch (detect_format(path)) {
    case Format::idx: return open_idx(path);
    case Format::npy: return open_npy(path);
    case Format::npz: return open_npz(path);
    case Format::hdf5: return open_hdf5(path);
    case Format::csv: return open_csv(path);
    case Format::picture: return open_picture(path);
  }
  return {};
}

size_t DataFile::find(const std::string& name) const {
  if (name.empty()) {
    if (arrays_.size() == 1) return 0;
    NNM_CHECK(!arrays_.empty(), input_file, "{} holds no arrays of numbers", path_);
    throw Error(ErrorKind::input_file,
                fmt::format("{} holds {} arrays ({}) where one is meant", path_, arrays_.size(),
                            names_of(arrays_)),
                fmt::format("name one of them: `{}:{}`", path_, arrays_[0].name));
  }
  std::vector<std::string> names;
  for (size_t i = 0; i < arrays_.size(); ++i) {
    if (arrays_[i].name == name) return i;
    names.push_back(arrays_[i].name);
  }
  const char* what = format_ == Format::csv    ? "column"
                     : format_ == Format::hdf5 ? "dataset"
                                               : "array";
  const bool unnamed = arrays_.size() == 1 && names[0].empty();
  throw Error(
      ErrorKind::input_file, fmt::format("{} has no {} `{}`", path_, what, name),
      did_you_mean(name, names,
                   unnamed ? fmt::format("a file of format {} holds one array without a name",
                                         format_name(format_))
                           : fmt::format("it has {}", names_of(arrays_))));
}

ArrayInfo DataFile::peek_inside(const std::string& name) const { return arrays_[find(name)]; }

ArrayInfo DataFile::peek(const std::string& name) const { return peek_inside(name); }

std::pair<std::string, std::string> split_source(const std::string& source) {
  std::error_code ignored;
  const size_t colon = source.rfind(':');
  if (colon == std::string::npos || colon == 0 || std::filesystem::exists(source, ignored)) {
    return {source, ""};
  }
  return {source.substr(0, colon), source.substr(colon + 1)};
}

void check_extents(const std::string& path, const std::vector<int64_t>& shape) {
  NNM_CHECK(shape.size() <= static_cast<size_t>(kMaxDims), input_file,
            "{} holds an array of {} dimensions; nnm has at most {}", path, shape.size(), kMaxDims);
  int64_t n = 1;
  for (int64_t d : shape) {
    NNM_CHECK(d >= 0 && !__builtin_mul_overflow(n, d, &n) && n < (int64_t{1} << 44), input_file,
              "{} announces an array that is too large: [{}]", path, fmt::join(shape, ", "));
  }
}

}  // namespace nnm::data
