// What the classes of layers have in common: their options, constructors and new parameters.
#pragma once

#include <concepts>
#include <initializer_list>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "nnm/base/registry.h"
#include "nnm/nn/construct.h"
#include "nnm/nn/module.h"
#include "nnm/nn/repr.h"

namespace nnm::nn {

/// A list of extents of which one may be given alone: `LayerNorm(768)`.
struct Sizes : std::vector<int64_t> {
  using std::vector<int64_t>::vector;
  Sizes() = default;
  Sizes(std::vector<int64_t> v) : std::vector<int64_t>(std::move(v)) {}
  Sizes(int64_t one) : std::vector<int64_t>{one} {}
  Sizes(int one) : Sizes(int64_t{one}) {}
  Shape shape() const { return Shape(std::span<const int64_t>(*this)); }
  /// "(2, 3)"
  std::string repr() const { return Value::tuple(Values(begin(), end())).repr(); }
};

namespace detail {
template <class T>
inline constexpr bool kOptional = false;
template <class T>
inline constexpr bool kOptional<std::optional<T>> = true;

/// An argument of a constructor on its way to the member of Options that it initialises: converts
/// to whatever the argument does, to narrower numbers too. Options in parentheses would do the
/// same, but not with clang before version 16. An optional is made by its own constructor.
template <class A>
struct Argument {
  A&& value;
  template <class T>
  requires(std::is_convertible_v<A, T> && !kOptional<T>) operator T() const {
    return static_cast<T>(std::forward<A>(value));
  }
  template <class T>
  requires(std::is_convertible_v<A, std::optional<T>> && !std::is_convertible_v<A, T>)
  operator std::optional<T>() const {
    return std::forward<A>(value);
  }
};
template <class Options, class... A>
Options options_of(A&&... a) {
  return Options{Argument<A>{std::forward<A>(a)}...};
}

template <class Type, class Options, size_t kRequired, class... A>
inline constexpr bool kPositional = sizeof...(A) >= kRequired &&
                                    !(sizeof...(A) == 1 &&
                                      (std::derived_from<std::remove_cvref_t<A>, Type> || ...)) &&
                                    !(sizeof...(A) == 1 &&
                                      (std::same_as<std::remove_cvref_t<A>, Options> || ...)) &&
                                    requires(A && ... a) {
  Options{Argument<A>{std::forward<A>(a)}...};
};
template <class Options, size_t kRequired, class... A>
inline constexpr bool kLeading = sizeof...(A) == kRequired&& requires(A&&... a) {
  Options{Argument<A>{std::forward<A>(a)}...};
};
/// A tuple as C++ writes one: `{3, 5}`. No template argument is deduced from it.
using Braces = std::initializer_list<int64_t>;
/// The same with arguments after the required ones, the last of which are braces.
template <class Options, size_t kRequired, size_t kGiven, class... A>
inline constexpr bool kBraced = kGiven == kRequired&& requires(A&&... a) {
  Options{Argument<A>{std::forward<A>(a)}...};
};
}  // namespace detail

/// Stands first in a layer class, after its struct Options, whose members are PyTorch's arguments
/// in PyTorch's order, the first `required` of them without defaults; all have
/// initialisers, so that no compiler misses those left out. Declares the options, their
/// Spec, and the constructors: in order, the required ones and then by name, or all by name.
///   nn::Conv2d(3, 8, 3)    nn::Conv2d(3, 8, 3, {.padding = 1, .bias = false})
///   nn::Conv2d({.in_channels = 3, .out_channels = 8, .kernel_size = {3, 5}})
/// The last of the required ones may be a tuple in braces, as those in Options may:
///   nn::Conv2d(3, 8, {3, 5}, {.stride = {2, 1}})    nn::MaxPool2d({3, 2})
#define NNM_LAYER(Type, required)                                                                 \
  static const Spec<Options>& spec();                                                             \
  explicit Type(const Options& options);                                                          \
  template <class... A>                                                                           \
  requires(::nnm::nn::detail::kPositional<Type, Options, required, A...>) explicit Type(A&&... a) \
      : Type(::nnm::nn::detail::options_of<Options>(std::forward<A>(a)...)) {}                    \
  template <class A>                                                                              \
  requires(::nnm::nn::detail::kLeading<Options, required, A>) Type(A&& a, const Options& rest)    \
      : Type(spec().joined(::nnm::nn::detail::options_of<Options>(std::forward<A>(a)), rest,      \
                           required)) {}                                                          \
  template <class A, class B>                                                                     \
  requires(::nnm::nn::detail::kLeading<Options, required, A, B>)                                  \
      Type(A&& a, B&& b, const Options& rest)                                                     \
      : Type(spec().joined(                                                                       \
            ::nnm::nn::detail::options_of<Options>(std::forward<A>(a), std::forward<B>(b)), rest, \
            required)) {}                                                                         \
  template <class A, class B, class C>                                                            \
  requires(::nnm::nn::detail::kLeading<Options, required, A, B, C>)                               \
      Type(A&& a, B&& b, C&& c, const Options& rest)                                              \
      : Type(spec().joined(::nnm::nn::detail::options_of<Options>(                                \
                               std::forward<A>(a), std::forward<B>(b), std::forward<C>(c)),       \
                           rest, required)) {}                                                    \
  NNM_BRACED_LAYER(Type, required)                                                                \
  Type(const Type&) = default;                                                                    \
  /* const Options are copied, which might throw; a std::vector is to move all the same. */       \
  Type(Type&&) noexcept = default;                                                                \
  ::nnm::Ref<::nnm::Module> copied() const override { return ::nnm::make_ref<Type>(*this); }      \
  const Options options

/// The part of NNM_LAYER for braces: after no, one or two other arguments; then more of them in
/// order, or the rest by name.
#define NNM_BRACED_LAYER(Type, required)                                                          \
  template <class... R>                                                                           \
  requires(::nnm::nn::detail::kBraced<Options, required, 1, ::nnm::nn::detail::Braces,            \
                                      R...>) explicit Type(::nnm::nn::detail::Braces a, R&&... r) \
      : Type(::nnm::nn::detail::options_of<Options>(a, std::forward<R>(r)...)) {}                 \
  template <class A, class... R>                                                                  \
  requires(::nnm::nn::detail::kBraced<Options, required, 2, A, ::nnm::nn::detail::Braces, R...>)  \
      Type(A&& a, ::nnm::nn::detail::Braces b, R&&... r)                                          \
      : Type(::nnm::nn::detail::options_of<Options>(std::forward<A>(a), b,                        \
                                                    std::forward<R>(r)...)) {}                    \
  template <class A, class B, class... R>                                                         \
  requires(                                                                                       \
      ::nnm::nn::detail::kBraced<Options, required, 3, A, B, ::nnm::nn::detail::Braces, R...>)    \
      Type(A&& a, B&& b, ::nnm::nn::detail::Braces c, R&&... r)                                   \
      : Type(::nnm::nn::detail::options_of<Options>(std::forward<A>(a), std::forward<B>(b), c,    \
                                                    std::forward<R>(r)...)) {}                    \
  template <class O = Options>                                                                    \
  requires(::nnm::nn::detail::kLeading<O, required, ::nnm::nn::detail::Braces>)                   \
      Type(::nnm::nn::detail::Braces a, const O& rest)                                            \
      : Type(spec().joined(::nnm::nn::detail::options_of<O>(a), rest, required)) {}               \
  template <class A, class O = Options>                                                           \
  requires(::nnm::nn::detail::kLeading<O, required, A, ::nnm::nn::detail::Braces>)                \
      Type(A&& a, ::nnm::nn::detail::Braces b, const O& rest)                                     \
      : Type(spec().joined(::nnm::nn::detail::options_of<O>(std::forward<A>(a), b), rest,         \
                           required)) {}                                                          \
  template <class A, class B, class O = Options>                                                  \
  requires(::nnm::nn::detail::kLeading<O, required, A, B, ::nnm::nn::detail::Braces>)             \
      Type(A&& a, B&& b, ::nnm::nn::detail::Braces c, const O& rest)                              \
      : Type(spec().joined(                                                                       \
            ::nnm::nn::detail::options_of<O>(std::forward<A>(a), std::forward<B>(b), c), rest,    \
            required)) {}

/// A layer of one tensor to one tensor, with options of that type.
#define NNM_TENSOR_LAYER(Type, OptionsType, required) \
  class Type : public Module {                        \
   public:                                            \
    using Options = OptionsType;                      \
    NNM_LAYER(Type, required);                        \
    using Module::forward;                            \
    Tensor forward(const Tensor& x) override;         \
    std::string extra_repr() const override;          \
  }

/// A parameter of the type and on the device that Construction says, not filled yet.
inline Tensor new_parameter(const Shape& shape) {
  return parameter(empty(shape, Construction::current().options()));
}
inline Tensor new_buffer(const Shape& shape) {
  return empty(shape, Construction::current().options());
}
/// The last statement of a layer's constructor: draws the parameters, unless `initialize` will.
inline void draw_parameters(Module& m) {
  if (!Construction::current().defer_init) m.reset_parameters(Streams());
}

}  // namespace nnm::nn

namespace nnm {

template <>
struct Codec<nn::Sizes> : Codec<std::vector<int64_t>> {};

}  // namespace nnm
