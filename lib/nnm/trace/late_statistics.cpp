// Statistics by lists of tensors, copied to the CPU chunk by chunk.
#include "nnm/trace/late_statistics.h"

#include <algorithm>

#include "kernels/cuda.h"
#include "nnm/tensor/device.h"

namespace nnm::tracing {

bool LateStatistics::takes(const Tensor& t) const {
  return t.device().type == DeviceType::cuda && (!device_ || *device_ == t.device());
}

void LateStatistics::begin(size_t kept) {
  noted_.clear();
  elements_ = 0;
  asked_ = kept;
}

LateStatistics::Ticket LateStatistics::add(const Tensor& t, bool all, bool histogram) {
  device_ = t.device();
  if (asked_ / kChunk == chunks_.size()) {
    const Shape bytes = {static_cast<int64_t>(kChunk * sizeof(StatisticsRecord))};
    chunks_.push_back({empty(bytes, {DType::u8, *device_}), empty_for(bytes, DType::u8, *device_)});
  }
  noted_.push_back({t, all, histogram});
  elements_ += t.numel();
  const Ticket ticket{asked_++, t.numel()};
  if (elements_ >= kMost || asked_ % kChunk == 0) launch();
  return ticket;
}

void LateStatistics::launch() {
  if (noted_.empty()) return;
  std::vector<StatisticsTask> tasks;
  for (const Noted& n : noted_) tasks.push_back({n.tensor, n.all, n.histogram});
  const size_t first = asked_ - noted_.size();
  View out = chunks_[first / kChunk].there;
  out.data = out.as<char>() + first % kChunk * sizeof(StatisticsRecord);
  kernels::statistics_records(out, tasks);
  noted_.clear();
  elements_ = 0;
}

void LateStatistics::before_write(const Storage& memory) {
  const auto lies_there = [&](const Noted& n) { return n.tensor.impl()->storage.get() == &memory; };
  if (std::any_of(noted_.begin(), noted_.end(), lies_there)) launch();
}

void LateStatistics::send() {
  launch();
  for (size_t i = 0; i * kChunk < asked_; ++i) {
    const size_t records = std::min(kChunk, asked_ - i * kChunk);
    Chunk& c = chunks_[i];
    cuda_table(*device_).fetch(c.here.data(), c.there.data(), records * sizeof(StatisticsRecord),
                               device_->index);
    c.arrived = false;
  }
}

TensorStatistics LateStatistics::get(Ticket ticket, uint32_t* histogram) {
  Chunk& c = chunks_[ticket.place / kChunk];
  if (!std::exchange(c.arrived, true)) cuda_table(*device_).fetched(c.here.data(), device_->index);
  const StatisticsRecord& r = c.here.data<const StatisticsRecord>()[ticket.place % kChunk];
  if (histogram)
    for (int i = 0; i < kHistogramBins; ++i) histogram[i] += r.bins[i];
  return statistics_of(r, ticket.numel);
}

}  // namespace nnm::tracing
