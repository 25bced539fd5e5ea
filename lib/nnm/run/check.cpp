// The phases of a check; each goes on as far as those before it allow.
#include "nnm/run/check.h"

#include <algorithm>
#include <unordered_set>

#include "nnm/autograd/node.h"
#include "nnm/data/loader.h"
#include "nnm/ops/ops.h"
#include "nnm/run/data_config.h"
#include "nnm/run/input.h"
#include "nnm/run/tests.h"
#include "nnm/trace/replay.h"
#include "nnm/train/attempt.h"

namespace nnm::run {

namespace {

using train::attempt;
using train::report;

constexpr const char* kModel = "E0403";     // a model that cannot be built
constexpr const char* kShapes = "E0501";    // a forward that cannot run
constexpr const char* kMisfit = "E0502";    // an input that does not fit
constexpr const char* kData = "E0440";      // data that cannot be as they are written
constexpr const char* kBadFiles = "E0441";  // data files that are there and cannot be as they are
constexpr const char* kNoUse = "W0443";     // a setting of training for another split
constexpr const char* kNoSplit = "E0301";   // a split that the data do not have
constexpr const char* kNoStep = "E0423";    // a run without a step
constexpr const char* kUnread = "E0442";    // a file that load() names and that cannot be read
constexpr const char* kNoLoss = "E0432";    // nothing to minimise
constexpr const char* kNoGrad = "E0433";    // a loss that no parameter reaches

constexpr const char* kTwice = "W0511";  // an activation before a loss that has it

constexpr double kGuess = 1000;  // steps of a run of unknown length

/// The node whose result this one reads first, past those that give it another shape; or null.
const Node* source(const Node& n) {
  const auto first = [](const Node& of) {
    return of.next.size() ? of.next[0].node.get() : nullptr;
  };
  const Node* at = first(n);
  while (at) {
    const std::string_view name = at->name;
    if (!name.starts_with("View") && !name.starts_with("Reshape") && !name.starts_with("Unsafe"))
      return at;
    at = first(*at);
  }
  return at;
}

/// What a loss is given twice: "softmax" where a cross entropy, which begins with one, reads what a
/// softmax gave. "" where there is nothing of the kind.
std::string_view doubled(const Tensor& loss) {
  std::vector<const Node*> open;
  std::unordered_set<const Node*> seen;
  const auto visit = [&](const Node* n) {
    if (n && seen.insert(n).second) open.push_back(n);
  };
  visit(loss.grad_fn().get());
  while (!open.empty()) {
    const Node* n = open.back();
    open.pop_back();
    const std::string_view name = n->name;
    const bool classes = name.starts_with("NllLoss");
    const bool binary = name.starts_with("BinaryCrossEntropyWithLogits");
    const Node* before = classes || binary ? source(*n) : nullptr;
    if (before && classes && before->name == std::string_view("SoftmaxBackward0")) return "softmax";
    if (before && binary && before->name == std::string_view("SigmoidBackward0")) return "sigmoid";
    for (const auto& edge : n->next) visit(edge.node.get());
  }
  return "";
}

class Check {
 public:
  Check(const lang::Config& config, const CheckOptions& options, Checked& out)
      : config_(config),
        options_(options),
        out_(out),
        d_(out.diagnostics),
        training_(options.training || (options.complete && describes_run())) {}

  void run() {
    for (const Diagnostic& w : config_.warnings().all()) d_.add(w);
    read_data();
    read_plan();
    build();
    peek();
    hook();
    bind();
    optimize();
    check_tests(config_, d_);
    if (all_are(kUnread) || all_are(kBadFiles)) out_.kind = ErrorKind::input_file;
  }

 private:
  void read_data() {
    const std::ptrdiff_t before = errors();
    data::DataConfig data = run::read_data(config_, d_);
    for (const data::SplitConfig& s : data.splits) splits_.push_back(s.name);
    data_config_ = data;
    if (data.splits.empty()) return;
    warn_of_use("shuffle", data.shuffle);
    warn_of_use("drop_last", data.drop_last);
    attempt(d_, kData, config_.find("data")->span,
            [&] { out_.data = std::make_unique<data::Data>(std::move(data)); });
    // What was made of a section with errors says what else is wrong, and no more.
    if (errors() > before) out_.data.reset();
  }

  std::ptrdiff_t errors() const {
    return std::count_if(d_.all().begin(), d_.all().end(),
                         [](const Diagnostic& d) { return !d.is_warning(); });
  }

