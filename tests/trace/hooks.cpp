// Captures and rules of a config at work on a model.
#include "nnm/trace/hooks.h"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "io/temp.h"
#include "nnm/autograd/node.h"
#include "nnm/lang/model.h"
#include "nnm/ops/ops.h"
#include "nnm/trace/earlier.h"
#include "support/checks.h"

using namespace nnm;
using namespace nnm::tracing;
using nnm::testing::doubles;

namespace {

const std::string kModel = R"(nnm: 1
model:
  Sequential:
    fc1: Linear(2, 4)
    act: ReLU()
    fc2: Linear(4, 1)
)";

struct Trial {
  lang::Config config;
  Ref<Module> model;
  std::unique_ptr<Hooks> hooks;
  std::vector<Finding> found;

  explicit Trial(const std::string& text, const std::string& model_text = kModel)
      : config(lang::Config::from_text(model_text + "hooks:\n" + text, "h.yaml")),
        model(lang::build_model(config, {.dtype = DType::f64, .seed = 1}).module) {
    Diagnostics d;
    std::vector<Hook> read = read_hooks(config, d);
    d.throw_if_errors();
    hooks = std::make_unique<Hooks>(*model, std::move(read));
    hooks->drive();
    hooks->speak([this](const Finding& f) { found.push_back(f); });
  }
  void step(int64_t n, const Tensor& x, double loss = 1) {
    model->zero_grad();
    hooks->begin({.step = n});
    const Tensor y = (*model)(x);
    sum(y * y).backward();
    hooks->end();
    hooks->step_done(loss);
  }
  io::TraceHeader header() const {
    io::TraceHeader h;
    h.hooks = hooks_text(hooks->list());
    hooks->captures().describe(h);
    return h;
  }
};

const Tensor kInput = doubles({1, 2, 3, 1}, {2, 2});

std::string refusal(const std::string& hooks) {
  try {
    const Trial t(hooks);
  } catch (const DiagnosticError& e) {
    const Diagnostic& d = e.diagnostics.all().front();
    return d.code + ": " + d.message + " | " + d.help;
  }
  return "accepted";
}

/// Rules that are broken in steps of the same input.
std::vector<Finding> findings(const std::string& hooks, int steps = 1,
                              const std::string& model = kModel) {
  Trial t(hooks, model);
  for (int i = 0; i < steps; ++i) t.step(i, kInput);
  return t.found;
}

}  // namespace

TEST_CASE("captures: several side by side in one file") {
  const io::testing::TempDir dir;
  Trial t(
      "  - {on: forward, at: Linear, capture: {reduce: [mean, histogram]}, when: {every: 2}}\n"
      "  - {name: g, on: full_backward, at: fc2, capture: {reduce: l2, tensor: full}}\n"
      "  - {on: forward, at: fc1, capture: {reduce: [absmax], what: [input, weight]}}\n"
      "  - {on: tensor, at: fc1.bias, capture: {reduce: max}}\n");
  const io::TraceHeader header = t.header();
  CHECK(header.stats.size() == 4);
  io::TraceWriter writer(dir / "t.h5", header);
  t.hooks->captures().record_into(writer, header);
  for (int i = 0; i < 3; ++i) t.step(i, kInput);
  t.hooks->captures().stop();
  t.step(3, kInput);
  writer.close();
  CHECK(t.hooks->silent(true).empty());

  const io::TraceReader trace(dir / "t.h5");
  CHECK(trace.steps().size() == 3);
  const std::vector<io::TraceSite> sites = trace.sites();
  const std::vector<double> values = trace.values().to_vector<double>();
  const auto at = [&](size_t step, const std::string& module, const std::string& what,
                      const std::string& arg, size_t stat) {
    for (size_t s = 0; s < sites.size(); ++s)
      if (sites[s].module == module && sites[s].what == what && sites[s].arg == arg)
        return values[(step * sites.size() + s) * 4 + stat];
    FAIL("no such site");
    return 0.0;
  };
  const Tensor out = (*t.model->child("fc1"))(kInput);
  CHECK(at(0, "fc1", "output", "0", 0) == doctest::Approx(mean(out).item().d));
  CHECK(std::isnan(at(1, "fc1", "output", "0", 0)));
  CHECK(at(2, "fc1", "output", "0", 0) == at(0, "fc1", "output", "0", 0));
  CHECK(at(1, "fc1", "input", "0", 2) == 3);
  CHECK(at(1, "fc1", "weight", "weight", 2) ==
        amax(abs(t.model->get_parameter("fc1.weight"))).item().d);
  CHECK(at(1, "fc1", "weight_grad", "bias", 3) ==
        amax(t.model->get_parameter("fc1.bias").grad()).item().d);
  CHECK(at(1, "fc2", "grad_output", "0", 1) > 0);
  // Two captures of fc1's forward are one call.
  int64_t calls = 0;
  for (const auto& c : trace.calls())
    calls += c.step == 0 && c.module == "fc1" && c.hook == "forward";
  CHECK(calls == 1);
  CHECK(trace.records().size() == 2);
  CHECK(trace.hooks().find("reduce: [mean, histogram]") != std::string::npos);
}

