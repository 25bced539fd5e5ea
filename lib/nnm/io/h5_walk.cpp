// The walk over a file's tree that checks everything before any data are read.
#include "nnm/io/h5_walk.h"

#include <unistd.h>

#include <algorithm>
#include <compare>
#include <unordered_set>

#include "nnm/io/h5_tree.h"

namespace nnm::io {
namespace {

// Unwritten parts of a dataset read as zeros, and deflate packs at most 1032 to 1: a file can ask
// for this much more memory than it holds, and no more.
constexpr int64_t kUnwrittenBytes = int64_t{64} << 20;
constexpr int64_t kDeflateRatio = 1032;

struct Links {
  struct Link {
    int64_t order;  // of creation, 0 where the group does not keep it
    std::string name;
    auto operator<=>(const Link&) const = default;
  };
  std::vector<Link> all;
  const H5Limits* limits;
  std::string problem;
};

herr_t take_link(hid_t, const char* name, const H5L_info_t* link, void* data) {
  Links& links = *static_cast<Links*>(data);
  const std::string_view text(name);
  if (text.size() > links.limits->max_name) {
    links.problem = fmt::format("a name of {} bytes", text.size());
  } else if (link->type == H5L_TYPE_SOFT) {
    links.problem = fmt::format("'{}' is a soft link; only hard links are followed", text);
  } else if (link->type != H5L_TYPE_HARD) {
    links.problem = fmt::format("'{}' is an external link; only hard links are followed", text);
  } else if (links.all.size() >= static_cast<size_t>(links.limits->max_objects)) {
    links.problem = fmt::format("more than {} objects", links.limits->max_objects);
  } else {
    links.all.push_back({link->corder_valid ? link->corder : 0, std::string(text)});
  }
  return links.problem.empty() ? 0 : 1;
}

class Walk {
 public:
  Walk(hid_t file, const std::string& path, const H5Limits& limits, const Touch& touch)
      : file_(file), path_(path), limits_(limits), touch_(touch) {
    hsize_t size = 0;
    if (H5Fget_filesize(file, &size) < 0) refuse("/", "no size");
    file_bytes_ = static_cast<int64_t>(size);
    memory_ = limits.max_bytes > 0 ? limits.max_bytes
                                   : int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  }

  H5Node run() {
    H5Node root;
    root.path = "/";
    root.group = true;
    Handle group(H5Gopen2(file_, "/", H5P_DEFAULT));
    if (!group.valid()) refuse("/", "cannot be opened");
    examine(group, root);
    groups_.insert(root.address);
    visit(group, root, 0);
    return root;
  }

 private:
  [[noreturn]] void refuse(const std::string& object, const std::string& what) const {
    const std::string why = h5_message();
    throw Error(ErrorKind::input_file,
                fmt::format("{}: {}: {}{}{}", path_, object, what, why.empty() ? "" : ": ", why));
  }

  void examine(hid_t object, H5Node& node) const {
    H5O_info_t about;
    if (H5Oget_info2(object, &about, H5O_INFO_BASIC | H5O_INFO_NUM_ATTRS) < 0)
      refuse(node.path, "cannot be examined");
    node.address = about.addr;
    node.attributes = static_cast<int64_t>(about.num_attrs);
    if (node.attributes > 0 && touch_) touch_(object, node);
  }

  Links links_of(hid_t group, const H5Node& node) const {
    H5G_info_t about;
    if (H5Gget_info(group, &about) < 0) refuse(node.path, "cannot be examined");
    if (about.nlinks > static_cast<hsize_t>(limits_.max_objects)) {
      refuse(node.path, fmt::format("more than {} objects", limits_.max_objects));
    }
    Links links{.limits = &limits_};
    hsize_t at = 0;
    // Sorted here: for any order but its own HDF5 makes a table of as many links as the file
    // claims, and frees what it has not filled where the file holds fewer.
    const herr_t done = H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, &at, take_link, &links);
    if (done < 0) refuse(node.path, "its links cannot be read");
    if (!links.problem.empty()) refuse(node.path, links.problem);
    std::sort(links.all.begin(), links.all.end());
    return links;
  }

  void visit(hid_t group, H5Node& node, int depth) {
    if (depth > limits_.max_depth)
      refuse(node.path, fmt::format("deeper than {} groups", limits_.max_depth));
    const Links links = links_of(group, node);
    node.children.reserve(links.all.size());
    for (const auto& [order, name] : links.all) {
      if (++objects_ > limits_.max_objects) {
        refuse(node.path, fmt::format("more than {} objects", limits_.max_objects));
      }
      H5Node child;
      child.name = name;
      child.path = path_in(node, name);
      Handle object(H5Oopen(group, name.c_str(), H5P_DEFAULT));
      if (!object.valid()) refuse(child.path, "cannot be opened");
      examine(object, child);
      const H5I_type_t type = H5Iget_type(object);
      if (type == H5I_DATATYPE) continue;
      if (type == H5I_GROUP) {
        child.group = true;
        if (!groups_.insert(child.address).second) refuse(child.path, "a second link to a group");
        visit(object, child, depth + 1);
      } else if (type == H5I_DATASET) {
        dataset(object, child);
      } else {
        refuse(child.path, "neither a group nor a dataset");
      }
      node.children.push_back(std::move(child));
    }
    index_names(node);
  }

