// Backward hooks of one call, run by two identity nodes around its forward.
#include "nnm/nn/bound_backward.h"

#include "nnm/autograd/onlooker.h"
#include "nnm/autograd/record.h"
#include "nnm/nn/hooks_detail.h"
#include "nnm/nn/module.h"
#include "nnm/nn/onlooker.h"

namespace nnm {

namespace {

thread_local uint64_t running_call = 0;

constexpr const char* kNodeName = "BackwardHookFunctionBackward";
constexpr const char* kFunctionName = "BackwardHookFunction";

// The engine's rules for a gradient that a hook replaces.
void check_replaced(const InputMeta& was, const Tensor& got) {
  if (!got.defined()) return;
  NNM_CHECK(got.shape() == was.sizes, runtime, "hook 'hook' has changed the size of value");
  NNM_CHECK(got.dtype() == was.dtype, runtime,
            "hook 'hook' has changed the type of value (was {} got {})",
            legacy_type_name(was.dtype), legacy_type_name(got.dtype()));
}

Tensor or_zeros(const Tensor& grad, const InputMeta& meta) {
  return grad.defined() ? grad : engine_ops.zeros(meta.sizes, {meta.dtype, meta.device});
}

}  // namespace

uint64_t hooked_call() { return running_call; }

HooksOfCall::HooksOfCall(uint64_t call) : before_(std::exchange(running_call, call)) {}
HooksOfCall::~HooksOfCall() { running_call = before_; }

class BoundBackward::Identity final : public Node {
 public:
  Identity(Ref<BoundBackward> hook, bool output, std::vector<InputMeta> metas)
      : Node(!output && hook->looks_on() ? kOnlookerName : kNodeName, metas.size(), metas.size()),
        hook_(std::move(hook)),
        metas_(std::move(metas)),
        output_(output) {}
  void apply(std::span<Tensor> grads, std::span<Tensor> out) override {
    if (output_) hook_->output_backward(metas_, grads, out);
    else hook_->input_backward(metas_, grads, out);
  }
  bool runs_without_gradient() const override { return true; }

 private:
  Ref<BoundBackward> hook_;
  std::vector<InputMeta> metas_;
  bool output_;
};

HookedModule::HookedModule(Ref<ModuleHooks> hooks)
    : hooks_(std::move(hooks)), keep_(hooks_->owner->use_count() > 0 ? hooks_->owner : nullptr) {}
HookedModule::HookedModule(const HookedModule&) = default;
HookedModule::~HookedModule() = default;

Module& HookedModule::get() const {
  NNM_CHECK(hooks_->owner, runtime,
            "a backward hook's module is no more; a module on the stack must outlive the backward "
            "of what it computed, or be made by make_ref");
  return *hooks_->owner;
}

BoundBackward::BoundBackward(const Ref<ModuleHooks>& hooks, uint64_t call, std::vector<Pre> pre,
                             std::vector<Full> full)
    : module_(hooks), call_(call), pre_(std::move(pre)), full_(std::move(full)) {}

BoundBackward::~BoundBackward() = default;

// Whether there are hooks, and none of them replaces a gradient of the inputs.
bool BoundBackward::looks_on() const {
  bool any = false;
  for (const Full& list : full_) {
    if (!list) continue;
    for (const auto& item : *list) {
      if (!item.hook.target<BackwardOnlooker>()) return false;
      any = true;
    }
  }
  return any;
}

void BoundBackward::wrap_inputs(Values& args) { wrap(args, inputs_, false); }

Value BoundBackward::wrap_output(const Value& output) {
  const bool tuple = output.is(Value::Kind::tuple);
  if (!tuple && !output.holds<Tensor>()) {
    warn_once(
        fmt::format("For backward hooks to be called, module output should be a Tensor or a "
                    "tuple of Tensors but received <class '{}'>",
                    output.type_name()));
  }
  Values values = tuple ? output.items() : Values{output};
  if (!wrap(values, outputs_, true)) return output;
  return tuple ? Value::tuple(std::move(values)) : values[0];
}

bool BoundBackward::wrap(Values& values, Side& side, bool output) {
  side.size = values.size();
  std::vector<size_t> index;
  Tensors tensors;
  bool requires_grad = false;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!values[i].holds<Tensor>()) continue;
    index.push_back(i);
    tensors.push_back(values[i].as<Tensor>());
    requires_grad |= tensors.back().requires_grad();
  }
  if (!requires_grad || !grad_enabled()) return false;
  std::vector<InputMeta> metas;
  for (const Tensor& t : tensors) metas.push_back({t.shape(), t.dtype(), t.device()});
  const auto node = make_ref<Identity>(Ref<BoundBackward>(this), output, std::move(metas));
  // What needs no gradient becomes a view as well, but stays off the tape.
  Tensors views, recorded;
  for (const Tensor& t : tensors) {
    views.push_back(t.detach());
    recorded.push_back(t.requires_grad() ? views.back() : Tensor());
  }
  detail::attach(node.get(), recorded, tensors);
  for (size_t k = 0; k < views.size(); ++k) {
    if (recorded[k].defined()) {
      detail::mark_view(recorded[k]);
      autograd_meta(recorded[k]).no_inplace = kFunctionName;
    }
    values[index[k]] = views[k];
  }
  side.index = std::move(index);
  return true;
}

