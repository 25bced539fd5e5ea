// Tensors as files want them.
#include "nnm/io/row_major.h"

#include <cstring>

namespace nnm::io {
namespace {

void copy_rows(const View& from, int dim, const char* src, char*& dst) {
  const size_t item = item_size(from.dtype);
  if (dim == from.ndim) {
    std::memcpy(dst, src, item);
    dst += item;
    return;
  }
  for (int64_t i = 0; i < from.size[dim]; ++i) {
    copy_rows(from, dim + 1, src + i * from.stride[dim] * static_cast<int64_t>(item), dst);
  }
}

}  // namespace

Tensor row_major(const Tensor& x) {
  if (x.device().type != DeviceType::cpu) {
    throw Error(ErrorKind::internal, "a tensor that is not on the CPU was given to a file");
  }
  if (x.is_contiguous()) return x;
  Tensor out = empty(x.shape(), {.dtype = x.dtype()});
  char* dst = out.data<char>();
  copy_rows(x.view(), 0, x.data<char>(), dst);
  return out;
}

}  // namespace nnm::io
