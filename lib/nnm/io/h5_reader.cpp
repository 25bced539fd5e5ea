// H5Reader: opening with all checks, and reading into plain memory.
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <fstream>

#include "nnm/base/file.h"
#include "nnm/io/bools.h"
#include "nnm/io/h5.h"
#include "nnm/io/h5_attribute.h"
#include "nnm/io/h5_probe.h"
#include "nnm/io/h5_tree.h"
#include "nnm/io/h5_walk.h"

namespace nnm::io {
namespace {

constexpr size_t kRemembered = 4;

// What tells that a file is another one than before.
struct FileState {
  explicit FileState(const struct stat& s)
      : device(s.st_dev),
        inode(s.st_ino),
        bytes(s.st_size),
        times{s.st_mtim.tv_sec, s.st_mtim.tv_nsec, s.st_ctim.tv_sec, s.st_ctim.tv_nsec} {}
  bool operator==(const FileState&) const = default;
  // Whether a change from now on will show: some file systems tell time in seconds.
  bool settled() const {
    timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec - std::max(times[0], times[2]) >= 2;
  }
  dev_t device;
  ino_t inode;
  off_t bytes;
  std::array<int64_t, 4> times;
};

// A file that was found sound, and the tree in it.
struct Sound {
  FileState state;
  H5Limits limits;
  std::shared_ptr<const H5Node> tree;
};

std::deque<Sound>& sound_files() {
  static std::deque<Sound> files;
  return files;
}

std::shared_ptr<const H5Node> known_tree(const FileState& state, const H5Limits& limits) {
  for (const Sound& s : sound_files())
    if (s.state == state && s.limits == limits) return s.tree;
  return nullptr;
}

// Whether an attribute can be read is its reader's business; here it is only to be no crash.
void touch_attributes(hid_t object, const H5Node& node) {
  for (const std::string& name : attribute_names(object, node.path)) {
    try {
      read_attribute(object, name, node.path);
    } catch (const Error&) {
    }
  }
}

}  // namespace

struct H5Reader::Impl {
  std::string path;
  Handle file;
  std::shared_ptr<const H5Node> root;
  // The object that was asked for last: what is asked of one comes in a row.
  mutable std::string opened_path;
  mutable Handle opened;

  [[noreturn]] void fail(const std::string& object, const std::string& what) const {
    const std::string why = h5_message();
    throw Error(ErrorKind::input_file,
                fmt::format("{}: {}: {}{}{}", path, object, what, why.empty() ? "" : ": ", why));
  }
  struct stat find_file() const;
  void open_file();
  hid_t open(const H5Node& node) const {
    if (opened.valid() && opened_path == node.path) return opened;
    opened = Handle(H5Oopen(file, node.path.c_str(), H5P_DEFAULT));
    if (!opened.valid()) fail(node.path, "cannot be opened");
    opened_path = node.path;
    return opened;
  }
  void look_first(const H5Limits& limits, const FileState& state);
  void check_values(const H5Node& node, const void* data, int64_t count) const;
  void transfer(const H5Node& node, hid_t memory_space, hid_t file_space, hid_t dataset, void* dst,
                int64_t count) const;
};

struct stat H5Reader::Impl::find_file() const {
  struct stat about;
  if (stat(path.c_str(), &about) != 0)
    throw Error(ErrorKind::input_file, fmt::format("{}: {}", path, std::strerror(errno)),
                path_advice(path));
  if (!S_ISREG(about.st_mode))
    throw Error(ErrorKind::input_file, fmt::format("{}: not a regular file", path));
  return about;
}

void H5Reader::Impl::open_file() {
  Handle access(H5Pcreate(H5P_FILE_ACCESS));
  H5Pset_fapl_sec2(access);
  H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
  file = Handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access));
  if (!file.valid()) {
    throw Error(ErrorKind::input_file,
                fmt::format("{}: not a readable HDF5 file: {}", path, h5_message()));
  }
}

