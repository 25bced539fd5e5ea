// The passes of a convolution as the operations call them: of images by oneDNN where that is worth
// it, else by the kernels, with the contracts of kernels/conv.h; of volumes by those of images.
#pragma once

#include <vector>

#include "kernels/conv.h"
#include "nnm/tensor/tensor.h"

namespace nnm::detail {

/// Whether weights stay as they are from call to call, so that copies of them in a kernel's order
/// are worth keeping (kept.h). The results are the same bits.
enum class Weights : uint8_t { change, stay };

/// The rest of a forward pass at inference.
struct ConvAfter {
  std::vector<float> scale;  ///< of the weights along the output's channels; empty: none
  Tensor addend;             ///< lies as y does; undefined: none
  bool relu = false;
};

/// All tensors lie as the kernels want them: images with channels innermost, the rest row-major.
/// Bias and dbias may be undefined.
void conv2d_forward(const Tensor& y, const Tensor& x, const Tensor& w, const Tensor& bias,
                    const Conv2d& p, Weights weights = Weights::change);
/// y = max(conv(x, w scale) + bias + addend, 0) with weights that stay. False, and nothing done,
/// where the convolution is so small that there is nothing to gain.
bool conv2d_forward(const Tensor& y, const Tensor& x, const Tensor& w, const Tensor& bias,
                    const Conv2d& p, const ConvAfter& after);
void conv2d_backward_input(const Tensor& dx, const Tensor& g, const Tensor& w, const Conv2d& p);
void conv2d_backward_weight(const Tensor& dw, const Tensor& dbias, const Tensor& g, const Tensor& x,
                            const Conv2d& p);

/// A convolution of `rank` spatial dimensions, which are the last entries. Sequences are images of
/// one row, so that tensors have two spatial dimensions at least.
struct Convolution {
  int rank = 2;
  int64_t stride[3] = {1, 1, 1}, dilation[3] = {1, 1, 1};
  int64_t before[3] = {}, after[3] = {};  ///< zeros around x
  int64_t groups = 1;
  /// The last two dimensions.
  Conv2d image() const;
  /// The first entry that is a dimension of tensors, and which one of t's entry i is.
  int first() const { return rank == 3 ? 0 : 1; }
  static int dim(const Tensor& t, int i) { return t.dim() - 3 + i; }
};

/// The same of images or volumes.
void conv_forward(const Tensor& y, const Tensor& x, const Tensor& w, const Tensor& bias,
                  const Convolution& p, Weights weights = Weights::change);
void conv_backward_input(const Tensor& dx, const Tensor& g, const Tensor& w, const Convolution& p);
void conv_backward_weight(const Tensor& dw, const Tensor& dbias, const Tensor& g, const Tensor& x,
                          const Convolution& p);

/// Throws Error(runtime) unless all are floating, of one type and on one device.
void check_conv_types(const Tensor& x, const Tensor& w, const Tensor& bias);

}  // namespace nnm::detail
