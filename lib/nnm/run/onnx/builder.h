// What an ONNX graph is made of while a forward is looked at: names of tensors, and calls that
// become operators.
#pragma once

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "nnm/io/onnx.h"
#include "nnm/nn/module.h"

namespace nnm::run::onnx {

using Strings = std::vector<std::string>;
using Ints = std::vector<int64_t>;
using Attributes = std::vector<std::pair<std::string, io::OnnxAttribute>>;

/// A text as an argument of templates.
template <size_t N>
struct Text {
  char value[N] = {};
  constexpr Text(const char (&text)[N]) { std::copy_n(text, N, value); }
  operator std::string() const { return value; }
};

/// A function with its arguments by name, and what it gave.
struct Call {
  std::string function;
  Items args;
  Value output;

  /// Throws Error(internal) where there is no such argument.
  const Value& at(std::string_view name) const;
  Tensor tensor(std::string_view name = "input") const { return at(name).as<Tensor>(); }
  bool has(std::string_view name) const { return !at(name).is_none(); }
  int64_t integer(std::string_view name) const { return at(name).integer(); }
  double real(std::string_view name) const { return at(name).real(); }
  /// An integer alone or several; none: no integers.
  Ints ints(std::string_view name) const;
  /// A dimension of `tensor(of)` counted from its first.
  int64_t dim(std::string_view name = "dim", std::string_view of = "input") const;
  Tensor out() const { return output.as<Tensor>(); }
  Tensor out(size_t i) const { return output.items()[i].as<Tensor>(); }
};

/// Throws Error(not_implemented) "`max_pool2d` with indices has no ONNX form here".
[[noreturn]] void unsupported(const std::string& what);

/// A list of sizes that an input of a node is, of which one is `factor` times the batch.
struct FreeSize {
  size_t node, input;
  Ints sizes;
  size_t place;
  int64_t factor;
};

class Builder {
 public:
  /// `root`'s parameters and buffers keep their names.
  explicit Builder(Module& root);

  void input(const std::string& name, const Tensor& t);
  void output(const std::string& name, const Tensor& t);
  /// What names of values begin with from now on.
  void begin(std::string stem) { stem_ = std::move(stem); }

  /// Whether t depends on the inputs.
  bool depends(const Tensor& t) const { return values_.contains(t.impl()); }
  /// The value's name; parameters and constants come into the graph when they are first asked for.
  std::string of(const Tensor& t);
  std::string constant(const Tensor& t, const std::string& name = "");
  std::string ints(const Ints& values);
  std::string scalar(double value, DType dtype);
  /// A tensor or a number as a value of that type.
  std::string operand(const Value& v, DType dtype);
  std::string cast(const std::string& name, DType from, DType to);

  /// An operator; the name of its output, or the names of all.
  std::string emit(const std::string& op, Strings inputs, Attributes attributes = {});
  Strings emit(const std::string& op, Strings inputs, size_t outputs, Attributes attributes = {});
  std::string reshape(const std::string& name, const Shape& shape);
  std::string transpose(const std::string& name, const Ints& dims);
  /// A part of some dimensions: from, to and by which steps.
  std::string slice(const std::string& name, const Ints& starts, const Ints& ends, const Ints& axes,
                    const Ints& steps);

  /// t is the value of that name from now on. Throws Error(not_implemented) where it was written in
  /// place and others share its memory.
  void give(const Tensor& t, const std::string& name);

  /// Throws Error(runtime) where another look at the same forward, with other inputs, does not give
  /// the same graph.
  void compare(const Builder& other) const;
  /// Frees the inputs' first extent, which another look had larger: sizes that follow from it are
  /// computed. False, and nothing is changed, where the graphs differ in more.
  bool free_batch(const Builder& larger, const std::string& name);

  io::OnnxGraph graph;

 private:
  struct Known {
    Tensor keep;  // so that its address stays its own
    std::string name;
  };
  std::string fresh(const std::string& stem);
  /// The tensor of that name, where it is known beforehand; else null.
  const Tensor* known(const std::string& name) const;
  bool same_input(const Builder& other, size_t node, size_t input) const;
  void compute_sizes(std::vector<FreeSize> sizes);
  void drop_unused();

  std::map<const TensorImpl*, Known> values_, constants_;
  std::map<const TensorImpl*, std::string> state_;
  std::map<std::string, std::string> scalars_;  // small constants by their types and bytes
  std::map<std::string, int> taken_;
  std::string stem_;
};

/// Makes operators of a call. Throws Error(not_implemented) where ONNX has none.
void convert(Builder& g, const Call& call);

/// How a function becomes operators; each family stands in its own file.
struct Conversion {
  const char* function;
  void (*run)(Builder& g, const Call& call);
};
/// What a call of a convolution pads: before each dimension, then after each.
Ints conv_pads(const Call& call, const Ints& kernel);

std::span<const Conversion> pointwise_conversions();
std::span<const Conversion> shape_conversions();
std::span<const Conversion> reduction_conversions();
std::span<const Conversion> network_conversions();

}  // namespace nnm::run::onnx
