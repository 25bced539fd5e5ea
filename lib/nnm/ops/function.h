// The functions a config can call: name, signature and how to run it, one line each.
#pragma once

#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "nnm/base/signature.h"
#include "nnm/base/spec.h"
#include "nnm/tensor/tensor.h"

namespace nnm {

/// A function of the expression language. `run` gets the arguments in signature order, converted.
struct Function {
  const char* signature_text;  ///< "flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1)"
  const char* doc;
  Value (*run)(const Value* args);
  bool uses_training = false;  ///< has an argument `training` that defaults to the module's mode
  std::string_view name() const;
  const Signature& signature() const;  ///< parsed on first use
};

/// The function of that name, or null.
const Function* find_function(std::string_view name);
/// All names, sorted.
std::vector<std::string_view> function_names();

/// Registers a table of functions at the start of the program; NNM_REGISTER_FUNCTIONS(kTable) does
/// it, once in each room of ops, in its own file.
bool register_functions(const Function* table, size_t n);
template <size_t N>
bool register_functions(const Function (&table)[N]) {
  return register_functions(table, N);
}
#define NNM_REGISTER_FUNCTIONS(table) \
  [[maybe_unused]] const bool table##_registered = ::nnm::register_functions(table)

/// A shape as an argument is a list of integers.
template <>
struct Codec<Shape> {
  static ArgType type() { return Codec<std::vector<int64_t>>::type(); }
  static Shape read(const Value& v) { return Shape(Codec<std::vector<int64_t>>::read(v)); }
};

namespace detail {

inline Value to_value(const Tensor& t) { return t; }
inline Value to_value(const Tensors& ts) { return Value::tuple(Values(ts.begin(), ts.end())); }
template <class A, class B>
Value to_value(const std::pair<A, B>& p) {
  return Value::tuple({to_value(p.first), to_value(p.second)});
}
template <class T>
requires std::is_arithmetic_v<T> Value to_value(T x) { return x; }

template <auto F, class R, class... A, size_t... I>
Value call(const Value* args, R (*)(A...), std::index_sequence<I...>) {
  return to_value(F(Codec<std::remove_cvref_t<A>>::read(args[I])...));
}

}  // namespace detail

/// A C++ function as a Function's `run`: its parameters are read from the arguments in order, its
/// result (a tensor, a pair, several, a number) becomes a Value.
///   {"tril(input: Tensor, diagonal: int = 0)", "the lower triangle", call<tril>}
template <auto F>
Value call(const Value* args) {
  return []<class R, class... A>(const Value* v, R (*f)(A...)) {
    return detail::call<F>(v, f, std::index_sequence_for<A...>());
  }(args, F);
}

}  // namespace nnm
