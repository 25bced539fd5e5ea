// Normalisations and embeddings against PyTorch.
#include <doctest/doctest.h>

#include "ops/wave.h"
#include "support/checks.h"
#include "support/gradcheck.h"

using namespace nnm;
using nnm::testing::message_of;

TEST_CASE("normalisation: values") {
  CHECK(differs(batch_norm(wave({2, 2, 3}), {}, {}, wave({2}, 1), wave({2}, 2), true),
                {0.498456662486, 1.57425172661, 1.83590653384, 0.863606867831, -0.374304139953,
                 -1.13564925877, -0.562832323284, 0.521548312891, 1.58845364841, 1.63562522071,
                 0.841889151049, -0.395671865581}) == "");
  CHECK(differs(batch_norm(wave({2, 2, 3}), wave({2}, 3), add(wave({2}, 4), 2), wave({2}, 1), {},
                           false),
                {-0.106501549517, 0.484665718688, 0.628449384146, 1.04611919471, 0.230065158951,
                 -0.271827750078, -0.689697486564, -0.0938123038203, 0.49246991076, 1.5550480988,
                 1.03180247056, 0.215979155496}) == "");
  CHECK(differs(batch_norm(channels_last(wave({2, 2, 2, 2})), {}, {}, {}, wave({2}), true),
                {-1.03114307362, 0.624578794564, 1.02728336227, -0.127788158798, 0.685578038217,
                 -0.226604850473, 0.122517255024, 1.46873570555, 0.646436519394, 1.01891769898,
                 -0.160046243024, -1.99823889976, -0.232412217327, 0.140898522304, 1.49739503035,
                 2.81050779337}) == "");
  CHECK(differs(batch_norm(wave({3, 2}), {}, {}, {}, {}, true, 0.1, 0.5),
                {-0.19209795748, 0.679626712265, 0.864167250628, 0.336782826602, -0.672069293148,
                 -1.01640953887}) == "");
  CHECK(differs(layer_norm(wave({2, 2, 3}), {2, 3}, wave({2, 3}, 1), wave({2, 3}, 2)),
                {0.752309165136, 1.14805801821, -0.196693343702, -1.23262961503, 0.197969818646,
                 1.35658619699, -0.334034137384, 0.024148954606, -0.275929385186, -1.67909200978,
                 -1.0273921984, 0.905433782502}) == "");
  CHECK(differs(layer_norm(wave({2, 3}), {3}), {-1.38987729273, 0.468893579565, 0.92098371317,
                                                1.30969509486, -0.192809324095, -1.11688577077}) ==
        "");
  CHECK(differs(layer_norm(wave({2, 3}), {3}, wave({3}, 1)),
                {-1.16954141428, 0.443714035458, 0.308518630399, 1.10207042127, -0.182455480298,
                 -0.374143498285}) == "");
  CHECK(differs(group_norm(wave({1, 4, 2}), 2, wave({4}, 1), wave({4}, 2)),
                {-0.328239569795, 1.44676044286, 1.3291664239, -0.0633796935373, -0.521417105702,
                 -0.998228000272, -0.677456662906, -1.79044835215}) == "");
  CHECK(differs(rms_norm(wave({2, 3}), {3}, wave({3}, 1)),
                {0, 1.02729407646, 0.452109168277, 0.539298144216, -0.627968597123,
                 -0.491060836004}) == "");
  CHECK(differs(rms_norm(wave({2, 3}), {3}, {}, 0.1),
                {0, 0.994297019954, 1.23612987805, 0.579085852888, -0.599600823945,
                 -1.32452155118}) == "");
  CHECK(differs(embedding(labels({2, 0}, {1, 2}), wave({3, 2})),
                {-0.442520443295, -0.977530117665, 0, 0.783326909627}) == "");
}

TEST_CASE("normalisation: gradients") {
  for (const Shape& shape : {Shape{4, 3}, Shape{2, 3, 4}, Shape{2, 3, 2, 2}}) {
    for (const bool training : {true, false}) {
      const Tensor mean = wave({3}, 1), var = add(wave({3}, 2), 2);
      CHECK(gradcheck(
                [&](const Tensors& v) {
                  // A copy each time: training moves the running statistics.
                  return batch_norm(v[0], clone(mean), clone(var), v[1], v[2], training);
                },
                {random_leaf(shape), random_leaf({3}, 0.5, 1.5, 2), random_leaf({3}, -1, 1, 3)}) ==
            "");
    }
    CHECK(gradcheck([](const Tensors& v) { return batch_norm(v[0], {}, {}, {}, {}, true); },
                    {random_transposed_leaf(shape)}) == "");
  }
  const Tensor last = channels_last(random_leaf({2, 3, 2, 2}).detach()).requires_grad_();
  CHECK(gradcheck([](const Tensors& v) { return batch_norm(v[0], {}, {}, v[1], v[2], true); },
                  {last, random_leaf({3}, 0.5, 1.5, 2), random_leaf({3}, -1, 1, 3)}) == "");
  CHECK(gradcheck(
            [](const Tensors& v) {
              return layer_norm(v[0], {2, 3}, v[1], v[2]);
            },
            {random_leaf({4, 2, 3}), random_leaf({2, 3}), random_leaf({2, 3})}) == "");
  CHECK(gradcheck([](const Tensors& v) { return layer_norm(v[0], {3}, {}, v[1]); },
                  {random_transposed_leaf({4, 3}), random_leaf({3})}) == "");
  CHECK(gradcheck([](const Tensors& v) { return rms_norm(v[0], {3}, v[1]); },
                  {random_leaf({2, 3}), random_leaf({3})}) == "");
  CHECK(gradcheck([](const Tensors& v) { return group_norm(v[0], 2, v[1], v[2]); },
                  {random_leaf({2, 4, 3}), random_leaf({4}), random_leaf({4})}) == "");
  CHECK(gradcheck([](const Tensors& v) { return group_norm(v[0], 1); },
                  {random_transposed_leaf({2, 4, 2, 3})}) == "");
}

