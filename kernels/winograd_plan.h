// How the Winograd kernels cut a convolution into pieces that stay in cache.
#pragma once

#include <algorithm>

#include "kernels/view.h"

namespace nnm {

/// Tiles of 6x6 inputs make 4x4 outputs, at 36 frequencies. Six tiles are a group: the rows of the
/// register tile. Sixteen channels of the result are a panel: its columns. A block of groups and a
/// chunk of panels are in work at once, so that each transformed operand stays within kBytes.
struct WinogradPlan {
  static constexpr int64_t kFrequencies = 36, kRows = 6, kColumns = 16;
  static constexpr int64_t kBytes = 3 << 20;
  static constexpr int64_t kGroupBytes = 3 << 17;
  static constexpr int64_t kParts = 8, kFewWeights = 1 << 18;
  static constexpr int64_t kLine = 16;  ///< floats of a cache line

  int64_t n, h, w, c, oh, ow, o;  ///< images (N, C, H, W) and results (N, O, OH, OW)
  int64_t tiles_x, tiles_image, tiles, groups, panels;
  int64_t block, chunk;  ///< groups and panels in work at once

  WinogradPlan(const View& x, const View& y)
      : n(x.size[0]),
        h(x.size[2]),
        w(x.size[3]),
        c(x.size[1]),
        oh(y.size[2]),
        ow(y.size[3]),
        o(y.size[1]),
        tiles_x((ow + 3) / 4),
        tiles_image((oh + 3) / 4 * tiles_x),
        tiles(n * tiles_image),
        groups((tiles + kRows - 1) / kRows),
        panels((o + kColumns - 1) / kColumns),
        block(fitting(groups, image_group())),
        chunk(fitting(panels, weight_panel())) {}

  /// Groups of so many floats that a thread works on before the next: as much as the weights that
  /// they meet, so that neither is read again from afar, but at least kGroupBytes.
  int64_t groups_at_once(int64_t floats_each) const {
    return std::max(kGroupBytes / 4, weights()) / floats_each;
  }

  /// Group g has the tiles [first_tile(g), first_tile(g + 1)): as even as can be.
  int64_t first_tile(int64_t g) const { return tiles * g / groups; }

  /// The plan of weights w (O, C, 3, 3) alone: that of an image of no size.
  static WinogradPlan of_weights(const View& w) {
    View x, y;
    x.size[1] = w.size[1], y.size[1] = w.size[0];
    return {x, y};
  }

  // Floats of transformed operands. A line between frequencies, and one between groups, keeps
  // their strides off the powers of two that share a set of the cache.
  int64_t image_frequency() const { return kRows * c + kLine; }
  int64_t image_group() const { return kFrequencies * image_frequency() + kLine; }
  int64_t gradient_frequency() const { return kRows * panels * kColumns + kLine; }
  int64_t gradient_group() const { return kFrequencies * gradient_frequency() + kLine; }
  int64_t weight_frequency() const { return c * kColumns + kLine; }
  int64_t weight_panel() const { return kFrequencies * weight_frequency(); }
  int64_t weights() const { return panels * weight_panel(); }

  /// Whether weights are so few that their gradient is summed in kParts parts of the groups; fixed
  /// for repeatability.
  bool sums_by_parts() const { return weights() <= kFewWeights && groups >= 2 * kParts; }

  /// Of images, of gradients (or of sums over groups), of weights, and the zeros around images.
  int64_t work() const {
    const int64_t sums = sums_by_parts() ? kParts * weights() : chunk * weight_panel();
    return block * (image_group() + gradient_group()) + sums + zeros();
  }
  int64_t zeros() const { return (std::max(c, o) + kLine - 1) / kLine * kLine; }

 private:
  /// The fewest pieces within kBytes, all about as long.
  static int64_t fitting(int64_t count, int64_t floats_each) {
    const int64_t most = std::max<int64_t>(1, kBytes / 4 / floats_each);
    const int64_t pieces = std::max<int64_t>(1, (count + most - 1) / most);
    return (count + pieces - 1) / pieces;
  }
};

}  // namespace nnm
