// Losses against PyTorch.
#include <doctest/doctest.h>

#include "ops/wave.h"
#include "support/checks.h"
#include "support/gradcheck.h"

using namespace nnm;
using nnm::testing::message_of;

TEST_CASE("regression: values") {
  const Tensor x = wave({2, 3}), t = wave({2, 3}, 1), p = sigmoid(x), pt = sigmoid(t),
               lx = log_softmax(x, 1), lt = softmax(t, 1);
  CHECK(differs(mse_loss(x, t), {0.406134175978}) == "");
  CHECK(differs(mse_loss(x, t, "none"), {0.708073418274, 0.026560256767, 0.408141436109,
                                         0.916262511132, 0.303788986584, 0.0739784470037}) == "");
  CHECK(differs(mse_loss(x, t, "sum"), {2.43680505587}) == "");
  CHECK(differs(l1_loss(x, t), {0.570613336194}) == "");
  CHECK(differs(l1_loss(x, t, "none"), {0.841470984808, 0.16297317806, 0.638859480722,
                                        0.957216021142, 0.551170560339, 0.271989792095}) == "");
  CHECK(differs(l1_loss(x, t, "sum"), {3.42368001717}) == "");
  CHECK(differs(smooth_l1_loss(x, t, "sum", 0.3), {2.5562815533}) == "");
  CHECK(differs(smooth_l1_loss(x, t), {0.203067087989}) == "");
  CHECK(differs(smooth_l1_loss(x, t, "mean", 0), {0.570613336194}) == "");
  CHECK(differs(huber_loss(x, t, "sum", 0.4), {0.92575617069}) == "");
  CHECK(differs(mse_loss(x, wave({3}, 1)), {0.82762887078}) == "");
  CHECK(differs(binary_cross_entropy(p, pt), {0.674057038172}) == "");
  CHECK(differs(binary_cross_entropy(p, pt, wave({3}, 1), "none"),
                {0.583263240643, 0.563371114244, 0.243363471146, 0.648882968364, 0.582665008196,
                 0.21523369929}) == "");
  CHECK(differs(binary_cross_entropy_with_logits(x, pt), {0.674057038172}) == "");
  CHECK(differs(binary_cross_entropy_with_logits(x, pt, wave({3}, 1), "sum", add(wave({3}, 2), 2)),
                {4.60921921304}) == "");
  CHECK(differs(kl_div(lx, lt), {0.0478431517283}) == "");
  CHECK(differs(kl_div(lx, lt, "sum"), {0.28705891037}) == "");
  CHECK(differs(kl_div(lx, lt, "batchmean"), {0.143529455185}) == "");
  CHECK(differs(kl_div(lx, log(lt), "none", true),
                {0.282363139913, 0.0358520323321, -0.158639637308, -0.159597003342,
                 0.00311012484941, 0.283970253925}) == "");
}

TEST_CASE("classes: values") {
  const Tensor x = wave({2, 3}), lx = log_softmax(x, 1), lt = softmax(wave({2, 3}, 1), 1),
               w = add(wave({3}, 1), 2), y = labels({2, 0}, {2});
  CHECK(differs(cross_entropy(x, y), {0.649899389304}) == "");
  CHECK(differs(cross_entropy(x, y, {}, -100, "none"), {0.790344623713, 0.509454154895}) == "");
  CHECK(differs(cross_entropy(x, y, w), {0.636157737225}) == "");
  CHECK(differs(cross_entropy(x, y, w, -100, "mean", 0.2), {0.763023680017}) == "");
  CHECK(differs(cross_entropy(x, y, {}, -100, "sum", 0.2), {1.52907735685}) == "");
  CHECK(differs(cross_entropy(x, labels({2, -100}, {2})), {0.790344623713}) == "");
  CHECK(differs(cross_entropy(x, labels({2, 1}, {2}), w, 1, "mean", 0.3), {0.970728155545}) == "");
  CHECK(differs(cross_entropy(wave({2, 3, 2}), labels({0, 2, 1, 1}, {2, 2}), {}, -100, "none"),
                {1.45641004821, 2.38808190601, 0.637418490346, 0.485802565021}) == "");
  CHECK(differs(cross_entropy(wave({2, 3, 2, 1}), labels({0, 2, 1, 1}, {2, 2, 1}), w),
                {1.17659827948}) == "");
  CHECK(differs(cross_entropy(wave({3}), labels({1}, {})), {0.980865344964}) == "");
  CHECK(differs(cross_entropy(x, lt), {1.21798872489}) == "");
  CHECK(differs(cross_entropy(x, lt, w, -100, "mean", 0.1), {3.29081484592}) == "");
  CHECK(differs(cross_entropy(wave({2, 3, 2}), softmax(wave({2, 3, 2}, 1), 1), {}, -100, "none"),
                {1.16346309269, 0.922173918588, 1.10192307302, 1.16085840112}) == "");
  CHECK(differs(nll_loss(lx, y, w), {0.636157737225}) == "");
  CHECK(differs(nll_loss(lx, y, {}, -100, "none"), {0.790344623713, 0.509454154895}) == "");
  CHECK(differs(nll_loss(wave({2, 3, 2}), labels({0, 2, 1, -100}, {2, 2}), {}, -100, "sum"),
                {0.183862253816}) == "");
}

