// Lookup tables.
#include "nnm/nn/layers/embedding.h"

#include "nnm/autograd/node.h"
#include "nnm/nn/init.h"
#include "nnm/ops/ops.h"

namespace nnm::nn {

namespace {

Embedding::Options wrapped(Embedding::Options o) {
  if (!o.padding_idx) return o;
  NNM_CHECK(*o.padding_idx < o.num_embeddings && *o.padding_idx >= -o.num_embeddings, assertion,
            "Padding_idx must be within num_embeddings");
  if (*o.padding_idx < 0) *o.padding_idx += o.num_embeddings;
  return o;
}

// How often each row is named: (num_embeddings).
Tensor counts_of(const Tensor& indices, int64_t rows, TensorOptions options) {
  const Tensor flat = nnm::to(reshape(indices, {-1}), DType::i64);
  return scatter_add(zeros({rows}, options), 0, flat, ones(flat.shape(), options));
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

Embedding::Embedding(const Options& o) : options(wrapped(o)) {
  weight = register_parameter("weight", new_parameter({o.num_embeddings, o.embedding_dim}));
  draw_parameters(*this);
}

void Embedding::reset_parameters(const Streams& streams) {
  init::normal_(*weight, 0, 1, streams("weight"));
  if (!options.padding_idx || weight->is_meta()) return;
  const NoGradGuard no_grad;
  zero_(select(*weight, 0, *options.padding_idx));
}

void Embedding::shorten_rows(const Tensor& indices) const {
  const NoGradGuard no_grad;
  const Tensor& w = *weight;
  const double max_norm = options.max_norm->d;
  const Tensor used = gt(counts_of(indices, w.size(0), w.options()), zeros({}, w.options()));
  const Tensor norms = norm(w, options.norm_type.d, {1});
  const Tensor too_long = logical_and(used, gt(norms, full({}, max_norm, w.options())));
  const Tensor scale = where(too_long, div(max_norm, norms + 1e-7), ones_like(norms));
  copy_(w, w * unsqueeze(scale, 1));
}

Tensor Embedding::forward(const Tensor& x) {
  if (options.max_norm) shorten_rows(x);
  Tensor y = embedding(x, weight, options.padding_idx);
  if (options.scale_grad_by_freq && y.requires_grad()) {
    const Tensor counts = counts_of(x, weight->size(0), weight->options());
    const Tensor share = div(1.0, index_select(counts, 0, nnm::to(reshape(x, {-1}), DType::i64)));
    Shape column = x.shape();
    column.push_back(1);
    y.register_hook([scale = reshape(share, column)](const Tensor& g) -> std::optional<Tensor> {
      return g.defined() ? std::optional(g * scale) : std::nullopt;
    });
  }
  return y;
}

std::string Embedding::extra_repr() const {
  return arguments_text(spec(), options,
                        {"=num_embeddings", "=embedding_dim", "padding_idx?", "max_norm?",
                         "norm_type?", "scale_grad_by_freq?", "sparse?"});
}

NNM_REGISTER(Module, Embedding);

}  // namespace nnm::nn