void BoundBackward::output_backward(std::span<const InputMeta> metas, std::span<Tensor> grads,
                                    std::span<Tensor> out) {
  const HooksOfCall running(call_);
  Tensors grad_output(outputs_.size);
  for (size_t k = 0; k < grads.size(); ++k) grad_output[(*outputs_.index)[k]] = grads[k];
  for (const Pre& list : pre_) {
    if (!list) continue;
    for (const auto& item : *list) {
      std::optional<Tensors> replaced = item.hook(module_.get(), grad_output);
      if (!replaced) continue;
      NNM_CHECK(replaced->size() == grad_output.size(), runtime,
                "Backward pre hook returned an invalid number of grad_output, got {}, but expected "
                "{}",
                replaced->size(), grad_output.size());
      grad_output = std::move(*replaced);
    }
  }
  for (size_t k = 0; k < grads.size(); ++k) {
    out[k] = grad_output[(*outputs_.index)[k]];
    check_replaced(metas[k], out[k]);
  }
  grad_output_ = std::move(grad_output);
  if (!inputs_.index) run_without_inputs();
}

void BoundBackward::run_without_inputs() {
  const Tensors grad_output = std::move(*grad_output_);
  grad_output_.reset();
  warn_once(
      "Full backward hook is firing when gradients are computed with respect to module outputs "
      "since no inputs require gradients. See https://docs.pytorch.org/docs/main/generated/"
      "torch.nn.Module.html#torch.nn.Module.register_full_backward_hook for more details.");
  const Tensors none(inputs_.size);
  for (const Full& list : full_) {
    if (!list) continue;
    for (const auto& item : *list) {
      const std::optional<Tensors> replaced = item.hook(module_.get(), none, grad_output);
      if (!replaced) continue;
      for (const Tensor& g : *replaced) {
        NNM_CHECK(!g.defined(), runtime,
                  "Backward hook for Modules where no input requires gradient should always return "
                  "None or None for all gradients.");
      }
    }
  }
}

void BoundBackward::input_backward(std::span<const InputMeta> metas, std::span<Tensor> grads,
                                   std::span<Tensor> out) {
  for (size_t k = 0; k < grads.size(); ++k) out[k] = or_zeros(grads[k], metas[k]);
  // A gradient that did not pass through the output (a second order one): the hooks do not run.
  if (!grad_output_) return;
  const HooksOfCall running(call_);
  const Tensors grad_output = std::move(*grad_output_);
  grad_output_.reset();
  Tensors grad_input(inputs_.size);
  for (size_t k = 0; k < grads.size(); ++k) grad_input[(*inputs_.index)[k]] = out[k];
  for (const Full& list : full_) {
    if (!list) continue;
    for (const auto& item : *list) {
      std::optional<Tensors> replaced = item.hook(module_.get(), grad_input, grad_output);
      if (!replaced) continue;
      NNM_CHECK(replaced->size() == grad_input.size(), runtime,
                "Backward hook returned an invalid number of grad_input, got {}, but expected {}",
                replaced->size(), grad_input.size());
      grad_input = std::move(*replaced);
    }
  }
  for (size_t k = 0; k < grads.size(); ++k) {
    out[k] = grad_input[(*inputs_.index)[k]];
    check_replaced(metas[k], out[k]);
  }
}

}  // namespace nnm
