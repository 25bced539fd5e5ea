// What the golden cases do not show of layers: draws, whole models, errors.
#include <cmath>

#include "nn/modules.h"
#include "nnm/nn/layers.h"
#include "nnm/ops/functional.h"
#include "nnm/ops/margin_loss.h"
#include "support/checks.h"
#include "support/gradcheck.h"

using namespace nnm;
using nnm::testing::error_of;

TEST_SUITE_BEGIN("nn");

namespace {

Tensor integers(const std::vector<int64_t>& v, const Shape& shape) {
  return tensor_of<int64_t>(v, shape, {DType::i64, {}});
}
Tensor numbers(const std::vector<double>& v, const Shape& shape) {
  return tensor_of<double>(v, shape, {DType::f64, {}});
}
Tensor shape_alone(const Tensor& x) { return to(x, {x.dtype(), {DeviceType::meta, 0}}); }

/// Trains a layer that overwrites, then evaluates it.
template <class Layer>
void check_overwrites(Layer layer, const Tensor& x) {
  const Tensor before = clone(x), y = layer(x);
  CAPTURE(layer.repr());
  CHECK(y.is_same(x));
  CHECK(!equal(x, before));
  layer.eval();
  const Tensor after = clone(x);
  CHECK(layer(x).is_same(x));
  CHECK(equal(x, after));
}

}  // namespace

TEST_CASE("layers: random slopes") {
  const Tensor x = random_leaf({400});
  nn::RReLU layer(0.2, 0.6);
  const Tensor y = layer(x);
  const Tensor slope = (y / x).detach();
  const Tensor below = lt(x, Scalar(0));
  CHECK(all(eq(masked_select(slope, logical_not(below)), Scalar(1))).item().i == 1);
  const Tensor drawn = masked_select(slope, below);
  CHECK(min(drawn).item().d >= 0.2 - 1e-12);
  CHECK(max(drawn).item().d < 0.6);
  CHECK(std::abs(mean(drawn).item().d - 0.4) < 0.03);
  CHECK(max(drawn).item().d - min(drawn).item().d > 0.3);
  sum(y).backward();
  CHECK(allclose(x.grad(), slope, 0, 1e-12));
  CHECK(error_of([] { rrelu(zeros({3}), 2, 1); }) ==
        "RuntimeError: Lower bound should be less than or equal to the upper bound");
}

TEST_CASE("layers: alpha dropout of whole channels") {
  manual_seed(3);
  const Tensor x = randn({50, 40, 6}, {DType::f64});
  nn::FeatureAlphaDropout layer(0.3);
  const Tensor y = layer(x);
  // A channel goes through one and the same map: y = keep a x + shift.
  const Tensor shift =
      y -
      x * unsqueeze((select(y, 2, 0) - select(y, 2, 1)) / (select(x, 2, 0) - select(x, 2, 1)), 2);
  CHECK(allclose(shift, expand(narrow(shift, 2, 0, 1), shift.shape()), 0, 1e-9));
  CHECK(std::abs(mean(y).item().d) < 0.05);
  CHECK(std::abs(var(y).item().d - 1) < 0.1);
  CHECK(allclose(nn::FeatureAlphaDropout(1.0)(x), zeros_like(x), 0, 0));
}

TEST_CASE("layers: softmax over clusters of classes") {
  nn::AdaptiveLogSoftmaxWithLoss layer(6, 15, {4, 9}, {.div_value = 2});
  const Tensor x = randn({8, 6});
  const Tensor target = integers({0, 3, 4, 8, 9, 14, 11, 2}, {8});
  const Tensor all = layer.log_prob(x);
  CHECK(all.shape() == Shape{8, 15});
  CHECK(allclose(to(sum(exp(all), {1}), DType::f64), ones({8}, {DType::f64}), 0, 1e-5));
  const Values out = layer.forward(x, target).items();
  CHECK(allclose(out[0].as<Tensor>(), squeeze(gather(all, 1, unsqueeze(target, 1)), 1), 0, 1e-5));
  CHECK(allclose(out[1].as<Tensor>(), neg(mean(out[0].as<Tensor>())), 0, 1e-6));
  CHECK(equal(layer.predict(x), argmax(all, 1)));
  const ConstructionGuard meta({.device = {DeviceType::meta, 0}});
  nn::AdaptiveLogSoftmaxWithLoss shapes(6, 15, {4, 9});
  CHECK(shapes.forward(shape_alone(x), shape_alone(target)).items()[0].as<Tensor>().shape() ==
        Shape{8});
}

