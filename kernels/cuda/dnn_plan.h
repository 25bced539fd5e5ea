// What a convolution comes to in cuDNN: a graph of one operation, and the engine that computes it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/cuda/dnn.h"
#include "kernels/view.h"

namespace nnm::cuda {

enum class DnnPass : uint8_t { forward, input, weight };

/// x (N, C, H, W), w (O, C / groups, KH, KW) and y (N, O, OH, OW), all with channels innermost, the
/// weights and their gradient too; of one of the types f32, bf16 and f16. Addresses are aligned to
/// kAlignment bytes.
struct DnnConvolution {
  static constexpr int64_t kAlignment = 16;
  DnnPass pass;
  DType dtype;
  std::array<int64_t, 4> x, w, y;
  std::array<int64_t, 2> stride, dilation, before, after;
  bool tf32 = false;  ///< f32 may be rounded to it

  using Key = std::array<int64_t, 23>;
  Key key() const;
  /// Whether y is as large as the rest says: cuDNN leaves no pixels out.
  bool consistent() const;
};

/// Of what cuDNN makes plans for: a handle, or without a GPU the descriptor of a device's
/// properties.
struct DnnTarget {
  dnn::Handle handle = nullptr;
  dnn::Descriptor device = nullptr;
};

/// Descriptors of a plan and all that it was made of.
class DnnPlan {
 public:
  /// The first engine that cuDNN's heuristics name of those that repeat bit for bit, need no
  /// compiler, compute as the plug-in does (f32 in f32, without tensor cores unless TF32 is
  /// allowed; 16-bit types with them, sums in f32), and want no more memory than a copy of the
  /// images. It is the same one each time.
  DnnPlan(const Dnn& library, const DnnTarget& target, const DnnConvolution& c);
  ~DnnPlan();
  DnnPlan(const DnnPlan&) = delete;
  DnnPlan& operator=(const DnnPlan&) = delete;

  /// Whether there is one; if not, why() tells of it.
  bool known() const { return plan_ != nullptr; }
  const std::string& why() const { return why_; }
  size_t workspace() const { return workspace_; }
  int64_t engine() const { return engine_; }
  /// Forgets the engine, which cuDNN would not run.
  void refuse() { plan_ = nullptr; }
  /// On the handle's stream. False where cuDNN refuses.
  bool run(dnn::Handle handle, void* x, void* w, void* y, void* workspace) const;

 private:
  dnn::Descriptor create(dnn::Kind kind);
  dnn::Descriptor tensor(int64_t id, const std::array<int64_t, 4>& size);
  dnn::Descriptor convolution();
  dnn::Descriptor operation();
  dnn::Descriptor graph();
  bool choose(dnn::Descriptor graph, dnn::HeuristicMode mode);
  bool serves(dnn::Descriptor engine) const;
  bool make_plan(dnn::Descriptor config);

  const Dnn& library_;
  const DnnTarget target_;
  const DnnConvolution c_;
  std::vector<dnn::Descriptor> made_;
  dnn::Descriptor plan_ = nullptr;
  size_t workspace_ = 0;
  int64_t engine_ = -1;
  std::string why_;
};

}  // namespace nnm::cuda
