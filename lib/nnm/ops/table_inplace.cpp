// Functions that write into their first argument, as a config calls them: PyTorch's names with `_`.
#include "nnm/ops/arguments.h"

namespace nnm {
namespace {

using namespace detail;

/// What the function of that name gives, written into its first argument.
Value written(const char* name, const Value* a, size_t given) {
  const Function& f = *find_function(name);
  return apply_(tensor(a[0]), [&](const Tensor& x) {
    Values args(a, a + given);
    args[0] = x;
    for (size_t i = given; i < f.signature().params().size(); ++i)
      args.push_back(*f.signature().params()[i].fallback);
    return f.run(args.data()).as<Tensor>();
  });
}

#define NNM_WRITTEN(name, count, arguments)                                     \
  {                                                                             \
#name "_(input: Tensor" arguments ")", "input becomes " #name "(input, …)", \
        [](const Value* a) -> Value { return written(#name, a, count); }        \
  }

const Function kWrittenFunctions[] = {
    NNM_WRITTEN(abs, 1, ""),
    NNM_WRITTEN(neg, 1, ""),
    NNM_WRITTEN(exp, 1, ""),
    NNM_WRITTEN(log, 1, ""),
    NNM_WRITTEN(sqrt, 1, ""),
    NNM_WRITTEN(rsqrt, 1, ""),
    NNM_WRITTEN(square, 1, ""),
    NNM_WRITTEN(reciprocal, 1, ""),
    NNM_WRITTEN(round, 1, ""),
    NNM_WRITTEN(floor, 1, ""),
    NNM_WRITTEN(ceil, 1, ""),
    NNM_WRITTEN(sign, 1, ""),
    NNM_WRITTEN(sin, 1, ""),
    NNM_WRITTEN(cos, 1, ""),
    NNM_WRITTEN(sigmoid, 1, ""),
    NNM_WRITTEN(tanh, 1, ""),
    NNM_WRITTEN(logical_not, 1, ""),
    NNM_WRITTEN(pow, 2, ", exponent: any"),
    NNM_WRITTEN(clamp, 3, ", min: any = none, max: any = none"),
    NNM_WRITTEN(clamp_min, 2, ", min: any"),
    NNM_WRITTEN(clamp_max, 2, ", max: any"),
    NNM_WRITTEN(leaky_relu, 2, ", negative_slope: float = 0.01"),
    NNM_WRITTEN(elu, 2, ", alpha: float = 1.0"),
    NNM_WRITTEN(masked_fill, 3, ", mask: Tensor, value: any"),
    NNM_WRITTEN(scatter, 4, ", dim: int, index: Tensor, src: any"),
    NNM_WRITTEN(scatter_add, 4, ", dim: int, index: Tensor, src: Tensor"),
    NNM_WRITTEN(index_add, 4, ", dim: int, index: Tensor, source: Tensor"),
    NNM_WRITTEN(index_fill, 4, ", dim: int, index: Tensor, value: any"),
    NNM_WRITTEN(index_copy, 4, ", dim: int, index: Tensor, source: Tensor"),
    NNM_WRITTEN(tril, 2, ", diagonal: int = 0"),
    NNM_WRITTEN(triu, 2, ", diagonal: int = 0"),
    {"uniform_(input: Tensor, from: float = 0.0, to: float = 1.0)", "filled with uniform numbers",
     [](const Value* a) -> Value {
       uniform_(tensor(a[0]), a[1].real(), a[2].real());
       return a[0];
     }},
    {"normal_(input: Tensor, mean: float = 0.0, std: float = 1.0)", "filled with normal numbers",
     [](const Value* a) -> Value {
       normal_(tensor(a[0]), a[1].real(), a[2].real());
       return a[0];
     }},
};
#undef NNM_WRITTEN
NNM_REGISTER_FUNCTIONS(kWrittenFunctions);

}  // namespace
}  // namespace nnm
