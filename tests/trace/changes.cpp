// Hooks of a config against the same hooks registered in PyTorch 2.13.
#include "nnm/trace/hooks.h"

#include <doctest/doctest.h>

#include "nnm/autograd/node.h"
#include "nnm/lang/model.h"
#include "nnm/ops/ops.h"
#include "support/checks.h"

using namespace nnm;
using namespace nnm::tracing;
using nnm::testing::doubles;

namespace {

const std::string kChangedModel = R"(nnm: 1
model:
  Sequential:
    fc1: Linear(2, 2)
    act: ReLU()
    fc2: Linear(2, 1)
)";

struct ChangeTrial {
  lang::Config config;
  Ref<Module> model;
  std::unique_ptr<Hooks> hooks;

  explicit ChangeTrial(const std::string& hooks)
      : config(lang::Config::from_text(kChangedModel + (hooks.empty() ? "" : "hooks:\n" + hooks),
                                       "h.yaml")),
        model(lang::build_model(config, {.dtype = DType::f64}).module) {
    const NoGradGuard no_grad;
    copy_(model->get_parameter("fc1.weight"), doubles({1, 2, 3, -1}, {2, 2}));
    fill_(model->get_parameter("fc1.bias"), 0.5);
    copy_(model->get_parameter("fc2.weight"), doubles({2, 3}, {1, 2}));
    fill_(model->get_parameter("fc2.bias"), 0.25);
    Diagnostics d;
    std::vector<Hook> read = read_hooks(config, d);
    d.throw_if_errors();
    this->hooks = std::make_unique<Hooks>(*model, std::move(read));
  }

  Tensor output() { return (*model)(doubles({1, 2, 3, 1}, {2, 2})); }
  /// Gradients of fc1.weight, fc1.bias, fc2.weight, fc2.bias, one after the other.
  std::vector<double> gradients() {
    const Tensor y = output();
    sum(y * y).backward();
    std::vector<double> out;
    for (const Tensor& p : model->parameters())
      for (double g : p.grad().to_vector<double>()) out.push_back(g);
    return out;
  }
};

using Doubles = std::vector<double>;

std::string change_refusal(const std::string& hooks) {
  try {
    ChangeTrial t(hooks);
    t.output();
  } catch (const DiagnosticError& e) {
    const Diagnostic& d = e.diagnostics.all().front();
    return d.code + ": " + d.message + " | " + d.help;
  }
  return "accepted";
}

}  // namespace

TEST_CASE("changes: the ways of doubling a gradient differ as PyTorch's do") {
  CHECK(ChangeTrial("").gradients() == Doubles{504, 273, 756, 409.5, 210, 315, 577.5, 672, 105});
  CHECK(ChangeTrial("  - {on: full_backward, at: fc2, grad_input: grad_input * 2}\n").gradients() ==
        Doubles{1008, 546, 1512, 819, 420, 630, 577.5, 672, 105});
  CHECK(ChangeTrial("  - {on: full_backward_pre, at: fc2, grad_output: grad_output * 2}\n")
            .gradients() == Doubles{1008, 546, 1512, 819, 420, 630, 1155, 1344, 210});
  CHECK(ChangeTrial("  - {on: tensor, at: fc1.output, grad: grad * 2}\n").gradients() ==
        Doubles{1008, 546, 1512, 819, 420, 630, 577.5, 672, 105});
  CHECK(ChangeTrial("  - {on: tensor, at: fc1.weight, grad: grad * 2}\n").gradients() ==
        Doubles{1008, 546, 1512, 819, 210, 315, 577.5, 672, 105});
}

TEST_CASE("changes: tensor hooks on what a module takes and gives, and after accumulation") {
  CHECK(ChangeTrial("  - {on: tensor, at: fc2.output, grad: grad * 2}\n").gradients() ==
        Doubles{1008, 546, 1512, 819, 420, 630, 1155, 1344, 210});
  CHECK(ChangeTrial("  - {on: tensor, at: fc2.input, grad: grad * 2}\n").gradients() ==
        Doubles{1008, 546, 1512, 819, 420, 630, 577.5, 672, 105});
  CHECK(
      ChangeTrial("  - {on: post_accumulate_grad, at: fc1.weight, grad: grad * 2}\n").gradients() ==
      Doubles{1008, 546, 1512, 819, 210, 315, 577.5, 672, 105});
}