TEST_CASE("batch_norm: running statistics") {
  const Tensor mean = zeros({2}, {DType::f64, {}}), var = ones({2}, {DType::f64, {}});
  const uint32_t before = mean.version();
  batch_norm(wave({2, 2, 3}), mean, var, {}, {}, true);
  CHECK(differs(mean, {0.0299148636, -0.001136638}, 1e-8) == "");
  CHECK(differs(var, {0.9450479431, 0.9530626971}, 1e-8) == "");
  CHECK(mean.version() == before + 1);
  batch_norm(wave({2, 2, 3}), mean, var, {}, {}, false);
  CHECK(mean.version() == before + 1);
  // What is not finite shows in them.
  batch_norm(full({2, 2, 3}, Scalar(INFINITY), {DType::f64}), mean, var, {}, {}, true);
  CHECK(!std::isfinite(mean.to_vector<double>()[0]));
  CHECK(std::isnan(var.to_vector<double>()[1]));
}

TEST_CASE("normalisation: errors and nodes are PyTorch's") {
  const auto z = [](const Shape& s) { return zeros(s); };
  CHECK(message_of([&] {
          batch_norm(z({1, 3}), {}, {}, {}, {}, true);
        }) ==
        "Expected more than 1 value per channel when training, got input size torch.Size([1, 3])");
  CHECK(message_of([&] {
          batch_norm(z({4, 3}), z({4}), z({3}));
        }) == "running_mean should contain 3 elements not 4");
  CHECK(message_of([&] {
          batch_norm(z({4, 3}), {}, {});
        }) == "running_mean must be defined in evaluation mode");
  CHECK(message_of([&] {
          layer_norm(z({2, 3}), {4});
        }) ==
        "Given normalized_shape=[4], expected input with shape [*, 4], but got input of size[2, "
        "3]");
  CHECK(message_of([&] {
          layer_norm(z({2, 3}), {3}, z({4}));
        }) ==
        "Expected weight to be of same shape as normalized_shape, but got weight of shape [4] and "
        "normalized_shape = [3]");
  CHECK(message_of([&] {
          group_norm(z({2, 4, 5}), 3);
        }) ==
        "Expected number of channels in input to be divisible by num_groups, but got input of "
        "shape [2, 4, 5] and num_groups=3");
  CHECK(message_of([&] {
          group_norm(z({1, 2}), 2);
        }) == "Expected more than 1 value per channel when training, got input size [1, 2]");
  CHECK(std::string(layer_norm(wave_leaf({2, 3}), {3}).grad_fn()->name) ==
        "NativeLayerNormBackward0");
  const Tensor y = batch_norm(wave_leaf({2, 3}), {}, {}, {}, {}, true);
  CHECK(std::string(y.grad_fn()->name) == "NativeBatchNormBackward0");
  CHECK(y.grad_fn()->next.size() == 3);
  CHECK(layer_norm(on_meta(wave({2, 3})), {3}).shape() == Shape{2, 3});
  CHECK(batch_norm(on_meta(wave({2, 3})), {}, {}, {}, {}, true).shape() == Shape{2, 3});
}

TEST_CASE("normalisation: short types") {
  const Tensor x = wave({4, 6, 5}), w = wave({6}, 1), b = wave({6}, 2);
  for (const DType t : {DType::bf16, DType::f16}) {
    const auto near = [&](const Tensor& y, const Tensor& exact) {
      CHECK(y.dtype() == t);
      CHECK(differs(to(y, DType::f64), exact, 0.03) == "");
    };
    near(batch_norm(to(x, t), {}, {}, w, b, true), batch_norm(x, {}, {}, w, b, true));
    near(layer_norm(to(x, t), {5}), layer_norm(x, {5}));
    near(group_norm(to(x, t), 3, w, b), group_norm(x, 3, w, b));
    near(rms_norm(to(x, t), {5}), rms_norm(x, {5}));
    near(softmax(to(x, t), 1), softmax(x, 1));
  }
}

TEST_CASE("embedding: gradients, padding, range") {
  const Tensor at = labels({2, 0, 2, 1}, {2, 2});
  CHECK(gradcheck([&](const Tensors& v) { return embedding(at, v[0]); }, {random_leaf({4, 3})}) ==
        "");
  const Tensor w = wave_leaf({3, 2});
  sum(embedding(at, w, -1)).backward();
  CHECK(differs(w.grad(), {1, 1, 1, 1, 0, 0}) == "");
  CHECK(std::string(embedding(at, w).grad_fn()->name) == "EmbeddingBackward0");
  CHECK(message_of([&] { embedding(labels({4}, {1}), w); }) ==
        "index out of range in self / index 4 in a table of 3 rows");
  CHECK(message_of([&] { embedding(labels({-1}, {1}), w); }) ==
        "index out of range in self / index -1 in a table of 3 rows");
  CHECK(message_of([&] { embedding(at, w, 3); }) == "Padding_idx must be within num_embeddings");
  CHECK(message_of([&] { embedding(wave({2}), w); }) ==
        "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
        "Long, Int; but got torch.DoubleTensor instead (while checking arguments for embedding)");
  CHECK(embedding(to(at, DType::i32), w).shape() == Shape{2, 2, 2});
  CHECK(embedding(on_meta(at), on_meta(w)).shape() == Shape{2, 2, 2});
}