TEST_CASE("layers: errors of clusters are PyTorch's") {
  nn::AdaptiveLogSoftmaxWithLoss layer(8, 20, {5, 10});
  CHECK(error_of([&] {
          layer.forward(zeros({3, 8}), integers({1, 2}, {2}));
        }) == "RuntimeError: Input and target should have the same size in the batch dimension.");
  CHECK(error_of([&] {
          layer.forward(zeros({2, 8}), integers({1, 25}, {2}));
        }) ==
        "RuntimeError: Target values should be in [0, 19], but values in range [1, 25] were "
        "found. ");
  CHECK(error_of([&] {
          layer.forward(zeros({8, 8}), integers({1}, {}));
        }) ==
        "RuntimeError: 0D target tensor expects 1D input tensors, but found inputs with size "
        "torch.Size([8, 8])");
  CHECK(error_of([] {
          nn::AdaptiveLogSoftmaxWithLoss(8, 20, nn::Sizes{5, 5});
        }) ==
        "ValueError: cutoffs should be a sequence of unique, positive integers sorted in an "
        "increasing order, where each value is between 1 and n_classes-1");
}

TEST_CASE("layers: a transformer draws all of its matrices anew") {
  nn::Transformer model({.d_model = 16,
                         .nhead = 2,
                         .num_encoder_layers = 1,
                         .num_decoder_layers = 2,
                         .dim_feedforward = 64});
  const auto check = [&] {
    for (const auto& [name, p] : model.named_parameters()) {
      if (p.dim() < 2) continue;
      CAPTURE(name);
      const double bound = std::sqrt(6.0 / static_cast<double>(p.size(0) + p.size(1)));
      CHECK(max(abs(p)).item().d <= bound);
      CHECK(max(abs(p)).item().d > 0.9 * bound);
    }
  };
  check();
  initialize(model, 7);
  check();
  const Tensor before = clone(model.get_parameter("decoder.layers.1.linear1.weight"));
  initialize(model, 7);
  CHECK(equal(before, model.get_parameter("decoder.layers.1.linear1.weight")));
}

TEST_CASE("layers: a transformer of other parts, its masks and errors") {
  nn::Transformer model({.d_model = 8,
                         .nhead = 2,
                         .num_decoder_layers = 1,
                         .dim_feedforward = 16,
                         .dropout = 0,
                         .custom_encoder = Ref<Module>(make_ref<nn::Identity>())});
  CHECK(model.encoder->type_name() == std::string("Identity"));
  const Tensor mask = nn::Transformer::generate_square_subsequent_mask(3);
  const double inf = HUGE_VAL;
  CHECK(mask.to_vector<double>() == std::vector<double>{0, -inf, -inf, 0, 0, -inf, 0, 0, 0});
  nn::Transformer whole({.d_model = 8,
                         .nhead = 2,
                         .num_encoder_layers = 1,
                         .num_decoder_layers = 1,
                         .dim_feedforward = 16});
  const auto call = [&](const Shape& src, const Shape& tgt) {
    return error_of([&] { whole(Args{{zeros(src), zeros(tgt)}, {}}); });
  };
  CHECK(call({5, 2, 8}, {4, 3, 8}) ==
        "RuntimeError: the batch number of src and tgt must be equal");
  CHECK(call({5, 2, 8}, {4, 2, 6}) ==
        "RuntimeError: the feature number of src and tgt must be equal to d_model");
}

