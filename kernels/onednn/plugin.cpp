// The table of the plug-in, and its matrix product.
#include <oneapi/dnnl/dnnl.h>

#include <utility>

#include "kernels/onednn.h"
#include "kernels/onednn/conv.h"
#include "kernels/onednn/threads.h"

namespace nnm {
namespace {

// A matrix whose rows, or columns, lie in rows of memory `step` apart.
struct Operand {
  char op = 0;  ///< 'N', 'T', or 0 where it is neither
  dnnl_dim_t step = 0;
  explicit Operand(const View& v) {
    if (v.stride[1] == 1 && v.stride[0] >= v.size[1]) {
      op = 'N', step = v.stride[0];
    } else if (v.stride[0] == 1 && v.stride[1] >= v.size[0]) {
      op = 'T', step = v.stride[1];
    }
  }
};

View transposed(View v) {
  std::swap(v.size[0], v.size[1]);
  std::swap(v.stride[0], v.stride[1]);
  return v;
}

bool gemm(const View& c, const View& a, const View& b, double alpha, double beta, int threads) {
  if (c.dtype != DType::f32) return false;
  const Operand oc(c), oa(a), ob(b);
  if (!oc.op || !oa.op || !ob.op) return false;
  if (oc.op == 'T') return gemm(transposed(c), transposed(b), transposed(a), alpha, beta, threads);
  const ThreadScope scope(threads);
  return dnnl_sgemm(oa.op, ob.op, c.size[0], c.size[1], a.size[1], static_cast<float>(alpha),
                    a.as<float>(), oa.step, b.as<float>(), ob.step, static_cast<float>(beta),
                    c.as<float>(), oc.step) == dnnl_success;
}

constexpr OneDnn kTable{OneDnn::kVersion,
                        gemm,
                        onednn_conv2d,
                        onednn_conv2d_order,
                        onednn_conv2d_reorder,
                        onednn_conv2d_backward_input,
                        onednn_conv2d_backward_weight};

}  // namespace
}  // namespace nnm

extern "C" __attribute__((visibility("default"))) const nnm::OneDnn* nnm_onednn() {
  return &nnm::kTable;
}