TEST_CASE("regression: gradients") {
  const Tensors both{random_leaf({2, 3}), random_leaf({2, 3}, -1, 1, 2)};
  const Tensors shares{random_leaf({2, 3}, 0.1, 0.9), random_leaf({2, 3}, 0.1, 0.9, 2)};
  const Tensor w = wave({3}, 1);
  for (const std::string r : {"mean", "sum", "none"}) {
    const auto check = [&](const std::function<Tensor(const Tensors&)>& f, const Tensors& v) {
      CHECK(gradcheck(f, v) == "");
      CHECK(gradcheck(f, {v[0], v[1].detach()}) == "");
      const Tensor other = transpose(v[0].detach(), 0, 1);
      CHECK(gradcheck(
                [&](const Tensors& x) {
                  return f({transpose(x[0], 0, 1), v[1].detach()});
                },
                {clone(other).requires_grad_()}) == "");
    };
    check([&](const Tensors& v) { return mse_loss(v[0], v[1], r); }, both);
    check([&](const Tensors& v) { return l1_loss(v[0], v[1], r); }, both);
    check([&](const Tensors& v) { return smooth_l1_loss(v[0], v[1], r, 0.5); }, both);
    check([&](const Tensors& v) { return huber_loss(v[0], v[1], r, 0.5); }, both);
    check([&](const Tensors& v) { return binary_cross_entropy(v[0], v[1], w, r); }, shares);
    check([&](const Tensors& v) { return binary_cross_entropy(v[0], v[1], {}, r); }, shares);
    check([&](const Tensors& v) { return binary_cross_entropy_with_logits(v[0], v[1], {}, r); },
          shares);
    check([&](const Tensors& v) { return binary_cross_entropy_with_logits(v[0], v[1], w, r, w); },
          shares);
    check([&](const Tensors& v) { return kl_div(v[0], v[1], r); }, shares);
    check([&](const Tensors& v) { return kl_div(v[0], v[1], r, true); }, both);
  }
  CHECK(gradcheck([](const Tensors& v) { return mse_loss(v[0], v[1]); },
                  {random_leaf({2, 3}), random_leaf({3}, -1, 1, 2)}) == "");
}

TEST_CASE("classes: gradients") {
  const Tensor w = add(wave({3}, 1), 2), y = labels({2, -100, 0}, {3});
  const Tensor places = labels({0, 2, 1, -100, 1, 1, 0, 2}, {2, 4});
  for (const std::string r : {"mean", "sum", "none"}) {
    for (const double smoothing : {0.0, 0.2}) {
      const auto flat = [&](const Tensors& v) {
        return cross_entropy(v[0], y, w, -100, r, smoothing);
      };
      CHECK(gradcheck(flat, {random_leaf({3, 3})}) == "");
      CHECK(gradcheck(flat, {random_transposed_leaf({3, 3})}) == "");
      CHECK(
          gradcheck(
              [&](const Tensors& v) { return cross_entropy(v[0], places, {}, -100, r, smoothing); },
              {random_leaf({2, 3, 4})}) == "");
      const Tensor p = softmax(wave({2, 3}), 1);
      CHECK(
          gradcheck([&](const Tensors& v) { return cross_entropy(v[0], p, w, -100, r, smoothing); },
                    {random_leaf({2, 3})}) == "");
    }
    CHECK(gradcheck([&](const Tensors& v) { return nll_loss(v[0], places, w, -100, r); },
                    {random_leaf({2, 3, 4})}) == "");
  }
}

