// Training runs from a config: what they write, where they end, and that they go on bit for bit.
#include "nnm/run/train.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "nnm/data/file.h"
#include "run/project.h"

using namespace nnm;
using namespace nnm::run::testing;
namespace fs = std::filesystem;

namespace {

// 7 batches an epoch; dropout and batch norm, a schedule, averages, two groups.
constexpr const char* kTrainConfig = R"(nnm: 1
model:
  Sequential:
    - Linear(6, 8)
    - BatchNorm1d(8)
    - ReLU()
    - Dropout(0.25)
    - Linear(8, 3)
data:
  train:
    random: {x: "f32[50, 6]", y: "i64[50] < 3"}
    seed: 1
  val:
    random: {x: "f32[20, 6]", y: "i64[20] < 3"}
    seed: 2
  batch: 8
train:
  max: 4 epochs
  loss: cross_entropy(out, y)
  metrics:
    acc: accuracy(out, y)
  optimizer: AdamW(lr=0.01, weight_decay=0.1)
  groups:
    "**.bias": {weight_decay: 0}
  schedule: warmup(3 steps) |> cosine(final=0.1)
  clip: norm(1.0)
  ema: 0.9
  log: every 5 steps
  checkpoint: {every: 10 steps, keep: 2}
  seed: 3
)";
constexpr const char* kConstant = "train.schedule=ConstantLR(factor=1, total_iters=1)";

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> out;
  for (const auto& f : fs::directory_iterator(folder)) out.push_back(f.path().filename().string());
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

TEST_SUITE_BEGIN("run");

TEST_CASE("a run writes its events, metrics and status") {
  const Project p(kTrainConfig);
  std::string announced;
  run::TrainOptions o = p.options("r");
  o.announce = [&](const std::string& folder) { announced = folder; };
  const run::TrainResult r = run::train(o);
  CHECK(announced == p.file("r"));
  CHECK(r.exit_code == 0);
  CHECK(r.outcome.reason == train::Reason::max_epochs);
  CHECK(r.outcome.at.step == 28);
  CHECK(r.outcome.at.epoch == 4);
  CHECK(p.text("r", "config.yaml") == kTrainConfig);
  CHECK(!p.text("r", "resolved.yaml").empty());

  const std::string log = p.text("r", "events.jsonl");
  REQUIRE(events(log, "start").size() == 1);
  CHECK(value_of(events(log, "start")[0], "parameters") == "99");
  CHECK(value_of(events(log, "start")[0], "samples") == "50");
  std::vector<std::string> steps;
  for (const std::string& e : events(log, "step")) steps.push_back(value_of(e, "step"));
  CHECK(steps == std::vector<std::string>{"1", "5", "10", "15", "20", "25", "28"});
  REQUIRE(events(log, "epoch").size() == 4);
  CHECK(value_of(events(log, "epoch")[1], "step") == "14");
  CHECK(value_of(events(log, "epoch")[1], "epoch") == "2");
  REQUIRE(events(log, "eval").size() == 4);
  CHECK(value_of(events(log, "eval")[0], "samples") == "20");
  CHECK(events(log, "checkpoint").size() == 3);
  REQUIRE(events(log, "end").size() == 1);
  CHECK(value_of(events(log, "end")[0], "reason") == "\"max_epochs\"");
  for (const std::string& line : lines(log)) {
    CHECK(contains(line, "\"time\": "));
    CHECK(contains(line, "\"step\": "));
  }

  const auto rows = lines(p.text("r", "metrics.csv"));
  CHECK(rows[0] == "event,step,epoch,split,loss,lr,acc");
  REQUIRE(rows.size() == 1 + 7 + 4);
  CHECK(rows[1].starts_with("step,1,0,,"));
  CHECK(rows[3].starts_with("eval,7,1,val,"));
  for (const std::string& row : rows) CHECK(std::count(row.begin(), row.end(), ',') == 6);

  const std::string status = p.text("r", "status.json");
  CHECK(value_of(status, "state") == "\"done\"");
  CHECK(value_of(status, "step") == "28");
  CHECK(value_of(status, "exit_code") == "0");
}

TEST_CASE("a run keeps the newest checkpoints and links them") {
  const Project p(kTrainConfig);
  p.train("r", {"train.checkpoint.every=5 steps"});
  const auto files = files_in(p.file("r/checkpoints"));
  CHECK(std::count(files.begin(), files.end(), "best.h5") == 1);
  CHECK(std::count(files.begin(), files.end(), "step-00000028.h5") == 1);
  CHECK(std::count(files.begin(), files.end(), "step-00000025.h5") == 1);
  CHECK(files.size() <= 5);
  CHECK(fs::read_symlink(p.file("r/checkpoints/last.h5")) == "step-00000028.h5");
}

