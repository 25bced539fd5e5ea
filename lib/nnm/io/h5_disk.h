// The HDF5 file driver that files are written through. Private to lib/nnm/io.
#pragma once

#include <cstdint>
#include <string>

#include "nnm/io/h5_handle.h"

namespace nnm::io {

/// What became of one file, and what is asked of it.
struct DiskState {
  bool created = false;
  int error = 0;  ///< errno of the first call that failed, or 0
  /// Memory whose CRC32C is wanted when it is written: it is summed piece by piece, each while the
  /// cache has it for the write as well, and `sum_of` is null then.
  const void* sum_of = nullptr;
  uint32_t crc = 0;  ///< of all that was summed since it was 0
};

/// Lets files opened with this access list be written through the driver. A write that the disk
/// refuses is noted in `state`, which must outlive the file, and succeeds for HDF5: libhdf5 that is
/// told of a failed write cannot close the file any more, and crashes when the process ends.
bool use_disk(hid_t access, DiskState& state);

}  // namespace nnm::io
