// Copies between devices, and page-locked memory for them.
#include "nnm/tensor/device.h"

#include "kernels/cuda.h"
#include "nnm/tensor/allocator.h"

namespace nnm {

namespace {

class PinnedMemory final : public Object {
 public:
  PinnedMemory(size_t bytes, Device device)
      : table_(cuda_table(device)), device_(device.index), data_(table_.pin(bytes, device.index)) {}
  ~PinnedMemory() override { table_.unpin(data_, device_); }
  void* data() const { return data_; }

 private:
  const Cuda& table_;
  int device_;
  void* data_;
};

}  // namespace

Tensor moved(const Tensor& x, Device device) {
  if (x.device() == device) return x;
  NNM_CHECK(!x.is_meta(), not_implemented, "Cannot copy out of meta tensor; no data!");
  Tensor y = empty_strided(x.shape(), x.strides(), {x.dtype(), device});
  if (!y.is_meta()) copy_bytes(y.data(), device, x.data(), x.device(), y.impl()->storage->bytes);
  return y;
}

Tensor empty_for(const Shape& sizes, DType dtype, Device device) {
  const size_t bytes = static_cast<size_t>(sizes.numel()) * item_size(dtype);
  if (device.type != DeviceType::cuda || bytes == 0) return empty(sizes, {dtype, Device{}});
  const auto memory = make_ref<PinnedMemory>(bytes, device);
  auto storage = make_ref<Storage>(memory->data(), bytes, memory);
  return Tensor(
      make_ref<TensorImpl>(std::move(storage), sizes, contiguous_strides(sizes), 0, dtype));
}

}  // namespace nnm