TEST_CASE("a run that is stopped at any step and resumed is the run that is not") {
  const Project p(kTrainConfig);
  p.train("whole");
  const io::Checkpoint whole = p.last("whole");
  for (const int64_t step : {1, 3, 7, 10, 12, 27}) {
    CAPTURE(step);
    const std::string run = "part" + std::to_string(step);
    const run::TrainResult stopped = p.train_until(run, step, SIGTERM);
    CHECK(stopped.exit_code == 143);
    CHECK(stopped.outcome.reason == train::Reason::signal);
    CHECK(p.last(run).global_step == step);
    const run::TrainResult r = p.resume(run);
    CHECK(r.exit_code == 0);
    CHECK(run::find_difference(whole, p.last(run)) == "");
    CHECK(p.text(run, "metrics.csv") == p.text("whole", "metrics.csv"));
    const std::string log = p.text(run, "events.jsonl");
    CHECK(events(log, "end").size() == 1);
    REQUIRE(events(log, "start").size() == 2);
    CHECK(contains(events(log, "start")[1], run + "/checkpoints/step-"));
  }
}

TEST_CASE("differences of checkpoints are found") {
  const Project p(kTrainConfig);
  p.train("a");
  p.train("b", {"train.seed=4"});
  CHECK(contains(run::find_difference(p.last("a"), p.last("b")), "weights: 0.weight"));
  io::Checkpoint c = p.last("a");
  for (auto& [name, value] : c.rng)
    if (name == "offset") value = Value(int64_t{99});
  CHECK(contains(run::find_difference(p.last("a"), c), "random numbers"));
}

TEST_CASE("verify-resume proves it") {
  const Project p(kTrainConfig);
  run::TrainOptions o = p.options("r");
  o.verify_resume = true;
  const run::TrainResult r = run::train(o);
  REQUIRE(r.resume_difference);
  CHECK(*r.resume_difference == "");
  CHECK(r.exit_code == 0);
}

TEST_CASE("SIGUSR1, SIGINT and a time limit") {
  const Project p(kTrainConfig);
  const run::TrainResult kept = p.train_until("usr1", 4, SIGUSR1);
  CHECK(kept.exit_code == 0);
  CHECK(value_of(events(p.text("usr1", "events.jsonl"), "checkpoint")[0], "step") == "4");
  run::TrainOptions o = p.options("limit");
  o.time_limit = 1e-9;
  const run::TrainResult limited = run::train(o);
  CHECK(limited.exit_code == 75);
  CHECK(limited.outcome.at.step <= 1);
  CHECK(value_of(p.text("limit", "status.json"), "state") == "\"stopped\"");
  CHECK(p.last("limit").global_step == limited.outcome.at.step);
  CHECK(p.train_until("int", 2, SIGINT).exit_code == 130);
}

TEST_CASE("a longer run goes on from a shorter one") {
  const Project p(kTrainConfig);
  p.train("long", {kConstant});
  run::TrainOptions o = p.options("short", {kConstant});
  o.max = "12 steps";
  CHECK(run::train(o).outcome.at.step == 12);
  CHECK(contains(p.text("short", "metrics.csv"), "step,12,"));
  p.resume("short");  // the overrides of before are kept
  CHECK(run::find_difference(p.last("long"), p.last("short")) == "");
  CHECK(p.text("long", "metrics.csv") == p.text("short", "metrics.csv"));
}

TEST_CASE("accumulated micro-batches are a larger batch") {
  const Project p(R"(nnm: 1
model:
  Sequential:
    - Linear(4, 5)
    - Tanh()
    - Linear(5, 1)
data:
  train:
    random: {x: "f32[32, 4]", y: "f32[32, 1]"}
  batch: 8
  shuffle: false
train:
  max: 3 epochs
  loss: mse_loss(out, y)
  optimizer: SGD(lr=0.1)
  precision: f64
  log: every 1 step
)");
  p.train("whole");
  const run::TrainResult r = p.train("parts", {"data.batch=2", "train.accumulate=4"});
  CHECK(r.outcome.at.step == 12);
  const io::Checkpoint a = p.last("whole"), b = p.last("parts");
  const auto close = [](const std::vector<double>& x, const std::vector<double>& y) {
    REQUIRE(x.size() == y.size());
    for (size_t k = 0; k < x.size(); ++k) CHECK(x[k] == doctest::Approx(y[k]).epsilon(1e-12));
  };
  for (size_t i = 0; i < a.state_dict.size(); ++i) {
    CHECK(a.state_dict[i].tensor.dtype() == DType::f64);
    close(a.state_dict[i].tensor.to_vector<double>(), b.state_dict[i].tensor.to_vector<double>());
  }
  close(std::get<std::vector<double>>(a.metrics[4].values),
        std::get<std::vector<double>>(b.metrics[4].values));
}

