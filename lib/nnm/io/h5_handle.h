// What the HDF5 files of this room share: identifiers that close themselves, the lock, the types.
// Private to lib/nnm/io: it shows hdf5.h, which no public header does.
#pragma once

#define H5_USE_110_API 1
#include <hdf5.h>

#include <mutex>
#include <string>
#include <utility>

#include "nnm/io/h5.h"

namespace nnm::io {

/// Held around every use of the HDF5 library, which is not thread-safe as distributions build it.
/// The first one closes the library's doors: no plug-ins, no external links, no printing of errors.
class H5Lock {
 public:
  H5Lock();
  /// Makes the lock free again in a child process that was forked while this thread held it.
  static void after_fork();

 private:
  std::unique_lock<std::recursive_mutex> lock_;
};

/// An HDF5 identifier of any kind, released when it goes.
class Handle {
 public:
  Handle() = default;
  explicit Handle(hid_t id) : id_(id) {}
  Handle(Handle&& o) noexcept : id_(std::exchange(o.id_, -1)) {}
  Handle& operator=(Handle&& o) noexcept {
    std::swap(id_, o.id_);
    return *this;
  }
  ~Handle() { close(); }

  operator hid_t() const { return id_; }
  bool valid() const { return id_ >= 0; }
  /// False where HDF5 says that closing failed, which is where a full disk shows.
  bool close() noexcept;

 private:
  hid_t id_ = -1;
};

/// The innermost message on HDF5's error stack, which is cleared; "" when there is none.
std::string h5_message();

/// The type in the file, and (same byte order) in memory, of an element type. bf16 and f16 are
/// custom 16-bit floats, bool is h5py's enum.
hid_t h5_type(DType dtype);
/// A fixed-length, null-padded UTF-8 string of `size` bytes (at least 1).
Handle h5_text_type(size_t size);
/// What a type of a file is to us.
Element classify(hid_t type);

}  // namespace nnm::io
