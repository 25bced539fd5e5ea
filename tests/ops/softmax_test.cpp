// Softmax, norms and distances against PyTorch.
#include <doctest/doctest.h>

#include "nnm/ops/function.h"
#include "ops/wave.h"
#include "support/checks.h"
#include "support/gradcheck.h"

using namespace nnm;
using nnm::testing::message_of;

TEST_CASE("softmax: values") {
  CHECK(differs(softmax(wave({2, 3}), 1), {0.171325117686, 0.374986465762, 0.453688416551,
                                           0.600823445858, 0.251741004871, 0.14743554927}) == "");
  CHECK(differs(softmax(wave({2, 3}), 0), {0.394752165224, 0.773090937578, 0.875596793572,
                                           0.605247834776, 0.226909062422, 0.124403206428}) == "");
  CHECK(differs(softmax(transpose(wave({3, 2}), 0, 1), -1),
                {0.233071490054, 0.617199840243, 0.149728669703, 0.534071860571, 0.374122532541,
                 0.0918056068879}) == "");
  CHECK(differs(log_softmax(wave({2, 3}), -1), {-1.76419225459, -0.980865344964, -0.790344623713,
                                                -0.509454154895, -1.37935447842, -1.91436415279}) ==
        "");
  CHECK(differs(log_softmax(wave({1, 3, 2}), 1),
                {-1.45641004821, -0.627224878718, -0.482562417335, -0.983171908111, -1.89893049151,
                 -2.38808190601}) == "");
  CHECK(differs(softmin(wave({2, 3}), 1), {0.545104467786, 0.249049220763, 0.20584631145,
                                           0.134015330231, 0.319850763083, 0.546133906686}) == "");
}

TEST_CASE("softmax: PyTorch's choice where no dimension is given") {
  const auto value = [](const char* name, const Tensor& x) {
    const Function* f = find_function(name);
    return f->run(f->signature().bind({.pos = {x}, .kw = {}}).data()).as<Tensor>();
  };
  for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 3, 2}}) {
    CHECK(equal(value("softmax", wave(shape)), softmax(wave(shape), 0)));
    CHECK(equal(value("softmin", wave(shape)), softmin(wave(shape), 0)));
  }
  for (const Shape& shape : {Shape{2, 3}, Shape{2, 3, 2, 2}})
    CHECK(equal(value("log_softmax", wave(shape)), log_softmax(wave(shape), 1)));
}

TEST_CASE("distances: values") {
  CHECK(differs(normalize(wave({2, 3})), {0, 0.626765778951, 0.779207711933, 0.370023369026,
                                          -0.383131993021, -0.846340701076}) == "");
  CHECK(differs(normalize(wave({2, 3}), 1, 0),
                {0, 0.639008525621, 0.49905643928, 1, -0.360991474379, -0.50094356072}) == "");
  CHECK(differs(cosine_similarity(wave({2, 3}), wave({2, 3}, 1)),
                {0.652072456334, 0.588305658193}) == "");
  CHECK(differs(cosine_similarity(wave({2, 3}), wave({1, 3}, 1)),
                {0.652072456334, -0.25552654891}) == "");
  CHECK(differs(pairwise_distance(wave({2, 3}), wave({2, 3}, 1)), {1.06900625816, 1.1375554569}) ==
        "");
  CHECK(differs(pairwise_distance(wave({2, 3}), wave({2, 3}, 1), 1, 1e-6, true),
                {1.64330264359, 1.78037737358}) == "");
}

