// Where the channels of a tensor (N, C, ...) lie, for sums per channel.
#pragma once

#include "kernels/view.h"

namespace nnm {

/// Runs of memory: planes of one channel (rows = N C, width = inner), or rows of all channels.
/// `count` elements to a channel.
struct ChannelLayout {
  bool inner_channels;
  int64_t channels, rows, width, count;
  explicit ChannelLayout(const View& x) {
    channels = x.size[1];
    const int64_t n = x.numel();
    count = channels ? n / channels : 0;
    const int64_t inner = x.size[0] ? count / x.size[0] : 0;
    inner_channels = x.ndim == 2 || inner == 1 || !x.contiguous();
    width = inner_channels ? channels : inner;
    rows = width ? n / width : 0;
  }
};

}  // namespace nnm
