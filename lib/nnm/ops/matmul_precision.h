// How exact products of f32 are on a GPU, by PyTorch's names.
#pragma once

#include <string>
#include <string_view>

namespace nnm {

/// torch.set_float32_matmul_precision: "highest" computes products of f32 in f32, as it is unless
/// somebody asks for less; "high" and "medium" let a GPU's tensor cores round their factors to
/// TF32, of convolutions, too. The CPU computes in f32 in any case. Any thread. Throws
/// Error(value).
void set_float32_matmul_precision(std::string_view precision);
std::string get_float32_matmul_precision();

/// Allows TF32 while one lives, where it is asked for.
class Tf32Guard {
 public:
  explicit Tf32Guard(bool wanted);
  ~Tf32Guard();
  Tf32Guard(const Tf32Guard&) = delete;
  Tf32Guard& operator=(const Tf32Guard&) = delete;

 private:
  std::string before_;
};

}  // namespace nnm
