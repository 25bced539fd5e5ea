// Looking for CUDA's libraries where they are kept: by the system, by the toolkit, and by PyTorch's
// wheels.
#pragma once

#include <string>

namespace nnm::cuda {

/// A library that stays open, or null and why it was not found.
struct OpenLibrary {
  void* handle = nullptr;
  std::string why;
};

/// The first that opens: in the folders of NNM_CUDA_LIBS, beside the plug-in, in CUDA_HOME, where
/// the system looks, in the packages of the Pythons in the PATH.
OpenLibrary open_library(const std::string& soname);
/// The file that holds a function; "" where the system knows none.
std::string file_of(const void* function);

}  // namespace nnm::cuda
