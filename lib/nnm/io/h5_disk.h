// The HDF5 file driver that files are written through. Private to lib/nnm/io.
#pragma once

#include <string>

#include "nnm/io/h5_handle.h"

namespace nnm::io {

/// What became of one file.
struct DiskState {
  bool created = false;
  int error = 0;  ///< errno of the first call that failed, or 0
};

/// Lets files opened with this access list be written through the driver. A write that the disk
/// refuses is noted in `state`, which must outlive the file, and succeeds for HDF5: libhdf5 that is
/// told of a failed write cannot close the file any more, and crashes when the process ends.
bool use_disk(hid_t access, DiskState& state);

}  // namespace nnm::io
