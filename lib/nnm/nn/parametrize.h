// torch.nn.utils.parametrize: parameters that are computed of others whenever they are read.
//
//   struct Symmetric : nn::utils::parametrize::Parametrization {
//     Tensor forward(const Tensor& x) override { return triu(x) + t(triu(x, 1)); }
//     Value right_inverse(const Tensor& a) override { return triu(a); }
//   };
//   nn::Linear fc(5, 5);
//   nn::utils::parametrize::register_parametrization(fc, "weight", make_ref<Symmetric>());
//   fc.weight.get();                               // symmetric
//   fc.get_parameter("parametrizations.weight.original");   // what the optimizer trains
#pragma once

#include <string>
#include <string_view>

#include "nnm/nn/computed.h"
#include "nnm/nn/layers/container.h"

namespace nnm::nn::utils::parametrize {

/// What a tensor is computed by. Any module will do, whose forward takes the original and returns
/// the tensor; this one can go back as well.
class Parametrization : public Module {
 public:
  /// The original that gives `value`, or a tuple of several, which forward takes as its arguments.
  /// None: there is no way back, and the tensor there was is taken for the original.
  virtual Value right_inverse(const Tensor& value);
  /// Starts what it keeps of the original anew, after that was drawn (see initialize).
  virtual void start(const Tensor& original, const Streams& streams);
};

/// module.parametrizations.weight: the maps in order, and the parameters (or buffers) `original`,
/// or `original0`, `original1` … where the first map takes several.
class ParametrizationList : public ModuleList {
 public:
  /// Throws Error(value) for maps that change the shape or type, unless `unsafe`.
  ParametrizationList(const std::vector<Ref<Module>>& maps, const Tensor& original, bool unsafe);
  Value forward(const Args& args) override;
  Tensor value();
  /// Sets the originals so that `value` comes out.
  void right_inverse(const Tensor& value);
  void start(uint64_t seed, const std::string& path);
  bool is_single() const { return single_; }
  bool unsafe() const { return unsafe_; }
  void allow_unsafe() { unsafe_ = true; }
  Tensors originals() const;
  /// Whether that was the parameter before it was parametrized.
  bool was(const Tensor& t) const { return before_.is_same(t); }
  Ref<Module> copied() const override { return make_ref<ParametrizationList>(*this); }

 private:
  void check_value(const Tensor& original);

  bool single_ = true, unsafe_ = false;
  Tensor before_;
};

/// Computes module's parameter or buffer `name` by `parametrization` from now on; a second one
/// takes what the first computes. Once in each call of the module, and at each reading outside of
/// one. The parameters are at parametrizations.<name>.original then. `unsafe`: the shape and the
/// type may change, and nothing is tried out. Throws Error(value) as PyTorch does. Returns the
/// module.
Module& register_parametrization(Module& module, const std::string& name,
                                 const Ref<Module>& parametrization, bool unsafe = false);
/// register_parametrization(fc, "weight", Symmetric())
template <std::derived_from<Module> T>
Module& register_parametrization(Module& module, const std::string& name, T&& parametrization,
                                 bool unsafe = false) {
  return register_parametrization(module, name,
                                  Ref<Module>(Ref<T>(std::forward<T>(parametrization))), unsafe);
}

/// Whether the tensor is, or (without a name) any of the module's.
bool is_parametrized(const Module& module, std::string_view name = {});

/// The maps of a parametrized tensor. Throws Error(value).
ParametrizationList& parametrizations(const Module& module, std::string_view name);

/// Makes the tensor a parameter again, with the value it has or (leave_parametrized false) with
/// that of its original. Throws Error(value) where there are several originals, or none. Returns
/// the module.
Module& remove_parametrizations(Module& module, const std::string& name,
                                bool leave_parametrized = true);

/// The class's name as it was: "Linear" of a ParametrizedLinear.
std::string type_before_parametrizations(const Module& module);

/// `with cached():` what is read twice is computed once, on this thread, while it lives.
using Cached = ComputedScope;

}  // namespace nnm::nn::utils::parametrize
