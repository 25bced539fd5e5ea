// Multi-head attention.
#pragma once

#include "nnm/nn/layers/linear.h"

namespace nnm::nn {

/// The output projection of MultiheadAttention: a Linear whose bias starts at zero. Its weights are
/// used without calling it, so hooks on it never fire, as in PyTorch.
class NonDynamicallyQuantizableLinear : public Linear {
 public:
  explicit NonDynamicallyQuantizableLinear(const Options& options);
  Ref<Module> copied() const override { return make_ref<NonDynamicallyQuantizableLinear>(*this); }
  void reset_parameters(const Streams& streams) override;
};

/// Attention of several heads (Vaswani et al. 2017): forward(query, key, value,
/// key_padding_mask=None, need_weights=True, attn_mask=None, average_attn_weights=True,
/// is_causal=False) gives (output, weights or None). Shapes are (L, N, E), with batch_first
/// (N, L, E), or (L, E); boolean masks are true where attention is forbidden; weights are
/// (N, L, S), for each head (N, heads, L, S).
class MultiheadAttention : public Module {
 public:
  struct Options {
    int64_t embed_dim = 0, num_heads = 0;
    double dropout = 0.0;
    bool bias = true;
    bool add_bias_kv = false;    ///< a learnt key and value more
    bool add_zero_attn = false;  ///< a key and value of zeros more
    std::optional<int64_t> kdim = {}, vdim = {};
    bool batch_first = false;
  };
  NNM_LAYER(MultiheadAttention, 2);
  using Module::forward;
  Value forward(const Args& args) override;
  void reset_parameters(const Streams& streams) override;

  /// Either in_proj_weight (3 E, E) or the other three exist: those where kdim or vdim differ.
  Parameter in_proj_weight, q_proj_weight, k_proj_weight, v_proj_weight, in_proj_bias;
  Child<NonDynamicallyQuantizableLinear> out_proj;
  Parameter bias_k, bias_v;

 private:
  struct Call;
  Tensors projected(const Tensor& query, const Tensor& key, const Tensor& value) const;
  Tensor heads(const Tensor& x) const;
  void append_columns(Call& c, Tensor& key, Tensor& value) const;
  std::pair<Tensor, Tensor> attend(const Call& c, const Tensor& query, const Tensor& key,
                                   const Tensor& value) const;
};

}  // namespace nnm::nn