TEST_CASE("changes: a call of a shared module, forward and backward") {
  const auto gradients = [](const std::string& hook) {
    const lang::Config config = lang::Config::from_text(R"yaml(nnm: 1
define:
  Twice:
    modules: {fc: "Linear(2, 2)"}
    inputs: {x: "f64[B, 2]"}
    forward:
      - return fc(relu(fc(x)))
model: Twice()
hooks:
)yaml" + hook,
                                                        "h.yaml");
    const Ref<Module> model = lang::build_model(config, {.dtype = DType::f64}).module;
    {
      const NoGradGuard no_grad;
      copy_(model->get_parameter("fc.weight"), doubles({1, 2, 3, -1}, {2, 2}));
      fill_(model->get_parameter("fc.bias"), 0.5);
    }
    Diagnostics d;
    const Hooks hooks(*model, read_hooks(config, d));
    d.throw_if_errors();
    Tensor x = doubles({1, 2, 3, 1}, {2, 2});
    x.requires_grad_();
    const Tensor y = (*model)(x);
    sum(y * y).backward();
    Doubles out = model->get_parameter("fc.weight").grad().to_vector<double>();
    for (double g : x.grad().to_vector<double>()) out.push_back(g);
    return out;
  };
  const std::string hook = "  - {on: full_backward, at: fc, grad_input: grad_input * 2, call: ";
  CHECK(gradients(hook + "0}\n") == Doubles{754, 737, 494, 276, 252, 434, 644, 238});
  CHECK(gradients(hook + "1}\n") == Doubles{1156, 1056, 724, 361, 252, 434, 644, 238});
}

TEST_CASE("changes: a call is known by itself, whichever calls the loss is made of") {
  const lang::Config config = lang::Config::from_text(R"yaml(nnm: 1
define:
  Two:
    modules: {fc: "Linear(2, 2)"}
    inputs: {x: "f64[B, 2]"}
    forward:
      - a = fc(x)
      - b = fc(a)
      - return a + 0 * b.detach()
model: Two()
hooks:
  - {name: first, on: full_backward, at: fc, grad_input: grad_input * 2, call: 0}
  - {name: second, on: full_backward_pre, at: fc, grad_output: grad_output * 3, call: 1}
)yaml",
                                                      "h.yaml");
  const Ref<Module> model = lang::build_model(config, {.dtype = DType::f64}).module;
  Diagnostics d;
  const Hooks hooks(*model, read_hooks(config, d));
  d.throw_if_errors();
  Tensor x = doubles({1, 2}, {1, 2});
  x.requires_grad_();
  sum((*model)(x)).backward();
  const Tensor expected = sum(model->get_parameter("fc.weight"), Dims{0}) * 2.0;
  CHECK(allclose(select(x.grad(), 0, 0), expected));
  CHECK(hooks.silent(true) == std::vector<std::string>{"`second` (call: 1)"});
}

TEST_CASE("changes: modules and parameters in one selector") {
  // Each pattern means the modules that it names, else parameters.
  CHECK(ChangeTrial("  - {on: tensor, at: \"fc1, fc2.weight\", grad: grad * 2}\n").gradients() ==
        Doubles{1008, 546, 1512, 819, 420, 630, 1155, 1344, 105});
  CHECK(ChangeTrial("  - {on: tensor, at: \"fc2.weight, fc1\", grad: grad * 2}\n").gradients() ==
        Doubles{1008, 546, 1512, 819, 420, 630, 1155, 1344, 105});
  CHECK(ChangeTrial("  - {on: tensor, at: \"fc1.output, fc2.weight\", grad: grad * 2}\n")
            .gradients() == Doubles{1008, 546, 1512, 819, 420, 630, 1155, 1344, 105});
  // What act gives is what fc2 takes: once by each of the two names.
  CHECK(ChangeTrial("  - {on: tensor, at: \"act.output, fc2.input\", grad: grad * 2}\n")
            .gradients() == ChangeTrial("  - {on: tensor, at: act, grad: grad * 4}\n").gradients());
  CHECK(ChangeTrial("  - {on: post_accumulate_grad, at: \"fc1, fc2.bias\", grad: grad * 2}\n")
            .gradients() == Doubles{1008, 546, 1512, 819, 420, 630, 577.5, 672, 210});
  CHECK(ChangeTrial(
            "  - {on: [tensor, full_backward_pre], at: fc9, optional: true, rule: nonfinite}\n")
            .gradients() == ChangeTrial("").gradients());
}

