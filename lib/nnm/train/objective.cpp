// Names to slots, once; then slots alone.
#include "nnm/train/objective.h"

#include <algorithm>

#include "nnm/ops/autocast.h"
#include "nnm/train/attempt.h"
#include "nnm/train/loss_sizes.h"

namespace nnm::train {

namespace {

constexpr const char* kUnbound = "E0430";     // a model input without a field
constexpr const char* kTwice = "E0431";       // one name for two things
constexpr const char* kExpression = "E0301";  // an expression that cannot be compiled
constexpr const char* kNotOne = "E0510";      // a loss or metric that is not one number
constexpr const char* kUnread = "W0430";      // a field that nobody reads

// "f32[8, 3]" of a tensor.
std::string what(const Value& v) {
  if (!v.is(Value::Kind::tensor)) return v.repr();
  const Tensor& t = v.as<Tensor>();
  return info(t.dtype()).name + t.shape().str();
}

int index_of(const std::vector<Field>& fields, std::string_view name) {
  for (size_t i = 0; i < fields.size(); ++i)
    if (fields[i].name == name) return static_cast<int>(i);
  return -1;
}

template <class Range>
std::string listed(const Range& range) {
  std::string out;
  for (const auto& x : range) out += (out.empty() ? "" : ", ") + x.name;
  return out.empty() ? "none" : out;
}

// What an expression gives, as the only number it is; on meta as none.
bool is_one_number(const Value& v) {
  return v.is_number() || (v.is(Value::Kind::tensor) && v.as<Tensor>().numel() == 1);
}

}  // namespace

std::vector<std::string> field_names(const std::vector<Field>& fields) {
  std::vector<std::string> out;
  for (const Field& f : fields) out.push_back(f.name);
  for (size_t i = 0; i < 2 && i < fields.size(); ++i) {
    const char* name = i ? "y" : "x";
    if (index_of(fields, name) < 0) out.emplace_back(name);
  }
  return out;
}

InputBinding::InputBinding(const std::vector<lang::ModelInput>& inputs, std::vector<Field>& fields,
                           DType floats, Diagnostics& d) {
  for (const lang::ModelInput& input : inputs) {
    int field = index_of(fields, input.name);
    if (field < 0 && inputs.size() == 1 && !fields.empty()) field = 0;
    if (field < 0 && !input.optional) {
      report(d, kUnbound, input.span,
             fmt::format("the model's input `{}` has no field", input.name),
             fmt::format("inputs: {}; fields: {}", listed(inputs), listed(fields)));
    }
    fields_.push_back(field);
    if (field < 0) continue;
    arguments_ = fields_.size();
    Field& f = fields[static_cast<size_t>(field)];
    DType wanted = f.dtype;
    if (input.typed || input.asks) wanted = is_floating(input.dtype) ? floats : input.dtype;
    else if (is_floating(f.dtype) || f.dtype == DType::u8) wanted = floats;
    f.converted |= wanted != f.dtype;
    f.dtype = wanted;
  }
}

void InputBinding::renumber(const std::vector<int>& place) {
  for (int& field : fields_)
    if (field >= 0) field = place[static_cast<size_t>(field)];
}

Args InputBinding::arguments(std::span<const Tensor> fields) const {
  Args args;
  args.pos.reserve(arguments_);
  for (size_t i = 0; i < arguments_; ++i)
    args.pos.push_back(fields_[i] < 0 ? Value() : Value(fields[static_cast<size_t>(fields_[i])]));
  return args;
}

Value InputBinding::call(Module& model, std::span<const Tensor> fields, bool unboxed) const {
  if (unboxed && arguments_ == 1 && fields_[0] >= 0)
    return model(fields[static_cast<size_t>(fields_[0])]);
  return model(arguments(fields));
}

Objective::Objective(const Plan& plan, const Value& vars, InputBinding binding,
                     std::vector<Field> fields, const Value& output, Diagnostics& d,
                     const std::vector<std::string>& also, const std::vector<NamedExpr>& elsewhere)
    : inputs_(std::move(binding)), fields_(std::move(fields)), vars_(vars) {
  unboxed_ = output.is(Value::Kind::tensor);
  autocast_ = plan.autocast;
  if (plan.dtype == DType::f64) {
    for (Field& f : fields_) {
      f.converted |= f.dtype == DType::f32;
      if (f.dtype == DType::f32) f.dtype = DType::f64;
    }
  }
  // What follows from one name for two things is not reported.
  const bool named = add_names(output, d);
  const bool compiled = named && compile(plan, output, d);
  const auto known = [](const Field& f) { return f.known; };
  if (named && std::all_of(fields_.begin(), fields_.end(), known))
    run_on_meta(plan.loss, output, d);
  clear();
  Diagnostics unread;
  keep_used(unread, also, elsewhere);
  // Expressions that are not understood may read them.
  if (compiled)
    for (const Diagnostic& warning : unread.all()) d.add(warning);
}

void Objective::add_name(std::string name, Source source) {
  names_.push_back(std::move(name));
  sources_.push_back(source);
}

bool Objective::add_names(const Value& output, Diagnostics& d) {
  bool good = true;
  using Kind = Source::Kind;
  const auto has = [&](std::string_view name) {
    return std::find(names_.begin(), names_.end(), name) != names_.end();
  };
  for (size_t i = 0; i < fields_.size(); ++i) add_name(fields_[i].name, {Kind::field, i});
  const auto add_output = [&](const std::string& name, Source source) {
    const int field = index_of(fields_, name);
    if (field < 0) return add_name(name, source);
    good = false;
    report(d, kTwice, fields_[static_cast<size_t>(field)].span,
           fmt::format("`{}` is a field of the data and an output of the model", name),
           "rename the field in `data:`, or the output");
  };
  // Where an output is called `out`, that one is meant.
  const bool own = output.is(Value::Kind::dict) && output.find("out");
  if (!own) add_output("out", {Kind::output, 0});
  if (output.is(Value::Kind::dict))
    for (size_t i = 0; i < output.entries().size(); ++i)
      add_output(output.entries()[i].first, {Kind::entry, i});
  if (!fields_.empty() && !has("x")) add_name("x", {Kind::field, 0});
  if (fields_.size() > 1 && !has("y")) add_name("y", {Kind::field, 1});
  if (vars_.is(Value::Kind::dict) && !has("vars")) add_name("vars", {Kind::vars, 0});
  return good;
}

bool Objective::compile(const Plan& plan, const Value& output, Diagnostics& d) {
  bool good = true;
  if (!plan.loss.empty()) {
    good = attempt(d, kExpression, plan.loss.span(),
                   [&] { loss_ = lang::Expression::compile(plan.loss, names_, vars_); });
  } else if (output.is(Value::Kind::dict) && output.find("loss")) {
    loss_output_ = true;
    loss_name_ =
        static_cast<size_t>(std::find(names_.begin(), names_.end(), "loss") - names_.begin());
  }
  for (const NamedExpr& m : plan.metrics)
    good &= attempt(d, kExpression, m.code.span(), [&] {
      metrics_.push_back(lang::Expression::compile(m.code, names_, vars_));
      metric_names_.push_back(m.name);
    });
  return good;
}

void Objective::run_on_meta(const lang::Located& loss, const Value& output, Diagnostics& d) {
  Tensors batch;
  for (const Field& f : fields_)
    batch.push_back(empty(f.shape, {f.dtype, Device{DeviceType::meta}}));
  scope(batch, output);
  if (has_loss()) {
    const Span span = loss_ ? loss_.span() : Span();
    attempt(d, kNotOne, span, [&] {
      const Value v = loss_ ? loss_.run(scope_, true) : scope_[loss_name_];
      if (!v.is(Value::Kind::tensor) || v.as<Tensor>().numel() != 1)
        throw Error(ErrorKind::config, fmt::format("the loss is not one number but {}", what(v)),
                    "reduce it, such as by mean(…)");
      if (!is_floating(v.as<Tensor>().dtype()))
        fail(ErrorKind::config, "the loss is not floating but {}", what(v));
    });
  }
  Diagnostics ignored;  // it has been compiled
  if (const lang::ExprRef e = loss_ ? lang::parse_expr(loss, ignored) : nullptr)
    warn_of_sizes(
        *e,
        [&](const lang::ExprRef& part) {
          return lang::Expression::compile(part, names_).run(scope_, true);
        },
        d);
  for (size_t i = 0; i < metrics_.size(); ++i)
    attempt(d, kNotOne, metrics_[i].span(), [&] {
      const Value v = metrics_[i].run(scope_);
      if (!is_one_number(v))
        throw Error(ErrorKind::config,
                    fmt::format("metric {} is not one number but {}", metric_names_[i], what(v)),
                    "reduce it, such as by mean(…)");
    });
}

// Only what is read is loaded.
void Objective::keep_used(Diagnostics& d, const std::vector<std::string>& also,
                          const std::vector<NamedExpr>& elsewhere) {
  std::vector<char> used(fields_.size()), used_elsewhere = used;
  for (const int f : inputs_.fields())
    if (f >= 0) used[static_cast<size_t>(f)] = 1;
  const auto mark_in = [&](std::vector<char>& marks, const std::vector<std::string>& read) {
    for (const std::string& name : read) {
      const auto at = std::find(names_.begin(), names_.end(), name);
      if (at == names_.end()) continue;
      const Source& s = sources_[static_cast<size_t>(at - names_.begin())];
      if (s.kind == Source::Kind::field) marks[s.index] = 1;
    }
  };
  if (loss_) mark_in(used, loss_.uses());
  for (const lang::Expression& e : metrics_) mark_in(used, e.uses());
  mark_in(used, also);
  Diagnostics ignored;  // the other objective says what is wrong with them
  for (const NamedExpr& m : elsewhere)
    attempt(ignored, kExpression, m.code.span(), [&] {
      mark_in(used_elsewhere, lang::Expression::compile(m.code, names_, vars_).uses());
    });

  std::vector<int> place(fields_.size(), -1);
  std::vector<Field> kept;
  std::string unread;
  Span first;
  for (size_t i = 0; i < fields_.size(); ++i) {
    if (!used[i]) {
      if (used_elsewhere[i]) continue;
      if (unread.empty()) first = fields_[i].span;
      unread += (unread.empty() ? "`" : ", `") + fields_[i].name + "`";
      continue;
    }
    place[i] = static_cast<int>(kept.size());
    kept.push_back(fields_[i]);
  }
  if (!unread.empty())
    report(d, kUnread, first, fmt::format("nobody reads {}", unread),
           fmt::format("fields: {}; read are {}", listed(fields_), listed(kept)));
  for (Source& s : sources_)
    if (s.kind == Source::Kind::field)
      s.index = place[s.index] < 0 ? kept.size() : static_cast<size_t>(place[s.index]);
  inputs_.renumber(place);
  fields_ = std::move(kept);
}

std::vector<data::FieldWish> Objective::wishes() const {
  std::vector<data::FieldWish> out;
  for (const Field& f : fields_)
    out.push_back({f.name, f.converted ? std::optional(f.dtype) : std::nullopt});
  return out;
}

std::span<const Value> Objective::scope(std::span<const Tensor> fields, const Value& output) {
  scope_.resize(names_.size());
  for (size_t i = 0; i < sources_.size(); ++i) {
    const Source& s = sources_[i];
    switch (s.kind) {
      case Source::Kind::field:
        if (s.index < fields.size()) scope_[i] = fields[s.index];
        break;
      case Source::Kind::output: scope_[i] = output; break;
      case Source::Kind::entry:
        // A hook may have replaced the output: names are what they were.
        scope_[i] = output.find(names_[i]) ? *output.find(names_[i]) : Value();
        break;
      case Source::Kind::vars: scope_[i] = vars_; break;
    }
  }
  return scope_;
}

void Objective::show_fields(const std::vector<std::string>& names, Onlooker onlooker) {
  shown_.clear();
  for (const std::string& name : names) {
    const auto at = std::find(names_.begin(), names_.end(), name);
    const Source* s =
        at == names_.end() ? nullptr : &sources_[static_cast<size_t>(at - names_.begin())];
    const bool there = s && s->kind == Source::Kind::field && s->index < fields_.size();
    shown_.push_back(there ? static_cast<int>(s->index) : -1);
  }
  onlooker_ = std::move(onlooker);
}

void Objective::show(std::span<const Tensor> fields) const {
  if (!onlooker_) return;
  Values values;
  for (const int f : shown_)
    values.push_back(f < 0 ? Value() : Value(fields[static_cast<size_t>(f)]));
  onlooker_(values);
}

Value Objective::forward(Module& model, std::span<const Tensor> fields) const {
  show(fields);
  const AutocastGuard autocast(autocast_);
  return inputs_.call(model, fields, unboxed_);
}

Tensor Objective::loss(bool training) const {
  const AutocastGuard autocast(autocast_);
  const Value v = loss_output_ ? scope_[loss_name_] : loss_.run(scope_, training);
  return v.as<Tensor>();
}

double Objective::metric(size_t i) const {
  const AutocastGuard autocast(autocast_);
  const Value v = metrics_[i].run(scope_);
  return v.is(Value::Kind::tensor) ? v.as<Tensor>().item().d : v.real();
}

void Objective::clear() {
  for (Value& v : scope_) v = Value();
}

}  // namespace nnm::train
