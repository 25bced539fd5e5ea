// Workers claim batches in order, prepare them, and the reader takes them in the same order.
#include "nnm/data/loader.h"

#include <algorithm>

#include "kernels/parallel.h"
#include "nnm/ops/ops.h"
#include "nnm/tensor/allocator.h"
#include "nnm/tensor/device.h"

namespace nnm::data {
namespace {

constexpr size_t kAheadBytes = size_t{32} << 20;
constexpr size_t kMaxAhead = 64;
// Data of at most this size is in memory after an epoch, wherever it comes from.
constexpr double kSmallBytes = 256 << 20;
// What a thread prepares of a batch, about 5 us of work.
constexpr int64_t kPartBytes = 32 << 10;
// Pipelines that a worker keeps for samples of other sizes than the first.
constexpr size_t kMaxOthers = 64;

}  // namespace

Pipeline pipeline_of(const FieldInfo& field, const PipelineOptions& options) {
  try {
    return Pipeline({field.stored, field.shape}, field.dtype, options);
  } catch (const Error& e) {
    throw Error(e.kind(), fmt::format("field `{}`: {}", field.name, e.what()), e.hint());
  }
}

Loader::Loader(Ref<Dataset> data, LoaderOptions options)
    : data_(std::move(data)), options_(std::move(options)) {
  NNM_CHECK(options_.batch >= 1, value, "batch must be at least 1, got {}", options_.batch);
  const std::vector<FieldInfo>& all = data_->fields();
  if (options_.fields.empty()) {
    for (int f = 0; f < static_cast<int>(all.size()); ++f) options_.fields.push_back({f, {}});
  }
  // No batch is larger than the data.
  const int64_t rows = std::min(options_.batch, data_->size(options_.training));
  size_t bytes = 1;
  for (FieldPlan& plan : options_.fields) {
    const FieldInfo& f = all[static_cast<size_t>(plan.field)];
    plan.pipeline.training = options_.training;
    plan.pipeline.seed = options_.seed;
    pipelines_.push_back(pipeline_of(f, plan.pipeline));
    const SampleType& out = pipelines_.back().output();
    fields_.push_back({f.name, out.dtype, out.shape, f.stored, f.source});
    bytes += out.bytes() * static_cast<size_t>(rows);
  }
  const auto workers = static_cast<size_t>(std::clamp(options_.workers, 1, 64));
  most_ahead_ = std::clamp(kAheadBytes / bytes, workers + 1, std::max(kMaxAhead, workers + 1));
}

Loader::~Loader() { stop(); }

int64_t Loader::batches_per_epoch() const {
  return batches_of(data_->size(options_.training), options_.batch, options_.drop_last);
}

void Loader::seek(int64_t epoch, int64_t batch) {
  stop();
  epoch_ = epoch;
  index_ = batch;
}

void Loader::stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_workers_.notify_all();
  for (std::thread& t : threads_) t.join();
  threads_.clear();
  slots_.clear();
  order_.reset();
  stop_ = false;
}

const Pipeline& Loader::pipeline_for(size_t f, const Shape& shape, Worker& worker) const {
  const FieldInfo& info = data_->fields()[static_cast<size_t>(options_.fields[f].field)];
  if (shape == info.shape) return pipelines_[f];
  for (const Worker::Other& o : worker.others) {
    if (o.field == f && o.shape == shape) return o.pipeline;
  }
  FieldInfo other = info;
  other.shape = shape;
  Pipeline pipeline = pipeline_of(other, options_.fields[f].pipeline);
  // Kept are those alone that make samples of the batch's size: more would be written beyond it.
  const Shape got = pipeline.output().shape;
  if (!(got == fields_[f].shape)) {
    throw Error(ErrorKind::input_file,
                fmt::format("field `{}`: samples of sizes {} and {} do not make a batch", info.name,
                            fields_[f].shape.str(), got.str()),
                "bring them to one size by a transform such as resize((224, 224))");
  }
  if (worker.others.size() == kMaxOthers) worker.others.clear();
  worker.others.push_back({f, shape, std::move(pipeline)});
  return worker.others.back().pipeline;
}

void Loader::prepare_sample(size_t f, int64_t key, int64_t epoch, void* y, Worker& worker) const {
  const int field = options_.fields[f].field;
  const int64_t origin = data_->origin(key);
  if (!data_->decodes(field)) {
    pipelines_[f].run(data_->sample(field, key), y, epoch, origin, worker.scratch);
    return;
  }
  const Shape shape = data_->decode(field, key, worker.decoded);
  pipeline_for(f, shape, worker).run(worker.decoded.data(), y, epoch, origin, worker.scratch);
}

