// What kernels of the plug-in stand on: the current device with its stream, temporary memory,
// errors, and how a kernel gets into its slot.
#pragma once

#include <type_traits>

#include "kernels/cuda.h"
#include "kernels/cuda/runtime.h"
#include "kernels/kernel.h"

namespace nnm::cuda {

/// Throws Error(device) "<what>: <the driver's words>" unless the call succeeded.
void check(cudaError_t result, const char* what);

/// Makes a device the thread's current one and the former one again.
class OnDevice {
 public:
  explicit OnDevice(int device);
  ~OnDevice();
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_ = 0;
};

int current_device();
/// The one stream on which the current device computes and copies, for an operation that may be
/// recorded in a graph (graphs.h): a kernel or a memset. `kind` tells kernels apart.
cudaStream_t stream(const void* kind = nullptr);
/// The same for anything else, once what is recorded is launched.
cudaStream_t flushed_stream();
class Graphs;
Graphs& graphs();  ///< of that stream
/// What the current device is; looked up once.
const CudaDevice& device_facts();
inline int multiprocessors() { return device_facts().multiprocessors; }

/// Memory of the current device from the plug-in's caching allocator. Freed memory serves the next
/// request at once: whatever uses it stands later in the same stream.
void* allocate(size_t bytes);
void deallocate(void* p) noexcept;

/// Temporary memory of n elements, not initialised, for the rest of a kernel's body. Null for 0.
template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t n)
      : data_(n > 0 ? static_cast<T*>(allocate(static_cast<size_t>(n) * sizeof(T))) : nullptr) {}
  ~Scratch() {
    if (data_) deallocate(data_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* get() const { return data_; }

 private:
  T* data_;
};

/// Copies from the current device to the CPU and waits for it: for kernels that give numbers back.
void read_back(void* to, const void* from, size_t bytes);
template <class T>
T read_back(const T* from) {
  T value;
  read_back(&value, from, sizeof(T));
  return value;
}

namespace detail {

template <class T>
void check_device(const View& out, const T& other) {
  if constexpr (std::is_same_v<T, View>) {
    if (other.data && !(other.device == out.device)) throw_mixed_devices(out.device, other.device);
  }
}

template <class F, F fn>
struct Slot;
/// Calls fn with the output's device as the current one, on which the other views must lie: a
/// kernel that followed an address of the CPU would end the process.
template <class... Rest, void (*fn)(const View&, Rest...)>
struct Slot<void (*)(const View&, Rest...), fn> {
  static void run(const View& out, Rest... rest) {
    (check_device(out, rest), ...);
    const OnDevice device(out.device.index);
    fn(out, rest...);
  }
};

}  // namespace detail
}  // namespace nnm::cuda

/// Fills a slot of kernels/*.h for CUDA when the plug-in is loaded: one line a slot, at a file's
/// end, outside of anonymous namespaces' functions. `fn` has the slot's signature; its views lie
/// on the current device.
#define NNM_CUDA_KERNEL(slot, fn)                                                \
  [[maybe_unused]] static const bool slot##_registered = nnm::kernels::slot.set( \
      nnm::DeviceType::cuda, nnm::cuda::detail::Slot<decltype(&fn), &fn>::run)
