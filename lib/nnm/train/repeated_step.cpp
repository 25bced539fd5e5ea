// Recording a step, and when what is recorded is the step to take.
#include "nnm/train/repeated_step.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <typeinfo>
#include <utility>

#include "kernels/library_folder.h"
#include "nnm/autograd/node.h"
#include "nnm/base/log.h"
#include "nnm/nn/hooks_detail.h"
#include "nnm/ops/ops.h"

namespace nnm::train {

namespace {

constexpr int kAlike = 3;     // batches of one shape before it is recorded: kernels are loaded then
constexpr int kFailures = 3;  // recordings before no more is tried
constexpr size_t kLoss = 0, kBad = 1;
// Parts of a recording: forward, backward, and of steps of several batches what becomes of
// gradients.
constexpr size_t kStep = 2, kFirst = 2, kFurther = 3;

bool same_shapes(const std::vector<Shape>& shapes, const Tensors& fields) {
  return std::equal(shapes.begin(), shapes.end(), fields.begin(), fields.end(),
                    [](const Shape& s, const Tensor& t) { return s == t.shape(); });
}

// By where the table of its functions lies; a program that makes layers which are whole in a header
// has tables of its own for them, so their namespace counts, too.
bool of_nnm(Module& m) {
  return std::string_view(typeid(m).name()).starts_with("N3nnm2nn") ||
         same_library(*reinterpret_cast<void**>(&m), reinterpret_cast<void*>(&same_shapes));
}

// Hooks other than these, sorted by id.
bool has_hooks(const Tensor& leaf, const std::vector<uint64_t>& but) {
  if (!leaf.requires_grad()) return false;
  const Ref<AccumulateGrad>& sink = autograd_meta(leaf).accumulator;
  if (!sink || !sink->has_hooks()) return false;
  const NodeHooks& h = sink->hooks();
  const auto within = [&](const auto& list) { return !list || all_within(*list, but); };
  return !(within(h.tensor_pre) && within(h.pre) && within(h.post) && within(h.post_accumulate) &&
           h.retain_grad.empty());
}

}  // namespace

RepeatedStep::RepeatedStep(Ref<Module> model, Tensors parameters, Work work,
                           std::vector<uint64_t> hooks)
    : model_(std::move(model)),
      tensors_(model_->parameters()),
      work_(std::move(work)),
      hooks_(std::move(hooks)) {
  for (const Tensor& p : parameters) {
    const auto same = [&](const Tensor& t) { return t.is_same(p); };
    if (std::none_of(tensors_.begin(), tensors_.end(), same)) tensors_.push_back(p);
  }
  for (const Tensor& b : model_->buffers()) tensors_.push_back(b);
}

bool RepeatedStep::possible(Module& model, Device device) {
  const char* wish = std::getenv("NNM_CUDA_GRAPHS");
  if (device.type != DeviceType::cuda) return false;
  if (wish && *wish) return std::string_view(wish) == "1";
  const std::vector<Module*> modules = model.modules();
  return std::all_of(modules.begin(), modules.end(), [](Module* m) { return of_nnm(*m); });
}

std::optional<double> RepeatedStep::loss(Tensors& fields) {
  repeats_ = false;
  if (failures_ == kFailures || watched()) return std::nullopt;
  if (recording_) return replay(fields);
  gradients_.clear();
  sums_.clear();
  // The last batch of an epoch may be another one: it does not count for much.
  alike_ += same_shapes(shapes_, fields) ? 1 : -1;
  if (alike_ >= kAlike && fresh()) return record(fields);
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
                     [&](const Module* m) { return m->is_watched_beyond(hooks_); }) ||
         std::any_of(tensors_.begin(), tensors_.end(),
                     [&](const Tensor& t) { return has_hooks(t, hooks_); });
}

// Whether no gradient is there that a backward would add to.
bool RepeatedStep::fresh() const {
  return std::none_of(tensors_.begin(), tensors_.end(),
                      [](const Tensor& t) { return t.grad().defined(); });
}

std::vector<RepeatedStep::Place> RepeatedStep::places() const {
  std::vector<Place> all;
  for (const Tensor& t : tensors_) all.push_back({t.data(), t.requires_grad()});
  return all;
}

