// What a check says of a config without running it.
#include "nnm/run/check.h"

#include <doctest/doctest.h>

#include "run/project.h"

using namespace nnm;
using namespace nnm::run::testing;

namespace {

constexpr const char* kBase = R"(nnm: 1
model:
  Sequential:
    - Linear(6, 8)
    - ReLU()
    - Linear(8, 3)
data:
  train:
    random: {x: "f32[50, 6]", y: "i64[50] < 3"}
  val:
    random: {x: "f32[20, 6]", y: "i64[20] < 3"}
  batch: 10
train:
  max: 2 epochs
  loss: cross_entropy(out, y)
  metrics:
    acc: accuracy(out, y)
  optimizer: AdamW(lr=0.01)
)";

// The errors and warnings of the base config with overrides.
std::string said(const std::vector<std::string>& set, const std::string& text = kBase,
                 const run::CheckOptions& options = {.training = true}) {
  const Project p(text);
  return diagnosed([&] {
    const run::Checked c = run::check(lang::Config::load(p.file("c.yaml"), {set}), options);
    if (!c.diagnostics.all().empty()) throw DiagnosticError(c.diagnostics);
  });
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const size_t at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), by);
}

/// kBase with a class of its own in the place of its model.
std::string with_class(const std::string& text) {
  return replaced(kBase,
                  "model:\n  Sequential:\n    - Linear(6, 8)\n"
                  "    - ReLU()\n    - Linear(8, 3)\n",
                  text);
}

}  // namespace

TEST_SUITE_BEGIN("run");

