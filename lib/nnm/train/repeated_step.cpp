// Recording a step, and when what is recorded is the step to take.
#include "nnm/train/repeated_step.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "nnm/autograd/node.h"
#include "nnm/base/log.h"
#include "nnm/ops/ops.h"

namespace nnm::train {

namespace {

constexpr int kAlike = 3;     // batches of one shape before it is recorded: kernels are loaded then
constexpr int kFailures = 3;  // recordings before no more is tried
constexpr size_t kLoss = 0, kBad = 1;

bool same_shapes(const std::vector<Shape>& shapes, const Tensors& fields) {
  return std::equal(shapes.begin(), shapes.end(), fields.begin(), fields.end(),
                    [](const Shape& s, const Tensor& t) { return s == t.shape(); });
}

bool has_hooks(const Tensor& leaf) {
  if (!leaf.requires_grad()) return false;
  const Ref<AccumulateGrad>& sink = autograd_meta(leaf).accumulator;
  return sink && sink->has_hooks();
}

}  // namespace

RepeatedStep::RepeatedStep(Ref<Module> model, Tensors parameters, std::function<Tensor()> forward,
                           std::function<void()> done)
    : model_(std::move(model)),
      tensors_(model_->parameters()),
      forward_(std::move(forward)),
      done_(std::move(done)) {
  for (const Tensor& p : parameters) {
    const auto same = [&](const Tensor& t) { return t.is_same(p); };
    if (std::none_of(tensors_.begin(), tensors_.end(), same)) tensors_.push_back(p);
  }
  for (const Tensor& b : model_->buffers()) tensors_.push_back(b);
}

bool RepeatedStep::possible(Device device) {
  const char* wish = std::getenv("NNM_CUDA_GRAPHS");
  return device.type == DeviceType::cuda && wish && std::string_view(wish) == "1";
}

std::optional<double> RepeatedStep::loss(Tensors& fields) {
  if (failures_ == kFailures || watched()) return std::nullopt;
  if (recording_) return replay(fields);
  // The last batch of an epoch may be another one: it does not count for much.
  alike_ += same_shapes(shapes_, fields) ? 1 : -1;
  if (alike_ >= kAlike) return record(fields);
  if (alike_ >= 0) return std::nullopt;
  alike_ = 0;
  shapes_.clear();
  for (const Tensor& f : fields) shapes_.push_back(f.shape());
  return std::nullopt;
}

bool RepeatedStep::watched() const {
  const std::vector<Module*> modules = model_->modules();
  return detail::anomaly_mode.on ||
         std::any_of(modules.begin(), modules.end(),
                     [](const Module* m) { return m->is_watched(); }) ||
         std::any_of(tensors_.begin(), tensors_.end(), has_hooks);
}

std::vector<RepeatedStep::Place> RepeatedStep::places() const {
  std::vector<Place> all;
  for (const Tensor& t : tensors_) all.push_back({t.data(), t.requires_grad()});
  return all;
}

std::optional<double> RepeatedStep::record(Tensors& fields) {
  const Device device = tensors_[0].device();
  for (Tensor& f : fields) inputs_.push_back(f = clone(f));
  bad_ = zeros({1}, {DType::i64, device});
  places_ = places();
  modules_ = model_->modules();
  std::vector<uint32_t> versions;
  for (const Tensor& t : tensors_) versions.push_back(t.version());
  const Generator random = default_generator();
  {
    // Loaded now: a kernel's first launch cannot be recorded.
    const LateIndexChecks late(bad_);
    (void)detail::indices_checked_late(bad_, 1, 0);
  }
  auto recording = std::make_unique<Recording>(device);
  const bool good = run_recorded(*recording);
  for (size_t i = 0; i < tensors_.size(); ++i)
    if (tensors_[i].version() != versions[i]) written_.push_back(tensors_[i]);
  recording_ = std::move(recording);
  const std::optional<double> value = outcome();
  if (!value) default_generator() = random;
  if (good && value) {
    log_detail("forward and backward are recorded, and repeated from here on");
  } else {
    log_detail("forward and backward cannot be repeated");
    drop();
  }
  return value;
}

// Forward and backward as they are recorded; what they leave is kept. Whether they can be repeated.
bool RepeatedStep::run_recorded(Recording& recording) {
  {
    const LateIndexChecks late(bad_);
    loss_ = forward_();
  }
  recording.fetch(kLoss, loss_);
  recording.fetch(kBad, bad_);
  recording.end_part(true);
  loss_.backward();
  done_();
  loss_ = loss_.detach();
  const bool good = recording.end_part(false);
  gradients_.clear();
  for (const Tensor& t : tensors_) {
    gradients_.push_back(t.grad());
    if (gradients_.back().defined()) t.set_grad({});
  }
  return good;
}

bool RepeatedStep::fits(const Tensors& fields) const {
  return model_->training() && modules_ == model_->modules() && places_ == places() &&
         std::equal(fields.begin(), fields.end(), inputs_.begin(), inputs_.end(),
                    [](const Tensor& a, const Tensor& b) { return a.is_same(b); });
}

std::optional<double> RepeatedStep::replay(const Tensors& fields) {
  // The last batch of an epoch may be shorter; the recording waits for the next.
  if (!same_shapes(shapes_, fields)) return std::nullopt;
  const Generator random = default_generator();
  if (!fits(fields) || !recording_->replay()) {
    log_detail("forward and backward are other ones than were recorded");
    drop();
    return std::nullopt;
  }
  for (const Tensor& t : written_) t.bump_version();
  const std::optional<double> value = outcome();
  if (!value) {
    default_generator() = random;
    drop();
  }
  return value;
}

// Indices out of range are for the usual step to tell.
std::optional<double> RepeatedStep::outcome() const {
  const double value = recording_->fetched(kLoss, loss_.dtype()).d;
  if (recording_->fetched(kBad, DType::i64).i != 0) return std::nullopt;
  return value;
}

void RepeatedStep::set_gradients() const {
  for (size_t i = 0; i < gradients_.size(); ++i)
    if (gradients_[i].defined()) tensors_[i].set_grad(gradients_[i]);
}

void RepeatedStep::drop() {
  ++failures_;
  alike_ = 0;
  inputs_.clear();
  written_.clear();
  loss_ = {};
  recording_.reset();
}

}  // namespace nnm::train
