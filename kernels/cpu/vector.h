// How wide the vectors are that a copy of the kernels computes with.
#pragma once

#include <cstdint>

namespace nnm {
namespace {

#ifdef __AVX512F__
constexpr int64_t kVectorBytes = 64;
#else
constexpr int64_t kVectorBytes = 32;
#endif

}  // namespace
}  // namespace nnm