  // Evaluations take all samples of a split, in their order.
  void warn_of_use(const char* key, const data::PerSplit<bool>& setting) {
    for (size_t i = 0; i < setting.by_split.size(); ++i) {
      const auto& [split, on] = setting.by_split[i];
      if (on && split != "train" && has_split(split))
        report(d_, kNoUse, setting.places[i],
               fmt::format("`{}` of the split `{}` does nothing", key, split),
               "it is one of training: evaluations take all samples, in the order of the files");
    }
  }

  void read_plan() {
    out_.plan = train::read_plan(config_, {options_.max, options_.loss, training_, splits_}, d_);
  }

  void build() {
    attempt(d_, kModel, {}, [&] {
      out_.model =
          lang::build_model(config_, {Device{DeviceType::meta}, out_.plan.dtype, out_.plan.seed});
    });
  }

  // Changes are checked as the rest of forward is: by taking part in it.
  void hook() {
    if (!out_.model.module) return;
    if (options_.hooks) out_.hooks = tracing::read_hooks(config_, d_, train::field_names(fields_));
    attempt(d_, kModel, {}, [&] { add_rules(); });
    if (out_.hooks.empty()) return;
    attempt(d_, kModel, {}, [&] { hooks_.emplace(*out_.model.module, out_.hooks); });
  }

  void add_rules() {
    if (options_.rules.empty()) return;
    for (const lang::CallSpec& call : tracing::parse_rules(options_.rules, "--fail-on")) {
      tracing::RuleHook hook = tracing::stopping(call);
      NNM_CHECK(hook.make()->subject() == tracing::Rule::Subject::tensors, config,
                "{} looks at updates, and there are none here", hook.name);
      const bool of_any = hook.kinds[0] == tracing::HookKind::forward && hook.select.text() == "**";
      for (const tracing::HookRequest& r : options_.recorded)
        if (of_any && r.kind != tracing::HookKind::forward)
          out_.hooks.push_back(tracing::stopping(call, r));
      out_.hooks.push_back(std::move(hook));
    }
  }

  bool describes_run() const {
    return config_.find("train.optimizer") && config_.find("train.max");
  }

  bool has_split(const std::string& name) const {
    return std::find(splits_.begin(), splits_.end(), name) != splits_.end();
  }

  // Fields from the headers, else as far as the config names them.
  void peek() {
    if (splits_.empty()) return;
    if (!options_.evaluation) check_eval_split();
    out_.split = split();
    if (!has_split(out_.split)) refuse_split();
    if (!out_.data) return;
    try {
      const data::SplitInfo info = out_.data->peek(out_.split);
      samples_ = info.samples;
      batch_ = std::min(samples_, batch_size());
      for (const data::FieldInfo& f : info.fields) {
        Shape shape = f.shape;
        shape.insert(0, batch_);
        fields_.push_back({f.name, f.dtype, shape, true, place_of(out_.split, f.name)});
      }
    } catch (const Error& e) {
      const auto* size = dynamic_cast<const data::SizeError*>(&e);
      const Span at = size ? size->span : config_of(out_.split)->span;
      if (e.kind() != ErrorKind::input_file) {
        report(d_, kData, at, e);
        return;
      }
      out_.data_error = std::make_exception_ptr(
          Error(e.kind(), fmt::format("{} ({})", e.what(), place_text(out_.split, at)), e.hint()));
      if (out_.data->files_exist(out_.split)) report(d_, kBadFiles, at, e);
      else
        report(d_, kNoData, at, fmt::format("what needs the data is not checked: {}", e.what()),
               e.hint());
      for (const std::string& name : names_of(out_.split))
        fields_.push_back({name, DType::f32, {}, false, place_of(out_.split, name)});
    }
  }

  std::string split_advice(const std::string& name) const {
    return did_you_mean(name, splits_, fmt::format("there is {}", fmt::join(splits_, ", ")));
  }

  // One that the command line names stands nowhere in the config.
  [[noreturn]] void refuse_split() {
    const std::string what = fmt::format("the data have no split `{}`", out_.split),
                      help = split_advice(out_.split);
    if (out_.split != "train") throw Error(ErrorKind::config, what, help);
    report(d_, kNoSplit, config_.find("data")->span, what, help);
    throw DiagnosticError(d_);
  }

