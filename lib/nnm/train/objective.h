// Objective: what a batch is put through — the model's inputs, its outputs, the loss and metrics.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "nnm/lang/model.h"
#include "nnm/train/plan.h"

namespace nnm::train {

/// A field of the data as a batch holds it. Dims start with the batch; -1 where unknown.
struct Field {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> dims;
};

/// Binds fields to inputs and names to values, once; then runs per batch without looking anything
/// up (details.md section 1, "Binding").
///
/// A model input takes the field of its name; a model with one input and no such field takes the
/// first. Expressions see the fields, `x` and `y` (the first and second, unless a field has that
/// name), `out`, and named outputs.
class Objective {
 public:
  /// Which field each model input takes; -1: none, for an optional input. Adds errors to `d`: an
  /// input without a field, with the list of both.
  static std::vector<int> bind_inputs(const std::vector<lang::ModelInput>& inputs,
                                      const std::vector<Field>& fields, Diagnostics& d);

  Objective() = default;
  /// `output` is what the model gives on meta (lang::check_shapes); `inputs` as bind_inputs gave
  /// them. Compiles loss and metrics and runs them on meta, so that their shapes are checked as
  /// forward's are. Adds errors to `d` (unknown names, a loss that is not one number), and a
  /// warning for fields that nobody reads.
  Objective(const Plan& plan, const lang::Config& config, std::vector<int> inputs,
            const std::vector<Field>& fields, const Value& output, Diagnostics& d);

  bool has_loss() const { return loss_ || loss_output_ >= 0; }
  const std::vector<std::string>& metrics() const { return metric_names_; }
  /// Names that expressions of hooks and asserts may use, in the order of scope().
  const std::vector<std::string>& names() const { return names_; }

  /// The arguments of the model's call for one batch.
  Args arguments(std::span<const Tensor> fields) const;
  /// The model's output for one batch.
  Value forward(Module& model, std::span<const Tensor> fields) const;
  /// The values of names() for one batch and its output; valid until the next call or clear().
  std::span<const Value> scope(std::span<const Tensor> fields, const Value& output);
  /// The loss of what scope() was last called for: a 0-d tensor.
  Tensor loss(bool training) const;
  /// The metric i of it, as a number.
  double metric(size_t i) const;
  /// Drops what scope() holds, and with it the tape.
  void clear();

 private:
  struct Source {
    enum class Kind : uint8_t { field, output, entry, constant };
    Kind kind = Kind::field;
    size_t index = 0;
  };

  std::vector<int> inputs_;
  DType dtype_ = DType::f32;
  bool plain_ = false;  // one tensor in, one out
  std::vector<std::string> names_;
  std::vector<Source> sources_;
  Value vars_;
  Values scope_;
  lang::Expression loss_;
  int loss_output_ = -1;
  std::vector<std::string> metric_names_;
  std::vector<lang::Expression> metrics_;
};

}  // namespace nnm::train