TEST_CASE("changes: in the order of the list, unless prepended") {
  CHECK(ChangeTrial("  - {on: forward, at: fc2, output: output + 1}\n"
                    "  - {on: forward, at: fc2, output: output * 2}\n")
            .output()
            .to_vector<double>()[0] == 33.5);
  CHECK(ChangeTrial("  - {on: forward, at: fc2, output: output + 1}\n"
                    "  - {on: forward, at: fc2, output: output * 2, prepend: true}\n")
            .output()
            .to_vector<double>()[0] == 32.5);
}

TEST_CASE("changes: named expressions") {
  const auto output = [](const std::string& code) {
    return ChangeTrial("  - {on: forward, at: fc2, output: \"" + code + "\"}\n")
        .output()
        .to_vector<double>();
  };
  CHECK(output("zero(output)") == Doubles{0, 0});
  CHECK(output("zero(output, dim=0, index=[1])") == Doubles{15.75, 0});
  CHECK(output("clamp(output, max=20)") == Doubles{15.75, 20});
  CHECK(output("output + 0 * randn_like(output)") == Doubles{15.75, 36.75});
  CHECK(output("where(output > 20, -output, output)") == Doubles{15.75, -36.75});
}

TEST_CASE("changes: inputs and outputs") {
  ChangeTrial doubled("  - {on: forward_pre, at: fc1, input: input * 2}\n");
  CHECK(doubled.output().to_vector<double>() == Doubles{28.75, 70.75});
  CHECK(doubled.gradients() == Doubles{1928, 1026, 2892, 1539, 398, 597, 2089.5, 2478.5, 199});
  ChangeTrial shifted("  - {on: forward, at: \"{fc1,nothing.*}\", output: output + 10}\n");
  CHECK(shifted.output().to_vector<double>() == Doubles{65.75, 86.75});
  CHECK(ChangeTrial("  - {on: forward, at: Linear, output: output * 0}\n")
            .output()
            .to_vector<double>() == Doubles{0, 0});
}

TEST_CASE("changes: expressions see what PyTorch's hook is given beside the value") {
  ChangeTrial forward(
      "  - {on: forward, at: fc2, output: output + 100 * input.sum(1, keepdim=true)}\n");
  CHECK(forward.output().to_vector<double>() == Doubles{715.75, 1436.75});
  ChangeTrial scaled("  - {on: forward, at: fc1, output: \"output * input.shape[0]\"}\n");
  CHECK(scaled.output().to_vector<double>() == Doubles{31.25, 73.25});
  ChangeTrial backward(
      "  - {on: full_backward, at: fc2, grad_input: 0 * grad_input + grad_output}\n");
  CHECK(backward.gradients() == Doubles{252, 136.5, 252, 136.5, 105, 105, 577.5, 672, 105});
}

TEST_CASE("changes: when, enabled, and what never fired") {
  ChangeTrial t(
      "  - {name: late, on: forward, at: fc2, output: output * 0, when: {start: 2, every: 2 "
      "steps}}\n"
      "  - {name: off, on: forward, at: fc2, output: output * 0, enabled: false}\n");
  Doubles seen;
  t.hooks->drive();
  for (int64_t step = 0; step < 5; ++step) {
    t.hooks->begin({.step = step});
    seen.push_back(t.output().to_vector<double>()[0]);
  }
  CHECK(seen == Doubles{15.75, 15.75, 0, 15.75, 0});
  CHECK(t.hooks->size() == 1);
  CHECK(t.hooks->silent(true).empty());
  ChangeTrial never(
      "  - {name: never, on: forward, at: fc2, output: output * 0, when: {start: 9}}\n");
  never.output();
  CHECK(never.hooks->silent(true) == std::vector<std::string>{"`never` (when: {start: 9})"});
}

TEST_CASE("changes: gone with their owner") {
  ChangeTrial t("  - {on: forward, at: fc2, output: output * 0}\n");
  CHECK(t.output().to_vector<double>()[0] == 0);
  t.hooks.reset();
  CHECK(t.output().to_vector<double>()[0] == 15.75);
}

TEST_CASE("changes: what cannot be says why") {
  CHECK(change_refusal("  - {on: forward, at: fc3, output: output * 0}\n").find("fc") !=
        std::string::npos);
  CHECK(change_refusal("  - {on: forward, at: fc2, output: outputs * 0}\n")
            .find("did you mean `output`?") != std::string::npos);
  CHECK(change_refusal("  - {on: forward, at: fc2, input: input * 0}\n") ==
        "E0331: a forward hook cannot change `input` | it changes `output`");
  CHECK(change_refusal("  - {on: forward, at: fc1, output: \"output[:, :1]\"}\n") ==
        "E0501: hook `forward at fc1`: `output` is f64 [2, 2], and the change gives f64 [2, 1] | a "
        "change keeps shape and dtype, unless the hook says `keep: shape`, `keep: dtype` or `keep: "
        "none`");
}