TEST_CASE("losses: gradients of margins of several labels and of any distance") {
  const Tensor y = integers({0, 2, -1, 1, 3, 1, 2, 3, -1, 0, 0, 0}, {3, 4});
  CHECK(gradcheck([&](const Tensors& v) { return multilabel_margin_loss(v[0], y, "none"); },
                  {random_leaf({3, 4})}) == "");
  const auto distance = [](const Tensor& a, const Tensor& b) { return sum(abs(a - b), {1}); };
  const Tensors inputs{random_leaf({4, 3}), random_leaf({4, 3}, -1, 1, 2),
                       random_leaf({4, 3}, -1, 1, 3)};
  CHECK(gradcheck(
            [&](const Tensors& v) {
              return triplet_margin_with_distance_loss(v[0], v[1], v[2], distance, 2, true, "none");
            },
            inputs) == "");
  CHECK(allclose(triplet_margin_with_distance_loss(inputs[0], inputs[1], inputs[2], distance, 2),
                 triplet_margin_loss(inputs[0], inputs[1], inputs[2], 2, 1, 0), 0, 1e-9));
  CHECK(error_of([] {
          multilabel_margin_loss(zeros({2, 3}), integers({7, 0, 0, 0, 0, 0}, {2, 3}));
        }) == "RuntimeError: argument #2 'target' is out of range");
  CHECK(error_of([] {
          multilabel_margin_loss(zeros({2, 3}), zeros({2, 3}));
        }) == "RuntimeError: expected scalar type Long but found Float");
}

TEST_CASE("layers: dropouts that overwrite their input") {
  const auto x = [](const Shape& shape) { return ones(shape, {DType::f64}); };
  const Tensor leaf_of_ones = x({5, 8}).requires_grad_();
  check_overwrites(nn::Dropout(0.5, true), x({10, 20}));
  check_overwrites(nn::Dropout1d(0.5, true), x({40, 5}));
  check_overwrites(nn::Dropout2d(0.5, true), x({5, 8, 3, 2}));
  check_overwrites(nn::Dropout3d(0.5, true), x({40, 2, 3, 2}));
  // PyTorch's layers do not, its functions do.
  CHECK(!nn::AlphaDropout(0.5, true)(leaf_of_ones).is_same(leaf_of_ones));
  CHECK(!nn::FeatureAlphaDropout(0.5, true)(leaf_of_ones).is_same(leaf_of_ones));
  check_overwrites(nn::Dropout2d(1.0, true), x({3}));
  const Tensor leaf = ones({4}, {DType::f64}).requires_grad_();
  const Tensor inner = leaf * Scalar(1);
  CHECK(nn::Dropout({.p = 0, .inplace = true})(leaf).is_same(leaf));
  const Tensor y = nn::Dropout(0.5, true)(inner);
  sum(y).backward();
  CHECK(equal(leaf.grad(), y.detach()));
  CHECK(error_of([&] { nn::Dropout(0.5, true)(leaf); }) ==
        "RuntimeError: a leaf Variable that requires grad is being used in an in-place operation.");
  CHECK(error_of([&] { nn::LeakyReLU(0.1, true)(leaf); }) ==
        "RuntimeError: a leaf Variable that requires grad is being used in an in-place operation.");
}

TEST_CASE("layers: dropouts of channels and the ranks of inputs") {
  manual_seed(1);
  // Three-dimensional dropout sees no batch in anything but five dimensions.
  const Tensor y = nn::Dropout3d(0.5)(ones({20, 3, 2, 2}));
  for (int64_t i = 0; i < 20; ++i) {
    const Tensor channel = select(y, 0, i);
    CHECK(equal(channel, full_like(channel, Scalar(channel.to_vector<double>()[0]))));
  }
  CHECK(equal(nn::Dropout2d({.p = 0})(ones({})), ones({})));
  CHECK(equal(nn::FeatureAlphaDropout(1.0)(ones({3})), zeros({3})));
  CHECK(error_of([] { nn::Dropout2d(0.5)(ones({3})); }) ==
        "RuntimeError: Feature dropout requires at least 2 dimensions in the input");
  CHECK(error_of([] {
          nn::Dropout1d(0.5)(ones({3}));
        }).starts_with("RuntimeError: dropout1d: Expected 2D or 3D input, but received a 1D"));
}

