// torch.nn.utils: parameters as one vector, fused norms, the older weight norms.
#include "nnm/nn/utils.h"

#include "nnm/autograd/node.h"

namespace nnm::nn::utils {

namespace {

void check_one_device(const Tensors& parameters) {
  for (const Tensor& p : parameters)
    NNM_CHECK(p.device() == parameters[0].device(), type,
              "Found two parameters on different devices, this is currently not supported.");
}

}  // namespace

Tensor parameters_to_vector(const Tensors& parameters) {
  check_one_device(parameters);
  Tensors flat;
  for (const Tensor& p : parameters) flat.push_back(reshape(p, {-1}));
  return cat(flat);
}

void vector_to_parameters(const Tensor& vec, const Tensors& parameters) {
  check_one_device(parameters);
  const NoGradGuard no_grad;
  int64_t from = 0;
  for (const Tensor& p : parameters) {
    nnm::detail::set_data(p, view(narrow(vec.detach(), 0, from, p.numel()), p.shape()));
    from += p.numel();
  }
}

std::pair<Tensor, Tensor> fuse_conv_bn_weights(const Tensor& conv_w, const Tensor& conv_b,
                                               const Tensor& bn_rm, const Tensor& bn_rv,
                                               double bn_eps, const Tensor& bn_w,
                                               const Tensor& bn_b, bool transpose) {
  const NoGradGuard no_grad;
  const Tensor bias = conv_b.defined() ? conv_b : zeros_like(bn_rm);
  const Tensor scale_of = bn_w.defined() ? bn_w : ones_like(bn_rm);
  const Tensor shift = bn_b.defined() ? bn_b : zeros_like(bn_rm);
  const Tensor root = rsqrt(bn_rv + Scalar(bn_eps));
  Shape along = Shape::filled(conv_w.dim(), 1);
  along[transpose ? 1 : 0] = -1;
  const Tensor weight = to(conv_w * reshape(scale_of * root, along), conv_w.dtype());
  const Tensor fused_bias = to((bias - bn_rm) * root * scale_of + shift,
                               conv_b.defined() ? conv_b.dtype() : conv_w.dtype());
  return {parameter(weight, conv_w.requires_grad()), parameter(fused_bias, bias.requires_grad())};
}

std::pair<Tensor, Tensor> fuse_linear_bn_weights(const Tensor& linear_w, const Tensor& linear_b,
                                                 const Tensor& bn_rm, const Tensor& bn_rv,
                                                 double bn_eps, const Tensor& bn_w,
                                                 const Tensor& bn_b) {
  return fuse_conv_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b);
}

void detail::fuse_norm(const Module& layer, Module& fused, const NormBase& norm, double eps,
                       bool transpose) {
  NNM_CHECK(!layer.training() && !norm.training(), runtime, "Fusion only for eval!");
  NNM_CHECK(norm.running_mean.defined() && norm.running_var.defined(), runtime,
            "bn.running_mean and bn.running_var must not be None");
  const Value bias = layer.get_attribute("bias");
  const auto [w, b] = fuse_conv_bn_weights(
      layer.get_attribute("weight").as<Tensor>(), Codec<Tensor>::read(bias), norm.running_mean,
      norm.running_var, eps, norm.weight, norm.bias, transpose);
  fused.set_attribute("weight", w);
  fused.set_attribute("bias", b);
}

