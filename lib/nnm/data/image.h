// What image transforms do to planes: windows, mirror images, resampling, rotation. A sample is
// (…, H, W); everything before the last two axes counts planes.
#pragma once

#include <optional>
#include <string>

#include "nnm/data/transform.h"

namespace nnm::data {

struct ImageSize {
  int64_t planes = 1, height = 0, width = 0;
};
/// Throws Error(value) naming the transform for samples of fewer than two axes.
ImageSize image_size(const SampleType& t, const char* transform);
/// The type with other last two extents.
SampleType resized(const SampleType& t, int64_t height, int64_t width);

/// A rectangle of an image; it may reach beyond.
struct Window {
  int64_t top = 0, left = 0, height = 0, width = 0;
};
/// What lies beyond the image: `fill`, or the image continued as torchvision's padding modes do.
enum class Border : uint8_t { constant, edge, reflect, symmetric };
Border border_of(const std::string& padding_mode);

/// The window of every plane.
void copy_window(DType dtype, const ImageSize& size, const void* x, const Window& w, void* y,
                 Border border = Border::constant, double fill = 0);
/// Every row backwards.
void mirror(DType dtype, const ImageSize& size, const void* x, void* y);

enum class Interpolation : uint8_t { nearest, bilinear };
Interpolation interpolation_of(const std::string& name);
/// How `resize` samples. `antialias` widens the filter where it shrinks, as PyTorch does.
struct Resampling {
  Interpolation interpolation = Interpolation::bilinear;
  bool antialias = true;
};
/// The window of every plane (inside of the image) to height x width, as F.interpolate with
/// align_corners=False. Types that are not f32 or f64 compute in f32 and are rounded.
void resize_window(DType dtype, const ImageSize& size, const void* x, const Window& w,
                   int64_t height, int64_t width, const Resampling& how, void* y);

/// Every plane turned counter-clockwise by `degrees` about `center` (x, y in pixels; none: the
/// middle), as torchvision.transforms.functional.rotate without expand.
void rotate(DType dtype, const ImageSize& size, const void* x, double degrees,
            const std::optional<std::pair<double, double>>& center, Interpolation interpolation,
            double fill, void* y);

}  // namespace nnm::data