// A call is told once, whoever captures it; the hooks of its tensors are told each.
TEST_CASE("captures: side by side, hooks of several tensors stay several") {
  const std::string model = R"yaml(nnm: 1
define:
  Two:
    modules: {fc: "Linear(2, 2)"}
    inputs: {x: "f64[B, 2]"}
    forward:
      - y = fc(x)
      - return y, y * 2
  Net:
    modules: {two: Two()}
    inputs: {x: "f64[B, 2]"}
    forward:
      - a, b = two(x)
      - return a + b
model: Net()
)yaml";
  const auto calls = [&](const std::string& hooks) {
    const io::testing::TempDir dir;
    Trial t(hooks, model);
    const io::TraceHeader header = t.header();
    io::TraceWriter writer(dir / "t.h5", header);
    t.hooks->captures().record_into(writer, header);
    t.step(0, kInput);
    writer.close();
    std::vector<std::string> out;
    for (const auto& c : io::TraceReader(dir / "t.h5").calls())
      out.push_back(c.hook + " " + c.module);
    return out;
  };
  const std::string leaves =
      "  - {on: post_accumulate_grad, at: two.fc, capture: {reduce: [l2]}}\n";
  const std::vector<std::string> twice(2, "post_accumulate_grad two.fc");
  CHECK(calls(leaves) == twice);
  CHECK(calls(leaves + leaves) == twice);
  CHECK(calls("  - {on: post_accumulate_grad, at: two.fc.weight, capture: {reduce: [l2]}}\n"
              "  - {on: post_accumulate_grad, at: two.fc.bias, capture: {reduce: [l2]}}\n") ==
        twice);
  const std::string outputs =
      "  - {on: tensor, at: two, arg: all, capture: {what: grad_output, reduce: [l2]}}\n";
  CHECK(calls(outputs + outputs) == std::vector<std::string>(2, "tensor two"));
}

TEST_CASE("captures: results are the same with and without") {
  const auto trained = [](const std::string& hooks) {
    const io::testing::TempDir dir;
    Trial t(hooks);
    const io::TraceHeader header = t.header();
    io::TraceWriter writer(dir / "t.h5", header);
    t.hooks->captures().record_into(writer, header);
    for (int i = 0; i < 5; ++i) {
      t.step(i, kInput);
      const NoGradGuard no_grad;
      for (Tensor p : t.model->parameters()) copy_(p, p - p.grad() * Scalar(0.01));
    }
    std::vector<double> out;
    for (const Tensor& p : t.model->parameters())
      for (double x : p.to_vector<double>()) out.push_back(x);
    return out;
  };
  const auto plain = trained("  - {on: forward, at: fc2, output: output * 1}\n");
  CHECK(plain ==
        trained("  - {on: [forward_pre, forward, full_backward_pre, full_backward, tensor, "
                "post_accumulate_grad], at: \"**\", arg: all, capture: {tensor: full}}\n"
                "  - {rule: nonfinite}\n  - {rule: vanishing_gradient}\n"
                "  - {rule: weight_update_ratio}\n"));
}

