// The table of sections and their keys.
#include "nnm/lang/sections.h"

#include <algorithm>
#include <array>

namespace nnm::lang {

const Key* Form::find(std::string_view key) const {
  const auto at =
      std::find_if(keys.begin(), keys.end(), [&](const Key& k) { return key == k.name; });
  return at == keys.end() ? nullptr : &*at;
}

std::vector<std::string> Form::names() const {
  std::vector<std::string> out;
  for (const Key& k : keys) out.emplace_back(k.name);
  return out;
}

namespace {

using Scalar = Form::Scalar;

const Form kAnything{.example = "", .anything = true};
// Anything as well, and any name in it may be set without having been declared.
const Form kFree{.example = "a mapping", .map = true, .other = &kFree, .anything = true};
const Form kText{.example = "a text", .scalar = Scalar::text};
const Form kCode{.example = "an expression", .scalar = Scalar::code};
const Form kCall{.example = "a call such as `scale(1 / 255)`",
                 .scalar = Scalar::code,
                 .registry = Form::Registry::transform};
const Form kInteger{.example = "an integer", .scalar = Scalar::integer};
const Form kNumber{.example = "a number", .scalar = Scalar::number};
const Form kBoolean{.example = "true or false", .scalar = Scalar::boolean};
const Form kDuration{.example = "a length such as `500 steps` or `1 epoch`",
                     .scalar = Scalar::duration};
const Form kEvery{.example = "`every 500 steps`", .scalar = Scalar::duration};
const Form kTexts{.example = "a text, or a list of them", .scalar = Scalar::text, .item = &kText};
const Form kPath{.example = "a file", .scalar = Scalar::path};
const Form kPaths{.example = "a file, or a list of them", .scalar = Scalar::path, .item = &kPath};
const Form kDefinitions{
    .example = "`Name:` and below it `modules:`, `forward:`", .map = true, .other = &kAnything};
const Form kImport{.example = "a file, or a mapping with `define:`",
                   .scalar = Scalar::path,
                   .map = true,
                   .keys = {{"define", &kDefinitions, "classes of modules"},
                            {"import", &kAnything, "what they use of other files"}}};
const Form kImports{.example = "`{rn: lib/resnet.yaml}`", .map = true, .other = &kImport};
const Form kProfile{
    .example = "`{train.max: 20 steps, data: {limit: 256}}`", .map = true, .other = &kAnything};
const Form kProfiles{
    .example = "`{debug: {train.max: 20 steps}}`", .map = true, .other = &kProfile};

// data

const Form kFiles{.example = "`{name: file, name: file}`", .map = true, .other = &kPaths};
const Form kRandom{.example = "`{x: \"f32[1000, 20]\"}`", .map = true, .other = &kText};
const Form kCalls{.example = "`[scale(1 / 255), normalize(0.1307, 0.3081)]`",
                  .scalar = Scalar::code,
                  .item = &kCall,
                  .registry = Form::Registry::transform};
const Form kTransforms{.example = "`[scale(1 / 255), normalize(0.1307, 0.3081)]`",
                       .scalar = Scalar::code,
                       .item = &kCall,
                       .map = true,
                       .other = &kCalls,
                       .registry = Form::Registry::transform};
const Form kIntegers{.example = "an integer, or `{train: 128, val: 256}`",
                     .scalar = Scalar::integer,
                     .map = true,
                     .other = &kInteger};
const Form kBooleans{.example = "true or false, or `{train: true}`",
                     .scalar = Scalar::boolean,
                     .map = true,
                     .other = &kBoolean};
const Form kTokenizer{.example = "`char`, `byte` or `{bpe: merges-file}`",
                      .scalar = Scalar::text,
                      .map = true,
                      .keys = {{"bpe", &kPath, "file of merges"}},
                      .pattern = "^(char|byte|bpe: *.+)$|\\$\\{"};
const Form kField{
    .example = "a file, or a list of columns", .scalar = Scalar::path, .item = &kPath};
const Form kSplit{
    .example = "a file, or a mapping such as `{file: train.h5}` or `{images: a.gz, labels: b.gz}`",
    .scalar = Scalar::path,
    .map = true,
    .keys =
        {{"file", &kPath, "HDF5, CSV, npz: all of its datasets or columns"},
         {"fields", &kFiles, "each field from its own file"},
         {"folder", &kPath, "a folder of images, one sub-folder a class"},
         {"text", &kPath, "a text file: `ids` and `targets`"},
         {"tokenizer", &kTokenizer, "of text: char, byte, or {bpe: file}", false, "char", {"text"}},
         {"context", &kInteger, "of text: tokens in a sample (256)", false, "256", {"text"}},
         {"split", &kNumber, "a share or a number of samples, taken out of another split"},
         {"of", &kText, "the split it is taken from (train)", false, "train", {"split"}},
         {"random", &kRandom, "synthetic fields: {x: \"f32[1000, 20]\", y: \"i64[1000] < 3\"}"},
         {"seed", &kInteger, "of `split` and `random` (0)", false, "0", {"split", "random"}}},
    .other = &kField};
const Form kData{
    .example = "a mapping of splits and settings",
    .map = true,
    .keys = {{"transform", &kTransforms, "what happens to the first field, or {field: [calls]}"},
             {"batch", &kIntegers, "samples in a batch", false, "1"},
             {"shuffle", &kBooleans, "a new order each epoch; true for train, false elsewhere"},
             {"drop_last", &kBooleans, "leave out a last batch that is smaller (false)", false,
              "false"},
             {"limit", &kIntegers, "use this many samples only"},
             {"seed", &kInteger, "of orders and random transforms"},
             {"workers", &kInteger, "threads that read ahead", false, "1"}},
    .other = &kSplit};

// train

const Form kMax{.example = "`10 epochs`, `5000 steps`, `2 h`, or a list of them",
                .scalar = Scalar::duration,
                .item = &kDuration};
const Form kMetrics{.example = "`{acc: accuracy(out, y)}`", .map = true, .other = &kCode};
const Form kOption{
    .example = "an expression, or a list of them", .scalar = Scalar::code, .item = &kCode};
const Form kOptions{.example = "`{weight_decay: 0}`", .map = true, .other = &kOption};
const Form kGroups{.example = "`\"**.bias\": {weight_decay: 0}`", .map = true, .other = &kOptions};
const Form kOptimizer{
    .example = "`AdamW(lr=3e-4)`", .scalar = Scalar::code, .registry = Form::Registry::optimizer};
const Form kSchedule{.example = "`warmup(500 steps) |> cosine(final=0.1)`",
                     .scalar = Scalar::code,
                     .registry = Form::Registry::scheduler};
const Form kClip{.example = "`norm(1.0)` or `value(0.5)`", .scalar = Scalar::code};
const Form kPrecision{.example = "f32, tf32, bf16 or f64",
                      .scalar = Scalar::text,
                      .choices = {"f32", "tf32", "bf16", "f64"}};
const Form kTrainEval{.example = "`every 1 epoch`, `{every: 500 steps, split: val}`, or `none`",
                      .scalar = Scalar::duration,
                      .map = true,
                      .keys = {{"every", &kDuration, "how often (1 epoch)", false, "1 epoch"},
                               {"split", &kText, "on which split (val)", false, "val"}},
                      .never = true};
const Form kLog{.example = "`every 50 steps`",
                .scalar = Scalar::duration,
                .map = true,
                .keys = {{"every", &kDuration, "how often"}}};
const Form kKeep{.example = "2, all, or `best(val.acc, 3)`", .scalar = Scalar::code, .least = 1};
const Form kCheckpoint{
    .example = "`{every: 500 steps, keep: best(val.acc, 3)}`",
    .scalar = Scalar::duration,
    .map = true,
    .keys = {{"every", &kDuration, "how often (1 epoch)", false, "1 epoch"},
             {"keep", &kKeep, "2: the newest two; all; best(val.acc, 3)", false, "2"}}};
const Form kStop{.example = "`patience(val.loss, 5 epochs)`", .scalar = Scalar::code};
const Form kNan{.example = "stop, skip or ignore",
                .scalar = Scalar::text,
                .choices = {"stop", "skip", "ignore"}};
const Form kTrain{
    .example = "a mapping",
    .map = true,
    .keys = {{"max", &kMax, "how long: 10 epochs, 5000 steps, 2 h; of a list the first reached"},
             {"loss", &kCode, "an expression over outputs and fields; default: the output `loss`"},
             {"metrics", &kMetrics, "names and expressions, as in {acc: accuracy(out, y)}"},
             {"optimizer", &kOptimizer, "PyTorch's, as in AdamW(lr=3e-4, weight_decay=0.1)"},
             {"groups", &kGroups, "selector: options; the first match wins"},
             {"schedule", &kSchedule, "of the learning rate, as in warmup(500 steps) |> cosine()"},
             {"clip", &kClip, "of gradients: norm(1.0) or value(0.5)"},
             {"accumulate", &kInteger, "micro-batches in an optimizer step (1)", false, "1"},
             {"precision", &kPrecision, "f32, tf32 (products on a GPU), bf16 (autocast) or f64",
              false, "f32"},
             {"ema", &kNumber, "decay of an average of the weights"},
             {"eval", &kTrainEval, "when to evaluate: every 1 epoch, where there is a val split"},
             {"log", &kLog, "when to note a step: every 50 steps", false, "every 50 steps"},
             {"checkpoint", &kCheckpoint, "when to save, and what to keep", false,
              "{every: 1 epoch, keep: 2}"},
             {"stop", &kStop, "when to end early: patience(val.loss, 5 epochs)"},
             {"nan", &kNan, "what to do with a loss that is not finite (stop)", false, "stop"},
             {"seed", &kInteger, "of initialisation, order and dropout (0)", false, "0"}}};
const Form kEval{.example = "a mapping",
                 .map = true,
                 .keys = {{"split", &kText, "the split of `nnm eval`"},
                          {"metrics", &kMetrics, "further metrics"},
                          {"batch", &kInteger, "samples in a batch"}}};

// hooks

const std::vector<const char*> kHookKinds = {
    "forward_pre", "forward", "full_backward_pre",   "full_backward", "backward_pre",
    "backward",    "tensor",  "post_accumulate_grad"};
constexpr const char* kWhenNotWhere = "`on:` is when the hook fires; where is `at:`";
const Form kKind{.example = "a hook kind",
                 .scalar = Scalar::text,
                 .choices = kHookKinds,
                 .advice = kWhenNotWhere};
const Form kKindList{.example = "a kind such as `forward`, or a list of them",
                     .scalar = Scalar::text,
                     .choices = kHookKinds,
                     .advice = kWhenNotWhere,
                     .item = &kKind};
// A text may be a comma list.
constexpr const char* kWhatPattern =
    "^ *(input|output|grad_input|grad_output|weight|weight_grad)"
    "( *, *(input|output|grad_input|grad_output|weight|weight_grad))* *$|\\$\\{";
const Form kWhat{
    .example = "a value such as `output`", .scalar = Scalar::text, .pattern = kWhatPattern};
const Form kWhats{.example = "a value such as `output`, or a list of them",
                  .scalar = Scalar::text,
                  .item = &kWhat,
                  .pattern = kWhatPattern};
const Form kCapture{.example = "`{what: [output], reduce: [mean, std], tensor: none}`",
                    .map = true,
                    .keys = {{"what", &kWhats,
                              "input, output, grad_input, grad_output, weight, "
                              "weight_grad"},
                             {"reduce", &kTexts, "statistics: mean, std, min, max, l2, … or none"},
                             {"tensor", &kText, "none, full, or slice:0:4 (none)"}}};
const Form kMode{.example = "train or eval", .scalar = Scalar::text, .choices = {"train", "eval"}};
const Form kWhen{.example = "`{every: 50 steps, start: 0, mode: train}`",
                 .map = true,
                 .keys = {{"every", &kDuration, "how often"},
                          {"start", &kInteger, "the first step"},
                          {"stop", &kInteger, "the step before which it ends"},
                          {"mode", &kMode, "train or eval; both by default"}}};
const Form kArgument{.example = "a position, a name, or all", .scalar = Scalar::code};
const Form kRule{.example = "a rule such as `nonfinite`", .scalar = Scalar::code};
const Form kAction{.example = "note, warn, stop or checkpoint",
                   .scalar = Scalar::text,
                   .choices = {"note", "warn", "stop", "checkpoint"}};
const Form kStays{.example = "shape, dtype or none",
                  .scalar = Scalar::text,
                  .choices = {"shape", "dtype", "none"}};
const Form kHook{
    .example = "`{on: forward, at: fc1, output: output * 2}`",
    .map = true,
    .keys = {{"on", &kKindList, "when it fires: PyTorch's hook kinds (rules have their own)"},
             {"at", &kText, "where: a selector (rules have their own)"},
             {"name", &kText, "its name, for messages and --set hooks.<name>.enabled"},
             {"input", &kCode, "changes what goes in (forward_pre)"},
             {"output", &kCode, "changes what comes out (forward)"},
             {"grad", &kCode, "changes a gradient (tensor)"},
             {"grad_input", &kCode, "replaces grad_input (full_backward)"},
             {"grad_output", &kCode, "replaces grad_output (full_backward_pre)"},
             {"keep", &kStays, "what stays of a new input or output: shape, dtype, none (both)"},
             {"capture", &kCapture, "records tensors or statistics of them"},
             {"rule", &kRule,
              "watches: nonfinite, exploding_tensor, vanishing_gradient, dead_relu, "
              "all_zero, unchanged_tensor, weight_update_ratio, "
              "saturated_activation, loss_not_decreasing"},
             {"action",
              &kAction,
              "of a rule: what it does when it is broken (warn)",
              false,
              "warn",
              {"rule"}},
             {"patience", &kInteger, "of a rule: broken how often in a row"},
             {"threshold", &kNumber, "of a rule: its first threshold"},
             {"arg", &kArgument, "which tensor (0; rules: all)"},
             {"call", &kInteger, "which call of a shared module in a step"},
             {"when", &kWhen, "in which steps"},
             {"enabled", &kBoolean, "true", false, "true"},
             {"prepend", &kBoolean, "before the hooks that are there (false)", false, "false"},
             {"always_call", &kBoolean, "also after an error in forward (false)", false, "false"},
             {"optional", &kBoolean, "a selector may match nothing (false)", false, "false"}}};
const Form kHooks{.example = "a list of hooks", .item = &kHook};
const Form kTests{.example = "a list of expressions", .item = &kCode};

const Form kFile{
    .example = "a mapping with `nnm: 1` and `model:`",
    .map = true,
    .keys = {
        {"nnm", &kInteger, "the version of the language: 1", true},
        {"extends", &kPaths, "configs that this one is laid over; of a list later ones win"},
        {"import", &kImports, "names of files whose classes are used: `rn.ResNet(…)`"},
        {"vars", &kAnything, "values to use as `vars.name`, and to override by --set"},
        {"profiles", &kProfiles, "changes to apply by `-p NAME`: keys are paths as of --set"},
        {"define", &kDefinitions, "classes of modules"},
        {"model", &kAnything, "a layer, a class with its arguments, or a list of layers", true},
        {"data", &kData, "where samples come from"},
        {"train", &kTrain, "how the model is trained"},
        {"eval", &kEval, "defaults of `nnm eval`"},
        {"hooks", &kHooks, "changes, captures and rules at modules"},
        {"tests", &kTests, "expressions that `nnm test` checks"},
        {"x", &kFree, "free, for anchors and notes"}}};

}  // namespace

const Form& config_form() { return kFile; }

namespace {

/// A key that users of other tools expect, and what to write in place of it.
struct Row {
  const char *section, *key, *help;
};
constexpr const char* kCapturesFile =
    "captures of a run go to its traces/ folder; `nnm trace --hook … -o OUT.h5` writes elsewhere";
constexpr std::array kRows = {
    Row{"", "network", "did you mean `model`?"},
    Row{"", "net", "did you mean `model`?"},
    Row{"", "layers", "write `model:`, and below it a list of layers"},
    Row{"", "modules", "`modules:` stands in a class of `define:`; write `model:`"},
    Row{"", "forward", "`forward:` stands in a class of `define:`"},
    Row{"", "inputs", "`inputs:` stands in a class of `define:`"},
    Row{"", "classes", "did you mean `define`?"},
    Row{"", "definitions", "did you mean `define`?"},
    Row{"", "variables", "did you mean `vars`?"},
    Row{"", "params", "did you mean `vars`?"},
    Row{"", "hyperparameters", "did you mean `vars`?"},
    Row{"", "dataset", "did you mean `data`?"},
    Row{"", "training", "did you mean `train`?"},
    Row{"", "trainer", "did you mean `train`?"},
    Row{"", "optimizer", "it stands below `train:`"},
    Row{"", "loss", "it stands below `train:`"},
    Row{"", "metrics", "it stands below `train:`"},
    Row{"", "batch", "it stands below `data:`"},
    Row{"", "seed", "it stands below `train:`"},
    Row{"", "version", "write `nnm: 1`"},
    Row{"train", "epochs", "write `max: 10 epochs`"},
    Row{"train", "max_epochs", "write `max: 10 epochs`"},
    Row{"train", "num_epochs", "write `max: 10 epochs`"},
    Row{"train", "steps", "write `max: 5000 steps`"},
    Row{"train", "max_steps", "write `max: 5000 steps`"},
    Row{"train", "iterations", "write `max: 5000 steps`"},
    Row{"train", "max_iters", "write `max: 5000 steps`"},
    Row{"train", "lr", "it stands in the optimizer: `optimizer: AdamW(lr=3e-4)`"},
    Row{"train", "learning_rate", "it stands in the optimizer: `optimizer: AdamW(lr=3e-4)`"},
    Row{"train", "weight_decay",
        "it stands in the optimizer: `optimizer: AdamW(lr=3e-4, "
        "weight_decay=0.1)`"},
    Row{"train", "momentum", "it stands in the optimizer: `optimizer: SGD(lr=0.1, momentum=0.9)`"},
    Row{"train", "optim", "did you mean `optimizer`?"},
    Row{"train", "criterion", "did you mean `loss`?"},
    Row{"train", "loss_fn", "did you mean `loss`?"},
    Row{"train", "loss_function", "did you mean `loss`?"},
    Row{"train", "objective", "did you mean `loss`?"},
    Row{"train", "scheduler", "did you mean `schedule`?"},
    Row{"train", "lr_scheduler", "did you mean `schedule`?"},
    Row{"train", "batch", "it stands below `data:`"},
    Row{"train", "batch_size", "write `batch:` below `data:`"},
    Row{"train", "shuffle", "it stands below `data:`"},
    Row{"train", "warmup", "it stands in the schedule: `warmup(500 steps) |> cosine()`"},
    Row{"train", "warmup_steps", "it stands in the schedule: `warmup(500 steps) |> cosine()`"},
    Row{"train", "grad_clip", "write `clip: norm(1.0)`"},
    Row{"train", "clip_grad_norm", "write `clip: norm(1.0)`"},
    Row{"train", "max_grad_norm", "write `clip: norm(1.0)`"},
    Row{"train", "gradient_clip", "write `clip: norm(1.0)`"},
    Row{"train", "grad_accum", "did you mean `accumulate`?"},
    Row{"train", "accumulation_steps", "did you mean `accumulate`?"},
    Row{"train", "gradient_accumulation_steps", "did you mean `accumulate`?"},
    Row{"train", "amp", "write `precision: bf16`"},
    Row{"train", "mixed_precision", "write `precision: bf16`"},
    Row{"train", "dtype", "write `precision: bf16`"},
    Row{"train", "val_every", "write `eval: every 1 epoch`"},
    Row{"train", "eval_every", "write `eval: every 1 epoch`"},
    Row{"train", "validation", "write `eval: every 1 epoch`"},
    Row{"train", "save_every", "write `checkpoint: {every: 1 epoch}`"},
    Row{"train", "log_every", "write `log: every 50 steps`"},
    Row{"train", "patience", "write `stop: patience(val.loss, 5 epochs)`"},
    Row{"train", "device", "it is chosen on the command line: `--device cuda`"},
    Row{"train", "threads", "it is chosen on the command line: `--threads 4`"},
    Row{"train", "num_threads", "it is chosen on the command line: `--threads 4`"},
    Row{"train", "metrics", "`metrics:` stands in `train:`, beside `eval:`"},
    Row{"train", "best", "write `keep: best(val.loss, 3)`"},
    Row{"train", "monitor", "write `keep: best(val.loss, 3)`"},
    Row{"train", "save_best", "write `checkpoint: {keep: best(val.loss, 3)}`"},
    Row{"train", "early_stopping", "write `stop: patience(val.loss, 5 epochs)`"},
    Row{"train", "early_stop", "write `stop: patience(val.loss, 5 epochs)`"},
    Row{"data", "batch_size", "did you mean `batch`?"},
    Row{"data", "num_workers", "did you mean `workers`?"},
    Row{"data", "transforms", "did you mean `transform`?"},
    Row{"hooks", "module", "did you mean `at`?"},
    Row{"hooks", "kind", "did you mean `on`?"},
    Row{"hooks", "type", "did you mean `on`?"},
    Row{"hooks", "if", "did you mean `when`?"},
    Row{"hooks", "arg", "`arg:` belongs to the hook, beside `capture:`"},
    Row{"hooks", "call", "`call:` belongs to the hook, beside `capture:`"},
    Row{"hooks", "file", kCapturesFile},
    Row{"hooks", "path", kCapturesFile}};

}  // namespace

std::string key_advice(std::string_view section, std::string_view key) {
  for (const Row& r : kRows) {
    if (section == r.section && key == r.key) return r.help;
  }
  return "";
}

}  // namespace nnm::lang