std::optional<double> RepeatedStep::record(Tensors& fields) {
  const Generator random = default_generator();
  try {
    return try_to_record(fields, random);
  } catch (const Error& e) {
    // What is kept for other work leaves less memory to this one: it is taken without.
    if (e.kind() != ErrorKind::device) throw;
    give_up(random);
    return std::nullopt;
  }
}

std::optional<double> RepeatedStep::try_to_record(Tensors& fields, const Generator& random) {
  const Device device = tensors_[0].device();
  work_.prepare();
  for (Tensor& f : fields) inputs_.push_back(f = clone(f));
  bad_ = zeros({1}, {DType::i64, device});
  // Not of the recording's own memory, in which forward and backward may write anything anywhere.
  for (const Tensor& t : tensors_)
    if (work_.accumulates) sums_.push_back(t.requires_grad() ? empty_like(t) : Tensor());
  places_ = places();
  modules_ = model_->modules();
  std::vector<uint32_t> versions;
  for (const Tensor& t : tensors_) versions.push_back(t.version());
  for (const Tensor& b : model_->buffers()) buffers_before_.push_back(clone(b));
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

// All is as it was before the step, which is taken as usual, as are those that follow.
void RepeatedStep::give_up(const Generator& random) {
  log_detail("there is no memory to repeat forward and backward in");
  work_.done();
  default_generator() = random;
  const Tensors now = model_->buffers();
  for (size_t i = 0; i < buffers_before_.size(); ++i) copy_(now[i], buffers_before_[i]);
  for (const Tensor& t : tensors_) t.set_grad({});
  gradients_.clear();
  sums_.clear();
  drop();
  failures_ = kFailures;
}

// Forward and backward as they are recorded; what they leave is kept. Whether they can be repeated.
bool RepeatedStep::run_recorded(Recording& recording) {
  {
    const LateIndexChecks late(bad_);
    loss_ = work_.forward();
  }
  recording.fetch(kLoss, loss_);
  recording.fetch(kBad, bad_);
  recording.end_part(true);
  work_.backward(loss_);
  work_.done();
  loss_ = loss_.detach();
  for (const Tensor& t : tensors_) {
    gradients_.push_back(t.grad());
    if (gradients_.back().defined()) t.set_grad({});
  }
  return work_.accumulates ? record_sums(recording) : recording.end_part(false);
}

// Both are recorded, and done, one after the other; set_gradients() does again the one that is
// right.
bool RepeatedStep::record_sums(Recording& recording) {
  recording.end_part(true);
  for (size_t i = 0; i < sums_.size(); ++i) {
    if (gradients_[i].defined()) copy_(sums_[i], gradients_[i]);
    else sums_[i] = {};
  }
  recording.end_part(true);
  for (size_t i = 0; i < sums_.size(); ++i)
    if (sums_[i].defined()) add_(sums_[i], gradients_[i]);
  return recording.end_part(false);
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
  if (!fits(fields) || !recording_->replay(kStep)) {
    log_detail("forward and backward are other ones than were recorded");
    drop();
    return std::nullopt;
  }
  repeats_ = true;
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

void RepeatedStep::set_gradients() {
  if (!work_.accumulates) {
    for (size_t i = 0; i < gradients_.size(); ++i)
      if (gradients_[i].defined()) tensors_[i].set_grad(gradients_[i]);
    return;
  }
  size_t sums = 0, ours = 0, others = 0;
  for (size_t i = 0; i < sums_.size(); ++i) {
    if (!sums_[i].defined()) continue;
    ++sums;
    const Tensor grad = tensors_[i].grad();
    if (grad.defined()) ++(grad.is_same(sums_[i]) ? ours : others);
  }
  const bool first = recording_ && ours + others == 0 && recording_->repeat(kFirst);
  const bool further = recording_ && ours == sums && recording_->repeat(kFurther);
  // Where other batches of the step were taken as usual, each gradient finds what it is added to.
  for (size_t i = 0; i < sums_.size() && !further; ++i) {
    if (!sums_[i].defined()) continue;
    const Tensor grad = tensors_[i].grad();
    if (grad.defined()) {
      add_(grad, gradients_[i]);
      continue;
    }
    if (!first) copy_(sums_[i], gradients_[i]);
    tensors_[i].set_grad(sums_[i]);
  }
}

void RepeatedStep::drop() {
  ++failures_;
  alike_ = 0;
  inputs_.clear();
  buffers_before_.clear();
  written_.clear();
  loss_ = {};
  recording_.reset();
}

}  // namespace nnm::train
