// The engine: order, accumulation, hooks, versions, deep graphs; behaviour as PyTorch's tests pin
// it.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "nnm/autograd/record.h"
#include "nnm/base/log.h"
#include "nnm/ops/ops.h"
#include "support/checks.h"

using namespace nnm;
using nnm::testing::leaf;
using nnm::testing::message_of;
using nnm::testing::values;

namespace {

// y = 2 x with a log entry when its backward runs.
Tensor logged(const Tensor& x, std::vector<std::string>& log, const char* what) {
  Tensor y = mul(x.detach(), 2.0);
  return record("LoggedBackward", y, {&x}, [&log, what](Backward& b) {
    log.push_back(what);
    b.set(0, mul(b.grad(), 2.0));
  });
}

}  // namespace

TEST_CASE("gradients of a tensor used twice are summed, and accumulate over backwards") {
  const Tensor x = leaf({1, 2, 3});
  sum(add(mul(x, x), x)).backward();
  CHECK(values(x.grad()) == std::vector<double>{3, 5, 7});
  sum(x).backward();
  CHECK(values(x.grad()) == std::vector<double>{4, 6, 8});
}

TEST_CASE("among ready nodes the newest runs first, leaf accumulation before all") {
  std::vector<std::string> log;
  const Tensor x = leaf({1}), w = leaf({1});
  w.register_post_accumulate_grad_hook([&](const Tensor&) { log.push_back("w"); });
  const Tensor a = logged(x, log, "a");
  const Tensor b = logged(mul(x, w), log, "b");
  add(a, b).backward(ones({1}, {DType::f64}));
  CHECK(log == std::vector<std::string>{"b", "w", "a"});
}

TEST_CASE("a graph of a million nodes runs forward, backward and is destroyed") {
  const Tensor x = leaf({1});
  {
    Tensor y = x;
    for (int i = 0; i < 1'000'000; ++i) y = add(y, 0.0);
    y.backward(ones({1}, {DType::f64}));
  }
  CHECK(x.grad().item().d == 1.0);
}

TEST_CASE("a second backward through freed buffers is an error, unless the graph was kept") {
  const Tensor x = leaf({2});
  const Tensor y = mul(x, x);
  y.backward({}, true);
  y.backward();
  CHECK(x.grad().item().d == 8.0);
  CHECK(message_of([&] {
          y.backward();
        }).find("Trying to backward through the graph a second time") == 0);
}

/// The error of backward where `saved` is written to after `y` was computed with it: unseen by the
/// tape, or recorded.
std::string spoiled(const Tensor& y, const Tensor& saved, bool recorded = false) {
  {
    GradModeGuard mode(recorded);
    add_(saved, 1.0);
  }
  const std::string text = message_of([&] { sum(y).backward(); });
  const std::string start =
      "one of the variables needed for gradient computation has been modified by an inplace "
      "operation: ";
  const std::string hint =
      " Hint: enable anomaly detection to find the operation that failed to compute its gradient, "
      "with torch.autograd.set_detect_anomaly(True, check_nan=False).";
  if (!text.starts_with(start) || !text.ends_with(hint)) return text;
  return text.substr(start.size(), text.size() - start.size() - hint.size());
}