void Loader::prepare(Order& order, Batch& batch, Worker* worker) const {
  std::call_once(order.once, [&] {
    order.keys = data_->order(options_.training, options_.shuffle, options_.seed, order.epoch);
  });
  const auto first = static_cast<size_t>(batch.index * options_.batch);
  const size_t last = std::min(first + static_cast<size_t>(options_.batch), order.keys.size());
  const std::span<const int64_t> keys(order.keys.data() + first, last - first);
  for (int64_t k : keys) batch.samples.push_back(data_->origin(k));
  for (size_t f = 0; f < pipelines_.size(); ++f) {
    const SampleType& type = pipelines_[f].output();
    const auto bytes = static_cast<int64_t>(type.bytes()), n = static_cast<int64_t>(keys.size());
    Shape shape = type.shape;
    shape.insert(0, n);
    Tensor out = empty_for(shape, type.dtype, device_);
    char* y = out.data<char>();
    const auto make = [&](int64_t begin, int64_t end, Worker& by) {
      for (int64_t i = begin; i < end; ++i)
        prepare_row(f, keys[static_cast<size_t>(i)], batch.samples[static_cast<size_t>(i)],
                    batch.epoch, y + i * bytes, by);
    };
    if (worker) {
      make(0, n, *worker);
    } else {
      parallel_for(n, kPartBytes / std::max<int64_t>(bytes, 1) + 1,
                   [&](int64_t begin, int64_t end) {
                     Worker own;
                     make(begin, end, own);
                   });
    }
    batch.fields.push_back(std::move(out));
  }
}

void Loader::prepare_row(size_t f, int64_t key, int64_t sample, int64_t epoch, void* y,
                         Worker& worker) const {
  try {
    prepare_sample(f, key, epoch, y, worker);
  } catch (const Error& e) {
    const FieldInfo& info = fields_[f];
    std::string where = data_->name_of(key);
    if (where.empty()) {
      where = fmt::format("{}, sample {}",
                          info.source.empty() ? "field `" + info.name + "`" : info.source, sample);
    }
    // Errors of files name them already.
    const bool named = std::string_view(e.what()).starts_with(where);
    throw Error(ErrorKind::input_file, named ? e.what() : where + ": " + e.what(), e.hint());
  }
}

// A thread beside those that compute, where they take all cores, would hold up one of them and with
// it the others: there they copy small data themselves. Texts and pictures cost more than a copy.
bool Loader::prepares_when_asked() const {
  static const int cores = available_cores();
  if (options_.workers > 1 || num_threads() < cores || device_.type != DeviceType::cpu)
    return false;
  double bytes = 0;
  for (const FieldPlan& plan : options_.fields) {
    if (data_->decodes(plan.field)) return false;
    const FieldInfo& f = data_->fields()[static_cast<size_t>(plan.field)];
    bytes += static_cast<double>(SampleType{f.stored, f.shape}.bytes());
  }
  return bytes * static_cast<double>(data_->size(options_.training)) <= kSmallBytes;
}

Batch Loader::prepared_now() {
  if (!order_ || order_->epoch != epoch_) {
    order_ = std::make_shared<Order>();
    order_->epoch = epoch_;
  }
  Batch batch;
  batch.epoch = epoch_;
  batch.index = index_;
  prepare(*order_, batch, nullptr);
  ++index_;
  return batch;
}

bool Loader::has_room() const { return slots_.size() < most_ahead_; }

void Loader::work() {
  Worker worker;
  std::unique_lock lock(mutex_);
  while (true) {
    ++sleeping_;
    wake_workers_.wait(lock, [&] { return stop_ || has_room(); });
    --sleeping_;
    if (stop_) return;
    if (next_index_ >= batches_per_epoch()) {
      ++next_epoch_;
      next_index_ = 0;
    }
    if (!order_ || order_->epoch != next_epoch_) {
      order_ = std::make_shared<Order>();
      order_->epoch = next_epoch_;
    }
    const std::shared_ptr<Order> order = order_;
    slots_.push_back(std::make_unique<Slot>());
    Slot* slot = slots_.back().get();
    slot->batch.epoch = next_epoch_;
    slot->batch.index = next_index_++;
    lock.unlock();
    try {
      prepare(*order, slot->batch, &worker);
    } catch (...) {
      slot->error = std::current_exception();
    }
    lock.lock();
    slot->done = true;
    if (!slots_.empty() && slots_.front().get() == slot) wake_reader_.notify_one();
  }
}

std::optional<Batch> Loader::next(const Tensors& into) {
  if (index_ >= batches_per_epoch()) {
    ++epoch_;
    index_ = 0;
    return std::nullopt;
  }
  if (threads_.empty()) {
    device_ = default_device();
    if (prepares_when_asked()) return prepared_now();
    next_epoch_ = epoch_;
    next_index_ = index_;
    for (int i = 0; i < std::clamp(options_.workers, 1, 64); ++i) {
      threads_.emplace_back([this] { work(); });
    }
  }
  std::unique_lock lock(mutex_);
  wake_reader_.wait(lock, [&] { return !slots_.empty() && slots_.front()->done; });
  // A failed batch stays where it is: asking again fails again.
  if (slots_.front()->error) std::rethrow_exception(slots_.front()->error);
  const std::unique_ptr<Slot> slot = std::move(slots_.front());
  slots_.pop_front();
  // Sleepers are woken for half a buffer at once, so that small batches do not pay a switch each.
  if (sleeping_ > 0 && slots_.size() <= most_ahead_ / 2) wake_workers_.notify_all();
  lock.unlock();
  ++index_;
  for (size_t f = 0; f < slot->batch.fields.size(); ++f) {
    Tensor& t = slot->batch.fields[f];
    const bool fits = f < into.size() && into[f].shape() == t.shape() &&
                      into[f].dtype() == t.dtype() && into[f].device() == device_;
    if (!fits) {
      t = moved(t, device_);
      continue;
    }
    copy_bytes(into[f].data(), device_, t.data(), t.device(), t.impl()->storage->bytes);
    into[f].bump_version();
    t = into[f];
  }
  return std::move(slot->batch);
}

}  // namespace nnm::data
