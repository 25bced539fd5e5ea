// The npy format: a header in Python's spelling, then the numbers.
#pragma once

#include <functional>
#include <string>

#include "nnm/tensor/tensor.h"

namespace nnm::data {

/// What an npy header says.
struct NpyHeader {
  DType dtype = DType::f32;  ///< what the numbers are read as
  char kind = 'f';           ///< numpy's: f i u b
  int bytes = 4;             ///< of one number in the file
  bool swap = false;         ///< big-endian
  bool fortran = false;      ///< the first axis lies innermost
  Shape shape;
  uint64_t data_bytes() const {
    return static_cast<uint64_t>(shape.numel()) * static_cast<uint64_t>(bytes);
  }
};

/// Takes exactly so many bytes from the file.
using Take = std::function<void(void* into, size_t bytes)>;
/// Reads the header. Throws Error(input_file) naming `path` for what is no npy file, or holds text
/// or objects.
NpyHeader read_npy_header(const std::string& path, const Take& take);
/// The numbers that follow the header, row-major. u16 is read as i32, u32 and u64 as i64.
Tensor read_npy_body(const std::string& path, const NpyHeader& h, const Take& take);

}  // namespace nnm::data
