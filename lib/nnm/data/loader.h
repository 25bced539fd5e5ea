// Loader: the batches of an epoch, in order, prepared on a thread of their own.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "nnm/data/dataset.h"
#include "nnm/data/transform.h"

namespace nnm::data {

/// How one split becomes batches.
struct LoaderOptions {
  int64_t batch = 1;
  bool shuffle = false;
  bool drop_last = false;
  bool training = false;
  uint64_t seed = 0;
  /// Per field: transforms in order, and the type the model wants (cast last; none: as it is).
  std::vector<std::vector<Ref<Transform>>> transforms;
  std::vector<std::optional<DType>> dtypes;
};

struct Batch {
  Tensors fields;                ///< in the dataset's field order
  std::vector<int64_t> samples;  ///< dataset index of each row
  int64_t epoch = 0;
  int64_t index = 0;  ///< within the epoch
};

/// The order of an epoch: file order, or a permutation drawn from (seed, epoch) alone.
std::vector<int64_t> epoch_order(const Dataset& data, bool shuffle, uint64_t seed, int64_t epoch);

class Loader {
 public:
  Loader(Ref<Dataset> data, LoaderOptions options);
  ~Loader();
  Loader(const Loader&) = delete;

  int64_t batches_per_epoch() const;
  const Dataset& dataset() const { return *data_; }
  const LoaderOptions& options() const { return options_; }

  /// Goes to a batch of an epoch; what was prepared ahead is dropped.
  void seek(int64_t epoch, int64_t batch);
  /// The next batch; after the last of an epoch, nothing once, then the first of the next epoch.
  /// Errors of the preparing thread are thrown here.
  std::optional<Batch> next();

 private:
  struct Item {
    std::optional<Batch> batch;  ///< none: the epoch ended
    std::exception_ptr error;
  };
  Batch make(const std::vector<int64_t>& order, int64_t epoch, int64_t index) const;
  void work();
  void stop();

  Ref<Dataset> data_;
  LoaderOptions options_;
  int64_t epoch_ = 0, index_ = 0;
  std::deque<Item> taken_;

  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable wake_worker_, wake_reader_;
  std::deque<Item> ready_;
  size_t ready_bytes_ = 0;
  bool stop_ = false, failed_ = false;
};

}  // namespace nnm::data