TEST_CASE("bf16 keeps weights and losses in f32") {
  const Project p(kTrainConfig);
  p.train("f32", {"train.max=1 epoch"});
  p.train("bf16", {"train.max=1 epoch", "train.precision=bf16"});
  const io::Checkpoint a = p.last("f32"), b = p.last("bf16");
  CHECK(b.state_dict[0].tensor.dtype() == DType::f32);
  const auto& x = std::get<std::vector<double>>(a.metrics[4].values);
  const auto& y = std::get<std::vector<double>>(b.metrics[4].values);
  CHECK(x[0] != y[0]);
  for (size_t i = 0; i < x.size(); ++i) CHECK(x[i] == doctest::Approx(y[i]).epsilon(0.05));
}

TEST_CASE("a label outside of the classes is named with its file and sample") {
  const Project p(kTrainConfig);
  const Tensor x = tensor_of<float>(std::vector<float>(24), {4, 6}, {});
  data::write_npy(p.file("x.npy"), x);
  data::write_npy(p.file("y.npy"),
                  tensor_of<int64_t>(std::vector<int64_t>{0, 1, 7, 2}, {4}, {DType::i64}));
  std::string text = kTrainConfig;
  const size_t begin = text.find("    random:"), end = text.find("  val:");
  spill(p.file("c.yaml"), text.replace(begin, end - begin, "    {x: x.npy, y: y.npy}\n"));
  const std::string error = diagnosed([&] {
    p.train("r", {"data.batch=2", "data.shuffle=false"});
  });
  CHECK(contains(error, "Target 7 is out of bounds"));
  CHECK(contains(error, "sample 2 of"));
  CHECK(contains(error, "y.npy"));
  CHECK(value_of(p.text("r", "status.json"), "exit_code") == "3");
}

TEST_CASE("leftover micro-batches carry over the end of an epoch") {
  const Project p(kTrainConfig);
  const run::TrainResult r = p.train("r", {"train.accumulate=2", "train.max=3 epochs"});
  CHECK(r.outcome.at.step == 10);
  CHECK(r.outcome.at.epoch == 3);
  const auto epochs = events(p.text("r", "events.jsonl"), "epoch");
  REQUIRE(epochs.size() == 3);
  CHECK(value_of(epochs[0], "step") == "4");
  CHECK(value_of(epochs[1], "step") == "7");
  CHECK(value_of(epochs[2], "step") == "10");
}

TEST_CASE("ends: steps, fractions of epochs, the first of a list, patience, time") {
  const Project p(kTrainConfig);
  CHECK(p.train("a", {"train.max=5 steps"}).outcome.reason == train::Reason::max_steps);
  CHECK(p.train("b", {"train.max=1.5 epochs"}).outcome.at.step == 10);
  CHECK(p.train("c", {"train.max=[2 epochs, 6 steps, 2 h]"}).outcome.at.step == 6);
  const run::TrainResult d =
      p.train("d", {"train.max=50 epochs", "train.stop=patience(val.loss, 3 epochs)",
                    "train.optimizer=AdamW(lr=1e-30)", kConstant});
  CHECK(d.outcome.reason == train::Reason::early_stop);
  CHECK(d.exit_code == 0);
  CHECK(d.outcome.at.epoch < 50);
  CHECK(value_of(p.text("d", "status.json"), "state") == "\"done\"");
  const run::TrainResult e =
      p.train("e", {"train.max=1 s", kConstant, "train.log=every 1000 steps"});
  CHECK(e.outcome.reason == train::Reason::max_time);
  CHECK(e.exit_code == 0);
}

