// Network functions as a config calls them: PyTorch's names, orders and defaults.
#include <doctest/doctest.h>

#include "nnm/ops/function.h"
#include "ops/wave.h"

using namespace nnm;

namespace {

Value call_named(const char* name, const Args& args) {
  const Function* f = find_function(name);
  REQUIRE(f != nullptr);
  return f->run(f->signature().bind(args).data());
}

Tensor tensor_from(const char* name, const Args& args) {
  return call_named(name, args).as<Tensor>();
}

}  // namespace

TEST_CASE("functions: every signature reads") {
  for (const std::string_view name : function_names()) {
    CAPTURE(std::string(name));
    CHECK(find_function(name)->signature().name() == name);
  }
}

TEST_CASE("functions: network functions by name") {
  const Tensor x = wave({2, 3}), image = wave({1, 2, 4, 4});
  CHECK(differs(tensor_from("linear", {{x, wave({4, 3}, 1)}, {}}), linear(x, wave({4, 3}, 1))) ==
        "");
  CHECK(differs(tensor_from("softmax", {{x}, {{"dim", 1}}}), softmax(x, 1)) == "");
  CHECK(tensor_from("softmax", {{x, 1}, {{"dtype", DType::f32}}}).dtype() == DType::f32);
  CHECK(differs(tensor_from("max_pool2d", {{image, 3}, {{"stride", 2}, {"padding", 1}}}),
                max_pool2d(image, 3, 2, 1)) == "");
  const Value both = call_named("max_pool2d", {{image, 2}, {{"return_indices", true}}});
  CHECK(both.items().size() == 2);
  const Value open = Value::tuple({Value(), 2});
  CHECK(tensor_from("adaptive_avg_pool2d", {{image, open}, {}}).shape() == Shape{1, 2, 4, 2});
  const Tensor kernel = wave({2, 2, 3, 3}, 1);
  CHECK(tensor_from("conv2d", {{image, kernel}, {{"padding", "same"}}}).shape() == image.shape());
  CHECK(tensor_from("conv2d", {{image, kernel}, {{"padding", Value::tuple({1, 0})}}}).shape() ==
        Shape{1, 2, 4, 2});
  CHECK_THROWS_AS(tensor_from("conv2d", {{image, kernel}, {{"padding", 1.5}}}), Error);
  const Value heads = call_named("rearrange", {{x, "a (b c) -> b a c"}, {{"b", 3}}});
  CHECK(heads.as<Tensor>().shape() == Shape{3, 2, 1});
  CHECK(tensor_from("einsum", {{"ij,kj->ik", x, x}, {}}).shape() == Shape{2, 2});
  CHECK(tensor_from("layer_norm", {{x, 3}, {}}).shape() == x.shape());
  CHECK(differs(tensor_from("cross_entropy", {{x, labels({2, 0}, {2})}, {{"reduction", "sum"}}}),
                cross_entropy(x, labels({2, 0}, {2}), {}, -100, "sum")) == "");
  CHECK(differs(tensor_from("mse_loss", {{x, x}, {{"reduce", false}}}), zeros_like(x)) == "");
  CHECK(find_function("dropout")->uses_training);
  CHECK(find_function("batch_norm")->uses_training);
  CHECK(!find_function("layer_norm")->uses_training);
}

TEST_CASE("functions: dropout in place") {
  manual_seed(1);
  const Tensor x = ones({64});
  const Tensor y = tensor_from("dropout", {{x, 0.5}, {{"inplace", true}}});
  CHECK(y.is_same(x));
  for (const double v : x.to_vector<double>()) CHECK((v == 0 || v == 2));
}

TEST_CASE("functions: grouped queries share keys and values") {
  const Tensor q = wave({1, 4, 3, 2}), k = wave({1, 2, 3, 2}, 1);
  const Tensor y = tensor_from("scaled_dot_product_attention", {{q, k, k}, {{"enable_gqa", true}}});
  const Tensor wide = repeat_interleave(k, 2, 1);
  CHECK(differs(y, scaled_dot_product_attention(q, wide, wide)) == "");
}
