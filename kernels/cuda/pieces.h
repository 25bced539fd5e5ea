// Dense vectors in pieces, one to a block, whose results the host puts together in their order.
#pragma once

#include "kernels/cuda/simt.h"

namespace nnm::cuda {
namespace {

constexpr int64_t kPiece = 4096, kPieces = 1024;

/// Where a vector is cut: at most kPieces pieces, of kPiece elements at least. An empty one is one
/// empty piece.
struct Pieces {
  NNM_HD explicit Pieces(int64_t n)
      : n(n), count(wanted(n) < kPieces ? wanted(n) : kPieces), size((n + count - 1) / count) {}
  // By values alone: a reference to a constant, which std::clamp takes, is an address of the host.
  NNM_HD static int64_t wanted(int64_t n) { return n > kPiece ? (n + kPiece - 1) / kPiece : 1; }
  int64_t n, count, size;
  unsigned blocks() const { return static_cast<unsigned>(count); }
  __device__ int64_t begin(unsigned piece = blockIdx.x) const { return piece * size; }
  __device__ int64_t end(unsigned piece = blockIdx.x) const {
    return begin(piece) + size < n ? begin(piece) + size : n;
  }
};

}  // namespace
}  // namespace nnm::cuda
