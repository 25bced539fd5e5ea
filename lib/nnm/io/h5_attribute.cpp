// Attributes of an open object.
#include "nnm/io/h5_attribute.h"

#include <algorithm>
#include <cstring>

namespace nnm::io {
namespace {

constexpr size_t kMaxAttributeBytes = size_t{1} << 20;

[[noreturn]] void fail(const std::string& where, const std::string& what) {
  const std::string why = h5_message();
  throw Error(ErrorKind::input_file,
              fmt::format("{}: {}{}{}", where, what, why.empty() ? "" : ": ", why));
}

// Numbers of attributes are read as one of three types.
DType wide(DType d) {
  return is_floating(d) ? DType::f64 : d == DType::b8 ? DType::b8 : DType::i64;
}

Value number(const char* at, DType dtype) {
  switch (dtype) {
    case DType::f64: {
      double d;
      std::memcpy(&d, at, sizeof d);
      return d;
    }
    case DType::i64: {
      int64_t i;
      std::memcpy(&i, at, sizeof i);
      return i;
    }
    default: return *at != 0;
  }
}

}  // namespace

std::string unpadded(const char* data, size_t size, H5T_str_t pad) {
  if (pad == H5T_STR_NULLTERM) return {data, strnlen(data, size)};
  const char filler = pad == H5T_STR_SPACEPAD ? ' ' : '\0';
  while (size > 0 && data[size - 1] == filler) --size;
  return {data, size};
}

std::vector<std::string> attribute_names(hid_t object, const std::string& where) {
  std::vector<std::string> names;
  const auto take = [](hid_t, const char* name, const H5A_info_t*, void* out) -> herr_t {
    static_cast<std::vector<std::string>*>(out)->emplace_back(name);
    return 0;
  };
  hsize_t at = 0;
  // In HDF5's own order and sorted here, for the reason that the walk over links gives.
  if (H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_NATIVE, &at, take, &names) < 0) {
    fail(where, "its attributes cannot be read");
  }
  std::sort(names.begin(), names.end());
  return names;
}

Value read_attribute(hid_t object, const std::string& name, const std::string& owner) {
  const std::string where = owner + "@" + name;
  Handle attr(H5Aopen(object, name.c_str(), H5P_DEFAULT));
  if (!attr.valid()) fail(where, "cannot be opened");
  Handle type(H5Aget_type(attr)), space(H5Aget_space(attr));
  const H5S_class_t extent = H5Sget_simple_extent_type(space);
  if (extent == H5S_NULL) return {};
  const Element element = classify(type);
  const hssize_t count = H5Sget_simple_extent_npoints(space);
  if (element.kind == Element::Kind::other) fail(where, "an attribute of type " + element.name);
  if (count < 0 || element.size > kMaxAttributeBytes ||
      static_cast<size_t>(count) > kMaxAttributeBytes / std::max<size_t>(element.size, 8)) {
    fail(where, "an attribute of too many bytes");
  }
  const bool text = element.kind == Element::Kind::text;
  const DType dtype = wide(element.dtype);
  const size_t size = text ? element.size : item_size(dtype);
  const hid_t memory = element.unsigned64 ? H5T_STD_U64LE : h5_type(dtype);
  std::vector<char> data(size * count + 1);
  if (H5Aread(attr, text ? hid_t(type) : memory, data.data()) < 0) fail(where, "cannot be read");
  Values items;
  for (hssize_t i = 0; i < count; ++i) {
    const char* at = data.data() + i * size;
    items.push_back(text ? Value(unpadded(at, size, H5Tget_strpad(type))) : number(at, dtype));
    if (element.unsigned64 && items.back().integer() < 0) fail(where, "a u64 value beyond i64");
  }
  if (extent == H5S_SCALAR) return items.at(0);
  return Value::tuple(std::move(items));
}

}  // namespace nnm::io
