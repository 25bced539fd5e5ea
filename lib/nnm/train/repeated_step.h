// RepeatedStep: forward and backward of a training step, recorded on a GPU and done again.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "nnm/nn/module.h"
#include "nnm/tensor/recording.h"

namespace nnm::train {

/// After some steps with batches of one shape the kernels of forward and backward are recorded, and
/// from then on launched as two graphs, without calls of modules and without a tape. Results are
/// the same bit for bit. A step that somebody looks into (hooks, but those that say that they may
/// be repeated), whose batch has another shape or whose forward reads from the GPU is taken as
/// usual; so are all, after a few recordings that could not be used, or for want of memory.
///
/// Of a step of several batches each is one here: two more graphs put its gradients into memory of
/// their own, or add them to what is there.
///
/// What a forward written in C++ does beside calling operations on tensors is not done again: a
/// model with modules that are not nnm's own is repeated with NNM_CUDA_GRAPHS=1 alone.
/// NNM_CUDA_GRAPHS=0 turns it off.
class RepeatedStep {
 public:
  /// What a step is made of.
  struct Work {
    std::function<Tensor()> forward;  ///< the loss of the batch that `fields` are of, with a tape
    std::function<void(const Tensor& loss)> backward;
    std::function<void()> done;  ///< drops what forward has kept of the batch
    bool accumulates = false;    ///< gradients of several batches are added up
    std::function<void()> prepare = [] {
    };  ///< before it is recorded: waits for what it would wait for
  };
  /// `hooks`: the ids, sorted, of hooks whose work on the GPU may be repeated without calling them.
  RepeatedStep(Ref<Module> model, Tensors parameters, Work work, std::vector<uint64_t> hooks = {});

  /// Whether steps of this model on this device may be recorded.
  static bool possible(Module& model, Device device);

  /// Where the fields of the next batch are best put; empty: anywhere.
  const Tensors& inputs() const { return inputs_; }
  /// The loss of the batch, while its backward may still run; nothing where the step is to be taken
  /// as usual, of which nothing has been done then. May put other tensors of the same contents into
  /// `fields`, before it calls forward.
  std::optional<double> loss(Tensors& fields);
  /// Whether the loss is of a step that was repeated, and not of the one that is recorded.
  bool repeats() const { return repeats_; }
  /// After loss() gave one: hands its gradients to the parameters, or adds them to those there are.
  void set_gradients();

 private:
  /// What must be as it was for the kernels to be the right ones.
  struct Place {
    void* data;
    bool trains;
    friend bool operator==(const Place&, const Place&) = default;
  };
  bool watched() const;
  bool fresh() const;
  std::vector<Place> places() const;
  bool fits(const Tensors& fields) const;
  std::optional<double> record(Tensors& fields);
  std::optional<double> try_to_record(Tensors& fields, const Generator& random);
  bool run_recorded(Recording& recording);
  void give_up(const Generator& random);
  bool record_sums(Recording& recording);
  std::optional<double> replay(const Tensors& fields);
  std::optional<double> outcome() const;
  void drop();

  Ref<Module> model_;
  Tensors tensors_;  // parameters and buffers
  Work work_;
  std::vector<uint64_t> hooks_;
  bool repeats_ = false;

  std::vector<Shape> shapes_;  // of the batches of late
  int alike_ = 0;              // how many they were
  int failures_ = 0;

  Tensors inputs_, gradients_;
  Tensors buffers_before_;  // the recording, which stands only as long as they are there
  Tensors sums_;            // of the gradients of several batches; empty where there is one
  Tensor loss_, bad_;
  std::vector<Place> places_;
  std::vector<Module*> modules_;
  Tensors written_;  // buffers that forward writes
  std::unique_ptr<Recording> recording_;
};

}  // namespace nnm::train