TEST_CASE("captures: sums of gradients are rounded in the order in which they are without") {
  // h reaches the loss by itself and through three consumers within each block.
  const std::string model = R"yaml(nnm: 1
define:
  Block:
    modules: {q: "Linear(6, 6)", k: "Linear(6, 6)", v: "Linear(6, 6)"}
    inputs: {x: "f32[B, 6]"}
    forward:
      - return q(x) * k(x) + v(x)
  Net:
    modules: {first: "Linear(2, 6)", a: Block(), b: Block(), last: "Linear(6, 1)"}
    inputs: {x: "f32[B, 2]"}
    forward:
      - h = first(x)
      - h = h + a(h) + b(h)
      - return last(h + b(h))
model: Net()
)yaml";
  const auto gradients = [&](const std::string& hooks) {
    const lang::Config config = lang::Config::from_text(model + hooks, "h.yaml");
    const Ref<Module> net = lang::build_model(config, {.seed = 3}).module;
    Diagnostics d;
    Hooks all(*net, read_hooks(config, d));
    d.throw_if_errors();
    const io::testing::TempDir dir;
    io::TraceHeader header;
    all.captures().describe(header);
    io::TraceWriter writer(dir / "t.h5", header);
    all.captures().record_into(writer, header);
    all.drive();
    std::vector<float> out;
    for (int64_t step = 0; step < 4; ++step) {
      net->zero_grad();
      all.begin({.step = step});
      const Tensor y =
          (*net)(to(kInput, DType::f32) * Scalar(0.37 * static_cast<double>(step + 1)));
      sum(y * y).backward();
      all.end();
      for (const Tensor& p : net->parameters())
        for (float g : p.grad().to_vector<float>()) out.push_back(g);
    }
    return out;
  };
  const std::vector<float> plain = gradients("");
  for (const char* kind : {"full_backward", "full_backward_pre", "tensor", "forward"}) {
    CAPTURE(kind);
    CHECK(plain == gradients(fmt::format("hooks:\n  - {{on: {}, at: \"**\", arg: all, capture: "
                                         "{{reduce: [mean]}}}}\n  - {{on: {}, at: \"**\", rule: "
                                         "nonfinite}}\n",
                                         kind, kind)));
  }
}

TEST_CASE("captures: one argument, one call, in the order of the list") {
  const io::testing::TempDir dir;
  Trial t(
      "  - {on: forward, at: fc2, capture: {reduce: [mean]}}\n"
      "  - {on: forward, at: fc2, output: output * 0}\n"
      "  - {on: forward, at: fc2, capture: {reduce: [max]}}\n"
      "  - {on: forward, at: fc2, call: 1, capture: {reduce: [min]}}\n");
  const io::TraceHeader header = t.header();
  io::TraceWriter writer(dir / "t.h5", header);
  t.hooks->captures().record_into(writer, header);
  t.step(0, kInput);
  t.hooks->captures().stop();
  writer.close();
  const std::vector<double> v = io::TraceReader(dir / "t.h5").values().to_vector<double>();
  REQUIRE(v.size() == 3);
  CHECK(v[0] != 0);
  CHECK(v[1] == 0);
  CHECK(std::isnan(v[2]));
  CHECK(t.hooks->silent(true).size() == 1);
}

