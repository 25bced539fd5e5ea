// Batch and instance normalisation, which keep running statistics.
#include "nnm/autograd/node.h"
#include "nnm/nn/hooks_detail.h"
#include "nnm/nn/init.h"
#include "nnm/nn/layers/norm.h"
#include "nnm/ops/functional.h"

namespace nnm::nn {

namespace {

template <class Options>
Spec<Options> norm_spec(const char* name, const char* doc) {
  return Spec<Options>(name, doc)
      .req(NNM_ARG(num_features), "number of channels", at_least(0))
      .opt(NNM_ARG(eps), "added to the variance")
      .opt(NNM_ARG(momentum), "weight of a batch in the running statistics; none: their average")
      .opt(NNM_ARG(affine), "learn a scale and a shift for each channel")
      .opt(NNM_ARG(track_running_stats), "keep statistics for evaluation mode")
      .opt(NNM_ARG(bias), "learn the shift");
}

template <class Options>
std::string norm_text(const Options& o, bool has_bias) {
  return fmt::format("{}, eps={}, momentum={}, affine={}, bias={}, track_running_stats={}",
                     o.num_features, Codec<Scalar>::write(o.eps).repr(),
                     Codec<std::optional<Scalar>>::write(o.momentum).repr(),
                     o.affine ? "True" : "False", has_bias ? "True" : "False",
                     o.track_running_stats ? "True" : "False");
}

template <class Layer>
Tensor batch_norm_forward(Layer& m, double factor, const Tensor& x) {
  const bool training = m.training();
  const bool use_buffers = !training || m.options.track_running_stats;
  const Tensor none;
  return batch_norm(x, use_buffers ? *m.running_mean : none, use_buffers ? *m.running_var : none,
                    m.weight, m.bias, training || !m.running_mean.defined(), factor,
                    m.options.eps.d);
}

}  // namespace

void NormBase::make(int64_t n, bool affine, bool with_bias, bool track_running_stats) {
  const bool track = track_running_stats;
  weight = register_parameter("weight", affine ? new_parameter({n}) : Tensor());
  bias = register_parameter("bias", affine && with_bias ? new_parameter({n}) : Tensor());
  running_mean = register_buffer("running_mean", track ? new_buffer({n}) : Tensor());
  running_var = register_buffer("running_var", track ? new_buffer({n}) : Tensor());
  const Device device = Construction::current().device;
  num_batches_tracked =
      register_buffer("num_batches_tracked", track ? empty({}, {DType::i64, device}) : Tensor());
  // Statistics start the same in every run: they are not left for `initialize`.
  reset_running_stats();
  draw_parameters(*this);
}

void NormBase::reset_running_stats() {
  if (!running_mean) return;
  init::zeros_(*running_mean);
  init::ones_(*running_var);
  init::zeros_(*num_batches_tracked);
}

void NormBase::reset_parameters(const Streams&) {
  reset_running_stats();
  if (weight) init::ones_(*weight);
  if (bias) init::zeros_(*bias);
}

double NormBase::count_batch(const std::optional<Scalar>& momentum) {
  if (training() && num_batches_tracked) {
    add_(*num_batches_tracked, 1);
    if (!momentum && !num_batches_tracked->is_meta()) return 1 / num_batches_tracked->item().d;
  }
  return momentum ? momentum->d : 0;
}

void NormBase::load_from_state_dict(LoadContext& c) {
  const std::string key = c.prefix + "num_batches_tracked";
  if (c.version.value_or(1) < 2 && running_mean && !c.state_dict.contains(key)) {
    const bool known = num_batches_tracked && !num_batches_tracked->is_meta();
    c.state_dict.set(key, known ? *num_batches_tracked : zeros({}, {DType::i64}));
  }
  Module::load_from_state_dict(c);
}

const Spec<BatchNorm1d::Options>& BatchNorm1d::spec() {
  static const auto s =
      norm_spec<Options>("BatchNorm1d", "normalises each channel of (N, C) or (N, C, L)");
  return s;
}

BatchNorm1d::BatchNorm1d(const Options& o) : options(o) {
  make(o.num_features, o.affine, o.bias, o.track_running_stats);
}

Tensor BatchNorm1d::forward(const Tensor& x) {
  NNM_CHECK(x.dim() == 2 || x.dim() == 3, value, "expected 2D or 3D input (got {}D input)",
            x.dim());
  return batch_norm_forward(*this, count_batch(options.momentum), x);
}

std::string BatchNorm1d::extra_repr() const { return norm_text(options, bias.defined()); }

NNM_REGISTER(Module, BatchNorm1d);

const Spec<BatchNorm2d::Options>& BatchNorm2d::spec() {
  static const auto s =
      norm_spec<Options>("BatchNorm2d", "normalises each channel of (N, C, H, W)");
  return s;
}

BatchNorm2d::BatchNorm2d(const Options& o) : options(o) {
  make(o.num_features, o.affine, o.bias, o.track_running_stats);
}

Tensor BatchNorm2d::forward(const Tensor& x) {
  NNM_CHECK(x.dim() == 4, value, "expected 4D input (got {}D input)", x.dim());
  return batch_norm_forward(*this, count_batch(options.momentum), x);
}

std::string BatchNorm2d::extra_repr() const { return norm_text(options, bias.defined()); }

NNM_REGISTER(Module, BatchNorm2d);

const Spec<BatchNorm3d::Options>& BatchNorm3d::spec() {
  static const auto s =
      norm_spec<Options>("BatchNorm3d", "normalises each channel of (N, C, D, H, W)");
  return s;
}

BatchNorm3d::BatchNorm3d(const Options& o) : options(o) {
  make(o.num_features, o.affine, o.bias, o.track_running_stats);
}

Tensor BatchNorm3d::forward(const Tensor& x) {
  NNM_CHECK(x.dim() == 5, value, "expected 5D input (got {}D input)", x.dim());
  return batch_norm_forward(*this, count_batch(options.momentum), x);
}

std::string BatchNorm3d::extra_repr() const { return norm_text(options, bias.defined()); }

NNM_REGISTER(Module, BatchNorm3d);

const Spec<SyncBatchNorm::Options>& SyncBatchNorm::spec() {
  static const auto s =
      Spec<Options>("SyncBatchNorm", "normalises each channel of (N, C, …)")
          .req(NNM_ARG(num_features), "number of channels", at_least(0))
          .opt(NNM_ARG(eps), "added to the variance")
          .opt(NNM_ARG(momentum),
               "weight of a batch in the running statistics; none: their average")
          .opt(NNM_ARG(affine), "learn a scale and a shift for each channel")
          .opt(NNM_ARG(track_running_stats), "keep statistics for evaluation mode")
          .opt(NNM_ARG(process_group), "none: there is one process")
          .keyword_only()
          .opt(NNM_ARG(bias), "learn the shift");
  return s;
}

SyncBatchNorm::SyncBatchNorm(const Options& o) : options(o) {
  NNM_CHECK(o.process_group.is_none(), value,
            "process_group must be none: one process has all of a batch");
  make(o.num_features, o.affine, o.bias, o.track_running_stats);
}

Tensor SyncBatchNorm::forward(const Tensor& x) {
  NNM_CHECK(x.dim() >= 2, value, "expected at least 2D input (got {}D input)", x.dim());
  NNM_CHECK(x.size(1) != 0, value, "SyncBatchNorm number of input channels should be non-zero");
  return batch_norm_forward(*this, count_batch(options.momentum), x);
}

std::string SyncBatchNorm::extra_repr() const { return norm_text(options, bias.defined()); }

NNM_REGISTER(Module, SyncBatchNorm);

Tensor InstanceNormBase::normalized(const Tensor& x, int rank, const InstanceNormOptions& o) {
  NNM_CHECK(x.dim() == rank - 1 || x.dim() == rank, value,
            "expected {}D or {}D input (got {}D input)", rank - 1, rank, x.dim());
  const int at = x.dim() - rank + 1;
  const int64_t channels = x.size(at);
  if (channels != o.num_features) {
    NNM_CHECK(!o.affine, value,
              "expected input's size at dim={} to match num_features ({}), but got: {}.", at,
              o.num_features, channels);
    warn_once(
        fmt::format("input's size at dim={} does not match num_features. You can silence this "
                    "warning by not passing in num_features, which is not used because "
                    "affine=False",
                    at));
  }
  const Tensor y =
      instance_norm(at == 0 ? unsqueeze(x, 0) : x, running_mean, running_var, weight, bias,
                    training() || !o.track_running_stats, o.momentum ? o.momentum->d : 0, o.eps.d);
  return at == 0 ? squeeze(y, 0) : y;
}

void InstanceNormBase::load_state(LoadContext& c, const InstanceNormOptions& o) {
  if (!c.version && !o.track_running_stats) {
    std::string found;
    for (const char* name : {"running_mean", "running_var"}) {
      const std::string key = c.prefix + name;
      if (!c.state_dict.erase(key)) continue;
      found += (found.empty() ? "\"" : " and \"") + key + "\"";
    }
    if (!found.empty()) {
      c.error_msgs.push_back(fmt::format(
          "Unexpected running stats buffer(s) {0} for {1} with track_running_stats=False. If "
          "state_dict is a checkpoint saved before 0.4.0, this may be expected because {1} does "
          "not track running stats by default since 0.4.0. Please remove these keys from "
          "state_dict. If the running stats are actually needed, instead set "
          "track_running_stats=True in {1} to enable them. See the documentation of {1} for "
          "details.",
          found, type_name()));
    }
  }
  NormBase::load_from_state_dict(c);
}

#define NNM_INSTANCE_NORM_LAYER(Type, rank)                                                    \
  const Spec<InstanceNormOptions>& Type::spec() {                                              \
    static const auto s = norm_spec<Options>(#Type, "normalises each channel of each sample"); \
    return s;                                                                                  \
  }                                                                                            \
  Type::Type(const Options& o) : options(o) {                                                  \
    make(o.num_features, o.affine, o.bias, o.track_running_stats);                             \
  }                                                                                            \
  Tensor Type::forward(const Tensor& x) { return normalized(x, rank, options); }               \
  std::string Type::extra_repr() const { return norm_text(options, bias.defined()); }          \
  NNM_REGISTER(Module, Type)

NNM_INSTANCE_NORM_LAYER(InstanceNorm1d, 3);
NNM_INSTANCE_NORM_LAYER(InstanceNorm2d, 4);
NNM_INSTANCE_NORM_LAYER(InstanceNorm3d, 5);

}  // namespace nnm::nn