TEST_CASE("softmax: gradients") {
  for (int64_t dim : {0, 1, 2}) {
    CHECK(gradcheck([dim](const Tensors& v) { return softmax(v[0], dim); },
                    {random_leaf({2, 3, 4})}) == "");
    CHECK(gradcheck([dim](const Tensors& v) { return log_softmax(v[0], dim); },
                    {random_transposed_leaf({2, 3, 4})}) == "");
  }
  CHECK(gradcheck([](const Tensors& v) { return softmax(v[0], 0); }, {random_leaf({})}) == "");
  CHECK(std::string(softmax(wave_leaf({2}), 0).grad_fn()->name) == "SoftmaxBackward0");
  CHECK(std::string(log_softmax(wave_leaf({2}), 0).grad_fn()->name) == "LogSoftmaxBackward0");
  CHECK(message_of([] {
          softmax(zeros({2, 3}), 2);
        }) == "Dimension out of range (expected to be in range of [-2, 1], but got 2)");
  CHECK(message_of([] { softmax(labels({1}, {1}), 0); }) ==
        "\"softmax_lastdim_kernel_impl\" not implemented for 'Long'");
  CHECK(softmax(on_meta(wave({2, 3})), 1).shape() == Shape{2, 3});
}

TEST_CASE("distances: gradients") {
  CHECK(gradcheck([](const Tensors& v) { return normalize(v[0]); }, {random_leaf({2, 3})}) == "");
  CHECK(gradcheck([](const Tensors& v) { return cosine_similarity(v[0], v[1]); },
                  {random_leaf({2, 3}), random_leaf({1, 3}, -1, 1, 2)}) == "");
  CHECK(gradcheck([](const Tensors& v) { return pairwise_distance(v[0], v[1]); },
                  {random_leaf({2, 3}), random_leaf({2, 3}, -1, 1, 2)}) == "");
}

TEST_CASE("dropout: scale, share, gradient, repetition") {
  const Tensor x = ones({100, 100}).requires_grad_();
  Generator g(7);
  const Tensor y = dropout(x, 0.3, true, &g);
  CHECK(g.offset == 2500);
  int64_t kept = 0;
  for (const double v : y.to_vector<double>()) {
    const bool is_kept = std::abs(v - 1 / 0.7) < 1e-6;
    CHECK((is_kept || v == 0));
    kept += is_kept;
  }
  CHECK(kept > 6800);
  CHECK(kept < 7200);
  y.backward(ones(y.shape()));
  CHECK(equal(x.grad(), y.detach()));
  Generator again(7);
  CHECK(equal(dropout(x.detach(), 0.3, true, &again), y.detach()));
  CHECK(dropout(x, 0.3, false).is_same(x));
  CHECK(dropout(x, 0.0, true).is_same(x));
  CHECK(sum(dropout(x.detach(), 1.0, true)).item().d == 0);
  CHECK(message_of([&] { dropout(x, 1.5); }) ==
        "dropout probability has to be between 0 and 1, but got 1.5");
  CHECK(std::string(y.grad_fn()->name) == "MulBackward0");
  CHECK(y.grad_fn()->next.size() == 2);
  // On the meta device nothing is drawn.
  const uint64_t before = default_generator().offset;
  CHECK(dropout(on_meta(x), 0.5).shape() == x.shape());
  CHECK(default_generator().offset == before);
}

TEST_CASE("dropout: channels_last and its gradient") {
  const Tensor x = channels_last(ones({2, 3, 4, 4})).requires_grad_();
  Generator g(3);
  const Tensor y = dropout(x, 0.5, true, &g);
  CHECK(y.is_channels_last());
  y.backward(ones(y.shape()));
  CHECK(equal(x.grad(), y.detach()));
}

TEST_CASE("dropout: whole channels, and the kind for selu") {
  const Tensor y = feature_dropout(ones({8, 16, 5}), 0.5, true);
  const Tensor channels = sum(y, {2});
  for (const double v : channels.to_vector<double>()) CHECK((v == 0 || v == 10));
  manual_seed(0);
  const Tensor z = alpha_dropout(randn({200, 200}), 0.4, true);
  CHECK(::std::abs(mean(z).item().d) < 0.02);
  CHECK(::std::abs(nnm::std(z).item().d - 1) < 0.02);
}