  void filters(hid_t made_with, H5Node& node, bool& deflated) const {
    const int count = H5Pget_nfilters(made_with);
    if (count < 0) refuse(node.path, "its filters cannot be read");
    for (int i = 0; i < count; ++i) {
      unsigned flags = 0, config = 0;
      size_t values = 0;
      char name[1] = {};
      const H5Z_filter_t id =
          H5Pget_filter2(made_with, i, &flags, &values, nullptr, sizeof name, name, &config);
      if (id == H5Z_FILTER_DEFLATE) deflated = true;
      else if (id == H5Z_FILTER_FLETCHER32) node.fletcher32 = true;
      else if (id != H5Z_FILTER_SHUFFLE) {
        refuse(node.path,
               fmt::format("filter {} is not accepted; deflate, shuffle and fletcher32 are",
                           static_cast<int>(id)));
      }
    }
  }

  // Before H5Dget_space, which opens the sources of a virtual dataset.
  H5D_layout_t layout(hid_t made_with, H5Node& node, bool& deflated) const {
    const H5D_layout_t layout = H5Pget_layout(made_with);
    if (layout == H5D_VIRTUAL) refuse(node.path, "a virtual dataset, which would read other files");
    if (layout != H5D_COMPACT && layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED) {
      refuse(node.path, "an unknown storage layout");
    }
    if (H5Pget_external_count(made_with) != 0) {
      refuse(node.path, "external storage, which would read other files");
    }
    node.chunked = layout == H5D_CHUNKED;
    filters(made_with, node, deflated);
    return layout;
  }

  // The product of the extents times the element's size, within memory.
  int64_t sized(hid_t space, H5Node& node) const {
    const int rank = H5Sget_simple_extent_ndims(space);
    if (rank < 0) refuse(node.path, "its extents cannot be read");
    if (H5Sget_simple_extent_type(space) == H5S_NULL) {
      node.shape = {0};
      return node.numel = 0;
    }
    std::vector<hsize_t> extents(rank);
    if (rank > 0) H5Sget_simple_extent_dims(space, extents.data(), nullptr);
    int64_t total = static_cast<int64_t>(node.element.size);
    bool overflow = node.element.size > static_cast<size_t>(INT64_MAX);
    node.numel = 1;
    for (hsize_t e : extents) {
      overflow = overflow || e > static_cast<hsize_t>(INT64_MAX);
      node.shape.push_back(static_cast<int64_t>(e));
      if (e == 0) continue;
      overflow = overflow || __builtin_mul_overflow(total, static_cast<int64_t>(e), &total) ||
                 __builtin_mul_overflow(node.numel, static_cast<int64_t>(e), &node.numel);
    }
    if (overflow || total > memory_) {
      refuse(node.path, fmt::format("extents [{}] of {} do not fit in memory",
                                    shape_text(node.shape), node.element.name));
    }
    for (int64_t e : node.shape) {
      if (e == 0) node.numel = total = 0;
    }
    return total;
  }

  void dataset(hid_t object, H5Node& node) const {
    Handle made_with(H5Dget_create_plist(object));
    if (!made_with.valid()) refuse(node.path, "cannot be examined");
    bool deflated = false;
    const H5D_layout_t stored = layout(made_with, node, deflated);
    Handle type(H5Dget_type(object)), space(H5Dget_space(object));
    if (!type.valid() || !space.valid()) refuse(node.path, "cannot be examined");
    node.element = classify(type);
    const int64_t bytes = sized(space, node);
    const auto held = static_cast<int64_t>(H5Dget_storage_size(object));
    H5Eclear2(H5E_DEFAULT);
    const auto at = static_cast<int64_t>(H5Dget_offset(object));
    H5Eclear2(H5E_DEFAULT);
    bool whole = held >= bytes;
    if (stored == H5D_CONTIGUOUS && at >= 0) {
      whole = whole && held <= file_bytes_ && at <= file_bytes_ - held;
    } else if (stored != H5D_COMPACT) {
      whole = whole || bytes <= kUnwrittenBytes || (deflated && bytes / kDeflateRatio <= held);
      whole = whole && held >= 0 && held <= file_bytes_;
    }
    if (stored == H5D_CHUNKED) whole = whole && chunk_bytes(made_with, node) <= chunk_limit(bytes);
    if (!whole) {
      refuse(node.path, fmt::format("extents [{}] of {} are more than the file holds",
                                    shape_text(node.shape), node.element.name));
    }
  }

  // HDF5 allocates whole chunks, however little of them is used.
  static int64_t chunk_limit(int64_t bytes) { return std::max(kUnwrittenBytes, 4 * bytes); }

  int64_t chunk_bytes(hid_t made_with, const H5Node& node) const {
    hsize_t extents[H5S_MAX_RANK] = {};
    const int rank = H5Pget_chunk(made_with, H5S_MAX_RANK, extents);
    if (rank < 0) refuse(node.path, "its chunks cannot be examined");
    int64_t total = static_cast<int64_t>(node.element.size);
    for (int i = 0; i < rank; ++i) {
      if (__builtin_mul_overflow(total, static_cast<int64_t>(extents[i]), &total)) return INT64_MAX;
    }
    return total;
  }

  hid_t file_;
  const std::string& path_;
  const H5Limits& limits_;
  const Touch& touch_;
  int64_t file_bytes_ = 0, memory_ = 0, objects_ = 0;
  std::unordered_set<uint64_t> groups_;
};

}  // namespace

H5Node walk(hid_t file, const std::string& path, const H5Limits& limits, const Touch& touch) {
  return Walk(file, path, limits, touch).run();
}

}  // namespace nnm::io
