// Names and exit codes of the error kinds, and the errors that kernels throw.
#include "nnm/base/error.h"

#include "kernels/cuda.h"
#include "kernels/kernel.h"

namespace nnm {

const char* python_name(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::runtime: return "RuntimeError";
    case ErrorKind::type: return "TypeError";
    case ErrorKind::value: return "ValueError";
    case ErrorKind::key: return "KeyError";
    case ErrorKind::index: return "IndexError";
    case ErrorKind::attribute: return "AttributeError";
    case ErrorKind::not_implemented: return "NotImplementedError";
    case ErrorKind::assertion: return "AssertionError";
    case ErrorKind::interrupted: return "KeyboardInterrupt";
    default: return "Error";
  }
}

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::negative: return 1;
    case ErrorKind::input_file: return 3;
    case ErrorKind::output: return 4;
    case ErrorKind::diverged: return 5;
    case ErrorKind::device: return 6;
    case ErrorKind::internal: return 70;
    case ErrorKind::interrupted: return 130;
    // Python's kinds come from what a config asked for: shapes, arguments, names.
    default: return 2;
  }
}

void throw_missing_kernel(const char* kernel, DeviceType device) {
  static constexpr const char* kNames[kDeviceTypes] = {"cpu", "cuda", "meta"};
  fail(ErrorKind::device, "{}: not built for device {}", kernel, kNames[static_cast<int>(device)]);
}

void throw_mixed_devices(Device a, Device b) {
  const auto name = [](Device d) {
    return d.type == DeviceType::cuda ? fmt::format("cuda:{}", d.index) : std::string("cpu");
  };
  fail(ErrorKind::runtime,
       "Expected all tensors to be on the same device, but found at least two devices, {} and {}!",
       name(a), name(b));
}

void throw_device_error(const std::string& message, const std::string& hint) {
  throw Error(ErrorKind::device, message, hint);
}

}  // namespace nnm