namespace {

/// The slot of a registered parameter or buffer.
Ref<TensorSlot> slot_of_name(const Module& m, const std::string& name) {
  for (const auto slots : {m.parameter_slots(), m.buffer_slots()}) {
    for (const auto& s : slots)
      if (s->name == name) return s;
  }
  fail(ErrorKind::attribute, "'{}' object has no attribute '{}'", m.type_name(), name);
}

/// Slots and the numbers of an older norm. The slots of a copy of the module are the copy's.
struct WeightNormSource final : TensorSource {
  WeightNormSource(Ref<TensorSlot> g_of, Ref<TensorSlot> v_of, std::optional<int64_t> dim_of)
      : g(std::move(g_of)), v(std::move(v_of)), dim(dim_of) {}
  Tensor compute(const Module*) override {
    return v->value * (g->value / norm_except_dim(v->value, dim));
  }
  void assign(const Tensor& value) override {
    const NoGradGuard no_grad;
    copy_(v->value, value);
    copy_(g->value, norm_except_dim(value, dim));
  }
  void start(uint64_t, const std::string&) override {}
  Ref<TensorSource> copied(const std::function<Ref<Module>(const Module&)>&) const override {
    return make_ref<WeightNormSource>(nnm::detail::copied_slot(g), nnm::detail::copied_slot(v),
                                      dim);
  }
  const Ref<TensorSlot> g, v;
  const std::optional<int64_t> dim;
};

struct SpectralNormSource final : TensorSource {
  SpectralNormSource(Ref<TensorSlot> orig_of, Ref<TensorSlot> u_of, Ref<TensorSlot> v_of,
                     int64_t times, double least, int64_t dim_of)
      : orig(std::move(orig_of)),
        u(std::move(u_of)),
        v(std::move(v_of)),
        iterations(times),
        eps(least),
        dim(dim_of) {}
  Tensor compute(const Module* caller) override {
    const Tensor matrix = as_matrix(orig->value, dim);
    if (caller && caller->training()) iterate(matrix.detach());
    // Copies: a later iteration must not change what this backward needs.
    const Tensor left = clone(u->value), right = clone(v->value);
    return orig->value / dot(left, matmul(matrix, right));
  }
  void iterate(const Tensor& matrix) {
    const NoGradGuard no_grad;
    for (int64_t i = 0; i < iterations; ++i) {
      copy_(v->value, normalize(matmul(t(matrix), u->value), 2, 0, eps));
      copy_(u->value, normalize(matmul(matrix, v->value), 2, 0, eps));
    }
  }
  void assign(const Tensor& value) override {
    const NoGradGuard no_grad;
    copy_(orig->value, value);
  }
  void start(uint64_t, const std::string&) override {}
  Ref<TensorSource> copied(const std::function<Ref<Module>(const Module&)>&) const override {
    using nnm::detail::copied_slot;
    return make_ref<SpectralNormSource>(copied_slot(orig), copied_slot(u), copied_slot(v),
                                        iterations, eps, dim);
  }
  const Ref<TensorSlot> orig, u, v;
  const int64_t iterations;
  const double eps;
  const int64_t dim;
};

template <class Source>
Source* old_norm(const Module& m, const std::string& name) {
  for (const auto& slot : m.computed_slots())
    if (slot->name == name) return dynamic_cast<Source*>(slot->source.get());
  return nullptr;
}

/// The parameter that gets a norm. Throws where it has one, or is none.
Tensor parameter_for(Module& m, const std::string& name, const char* norm, bool twice) {
  NNM_CHECK(!twice, runtime, "Cannot register two {} hooks on the same parameter {}", norm, name);
  Tensor weight = slot_of_name(m, name)->value;
  NNM_CHECK(weight.defined(), value, "`{}` cannot be applied as parameter `{}` is None", norm,
            name);
  return weight;
}

}  // namespace

Module& weight_norm(Module& module, const std::string& name, std::optional<int64_t> dim) {
  const Tensor weight = parameter_for(module, name, "weight_norm",
                                      old_norm<WeightNormSource>(module, name) != nullptr);
  const Ref<TensorSlot> slot = module.make_computed(name, nullptr);
  const NoGradGuard no_grad;
  module.register_parameter(name + "_g", parameter(norm_except_dim(weight, dim)));
  module.register_parameter(name + "_v", parameter(weight));
  slot->source = make_ref<WeightNormSource>(slot_of_name(module, name + "_g"),
                                            slot_of_name(module, name + "_v"), dim);
  slot->value = {};
  return module;
}

Module& spectral_norm(Module& module, const std::string& name, int64_t n_power_iterations,
                      double eps, std::optional<int64_t> dim) {
  NNM_CHECK(n_power_iterations > 0, value,
            "Expected n_power_iterations to be positive, but got n_power_iterations={}",
            n_power_iterations);
  const Tensor weight = parameter_for(module, name, "spectral_norm",
                                      old_norm<SpectralNormSource>(module, name) != nullptr);
  const int64_t outputs = dim.value_or(output_dim(module));
  const Ref<TensorSlot> slot = module.make_computed(name, nullptr);
  const NoGradGuard no_grad;
  const Tensor matrix = as_matrix(weight.detach(), outputs);
  module.register_parameter(name + "_orig", weight);
  module.register_buffer(name + "_u",
                         normalize(randn({matrix.size(0)}, matrix.options()), 2, 0, eps));
  module.register_buffer(name + "_v",
                         normalize(randn({matrix.size(1)}, matrix.options()), 2, 0, eps));
  slot->source = make_ref<SpectralNormSource>(
      slot_of_name(module, name + "_orig"), slot_of_name(module, name + "_u"),
      slot_of_name(module, name + "_v"), n_power_iterations, eps, outputs);
  slot->value = {};
  return module;
}

namespace {

/// Ends a computed tensor and drops what it was computed of.
Module& ended(Module& m, const std::string& name, std::initializer_list<const char*> parts) {
  const Tensor value = m.get_attribute(name).as<Tensor>().detach();
  for (const char* part : parts) m.delete_attribute(name + part);
  m.end_computed(name, parameter(value));
  return m;
}

}  // namespace

Module& remove_weight_norm(Module& module, const std::string& name) {
  NNM_CHECK(old_norm<WeightNormSource>(module, name), value, "weight_norm of '{}' not found in {}",
            name, module.repr());
  return ended(module, name, {"_g", "_v"});
}

Module& remove_spectral_norm(Module& module, const std::string& name) {
  NNM_CHECK(old_norm<SpectralNormSource>(module, name), value,
            "spectral_norm of '{}' not found in {}", name, module.repr());
  return ended(module, name, {"_orig", "_u", "_v"});
}

}  // namespace nnm::nn::utils
