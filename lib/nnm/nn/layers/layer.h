// What the classes of layers have in common: their options, constructors and new parameters.
#pragma once

#include <concepts>
#include <initializer_list>
#include <optional>
#include <string>
#include <tuple>
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

/// Whatever a member of Options is. An optional is made by its own constructor.
struct Anything {
  template <class T>
  requires(!kOptional<T>) operator T() const;
};
template <class Options, class... A>
consteval size_t count_members() {
  if constexpr (requires { Options{A{}..., Anything{}}; })
    return count_members<Options, A..., Anything>();
  else return sizeof...(A);
}
template <class Options>
inline constexpr size_t kMembers = count_members<Options>();
/// 1 where the first member is no argument.
template <class Options>
inline constexpr size_t kUnnamed = requires(Options o) {
  o.by_name;
};

/// The members of Options in their order.
template <class Options>
constexpr auto tied(Options& o) {
  constexpr size_t n = kMembers<Options>;
  static_assert(n <= 11);
  if constexpr (n == 1) {
    auto& [a] = o;
    return std::tie(a);
  } else if constexpr (n == 2) {
    auto& [a, b] = o;
    return std::tie(a, b);
  } else if constexpr (n == 3) {
    auto& [a, b, c] = o;
    return std::tie(a, b, c);
  } else if constexpr (n == 4) {
    auto& [a, b, c, d] = o;
    return std::tie(a, b, c, d);
  } else if constexpr (n == 5) {
    auto& [a, b, c, d, e] = o;
    return std::tie(a, b, c, d, e);
  } else if constexpr (n == 6) {
    auto& [a, b, c, d, e, f] = o;
    return std::tie(a, b, c, d, e, f);
  } else if constexpr (n == 7) {
    auto& [a, b, c, d, e, f, g] = o;
    return std::tie(a, b, c, d, e, f, g);
  } else if constexpr (n == 8) {
    auto& [a, b, c, d, e, f, g, h] = o;
    return std::tie(a, b, c, d, e, f, g, h);
  } else if constexpr (n == 9) {
    auto& [a, b, c, d, e, f, g, h, i] = o;
    return std::tie(a, b, c, d, e, f, g, h, i);
  } else if constexpr (n == 10) {
    auto& [a, b, c, d, e, f, g, h, i, j] = o;
    return std::tie(a, b, c, d, e, f, g, h, i, j);
  } else if constexpr (n == 11) {
    auto& [a, b, c, d, e, f, g, h, i, j, k] = o;
    return std::tie(a, b, c, d, e, f, g, h, i, j, k);
  } else {
    return std::tie();
  }
}

/// The type of a member that is not there: nothing can be given for it.
struct NoMember {
  NoMember() = delete;
};
template <class Options, size_t kMember>
constexpr auto member_type() {
  if constexpr (kMember < kMembers<Options>) {
    using All = decltype(tied(std::declval<Options&>()));
    return std::type_identity<std::remove_reference_t<std::tuple_element_t<kMember, All>>>();
  } else {
    return std::type_identity<NoMember>();
  }
}

/// A tuple as C++ writes one: `{3, 5}`.
using Braces = std::initializer_list<int64_t>;

/// An argument of a layer's constructor, for one member of its Options: whatever converts to that,
/// braces for a tuple, or nothing.
template <class Options, size_t kMember>
class Given {
  static constexpr size_t kPlace = kMember + kUnnamed<Options>;
  using T = typename decltype(member_type<Options, kPlace>())::type;

 public:
  Given() = default;
  template <class A>
  requires(std::is_convertible_v<A, T> && !std::same_as<std::remove_cvref_t<A>, Given>) Given(A&& a)
      : value_(static_cast<T>(std::forward<A>(a))) {}
  Given(Braces list) requires(std::is_constructible_v<T, Braces>) : value_(T(list)) {}

  void put(Options& o) const {
    if constexpr (kPlace < kMembers<Options>)
      if (value_) std::get<kPlace>(tied(o)) = *value_;
  }

 private:
  std::optional<T> value_;
};
template <class Options, class... A>
inline constexpr bool kGiven = []<size_t... I>(std::index_sequence<I...>) {
  return (std::is_convertible_v<A, Given<Options, I>> && ...);
}
(std::index_sequence_for<A...>());

/// Options with the first members as given.
template <class Options, class... A>
Options options_of(A&&... a) {
  Options o;
  [&]<size_t... I>(std::index_sequence<I...>) {
    (Given<Options, I>(std::forward<A>(a)).put(o), ...);
  }
  (std::index_sequence_for<A...>());
  return o;
}
}  // namespace detail

/// The first member of Options that hold a tuple: numbers in braces are a tuple then and not the
/// first options, of which each is named.
class ByName {
 public:
  constexpr ByName() = default;
};