TEST_CASE("a good config is silent, and its plan read") {
  const Project p(
      replaced(kBase, "  optimizer:", R"(  schedule: warmup(2 steps) |> cosine(final=0.1)
  clip: value(0.5)
  accumulate: 2
  ema: 0.99
  eval: {every: 3 steps, split: val}
  log: every 2 steps
  checkpoint: {every: 4 steps, keep: best(val.acc, 3)}
  stop: patience(val.loss, 5 epochs)
  nan: skip
  seed: 7
  groups:
    "Linear.bias": {weight_decay: 0}
  optimizer:)"));
  run::CheckOptions o;
  o.training = true;
  const run::Checked c = run::check(lang::Config::load(p.file("c.yaml")), o);
  CHECK(c.diagnostics.render() == "");
  const train::Plan& plan = c.plan;
  CHECK(plan.max.epochs == 2);
  CHECK(plan.optimizer->name == "AdamW");
  CHECK(plan.schedule.size() == 2);
  CHECK(plan.clip.kind == train::Clip::Kind::value);
  CHECK(plan.clip.limit == 0.5);
  CHECK(plan.accumulate == 2);
  CHECK(plan.ema == 0.99);
  CHECK(*plan.eval == train::Duration{3, Unit::step});
  CHECK(plan.log == train::Duration{2, Unit::step});
  CHECK(plan.checkpoint == train::Duration{4, Unit::step});
  CHECK(plan.keep.keep == io::Retention::Keep::best);
  CHECK(plan.keep.count == 3);
  CHECK(plan.best.metric == "val.acc");
  CHECK(plan.best.larger_is_better);
  CHECK(plan.stop->target.metric == "val.loss");
  CHECK(!plan.stop->target.larger_is_better);
  CHECK(plan.stop->wait == train::Duration{5, Unit::epoch});
  CHECK(plan.nan == train::NanPolicy::skip);
  CHECK(plan.seed == 7);
  REQUIRE(plan.groups.size() == 1);
  CHECK(plan.groups[0].options[0].first == "weight_decay");
  CHECK(c.objective.metrics() == std::vector<std::string>{"acc"});
  CHECK(c.objective.fields().size() == 2);
}

TEST_CASE("settings that cannot be are errors at their place") {
  CHECK(said({}) == "");
  CHECK(contains(said({"train.max=10"}), "such as `10 epochs`"));
  CHECK(contains(said({"train.max=0 steps"}), "more than 0"));
  CHECK(contains(said({"train.optimizer=AdamX(lr=1)"}), "did you mean `Adam"));
  CHECK(contains(said({"train.optimizer=AdamW(lr=1, weigth_decay=0)"}), "weight_decay"));
  CHECK(contains(said({"train.schedule=cosin(final=0.1)"}), "did you mean `cosine`"));
  CHECK(contains(said({"train.clip=nrm(1)"}), "did you mean `norm`"));
  CHECK(contains(said({"train.clip=norm(-1)"}), "max_norm"));
  CHECK(contains(said({"train.accumulate=0"}), "at least 1"));
  CHECK(contains(said({"train.precision=f16"}), "f16"));
  CHECK(contains(said({"train.nan=stp"}), "did you mean `stop`"));
  CHECK(contains(said({"train.ema=2"}), "train.ema"));
  CHECK(contains(said({"train.checkpoint.keep=best(val.ac, 3)"}), "did you mean `val.acc`"));
  CHECK(contains(said({"train.stop=patience(val.loss, 0 epochs)"}), "more than 0"));
  CHECK(contains(said({"train.max=1 epoch", "train.accumulate=9"}), "no step"));
  const std::string groups =
      said({}, replaced(kBase, "  optimizer:", "  groups:\n    \"Linaer.bias\": {}\n  optimizer:"));
  CHECK(contains(groups, "c.yaml:19"));
  CHECK(contains(groups, "Linear"));
  const std::string part = said(
      {},
      replaced(kBase, "  optimizer:", "  groups:\n    \"**.bias, Linaer.bias\": {}\n  optimizer:"));
  CHECK(contains(part, "`Linaer.bias` matches nothing in the model"));
  CHECK(contains(part, "c.yaml:19:15"));
  CHECK(contains(part, "did you mean `Linear.bias`?"));
  const std::string option = said(
      {}, replaced(kBase,
                   "  optimizer:", "  groups:\n    Linear.bias: {weight_decy: 0}\n  optimizer:"));
  CHECK(contains(option, "weight_decay"));
  CHECK(contains(said({}, replaced(kBase, "  optimizer: AdamW(lr=0.01)\n", "")),
                 "train.optimizer is missing"));
  CHECK(contains(said({}, replaced(kBase, "  max: 2 epochs\n", "")), "train.max is missing"));
}

TEST_CASE("loss and metrics are checked as forward is") {
  CHECK(contains(said({"train.loss=cross_entropy(out, z)"}), "z"));
  CHECK(contains(said({"train.loss=cross_entropi(out, y)"}), "cross_entropy"));
  CHECK(contains(said({"train.loss=out"}), "not one number"));
  CHECK(contains(said({"train.loss=mse_loss(out, x)"}), "must match the size of tensor b (6)"));
  CHECK(contains(said({"train.metrics.acc=argmax(out, 1)"}), "metric acc is not one number"));
  CHECK(contains(said({}, replaced(kBase, "  loss: cross_entropy(out, y)\n", "")),
                 "there is no loss"));
  CHECK(contains(said({}, replaced(kBase, "  loss: cross_entropy(out, y)\n", "")), "c.yaml:14:3"));
  CHECK(contains(said({"train.loss=mean(square(out))", "train.metrics.acc=mean(out)"}),
                 "nobody reads `y`"));
  CHECK(said({"train.loss=cross_entropy(out, y) * 2 + mean(x) * 0"}) == "");
  for (const char* loss :
       {"cross_entropy(out.detach(), y)", "mean(x) + 0 * y.sum()", "accuracy(out, y)"})
    CHECK(contains(said({std::string("train.loss=") + loss}),
                   "element 0 of tensors does not require grad and does not have a grad_fn"));
  // Independent errors come together.
  const std::string two = said({"train.loss=out", "train.clip=nrm(1)", "train.optimizer=Adamm()"});
  CHECK(contains(two, "not one number"));
  CHECK(contains(two, "nrm"));
  CHECK(contains(two, "Adamm"));
}

TEST_CASE("a warmup that outlasts the run is warned of") {
  CHECK(said({"train.schedule=warmup(10 steps)"}) == "");
  for (const char* warmup : {"warmup(11 steps)", "warmup(11)", "warmup(2.2 epochs) |> cosine()",
                             "warmup(3, per=1 epoch)"}) {
    const std::string long_one = said({std::string("train.schedule=") + warmup});
    CHECK_MESSAGE(contains(long_one, "W0402"), warmup);
    CHECK_MESSAGE(contains(long_one, "steps, and the run ends after 10"), warmup);
  }
  CHECK(said({"train.schedule=warmup(1 epoch) |> cosine()"}) == "");
}

TEST_CASE("a trial may end while its rate warms up") {
  const std::vector<std::string> warm = {"train.schedule=warmup(10 steps) |> cosine()"};
  CHECK(said(warm, kBase, {.max = "3 steps", .training = true}) == "");
  CHECK(said({warm[0], "train.max=3 steps"}) == "");
  const std::string shorter = replaced(kBase, "max: 2 epochs", "max: 3 steps");
  CHECK(contains(said(warm, shorter), "W0402"));
}

TEST_CASE("fields are pointed at where data names them") {
  const std::string named = replaced(with_class(R"(define:
  Net:
    modules:
      fc: Linear(6, 3)
    inputs: {x: "f32[B, 6]"}
    forward:
      - return y=fc(x)
model: Net()
)"),
                                     "cross_entropy(out, y)", "cross_entropy(y, y)");
  const std::string clash = said({}, named);
  CHECK(contains(clash, "E0431"));
  CHECK(contains(clash, "c.yaml:12:31"));
  // What follows from it is not said.
  CHECK_FALSE(contains(clash, "E0501"));
  CHECK_FALSE(contains(clash, "W0430"));
  const std::string unread =
      said({}, replaced(kBase, "{x: \"f32[50, 6]\", y: \"i64[50] < 3\"}",
                        "{x: \"f32[50, 6]\", y: \"i64[50] < 3\", z: \"f32[50]\"}"));
  CHECK(contains(unread, "W0430"));
  CHECK(contains(unread, "c.yaml:9:49"));
  // An expression that is not understood may read what it seems to leave.
  CHECK_FALSE(contains(said({"train.loss=cross_entropi(out, y)", "train.metrics={}"}), "W0430"));
}

TEST_CASE("what is wrong beside does not hide the rest") {
  const std::string groups =
      said({"train.optimizer=Adamm(lr=0.1)"},
           replaced(kBase, "  optimizer:", "  groups:\n    Linaer.bias: {lr: 1}\n  optimizer:"));
  CHECK(contains(groups, "did you mean `Adam`?"));
  CHECK(contains(groups, "did you mean `Linear.bias`?"));
  const std::string options =
      said({}, replaced(kBase, "  optimizer:",
                        "  groups:\n    Linear.bias: {lr: 1, weight_decy: 0}\n  optimizer:"));
  CHECK(contains(options, "c.yaml:19:26"));
  const std::string metric = said({"train.loss=out", "train.metrics.acc=acc(out, y)"});
  CHECK(contains(metric, "the loss is not one number"));
  CHECK(contains(metric, "there is accuracy"));
  const std::string data = said({"data.batch=0", "data.transform=[scal(2)]"});
  CHECK(contains(data, "data.batch: must be at least 1, got 0"));
  CHECK(contains(data, "did you mean `scale`?"));
  const std::string split =
      said({"train.eval={every: 1 epoch, split: vall}", "train.stop=patience(val.los, 3)"});
  CHECK(contains(split, "did you mean `val`?"));
  CHECK(contains(split, "did you mean `val.loss`?"));
}

TEST_CASE("what programs in Python pass is said to be left away") {
  for (const char* set :
       {"train.optimizer=Adam(model.parameters(), lr=0.1)", "train.optimizer=Adam(params, lr=0.1)",
        "train.schedule=StepLR(optimizer, step_size=10 epochs)"})
    CHECK_MESSAGE(contains(said({set}), "leave it away"), set);
  CHECK(contains(said({"train.optimizer=torch.optim.Adam(lr=0.1)"}), "write `Adam(…)`"));
  CHECK(contains(said({"train.clip=1.0"}), "write `norm(1.0)`"));
  CHECK(contains(said({"train.schedule=LambdaLR(0.5)"}), "there is no `lambda`"));
  CHECK(contains(said({"train.optimizer=LBFGS(lr=1)"}), "a program in C++ has `optim::LBFGS`"));
  CHECK(contains(said({"train.checkpoint.keep=best(acc)"}), "did you mean `val.acc`?"));
  CHECK(contains(said({"train.loss=cross_entropy(output, target)"}),
                 "the names here are x, y, out, vars"));
  const std::string vars = replaced(kBase, "nnm: 1\n", "nnm: 1\nvars: {lr: 0.1, k: 2}\n");
  for (const char* set : {"train.optimizer=AdamW(lr=lr)", "train.accumulate=k",
                          "train.loss=cross_entropy(out, y) * k"})
    CHECK_MESSAGE(contains(said({set}, vars), "did you mean `vars."), set);
}

TEST_CASE("fields that evaluations alone read are read") {
  const std::string text =
      replaced(kBase, "y: \"i64[50] < 3\"", "y: \"i64[50] < 3\", w: \"f32[50]\"");
  CHECK(contains(said({}, text), "nobody reads `w`"));
  CHECK(said({"eval.metrics={weighted: \"(out.sum(1) * w).mean()\"}"}, text) == "");
}

TEST_CASE("whole numbers become what the first layer computes with") {
  CHECK(said({"data.train.random.x=i64[50, 6] < 9"}) == "");
  const std::string looks_up =
      replaced(replaced(kBase, "- Linear(6, 8)\n",
                        "- Embedding(9, 2)\n    - Flatten()\n    - Linear(12, 8)\n"),
               "x: \"f32[50, 6]\"", "x: \"i64[50, 6] < 9\"");
  CHECK(said({}, looks_up) == "");
  // A class further in says itself what it takes.
  const std::string inner = replaced(
      with_class("define:\n  Rows:\n    modules: {e: \"Embedding(9, 2)\", l: \"Linear(12, 3)\"}\n"
                 "    inputs: {ids: \"i64[B, 6]\"}\n    forward: [return l(flatten(e(ids), 1))]\n"
                 "model: [Rows()]\n"),
      "x: \"f32[50, 6]\"", "x: \"i64[50, 6] < 9\"");
  CHECK(said({}, inner) == "");
}

TEST_CASE("keys of notes say nothing, wherever they stand") {
  CHECK(said({"data={train: {random: {x: \"f32[50, 6]\", y: \"i64[50] < 3\"}, x-a: 1}, x-b: 2,"
              " val: {split: 0.2, x-c: {k: 1}}, batch: {train: 8, x-d: [1]},"
              " transform: {x-e: 1, x: [\"scale(2)\"]}}",
              "train.metrics={x-f: {k: 1}, a: \"mean(out)\"}",
              "train.groups={x-g: 1, \"**.bias\": {weight_decay: 0, x-h: 2}}",
              "train.checkpoint={every: 1 epoch, x-i: 3}"}) == "");
}

TEST_CASE("settings of training for another split are warned of") {
  CHECK(contains(said({"data.shuffle={val: true}"}),
                 "W0443]: `shuffle` of the split `val` does nothing"));
  CHECK(contains(said({"data.drop_last={train: true, val: true}"}),
                 "W0443]: `drop_last` of the split `val` does nothing"));
  CHECK(said({"data.shuffle={train: false, val: false}", "data.drop_last=true"}) == "");
}

TEST_CASE("schedules made of schedules are checked to the innermost call") {
  const std::string good =
      "train.schedule=SequentialLR([LinearLR(total_iters=2 epochs), "
      "ChainedScheduler([StepLR(10 epochs), ExponentialLR(0.9)])], "
      "milestones=[2 epochs])";
  CHECK(said({good}) == "");
  const std::string unknown = said({"train.schedule=ChainedScheduler([LinearLR(), StepLr(9)])"});
  CHECK(contains(unknown, "error[E0302]: unknown scheduler `StepLr`"));
  CHECK(contains(unknown, "did you mean `StepLR`?"));
  CHECK(contains(said({"train.schedule=ChainedScheduler([LinearLR(totl_iters=3)])"}),
                 "LinearLR has no argument `totl_iters`"));
  CHECK(contains(said({"train.schedule=SequentialLR([LinearLR(), StepLR(90)], [1, 2])"}),
                 "one more than the number of milestone points"));
  CHECK(contains(said({"train.schedule=ChainedScheduler([ReduceLROnPlateau()])"}),
                 "ChainedScheduler does not support `ReduceLROnPlateau`"));
  CHECK(contains(said({"train.schedule=ChainedScheduler([0.5])"}), "expected a scheduler"));
  // An epoch has five steps.
  CHECK(contains(said({"train.schedule=ChainedScheduler([StepLR(3)])"}), "W0401"));
  CHECK(said({"train.schedule=ChainedScheduler([StepLR(3)], per=1 epoch)"}) == "");
}

TEST_CASE("a loss that broadcasts its target is warned of") {
  const std::string base = replaced(kBase, "y: \"i64[50] < 3\"", "y: \"f32[50, 1]\"");
  const auto of = [&](const std::string& loss) {
    return said({"train.loss=" + loss, "train.metrics={}"}, base);
  };
  for (const char* loss : {"mse_loss(out, y)", "0.5 * l1_loss(target=y, input=out)",
                           "out |> huber_loss(y)", "smooth_l1_loss(out[:, 0], y)"}) {
    CHECK_MESSAGE(contains(of(loss), "W0510"), loss);
    CHECK_MESSAGE(contains(of(loss), "the target has size [10, 1]"), loss);
  }
  CHECK(of("mse_loss(out[:, :1], y)") == "");
  CHECK(of("mse_loss(out.mean(1), y.squeeze(1))") == "");
}

TEST_CASE("a softmax before a cross entropy is warned of") {
  const std::string base =
      replaced(kBase, "    - Linear(8, 3)\n", "    - Linear(8, 3)\n    - Softmax(dim=1)\n");
  CHECK(contains(said({}, base), "W0511"));
  CHECK(contains(said({"train.loss=cross_entropy(out.view(-1, 3), y)"}, base), "W0511"));
  CHECK(contains(said({"train.loss=nll_loss(out, y)"}, base), "W0511"));
  CHECK(said({"train.loss=nll_loss(log(out), y)"}, base) == "");
  CHECK(said({"train.loss=cross_entropy(out, y)"}, kBase) == "");
  const std::string binary = "binary_cross_entropy_with_logits(OUT, one_hot(y, 3).float())";
  CHECK(
      contains(said({"train.loss=" + replaced(binary, "OUT", "sigmoid(out)")}, kBase), "sigmoid"));
  CHECK(said({"train.loss=" + replaced(binary, "OUT", "out")}, kBase) == "");
}

TEST_CASE("one check looks at both modes of a config that tells how it is trained") {
  const std::string text = with_class(R"(define:
  Net:
    modules:
      fc: Linear(6, 3)
      a: Linear(4, 3)
      b: Linear(5, 3)
    inputs: {x: "f32[B, 6]"}
    forward:
      - if training:
          - y = a(x)
      - else:
          - y = b(x)
      - return fc(x)
model: Net()
eval: {metrics: {top: top_k_acc(out, y)}}
)");
  const std::string both = said({}, text, {.complete = true});
  CHECK(contains(both, "in_features of a"));
  CHECK(contains(both, "in_features of b"));
  const std::string metrics = said({"define.Net.forward=[return fc(x)]"}, text, {.complete = true});
  CHECK(contains(metrics, "top_k_accuracy"));
  CHECK(said({}, kBase, {.complete = true}) == "");
  CHECK(said({}, replaced(kBase, "  max: 2 epochs\n", ""), {.complete = true}) == "");
}

TEST_CASE("inputs take fields by name, the only one the first") {
  constexpr const char* kTwo = R"(nnm: 1
define:
  Pair:
    modules:
      fc: Linear(4, 1)
    inputs:
      a: f32[B, 4]
      b: f32[B, 4]
    forward:
      - return score=squeeze(fc(a - b), 1), diff=a - b
model: Pair()
data:
  train:
    random: {b: "f32[12, 4]", a: "f32[12, 4]", t: "f32[12]"}
  batch: 6
train:
  max: 1 epoch
  loss: mse_loss(score, t) + mean(out.diff) * 0
  optimizer: SGD(lr=0.1)
)";
  CHECK(said({}, kTwo) == "");
  CHECK(contains(said({}, replaced(kTwo, "a: \"f32[12, 4]\"", "c: \"f32[12, 4]\"")),
                 "input `a` has no field"));
  CHECK(contains(said({}, replaced(kTwo, "t: \"f32[12]\"", "score: \"f32[12]\"")),
                 "a field of the data and an output"));
}

