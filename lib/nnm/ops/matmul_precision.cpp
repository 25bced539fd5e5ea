// PyTorch's three words.
#include "nnm/ops/matmul_precision.h"

#include <algorithm>
#include <atomic>
#include <iterator>

#include "kernels/tf32.h"
#include "nnm/base/error.h"

namespace nnm {

namespace {

constexpr std::string_view kPrecisions[] = {"highest", "high", "medium"};
std::atomic<size_t> matmul_precision = 0;

}  // namespace

void set_float32_matmul_precision(std::string_view precision) {
  const auto* const at = std::find(std::begin(kPrecisions), std::end(kPrecisions), precision);
  NNM_CHECK(at != std::end(kPrecisions), value,
            "float32 matmul precision is highest, high or medium, not `{}`", precision);
  matmul_precision = static_cast<size_t>(at - std::begin(kPrecisions));
  allow_tf32(precision != "highest");
}

std::string get_float32_matmul_precision() { return std::string(kPrecisions[matmul_precision]); }

Tf32Guard::Tf32Guard(bool wanted) : before_(get_float32_matmul_precision()) {
  if (wanted) set_float32_matmul_precision("high");
}
Tf32Guard::~Tf32Guard() { set_float32_matmul_precision(before_); }

}  // namespace nnm
