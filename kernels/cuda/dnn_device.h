// cuDNN on a device.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "kernels/cuda/dnn_plan.h"

namespace nnm::cuda {

/// Of one device: its handle and the plans, which are kept because making one takes milliseconds.
/// Any thread.
class DnnDevice {
 public:
  /// On the device's stream. False, with nothing done, where cuDNN has no plan for it.
  bool run(const DnnConvolution& c, void* x, void* w, void* y);

 private:
  bool open();

  std::mutex mutex_;
  bool tried_ = false;
  dnn::Handle handle_ = nullptr;
  bool streamed_ = false;  ///< the handle has the device's one stream
  std::map<DnnConvolution::Key, std::unique_ptr<DnnPlan>> plans_;
};

/// The current one's.
DnnDevice& dnn_device();

}  // namespace nnm::cuda