  // What `nnm eval` would take.
  void check_eval_split() {
    const lang::Tree* own = config_.find("eval.split");
    if (!own || !own->is_scalar() || has_split(own->text())) return;
    const std::string& name = own->text();
    report(d_, kNoSplit, own->span, fmt::format("eval.split: the data have no split `{}`", name),
           split_advice(name));
  }

  const data::SplitConfig* config_of(const std::string& split) const {
    for (const data::SplitConfig& s : data_config_.splits)
      if (s.name == split) return &s;
    return nullptr;
  }

  // Where a field is named; where only the file knows it, its split.
  Span place_of(const std::string& split, const std::string& field) const {
    const data::SplitConfig* s = config_of(split);
    if (!s) return {};
    if (s->form == data::SplitConfig::Form::split && s->of != split) return place_of(s->of, field);
    for (const data::FieldConfig& f : s->fields)
      if (f.name == field) return f.span;
    return s->span;
  }

  // "split `train`, net.yaml:9:3".
  static std::string place_text(const std::string& split, const Span& at) {
    if (!at) return fmt::format("split `{}`", split);
    return fmt::format("split `{}`, {}:{}:{}", split, at.file->path, at.line, at.column);
  }

  // The one that was asked for, or the first there is of those that make sense.
  std::string split() const {
    if (!options_.split.empty()) return options_.split;
    if (options_.evaluation) {
      const lang::Tree* own = config_.find("eval.split");
      if (own && own->is_scalar()) return own->text();
      for (const char* name : {"test", "val"})
        if (has_split(name)) return name;
    }
    return has_split("train") ? "train" : splits_[0];
  }

  int64_t batch_size() const { return data_config_.batch.of(out_.split).value_or(1); }

  // The names of a split's fields by the config alone; none where only the file knows.
  std::vector<std::string> names_of(const std::string& split) const {
    using Form = data::SplitConfig::Form;
    const data::SplitConfig* s = config_of(split);
    if (!s) return {};
    if (s->form == Form::split && s->of != split) return names_of(s->of);
    if (s->form == Form::text) return {"ids", "targets"};
    std::vector<std::string> names;
    for (const data::FieldConfig& f : s->fields) names.push_back(f.name);
    return names;
  }

  void bind() {
    if (!out_.model.module) return;
    train::InputBinding binding;
    lang::InputShapes known = options_.shapes;
    if (!options_.input.empty()) add_shapes_of_input(known);
    const bool names_known = !fields_.empty();
    if (names_known) {
      const std::ptrdiff_t before = errors();
      binding = train::InputBinding(out_.model.inputs, fields_, out_.plan.dtype, d_);
      if (errors() > before) return;
      take_shapes(binding, known);
    }
    show_fields();
    const train::InputBinding* fields = names_known ? &binding : nullptr;
    const bool good = !d_.has_errors();
    const bool bound =
        forward(training_, out_.plan, known, fields, out_.shapes, out_.objective, d_);
    out_.notes = out_.shapes.notes;
    // What does not fit is what the files hold, or what --shape says.
    const bool input = !options_.input.empty();
    if (options_.shapes.empty() && (names_known || input) &&
        (all_are(kMisfit) || (input && good && d_.has_errors() && fits_by_itself())))
      out_.kind = ErrorKind::input_file;
    if (training_ && bound) check_loss();
    if (!training_ || !options_.complete) return;
    // What the other mode says beside, with the metrics that evaluations alone have.
    lang::ShapeReport shapes;
    train::Objective objective;
    Diagnostics other;
    const train::Plan plan =
        train::read_plan(config_, {options_.max, options_.loss, false, splits_}, other);
    forward(false, plan, known, fields, shapes, objective, other);
    add_new(other);
  }

  // Model, loss and metrics in one mode; false where there is nothing to ask for a loss.
  bool forward(bool training, const train::Plan& plan, const lang::InputShapes& known,
               const train::InputBinding* binding, lang::ShapeReport& shapes,
               train::Objective& objective, Diagnostics& d) {
    Diagnostics found;
    const bool good = attempt(found, kShapes, {}, [&] {
      shapes = lang::check_shapes(config_, out_.model, known, training);
    });
    for (Diagnostic one : found.all()) {
      if (one.code == kMisfit && one.help.empty()) one.help = columns_advice();
      d.add(std::move(one));
    }
    if (good && !binding && training && !plan.loss.empty() && splits_.empty() &&
        !config_.find("data"))
      shapes.notes.push_back("`train.loss` was not checked: the config has no `data:`");
    if (!good || !binding) return false;
    std::vector<train::NamedExpr> elsewhere;
    Diagnostics ignored;
    if (training)
      elsewhere =
          train::read_plan(config_, {options_.max, options_.loss, false, splits_}, ignored).metrics;
    objective = train::Objective(plan, config_.vars(), *binding, fields_, shapes.output, d,
                                 tracing::fields_of(out_.hooks), elsewhere);
    return true;
  }