TEST_CASE("a saved tensor that was modified in place is found") {
  const std::string versions = " is at version 1; expected version 0 instead.";
  const Tensor x = leaf({1, 2, 3});
  CHECK(spoiled(mul(x, x), x) == "[torch.DoubleTensor [3]]" + versions);
  const Tensor plain = ones({2, 2}), weight = ones({2, 2}).requires_grad_();
  CHECK(spoiled(mul(weight, plain), plain) == "[torch.FloatTensor [2, 2]]" + versions);
  auto of = [](const char* op) {
    return fmt::format("[torch.DoubleTensor [2]], which is output 0 of {},", op);
  };
  const Tensor z = mul(leaf({1, 2}), 2.0);
  CHECK(spoiled(mul(z, z), z) == of("Mul") + versions);
  const Tensor again = mul(leaf({1, 2}), 2.0);
  CHECK(spoiled(mul(again, again), again, true) == of("Add") + versions);
  const Tensor summed = sum(ones({3, 2}, {DType::f64}).requires_grad_(), {0});
  CHECK(spoiled(mul(summed, summed), summed) == of("Sum1") + versions);
  const Tensor y = exp(leaf({1, 2}));
  CHECK(spoiled(y, y) == of("Exp") + versions);
  const Tensor recorded = exp(leaf({1, 2}));
  CHECK(spoiled(recorded, recorded, true) == of("Exp") + versions);
  const Tensor base = mul(leaf({1, 2, 3}), 2.0), part = narrow(base, 0, 0, 2);
  CHECK(spoiled(mul(part, part), base) == of("AsStrided") + versions);
  // PyTorch keeps neither of these.
  const Tensor b = leaf({1, 2}), inverse = div(3.0, b);
  CHECK(spoiled(inverse, inverse, true) == "no error");
  CHECK(values(b.grad()) == std::vector<double>{-3, -0.75});
}

TEST_CASE("anomaly detection names the operation that fails") {
  set_detect_anomaly(true);
  std::vector<std::string> warnings;
  {
    const WarningSink sink([&](const std::string& s) { warnings.push_back(s); });
    const Tensor y = exp(leaf({1}));
    CHECK(spoiled(y, y).ends_with(
        "Hint: the backtrace further above shows the operation that failed to compute its "
        "gradient. The variable in question was changed in there or anywhere later. Good luck!"));
    CHECK(message_of([] {
            sum(mul(sqrt(leaf({0, 1})), 0.0)).backward();
          }) == "Function 'SqrtBackward0' returned nan values in its 0th output.");
    set_detect_anomaly(true, false);
    CHECK(message_of([] { sum(mul(sqrt(leaf({0, 1})), 0.0)).backward(); }) == "no error");
  }
  set_detect_anomaly(false);
  CHECK(warnings == std::vector<std::string>{"Error detected in ExpBackward0.",
                                             "Error detected in SqrtBackward0."});
}

TEST_CASE("what fills a tensor in place is on the tape under its own name") {
  const Tensor x = leaf({1, 2}), z = mul(x, 2.0), f = mul(x, 2.0);
  zero_(z);
  fill_(f, 3.0);
  CHECK(std::string(z.grad_fn()->name) == "ZeroBackward0");
  CHECK(std::string(f.grad_fn()->name) == "FillBackward2");
  sum(add(z, f)).backward();
  CHECK(values(x.grad()) == std::vector<double>{0, 0});
}

TEST_CASE("in-place on the tape takes the place of the old node") {
  const Tensor x = leaf({3});
  const Tensor y = mul(x, 2.0);
  mul_(y, 5.0);
  add_(y, x);
  sum(y).backward();
  CHECK(x.grad().item().d == 11.0);
  CHECK(message_of([&] { mul_(x, 2.0); }) ==
        "a leaf Variable that requires grad is being used in an in-place operation.");
  const Tensor part = narrow(y, 0, 0, 1);
  CHECK(message_of([&] { mul_(part, 2.0); }).find("a view that needs a gradient") == 0);
}

TEST_CASE("in-place on a view whose base is gone") {
  const Tensor x = leaf({3, 4});
  const Tensor last = narrow(mul(x, 2.0), 0, 1, 1);
  mul_(last, 5.0);
  const Tensor again = mul(last, last);  // the gradient of which reads what was written
  sum(add(again, last)).backward();
  CHECK(values(x.grad()) == std::vector<double>{0, 2 * 4 * 100 + 10});
  CHECK(message_of([&] { mul_(unsqueeze(again, 0), 3.0); }).find("a view that needs a gradient") ==
        0);
}

TEST_CASE("hooks before an in-place operation stay with the old value") {
  const Tensor x = leaf({1});
  const Tensor y = clone(x);
  std::vector<double> seen;
  auto doubling = [&seen](const Tensor& g) {
    seen.push_back(g.item().d);
    return std::optional<Tensor>(mul(g, 2.0));
  };
  y.register_hook(doubling);
  mul_(y, 2.0);
  y.register_hook(doubling);
  sum(y).backward();
  CHECK(seen == std::vector<double>{1, 4});
  CHECK(x.grad().item().d == 8.0);
}

