// Lookup tables.
#pragma once

#include "nnm/nn/layers/layer.h"

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

 private:
  void shorten_rows(const Tensor& indices) const;
};

}  // namespace nnm::nn
