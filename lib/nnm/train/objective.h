// Objective: what a batch is put through — the model's inputs, its outputs, the loss and metrics.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nnm/data/data.h"
#include "nnm/lang/model.h"
#include "nnm/train/plan.h"

namespace nnm::train {

/// A field as a batch holds it.
struct Field {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;             ///< of a batch
  bool known = true;       ///< its type and shape
  Span span = {};          ///< where `data:` names it, or the split that it is of
  bool converted = false;  ///< the loader is asked for `dtype`
};

/// The names by which expressions know fields: their own, and `x` and `y` for the first and the
/// second unless a field has that name.
std::vector<std::string> field_names(const std::vector<Field>& fields);

/// Which fields the model's inputs take, in the order of its arguments.
class InputBinding {
 public:
  InputBinding() = default;
  /// An input takes the field of its name; the only one, where no field has its name, the first.
  /// Asks fields for the type that their input has (floats: `floats`). Adds an error to `d` for an
  /// input without a field, with the list of both.
  InputBinding(const std::vector<lang::ModelInput>& inputs, std::vector<Field>& fields,
               DType floats, Diagnostics& d);

  /// Per input, the index of its field; -1: none (an optional one).
  const std::vector<int>& fields() const { return fields_; }
  /// The same for a list of fields of which only some are left: `place[i]` is where field i is now.
  void renumber(const std::vector<int>& place);
  /// The arguments of the model's call.
  Args arguments(std::span<const Tensor> fields) const;
  /// The model's output. `unboxed`: it gives one tensor, so that nothing need be boxed for one.
  Value call(Module& model, std::span<const Tensor> fields, bool unboxed = false) const;

 private:
  std::vector<int> fields_;
  size_t arguments_ = 0;  // without the optional ones at the end that have no field
};

/// Loss and metrics as expressions over a batch and the model's outputs, compiled once
/// (details.md section 1, "Binding"). They see the fields, `x` and `y` (the first and the second
/// field, unless a field has that name), `out`, named outputs by name, and `vars`.
class Objective {
 public:
  Objective() = default;
  /// `output` is what the model gave on meta, for inputs as `binding` has them. Everything is run
  /// once on meta, so that shapes are checked as forward's are; that is left out where a field is
  /// not known. Adds errors to `d` (unknown names, one name for a field and an output, a loss or
  /// metric that is not one number), and a warning for fields that nobody reads. `also`: names that
  /// others read, as hooks do. `elsewhere`: metrics of another objective over the same fields,
  /// which are no reason to load them here, and none to say that nobody reads them.
  Objective(const Plan& plan, const Value& vars, InputBinding binding, std::vector<Field> fields,
            const Value& output, Diagnostics& d, const std::vector<std::string>& also = {},
            const std::vector<NamedExpr>& elsewhere = {});

  bool has_loss() const { return loss_ || loss_output_; }
  const std::vector<std::string>& metrics() const { return metric_names_; }
  /// Names that expressions may use, in the order of scope().
  const std::vector<std::string>& names() const { return names_; }
  /// The fields that are read, which are those of the batches it takes.
  const std::vector<Field>& fields() const { return fields_; }
  std::vector<data::FieldWish> wishes() const;
  const InputBinding& inputs() const { return inputs_; }

  /// Who sees each batch before the model does: with the values of these fields.
  using Onlooker = std::function<void(const Values& values)>;
  void show_fields(const std::vector<std::string>& names, Onlooker onlooker);
  /// Shows it a batch that is not put through forward().
  void show(std::span<const Tensor> fields) const;
  /// The model's output for one batch; under autocast, as loss and metrics, where the plan says so.
  Value forward(Module& model, std::span<const Tensor> fields) const;
  /// Sets what expressions see: one batch and its output. Valid until the next call or clear().
  std::span<const Value> scope(std::span<const Tensor> fields, const Value& output);
  /// The loss of the batch in scope, a tensor of one element.
  Tensor loss(bool training) const;
  /// Metric i of it.
  double metric(size_t i) const;
  /// Drops what is in scope, and with it the tape.
  void clear();

 private:
  struct Source {
    enum class Kind : uint8_t { field, output, entry, vars };
    Kind kind = Kind::field;
    size_t index = 0;
  };
  void add_name(std::string name, Source source);
  bool add_names(const Value& output, Diagnostics& d);
  bool compile(const Plan& plan, const Value& output, Diagnostics& d);
  void run_on_meta(const lang::Located& loss, const Value& output, Diagnostics& d);
  void keep_used(Diagnostics& d, const std::vector<std::string>& also,
                 const std::vector<NamedExpr>& elsewhere);

  InputBinding inputs_;
  Onlooker onlooker_;
  std::vector<int> shown_;  // fields that it sees, -1: one that is not read here
  bool unboxed_ = false;
  std::optional<DType> autocast_;
  std::vector<Field> fields_;
  std::vector<std::string> names_;
  std::vector<Source> sources_;  // of names_
  Value vars_;
  Values scope_;
  lang::Expression loss_;
  bool loss_output_ = false;  // the loss is the output of that name
  size_t loss_name_ = 0;      // its place in names_
  std::vector<std::string> metric_names_;
  std::vector<lang::Expression> metrics_;
};

}  // namespace nnm::train
