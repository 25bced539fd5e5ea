// Rows of a table by index.
#include "kernels/embedding.h"

#include "nnm/ops/detail.h"
#include "nnm/ops/function.h"
#include "nnm/ops/functional.h"
#include "nnm/ops/gemm.h"
#include "nnm/ops/layout.h"
#include "nnm/tensor/device.h"
#include "nnm/tensor/recording.h"

namespace nnm {

namespace {

// i64, row-major and each inside the table.
Tensor checked_indices(const Tensor& indices, int64_t rows) {
  NNM_CHECK(indices.dtype() == DType::i64 || indices.dtype() == DType::i32, runtime,
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            "Long, Int; but got {} instead (while checking arguments for embedding)",
            legacy_type_name(indices.dtype()));
  Tensor at = detail::row_major(to(indices, DType::i64));
  if (at.is_meta()) return at;
  if (Tensor safe = detail::indices_checked_late(at, rows, 0); safe.defined()) return safe;
  const Tensor seen = moved(at, Device{});
  const auto* p = seen.data<int64_t>();
  for (int64_t i = 0; i < at.numel(); ++i) {
    if (p[i] >= 0 && p[i] < rows) continue;
    throw Error(ErrorKind::index, "index out of range in self",
                fmt::format("index {} in a table of {} rows", p[i], rows));
  }
  return at;
}

View as_vector(const Tensor& x) {
  View v = x;
  v.ndim = 1;
  v.size[0] = x.numel();
  v.stride[0] = 1;
  return v;
}

View as_table(const Tensor& x, int64_t width) {
  View v = x;
  v.ndim = 2;
  v.size[0] = width ? x.numel() / width : 0, v.size[1] = width;
  v.stride[0] = width, v.stride[1] = 1;
  return v;
}

}  // namespace

Tensor embedding(const Tensor& indices, const Tensor& weight, std::optional<int64_t> padding_idx) {
  detail::check_defined(indices, "embedding");
  detail::check_defined(weight, "embedding");
  NNM_CHECK(weight.dim() == 2, runtime, "'weight' must be 2-D");
  detail::check_floating(weight, "embedding");
  const int64_t rows = weight.shape()[0], width = weight.shape()[1];
  const int64_t padding = padding_idx.value_or(-rows - 1);
  NNM_CHECK(!padding_idx || (padding < rows && padding >= -rows), assertion,
            "Padding_idx must be within num_embeddings");
  const Tensor at = checked_indices(indices, rows);
  Shape shape = indices.shape();
  shape.push_back(width);
  Tensor y = empty(shape, weight.options());
  kernels::embedding(as_table(y, width), detail::row_major(weight), as_vector(at));
  if (!needs_grad({&weight})) return y;
  const int64_t skip = !padding_idx ? -1 : padding < 0 ? padding + rows : padding;
  return record("EmbeddingBackward0", y, {&weight},
                [at = Saved(at), sizes = weight.shape(), skip](Backward& b) {
                  const Tensor g = detail::row_major(b.grad());
                  const Tensor dw = empty(sizes, g.options());
                  kernels::embedding_backward(dw, as_table(g, sizes[1]), as_vector(at.get()), skip);
                  b.set(0, dw);
                });
}

namespace {

/// Gradients are dense here, whatever `sparse` says.
Tensor embedding_call(const Tensor& input, const Tensor& weight, std::optional<int64_t> padding_idx,
                      std::optional<double> max_norm, double norm_type, bool scale_grad_by_freq,
                      bool) {
  if (max_norm) embedding_renorm_(weight, input, *max_norm, norm_type);
  const Tensor y = embedding(input, weight, padding_idx);
  return scale_grad_by_freq ? scale_grad_by_frequency(y, input, weight.size(0)) : y;
}

constexpr Function kEmbeddingFunctions[] = {
    {"embedding(input: Tensor, weight: Tensor, padding_idx: int? = none, max_norm: float? = none, "
     "norm_type: float = 2, scale_grad_by_freq: bool = false, sparse: bool = false)",
     "rows of weight at the indices in input", call<embedding_call>},
};
NNM_REGISTER_FUNCTIONS(kEmbeddingFunctions);

}  // namespace
}  // namespace nnm