void H5Reader::Impl::look_first(const H5Limits& limits, const FileState& state) {
  const Verdict verdict = probe([&] {
    H5Lock::after_fork();
    open_file();
    return pack_tree(walk(file, path, limits, touch_attributes));
  });
  if (const std::string& problem = verdict.problem; !problem.empty()) {
    const bool named = problem.starts_with(path);
    throw Error(ErrorKind::input_file, named ? problem : fmt::format("{}: {}", path, problem));
  }
  if (!verdict.answer || !state.settled()) return;
  if (sound_files().size() == kRemembered) sound_files().pop_front();
  sound_files().push_back(
      {state, limits, std::make_shared<const H5Node>(unpack_tree(*verdict.answer))});
}

bool is_hdf5(const std::string& path) {
  constexpr std::string_view kSignature = "\x89HDF\r\n\x1a\n";
  struct stat about;
  // A pipe would wait for its writer.
  if (stat(path.c_str(), &about) != 0 || !S_ISREG(about.st_mode)) return false;
  char head[kSignature.size()] = {};
  std::ifstream in(path, std::ios::binary);
  return in.read(head, sizeof head) && std::string_view(head, sizeof head) == kSignature;
}

H5Reader::H5Reader(const std::string& path, const H5Limits& limits) : impl_(new Impl) {
  H5Lock lock;
  impl_->path = path;
  const FileState state(impl_->find_file());
  if (limits.probe && !known_tree(state, limits)) impl_->look_first(limits, state);
  impl_->open_file();
  // Of the file that is open now, and of no other that has taken its name.
  impl_->root = known_tree(FileState(impl_->find_file()), limits);
  if (!impl_->root)
    impl_->root = std::make_shared<const H5Node>(walk(impl_->file, path, limits, {}));
}

H5Reader::~H5Reader() = default;
H5Reader::H5Reader(H5Reader&&) noexcept = default;
H5Reader& H5Reader::operator=(H5Reader&&) noexcept = default;

const std::string& H5Reader::path() const { return impl_->path; }
const H5Node& H5Reader::root() const { return *impl_->root; }

const H5Node* H5Node::find(std::string_view child) const {
  const auto at =
      std::lower_bound(by_name.begin(), by_name.end(), child,
                       [&](uint32_t i, std::string_view n) { return children[i].name < n; });
  return at != by_name.end() && children[*at].name == child ? &children[*at] : nullptr;
}

const H5Node* H5Reader::find(std::string_view path) const {
  const H5Node* node = impl_->root.get();
  while (node && !path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view segment = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    if (!segment.empty()) node = node->find(segment);
  }
  return node;
}

const H5Node& H5Reader::at(std::string_view path) const {
  if (const H5Node* node = find(path)) return *node;
  std::string there;
  const size_t slash = path.find_last_of('/');
  const H5Node* parent =
      slash == std::string_view::npos ? impl_->root.get() : find(path.substr(0, slash));
  for (const H5Node& c : parent ? parent->children : impl_->root->children) {
    if (there.size() > 200) {
      there += ", …";
      break;
    }
    there += (there.empty() ? "" : ", ") + c.name;
  }
  throw Error(ErrorKind::input_file, fmt::format("{}: no '{}' in it", impl_->path, path),
              there.empty() ? "" : fmt::format("there are: {}", there));
}

void H5Reader::fail(const H5Node& node, const std::string& what) const {
  impl_->fail(node.path, what);
}

void H5Reader::check_metadata(const H5Node& node) const {
  H5Lock lock;
  const hid_t object = impl_->open(node);
  H5O_info_t about;
  // The size of a dataset's metadata is not asked for: HDF5 1.14 crashes where the index of its
  // chunks is damaged. Counting them reads the same index.
  const unsigned what = node.group ? H5O_INFO_ALL : H5O_INFO_ALL & ~H5O_INFO_META_SIZE;
  bool read = H5Oget_info2(object, &about, what) >= 0;
  if (read && node.chunked) {
    Handle space(H5Dget_space(object));
    hsize_t chunks = 0;
    read = H5Dget_num_chunks(object, space, &chunks) >= 0;
  }
  if (!read) impl_->fail(node.path, "its metadata cannot be read");
}