TEST_CASE("tensor hooks replace the gradient in registration order, and a removed one is gone") {
  const Tensor x = leaf({1});
  const Tensor y = mul(x, 3.0);
  RemovableHandle h =
      y.register_hook([](const Tensor& g) { return std::optional<Tensor>(mul(g, 10.0)); });
  y.register_hook([](const Tensor& g) { return std::optional<Tensor>(add(g, 1.0)); });
  y.backward({}, true);
  CHECK(x.grad().item().d == 33.0);
  h.remove();
  h.remove();
  x.set_grad({});
  y.backward();
  CHECK(x.grad().item().d == 6.0);
}

TEST_CASE("retain_grad observes all tensor hooks, whenever they were registered") {
  const Tensor x = leaf({1});
  const Tensor y = mul(x, 1.0);
  y.retain_grad();
  y.register_hook([](const Tensor& g) { return std::optional<Tensor>(mul(g, 3.0)); });
  y.backward();
  CHECK(y.grad().item().d == 3.0);
}

TEST_CASE("hook replacements are checked") {
  const Tensor x = leaf({1, 2});
  auto with = [&](Tensor replacement) {
    const Tensor y = mul(x, 1.0);
    y.register_hook([replacement](const Tensor&) { return std::optional<Tensor>(replacement); },
                    "hook");
    return message_of([&] { sum(y).backward(); });
  };
  CHECK(with(ones({3}, {DType::f64})) == "hook 'hook' has changed the size of value");
  CHECK(with(ones({2}, {DType::f32})) ==
        "hook 'hook' has changed the type of value (was torch.DoubleTensor got torch.FloatTensor)");
}

TEST_CASE("autograd.grad captures and accumulates nothing") {
  const Tensor x = leaf({2}), w = leaf({3}), unused = leaf({1});
  const Tensor y = mul(x, w);
  const Tensors g = grad({mul(y, y)}, {x, y}, {}, true);
  CHECK(g[0].item().d == 36.0);
  CHECK(g[1].item().d == 12.0);
  CHECK(!x.grad().defined());
  CHECK(message_of([&] {
          grad({y}, {unused}, {}, true);
        }).find("appears to not have been used in the graph") != std::string::npos);
  CHECK(!grad({y}, {unused}, {}, false, false, true)[0].defined());
}

TEST_CASE("backward inside a hook leaves the outer run intact") {
  const Tensor x = leaf({2});
  const Tensor y = mul(x, x);
  y.register_hook([&](const Tensor&) -> std::optional<Tensor> {
    EnableGradGuard on;
    sum(mul(x, 10.0)).backward();
    return std::nullopt;
  });
  sum(mul(y, 3.0)).backward();
  CHECK(x.grad().item().d == 22.0);
}

TEST_CASE("roots without history and non-scalars without a gradient are refused") {
  CHECK(message_of([] { ones({1}).backward(); }) ==
        "element 0 of tensors does not require grad and does not have a grad_fn");
  CHECK(message_of([] {
          mul(leaf({1, 2}), 2.0).backward();
        }) == "grad can be implicitly created only for scalar outputs");
}

TEST_CASE("under no_grad nothing is recorded") {
  const Tensor x = leaf({1});
  NoGradGuard guard;
  CHECK_FALSE(mul(x, 2.0).requires_grad());
}

