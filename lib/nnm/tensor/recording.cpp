// Recording by the plug-in, random numbers, late checks.
#include "nnm/tensor/recording.h"

#include <algorithm>
#include <utility>

#include "kernels/embedding.h"

namespace nnm {

Recording::Recording(Device device)
    : recording_(cuda_table(device).record(device.index, default_generator().seed,
                                           default_generator().offset)),
      begin_(default_generator()) {}

bool Recording::end_part(bool more) {
  ++parts_;
  draws_ = default_generator().offset - begin_.offset;
  return recording_->end_part(more);
}

bool Recording::replay(size_t count) {
  Generator& now = default_generator();
  if (now.seed != begin_.seed || !recording_->replay(0, now.offset)) return false;
  for (size_t part = 1; part < std::min(count, parts_); ++part)
    NNM_CHECK(repeat(part), internal, "part {} of a recording is lost", part);
  now.offset += draws_;
  return true;
}

bool Recording::repeat(size_t part) { return recording_->replay(part, 0); }

void Recording::fetch(size_t slot, const Tensor& x) {
  recording_->fetch(slot, x.data(), item_size(x.dtype()));
}

Scalar Recording::fetched(size_t slot, DType dtype) const {
  const Tensor x = empty({}, {dtype, Device{}});
  recording_->fetched(slot, x.data(), item_size(dtype));
  return x.item();
}

namespace {

thread_local Tensor late_checks_flag;

}  // namespace

LateIndexChecks::LateIndexChecks(Tensor bad) { late_checks_flag = std::move(bad); }
LateIndexChecks::~LateIndexChecks() { late_checks_flag = {}; }

namespace detail {

Tensor indices_checked_late(const Tensor& indices, int64_t count, int64_t ignore) {
  const Tensor& bad = late_checks_flag;
  if (!bad.defined() || !(bad.device() == indices.device()) || count == 0) return {};
  Tensor safe = empty(indices.shape(), indices.options());
  kernels::bounded_indices(safe, indices, bad, count, ignore);
  return safe;
}

}  // namespace detail

}  // namespace nnm