TEST_CASE("changes: selectors that match nothing are all told, and leave no hook behind") {
  ChangeTrial t("");
  const Doubles before = t.output().to_vector<double>();
  const lang::Config config = lang::Config::from_text(kChangedModel + R"(hooks:
  - {on: forward, at: fc1, output: output * 2}
  - {on: forward, at: fc9, output: output * 2}
  - {on: forward, at: fc8, output: output * 2}
)",
                                                      "h.yaml");
  Diagnostics d;
  std::vector<Hook> read = read_hooks(config, d);
  size_t told = 0;
  try {
    const Hooks hooks(*t.model, std::move(read));
  } catch (const DiagnosticError& e) {
    told = e.diagnostics.all().size();
    CHECK(e.diagnostics.all()[0].span.column == 23);
  }
  CHECK(told == 2);
  CHECK(t.output().to_vector<double>() == before);
}

// An input is meant by the name that its class gives it, whether a call gives it by position or
// not.
TEST_CASE("changes: an input by its name") {
  const auto gradients = [](const std::string& call, const std::string& hook) {
    const lang::Config config = lang::Config::from_text(R"yaml(nnm: 1
define:
  Mix:
    modules: {fc: "Linear(2, 2, bias=false)"}
    inputs: {a: "f64[B, 2]", b: "f64[B, 2]"}
    forward:
      - return fc(a) + 10 * b
  Outer:
    modules: {pre: "Linear(2, 2, bias=false)", mix: Mix()}
    inputs: {x: "f64[B, 2]"}
    forward:
      - y = pre(x)
      - return )yaml" + call + "\nmodel: Outer()\nhooks:\n" +
                                                            hook,
                                                        "h.yaml");
    const Ref<Module> model = lang::build_model(config, {.dtype = DType::f64}).module;
    const NoGradGuard no_grad;
    for (const Tensor& p : model->parameters()) fill_(p, 1);
    Diagnostics d;
    Hooks hooks(*model, read_hooks(config, d));
    d.throw_if_errors();
    const EnableGradGuard grad;
    sum((*model)(doubles({1, 2}, {1, 2}))).backward();
    Doubles out = model->get_parameter("pre.weight").grad().to_vector<double>();
    for (double g : model->get_parameter("mix.fc.weight").grad().to_vector<double>())
      out.push_back(g);
    return out;
  };
  const Doubles plain = {12, 24, 12, 24, 3, 3, 3, 3};
  for (const std::string call : {"mix(y, y)", "mix(y, b=y)", "mix(b=y, a=y)"}) {
    CAPTURE(call);
    const auto pre = [](const std::string& arg) {
      return "  - {on: forward_pre, at: mix, arg: " + arg + ", input: input * 2}\n";
    };
    CHECK(gradients(call, pre("a")) == Doubles{14, 28, 14, 28, 6, 6, 6, 6});
    CHECK(gradients(call, pre("b")) == Doubles{22, 44, 22, 44, 3, 3, 3, 3});
    CHECK(gradients(call, pre("c")) == plain);
    // The tensor is one: its whole gradient is doubled.
    CHECK(gradients(call, "  - {on: tensor, at: mix.input, arg: b, grad: grad * 2}\n") ==
          Doubles{24, 48, 24, 48, 3, 3, 3, 3});
  }
  CHECK(gradients("mix(y, y)",
                  "  - {on: full_backward, at: mix, arg: b, grad_input: grad_input * "
                  "2}\n") == Doubles{22, 44, 22, 44, 3, 3, 3, 3});
  CHECK(gradients("mix(y, y)",
                  "  - {on: full_backward_pre, at: mix, arg: a, grad_output: "
                  "grad_output * 2}\n") == plain);
  CHECK(gradients("mix(y, y)", "  - {on: forward, at: mix, arg: a, output: output * 2}\n") ==
        plain);
  CHECK(
      gradients("mix(y, y)", "  - {on: forward_pre, at: mix.fc, arg: input, input: input * 2}\n") ==
      Doubles{14, 28, 14, 28, 6, 6, 6, 6});
}
