// Batches ahead of the reader, up to a budget of bytes, on one thread.
#include "nnm/data/loader.h"

#include <algorithm>
#include <numeric>

#include "kernels/parallel.h"
#include "nnm/autograd/node.h"
#include "nnm/ops/ops.h"

namespace nnm::data {
namespace {

// Enough that small batches are handed over many at a time, and two large ones always fit.
constexpr size_t kAheadBytes = size_t{4} << 20;
constexpr size_t kAheadMin = 2, kAheadMax = 256;

size_t bytes_of(const Batch& b) {
  size_t n = 0;
  for (const Tensor& t : b.fields) n += static_cast<size_t>(t.numel()) * item_size(t.dtype());
  return n;
}

}  // namespace

std::vector<int64_t> epoch_order(const Dataset& data, bool shuffle, uint64_t seed, int64_t epoch) {
  if (data.windowed()) return data.epoch_indices(seed, epoch);
  if (shuffle) {
    Generator g = Generator::for_name(seed, fmt::format("order/{}", epoch));
    return randperm(data.size(), &g).to_vector<int64_t>();
  }
  std::vector<int64_t> order(static_cast<size_t>(data.size()));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

Loader::Loader(Ref<Dataset> data, LoaderOptions options) : data_(std::move(data)), options_(std::move(options)) {
  options_.transforms.resize(data_->fields().size());
  options_.dtypes.resize(data_->fields().size());
}

Loader::~Loader() { stop(); }

int64_t Loader::batches_per_epoch() const {
  const int64_t n = data_->size(), b = options_.batch;
  return options_.drop_last ? n / b : (n + b - 1) / b;
}

void Loader::seek(int64_t epoch, int64_t batch) {
  stop();
  epoch_ = epoch;
  index_ = batch;
}

void Loader::stop() {
  if (thread_.joinable()) {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_worker_.notify_all();
    thread_.join();
  }
  stop_ = failed_ = false;
  ready_.clear();
  taken_.clear();
  ready_bytes_ = 0;
}

Batch Loader::make(const std::vector<int64_t>& order, int64_t epoch, int64_t index) const {
  Batch b;
  b.epoch = epoch;
  b.index = index;
  const auto begin = static_cast<size_t>(index * options_.batch);
  const size_t end = std::min(begin + static_cast<size_t>(options_.batch), order.size());
  b.samples.assign(order.begin() + static_cast<int64_t>(begin), order.begin() + static_cast<int64_t>(end));
  const bool in_file_order = !options_.shuffle && !data_->windowed();
  b.fields = in_file_order ? data_->range(static_cast<int64_t>(begin), static_cast<int64_t>(end))
                           : data_->gather(b.samples);
  const BatchContext context{options_.training, options_.seed, epoch, b.samples};
  for (size_t f = 0; f < b.fields.size(); ++f) {
    Tensor& x = b.fields[f];
    for (const Ref<Transform>& t : options_.transforms[f]) {
      if (t->wants_float() && !is_floating(x.dtype())) x = to(x, DType::f32);
      x = t->apply(x, context);
    }
    if (options_.dtypes[f]) x = to(x, *options_.dtypes[f]);
  }
  return b;
}

void Loader::work() {
  NoGradGuard no_grad;
  SerialGuard serial;
  std::vector<int64_t> order;
  int64_t order_of = -1;
  while (true) {
    Item item;
    size_t bytes = 0;
    try {
      if (order_of != epoch_) order = epoch_order(*data_, options_.shuffle, options_.seed, order_of = epoch_);
      if (index_ < batches_per_epoch()) {
        item.batch = make(order, epoch_, index_++);
        bytes = bytes_of(*item.batch);
      } else {
        ++epoch_;
        index_ = 0;
      }
    } catch (...) {
      item.error = std::current_exception();
    }
    std::unique_lock lock(mutex_);
    failed_ = item.error != nullptr;
    ready_.push_back(std::move(item));
    ready_bytes_ += bytes;
    wake_reader_.notify_one();
    wake_worker_.wait(lock, [&] {
      return stop_ || failed_ ||
             (ready_.size() < kAheadMax && (ready_.size() < kAheadMin || ready_bytes_ + bytes <= kAheadBytes));
    });
    if (stop_ || failed_) return;
  }
}

std::optional<Batch> Loader::next() {
  if (taken_.empty()) {
    if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
    std::unique_lock lock(mutex_);
    wake_reader_.wait(lock, [&] { return !ready_.empty(); });
    // All that is ready changes hands at once, so that small batches do not pay a lock each.
    taken_.swap(ready_);
    ready_bytes_ = 0;
    wake_worker_.notify_one();
  }
  Item item = std::move(taken_.front());
  taken_.pop_front();
  if (item.error) std::rethrow_exception(item.error);
  return std::move(item.batch);
}

}  // namespace nnm::data
