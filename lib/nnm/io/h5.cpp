// The ground of the HDF5 room: the lock that opens the library safely, error texts, element types.
#include "nnm/io/h5.h"

#include <bit>
#include <cstdlib>
#include <new>

#include "nnm/io/h5_handle.h"

namespace nnm::io {

static_assert(std::endian::native == std::endian::little, "files are written in memory order");

namespace {

std::recursive_mutex& mutex() {
  static std::recursive_mutex m;
  return m;
}

// These make HDF5 load code or change how it opens files; the library reads some of them only when
// it starts, so they go before the first call.
void start_library() {
  for (const char* name : {"HDF5_PLUGIN_PATH", "HDF5_PLUGIN_PRELOAD", "HDF5_VOL_CONNECTOR",
                           "HDF5_DRIVER", "HDF5_DRIVER_CONFIG"}) {
    unsetenv(name);
  }
  H5open();
  H5PLset_loading_state(0);
  H5Lunregister(H5L_TYPE_EXTERNAL);
}

herr_t keep_first(unsigned n, const H5E_error2_t* e, void* out) {
  if (n == 0 && e->desc) *static_cast<std::string*>(out) = e->desc;
  return 0;
}

// A float type of the given layout, little-endian.
hid_t small_float(size_t exponent_bits, size_t mantissa_bits, size_t bias) {
  const hid_t t = H5Tcopy(H5T_IEEE_F32LE);
  H5Tset_fields(t, 15, mantissa_bits, exponent_bits, 0, mantissa_bits);
  H5Tset_size(t, 2);
  H5Tset_ebias(t, bias);
  return t;
}

hid_t bool_enum() {
  const hid_t t = H5Tenum_create(H5T_STD_I8LE);
  const int8_t no = 0, yes = 1;
  H5Tenum_insert(t, "FALSE", &no);
  H5Tenum_insert(t, "TRUE", &yes);
  return t;
}

bool is_bool_enum(hid_t type) {
  if (H5Tget_size(type) != 1 || H5Tget_nmembers(type) != 2) return false;
  for (unsigned i = 0; i < 2; ++i) {
    int8_t value = -1;
    char* name = H5Tget_member_name(type, i);
    const bool good = name && H5Tget_member_value(type, i, &value) >= 0 &&
                      std::string_view(name) == (value == 0 ? "FALSE" : "TRUE") &&
                      (value == 0 || value == 1);
    H5free_memory(name);
    if (!good) return false;
  }
  return true;
}

void classify_float(hid_t type, Element& e) {
  for (DType d : {DType::f32, DType::f64, DType::bf16, DType::f16}) {
    if (item_size(d) != e.size) continue;
    Handle turned(H5Tcopy(h5_type(d)));
    H5Tset_order(turned, H5T_ORDER_BE);
    e.exact = H5Tequal(type, h5_type(d)) > 0;
    if (!e.exact && H5Tequal(type, turned) <= 0) continue;
    e.kind = Element::Kind::number;
    e.dtype = d;
    e.name = std::string(info(d).name) + (e.exact ? "" : " (big-endian)");
    return;
  }
  e.name = fmt::format("float of {} bytes", e.size);
}

void classify_integer(hid_t type, Element& e) {
  const bool is_signed = H5Tget_sign(type) == H5T_SGN_2;
  const H5T_order_t order = H5Tget_order(type);
  const bool plain = H5Tget_precision(type) == 8 * e.size && H5Tget_offset(type) == 0 &&
                     (e.size == 1 || e.size == 2 || e.size == 4 || e.size == 8) &&
                     (order == H5T_ORDER_LE || order == H5T_ORDER_BE);
  if (!plain) {
    e.name = fmt::format("integer of {} bytes", e.size);
    return;
  }
  const bool little = order == H5T_ORDER_LE || e.size == 1;
  e.kind = Element::Kind::number;
  e.name = fmt::format("{}{}{}", is_signed ? "i" : "u", 8 * e.size, little ? "" : " (big-endian)");
  e.unsigned64 = !is_signed && e.size == 8;
  if (!is_signed && e.size == 1) e.dtype = DType::u8;
  else if (is_signed && e.size < 4) e.dtype = e.size == 1 ? DType::i8 : DType::i16;
  else if (e.size < 4 || (is_signed && e.size == 4)) e.dtype = DType::i32;
  else e.dtype = DType::i64;
  e.exact = little && !e.unsigned64 && item_size(e.dtype) == e.size;
}

}  // namespace

H5Lock::H5Lock() : lock_(mutex()) {
  static const bool started = (start_library(), true);
  static_cast<void>(started);
  // Per thread, as the error stack is in builds that are thread-safe.
  static thread_local const bool silent = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) >= 0;
  static_cast<void>(silent);
}