TEST_CASE("a schedule that follows a metric follows one that there is") {
  const std::string text =
      replaced(kBase, "  batch: 10", "  test: {split: 0.5}\n  batch: 10\n  seed: 1");
  const auto plateau = [&](const std::string& args, const std::string& setting) {
    return said({"train.schedule=ReduceLROnPlateau(" + args + ")", setting}, text);
  };
  const std::string none = "data.seed=2";
  CHECK(plateau("", none) == "");
  CHECK(plateau("metric=\"val.acc\", mode=\"max\"", none) == "");
  CHECK(contains(plateau("metric=\"val.ac\"", none), "did you mean `val.acc`"));
  CHECK(contains(plateau("metric=\"acc\"", none), "did you mean `val.acc`"));
  CHECK(
      contains(plateau("", "train.eval=none"), "`val.loss` is never known: nothing is evaluated"));
  CHECK(plateau("", "train.eval.split=test") == "");
  CHECK(contains(plateau("metric=\"val.loss\"", "train.eval.split=test"),
                 "no evaluation gives `val.loss`"));
}

TEST_CASE("a schedule's bare numbers that look like epochs are a warning") {
  const std::string text = replaced(kBase, "batch: 10", "batch: 1");
  CHECK(contains(said({"train.schedule=StepLR(step_size=30)"}, text), "warning"));
  CHECK(contains(said({"train.schedule=StepLR(step_size=30)"}, text), "30 epochs"));
  CHECK(said({"train.schedule=StepLR(step_size=30 epochs)"}, text) == "");
  CHECK(contains(said({"train.schedule=MultiStepLR(milestones=[3, 30])"}, text),
                 "[3 epochs, 30 epochs]"));
  CHECK(said({"train.schedule=StepLR(step_size=30, per=1 epoch)"}, text) == "");
  CHECK(said({"train.schedule=StepLR(step_size=60)"}, text) == "");
  CHECK(contains(said({"train.schedule=cosine(final=0.1)", "train.max=2 h"}), "error"));
}