std::vector<std::string> H5Reader::attributes(const H5Node& node) const {
  H5Lock lock;
  if (node.attributes == 0) return {};
  return attribute_names(impl_->open(node), impl_->path + ": " + node.path);
}

bool H5Reader::has_attribute(const H5Node& node, const std::string& name) const {
  H5Lock lock;
  if (node.attributes == 0) return false;
  const htri_t there = H5Aexists(impl_->open(node), name.c_str());
  if (there < 0) impl_->fail(node.path, "its attributes cannot be read");
  return there > 0;
}

Value H5Reader::attribute(const H5Node& node, const std::string& name) const {
  H5Lock lock;
  if (!has_attribute(node, name)) return {};
  return read_attribute(impl_->open(node), name, impl_->path + ": " + node.path);
}

Items H5Reader::attribute_items(const H5Node& node) const {
  H5Lock lock;
  const std::string where = impl_->path + ": " + node.path;
  Items items;
  for (const std::string& name : attributes(node)) {
    items.emplace_back(name, read_attribute(impl_->open(node), name, where));
  }
  return items;
}

void H5Reader::Impl::check_values(const H5Node& node, const void* data, int64_t count) const {
  if (node.element.dtype == DType::b8 && !are_bools(data, count))
    fail(node.path, "a bool that is neither 0 nor 1");
  if (node.element.unsigned64 && !node.element.bits) {
    const auto* i = static_cast<const int64_t*>(data);
    if (std::any_of(i, i + count, [](int64_t v) { return v < 0; })) {
      fail(node.path, "a u64 value beyond the range of i64");
    }
  }
}

void H5Reader::Impl::transfer(const H5Node& node, hid_t memory_space, hid_t file_space,
                              hid_t dataset, void* dst, int64_t count) const {
  const hid_t type = node.element.unsigned64 ? H5T_STD_U64LE : h5_type(node.element.dtype);
  if (H5Dread(dataset, type, memory_space, file_space, H5P_DEFAULT, dst) < 0) {
    fail(node.path, "cannot be read");
  }
  check_values(node, dst, count);
}

void H5Reader::read(const H5Node& node, void* dst, size_t bytes) const {
  H5Lock lock;
  if (node.group) fail(node, "a group where a dataset is needed");
  if (node.element.kind != Element::Kind::number)
    fail(node, "holds " + node.element.name + ", not numbers");
  if (bytes != node.numel * item_size(node.element.dtype)) {
    fail(node, fmt::format("{} bytes asked of [{}]", bytes, shape_text(node.shape)));
  }
  if (node.numel == 0) return;
  const hid_t dataset = impl_->open(node);
  impl_->transfer(node, H5S_ALL, H5S_ALL, dataset, dst, node.numel);
}

void H5Reader::read_rows(const H5Node& node, int64_t first, int64_t count, void* dst,
                         size_t bytes) const {
  if (node.shape.empty() || first < 0 || count < 0 || first > node.shape[0] - count) {
    fail(node,
         fmt::format("rows {} to {} asked of [{}]", first, first + count, shape_text(node.shape)));
  }
  std::vector<int64_t> start(node.shape.size(), 0), extents = node.shape;
  start[0] = first;
  extents[0] = count;
  read_block(node, start, extents, dst, bytes);
}