  // Whether the model is good with the shapes that it tells itself: what a layer says of those of a
  // file is the file's fault then.
  bool fits_by_itself() const {
    Diagnostics ignored;
    return attempt(ignored, kShapes, {}, [&] {
      (void)lang::check_shapes(config_, out_.model, options_.shapes, training_);
    });
  }

  // A table of which the model is given one column, as its fields are.
  std::string columns_advice() const {
    const data::SplitConfig* s = config_of(out_.split);
    const auto is_column = [](const train::Field& f) { return f.known && f.shape.size() == 1; };
    if (!s || s->form != data::SplitConfig::Form::file || !s->fields.empty() ||
        fields_.size() < 2 || !std::all_of(fields_.begin(), fields_.end(), is_column))
      return "";
    std::string columns;
    for (size_t i = 0; i + 1 < fields_.size(); ++i) columns += (i ? ", " : "") + fields_[i].name;
    return fmt::format(
        "each column is a field; `{{file: …, x: [{}], y: {}}}` puts several side by side", columns,
        fields_.back().name);
  }

  void add_new(const Diagnostics& more) {
    for (const Diagnostic& d : more.all()) {
      const auto same = [&d](const Diagnostic& other) {
        return other.code == d.code && other.message == d.message &&
               other.span.line == d.span.line && other.span.column == d.span.column;
      };
      if (std::none_of(d_.all().begin(), d_.all().end(), same)) d_.add(d);
    }
  }

  void check_loss() {
    if (out_.plan.loss.empty() && !out_.objective.has_loss()) {
      const lang::Tree* train = config_.find("train");
      report(d_, kNoLoss, train ? train->span : config_.tree().span,
             "there is no loss: neither train.loss nor an output named `loss`",
             "write `loss: cross_entropy(out, y)` under `train:`");
      return;
    }
    const auto known = [](const train::Field& f) { return f.known; };
    const auto& fields = out_.objective.fields();
    if (!std::all_of(fields.begin(), fields.end(), known)) return;
    const auto trained = [](const Tensor& p) { return p.requires_grad(); };
    const Tensors all = out_.model.module->parameters();
    if (d_.has_errors() || std::none_of(all.begin(), all.end(), trained)) return;
    const Tensor loss = meta_loss();
    const Span place = out_.plan.loss.empty() ? Span() : out_.plan.loss.span();
    if (const std::string_view twice = doubled(loss); !twice.empty()) {
      const char* takes = twice == "softmax" ? "logits, or nll_loss their log_softmax" : "logits";
      report(d_, kTwice, place,
             fmt::format("the loss reads what a {} gave, and takes {}", twice, takes),
             fmt::format("leave the {} out of the model: cross entropy has it inside", twice));
    }
    if (loss.requires_grad()) return;
    report(d_, kNoGrad, place,
           "no parameter reaches the loss: element 0 of tensors does not require grad and does "
           "not have a grad_fn",
           "compute it from the model's outputs, by functions that have a gradient");
  }

  // The loss of a batch that has shapes alone, and a history.
  Tensor meta_loss() {
    Tensors batch;
    for (const train::Field& f : out_.objective.fields())
      batch.push_back(empty(f.shape, {f.dtype, Device{DeviceType::meta}}));
    out_.objective.scope(batch, out_.shapes.output);
    Tensor loss = out_.objective.loss(true);
    out_.objective.clear();
    return loss;
  }

  // Hooks see fields of a batch; where nobody knows these, the forward is checked without hooks.
  void show_fields() {
    if (!hooks_ || hooks_->fields().empty()) return;
    const std::vector<std::string> names = train::field_names(fields_);
    Values values;
    for (const std::string& wanted : hooks_->fields()) {
      const auto at = std::find(names.begin(), names.end(), wanted) - names.begin();
      size_t i = static_cast<size_t>(at);
      if (i >= fields_.size()) i = wanted == "y" ? 1 : 0;
      if (i >= fields_.size() || !fields_[i].known) return hooks_.reset();
      values.push_back(empty(fields_[i].shape, {fields_[i].dtype, Device{DeviceType::meta}}));
    }
    hooks_->see_fields(values);
  }

