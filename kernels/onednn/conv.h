// Convolutions of the plug-in.
#pragma once

#include "kernels/onednn.h"

namespace nnm {

bool onednn_conv2d(const View& y, const View& x, const View& w, const View& own, const View& bias,
                   const Conv2d& p, int threads);
OneDnn::Order onednn_conv2d_order(const View& y, const View& x, const View& w, const View& bias,
                                  const Conv2d& p, int threads);
void onednn_conv2d_reorder(const View& own, const View& w, const Conv2d& p, int order, int threads);
bool onednn_conv2d_backward_input(const View& dx, const View& g, const View& w, const Conv2d& p,
                                  int threads);
bool onednn_conv2d_backward_weight(const View& dw, const View& dbias, const View& g, const View& x,
                                   const Conv2d& p, int threads);

}  // namespace nnm
