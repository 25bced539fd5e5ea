// Spec<Options>: a Signature derived from a plain struct of options, and the way from values to it.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "nnm/base/signature.h"

namespace nnm {

/// N numbers of which one stands for all: PyTorch's `kernel_size=3` or `(3, 5)`. Remembers how it
/// was given, since some layers print it so (MaxPool2d prints 2, Conv2d prints (2, 2)).
template <int N>
struct IntTuple {
  std::array<int64_t, size_t{N}> v{};
  bool scalar = true;
  IntTuple() = default;
  IntTuple(int64_t x) { v.fill(x); }
  IntTuple(int x) : IntTuple(int64_t{x}) {}
  IntTuple(std::initializer_list<int64_t> xs) : scalar(false) {
    NNM_CHECK(xs.size() == N, value, "expected a tuple of {}, got {} numbers", N, xs.size());
    std::copy(xs.begin(), xs.end(), v.begin());
  }
  int64_t operator[](int i) const { return v[static_cast<size_t>(i)]; }
};

/// An IntTuple or none. (std::optional takes no braced list of two: `.stride = {2, 1}`.)
template <int N>
struct OptionalTuple : std::optional<IntTuple<N>> {
  using Base = std::optional<IntTuple<N>>;
  OptionalTuple() = default;
  OptionalTuple(std::nullopt_t) {}
  OptionalTuple(IntTuple<N> t) : Base(t) {}
  OptionalTuple(int64_t every) : Base(every) {}
  OptionalTuple(int every) : Base(every) {}
  OptionalTuple(std::initializer_list<int64_t> xs) : Base(IntTuple<N>(xs)) {}
  template <class T>
  requires std::is_convertible_v<T, IntTuple<N>> OptionalTuple(const std::optional<T>& o) {
    if (o) this->emplace(*o);
  }
};

/// Says how a C++ type is an argument: its ArgType, and the way from and to a Value. Types that
/// live on higher floors (Tensor, Ref<Module>) specialise it beside themselves.
template <class T>
struct Codec;

template <>
struct Codec<bool> {
  static ArgType type() { return {.base = ArgType::Base::boolean}; }
  static bool read(const Value& v) { return v.boolean(); }
  static Value write(bool b) { return b; }
};
template <>
struct Codec<int64_t> {
  static ArgType type() { return {.base = ArgType::Base::integer}; }
  static int64_t read(const Value& v) { return v.integer(); }
  static Value write(int64_t i) { return i; }
};
template <>
struct Codec<double> {
  static ArgType type() { return {.base = ArgType::Base::real}; }
  static double read(const Value& v) { return v.real(); }
  static Value write(double d) { return d; }
};
/// A number whose spelling is kept: `Softplus(beta=2)` prints 2, the default prints 1.0.
template <>
struct Codec<Scalar> {
  static ArgType type() { return {.base = ArgType::Base::number}; }
  static Scalar read(const Value& v) { return v.scalar(); }
  static Value write(Scalar s) {
    if (s.kind == Scalar::Kind::real) return s.d;
    if (s.kind == Scalar::Kind::boolean) return s.i != 0;
    return s.i;
  }
};
template <>
struct Codec<std::string> {
  static ArgType type() { return {.base = ArgType::Base::string}; }
  static std::string read(const Value& v) { return v.string(); }
  static Value write(const std::string& s) { return s; }
};
template <>
struct Codec<DType> {
  static ArgType type() { return {.base = ArgType::Base::dtype}; }
  static DType read(const Value& v) { return v.dtype(); }
  static Value write(DType t) { return t; }
};
template <>
struct Codec<Value> {
  static ArgType type() { return {}; }
  static Value read(const Value& v) { return v; }
  static Value write(const Value& v) { return v; }
};
template <class T>
struct Codec<std::optional<T>> {
  static ArgType type() {
    ArgType t = Codec<T>::type();
    t.optional = true;
    return t;
  }
  static std::optional<T> read(const Value& v) {
    return v.is_none() ? std::nullopt : std::optional<T>(Codec<T>::read(v));
  }
  static Value write(const std::optional<T>& o) { return o ? Codec<T>::write(*o) : Value(); }
};
template <class T>
struct Codec<std::vector<T>> {
  static ArgType type() {
    ArgType t = Codec<T>::type();
    t.list = true;
    return t;
  }
  static std::vector<T> read(const Value& v) {
    std::vector<T> out;
    for (const Value& x : v.items()) out.push_back(Codec<T>::read(x));
    return out;
  }
  static Value write(const std::vector<T>& xs) {
    Values out;
    for (const T& x : xs) out.push_back(Codec<T>::write(x));
    return Value::list(std::move(out));
  }
};
template <int N>
struct Codec<IntTuple<N>> {
  static ArgType type() { return {.base = ArgType::Base::integer, .tuple = N}; }
  static IntTuple<N> read(const Value& v) {
    if (v.is(Value::Kind::integer)) return IntTuple<N>(v.integer());
    IntTuple<N> t;
    t.scalar = false;
    for (int i = 0; i < N; ++i)
      t.v[static_cast<size_t>(i)] = v.items()[static_cast<size_t>(i)].integer();
    return t;
  }
  static Value write(const IntTuple<N>& t) {
    if (t.scalar) return t.v[0];
    return Value::tuple(Values(t.v.begin(), t.v.end()));
  }
};

template <int N>
struct Codec<OptionalTuple<N>> : Codec<std::optional<IntTuple<N>>> {
  static OptionalTuple<N> read(const Value& v) {
    return Codec<std::optional<IntTuple<N>>>::read(v);
  }
};

/// Limits of an argument beside its type.
struct Limit {
  std::optional<double> min = {}, max = {};
  bool exclusive_min = false;
  std::vector<std::string> choices = {};
};
inline Limit at_least(double lo) { return {.min = lo}; }
inline Limit above(double lo) { return {.min = lo, .exclusive_min = true}; }
inline Limit between(double lo, double hi) { return {.min = lo, .max = hi}; }
inline Limit one_of(std::vector<std::string> choices) { return {.choices = std::move(choices)}; }

/// What can be done with a field of an options struct, by its type alone.
struct FieldType {
  ArgType (*type)();
  void (*read)(void* field, const Value& v);
  Value (*write)(const void* field);
  void (*copy)(void* to, const void* from);
};
template <class T>
inline constexpr FieldType field_type = {
    &Codec<T>::type,
    [](void* field, const Value& v) { *static_cast<T*>(field) = Codec<T>::read(v); },
    [](const void* field) -> Value { return Codec<T>::write(*static_cast<const T*>(field)); },
    [](void* to, const void* from) { *static_cast<T*>(to) = *static_cast<const T*>(from); }};

/// What a Spec is without its struct: fields are found by their offsets, so that what a struct has
/// of its own is a few instructions for each field.
class FieldTable {
 public:
  FieldTable(std::string name, std::string doc) : name_(std::move(name)), doc_(std::move(doc)) {}

