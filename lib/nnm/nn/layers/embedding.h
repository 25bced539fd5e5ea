// Lookup tables.
#pragma once

#include "nnm/nn/layers/layer.h"
#include "nnm/nn/typed_forward.h"

namespace nnm::nn {

/// Rows of a table by index: (*) of integers to (*, embedding_dim). weight is (num_embeddings,
/// embedding_dim) and starts normal, its row padding_idx zero.
class Embedding : public Module {
 public:
  struct Options {
    int64_t num_embeddings = 0, embedding_dim = 0;
    std::optional<int64_t> padding_idx = {};  ///< the row that gets no gradient; may be negative
    std::optional<Scalar> max_norm = {};      ///< rows that are used are shortened to it, in place
    Scalar norm_type = 2.0;
    bool scale_grad_by_freq = false;  ///< divide gradients by how often their index occurs
    bool sparse = false;              ///< accepted; gradients are dense all the same
  };
  NNM_LAYER(Embedding, 2);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  void reset_parameters(const Streams& streams) override;
  std::string extra_repr() const override;
  Parameter weight;
};

/// Means, sums or maxima of rows of a table: forward(input, offsets=None, per_sample_weights=None),
/// where the rows of a 2-d input are bags of indices, or those of a 1-d one begin at the offsets;
/// (bags, embedding_dim). weight is as Embedding's.
class EmbeddingBag : public Module {
 public:
  struct Options {
    int64_t num_embeddings = 0, embedding_dim = 0;
    std::optional<Scalar> max_norm = {};  ///< rows that are used are shortened to it, in place
    Scalar norm_type = 2.0;
    bool scale_grad_by_freq = false;  ///< divide gradients by how often their index occurs
    std::string mode = "mean";        ///< or "sum", "max"
    bool sparse = false;              ///< accepted; gradients are dense all the same
    std::optional<Tensor> _weight = {};
    bool include_last_offset = false;
    std::optional<int64_t> padding_idx = {};  ///< the index that does not count
  };
  NNM_LAYER(EmbeddingBag, 2);
  NNM_FORWARD(EmbeddingBag,
              "input: Tensor, offsets: Tensor? = none, per_sample_weights: Tensor? = none");
  Tensor forward(const Tensor& input) override { return forward(input, {}, {}); }
  Tensor forward(const Tensor& input, const Tensor& offsets, const Tensor& per_sample_weights = {});
  void reset_parameters(const Streams& streams) override;
  std::string extra_repr() const override;
  Parameter weight;
};

}  // namespace nnm::nn
