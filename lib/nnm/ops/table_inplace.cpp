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

const Function kWrittenOfOne[] = {
    NNM_WRITTEN(abs, 1, ""),         NNM_WRITTEN(neg, 1, ""),         NNM_WRITTEN(exp, 1, ""),
    NNM_WRITTEN(log, 1, ""),         NNM_WRITTEN(sqrt, 1, ""),        NNM_WRITTEN(rsqrt, 1, ""),
    NNM_WRITTEN(square, 1, ""),      NNM_WRITTEN(reciprocal, 1, ""),  NNM_WRITTEN(floor, 1, ""),
    NNM_WRITTEN(ceil, 1, ""),        NNM_WRITTEN(sign, 1, ""),        NNM_WRITTEN(sin, 1, ""),
    NNM_WRITTEN(cos, 1, ""),         NNM_WRITTEN(sigmoid, 1, ""),     NNM_WRITTEN(tanh, 1, ""),
    NNM_WRITTEN(acos, 1, ""),        NNM_WRITTEN(acosh, 1, ""),       NNM_WRITTEN(asin, 1, ""),
    NNM_WRITTEN(asinh, 1, ""),       NNM_WRITTEN(atan, 1, ""),        NNM_WRITTEN(atanh, 1, ""),
    NNM_WRITTEN(cosh, 1, ""),        NNM_WRITTEN(sinh, 1, ""),        NNM_WRITTEN(tan, 1, ""),
    NNM_WRITTEN(erf, 1, ""),         NNM_WRITTEN(erfc, 1, ""),        NNM_WRITTEN(erfinv, 1, ""),
    NNM_WRITTEN(exp2, 1, ""),        NNM_WRITTEN(expm1, 1, ""),       NNM_WRITTEN(log10, 1, ""),
    NNM_WRITTEN(log1p, 1, ""),       NNM_WRITTEN(log2, 1, ""),        NNM_WRITTEN(frac, 1, ""),
    NNM_WRITTEN(trunc, 1, ""),       NNM_WRITTEN(deg2rad, 1, ""),     NNM_WRITTEN(rad2deg, 1, ""),
    NNM_WRITTEN(sinc, 1, ""),        NNM_WRITTEN(absolute, 1, ""),    NNM_WRITTEN(negative, 1, ""),
    NNM_WRITTEN(selu, 1, ""),        NNM_WRITTEN(logical_not, 1, ""), NNM_WRITTEN(lgamma, 1, ""),
    NNM_WRITTEN(digamma, 1, ""),     NNM_WRITTEN(i0, 1, ""),          NNM_WRITTEN(sgn, 1, ""),
    NNM_WRITTEN(bitwise_not, 1, ""), NNM_WRITTEN(arccos, 1, ""),      NNM_WRITTEN(arccosh, 1, ""),
    NNM_WRITTEN(arcsin, 1, ""),      NNM_WRITTEN(arcsinh, 1, ""),     NNM_WRITTEN(arctan, 1, ""),
    NNM_WRITTEN(arctanh, 1, ""),     NNM_WRITTEN(fix, 1, ""),
};

const Function kWrittenOfTwo[] = {
    NNM_WRITTEN(pow, 2, ", exponent: any"),
    NNM_WRITTEN(multiply, 2, ", other: any"),
    NNM_WRITTEN(true_divide, 2, ", other: any"),
    NNM_WRITTEN(floor_divide, 2, ", other: any"),
    NNM_WRITTEN(remainder, 2, ", other: any"),
    NNM_WRITTEN(fmod, 2, ", other: any"),
    NNM_WRITTEN(atan2, 2, ", other: any"),
    NNM_WRITTEN(xlogy, 2, ", other: any"),
    NNM_WRITTEN(eq, 2, ", other: any"),
    NNM_WRITTEN(ne, 2, ", other: any"),
    NNM_WRITTEN(lt, 2, ", other: any"),
    NNM_WRITTEN(le, 2, ", other: any"),
    NNM_WRITTEN(gt, 2, ", other: any"),
    NNM_WRITTEN(ge, 2, ", other: any"),
    NNM_WRITTEN(not_equal, 2, ", other: any"),
    NNM_WRITTEN(less, 2, ", other: any"),
    NNM_WRITTEN(less_equal, 2, ", other: any"),
    NNM_WRITTEN(greater, 2, ", other: any"),
    NNM_WRITTEN(greater_equal, 2, ", other: any"),
    NNM_WRITTEN(arctan2, 2, ", other: any"),
    NNM_WRITTEN(float_power, 2, ", exponent: any"),
    NNM_WRITTEN(ldexp, 2, ", other: any"),
    NNM_WRITTEN(copysign, 2, ", other: any"),
    NNM_WRITTEN(logical_and, 2, ", other: any"),
    NNM_WRITTEN(logical_or, 2, ", other: any"),
    NNM_WRITTEN(logical_xor, 2, ", other: any"),
    NNM_WRITTEN(bitwise_and, 2, ", other: any"),
    NNM_WRITTEN(bitwise_or, 2, ", other: any"),
    NNM_WRITTEN(bitwise_xor, 2, ", other: any"),
    NNM_WRITTEN(bitwise_left_shift, 2, ", other: any"),
    NNM_WRITTEN(bitwise_right_shift, 2, ", other: any"),
    NNM_WRITTEN(gcd, 2, ", other: Tensor"),
    NNM_WRITTEN(lcm, 2, ", other: Tensor"),
    NNM_WRITTEN(hypot, 2, ", other: Tensor"),
    NNM_WRITTEN(heaviside, 2, ", values: Tensor"),
};

