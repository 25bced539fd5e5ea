// Tensors as files want them.
#include "nnm/io/row_major.h"

#include "nnm/autograd/node.h"
#include "nnm/ops/ops.h"

namespace nnm::io {

Tensor row_major(const Tensor& x) {
  if (x.device().type != DeviceType::cpu) {
    throw Error(ErrorKind::internal, "a tensor that is not on the CPU was given to a file");
  }
  if (x.is_contiguous()) return x;
  const NoGradGuard no_grad;
  return contiguous(x);
}

}  // namespace nnm::io
