// Pictures: PNG and JPEG files as bytes, and folders of them as a dataset.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nnm/data/dataset.h"

namespace nnm::data {

/// Whether a file that starts so is PNG or JPEG.
bool is_picture(std::string_view head);

/// A picture of 1 channel (gray) or 3 (red, green, blue), 8 bits each, transparency dropped: what
/// PIL's convert("L") and convert("RGB") leave.
struct Picture {
  int64_t channels = 0, height = 0, width = 0;
  std::vector<char> pixels;  ///< (C, H, W)
  Shape shape() const { return {channels, height, width}; }
};
/// Reads a file; `channels` 0: as many as it has. Throws Error(input_file) with the file's name:
/// damaged, neither PNG nor JPEG, or a format that this nnm was built without.
Picture read_picture(const std::string& path, int64_t channels = 0);
/// Its size, without pixels.
Picture peek_picture(const std::string& path);

/// torchvision's ImageFolder: `path/<class>/…/<file>.png` (.jpg, .jpeg), classes in the order of
/// their names, files in that of their paths. Fields `image` (as many channels as the first file
/// has, decoded when asked for, so that sizes may differ until the transforms have run) and
/// `label`. Throws Error(input_file): no such folder, no classes, a class without pictures.
Ref<Dataset> open_folder(const std::string& path);

}  // namespace nnm::data