TEST_CASE("classes: nodes, short types, meta") {
  const Tensor y = labels({2, 0}, {2});
  CHECK(std::string(cross_entropy(wave_leaf({2, 3}), y).grad_fn()->name) == "NllLossBackward0");
  CHECK(std::string(cross_entropy(wave_leaf({1, 3, 2}), labels({2, 0}, {1, 2})).grad_fn()->name) ==
        "NllLoss2DBackward0");
  CHECK(std::string(mse_loss(wave_leaf({2}), wave({2})).grad_fn()->name) == "MseLossBackward0");
  CHECK(cross_entropy(on_meta(wave({2, 3})), on_meta(y)).shape() == Shape{});
  CHECK(cross_entropy(on_meta(wave({2, 3})), on_meta(y), {}, -100, "none").shape() == Shape{2});
  CHECK(cross_entropy(wave({2, 3}), to(y, DType::u8)).numel() == 1);
  for (const DType t : {DType::bf16, DType::f16}) {
    const Tensor x = to(wave({2, 3}), t).requires_grad_();
    const Tensor loss = cross_entropy(x, y);
    CHECK(loss.dtype() == t);
    CHECK(differs(to(loss, DType::f64), {0.6498993893}, 0.02) == "");
    loss.backward();
    CHECK(x.grad().dtype() == t);
    CHECK(differs(to(mse_loss(x, to(wave({2, 3}, 1), t)), DType::f64), {0.406134176}, 0.02) == "");
  }
  CHECK(std::isnan(cross_entropy(wave({1, 3}), labels({-100}, {1})).item().d));
}

TEST_CASE("losses: errors are PyTorch's") {
  const Tensor x = zeros({2, 3}), y = labels({2, 0}, {2});
  try {
    cross_entropy(x, labels({2, 3}, {2}));
    FAIL("no error");
  } catch (const LabelError& e) {
    CHECK(e.kind() == ErrorKind::input_file);
    CHECK(e.sample == 1);
    CHECK(e.label == 3);
    CHECK(std::string(e.what()).find("Target 3 is out of bounds") == 0);
  }
  CHECK(message_of([&] { cross_entropy(x, labels({2, -1}, {2})); }).find("Target -1 is out") == 0);
  CHECK(message_of([&] {
          cross_entropy(x, labels({0, 1, 2}, {3}));
        }) == "Expected input batch_size (2) to match target batch_size (3).");
  CHECK(message_of([&] { cross_entropy(x, zeros({2})); }) ==
        "expected target dtype to be Long or Byte, but got Float");
  CHECK(message_of([&] {
          cross_entropy(x, to(zeros({2, 3}), DType::i64));
        }) == "Expected floating point type for target with class probabilities, got Long");
  CHECK(message_of([&] {
          cross_entropy(x, zeros({2, 4}));
        }) == "0D or 1D target tensor expected, multi-target not supported");
  CHECK(message_of([&] { cross_entropy(x, y, zeros({4})); }) ==
        "weight tensor should be defined either for all 3 classes or no classes but got weight "
        "tensor of shape: [4]");
  CHECK(message_of([&] { cross_entropy(x, y, {}, -100, "mean", 1.5); }) ==
        "label_smoothing must be between 0.0 and 1.0. Got: 1.5");
  CHECK(message_of([&] {
          cross_entropy(zeros({2, 3, 4}), to(zeros({2, 5}), DType::i64));
        }) == "Expected target size [2, 4], got [2, 5]");
  CHECK(message_of([&] {
          mse_loss(x, zeros({4, 3}));
        }) ==
        "The size of tensor a (2) must match the size of tensor b (4) at non-singleton dimension "
        "0");
  CHECK(message_of([&] { mse_loss(x, x, "foo"); }) == "foo is not a valid value for reduction");
  CHECK(message_of([&] { smooth_l1_loss(x, x, "mean", -1); }) ==
        "smooth_l1_loss does not support negative values for beta.");
  CHECK(message_of([&] { binary_cross_entropy(add(x, 2), x); }) ==
        "all elements of input should be between 0 and 1");
  CHECK(message_of([&] {
          binary_cross_entropy_with_logits(x, zeros({2, 4}));
        }) ==
        "Target size (torch.Size([2, 4])) must be the same as input size (torch.Size([2, 3]))");
}