/// Stands first in a layer class, after its struct Options, whose members are PyTorch's arguments
/// in PyTorch's order (after ByName), the first `required` of them (at most three) without
/// defaults; all have initialisers, so that no compiler misses those left out. Declares the
/// options, their Spec, and the constructors: in order, the required ones and then by name, or all
/// by name.
///   nn::Conv2d(3, 8, 3)    nn::Conv2d(3, 8, 3, {.padding = 1, .bias = false})
///   nn::Conv2d({.in_channels = 3, .out_channels = 8, .kernel_size = {3, 5}})
/// What is a tuple in PyTorch may be one in braces, wherever it stands:
///   nn::Conv2d(3, 8, {3, 5}, {2, 1}, {4, 2})    nn::Conv2d(3, 8, {3, 5}, {.stride = {2, 1}})
#define NNM_LAYER(Type, required)                                                            \
  static const Spec<Options>& spec();                                                        \
  explicit Type(const Options& options);                                                     \
  NNM_LAYER_OF_##required(Type) Type(const Type&) = default;                                 \
  /* const Options are copied, which might throw; a std::vector is to move all the same. */  \
  Type(Type&&) noexcept = default;                                                           \
  ::nnm::Ref<::nnm::Module> copied() const override { return ::nnm::make_ref<Type>(*this); } \
  const Options options

// The constructors by how many arguments are required: all in order, or Options behind the required
// ones. GCC 12 takes named options for what an argument may be, too: the latter, which take the
// required ones as they come, are preferred to the former, which convert them.
#define NNM_GIVEN(i) std::type_identity_t<::nnm::nn::detail::Given<O, i>>
#define NNM_GIVEN_FROM_3                                                                      \
  NNM_GIVEN(3)                                                                                \
  d = {}, NNM_GIVEN(4) e = {}, NNM_GIVEN(5) f = {}, NNM_GIVEN(6) g = {}, NNM_GIVEN(7) h = {}, \
  NNM_GIVEN(8) i = {}, NNM_GIVEN(9) j = {}
#define NNM_GIVEN_FROM_2 NNM_GIVEN(2) c = {}, NNM_GIVEN_FROM_3
#define NNM_GIVEN_FROM_1 NNM_GIVEN(1) b = {}, NNM_GIVEN_FROM_2
#define NNM_IN_ORDER(Type) \
  Type(::nnm::nn::detail::options_of<O>(a, b, c, d, e, f, g, h, i, j)) {}
#define NNM_BRACES ::nnm::nn::detail::Braces
#define NNM_LAYER_OF_0(Type)   \
  template <class O = Options> \
  explicit Type(NNM_GIVEN(0) a = {}, NNM_GIVEN_FROM_1) : NNM_IN_ORDER(Type)
// A tuple alone might be a layer to copy: a list of numbers is better still.
#define NNM_LAYER_OF_1(Type)                                                                       \
  template <class O = Options>                                                                     \
  explicit Type(NNM_GIVEN(0) a, NNM_GIVEN_FROM_1)                                                  \
      : NNM_IN_ORDER(Type) template <class... None, class O = Options>                             \
  requires(sizeof...(None) == 0 && ::nnm::nn::detail::kGiven<O, NNM_BRACES>) explicit Type(        \
      NNM_BRACES a, None&&...)                                                                     \
      : Type(::nnm::nn::detail::options_of<O>(a)) {}                                               \
  template <class A>                                                                               \
  requires(::nnm::nn::detail::kGiven<Options, A>) Type(A&& a, const Options& rest)                 \
      : Type(spec().joined(::nnm::nn::detail::options_of<Options>(std::forward<A>(a)), rest, 1)) { \
  }                                                                                                \
  template <class O = Options>                                                                     \
  requires(::nnm::nn::detail::kGiven<O, NNM_BRACES>)                                               \
      Type(NNM_BRACES a, const std::type_identity_t<O>& rest)                                      \
      : Type(spec().joined(::nnm::nn::detail::options_of<O>(a), rest, 1)) {}
#define NNM_LAYER_OF_2(Type)                                                                      \
  template <class O = Options>                                                                    \
  explicit Type(NNM_GIVEN(0) a, NNM_GIVEN(1) b, NNM_GIVEN_FROM_2)                                 \
      : NNM_IN_ORDER(Type) template <class A, class B>                                            \
  requires(::nnm::nn::detail::kGiven<Options, A, B>) Type(A&& a, B&& b, const Options& rest)      \
      : Type(spec().joined(                                                                       \
            ::nnm::nn::detail::options_of<Options>(std::forward<A>(a), std::forward<B>(b)), rest, \
            2)) {}
#define NNM_LAYER_OF_3(Type)                                                                   \
  template <class O = Options>                                                                 \
  explicit Type(NNM_GIVEN(0) a, NNM_GIVEN(1) b, NNM_GIVEN(2) c, NNM_GIVEN_FROM_3)              \
      : NNM_IN_ORDER(Type) template <class A, class B, class C>                                \
  requires(::nnm::nn::detail::kGiven<Options, A, B, C>)                                        \
      Type(A&& a, B&& b, C&& c, const Options& rest)                                           \
      : Type(spec().joined(::nnm::nn::detail::options_of<Options>(                             \
                               std::forward<A>(a), std::forward<B>(b), std::forward<C>(c)),    \
                           rest, 3)) {}                                                        \
  template <class A, class B, class O = Options>                                               \
  requires(::nnm::nn::detail::kGiven<O, A, B, NNM_BRACES>)                                     \
      Type(A&& a, B&& b, NNM_BRACES c, const std::type_identity_t<O>& rest)                    \
      : Type(spec().joined(                                                                    \
            ::nnm::nn::detail::options_of<O>(std::forward<A>(a), std::forward<B>(b), c), rest, \
            3)) {}

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
