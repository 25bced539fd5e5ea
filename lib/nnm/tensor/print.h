// How tensors print, as torch.set_printoptions has it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace nnm {

/// The options in force, for the whole process.
struct PrintOptions {
  int precision = 4;        ///< digits after the point
  double threshold = 1000;  ///< elements beyond which a tensor is summarised; may be INFINITY
  int64_t edgeitems = 3;    ///< elements kept at each end of a dimension then
  int64_t linewidth = 80;   ///< columns before a line is broken
  std::optional<bool> sci_mode = {};  ///< always or never 1.0000e+00; none: where numbers need it
};

/// What to change: those left out stay, but for sci_mode, which goes back to none, as in PyTorch.
struct PrintChanges {
  std::optional<int> precision = {};
  std::optional<double> threshold = {};
  std::optional<int64_t> edgeitems = {}, linewidth = {};
  /// Where the others start from: "default"; "short": two digits and edge items; "full": no limit.
  std::optional<std::string> profile = {};
  std::optional<bool> sci_mode = {};
};

/// torch.set_printoptions. Throws Error(value) for another profile and negative numbers.
///   set_printoptions({.precision = 2, .linewidth = 120});
void set_printoptions(const PrintChanges& changes);
PrintOptions get_printoptions();

/// Changes them for a scope.
class PrintOptionsGuard {
 public:
  explicit PrintOptionsGuard(const PrintChanges& changes);
  ~PrintOptionsGuard();
  PrintOptionsGuard(const PrintOptionsGuard&) = delete;

 private:
  PrintOptions before_;
};

}  // namespace nnm