void H5Reader::read_block(const H5Node& node, std::span<const int64_t> start,
                          std::span<const int64_t> extents, void* dst, size_t bytes) const {
  H5Lock lock;
  if (node.group) fail(node, "a group where a dataset is needed");
  if (node.element.kind != Element::Kind::number)
    fail(node, "holds " + node.element.name + ", not numbers");
  int64_t numel = 1;
  bool fits = start.size() == node.shape.size() && extents.size() == node.shape.size();
  for (size_t d = 0; fits && d < extents.size(); ++d) {
    fits = start[d] >= 0 && extents[d] >= 0 && extents[d] <= node.shape[d] &&
           start[d] <= node.shape[d] - extents[d];
    numel *= extents[d];
  }
  if (!fits) {
    fail(node, fmt::format("[{}] from [{}] on asked of [{}]", shape_text(extents),
                           shape_text(start), shape_text(node.shape)));
  }
  if (bytes != numel * item_size(node.element.dtype)) fail(node, "the buffer has another size");
  if (bytes == 0) return;
  const hid_t dataset = impl_->open(node);
  if (numel == node.numel) return impl_->transfer(node, H5S_ALL, H5S_ALL, dataset, dst, numel);
  const std::vector<hsize_t> from(start.begin(), start.end()),
      block(extents.begin(), extents.end());
  Handle file_space(H5Dget_space(dataset));
  Handle memory_space(H5Screate_simple(static_cast<int>(block.size()), block.data(), nullptr));
  H5Sselect_hyperslab(file_space, H5S_SELECT_SET, from.data(), nullptr, block.data(), nullptr);
  impl_->transfer(node, memory_space, file_space, dataset, dst, numel);
}

Extent H5Reader::extent(const H5Node& node) const {
  H5Lock lock;
  if (node.group || node.chunked || node.bytes() == 0) return {};
  const haddr_t begin = H5Dget_offset(impl_->open(node));
  if (begin == HADDR_UNDEF) fail(node, "has no place in the file");
  return {begin, static_cast<uint64_t>(node.bytes())};
}

uint64_t H5Reader::end() const {
  H5Lock lock;
  haddr_t end = 0;
  if (H5Fget_eoa(impl_->file, &end) < 0) impl_->fail("/", "its end is not known");
  return end;
}

void H5Reader::read_raw(const H5Node& node, void* dst, size_t bytes) const {
  H5Lock lock;
  if (node.group || node.element.kind == Element::Kind::other) fail(node, "no plain dataset");
  if (bytes != static_cast<size_t>(node.bytes())) fail(node, "the buffer has another size");
  if (bytes == 0) return;
  const hid_t dataset = impl_->open(node);
  Handle type(H5Dget_type(dataset));
  if (H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, dst) < 0) fail(node, "cannot be read");
}

Tensor H5Reader::tensor(const H5Node& node) const {
  if (node.shape.size() > static_cast<size_t>(kMaxDims)) {
    fail(node, fmt::format("{} dimensions; tensors have at most {}", node.shape.size(), kMaxDims));
  }
  Tensor t = empty(Shape(node.shape), {.dtype = node.element.dtype});
  read(node, t.data(), node.numel * item_size(node.element.dtype));
  return t;
}

std::vector<std::string> H5Reader::texts(const H5Node& node) const {
  H5Lock lock;
  if (node.group || node.element.kind != Element::Kind::text) fail(node, "holds no text");
  std::vector<char> data(node.bytes());
  read_raw(node, data.data(), data.size());
  const hid_t dataset = impl_->open(node);
  Handle type(H5Dget_type(dataset));
  const H5T_str_t pad = H5Tget_strpad(type);
  std::vector<std::string> out;
  out.reserve(node.numel);
  for (int64_t i = 0; i < node.numel; ++i) {
    out.push_back(unpadded(data.data() + i * node.element.size, node.element.size, pad));
  }
  return out;
}

std::string H5Reader::text(const H5Node& node) const {
  std::vector<std::string> all = texts(node);
  if (all.size() != 1) fail(node, "holds several texts where one is needed");
  return std::move(all[0]);
}

}  // namespace nnm::io
