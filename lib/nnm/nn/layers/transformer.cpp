// Transformer layers, of children that are called as any module is: hooks see every call.
#include "nnm/nn/layers/transformer.h"

#include <limits>

#include "nnm/nn/hooks_detail.h"
#include "nnm/nn/init.h"
#include "nnm/ops/ops.h"

namespace nnm::nn {

namespace {

Spec<TransformerLayerOptions> transformer_spec(const char* name, const char* doc) {
  using Options = TransformerLayerOptions;
  return Spec<Options>(name, doc)
      .req(NNM_ARG(d_model), "features", at_least(1))
      .req(NNM_ARG(nhead), "heads", at_least(1))
      .opt(NNM_ARG(dim_feedforward), "features between the linear layers", at_least(1))
      .opt(NNM_ARG(dropout), "probability of zero", between(0, 1))
      .opt(NNM_ARG(activation), "between the linear layers", one_of({"relu", "gelu"}))
      .opt(NNM_ARG(layer_norm_eps), "added to variances", at_least(0))
      .opt(NNM_ARG(batch_first), "inputs are (N, L, features)")
      .opt(NNM_ARG(norm_first), "normalise what parts are given")
      .opt(NNM_ARG(bias), "learn biases");
}

Ref<MultiheadAttention> attention_of(const TransformerLayerOptions& o) {
  return make_ref<MultiheadAttention>(MultiheadAttention::Options{.embed_dim = o.d_model,
                                                                  .num_heads = o.nhead,
                                                                  .dropout = o.dropout.d,
                                                                  .bias = o.bias,
                                                                  .batch_first = o.batch_first});
}
Ref<LayerNorm> norm_of(const TransformerLayerOptions& o) {
  return make_ref<LayerNorm>(
      LayerNorm::Options{.normalized_shape = {o.d_model}, .eps = o.layer_norm_eps, .bias = o.bias});
}
Ref<Dropout> dropout_of(const TransformerLayerOptions& o) {
  return make_ref<Dropout>(Dropout::Options{.p = o.dropout});
}
Ref<Linear> linear_of(const TransformerLayerOptions& o, bool widens) {
  const int64_t in = widens ? o.d_model : o.dim_feedforward;
  return make_ref<Linear>(Linear::Options{in, widens ? o.dim_feedforward : o.d_model, o.bias});
}

Tensor activated(const Tensor& x, const std::string& activation) {
  return activation == "gelu" ? gelu(x) : relu(x);
}

/// Attention to a sequence as a transformer asks for it: without weights.
Tensor attended(const Child<MultiheadAttention>& attention, const Tensor& x, const Tensor& to,
                const Value& mask, const Value& padding, const Value& causal) {
  const Value out = attention(Args{{x, to, to},
                                   {{"key_padding_mask", padding},
                                    {"need_weights", false},
                                    {"attn_mask", mask},
                                    {"is_causal", causal}}});
  return out.items()[0].as<Tensor>();
}

/// What a part adds: normalised before, or with what it is added to.
template <class Part>
Tensor residual(const Tensor& x, const Child<LayerNorm>& norm, bool norm_first, const Part& part) {
  return norm_first ? x + part(norm(x)) : norm(x + part(x));
}

/// Keyword arguments that are given.
Items given(std::initializer_list<std::pair<const char*, Value>> arguments) {
  Items out;
  for (const auto& [name, value] : arguments)
    if (!value.is_none()) out.emplace_back(name, value);
  return out;
}

std::vector<Ref<Module>> copies_of(const Ref<Module>& layer, int64_t n) {
  std::vector<Ref<Module>> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(deepcopy(layer));
  return out;
}

/// Each layer's output for the one before it, with arguments that are the same for all.
Value through(const Child<ModuleList>& layers, const Child<>& norm, Value x, const Values& also,
              const Items& keywords) {
  for (const Ref<ModuleSlot>& slot : *layers) {
    Args args{{x}, keywords};
    args.pos.insert(args.pos.end(), also.begin(), also.end());
    const Ref<Module> layer = slot->value;
    x = (*layer)(args);
  }
  return norm ? norm(x) : x;
}

}  // namespace

const Spec<TransformerLayerOptions>& TransformerEncoderLayer::spec() {
  static const auto s =
      transformer_spec("TransformerEncoderLayer", "self-attention and two linear layers");
  return s;
}

TransformerEncoderLayer::TransformerEncoderLayer(const Options& o) : options(o) {
  self_attn = register_module("self_attn", attention_of(o));
  linear1 = register_module("linear1", linear_of(o, true));
  dropout = register_module("dropout", dropout_of(o));
  linear2 = register_module("linear2", linear_of(o, false));
  norm1 = register_module("norm1", norm_of(o));
  norm2 = register_module("norm2", norm_of(o));
  dropout1 = register_module("dropout1", dropout_of(o));
  dropout2 = register_module("dropout2", dropout_of(o));
}

Value TransformerEncoderLayer::forward(const Args& args) {
  static const Signature signature = Signature::parse(
      "forward(src: Tensor, src_mask: Tensor? = none, src_key_padding_mask: Tensor? = none, "
      "is_causal: bool = false)");
  const Values a = forward_args(signature, args);
  Tensor x = residual(a[0].as<Tensor>(), norm1, options.norm_first, [&](const Tensor& t) {
    return dropout1(attended(self_attn, t, t, a[1], a[2], a[3]));
  });
  x = residual(x, norm2, options.norm_first, [&](const Tensor& t) {
    return dropout2(linear2(dropout(activated(linear1(t), options.activation))));
  });
  return x;
}

NNM_REGISTER(Module, TransformerEncoderLayer);

const Spec<TransformerLayerOptions>& TransformerDecoderLayer::spec() {
  static const auto s = transformer_spec("TransformerDecoderLayer",
                                         "attention to itself and a memory, two linear layers");
  return s;
}

TransformerDecoderLayer::TransformerDecoderLayer(const Options& o) : options(o) {
  self_attn = register_module("self_attn", attention_of(o));
  multihead_attn = register_module("multihead_attn", attention_of(o));
  linear1 = register_module("linear1", linear_of(o, true));
  dropout = register_module("dropout", dropout_of(o));
  linear2 = register_module("linear2", linear_of(o, false));
  norm1 = register_module("norm1", norm_of(o));
  norm2 = register_module("norm2", norm_of(o));
  norm3 = register_module("norm3", norm_of(o));
  dropout1 = register_module("dropout1", dropout_of(o));
  dropout2 = register_module("dropout2", dropout_of(o));
  dropout3 = register_module("dropout3", dropout_of(o));
}

Value TransformerDecoderLayer::forward(const Args& args) {
  static const Signature signature = Signature::parse(
      "forward(tgt: Tensor, memory: Tensor, tgt_mask: Tensor? = none, memory_mask: Tensor? = none, "
      "tgt_key_padding_mask: Tensor? = none, memory_key_padding_mask: Tensor? = none, "
      "tgt_is_causal: bool = false, memory_is_causal: bool = false)");
  const Values a = forward_args(signature, args);
  const Tensor memory = a[1].as<Tensor>();
  const bool first = options.norm_first;
  Tensor x = residual(a[0].as<Tensor>(), norm1, first, [&](const Tensor& t) {
    return dropout1(attended(self_attn, t, t, a[2], a[4], a[6]));
  });
  x = residual(x, norm2, first, [&](const Tensor& t) {
    return dropout2(attended(multihead_attn, t, memory, a[3], a[5], a[7]));
  });
  x = residual(x, norm3, first, [&](const Tensor& t) {
    return dropout3(linear2(dropout(activated(linear1(t), options.activation))));
  });
  return x;
}

NNM_REGISTER(Module, TransformerDecoderLayer);

const Spec<TransformerEncoder::Options>& TransformerEncoder::spec() {
  static const auto s = Spec<Options>("TransformerEncoder", "encoder layers one after the other")
                            .req(NNM_ARG(encoder_layer), "the layer that is copied")
                            .req(NNM_ARG(num_layers), "how many there are", at_least(0))
                            .opt(NNM_ARG(norm), "a layer after all of them")
                            .opt(NNM_ARG(enable_nested_tensor), "PyTorch's fast path; nothing here")
                            .opt(NNM_ARG(mask_check), "PyTorch's fast path; nothing here");
  return s;
}

TransformerEncoder::TransformerEncoder(const Options& o) : options(o) {
  layers =
      register_module("layers", make_ref<ModuleList>(copies_of(o.encoder_layer, o.num_layers)));
  if (o.norm && *o.norm) norm = register_module("norm", *o.norm);
}

Value TransformerEncoder::forward(const Args& args) {
  static const Signature signature = Signature::parse(
      "forward(src: Tensor, mask: Tensor? = none, src_key_padding_mask: Tensor? = none, "
      "is_causal: bool? = none)");
  const Values a = forward_args(signature, args);
  return through(layers, norm, a[0], {},
                 given({{"src_mask", a[1]}, {"src_key_padding_mask", a[2]}, {"is_causal", a[3]}}));
}

NNM_REGISTER(Module, TransformerEncoder);

const Spec<TransformerDecoder::Options>& TransformerDecoder::spec() {
  static const auto s = Spec<Options>("TransformerDecoder", "decoder layers one after the other")
                            .req(NNM_ARG(decoder_layer), "the layer that is copied")
                            .req(NNM_ARG(num_layers), "how many there are", at_least(0))
                            .opt(NNM_ARG(norm), "a layer after all of them");
  return s;
}

TransformerDecoder::TransformerDecoder(const Options& o) : options(o) {
  layers =
      register_module("layers", make_ref<ModuleList>(copies_of(o.decoder_layer, o.num_layers)));
  if (o.norm && *o.norm) norm = register_module("norm", *o.norm);
}

Value TransformerDecoder::forward(const Args& args) {
  static const Signature signature = Signature::parse(
      "forward(tgt: Tensor, memory: Tensor, tgt_mask: Tensor? = none, memory_mask: Tensor? = none, "
      "tgt_key_padding_mask: Tensor? = none, memory_key_padding_mask: Tensor? = none, "
      "tgt_is_causal: bool? = none, memory_is_causal: bool? = none)");
  const Values a = forward_args(signature, args);
  return through(layers, norm, a[0], {a[1]},
                 given({{"tgt_mask", a[2]},
                        {"memory_mask", a[3]},
                        {"tgt_key_padding_mask", a[4]},
                        {"memory_key_padding_mask", a[5]},
                        {"tgt_is_causal", a[6]},
                        {"memory_is_causal", a[7]}}));
}

NNM_REGISTER(Module, TransformerDecoder);

const Spec<Transformer::Options>& Transformer::spec() {
  static const auto s =
      Spec<Options>("Transformer", "an encoder, and a decoder that attends to what it makes")
          .opt(NNM_ARG(d_model), "features", at_least(1))
          .opt(NNM_ARG(nhead), "heads", at_least(1))
          .opt(NNM_ARG(num_encoder_layers), "layers of the encoder", at_least(0))
          .opt(NNM_ARG(num_decoder_layers), "layers of the decoder", at_least(0))
          .opt(NNM_ARG(dim_feedforward), "features between the linear layers", at_least(1))
          .opt(NNM_ARG(dropout), "probability of zero", between(0, 1))
          .opt(NNM_ARG(activation), "between the linear layers", one_of({"relu", "gelu"}))
          .opt(NNM_ARG(custom_encoder), "instead of its own encoder")
          .opt(NNM_ARG(custom_decoder), "instead of its own decoder")
          .opt(NNM_ARG(layer_norm_eps), "added to variances", at_least(0))
          .opt(NNM_ARG(batch_first), "inputs are (N, L, features)")
          .opt(NNM_ARG(norm_first), "normalise what parts are given")
          .opt(NNM_ARG(bias), "learn biases");
  return s;
}

Transformer::Transformer(const Options& o) : options(o) {
  const TransformerLayerOptions layer{.d_model = o.d_model,
                                      .nhead = o.nhead,
                                      .dim_feedforward = o.dim_feedforward,
                                      .dropout = o.dropout,
                                      .activation = o.activation,
                                      .layer_norm_eps = o.layer_norm_eps,
                                      .batch_first = o.batch_first,
                                      .norm_first = o.norm_first,
                                      .bias = o.bias};
  const auto part = [&]<class Stack, class Layer>(int64_t layers) -> Ref<Module> {
    return make_ref<Stack>(typename Stack::Options{make_ref<Layer>(layer), layers, norm_of(layer)});
  };
  const auto custom = [](const std::optional<Ref<Module>>& m) { return m && *m; };
  encoder = register_module(
      "encoder",
      custom(o.custom_encoder)
          ? *o.custom_encoder
          : part.operator()<TransformerEncoder, TransformerEncoderLayer>(o.num_encoder_layers));
  decoder = register_module(
      "decoder",
      custom(o.custom_decoder)
          ? *o.custom_decoder
          : part.operator()<TransformerDecoder, TransformerDecoderLayer>(o.num_decoder_layers));
  draw_parameters(*this);
}

void Transformer::reset_parameters(const Streams& streams) {
  for (const auto& [name, p] : named_parameters())
    if (p.dim() > 1) init::xavier_uniform_(p, 1, streams(name));
}

Tensor Transformer::generate_square_subsequent_mask(int64_t size, TensorOptions options) {
  return triu(full({size, size}, Scalar(-std::numeric_limits<double>::infinity()), options), 1);
}

Value Transformer::forward(const Args& args) {
  static const Signature signature = Signature::parse(
      "forward(src: Tensor, tgt: Tensor, src_mask: Tensor? = none, tgt_mask: Tensor? = none, "
      "memory_mask: Tensor? = none, src_key_padding_mask: Tensor? = none, tgt_key_padding_mask: "
      "Tensor? = none, memory_key_padding_mask: Tensor? = none, src_is_causal: bool? = none, "
      "tgt_is_causal: bool? = none, memory_is_causal: bool = false)");
  const Values a = forward_args(signature, args);
  const Tensor src = a[0].as<Tensor>(), tgt = a[1].as<Tensor>();
  const int batch = options.batch_first ? 0 : 1;
  NNM_CHECK(src.dim() != 3 || src.size(batch) == tgt.size(batch), runtime,
            "the batch number of src and tgt must be equal");
  NNM_CHECK(src.size(-1) == options.d_model && tgt.size(-1) == options.d_model, runtime,
            "the feature number of src and tgt must be equal to d_model");
  const Value memory = encoder(
      Args{{src}, given({{"mask", a[2]}, {"src_key_padding_mask", a[5]}, {"is_causal", a[8]}})});
  return decoder(Args{{tgt, memory},
                      given({{"tgt_mask", a[3]},
                             {"memory_mask", a[4]},
                             {"tgt_key_padding_mask", a[6]},
                             {"memory_key_padding_mask", a[7]},
                             {"tgt_is_causal", a[9]},
                             {"memory_is_causal", a[10]}})});
}

NNM_REGISTER(Module, Transformer);

}  // namespace nnm::nn
