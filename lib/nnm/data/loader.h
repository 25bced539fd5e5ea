// Loader: the batches of an epoch, in order, prepared on threads of their own.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "nnm/data/dataset.h"
#include "nnm/data/pipeline.h"

namespace nnm::data {

/// One field as the loader delivers it.
struct FieldPlan {
  int field = 0;  ///< index in the dataset's fields
  PipelineOptions pipeline;
};

/// The pipeline of a field; errors name it.
Pipeline pipeline_of(const FieldInfo& field, const PipelineOptions& options);

/// How a dataset becomes batches.
struct LoaderOptions {
  int64_t batch = 1;
  bool training = false;  ///< random transforms act, texts give random windows
  bool shuffle = false;
  bool drop_last = false;
  uint64_t seed = 0;
  int workers = 1;
  std::vector<FieldPlan> fields;  ///< empty: all of them, as they are
};

/// How many batches so many samples come to; the last may be smaller, or is left out.
inline int64_t batches_of(int64_t samples, int64_t batch, bool drop_last) {
  return samples / batch + (!drop_last && samples % batch != 0);
}

struct Batch {
  Tensors fields;                ///< (batch, …), in the order of the options
  std::vector<int64_t> samples;  ///< number of each row's sample in its file
  int64_t epoch = 0;
  int64_t index = 0;  ///< within the epoch
};

/// What a batch holds is a function of the dataset, the options, epoch and index alone, whatever
/// the number of workers. At most about 32 MB of batches, and two, are prepared ahead; where
/// kernels use all cores, there is but one worker and the data is numbers of little size, a batch
/// is made when it is asked for, by their threads.
class Loader {
 public:
  /// Throws Error(value) naming the field where its transforms do not fit.
  Loader(Ref<Dataset> data, LoaderOptions options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  int64_t batches_per_epoch() const;
  const Dataset& dataset() const { return *data_; }
  const LoaderOptions& options() const { return options_; }
  /// Name, type and shape of a sample of each field that a batch holds.
  const std::vector<FieldInfo>& fields() const { return fields_; }

  /// Goes to a batch of an epoch; what was prepared ahead is dropped.
  void seek(int64_t epoch, int64_t batch);
  /// The next batch, on the default device of the thread that asked for the first; after the last
  /// of an epoch nothing once, then the first of the next epoch. Fields are put into the tensors
  /// `into`, in their order, where these are there and fit. Errors of the preparing threads are
  /// thrown here, when their batch is due: Error(input_file) with file and sample for what a
  /// transform refuses.
  std::optional<Batch> next(const Tensors& into = {});

 private:
  struct Order {
    std::once_flag once;
    int64_t epoch = 0;
    std::vector<int64_t> keys;
  };
  struct Slot {
    Batch batch;
    std::exception_ptr error;
    bool done = false;
  };
  void work();
  void stop();
  bool has_room() const;
  // What each worker has for itself.
  struct Worker {
    struct Other {
      size_t field;
      Shape shape;
      Pipeline pipeline;
    };
    Pipeline::Scratch scratch;
    std::vector<char> decoded;
    std::vector<Other> others;
  };
  const Pipeline& pipeline_for(size_t f, const Shape& shape, Worker& worker) const;
  void prepare_sample(size_t f, int64_t key, int64_t epoch, void* y, Worker& worker) const;
  void prepare_row(size_t f, int64_t key, int64_t sample, int64_t epoch, void* y,
                   Worker& worker) const;
  /// By one worker, or, without one, by the threads of kernels.
  void prepare(Order& order, Batch& batch, Worker* worker) const;
  bool prepares_when_asked() const;
  Batch prepared_now();

  Ref<Dataset> data_;
  LoaderOptions options_;
  std::vector<FieldInfo> fields_;
  std::vector<Pipeline> pipelines_;
  size_t most_ahead_ = 2;
  int64_t epoch_ = 0, index_ = 0;  // of the reader
  Device device_;                  // where batches go

  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable wake_workers_, wake_reader_;
  std::deque<std::unique_ptr<Slot>> slots_;  // claimed by workers, in order
  std::shared_ptr<Order> order_;
  int64_t next_epoch_ = 0, next_index_ = 0;  // to be claimed
  int sleeping_ = 0;
  bool stop_ = false;
};

}  // namespace nnm::data
