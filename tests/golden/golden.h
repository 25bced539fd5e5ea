// What the golden tests share: numbers that scripts/golden.py also makes, calls read from text, and
// comparison with what PyTorch computed.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nnm/base/literal.h"
#include "nnm/io/h5.h"
#include "nnm/nn/module.h"
#include "nnm/tensor/tensor.h"

namespace nnm::golden {

/// How the inputs of a case are made: in which type, and whether with strides of their own.
struct Variant {
  DType dtype = DType::f64;
  bool strided = false;  ///< memory in another order than the dimensions, with gaps
  std::string_view name = "f64";
};
inline constexpr Variant kVariants[] = {
    {DType::f64, false, "f64"}, {DType::f32, false, "f32"}, {DType::f64, true, "f64, strided"}};

/// n numbers in [0, 1), exact in f32, from the hash of `key`.
std::vector<double> uniform(const std::string& key, int64_t n);

/// The tensors that a case's text describes: "x: f[2, 3]; i: i[4]<5" (see golden_functions.py).
Items make_inputs(const std::string& key, const std::string& specs, const Variant& variant);

/// A call as golden cases have it: functions, modules and tensors by name, literals, lists.
class CallText {
 public:
  CallText(const std::string& text, const Items& inputs) : scanner_(text), inputs_(inputs) {}
  /// The value of the whole text. Throws what the functions and modules called throw.
  Value value();
  /// `Name(arguments)` without calling it.
  std::pair<std::string, Args> call();

 private:
  Value expression();
  /// The rest of `x.where(…)`.
  Value method(const Value& input);
  Args arguments();
  Value dictionary();
  Values elements(const char* close);

  Scanner scanner_;
  const Items& inputs_;
};

/// The tensors of a result, in order; numbers count as 0-d tensors.
Tensors flatten(const Value& value);

/// What the losses of golden cases weigh the elements of an output with.
Tensor weights_like(const Tensor& t);
/// Backpropagates the weighted sum of all outputs that require grad.
void backpropagate(const Tensors& outputs);

/// Compares with the dataset of a case: "" or what differs. Tolerances are those of
/// torch.testing.assert_close for f32, and much tighter for f64 unless the case has its own. A
/// gradient that PyTorch has not may be undefined or zero.
std::string difference(const Tensor& got, const io::H5Reader& file, const io::H5Node& node,
                       const std::string& dataset);
/// The same for numbers.
std::string difference(const std::vector<double>& got, const std::vector<double>& expected,
                       double rtol, double atol);

/// The text attribute of a case.
std::string text_of(const io::H5Reader& file, const io::H5Node& node, const char* name);
/// tests/golden/<name>.h5 of the source tree.
io::H5Reader open(const std::string& name);

}  // namespace nnm::golden