void H5Lock::after_fork() { new (&mutex()) std::recursive_mutex; }

bool Handle::close() noexcept {
  const hid_t id = std::exchange(id_, -1);
  if (id < 0) return true;
  H5Lock lock;
  switch (H5Iget_type(id)) {
    case H5I_FILE: return H5Fclose(id) >= 0;
    case H5I_GROUP: return H5Gclose(id) >= 0;
    case H5I_DATATYPE: return H5Tclose(id) >= 0;
    case H5I_DATASPACE: return H5Sclose(id) >= 0;
    case H5I_DATASET: return H5Dclose(id) >= 0;
    case H5I_ATTR: return H5Aclose(id) >= 0;
    case H5I_GENPROP_LST: return H5Pclose(id) >= 0;
    default: return H5Idec_ref(id) >= 0;
  }
}

std::string h5_message() {
  std::string text;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &text);
  H5Eclear2(H5E_DEFAULT);
  // The file driver wraps the system's message in two lines of numbers.
  constexpr std::string_view kMark = "error message = '";
  if (const size_t at = text.find(kMark); at != std::string::npos) {
    text = text.substr(at + kMark.size());
    text = text.substr(0, text.find('\''));
  }
  return text;
}

hid_t h5_type(DType dtype) {
  static const hid_t bf16 = small_float(8, 7, 127), f16 = small_float(5, 10, 15), b8 = bool_enum();
  switch (dtype) {
    case DType::f32: return H5T_IEEE_F32LE;
    case DType::f64: return H5T_IEEE_F64LE;
    case DType::bf16: return bf16;
    case DType::f16: return f16;
    case DType::i64: return H5T_STD_I64LE;
    case DType::i32: return H5T_STD_I32LE;
    case DType::i16: return H5T_STD_I16LE;
    case DType::i8: return H5T_STD_I8LE;
    case DType::u8: return H5T_STD_U8LE;
    case DType::b8: return b8;
  }
  return -1;
}

Handle h5_text_type(size_t size) {
  Handle t(H5Tcopy(H5T_C_S1));
  H5Tset_size(t, size == 0 ? 1 : size);
  H5Tset_strpad(t, H5T_STR_NULLPAD);
  H5Tset_cset(t, H5T_CSET_UTF8);
  return t;
}

Element classify(hid_t type) {
  Element e;
  e.size = H5Tget_size(type);
  switch (H5Tget_class(type)) {
    case H5T_FLOAT: classify_float(type, e); break;
    case H5T_INTEGER: classify_integer(type, e); break;
    case H5T_ENUM:
      e.name = "enum";
      if (is_bool_enum(type)) e = {Element::Kind::number, DType::b8, 1, true, false, "bool"};
      break;
    case H5T_STRING:
      e.name = "string of variable length";
      if (H5Tis_variable_str(type) == 0) {
        e.kind = Element::Kind::text;
        e.exact = true;
        e.name = fmt::format("string[{}]", e.size);
      }
      break;
    case H5T_COMPOUND: e.name = "compound"; break;
    case H5T_VLEN: e.name = "variable length"; break;
    case H5T_ARRAY: e.name = "array"; break;
    case H5T_REFERENCE: e.name = "reference"; break;
    case H5T_OPAQUE: e.name = "opaque"; break;
    default: e.name = "unknown"; break;
  }
  return e;
}

std::string shape_text(std::span<const int64_t> shape) {
  return fmt::format("{}", fmt::join(shape, ","));
}

}  // namespace nnm::io