TEST_CASE("at one node: tensor hooks, retain_grad, pre-hooks, the node, post-hooks") {
  std::vector<std::string> log;
  const Tensor x = leaf({1});
  const Tensor y = logged(x, log, "node");
  const Ref<Node> node = y.grad_fn();
  node->register_hook([&](const Tensors&, const Tensors& grad_outputs) -> std::optional<Tensors> {
    log.push_back(fmt::format("post {}", grad_outputs[0].item().d));
    return std::nullopt;
  });
  node->register_prehook([&](const Tensors& grad_outputs) -> std::optional<Tensors> {
    log.push_back(fmt::format("pre {}", grad_outputs[0].item().d));
    return Tensors{mul(grad_outputs[0], 10.0)};
  });
  y.retain_grad();
  y.register_hook([&](const Tensor& g) -> std::optional<Tensor> {
    log.push_back(fmt::format("tensor {}", g.item().d));
    return mul(g, 3.0);
  });
  x.register_post_accumulate_grad_hook([&](const Tensor&) { log.push_back("leaf"); });
  y.backward();
  CHECK(log == std::vector<std::string>{"tensor 1", "pre 3", "node", "post 30", "leaf"});
  CHECK(y.grad().item().d == 3);
  CHECK(x.grad().item().d == 60);
}

TEST_CASE("backward with inputs accumulates into these alone, and runs their nodes") {
  std::vector<std::string> log;
  const Tensor x = leaf({2}), w = leaf({3});
  const Tensor h = logged(mul(x, w), log, "h");
  const Tensor y = logged(h, log, "y");
  backward({y}, {}, true, false, {w});
  CHECK(log == std::vector<std::string>{"y", "h"});
  CHECK(w.grad().item().d == 8);
  CHECK_FALSE(x.grad().defined());
  log.clear();
  // grad captures what arrives at h and does not go further.
  CHECK(grad({y}, {h}, {}, true)[0].item().d == 2);
  CHECK(log == std::vector<std::string>{"y"});
  CHECK_FALSE(h.grad().defined());
}

TEST_CASE("outputs that nothing uses count as zero") {
  const Tensor x = leaf({1, 2, 3, 4});
  const Tensors parts = split(x, 2);
  sum(mul(parts[1], 5.0)).backward();
  CHECK(values(x.grad()) == std::vector<double>{0, 0, 5, 5});
  x.set_grad({});
  const auto [top, where] = topk(x, 2);
  sum(top).backward();
  CHECK(values(x.grad()) == std::vector<double>{0, 0, 1, 1});
}

TEST_CASE("retain_grad follows a tensor that is written in place") {
  const Tensor x = leaf({2});
  const Tensor y = mul(x, 3.0);
  y.retain_grad();
  mul_(y, 4.0);
  mul(y, 5.0).backward();
  CHECK(y.grad().item().d == 5);
  CHECK(x.grad().item().d == 60);
}

TEST_CASE("a gradient handed to two leaves is not shared by them") {
  const Tensor a = leaf({1}), b = leaf({2});
  add(a, b).backward();
  add_(a.grad(), 1.0);
  CHECK(b.grad().item().d == 1);
}

TEST_CASE("a diamond of a hundred layers sums in time linear in its nodes") {
  const Tensor x = leaf({1});
  Tensor y = x;
  for (int i = 0; i < 100; ++i) y = mul(add(y, y), 0.5);
  y.backward();
  CHECK(x.grad().item().d == 1);
}

TEST_CASE("views of a tensor that was written are found") {
  const Tensor x = leaf({1, 2});
  const Tensor y = mul(x, 1.0);
  const Tensor head = narrow(y, 0, 0, 1);
  mul_(y, 2.0);
  CHECK(message_of([&] { mul(head, 2.0); }).find("used after its base was modified in place") !=
        std::string::npos);
}

TEST_CASE("a gradient cannot slip into shared memory") {
  const Tensor x = leaf({1, 2}), base = zeros({2, 2}, {DType::f64, {}});
  CHECK(message_of([&] { copy_(select(base, 0, 0), x); }).find("whose memory others share") !=
        std::string::npos);
  const Tensor own = zeros({2}, {DType::f64, {}});
  copy_(own, x);
  sum(own).backward();
  CHECK(values(x.grad()) == std::vector<double>{1, 1});
  NoGradGuard no_grad;
  copy_(select(base, 0, 0), x);
  CHECK(values(base) == std::vector<double>{1, 2, 0, 0});
}

