// What products of f32 may be on a GPU.
#pragma once

namespace nnm {

/// Whether GPUs may round the f32 factors of products and convolutions to TF32, of 10 bits behind
/// the point, which their tensor cores take; sums are of f32. Not unless somebody allows it. Any
/// thread.
bool tf32_allowed();
void allow_tf32(bool on);

}  // namespace nnm