TEST_CASE("missing data are a warning of check, and an error of a run") {
  const std::string text =
      replaced(replaced(kBase, "  train:\n    random: {x: \"f32[50, 6]\", y: \"i64[50] < 3\"}\n",
                        "  train: {x: none.npy, y: none2.npy}\n"),
               "loss: cross", "loss: cross");
  const std::string warned = said({}, text);
  CHECK(contains(warned, "warning[W0441]"));
  CHECK(contains(warned, "none.npy"));
  CHECK(contains(said({"train.loss=cross_entropy(out, z)"}, text), "z"));
  const Project p(text);
  CHECK(contains(diagnosed([&] { p.train("r"); }), "none.npy"));
  CHECK(!std::filesystem::exists(p.file("r")));
}

TEST_CASE("the data section: forms, settings and their slips") {
  CHECK(contains(said({}, replaced(kBase, "batch: 10", "bacth: 10")), "did you mean `batch`"));
  CHECK(contains(said({"data.batch=0"}), "data.batch"));
  CHECK(contains(said({}, replaced(kBase, "  batch: 10", "  transform: [sclae(2)]\n  batch: 10")),
                 "scale"));
  CHECK(said({}, replaced(kBase, "  batch: 10",
                          "  transform:\n    - scale(1 / 255)\n    - normalize(0.5, 0.5)\n"
                          "  batch: {train: 10, val: 20}\n  shuffle: false\n  limit: 40")) == "");
  CHECK(contains(
      said({}, replaced(kBase, "  val:\n    random: {x: \"f32[20, 6]\", y: \"i64[20] < 3\"}",
                        "  val: {split: 1.5}")),
      "a share is below 1"));
  CHECK(said({}, replaced(kBase, "  val:\n    random: {x: \"f32[20, 6]\", y: \"i64[20] < 3\"}",
                          "  val: {split: 0.2, seed: 1}")) == "");
}

TEST_CASE("an output called out is what `out` means") {
  const std::string text = R"(nnm: 1
define:
  Net:
    modules:
      fc: Linear(4, 3)
    inputs:
      x: f32[B, 4]
    forward:
      - return out=fc(x)
model: Net()
data: {train: {random: {x: "f32[8, 4]", y: "i64[8] < 3"}}}
train:
  max: 1 step
  loss: cross_entropy(out, y)
  optimizer: SGD(lr=0.1)
)";
  CHECK(said({}, text) == "");
}

TEST_SUITE_END();
