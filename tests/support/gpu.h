// The emulated GPU: the plug-in that a build with tests makes beside libnnm.so.
#pragma once

#include "kernels/view.h"

namespace nnm::testing {

/// The device cuda:0 of the emulated plug-in, which the process loads instead of the real one. It
/// has 512 MiB.
Device emulated_gpu();

}  // namespace nnm::testing
