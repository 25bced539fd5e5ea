// Whether a device computes what the CPU computes: every kernel on the same operands on both.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kernels/view.h"

namespace nnm::run {

/// One kernel on one set of operands.
struct SelfTestResult {
  enum class Status : uint8_t {
    ok,
    differs,   ///< from the CPU by more than `limit`
    stray,     ///< memory outside of the outputs was written
    unsteady,  ///< a second run gave other bits
    failed,    ///< the call ended with an error
    missing    ///< the device has no such kernel
  };
  std::string kernel, operands;
  Status status = Status::ok;
  /// The largest |device - CPU| / (|CPU| + the root mean square of the CPU's output).
  double error = 0, limit = 0;
  std::string note;
};

/// "ok", "differs", …
const char* name(SelfTestResult::Status s);

/// Calls `each` with every result whose kernel `wanted` takes, in a fixed order. Throws
/// Error(device) where the device cannot be had.
void selftest(Device device, const std::function<bool(const std::string& kernel)>& wanted,
              const std::function<void(const SelfTestResult&)>& each);

}  // namespace nnm::run
