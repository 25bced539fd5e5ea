// What a verb may be pointed at, and what evaluation and prediction make of it.
#include <doctest/doctest.h>

#include <filesystem>

#include "nnm/autograd/node.h"
#include "nnm/data/file.h"
#include "nnm/io/h5.h"
#include "nnm/ops/ops.h"
#include "nnm/run/evaluate.h"
#include "run/project.h"

using namespace nnm;
using namespace nnm::run::testing;

namespace {

constexpr const char* kSourcesConfig = R"(nnm: 1
model:
  Sequential:
    - Linear(6, 3)
data:
  train:
    random: {x: "f32[30, 6]", y: "i64[30] < 3"}
  test:
    random: {x: "f32[11, 6]", y: "i64[11] < 3"}
    seed: 5
  batch: 4
train:
  max: 2 epochs
  loss: cross_entropy(out, y)
  metrics:
    acc: accuracy(out, y)
  optimizer: Adam()
eval:
  metrics:
    top2: top_k_accuracy(out, y, k=2)
)";

run::SessionOptions evaluation(const std::string& split = "") {
  run::SessionOptions s;
  s.check.evaluation = true;
  s.check.split = split;
  return s;
}

}  // namespace

TEST_SUITE_BEGIN("run");

TEST_CASE("configs, checkpoints and runs are sources") {
  const Project p(kSourcesConfig);
  p.train("r", {"train.seed=9"});
  const run::Source config = run::open_source(p.file("c.yaml"));
  CHECK(config.checkpoint == "");
  const run::Source folder = run::open_source(p.file("r"));
  CHECK(folder.checkpoint == p.file("r/checkpoints/last.h5"));
  CHECK(folder.run == p.file("r"));
  CHECK(folder.config.text() == kSourcesConfig);
  CHECK(folder.config.overrides() == std::vector<std::string>{"train.seed=9"});
  const run::Source file = run::open_source(p.file("r/checkpoints/step-00000016.h5"));
  CHECK(file.run == p.file("r"));
  CHECK(contains(diagnosed([&] { run::open_source(p.file("none.h5")); }), "no such file"));
  CHECK(!diagnosed([&] { run::open_source(p.file("none.yaml")); }).empty());

  CHECK(run::resolve_weights(file, {}) == p.file("r/checkpoints/step-00000016.h5"));
  CHECK(run::resolve_weights(file, {.fresh = true}) == "");
  CHECK(run::resolve_weights(config, {.weights = p.file("r")}) == p.file("r/checkpoints/last.h5"));
  CHECK(contains(diagnosed([&] { run::resolve_weights(config, {}); }), "no weights"));
}

TEST_CASE("evaluation is the mean over samples") {
  const Project p(kSourcesConfig);
  p.train("r");
  const run::Source source = run::open_source(p.file("r"));
  run::Session session(source, evaluation());
  session.load_weights(run::resolve_weights(source, {}));
  const train::EvalEvent e = run::evaluate(session);
  CHECK(e.split == "test");
  CHECK(e.samples == 11);
  REQUIRE(e.metrics.size() == 2);
  const train::EvalEvent whole = run::evaluate(session, 11);
  CHECK(e.loss == doctest::Approx(whole.loss).epsilon(1e-6));
  CHECK(e.metrics[0].second == doctest::Approx(whole.metrics[0].second).epsilon(1e-6));
  CHECK(e.metrics[1].first == "top2");
  CHECK(e.metrics[1].second >= e.metrics[0].second);

  const std::vector<std::string>& metrics = session.objective().metrics();
  const std::vector<std::string> texts = {"loss > 0 and test.acc <= 1", "acc > 1", "test.acc > 1"};
  CHECK(run::Conditions(texts, metrics, "test").failed(e) ==
        std::vector<std::string>{"acc > 1", "test.acc > 1"});
  CHECK(contains(diagnosed([&] { run::Conditions({"accc > 1"}, metrics, "test"); }), "acc"));
  CHECK(contains(diagnosed([&] { run::Conditions({"acc"}, metrics, "test"); }), "no condition"));
  CHECK(contains(diagnosed([&] { run::Session(source, evaluation("tset")); }), "test"));
}

TEST_CASE("predictions hold the outputs of all samples in order") {
  const Project p(kSourcesConfig);
  p.train("r");
  const run::Source source = run::open_source(p.file("r"));
  run::Session session(source, evaluation());
  session.load_weights(run::resolve_weights(source, {}));
  Generator g(4);
  const Tensor x = randn({9, 6}, {}, &g);
  {
    io::H5Writer file(p.file("x.h5"));
    file.tensor("/x", x);
    file.close();
  }
  const run::Prediction out =
      run::predict(session, {.input = p.file("x.h5"), .output = p.file("y.h5"), .batch = 4});
  CHECK(out.samples == 9);
  REQUIRE(out.outputs.size() == 1);
  CHECK(out.outputs[0].first == "out");
  const NoGradGuard no_grad;
  const Tensor expected = (*session.model())(x);
  const Ref<data::DataFile> y = data::DataFile::open(p.file("y.h5"));
  CHECK(allclose(y->read("out"), expected));

  data::write_npy(p.file("x.npy"), x);
  run::predict(session, {.input = p.file("x.npy"), .output = p.file("y.csv")});
  CHECK(lines(slurp(p.file("y.csv"))).size() == 10);
  const auto to_nowhere = [&] {
    run::predict(session, {.input = p.file("x.npy"), .output = p.file("none/y.h5")});
  };
  CHECK(contains(diagnosed(to_nowhere), "cannot write"));
  const auto from_text = [&] {
    run::predict(session, {.input = p.file("none.npy"), .output = p.file("y.h5")});
  };
  CHECK(contains(diagnosed(from_text), "none.npy"));
}

TEST_CASE("weights: strict, partial, averaged") {
  const Project p(kSourcesConfig);
  p.train("r", {"train.ema=0.5"});
  const std::string file = p.file("r/checkpoints/last.h5");
  run::Session session(run::open_source(p.file("c.yaml")), evaluation());
  session.load_weights(file, false, true);
  const io::Checkpoint c = p.last("r");
  CHECK(io::testing::same_bits(c.ema[0].tensor, session.model()->parameters()[0].detach()));
  CHECK(!io::testing::same_bits(c.ema[0].tensor, c.state_dict[0].tensor));

  std::string text = kSourcesConfig;
  text.insert(text.find("data:"), "    - Linear(3, 3)\n");
  spill(p.file("wide.yaml"), text);
  run::Session wider(run::open_source(p.file("wide.yaml")), evaluation());
  CHECK(contains(diagnosed([&] { wider.load_weights(file); }), "1.weight"));
  wider.load_weights(file, true);
  CHECK(io::testing::same_bits(c.state_dict[0].tensor, wider.model()->parameters()[0].detach()));
}

TEST_SUITE_END();