  bool all_are(const char* code) const {
    return d_.has_errors() && std::all_of(d_.all().begin(), d_.all().end(), [&](const auto& d) {
             return d.is_warning() || d.code == code;
           });
  }

  // A file that cannot be read is no matter for the check where the config tells the shapes.
  void add_shapes_of_input(lang::InputShapes& known) const {
    const auto& inputs = out_.model.inputs;
    try {
      for (auto& [name, shape] : input_shapes(inputs, options_.input, options_.batch)) {
        const auto given = [&name = name](const auto& k) { return k.first == name; };
        if (std::none_of(known.begin(), known.end(), given)) known.emplace_back(name, shape);
      }
    } catch (const Error&) {
      const auto open = [](const lang::ModelInput& input) { return !input.typed; };
      if (std::any_of(inputs.begin(), inputs.end(), open)) throw;
    }
  }

  // Sizes of inputs from the data; what `--shape` says goes before, and its batch with it.
  void take_shapes(const train::InputBinding& binding, lang::InputShapes& known) {
    for (size_t i = 0; i < out_.model.inputs.size(); ++i) {
      const int at = binding.fields()[i];
      if (at < 0) continue;
      lang::ModelInput& input = out_.model.inputs[i];
      train::Field& field = fields_[static_cast<size_t>(at)];
      const auto given = std::find_if(known.begin(), known.end(),
                                      [&](const auto& k) { return k.first == input.name; });
      if (given != known.end()) {
        field.shape = Shape(given->second);
        set_batch(field.shape);
      } else if (field.known) {
        known.emplace_back(input.name, field.shape.vec());
      }
      if (!input.typed && field.known) {
        input.typed = true;
        input.dtype = field.dtype;
        input.dims.assign(static_cast<size_t>(field.shape.size()), -1);
        input.names.assign(input.dims.size(), "");
      }
    }
  }

  void set_batch(const Shape& given) {
    if (given.empty()) return;
    for (train::Field& f : fields_)
      if (!f.shape.empty()) f.shape[0] = given[0];
  }

  void optimize() {
    if (!out_.model.module) return;
    const auto optimizer = train::make_optimizer(out_.plan, *out_.model.module, d_);
    int64_t batches = 0;
    if (samples_ > 0) {
      const bool drop = data_config_.drop_last.of(out_.split).value_or(false);
      batches = data::batches_of(samples_, batch_size(), drop);
      const lang::Tree* batch = config_.find("data.batch");
      if (training_ && batches == 0)
        report(d_, kNoStep, batch ? batch->span : Span(),
               fmt::format("the split `{}` has {} samples: no whole batch of {}", out_.split,
                           samples_, batch_size()),
               "lower `batch`, or set `drop_last: false`");
    }
    if (training_ && batches > 0 && out_.plan.max.epochs > 0 &&
        train::run_length(out_.plan, batches).total_steps == 0) {
      report(d_, kNoStep, {},
             fmt::format("the run has no step: {:g} epochs of {} batches, {} for each step",
                         out_.plan.max.epochs, batches, out_.plan.accumulate),
             "train longer, or lower batch or accumulate");
    }
    const train::Max& max = out_.plan.max;
    const bool limited = max.steps > 0 || max.epochs > 0 || max.seconds > 0;
    if (limited && (batches > 0 || max.epochs == 0)) {
      train::make_schedule(out_.plan, optimizer, train::run_length(out_.plan, batches), d_);
      return;
    }
    // Lengths are guessed, so that names and arguments are checked all the same.
    Diagnostics guessed;
    train::make_schedule(out_.plan, optimizer, {kGuess, static_cast<int64_t>(kGuess)}, guessed);
    for (const Diagnostic& d : guessed.all())
      if (!d.is_warning()) d_.add(d);
  }

  const lang::Config& config_;
  const CheckOptions& options_;
  Checked& out_;
  Diagnostics& d_;
  const bool training_;  // what a run needs is asked for
  data::DataConfig data_config_;
  std::vector<std::string> splits_;
  std::optional<tracing::Hooks> hooks_;
  std::vector<train::Field> fields_;
  int64_t samples_ = 0, batch_ = 0;
};

}  // namespace

Checked check(const lang::Config& config, const CheckOptions& options) {
  Checked out;
  Check(config, options, out).run();
  return out;
}

}  // namespace nnm::run