  /// `fallback`: the field that holds the default, null for a required one.
  void add(const char* name, size_t offset, const FieldType& type, const void* fallback,
           const char* doc, Limit limit);
  void keyword_only() { keyword_only_ = true; }
  const std::string& name() const { return name_; }
  const std::string& doc() const { return doc_; }
  Signature signature() const { return Signature(name_, params_); }
  void read(void* options, const Values& bound) const;
  void join(void* rest, const void* leading, const void* unset, size_t n) const;
  Values write(const void* options) const;

 private:
  struct Field {
    size_t offset;
    const FieldType* type;
  };
  std::string name_, doc_;
  std::vector<Param> params_;
  std::vector<Field> fields_;
  bool keyword_only_ = false;
};

/// Declares the arguments of a registered type by pointers to members of its Options struct: type
/// and default are read from the struct, so that they are written once.
///   Spec<Linear::Options>("Linear", "y = x W^T + b over the last dimension")
///       .req(NNM_ARG(in_features), "size of each input sample", at_least(0))
///       .opt(NNM_ARG(bias), "learn an additive bias")
#define NNM_ARG(member) #member, &Options::member
template <class Options>
class Spec {
 public:
  Spec(std::string name, std::string doc) : fields_(std::move(name), std::move(doc)) {}

  template <class T>
  Spec& req(const char* name, T Options::*member, const char* doc, Limit limit = {}) {
    fields_.add(name, offset(member), field_type<T>, nullptr, doc, std::move(limit));
    return *this;
  }
  template <class T>
  Spec& opt(const char* name, T Options::*member, const char* doc, Limit limit = {}) {
    fields_.add(name, offset(member), field_type<T>, &(unset_.*member), doc, std::move(limit));
    return *this;
  }

  /// The arguments that follow can only be given by name.
  Spec& keyword_only() {
    fields_.keyword_only();
    return *this;
  }

  const std::string& name() const { return fields_.name(); }
  const std::string& doc() const { return fields_.doc(); }
  Signature signature() const { return fields_.signature(); }
  /// `bound` as Signature::bind returned it.
  Options read(const Values& bound) const {
    Options o{};
    fields_.read(&o, bound);
    return o;
  }
  /// `rest` with the first n arguments as they are in `leading`: what `Conv2d(1, 8, 3, {.padding =
  /// 1})` means. Throws Error(type) with Python's text where `rest` sets them too.
  Options joined(const Options& leading, Options rest, size_t n) const {
    fields_.join(&rest, &leading, &unset_, n);
    return rest;
  }
  /// The options as values in the order of the signature: what `read` takes back.
  Values write(const Options& o) const { return fields_.write(&o); }

 private:
  template <class T>
  size_t offset(T Options::*member) const {
    return static_cast<size_t>(reinterpret_cast<const char*>(&(unset_.*member)) -
                               reinterpret_cast<const char*>(&unset_));
  }

  FieldTable fields_;
  Options unset_{};
};

}  // namespace nnm
