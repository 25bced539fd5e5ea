// Tensors as files want them.
#include "nnm/io/row_major.h"

#include "nnm/autograd/node.h"
#include "nnm/ops/ops.h"
#include "nnm/tensor/device.h"

namespace nnm::io {

Tensor row_major(const Tensor& x) {
  NNM_CHECK(!x.is_meta(), internal, "a tensor without data was given to a file");
  if (x.is_contiguous()) return moved(x, Device{});
  const NoGradGuard no_grad;
  return moved(contiguous(x), Device{});
}

}  // namespace nnm::io