TEST_CASE("groups, and averages that begin as a copy") {
  const Project p(kTrainConfig);
  p.train("r", {"train.max=1 step", kConstant});
  const io::Checkpoint c = p.last("r");
  REQUIRE(c.ema.size() == 6);
  for (const io::NamedTensor& t : c.ema)
    for (const io::StateEntry& e : c.state_dict)
      if (e.name == t.name) CHECK(io::testing::same_bits(e.tensor, t.tensor));
  REQUIRE(c.optimizer);
  REQUIRE(c.optimizer->param_groups.size() == 2);
  using Names = std::vector<std::string>;
  CHECK(c.optimizer->param_groups[0].params == Names{"0.weight", "1.weight", "4.weight"});
  CHECK(c.optimizer->param_groups[1].params == Names{"0.bias", "1.bias", "4.bias"});
}

TEST_CASE("the best are kept, and linked") {
  const Project p(kTrainConfig);
  p.train("r", {"train.checkpoint.every=1 epoch", "train.checkpoint.keep=best(val.acc, 1)"});
  const io::Checkpoint c = p.last("r");
  CHECK(c.global_step == 28);
  int files = 0;
  for (const auto& f : fs::directory_iterator(p.file("r/checkpoints")))
    files += !f.is_symlink() && f.path().extension() == ".h5";
  CHECK(files <= 2);
  double best = -1;
  int64_t at = 0;
  const auto& event = std::get<std::vector<std::string>>(c.metrics[0].values);
  for (size_t i = 0; i < event.size(); ++i) {
    const double acc = std::get<std::vector<double>>(c.metrics[6].values)[i];
    if (event[i] != "eval" || acc <= best) continue;
    best = acc;
    at = std::get<std::vector<int64_t>>(c.metrics[1].values)[i];
  }
  CHECK(fs::read_symlink(p.file("r/checkpoints/best.h5")).string() ==
        fmt::format("step-{:08}.h5", at));
}

TEST_CASE("folders: refused, forced, locked, previewed") {
  const Project p(kTrainConfig);
  p.train("r", {"train.max=1 step"});
  CHECK(contains(diagnosed([&] { p.train("r"); }), "is not empty"));
  spill(p.file("r/mine.txt"), "kept");
  run::TrainOptions o = p.options("r", {"train.max=2 steps"});
  o.force = true;
  CHECK(run::train(o).outcome.at.step == 2);
  CHECK(p.text("r", "mine.txt") == "kept");
  CHECK(!fs::exists(p.file("r/checkpoints/step-00000001.h5")));
  {
    const FolderLock lock(p.file("r"));
    CHECK(contains(diagnosed([&] { p.resume("r"); }), "in use"));
  }
  run::TrainOptions dry = p.options("dry");
  dry.dry_run = true;
  const run::TrainResult r = run::train(dry);
  CHECK(!fs::exists(p.file("dry")));
  CHECK(contains(r.line(), "28 steps"));
}

TEST_CASE("resuming from a checkpoint cuts what came later") {
  const Project p(kTrainConfig);
  const std::vector<std::string> all = {"train.checkpoint.keep=all"};
  p.train("r", all);
  const io::Checkpoint whole = p.last("r");
  const std::string csv = p.text("r", "metrics.csv");
  run::TrainOptions o = p.options("r", all);
  o.resume_from = p.file("r/checkpoints/step-00000010.h5");
  CHECK(run::train(o).exit_code == 0);
  CHECK(run::find_difference(whole, p.last("r")) == "");
  CHECK(p.text("r", "metrics.csv") == csv);
  run::TrainOptions missing = p.options("r");
  missing.resume_from = p.file("r/checkpoints/step-00000011.h5");
  CHECK(contains(diagnosed([&] { run::train(missing); }), "no such file"));
  // Into another folder: the run of before stays.
  run::TrainOptions other = p.options("other");
  other.resume_from = p.file("r/checkpoints/step-00000010.h5");
  CHECK(run::train(other).exit_code == 0);
  CHECK(run::find_difference(whole, p.last("other")) == "");
  CHECK(p.text("other", "metrics.csv") == csv);
}

TEST_CASE("a folder without a checkpoint is resumed from the beginning") {
  const Project p(kTrainConfig);
  p.train("whole");
  fs::create_directories(p.file("r"));
  p.resume("r");
  CHECK(run::find_difference(p.last("whole"), p.last("r")) == "");
  const run::TrainResult again = p.resume("r");
  CHECK(again.outcome.at.step == 28);
  CHECK(again.outcome.loss > 0);
  REQUIRE(again.outcome.eval);
  CHECK(again.outcome.eval->metrics.size() == 1);
  CHECK(run::find_difference(p.last("whole"), p.last("r")) == "");
}

TEST_SUITE_END();
