// Connectionist temporal classification against all alignments one by one.
#include <doctest/doctest.h>

#include <cmath>

#include "nnm/ops/functional.h"
#include "ops/wave.h"
#include "support/checks.h"
#include "support/gradcheck.h"

using namespace nnm;
using nnm::testing::message_of;

namespace {

// The labels of a path: repeats count once, blanks not at all.
std::vector<int64_t> labels_of_path(const std::vector<int64_t>& path, int64_t blank) {
  std::vector<int64_t> out;
  for (size_t t = 0; t < path.size(); ++t)
    if (path[t] != blank && (t == 0 || path[t] != path[t - 1])) out.push_back(path[t]);
  return out;
}

// -log of the sum over all paths of `steps` (T, C) that have the labels.
double by_paths(const Tensor& log_probs, const std::vector<int64_t>& target, int64_t blank) {
  const int64_t steps = log_probs.size(0), classes = log_probs.size(1);
  const std::vector<double> p = log_probs.to_vector<double>();
  const auto count = static_cast<int64_t>(std::pow(classes, steps));
  double total = 0;
  for (int64_t number = 0; number < count; ++number) {
    std::vector<int64_t> path;
    double log_p = 0;
    for (int64_t t = 0, rest = number; t < steps; ++t, rest /= classes) {
      path.push_back(rest % classes);
      log_p += p[static_cast<size_t>(t * classes + rest % classes)];
    }
    if (labels_of_path(path, blank) == target) total += std::exp(log_p);
  }
  return -std::log(total);
}

struct Alignment {
  int64_t steps, classes, blank;
  std::vector<int64_t> target;
};

const Alignment kAlignments[] = {{1, 3, 0, {2}},    {4, 3, 0, {1, 2}},    {5, 3, 1, {0, 0}},
                                 {5, 3, 2, {1, 0}}, {6, 2, 0, {1, 1, 1}}, {5, 4, 3, {2, 2, 1}},
                                 {4, 3, 0, {}}};

}  // namespace

TEST_CASE("ctc: the likelihood of all alignments") {
  for (const Alignment& a : kAlignments) {
    CAPTURE(a.steps);
    const auto n = static_cast<int64_t>(a.target.size());
    const Tensor x = log_softmax(wave({a.steps, a.classes}), 1);
    const Tensor loss = ctc_loss(x, labels(a.target, {n}), labels({a.steps}, {1}), labels({n}, {1}),
                                 a.blank, "none");
    CHECK(loss.dim() == 0);
    CHECK(loss.item().d == doctest::Approx(by_paths(x, a.target, a.blank)).epsilon(1e-12));
  }
}

TEST_CASE("ctc: gradients with respect to what the softmax is given") {
  const Tensor targets = labels({0, 1, 1, 2, 2, 0}, {2, 3}), steps = labels({6, 4}, {2}),
               lengths = labels({3, 2}, {2});
  for (const char* reduction : {"none", "mean", "sum"}) {
    CHECK(gradcheck(
              [&](const Tensors& v) {
                return ctc_loss(log_softmax(v[0], 2), targets, steps, lengths, 3, reduction);
              },
              {random_leaf({6, 2, 4})}) == "");
  }
}

TEST_CASE("ctc: too short inputs") {
  const Tensor targets = labels({1, 2, 3, 1, 1, 2}, {2, 3}), steps = labels({1, 4}, {2}),
               lengths = labels({3, 2}, {2});
  const Tensor x = random_leaf({5, 2, 4});
  const Tensor losses = ctc_loss(log_softmax(x, 2), targets, steps, lengths, 0, "none");
  CHECK(std::isinf(select(losses, 0, 0).item().d));
  CHECK(std::isfinite(select(losses, 0, 1).item().d));
  sum(ctc_loss(log_softmax(x, 2), targets, steps, lengths, 0, "none", true)).backward();
  CHECK(differs(select(x.grad(), 1, 0), zeros({5, 4}, {DType::f64})) == "");
  CHECK(all(isfinite(x.grad())).item().i == 1);
  // Of no steps there is the path of no labels, and no other.
  const Tensor none = ctc_loss(log_softmax(x, 2).detach(), targets, labels({0, 0}, {2}),
                               labels({0, 1}, {2}), 0, "none");
  CHECK(select(none, 0, 0).item().d == 0);
  CHECK(std::isinf(select(none, 0, 1).item().d));
}

TEST_CASE("ctc: shapes alone, and errors") {
  const Tensor x = zeros({5, 2, 4}), y = labels({1, 2, 3, 1, 1, 2}, {2, 3}),
               steps = labels({5, 4}, {2}), lengths = labels({3, 2}, {2});
  CHECK(ctc_loss(on_meta(x), on_meta(y), on_meta(steps), on_meta(lengths), 0, "none").shape() ==
        Shape{2});
  CHECK(ctc_loss(on_meta(x), y, steps, lengths).shape() == Shape{});
  CHECK(message_of([&] {
          ctc_loss(x, y, labels({6, 4}, {2}), lengths);
        }) ==
        "Expected input_lengths to have value at most 5, but got value 6 (while checking arguments "
        "for ctc_loss_allocate_outputs)");
  CHECK(message_of([&] {
          ctc_loss(x, y, steps, labels({4, 2}, {2}));
        }) ==
        "Expected tensor to have size at least 4 at dimension 1, but got size 3 for argument #2 "
        "'targets' (while checking arguments for ctc_loss_allocate_outputs)");
  CHECK(message_of([&] {
          ctc_loss(x, labels({1, 2, 3}, {3}), steps, lengths);
        }) ==
        "Expected tensor to have size 5 at dimension 0, but got size 3 for argument #2 'targets' "
        "(while checking arguments for ctc_loss_allocate_outputs)");
  CHECK(message_of([&] { ctc_loss(x, y, labels({3}, {1}), lengths); }) ==
        "input_lengths must be of size batch_size");
  CHECK(message_of([&] { ctc_loss(x, y, steps, lengths, 9); }) == "blank must be in label range");
  CHECK(message_of([&] { ctc_loss(x, y + Scalar(7), steps, lengths); }) ==
        "ctc_loss: label 10 is out of range for 4 classes");
  CHECK(message_of([&] { ctc_loss(to(x, DType::bf16), y, steps, lengths); }) ==
        "\"ctc_loss_cpu\" not implemented for 'BFloat16'");
}
