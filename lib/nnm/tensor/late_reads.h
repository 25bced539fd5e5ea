// Reads of tensors that are put off until there are several: who writes to memory says so before.
#pragma once

#include "nnm/tensor/tensor.h"

namespace nnm::detail {

/// Has seen tensors that it is going to read. Registered on this thread as long as it lives.
class LateReader {
 public:
  LateReader();
  virtual ~LateReader();
  LateReader(const LateReader&) = delete;
  LateReader& operator=(const LateReader&) = delete;
  /// Somebody is about to write to this memory: what is to be read of it is read now.
  virtual void before_write(const Storage& memory) = 0;
};

/// How many there are on this thread: mostly none, so that a write costs one branch.
extern thread_local constinit int late_readers;
void tell_late_readers(const Storage& memory);

/// Before a kernel that writes to a tensor which others may have seen.
inline void before_write(const Tensor& t) {
  if (late_readers > 0) [[unlikely]]
    tell_late_readers(*t.impl()->storage);
}

}  // namespace nnm::detail
