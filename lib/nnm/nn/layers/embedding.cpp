// Lookup tables.
#include "nnm/nn/layers/embedding.h"

#include "nnm/autograd/node.h"
#include "nnm/nn/init.h"
#include "nnm/ops/functional.h"

namespace nnm::nn {

namespace {

// With a padding_idx counted from the front.
template <class Options>
Options wrapped(Options o, const char* text) {
  if (!o.padding_idx) return o;
  NNM_CHECK(*o.padding_idx < o.num_embeddings && *o.padding_idx >= -o.num_embeddings, assertion,
            "{} must be within num_embeddings", text);
  if (*o.padding_idx < 0) *o.padding_idx += o.num_embeddings;
  return o;
}

// Normal, but for a row of zeros.
void draw_table(const Tensor& weight, std::optional<int64_t> padding_idx, const Streams& streams) {
  init::normal_(weight, 0, 1, streams("weight"));
  if (!padding_idx || weight.is_meta()) return;
  const NoGradGuard no_grad;
  zero_(select(weight, 0, *padding_idx));
}

}  // namespace

const Spec<Embedding::Options>& Embedding::spec() {
  static const auto s =
      Spec<Options>("Embedding", "rows of a table by index")
          .req(NNM_ARG(num_embeddings), "rows of the table", at_least(0))
          .req(NNM_ARG(embedding_dim), "length of a row", at_least(0))
          .opt(NNM_ARG(padding_idx), "the row that stays as it is")
          .opt(NNM_ARG(max_norm), "shorten rows that are used to this norm")
          .opt(NNM_ARG(norm_type), "the p of max_norm's norm")
          .opt(NNM_ARG(scale_grad_by_freq), "divide gradients by the frequency of their index")
          .opt(NNM_ARG(sparse), "sparse gradients (they are dense here)");
  return s;
}

Embedding::Embedding(const Options& o) : options(wrapped(o, "Padding_idx")) {
  weight = register_parameter("weight", new_parameter({o.num_embeddings, o.embedding_dim}));
  draw_parameters(*this);
}

void Embedding::reset_parameters(const Streams& streams) {
  draw_table(*weight, options.padding_idx, streams);
}

Tensor Embedding::forward(const Tensor& x) {
  if (options.max_norm) embedding_renorm_(*weight, x, options.max_norm->d, options.norm_type.d);
  const Tensor y = embedding(x, weight, options.padding_idx);
  return options.scale_grad_by_freq ? scale_grad_by_frequency(y, x, weight->size(0)) : y;
}

std::string Embedding::extra_repr() const {
  return arguments_text(spec(), options,
                        {"=num_embeddings", "=embedding_dim", "padding_idx?", "max_norm?",
                         "norm_type?", "scale_grad_by_freq?", "sparse?"});
}

NNM_REGISTER(Module, Embedding);

const Spec<EmbeddingBag::Options>& EmbeddingBag::spec() {
  static const auto s =
      Spec<Options>("EmbeddingBag", "means, sums or maxima of rows of a table")
          .req(NNM_ARG(num_embeddings), "rows of the table", at_least(0))
          .req(NNM_ARG(embedding_dim), "length of a row", at_least(0))
          .opt(NNM_ARG(max_norm), "shorten rows that are used to this norm")
          .opt(NNM_ARG(norm_type), "the p of max_norm's norm")
          .opt(NNM_ARG(scale_grad_by_freq), "divide gradients by the frequency of their index")
          .opt(NNM_ARG(mode), "how rows become one", one_of({"sum", "mean", "max"}))
          .opt(NNM_ARG(sparse), "sparse gradients (they are dense here)")
          .opt(NNM_ARG(_weight), "the table itself")
          .opt(NNM_ARG(include_last_offset), "the last offset is the input's length")
          .opt(NNM_ARG(padding_idx), "the row that does not count");
  return s;
}

EmbeddingBag::EmbeddingBag(const Options& o) : options(wrapped(o, "padding_idx")) {
  const Shape shape{o.num_embeddings, o.embedding_dim};
  NNM_CHECK(!o._weight || o._weight->shape() == shape, assertion,
            "Shape of weight does not match num_embeddings and embedding_dim");
  weight = register_parameter("weight", o._weight ? parameter(*o._weight) : new_parameter(shape));
  if (!o._weight) draw_parameters(*this);
}

void EmbeddingBag::reset_parameters(const Streams& streams) {
  if (!options._weight) draw_table(*weight, options.padding_idx, streams);
}

Tensor EmbeddingBag::forward(const Tensor& input, const Tensor& offsets,
                             const Tensor& per_sample_weights) {
  return embedding_bag(
      input, weight,
      {.offsets = offsets,
       .max_norm = options.max_norm ? std::optional(options.max_norm->d) : std::nullopt,
       .norm_type = options.norm_type.d,
       .scale_grad_by_freq = options.scale_grad_by_freq,
       .mode = options.mode,
       .per_sample_weights = per_sample_weights,
       .include_last_offset = options.include_last_offset,
       .padding_idx = options.padding_idx});
}

std::string EmbeddingBag::extra_repr() const {
  return arguments_text(spec(), options,
                        {"=num_embeddings", "=embedding_dim", "max_norm?", "norm_type?",
                         "scale_grad_by_freq?", "mode", "padding_idx?"});
}

NNM_REGISTER(Module, EmbeddingBag);

}  // namespace nnm::nn
