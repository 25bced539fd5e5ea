// Dense vectors in pieces, one to a block, whose results the host puts together in their order.
#pragma once

#include <algorithm>

#include "kernels/cuda/simt.h"

namespace nnm::cuda {
namespace {

constexpr int64_t kPiece = 4096, kPieces = 1024;

/// Where a vector is cut: at most kPieces pieces, of kPiece elements at least. An empty one is one
/// empty piece.
struct Pieces {
  constexpr explicit Pieces(int64_t n)
      : n(n),
        count(std::clamp<int64_t>((n + kPiece - 1) / kPiece, 1, kPieces)),
        size((n + count - 1) / count) {}
  int64_t n, count, size;
  unsigned blocks() const { return static_cast<unsigned>(count); }
  __device__ int64_t begin(unsigned piece = blockIdx.x) const { return piece * size; }
  __device__ int64_t end(unsigned piece = blockIdx.x) const {
    return begin(piece) + size < n ? begin(piece) + size : n;
  }
};

}  // namespace
}  // namespace nnm::cuda