TEST_CASE("captures: of gradients, before a change and behind it") {
  const io::testing::TempDir dir;
  // As PyTorch has it: hooks of one kind run in the order in which they were registered.
  Trial t(
      "  - {on: full_backward, at: fc2, capture: {what: [grad_input], reduce: [mean]}}\n"
      "  - {on: full_backward_pre, at: fc2, capture: {reduce: [max]}}\n"
      "  - {on: full_backward, at: fc2, grad_input: grad_input * 0}\n"
      "  - {on: full_backward_pre, at: fc2, grad_output: grad_output * 3}\n"
      "  - {on: full_backward, at: fc2, capture: {what: [grad_input], reduce: [min]}}\n"
      "  - {on: full_backward_pre, at: fc2, capture: {reduce: [sum]}}\n"
      "  - {on: full_backward, at: fc2, capture: {what: [grad_input], reduce: [l2]}, prepend: "
      "true}\n");
  const io::TraceHeader header = t.header();
  io::TraceWriter writer(dir / "t.h5", header);
  t.hooks->captures().record_into(writer, header);
  t.step(0, kInput);
  t.step(1, kInput);
  t.hooks->captures().stop();
  writer.close();
  const io::TraceReader trace(dir / "t.h5");
  const std::vector<double> v = trace.values().to_vector<double>();
  const std::vector<io::TraceSite> sites = trace.sites();
  REQUIRE(sites.size() == 2);
  const size_t out = sites[0].what == "grad_output" ? 0 : 1, in = 1 - out;
  // mean max min sum l2
  for (size_t step : {0, 1}) {
    const double* row = v.data() + step * 2 * 5;
    CHECK(row[out * 5 + 1] != 0);
    CHECK(row[in * 5 + 0] != 0);
    CHECK(row[in * 5 + 2] == 0);
    CHECK(row[in * 5 + 4] != 0);
  }
  const Tensor y = (*t.model)(kInput);
  const std::vector<double> grads = (y * 2.0).to_vector<double>();
  CHECK(v[out * 5 + 1] == std::max(grads[0], grads[1]));
  CHECK(v[out * 5 + 3] == doctest::Approx(3 * (grads[0] + grads[1])));
}

TEST_CASE("captures: a run that goes on keeps what it has") {
  const io::testing::TempDir dir;
  const std::string path = dir / "t.h5";
  const auto part = [&](const std::string& hooks, int from, int to, bool finish) {
    Trial t(hooks);
    io::TraceHeader header = t.header();
    EarlierTrace earlier(from > 0 ? path : "");
    if (earlier) earlier.extend(header);
    auto writer = std::make_unique<io::TraceWriter>(path, header);
    if (earlier) earlier.copy(*writer, header, from);
    t.hooks->captures().record_into(*writer, header);
    for (int i = from; i < to; ++i) t.step(i, kInput * Scalar(i + 1));
    t.hooks->captures().stop();
    if (finish) writer->close();
    else writer->flush();
  };
  const std::string forward =
      "  - {on: forward, at: fc1, capture: {reduce: [mean, histogram], tensor: full}}\n";
  part(forward, 0, 4, false);  // dies in step 4, its checkpoint is of step 3
  // One that dies while it takes that over, before anything of its own is on the disk.
  std::filesystem::rename(path + ".part", path + ".old");
  std::ofstream(path + ".part", std::ios::binary) << std::string(3540, '\0');
  part(forward, 3, 5, true);
  CHECK(dir.names() == std::vector<std::string>{"t.h5"});
  // More is captured from here on.
  part(forward + "  - {on: forward, at: fc2, capture: {reduce: [max]}}\n", 5, 6, true);
  const io::TraceReader trace(path);
  const std::vector<io::TraceStep> steps = trace.steps();
  REQUIRE(steps.size() == 6);
  for (size_t i = 0; i < 6; ++i) CHECK(steps[i].step == static_cast<int64_t>(i));
  CHECK(trace.stats().size() == 2);
  CHECK(trace.sites().size() == 2);
  REQUIRE(trace.records().size() == 1);
  CHECK(trace.records()[0].step == std::vector<int64_t>{0, 1, 2, 3, 4, 5});
  CHECK(trace.calls().size() == 7);
  const std::vector<double> v = trace.values().to_vector<double>();
  Trial again(forward);
  for (size_t i = 0; i < 6; ++i) {
    const Tensor out = (*again.model->child("fc1"))(kInput * Scalar(static_cast<int64_t>(i) + 1));
    CHECK(v[(i * 2) * 2] == doctest::Approx(mean(out).item().d));
    CHECK(std::isnan(v[(i * 2 + 1) * 2 + 1]) == (i < 5));
    CHECK(allclose(trace.tensor(trace.records()[0], "0", static_cast<int64_t>(i)), out));
  }
  const std::vector<int64_t> bins = trace.histograms().to_vector<int64_t>();
  int64_t counted = 0;
  for (int64_t n : bins) counted += n;
  CHECK(counted == 6 * 8);
}