TEST_CASE("a gradient lies in memory as its leaf does") {
  const Tensor w = tensor_of<double>(std::vector<double>{1, 2, 3, 4, 5, 6}, {2, 3}, {DType::f64})
                       .requires_grad_();
  sum(mul(transpose(w, 0, 1), transpose(w, 0, 1))).backward();
  CHECK(w.grad().strides() == w.strides());
  CHECK(values(w.grad()) == std::vector<double>{2, 4, 6, 8, 10, 12});
  const Tensor image = channels_last(zeros({1, 2, 2, 2}, {DType::f64})).requires_grad_();
  sum(mul(image, ones({1, 2, 2, 2}, {DType::f64}))).backward();
  CHECK(image.grad().is_channels_last());
}

TEST_CASE("gradients of gradients are refused, not left out") {
  const Tensor x = tensor({2.0}).requires_grad_();
  const Tensor y = sum(mul(x, x));
  const char* said =
      "create_graph=True: gradients of gradients are not built; backward is not recorded itself. "
      "Leave create_graph out";
  CHECK_THROWS_WITH_AS(y.backward({}, false, true), said, Error);
  CHECK_THROWS_WITH_AS(autograd::backward({y}, {}, true, true), said, Error);
  CHECK_THROWS_WITH_AS(autograd::grad({y}, {x}, {}, true, true), said, Error);
  try {
    y.backward({}, false, true);
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::not_implemented);
  }
  // Nothing was spent or accumulated, and what grad returns is a constant.
  CHECK(!x.grad().defined());
  const Tensor g = autograd::grad({y}, {x})[0];
  CHECK(!g.requires_grad());
  CHECK_THROWS_WITH_AS(sum(g).backward(),
                       "element 0 of tensors does not require grad and does not have a grad_fn",
                       Error);
}

TEST_CASE("a tensor's backward accumulates into the inputs given alone") {
  const Tensor a = tensor({2.0}).requires_grad_(), b = tensor({3.0}).requires_grad_();
  sum(mul(a, b)).backward({}, false, false, {b});
  CHECK(!a.grad().defined());
  CHECK(b.grad().item().d == 2);
}

TEST_CASE("numbers among operands are inputs of their node, and factors are released") {
  const Tensor x = ones({2}, {DType::f64}).requires_grad_();
  for (const Tensor& y : {x + 1, x - 1, x * 2, x / 2}) CHECK(y.grad_fn()->next.size() == 2);
  for (const Tensor& y : {add_(x * 1, 1), mul_(x * 1, 2)}) CHECK(y.grad_fn()->next.size() == 2);
  CHECK((1 - x).grad_fn()->next.size() == 1);
  const Tensor shifted = sum(x + 1), scaled = sum(x * 2);
  for (int i = 0; i < 2; ++i) shifted.backward();
  scaled.backward();
  CHECK_THROWS_WITH_AS(scaled.backward(),
                       doctest::Contains("Trying to backward through the graph a second time"),
                       Error);
}

TEST_CASE("a write that is refused writes nothing") {
  const Tensor target = zeros({2}), part = target.as_strided({1}, {1}, 0);
  const Tensor p = ones({2}).requires_grad_();
  CHECK_THROWS_WITH_AS(add_(target, p), doctest::Contains("whose memory others share"), Error);
  CHECK_THROWS_WITH_AS(copy_(target, p), doctest::Contains("whose memory others share"), Error);
  CHECK(target.to_vector<double>() == std::vector<double>{0, 0});
}

TEST_CASE("grad computes what leads to the inputs asked for, and nothing else") {
  const Tensor x = ones({2}).requires_grad_(), w = ones({2}).requires_grad_();
  const Tensor y = x * w;
  Tensors seen;
  y.grad_fn()->register_hook([&](const Tensors& grad_inputs, const Tensors&) {
    seen = grad_inputs;
    return std::optional<Tensors>();
  });
  grad({sum(y)}, {x});
  REQUIRE(seen.size() == 2);
  CHECK(seen[0].defined());
  CHECK_FALSE(seen[1].defined());
}
