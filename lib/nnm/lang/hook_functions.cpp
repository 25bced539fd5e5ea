// Functions for interventions: parts set to zero, tensors taken from files.
#include "nnm/io/dataset.h"
#include "nnm/ops/function.h"
#include "nnm/ops/ops.h"

namespace nnm {

namespace {

Value zero(const Value* a) {
  const Tensor x = a[0].as<Tensor>();
  if (a[1].is_none()) return mul(x, Scalar(0));
  const int d = wrap_dim(a[1].integer(), x.dim());
  NNM_CHECK(x.dim() > 0, runtime, "zero: a 0-d tensor has no dimension {}", d);
  const int64_t n = x.shape()[d];
  std::vector<int64_t> chosen(static_cast<size_t>(n), a[2].is_none());
  if (!a[2].is_none()) {
    for (const Value& v : a[2].items()) {
      const int64_t i = v.integer() < 0 ? v.integer() + n : v.integer();
      NNM_CHECK(i >= 0 && i < n, index,
                "zero: index {} is out of range for dimension {} of size {}", v.integer(), d, n);
      chosen[static_cast<size_t>(i)] = 1;
    }
  }
  Shape row = Shape::filled(x.dim(), 1);
  row[d] = n;
  const Tensor mask = tensor_of<int64_t>(chosen, row, {DType::b8, Device{}});
  return masked_fill(x, to(mask, TensorOptions{DType::b8, x.device()}), Scalar(0));
}

Value load(const Value* a) {
  const Tensor t = io::read_dataset(a[0].string(), a[1].string());
  return to(t, TensorOptions{t.dtype(), default_device()});
}

constexpr Function kHookFunctions[] = {
    {"zero(input: Tensor, dim: int = none, index: int[] = none)",
     "input with these indices of a dimension set to zero; all of it without dim", zero},
    {"load(path: str, dataset: str)",
     "a dataset of an HDF5 file, a trace's only record without its axis of steps; the path is "
     "relative to the file that names it, and integers of 16 bits without a sign are read as i32",
     load},
};
NNM_REGISTER_FUNCTIONS(kHookFunctions);

}  // namespace

}  // namespace nnm