TEST_CASE("rules: what breaks them") {
  CHECK(findings("  - {rule: nonfinite}\n").empty());
  const auto bad = findings(
      "  - {on: forward, at: fc1, output: output / 0}\n  - {name: guard, rule: nonfinite}\n");
  REQUIRE(bad.size() == 4);
  CHECK(bad[0].module == "fc1");
  CHECK(bad[0].hook == "guard");
  CHECK(bad[0].value == 8);
  CHECK(bad[0].nonfinite);

  CHECK(findings("  - {rule: exploding_tensor, at: fc1}\n").empty());
  CHECK(findings("  - {rule: exploding_tensor, at: fc1, threshold: 0.01}\n").size() == 1);
  CHECK(findings("  - {rule: vanishing_gradient, at: fc2}\n").empty());
  // grad_output of fc2 alone: grad_input of zero weights is zero, too.
  CHECK(findings("  - {on: full_backward_pre, at: fc2, rule: vanishing_gradient(threshold=1e9)}\n")
            .size() == 1);
  CHECK(findings("  - {on: tensor, at: fc2.output, grad: grad * 1e-12}\n"
                 "  - {on: post_accumulate_grad, at: Linear, rule: vanishing_gradient}\n")
            .size() == 4);

  CHECK(findings("  - {rule: dead_relu}\n").size() <= 1);
  CHECK(findings("  - {on: forward, at: fc1, output: -abs(output)}\n  - {rule: dead_relu}\n")
            .size() == 1);
  const auto dead = findings(
      "  - {on: forward, at: fc1, output: \"cat([-abs(output[:, :3]), abs(output[:, 3:])], 1)\"}\n"
      "  - {rule: dead_relu(threshold_layer=70)}\n");
  REQUIRE(dead.size() == 1);
  CHECK(dead[0].value == 75);
  CHECK(dead[0].text == "3 of 4 neurons are dead (75 %)");

  CHECK(findings("  - {on: forward, at: fc1, output: output * 0}\n"
                 "  - {rule: all_zero, at: fc1}\n")
            .size() == 1);
  CHECK(findings("  - {rule: all_zero, at: fc1}\n").empty());
}

TEST_CASE("rules: over several steps") {
  CHECK(findings("  - {rule: unchanged_tensor, at: fc1}\n", 3).empty());
  CHECK(findings("  - {rule: unchanged_tensor, at: fc1}\n", 9).size() == 1);
  CHECK(findings("  - {on: post_accumulate_grad, at: fc1.weight, rule: unchanged_tensor}\n", 3)
            .size() == 1);
  // Nothing updates the weights here.
  const auto ratio = findings("  - {rule: weight_update_ratio, at: fc2}\n");
  REQUIRE(ratio.size() == 2);
  CHECK(ratio[0].what == "weight");
  CHECK(ratio[0].arg == "weight");
  CHECK(ratio[0].threshold == 1e-8);
  CHECK(findings("  - {rule: loss_not_decreasing}\n", 19).empty());
  CHECK(findings("  - {rule: loss_not_decreasing}\n", 20).size() == 1);
  CHECK(findings("  - {rule: exploding_tensor(0.01), at: fc1, patience: 3}\n", 2).empty());
  CHECK(findings("  - {rule: exploding_tensor(0.01), at: fc1, patience: 3}\n", 9).size() == 1);
  CHECK(findings("  - {rule: exploding_tensor(0.01), at: fc1, when: {start: 4, every: 2}}\n", 4)
            .empty());
  CHECK(findings("  - {rule: exploding_tensor(0.01), at: fc1, when: {start: 4, every: 2}}\n", 5)
            .size() == 1);
}

