// Handles, plans and workspaces of cuDNN, and falling back without them.
#include "kernels/cuda/dnn_device.h"

#include "kernels/cuda/lt.h"
#include "kernels/cuda/plugin.h"

namespace nnm::cuda {

namespace {

constexpr size_t kMaxConvolutionPlans = 1024;  // where sizes never repeat, as those of images

}  // namespace

bool DnnDevice::open() {
  if (tried_) return handle_ != nullptr;
  tried_ = true;
  int runtime = 0;
  cudaRuntimeGetVersion(&runtime);
  // Some of cuDNN's parts end the process where they do not find cuBLASLt, which is found by its
  // name once it is loaded.
  if (!dnn_why(runtime).empty() || !lt_found()) return false;
  if (dnn_library().Create(&handle_) != dnn::kSuccess) handle_ = nullptr;
  return handle_ != nullptr;
}

bool DnnDevice::run(const DnnConvolution& c, void* x, void* w, void* y) {
  const std::lock_guard lock(mutex_);
  if (!open()) return false;
  if (plans_.size() >= kMaxConvolutionPlans) plans_.clear();
  std::unique_ptr<DnnPlan>& plan = plans_[c.key()];
  if (!plan) plan = std::make_unique<DnnPlan>(dnn_library(), DnnTarget{handle_, nullptr}, c);
  if (!plan->known()) return false;
  const Scratch<char> workspace(static_cast<int64_t>(plan->workspace()));
  const cudaStream_t s = stream(plan.get());
  if (!streamed_ && dnn_library().SetStream(handle_, s) != dnn::kSuccess) return false;
  streamed_ = true;
  if (plan->run(handle_, x, w, y, workspace.get())) return true;
  plan->refuse();
  return false;
}

// Never destroyed, as handles of libraries cannot be when the driver has ended.
DnnDevice& dnn_device() {
  static std::mutex mutex;
  static auto* all = new std::map<int, DnnDevice>;
  const std::lock_guard lock(mutex);
  return (*all)[current_device()];
}

}  // namespace nnm::cuda
