// The CUDA plug-in libnnm_cuda.so: tensors and kernels on NVIDIA GPUs. It is loaded when a device
// of CUDA is first asked for, so that programs without one neither wait for it nor need it.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "kernels/view.h"

namespace nnm {

struct CudaDevice {
  std::string name;
  size_t memory = 0;         ///< bytes
  int major = 0, minor = 0;  ///< compute capability
  int multiprocessors = 0;
};

/// Bytes in tensors, at the peak since the last reset, held from the driver; free on the device and
/// in all, whoever uses the rest.
struct CudaMemory {
  size_t allocated = 0, peak = 0, reserved = 0, free = 0, total = 0;
};

/// Work of one device that is recorded once and done again, on other contents of the same memory: a
/// training step's forward and backward, whose launches then cost next to nothing. Between the
/// making and the last end_part() nothing asked of the device is done before its part ends; what
/// cannot be recorded (a copy to or from the CPU, a wait) does what is recorded and goes on as
/// usual. Memory taken meanwhile serves only this work as long as the recording lives. One thread.
class CudaRecording {
 public:
  virtual ~CudaRecording() = default;
  /// Ends a part, does it and, with `more`, begins another. False where it or one before cannot be
  /// done again.
  virtual bool end_part(bool more) = 0;
  /// Does a part again, the first one with random numbers from `offset` on. False, with nothing
  /// done, where it cannot be: memory that it may read has been given back since, or others needed
  /// its own.
  virtual bool replay(size_t part, uint64_t offset) = 0;
  /// In the first part: a copy of at most 16 bytes to the CPU, into one of 4 slots …
  virtual void fetch(size_t slot, const void* from, size_t bytes) = 0;
  /// … and what came at the last time, once it is there: the parts that follow may still run.
  virtual void fetched(size_t slot, void* to, size_t bytes) = 0;
};

/// What the plug-in does beside filling the kernels' slots for DeviceType::cuda when it is loaded.
/// Everything that works on a device does so in the order of the calls, on one stream per device;
/// failures throw Error(device) with the driver's words. Any thread.
struct Cuda {
  static constexpr int kVersion = 3;
  int version;
  /// The number of GPUs. 0 leaves the reason in *why.
  int (*devices)(std::string* why);
  CudaDevice (*describe)(int device);
  /// What the plug-in runs on, by name, with version and path: cuda_driver, cuda_runtime, cublasLt,
  /// cudnn; or that it is missing, and where it was looked for.
  std::vector<std::pair<std::string, std::string>> (*libraries)();
  /// 512-byte aligned memory, kept for reuse when it is freed. "out of memory" says what was asked
  /// and what is free.
  void* (*allocate)(size_t bytes, int device);
  void (*deallocate)(void* p, int device) noexcept;
  CudaMemory (*memory)(int device);
  void (*reset_peak)(int device);
  /// Page-locked memory of the CPU, which copies to a device do not wait for. It may be given back
  /// while such copies are under way.
  void* (*pin)(size_t bytes, int device);
  void (*unpin)(void* p, int device) noexcept;
  /// Copies bytes between devices, of which at least one is of CUDA. Memory of the CPU may be
  /// reused when it returns, unless it is page-locked, and holds the bytes then.
  void (*copy)(void* to, Device to_device, const void* from, Device from_device, size_t bytes);
  /// Copies from the device into memory that pin() gave, without waiting for it …
  void (*fetch)(void* to, const void* from, size_t bytes, int device);
  /// … and waits for the last such copy into it.
  void (*fetched)(const void* to, int device);
  /// Waits until the device has done all that was asked of it.
  void (*synchronize)(int device);
  /// Begins the first part of a recording, which the caller deletes; one at a time. Random numbers
  /// are drawn from the stream `seed` from `offset` on.
  CudaRecording* (*record)(int device, uint64_t seed, uint64_t offset);
};

/// What became of loading the plug-in: its table, or null and why there is none.
struct CudaPlugin {
  const Cuda* table = nullptr;
  std::string path;
  int devices = 0;
  std::string why;  ///< why there is no table, or no device; empty where there is one
};

/// The plug-in, loaded at the first call: the file that NNM_CUDA_PLUGIN names (`none`: none), or
/// the one beside libnnm.so. Never throws. Any thread.
const CudaPlugin& cuda_plugin();

/// The table for work on this device. Throws Error(device) saying why it cannot be had.
const Cuda& cuda_table(Device device);

/// Throws Error(runtime): "Expected all tensors to be on the same device, but found at least two
/// devices, cuda:0 and cpu!". Defined above the kernels, in base, as the other is.
[[noreturn]] void throw_mixed_devices(Device a, Device b);
/// Throws Error(device).
[[noreturn]] void throw_device_error(const std::string& message, const std::string& hint = {});

}  // namespace nnm
