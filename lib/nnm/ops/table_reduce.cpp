// Reductions, as a config calls them.
#include <limits>

#include "nnm/ops/arguments.h"

namespace nnm {
namespace {

using namespace detail;

/// max(x), max(x, dim), max(x, other); the other may be the second argument too.
template <bool Largest>
Value extreme_of(const Value* a) {
  const Tensor x = tensor(a[0]);
  const Value& other = is_tensor(a[1]) ? a[1] : a[3];
  if (is_tensor(other)) {
    return Largest ? maximum(x, tensor(other)) : minimum(x, tensor(other));
  }
  if (a[1].is_none()) return Largest ? max(x) : min(x);
  if (!a[1].is(Value::Kind::integer))
    throw Error(ErrorKind::type,
                fmt::format("`dim` is an int, or the other tensor; got {}", a[1].config_text()),
                Largest ? "of a tensor and a number: clamp(x, min=…)"
                        : "of a tensor and a number: clamp(x, max=…)");
  const int64_t dim = a[1].integer();
  const bool keepdim = a[2].boolean();
  return to_value(Largest ? max(x, dim, keepdim) : min(x, dim, keepdim));
}

/// PyTorch's old `unbiased` and its newer `correction`.
double correction_of(const Value& unbiased, const Value& correction) {
  if (!correction.is_none()) return correction.real();
  return unbiased.boolean() ? 1 : 0;
}

template <auto F>
Value moment_of(const Value* a) {
  // std(x, false): PyTorch's form without dimensions.
  if (a[1].is(Value::Kind::boolean))
    return to_value(F(tensor(a[0]), {}, correction_of(a[1], a[4]), a[3].boolean()));
  return to_value(F(tensor(a[0]), dims(a[1]), correction_of(a[2], a[4]), a[3].boolean()));
}

Value norm_of(const Value* a) {
  double p = 2;
  if (a[1].is(Value::Kind::string)) {
    NNM_CHECK(a[1].string() == "fro", value, "norm: p is a number, inf or \"fro\", got {}",
              a[1].config_text());
  } else if (!a[1].is_none()) {
    p = a[1].real();
  }
  return norm(converted(a[0], a[4]), p, dims(a[2]), a[3].boolean());
}

Value diff_of(const Value* a) {
  const int64_t dim = a[2].integer();
  Tensors parts;
  for (int i : {3, 0, 4})
    if (!a[i].is_none()) parts.push_back(tensor(a[i]));
  return diff(parts.size() == 1 ? parts[0] : cat(parts, dim), a[1].integer(), dim);
}

Tensor count_nonzero(const Tensor& x, const Dims& over) {
  return sum(x.dtype() == DType::b8 ? x : ne(x, Scalar(0)), over);
}

const Function kReduceFunctions[] = {
    {"sum(input: Tensor, dim: int[] = none, keepdim: bool = false, *, dtype: dtype = none)", "sum",
     [](const Value* a) -> Value {
       return sum(tensor(a[0]), dims(a[1]), a[2].boolean(), dtype(a[3]));
     }},
    {"mean(input: Tensor, dim: int[] = none, keepdim: bool = false, *, dtype: dtype = none)",
     "mean",
     [](const Value* a) -> Value {
       return mean(tensor(a[0]), dims(a[1]), a[2].boolean(), dtype(a[3]));
     }},
    {"var(input: Tensor, dim: any = none, unbiased: bool = true, keepdim: bool = false, *, "
     "correction: number = none)",
     "variance, divided by n - 1", moment_of<var>},
    {"std(input: Tensor, dim: any = none, unbiased: bool = true, keepdim: bool = false, *, "
     "correction: number = none)",
     "standard deviation, divided by n - 1", moment_of<std>},
    {"var_mean(input: Tensor, dim: any = none, unbiased: bool = true, keepdim: bool = false, *, "
     "correction: number = none)",
     "variance and mean", moment_of<var_mean>},
    {"std_mean(input: Tensor, dim: any = none, unbiased: bool = true, keepdim: bool = false, *, "
     "correction: number = none)",
     "standard deviation and mean", moment_of<std_mean>},
    {"trace(input: Tensor)", "sum of the diagonal", call<trace>},
    {"diff(input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor = none, append: Tensor = "
     "none)",
     "differences of neighbours", diff_of},
    {"nansum(input: Tensor, dim: int[] = none, keepdim: bool = false, *, dtype: dtype = none)",
     "sum of what is not NaN",
     [](const Value* a) -> Value {
       return nansum(converted(a[0], a[3]), dims(a[1]), a[2].boolean());
     }},
    {"nanmean(input: Tensor, dim: int[] = none, keepdim: bool = false, *, dtype: dtype = none)",
     "mean of what is not NaN",
     [](const Value* a) -> Value {
       return nanmean(converted(a[0], a[3]), dims(a[1]), a[2].boolean());
     }},
    {"prod(input: Tensor, dim: int = none, keepdim: bool = false, *, dtype: dtype = none)",
     "product",
     [](const Value* a) -> Value {
       return prod(tensor(a[0]), Codec<std::optional<int64_t>>::read(a[1]), a[2].boolean(),
                   dtype(a[3]));
     }},
    {"max(input: Tensor, dim: any = none, keepdim: bool = false, *, other: Tensor = none)",
     "the largest; with a dim, and its place; of two tensors, the larger", extreme_of<true>},
    {"min(input: Tensor, dim: any = none, keepdim: bool = false, *, other: Tensor = none)",
     "the smallest; with a dim, and its place; of two tensors, the smaller", extreme_of<false>},
    {"amax(input: Tensor, dim: int[] = none, keepdim: bool = false)", "the largest",
     [](const Value* a) -> Value { return amax(tensor(a[0]), dims(a[1]), a[2].boolean()); }},
    {"amin(input: Tensor, dim: int[] = none, keepdim: bool = false)", "the smallest",
     [](const Value* a) -> Value { return amin(tensor(a[0]), dims(a[1]), a[2].boolean()); }},
    {"argmax(input: Tensor, dim: int = none, keepdim: bool = false)", "the place of the largest",
     call<argmax>},
    {"argmin(input: Tensor, dim: int = none, keepdim: bool = false)", "the place of the smallest",
     call<argmin>},
    {"any(input: Tensor, dim: int[] = none, keepdim: bool = false)", "one is true",
     [](const Value* a) -> Value { return any(tensor(a[0]), dims(a[1]), a[2].boolean()); }},
    {"all(input: Tensor, dim: int[] = none, keepdim: bool = false)", "all are true",
     [](const Value* a) -> Value { return all(tensor(a[0]), dims(a[1]), a[2].boolean()); }},
    {"norm(input: Tensor, p: any = \"fro\", dim: int[] = none, keepdim: bool = false, *, "
     "dtype: dtype = none)",
     "the p-norm of the elements", norm_of},
    {"logsumexp(input: Tensor, dim: int[], keepdim: bool = false)", "log of the sum of e^x",
     call<logsumexp>},
    {"cumsum(input: Tensor, dim: int, *, dtype: dtype = none)", "running sums", call<cumsum>},
    {"count_nonzero(input: Tensor, dim: int[] = none)", "how many are not 0",
     [](const Value* a) -> Value { return count_nonzero(tensor(a[0]), dims(a[1])); }},
};
NNM_REGISTER_FUNCTIONS(kReduceFunctions);

}  // namespace
}  // namespace nnm