TEST_CASE("rules: what they remember goes on") {
  const std::string hooks =
      "  - {name: still, on: forward, at: act, rule: unchanged_tensor, patience: 4}\n"
      "  - {name: grads, on: full_backward, at: fc2, rule: all_zero, patience: 3}\n"
      "  - {name: loss, rule: loss_not_decreasing(num_steps=3)}\n"
      "  - {name: large, on: forward, at: fc1, rule: exploding_tensor(threshold=0), patience: 6}\n"
      "  - {name: early, on: forward, at: fc1, capture: {reduce: mean}, when: {stop: 2}}\n";
  const auto step = [](Trial& t, int i) {
    t.step(i, i < 7 ? kInput : kInput * Scalar(i), i == 5 ? 1.0 : 2.0);
  };
  const auto text = [](const Trial& t) {
    std::string out;
    for (const Finding& f : t.found) out += f.message() + "\n";
    return out;
  };
  Trial whole(hooks);
  for (int i = 0; i < 12; ++i) step(whole, i);
  for (int half = 1; half < 12; ++half) {
    CAPTURE(half);
    Trial first(hooks), second(hooks);
    for (int i = 0; i < half; ++i) step(first, i);
    const std::string told = text(first);
    // A step that does not come to its end is taken once more.
    first.hooks->begin({.step = half});
    (*first.model)(kInput);
    first.hooks->end();
    second.hooks->remember(first.hooks->memory());
    for (int i = half; i < 12; ++i) step(second, i);
    CHECK(text(whole) == told + text(second));
  }
  CHECK(whole.found.size() == 3);
}

TEST_CASE("rules: what stopped a run stops it again, and hooks that were changed begin anew") {
  const std::string hook = "  - {on: forward, at: fc1, rule: exploding_tensor(threshold=0), ";
  const auto steps = [](Trial& t, int n) {
    for (int i = 0; i < n; ++i) t.step(i, kInput);
    return t.hooks->stopped().has_value();
  };
  Trial first(hook + "patience: 3, action: stop}\n");
  CHECK(steps(first, 3));
  const Items memory = first.hooks->memory();
  Trial same(hook + "patience: 3, action: stop}\n");
  same.hooks->remember(memory);
  CHECK(steps(same, 1));
  Trial other(hook + "patience: 2, action: stop}\n");
  other.hooks->remember(memory);
  CHECK_FALSE(steps(other, 1));
  CHECK(steps(other, 2));
}

TEST_CASE("rules: saturated activations") {
  const std::string tanh = R"(nnm: 1
model:
  Sequential:
    fc1: Linear(2, 4)
    act: Tanh()
)";
  CHECK(findings("  - {rule: saturated_activation}\n", 1, tanh).empty());
  CHECK(findings("  - {on: forward, at: fc1, output: output * 1000}\n"
                 "  - {rule: saturated_activation}\n",
                 1, tanh)
            .size() == 1);
  CHECK(refusal("  - {rule: saturated_activation, at: fc1}\n") ==
        "E0335: hook `forward at fc1`: saturated_activation does not know the range of Linear | "
        "give it: saturated_activation(low=0, high=6)");
}

TEST_CASE("rules: stops and checkpoints are asked for") {
  Trial t(
      "  - {rule: exploding_tensor(0.01), at: fc1, action: checkpoint}\n"
      "  - {name: s, rule: exploding_tensor(0.01), at: fc2, action: stop, patience: 2}\n");
  t.step(0, kInput);
  CHECK(t.hooks->take_checkpoint());
  CHECK_FALSE(t.hooks->take_checkpoint());
  CHECK_FALSE(t.hooks->stopped());
  t.step(1, kInput);
  REQUIRE(t.hooks->stopped());
  CHECK(t.hooks->stopped()->hook == "s");
  CHECK(t.hooks->stopped()->message().find("exploding_tensor: fc2/output: ") != std::string::npos);
}