const Function kWrittenFunctions[] = {
    NNM_WRITTEN(round, 2, ", *, decimals: int = 0"),
    NNM_WRITTEN(clamp, 3, ", min: any = none, max: any = none"),
    NNM_WRITTEN(clamp_min, 2, ", min: any"),
    NNM_WRITTEN(clamp_max, 2, ", max: any"),
    NNM_WRITTEN(leaky_relu, 2, ", negative_slope: float = 0.01"),
    NNM_WRITTEN(elu, 2, ", alpha: float = 1.0"),
    NNM_WRITTEN(divide, 3, ", other: any, *, rounding_mode: str(\"trunc\", \"floor\") = none"),
    NNM_WRITTEN(subtract, 3, ", other: any, *, alpha: number = 1"),
    NNM_WRITTEN(lerp, 3, ", end: Tensor, weight: any"),
    NNM_WRITTEN(addcmul, 4, ", tensor1: Tensor, tensor2: Tensor, *, value: number = 1"),
    NNM_WRITTEN(addcdiv, 4, ", tensor1: Tensor, tensor2: Tensor, *, value: number = 1"),
    NNM_WRITTEN(addmm, 5, ", mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1"),
    NNM_WRITTEN(baddbmm, 5,
                ", batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1"),
    NNM_WRITTEN(addbmm, 5,
                ", batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1"),
    NNM_WRITTEN(addmv, 5, ", mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1"),
    NNM_WRITTEN(addr, 5, ", vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1"),
    NNM_WRITTEN(cumsum, 3, ", dim: int, *, dtype: dtype = none"),
    NNM_WRITTEN(cumprod, 3, ", dim: int, *, dtype: dtype = none"),
    NNM_WRITTEN(clip, 3, ", min: any = none, max: any = none"),
    NNM_WRITTEN(nan_to_num, 4, ", nan: float = 0.0, posinf: float = none, neginf: float = none"),
    NNM_WRITTEN(logit, 2, ", eps: float = none"),
    NNM_WRITTEN(renorm, 4, ", p: float, dim: int, maxnorm: float"),
    NNM_WRITTEN(celu, 2, ", alpha: float = 1.0"),
    NNM_WRITTEN(hardtanh, 3, ", min_val: float = -1.0, max_val: float = 1.0"),
    NNM_WRITTEN(threshold, 3, ", threshold: float, value: float"),
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
const Function kWrittenAtPlaces[] = {
    NNM_WRITTEN(scatter_reduce, 6,
                ", dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = "
                "true"),
    NNM_WRITTEN(index_reduce, 6,
                ", dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = "
                "true"),
    NNM_WRITTEN(index_put, 4, ", indices: any, values: any, accumulate: bool = false"),
    NNM_WRITTEN(put, 4, ", index: Tensor, source: Tensor, accumulate: bool = false"),
    NNM_WRITTEN(masked_fill, 3, ", mask: Tensor, value: any"),
    NNM_WRITTEN(
        scatter, 5,
        ", dim: int, index: Tensor, src: any, *, reduce: str(\"add\", \"multiply\") = none"),
    NNM_WRITTEN(scatter_add, 4, ", dim: int, index: Tensor, src: Tensor"),
    NNM_WRITTEN(index_add, 5, ", dim: int, index: Tensor, source: Tensor, *, alpha: number = 1"),
    NNM_WRITTEN(index_fill, 4, ", dim: int, index: Tensor, value: any"),
    NNM_WRITTEN(index_copy, 4, ", dim: int, index: Tensor, source: Tensor"),
    NNM_WRITTEN(masked_scatter, 3, ", mask: Tensor, source: Tensor"),
};
#undef NNM_WRITTEN
NNM_REGISTER_FUNCTIONS(kWrittenOfOne);
NNM_REGISTER_FUNCTIONS(kWrittenOfTwo);
NNM_REGISTER_FUNCTIONS(kWrittenFunctions);
NNM_REGISTER_FUNCTIONS(kWrittenAtPlaces);

}  // namespace
}  // namespace nnm