TEST_CASE("layers: margins that are just kept have no gradient") {
  const Tensor x = numbers({1, 2, 0}, {1, 3}).requires_grad_();
  nn::MultiMarginLoss()(x, integers({0}, {1})).backward();
  CHECK(allclose(x.grad(), numbers({-1 / 3., 1 / 3., 0}, {1, 3}), 0, 1e-15));
  const Tensor z = numbers({-2, -1, -2, 1}, {1, 4}).requires_grad_();
  nn::MultiLabelMarginLoss()(z, integers({3, 0, 1, -1}, {1, 4})).backward();
  CHECK(allclose(z.grad(), numbers({-0.25, 0, 0.25, 0}, {1, 4}), 0, 1e-15));
}

TEST_CASE("layers: images without channels") {
  CHECK(nn::PixelShuffle(2)(zeros({0, 1, 3})).shape() == Shape{0, 2, 6});
  CHECK(nn::PixelShuffle(2)(zeros({5, 0, 1, 3})).shape() == Shape{5, 0, 2, 6});
  CHECK(nn::PixelUnshuffle(2)(zeros({5, 0, 4, 6})).shape() == Shape{5, 0, 2, 3});
}

TEST_CASE("layers: arguments that PyTorch refuses when it computes") {
  const Tensor image = zeros({1, 1, 9, 9}), volume = zeros({1, 1, 9, 9, 9}), v = zeros({4, 3});
  CHECK(error_of([&] { nn::MaxPool2d({.kernel_size = 2, .padding = 2, .dilation = 3})(image); }) ==
        "RuntimeError: pad should be smaller than or equal to half of kernel size, but got padW = "
        "2, padH = 2, kW = 2, kH = 2");
  CHECK(error_of([&] { nn::MaxPool3d({.kernel_size = 3, .padding = 2, .dilation = 3})(volume); }) ==
        "RuntimeError: pad should be smaller than or equal to half of kernel size, but got kT: 3 "
        "kW: 3 kH: 3 padT: 2 padW: 2 padH: 2");
  nn::BatchNorm1d norm(3, 0.0);
  CHECK(error_of([&] { norm(v); }) ==
        "ValueError: batch_norm eps must be positive during training, but got 0.0");
  norm.eval();
  CHECK(norm(v).shape() == v.shape());
  CHECK(error_of([&] { nn::BatchNorm1d(3, -1.0).eval()(v); }) ==
        "ValueError: batch_norm eps must be non-negative, but got -1.0");
  CHECK(error_of([&] { nn::Softshrink({.lambd = INFINITY})(v); }) ==
        "RuntimeError: lambda must be in range [0, 3.40282e+38] for input dtype Float, but found "
        "inf");
  CHECK(error_of([&] { nn::RReLU(0.1, INFINITY)(v); }) ==
        "RuntimeError: rrelu: upper bound must be finite, got inf");
  CHECK(error_of([&] { nn::RReLU(NAN, 0.1)(v); }) ==
        "RuntimeError: rrelu: lower bound must be finite, got nan");
  CHECK(error_of([&] { nn::CosineSimilarity(1, -0.5)(v, v); }) ==
        "RuntimeError: eps must be non-negative, got: -0.5");
  CHECK(error_of([&] {
          nn::SoftMarginLoss()(zeros({3}), zeros({2, 3}));
        }) == "RuntimeError: output with shape [3] doesn't match the broadcast shape [2, 3]");
}

TEST_SUITE_END();