TEST_CASE("hooks: what cannot be says why") {
  CHECK(refusal("  - {on: forward, at: fc1, capture: {what: [grad_output]}}\n") ==
        "E0333: `grad_output` does not come with forward | it comes with full_backward_pre, "
        "full_backward, tensor");
  CHECK(refusal("  - {on: forward, at: fc1, capture: {reduce: [maen]}}\n") ==
        "E0333: unknown statistic `maen` | did you mean `mean`?");
  CHECK(refusal("  - {on: forward, at: fc1, capture: {reduce: none}}\n").starts_with("E0333"));
  CHECK(refusal("  - {on: forward, at: fc9, capture: {}}\n").starts_with("E0334"));
  CHECK(refusal("  - {on: forward, at: fc9, capture: {}, optional: true}\n") == "accepted");
  CHECK(refusal("  - {rule: dead_rleu}\n") ==
        "E0335: unknown rule `dead_rleu` | did you mean `dead_relu`?");
  CHECK(refusal("  - {rule: dead_relu(treshold_layer=3)}\n").starts_with("E0335"));
  CHECK(refusal("  - {rule: nonfinite, threshold: 3}\n").starts_with("E0335"));
  CHECK(refusal("  - {rule: dead_relu, patience: 0}\n").starts_with("E0332"));
  for (const char* every : {"1e30", "2.5", "0", "-3", "3 epochs"})
    CHECK(refusal(fmt::format("  - {{rule: nonfinite, when: {{every: {}}}}}\n", every))
              .starts_with("E0332: `when.every`"));
  CHECK(refusal("  - {rule: nonfinite, when: {every: 20e1}}\n") == "accepted");
  CHECK(refusal("  - {rule: nonfinite, when: {start: 5 steps, stop: 6 steps}}\n") == "accepted");
  CHECK(refusal("  - {rule: nonfinite, when: {start: 5, stop: 5}}\n") ==
        "E0332: the hook stops before it starts | `start` is the first step that it acts in, "
        "`stop` the first one behind them");
  CHECK(refusal("  - {on: backward, at: fc1, grad_input: grad_input, always_call: true}\n") ==
        "E0332: a full_backward hook has no `always_call` | forward hooks have it");
  CHECK(refusal("  - {on: forward, at: fc1, output: output, arg: -1}\n").starts_with("E0332"));
  CHECK(refusal("  - {rule: loss_not_decreasing, at: fc1}\n") ==
        "E0335: loss_not_decreasing is about the loss: `at` says nothing | leave it out");
  CHECK(refusal("  - {rule: weight_update_ratio, at: fc1}\n") == "accepted");
  CHECK(refusal("  - {rule: weight_update_ratio, on: forward}\n").starts_with("E0335"));
  CHECK(refusal("  - {name: a, rule: nonfinite}\n  - {name: a, rule: nonfinite}\n") ==
        "E0332: two hooks are called `a` | names are what --set and messages tell hooks apart by");
}

TEST_CASE("hooks: the normalised list reads back as itself") {
  const std::string text =
      "  - {on: backward, at: \"fc1, fc2\", grad_input: 'grad_input * 2', when: {every: 5 steps, "
      "mode: train}, call: 1}\n"
      "  - {on: [forward, backward], at: Linear, capture: {what: [output], tensor: "
      "\"slice:0:4\"}}\n"
      "  - {name: r, rule: dead_relu(40), action: stop, patience: 2, when: {start: 3}}\n"
      "  - {name: off, rule: nonfinite, enabled: false}\n";
  const Trial t(text);
  const std::string once = hooks_text(t.hooks->list());
  CHECK(std::count(once.begin(), once.end(), '\n') == 3);
  CHECK(once.find("on: [full_backward]") != std::string::npos);
  const lang::Config again = lang::Config::from_text(kModel + "hooks:\n" + once, "h.yaml");
  Diagnostics d;
  CHECK(hooks_text(read_hooks(again, d)) == once);
  CHECK_FALSE(d.has_errors());
}
