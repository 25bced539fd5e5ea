// The layers of a transformer (Vaswani et al. 2017), and stacks of them.
#pragma once

#include "nnm/nn/layers/attention.h"
#include "nnm/nn/layers/container.h"
#include "nnm/nn/layers/dropout.h"
#include "nnm/nn/layers/norm.h"

namespace nnm::nn {

/// Options of both kinds of layers. `activation` is "relu" or "gelu"; with `norm_first` what a part
/// is given is normalised, and otherwise its sum with what it was given.
struct TransformerLayerOptions {
  int64_t d_model = 0, nhead = 0, dim_feedforward = 2048;
  Scalar dropout = 0.1;
  std::string activation = "relu";
  Scalar layer_norm_eps = 1e-5;
  bool batch_first = false, norm_first = false, bias = true;
};

/// Self-attention, then two linear layers: forward(src, src_mask=None, src_key_padding_mask=None,
/// is_causal=False), shapes and masks as MultiheadAttention has them.
class TransformerEncoderLayer : public Module {
 public:
  using Options = TransformerLayerOptions;
  NNM_LAYER(TransformerEncoderLayer, 2);
  using Module::forward;
  Value forward(const Args& args) override;

  Child<MultiheadAttention> self_attn;
  Child<Linear> linear1;
  Child<Dropout> dropout;
  Child<Linear> linear2;
  Child<LayerNorm> norm1, norm2;
  Child<Dropout> dropout1, dropout2;
};

/// Self-attention, attention to a memory, then two linear layers: forward(tgt, memory,
/// tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None, memory_key_padding_mask=None,
/// tgt_is_causal=False, memory_is_causal=False).
class TransformerDecoderLayer : public Module {
 public:
  using Options = TransformerLayerOptions;
  NNM_LAYER(TransformerDecoderLayer, 2);
  using Module::forward;
  Value forward(const Args& args) override;

  Child<MultiheadAttention> self_attn, multihead_attn;
  Child<Linear> linear1;
  Child<Dropout> dropout;
  Child<Linear> linear2;
  Child<LayerNorm> norm1, norm2, norm3;
  Child<Dropout> dropout1, dropout2, dropout3;
};

/// Copies of a layer, one after the other, and a norm where one is given: forward(src, mask=None,
/// src_key_padding_mask=None, is_causal=None).
class TransformerEncoder : public Module {
 public:
  struct Options {
    Ref<Module> encoder_layer = {};
    int64_t num_layers = 1;
    std::optional<Ref<Module>> norm = {};
    bool enable_nested_tensor = true, mask_check = true;  ///< PyTorch's fast path; nothing here
  };
  NNM_LAYER(TransformerEncoder, 2);
  using Module::forward;
  Value forward(const Args& args) override;

  Child<ModuleList> layers;
  Child<> norm;
};

/// The same of decoder layers: forward(tgt, memory, tgt_mask=None, memory_mask=None,
/// tgt_key_padding_mask=None, memory_key_padding_mask=None, tgt_is_causal=None,
/// memory_is_causal=False).
class TransformerDecoder : public Module {
 public:
  struct Options {
    Ref<Module> decoder_layer = {};
    int64_t num_layers = 1;
    std::optional<Ref<Module>> norm = {};
  };
  NNM_LAYER(TransformerDecoder, 2);
  using Module::forward;
  Value forward(const Args& args) override;

  Child<ModuleList> layers;
  Child<> norm;
};

/// An encoder and a decoder that attends to what it makes: forward(src, tgt, src_mask=None,
/// tgt_mask=None, memory_mask=None, src_key_padding_mask=None, tgt_key_padding_mask=None,
/// memory_key_padding_mask=None, src_is_causal=None, tgt_is_causal=None, memory_is_causal=False).
/// Weights of two dimensions or more start by xavier_uniform_.
class Transformer : public Module {
 public:
  struct Options {
    int64_t d_model = 512, nhead = 8, num_encoder_layers = 6, num_decoder_layers = 6,
            dim_feedforward = 2048;
    Scalar dropout = 0.1;
    std::string activation = "relu";
    std::optional<Ref<Module>> custom_encoder = {}, custom_decoder = {};  ///< instead of its own
    Scalar layer_norm_eps = 1e-5;
    bool batch_first = false, norm_first = false, bias = true;
  };
  NNM_LAYER(Transformer, 0);
  using Module::forward;
  Value forward(const Args& args) override;
  void reset_parameters(const Streams& streams) override;
  /// Minus infinity above the diagonal of zeros: (size, size).
  static Tensor generate_square_subsequent_mask(int64_t size, TensorOptions options = {});

  Child<> encoder, decoder;
};

}  // namespace nnm::nn
