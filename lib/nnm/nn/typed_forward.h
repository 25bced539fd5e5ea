// NNM_FORWARD: a forward of several arguments, with their types, names and defaults.
#pragma once

#include <type_traits>
#include <utility>

#include "nnm/nn/module.h"

namespace nnm::detail {

// Of a class's forwards only the one of two or more arguments fits `f`: overload resolution picks
// it, and its parameters say how the arguments are read.
template <class M, class R, class A0, class A1, class... A>
Value typed_forward(M& m, R (M::*f)(A0, A1, A...), const Values& bound) {
  NNM_CHECK(bound.size() == 2 + sizeof...(A), not_implemented,
            "{}: NNM_FORWARD names {} arguments, forward takes {}", m.type_name(), bound.size(),
            2 + sizeof...(A));
  const auto call = [&]<size_t... I>(std::index_sequence<I...>) {
    return Value((m.*f)(Codec<std::remove_cvref_t<A0>>::read(bound[0]),
                        Codec<std::remove_cvref_t<A1>>::read(bound[1]),
                        Codec<std::remove_cvref_t<A>>::read(bound[2 + I])...));
  };
  return call(std::make_index_sequence<sizeof...(A)>());
}

}  // namespace nnm::detail

/// Stands in a class with a forward of two or more arguments, and says how calls bind to them, by
/// position and by name. They may be tensors (undefined for none), bool, int64_t, double, texts,
/// dtypes, modules, std::vector and std::optional of them, or Value for whatever comes.
///   struct Siamese : Module {
///     NNM_FORWARD(Siamese, "x1: Tensor, x2: Tensor, margin: float = 1.0");
///     Tensor forward(const Tensor& x1, const Tensor& x2, double margin);
/// Calls throw BindError, in Python's words, for arguments that do not fit.
#define NNM_FORWARD(Type, parameters)                                                             \
  using ::nnm::Module::forward;                                                                   \
  ::nnm::Value forward(const ::nnm::Args& args) override {                                        \
    static const ::nnm::Signature signature = ::nnm::Signature::parse("forward(" parameters ")"); \
    return ::nnm::detail::typed_forward<Type>(*this, &Type::forward,                              \
                                              forward_args(signature, args));                     \
  }                                                                                               \
  static_assert(true)
