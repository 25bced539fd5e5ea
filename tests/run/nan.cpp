// Numbers that are none: stop and say where, skip, ignore.
#include <doctest/doctest.h>

#include <filesystem>

#include "run/project.h"

using namespace nnm;
using namespace nnm::run::testing;

namespace {

// The encoder takes the root of negative numbers.
constexpr const char* kNanConfig = R"(nnm: 1
define:
  Encoder:
    modules:
      fc: Linear(4, 4)
    forward:
      - return sqrt(fc(x) - 3)
  Net:
    modules:
      enc: Encoder()
      head: Linear(4, 1)
    inputs:
      x: f32[B, 4]
    forward:
      - return head(enc(x))
model: Net()
data:
  train:
    random: {x: "f32[32, 4]", y: "f32[32, 1]"}
  batch: 8
train:
  max: 2 epochs
  loss: mse_loss(out, y)
  optimizer: SGD(lr=0.1)
  log: every 1 step
)";

}  // namespace

TEST_SUITE_BEGIN("run");

TEST_CASE("a loss that is NaN stops the run and names the module") {
  const Project p(kNanConfig);
  const run::TrainResult r = p.train("r");
  CHECK(r.exit_code == 5);
  CHECK(r.outcome.reason == train::Reason::diverged);
  CHECK(contains(r.outcome.message, "in step 1"));
  CHECK(contains(r.outcome.message, "enc (Encoder): its output"));
  CHECK(value_of(p.text("r", "status.json"), "state") == "\"failed\"");
  CHECK(value_of(events(p.text("r", "events.jsonl"), "end")[0], "reason") == "\"diverged\"");
  CHECK(p.last("r").global_step == 0);
}

TEST_CASE("nan: skip leaves the weights, nan: ignore does not") {
  const Project p(kNanConfig);
  const run::TrainResult skipped = p.train("skip", {"train.nan=skip"});
  CHECK(skipped.exit_code == 0);
  CHECK(skipped.outcome.at.step == 8);
  const io::Checkpoint c = p.last("skip");
  for (const io::StateEntry& e : c.state_dict)
    for (const double x : e.tensor.to_vector<double>()) CHECK(x == x);
  const std::string log = p.text("skip", "events.jsonl");
  CHECK(events(log, "warning").size() == 8);
  CHECK(contains(p.text("skip", "metrics.csv"), "step,1,0,,nan,"));
  CHECK(value_of(events(log, "step")[0], "loss") == "null");

  const run::TrainResult ignored = p.train("ignore", {"train.nan=ignore"});
  CHECK(ignored.exit_code == 0);
  const std::vector<double> w = p.last("ignore").state_dict[0].tensor.to_vector<double>();
  CHECK(w[0] != w[0]);
}

TEST_CASE("weights that an update made NaN are found, and not saved") {
  std::string text = kNanConfig;
  text.replace(text.find("sqrt(fc(x) - 3)"), 15, "fc(x)");
  const Project p(text);
  // The root of zero has an infinite slope.
  const run::TrainResult r = p.train("r", {"train.loss=mean(sqrt(square(out) * 0))"});
  CHECK(r.exit_code == 5);
  CHECK(r.outcome.at.step == 1);
  CHECK(contains(r.outcome.message, "parameter enc.fc.weight"));
  CHECK(!std::filesystem::exists(p.file("r/checkpoints/last.h5")));
}

TEST_CASE("a buffer that holds -inf from the start is a mask, and no divergence") {
  std::string text = kNanConfig;
  text.replace(text.find("sqrt(fc(x) - 3)"), 15, "fc(x) @ softmax(mask + 0, dim=1)");
  text.replace(text.find("      fc: Linear(4, 4)\n"), 23,
               "      fc: Linear(4, 4)\n    buffers:\n      mask: triu(full([4, 4], -inf), 1)\n"
               "      seen: zeros(1)\n");
  const Project p(text);
  const run::TrainResult r = p.train("r");
  CHECK(r.exit_code == 0);
  CHECK(p.last("r").global_step == 8);

  // One that was finite tells that something is wrong.
  std::string counting = text;
  counting.insert(counting.find("      - return fc(x)"), "      - self.seen = seen + inf\n");
  const Project q(counting);
  const run::TrainResult bad = q.train("r");
  CHECK(bad.exit_code == 5);
  CHECK(contains(bad.outcome.message, "buffer enc.seen: 1 non-finite value"));
}

TEST_CASE("a rule that stops says what it found, whatever became of the buffers") {
  std::string text = kNanConfig;
  text.replace(text.find("sqrt(fc(x) - 3)"), 15, "norm(fc(x) / 0)");
  text.replace(text.find("      fc: Linear(4, 4)\n"), 23,
               "      fc: Linear(4, 4)\n      norm: BatchNorm1d(4)\n");
  text += "hooks:\n  - {name: guard, on: forward, at: enc.norm, rule: nonfinite, action: stop}\n";
  const Project p(text);
  const run::TrainResult r = p.train("r");
  CHECK(r.exit_code == 5);
  CHECK(r.outcome.reason == train::Reason::rule);
  CHECK(contains(r.outcome.message, "hook `guard`: nonfinite: enc.norm/output"));
}

TEST_SUITE_END();
