// Packing and unpacking, in the order of the fields.
#include "nnm/io/h5_tree.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <type_traits>

namespace nnm::io {
namespace {

class Out {
 public:
  template <class T>
  void put(const T& value) {
    static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void put(const std::string& text) {
    put(text.size());
    bytes_ += text;
  }
  void put(const H5Node& n) {
    put(n.name);
    put(n.group);
    put(n.address);
    put(n.attributes);
    if (n.group) {
      put(n.children.size());
      for (const H5Node& c : n.children) put(c);
      return;
    }
    put(n.element.kind);
    put(n.element.dtype);
    put(n.element.size);
    put(n.element.exact);
    put(n.element.unsigned64);
    put(n.element.name);
    put(n.shape.size());
    for (const int64_t e : n.shape) put(e);
    put(n.numel);
    put(n.chunked);
    put(n.fletcher32);
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

class In {
 public:
  explicit In(std::string_view bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }
  // A node whose path is known.
  void fill(H5Node& n) {
    n.group = take<bool>();
    n.address = take<uint64_t>();
    n.attributes = take<int64_t>();
    if (n.group) return fill_children(n);
    n.element.kind = take<Element::Kind>();
    n.element.dtype = take<DType>();
    n.element.size = take<size_t>();
    n.element.exact = take<bool>();
    n.element.unsigned64 = take<bool>();
    n.element.name = text();
    n.shape.resize(count());
    for (int64_t& e : n.shape) e = take<int64_t>();
    n.numel = take<int64_t>();
    n.chunked = take<bool>();
    n.fletcher32 = take<bool>();
  }
  std::string text() { return std::string(bytes(take<size_t>())); }

 private:
  void fill_children(H5Node& n) {
    n.children.resize(count());
    for (H5Node& c : n.children) {
      c.name = text();
      c.path = path_in(n, c.name);
      fill(c);
    }
    index_names(n);
  }
  // Of things of a byte at least.
  size_t count() {
    const auto n = take<size_t>();
    NNM_CHECK(n <= rest_.size(), internal, "a tree that is cut");
    return n;
  }
  std::string_view bytes(size_t n) {
    NNM_CHECK(n <= rest_.size(), internal, "a tree that is cut");
    const std::string_view out = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return out;
  }
  template <class T>
  T take() {
    T value;
    std::memcpy(&value, bytes(sizeof value).data(), sizeof value);
    return value;
  }

  std::string_view rest_;
};

}  // namespace

std::string path_in(const H5Node& group, const std::string& name) {
  return (group.path == "/" ? "/" : group.path + "/") + name;
}

void index_names(H5Node& group) {
  const std::vector<H5Node>& c = group.children;
  group.by_name.resize(c.size());
  std::iota(group.by_name.begin(), group.by_name.end(), 0);
  std::sort(group.by_name.begin(), group.by_name.end(),
            [&](uint32_t i, uint32_t k) { return c[i].name < c[k].name; });
}

std::string pack_tree(const H5Node& root) {
  Out out;
  out.put(root);
  return out.take();
}

H5Node unpack_tree(std::string_view bytes) {
  In in(bytes);
  H5Node root;
  root.name = in.text();
  root.path = "/";
  in.fill(root);
  NNM_CHECK(in.empty(), internal, "a tree with something behind it");
  return root;
}

}  // namespace nnm::io
