// Layers made in C++: constructors with PyTorch's arguments, and modules given by value.
#include <doctest/doctest.h>

#include <set>
#include <sstream>

#include "nnm/nnm.h"

namespace {

using namespace nnm;

/// Every registered layer's class, by the name in the registry.
template <class... T>
std::set<std::string> names() {
  static_assert((std::derived_from<T, Module> && ...));
  static_assert((std::is_constructible_v<T, const typename T::Options&> && ...));
  return {T::spec().name()...};
}

struct Pair : Module {
  Child<nn::Linear> fc = register_module("fc", nn::Linear(3, 2));
  Child<nn::Sequential> tail =
      register_module("tail", nn::Sequential(nn::ReLU(), make_ref<nn::Linear>(2, 2)));
  Parameter scale = register_parameter("scale", parameter(tensor(2.0)));

  Tensor forward(const Tensor& x) override { return scale * tail(fc(x)); }
};

struct Siamese : Module {
  Child<nn::Linear> fc = register_module("fc", nn::Linear(2, 2));

  NNM_FORWARD(Siamese, "x1: Tensor, x2: Tensor, margin: float = 1.0, mask: Tensor? = none");
  Tensor forward(const Tensor& x1, const Tensor& x2, double margin, const Tensor& mask) {
    const Tensor distance = sum(abs(fc(x1) - fc(x2)));
    return mask.defined() ? distance * sum(mask) : distance + margin;
  }
};

struct Named : Module {
  NNM_FORWARD(Named, "a: Tensor, b: Tensor, c: Tensor, *, scale: float");
  Tensor forward(const Tensor& a, const Tensor& b, const Tensor& c, double scale) {
    return (a + b + c) * scale;
  }
};

}  // namespace

TEST_SUITE_BEGIN("nn typed layers");

TEST_CASE("every registered layer has a class with its options") {
  using namespace nnm::nn;
  std::set<std::string> typed = names<
      MSELoss, L1Loss, SmoothL1Loss, HuberLoss, CrossEntropyLoss, NLLLoss, BCELoss,
      BCEWithLogitsLoss, KLDivLoss, RNN, LSTM, GRU, CosineSimilarity, PairwiseDistance, Linear,
      Bilinear, Identity, Dropout, Dropout1d, Dropout2d, BatchNorm1d, BatchNorm2d, InstanceNorm2d,
      Softmax, LogSoftmax, Softmin, Softmax2d, LeakyReLU, ELU, CELU, GELU, Softplus, Softshrink,
      Hardshrink, Hardtanh, GLU, Threshold, PReLU, Embedding, LayerNorm, GroupNorm, RMSNorm, Conv1d,
      Conv2d, ConvTranspose1d, ConvTranspose2d, MaxPool1d, MaxPool2d, AvgPool1d, AvgPool2d,
      AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool2d, Flatten, Unflatten, PixelShuffle,
      PixelUnshuffle, MultiheadAttention, ReLU, ReLU6, SELU, SiLU, Mish, Hardswish, Hardsigmoid,
      Sigmoid, LogSigmoid, Tanh, Softsign, Tanhshrink, ZeroPad1d, ZeroPad2d, ConstantPad1d,
      ConstantPad2d, ReflectionPad1d, ReflectionPad2d, ReplicationPad1d, ReplicationPad2d,
      CircularPad1d, CircularPad2d, SoftMarginLoss, HingeEmbeddingLoss, MarginRankingLoss,
      CosineEmbeddingLoss, TripletMarginLoss, PoissonNLLLoss, GaussianNLLLoss, MultiMarginLoss,
      MultiLabelSoftMarginLoss, RNNCell, LSTMCell, GRUCell, TransformerEncoderLayer,
      TransformerDecoderLayer, TransformerEncoder, TransformerDecoder, Upsample,
      UpsamplingNearest2d, UpsamplingBilinear2d, Dropout3d, AlphaDropout, BatchNorm3d,
      ChannelShuffle, Conv3d, ConvTranspose3d, MaxPool3d, AvgPool3d, AdaptiveAvgPool3d,
      AdaptiveMaxPool1d, AdaptiveMaxPool3d, LPPool1d, LPPool2d, LPPool3d, InstanceNorm1d,
      InstanceNorm3d, LocalResponseNorm, ZeroPad3d, ConstantPad3d, ReflectionPad3d,
      ReplicationPad3d, CircularPad3d, Unfold, Fold, MaxUnpool1d, MaxUnpool2d, MaxUnpool3d,
      FractionalMaxPool2d, FractionalMaxPool3d, SyncBatchNorm, EmbeddingBag, RReLU,
      FeatureAlphaDropout, Transformer, TripletMarginWithDistanceLoss, MultiLabelMarginLoss,
      CTCLoss, AdaptiveLogSoftmaxWithLoss, CrossMapLRN2d, LinearCrossEntropyLoss>();
  typed.insert({"Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict"});
  typed.insert({"weight_norm", "spectral_norm", "orthogonal"});  // around a layer
  for (const std::string& name : Registry<Module>::names()) {
    CAPTURE(name);
    CHECK(typed.count(name) == 1);
  }
}

TEST_CASE("arguments in order, then by name, or all by name") {
  CHECK(nn::Linear(10, 20).repr() == "Linear(in_features=10, out_features=20, bias=True)");
  CHECK(nn::Linear(10, 20, false).repr() == nn::Linear(10, 20, {.bias = false}).repr());
  CHECK(nn::Conv2d(1, 8, 3).repr() == "Conv2d(1, 8, kernel_size=(3, 3), stride=(1, 1))");
  const std::string conv =
      "Conv2d(1, 8, kernel_size=(3, 5), stride=(2, 2), padding=(1, 1), bias=False)";
  CHECK(nn::Conv2d(1, 8, IntTuple<2>{3, 5}, {.stride = 2, .padding = 1, .bias = false}).repr() ==
        conv);
  CHECK(nn::Conv2d({.in_channels = 1,
                    .out_channels = 8,
                    .kernel_size = {3, 5},
                    .stride = 2,
                    .padding = 1,
                    .bias = false})
            .repr() == conv);
  CHECK(nn::Conv1d(4, 4, 3, {.padding = "same"}).repr() ==
        "Conv1d(4, 4, kernel_size=(3,), stride=(1,), padding=same)");
  CHECK(nn::MaxPool2d(3, {.stride = 2}).repr() ==
        "MaxPool2d(kernel_size=3, stride=2, padding=0, dilation=1, ceil_mode=False)");
  CHECK(nn::BatchNorm2d(16, {.momentum = 0.2}).options.num_features == 16);
  CHECK(nn::LSTM(3, 4, {.num_layers = 2, .batch_first = true}).repr() ==
        "LSTM(3, 4, num_layers=2, batch_first=True)");
  CHECK(nn::Dropout({.p = 0.1}).repr() == "Dropout(p=0.1, inplace=False)");
  CHECK(nn::LayerNorm(nn::Sizes{2, 3}, {.bias = false}).repr() ==
        "LayerNorm((2, 3), eps=1e-05, elementwise_affine=True, bias=False)");
}

TEST_CASE("braces are a tuple wherever PyTorch takes one") {
  CHECK(nn::Conv2d(3, 8, {3, 5}).repr() == "Conv2d(3, 8, kernel_size=(3, 5), stride=(1, 1))");
  CHECK(
      nn::Conv2d(3, 8, {3, 5}, {.stride = {2, 1}, .padding = {4, 2}, .dilation = {3, 1}}).repr() ==
      "Conv2d(3, 8, kernel_size=(3, 5), stride=(2, 1), padding=(4, 2), dilation=(3, 1))");
  CHECK(nn::Conv2d(3, 8, 3, {.padding = {4, 2}}).repr() ==
        "Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=(4, 2))");
  CHECK(nn::Conv2d(16, 33, {3, 5}, 2, 1).repr() ==
        "Conv2d(16, 33, kernel_size=(3, 5), stride=(2, 2), padding=(1, 1))");
  CHECK(nn::Conv2d(3, 8, {3, 5}, 1, "same").repr() ==
        "Conv2d(3, 8, kernel_size=(3, 5), stride=(1, 1), padding=same)");
  CHECK(nn::ConvTranspose2d(16, 33, {3, 5}, {.stride = {2, 1}, .padding = {4, 2}}).repr() ==
        "ConvTranspose2d(16, 33, kernel_size=(3, 5), stride=(2, 1), padding=(4, 2))");
  CHECK(nn::Conv1d(3, 8, {3}, {.stride = {2}, .padding = {1}}).repr() ==
        "Conv1d(3, 8, kernel_size=(3,), stride=(2,), padding=(1,))");
  // Not the first two options.
  CHECK(nn::MaxPool2d({3, 2}).repr() ==
        "MaxPool2d(kernel_size=(3, 2), stride=(3, 2), padding=0, dilation=1, ceil_mode=False)");
  CHECK(nn::MaxPool2d({3, 2}, {.stride = {2, 1}}).repr() ==
        "MaxPool2d(kernel_size=(3, 2), stride=(2, 1), padding=0, dilation=1, ceil_mode=False)");
  CHECK(nn::MaxPool2d(3, {.stride = {2, 1}, .padding = {1, 0}}).repr() ==
        "MaxPool2d(kernel_size=3, stride=(2, 1), padding=(1, 0), dilation=1, ceil_mode=False)");
  CHECK(nn::MaxPool2d(3, std::nullopt, 1).repr() ==
        "MaxPool2d(kernel_size=3, stride=3, padding=1, dilation=1, ceil_mode=False)");
  CHECK(nn::AvgPool2d({3, 2}, {.stride = {2, 1}}).repr() ==
        "AvgPool2d(kernel_size=(3, 2), stride=(2, 1), padding=0)");
  CHECK(nn::AdaptiveAvgPool2d({5, 7}).repr() == "AdaptiveAvgPool2d(output_size=(5, 7))");
  CHECK(nn::AdaptiveAvgPool3d({.output_size = {5, std::nullopt, 7}}).repr() ==
        "AdaptiveAvgPool3d(output_size=(5, None, 7))");
  CHECK(nn::Conv3d(3, 8, {3, 5, 1}, {.padding = {1, 2, 0}}).repr() ==
        "Conv3d(3, 8, kernel_size=(3, 5, 1), stride=(1, 1, 1), padding=(1, 2, 0))");
  CHECK(nn::MaxPool3d({1, 2, 2}, {.stride = 2}).repr() ==
        "MaxPool3d(kernel_size=(1, 2, 2), stride=2, padding=0, dilation=1, ceil_mode=False)");
  CHECK(nn::LPPool2d(2, {2, 3}).repr() ==
        "LPPool2d(norm_type=2, kernel_size=(2, 3), stride=None, ceil_mode=False)");
  CHECK(nn::EmbeddingBag(10, 3, {.mode = "sum"}).repr() == "EmbeddingBag(10, 3, mode='sum')");
  CHECK(nn::MaxUnpool2d({3, 2}).repr() ==
        "MaxUnpool2d(kernel_size=(3, 2), stride=(3, 2), padding=(0, 0))");
  CHECK(nn::LayerNorm({2, 3}).repr() ==
        "LayerNorm((2, 3), eps=1e-05, elementwise_affine=True, bias=True)");
  CHECK(nn::ReflectionPad2d({1, 2, 3, 4}).repr() == "ReflectionPad2d((1, 2, 3, 4))");
  CHECK(nn::Unflatten(1, {2, 3}).repr() == "Unflatten(dim=1, unflattened_size=(2, 3))");
  CHECK(max_pool2d(ones({1, 4, 5}), {2, 1}, {2, 3}).shape() == Shape{1, 2, 2});
  CHECK_THROWS_AS(nn::Conv2d(3, 8, {3, 5, 7}), Error);
}

TEST_CASE("an argument cannot be given twice") {
  CHECK_THROWS_WITH_AS(nn::Linear(10, 20, {.in_features = 3}),
                       "Linear.__init__() got multiple values for argument 'in_features'", Error);
  // Two numbers in braces are no stride: they would be the first two options.
  CHECK_THROWS_AS(nn::Conv2d(1, 8, 3, {2, 2}), Error);
  CHECK_THROWS_AS(nn::Conv2d(1, 8, IntTuple<2>{1, 2, 3}), Error);
}

TEST_CASE("modules by value become part of the tree") {
  Pair model;
  CHECK(model.named_parameters().size() == 5);
  CHECK(model.fc->weight->shape() == Shape{2, 3});
  CHECK(model(ones({4, 3})).shape() == Shape{4, 2});
  model.add_module("more", nn::Sequential({{"a", nn::Linear(1, 2)}, {"b", nn::ReLU()}}));
  CHECK(model.get_submodule("more.a").repr() == nn::Linear(1, 2).repr());
  model.set_submodule("more.b", nn::Tanh());
  CHECK(model.get_submodule("more.b").type_name() == "Tanh");

  nn::ModuleList list({nn::Linear(1, 2), nn::ReLU()});
  list.append(Pair());
  CHECK(list.size() == 3);
  CHECK(list.parameters().size() == 7);

  // A module moves with its parameters, hooks and mode.
  nn::Linear fc(2, 2);
  fc.eval();
  int calls = 0;
  fc.register_forward_hook([&](Module&, const Tensor&, const Tensor&) { ++calls; });
  const Tensor weight = fc.weight;
  auto moved = make_ref<nn::Linear>(std::move(fc));
  CHECK(moved->weight->is_same(weight));
  CHECK(moved->parameters()[0].is_same(weight));
  CHECK_FALSE(moved->training());
  moved(ones({1, 2}));
  CHECK(calls == 1);
  CHECK_THROWS_WITH_AS(Ref<Module>(std::move(*moved)), "a Linear that others hold cannot be moved",
                       Error);
}

TEST_CASE("a std::vector of modules grows") {
  static_assert(std::is_nothrow_move_constructible_v<Pair>);
  static_assert(std::is_nothrow_move_constructible_v<nn::Conv2d>);
  static_assert(std::is_nothrow_move_constructible_v<nn::LayerNorm>);
  static_assert(std::is_nothrow_move_constructible_v<nn::MultiheadAttention>);
  std::vector<Pair> models;
  models.emplace_back();
  const Tensor weight = models[0].fc->weight;
  int calls = 0;
  models[0].register_forward_hook([&](Module&, const Tensor&, const Tensor&) { ++calls; });
  for (int i = 0; i < 9; ++i) models.push_back(Pair());
  CHECK(models[0].fc->weight->is_same(weight));
  CHECK(models[0].named_parameters()[0].second.is_same(*models[0].scale));
  CHECK(models[0](ones({4, 3})).shape() == Shape{4, 2});
  CHECK(calls == 1);
  for (Pair& m : models) CHECK(m.parameters().size() == 5);
}

TEST_CASE("hooks of modules from tensor to tensor take tensors") {
  nn::Identity m;
  const Tensor x = ones({2});
  auto pre = m.register_forward_pre_hook([](Module&, const Tensor& in) { return in * 2; });
  auto post = m.register_forward_hook(
      [](Module&, const Tensor& in, const Tensor& out) { return in + out; });
  CHECK(equal(m(x), full({2}, 4.0)));
  pre.remove();
  CHECK(equal(m(x), full({2}, 2.0)));
  CHECK_THROWS_AS(m(Args{{x, x}, {}}), Error);
  post.remove();
  CHECK(equal(m(x), x));
  nn::Bilinear two(1, 1, 1);
  two.register_forward_pre_hook([](Module&, const Tensor& in) { return in; });
  CHECK_THROWS_AS(two(ones({1}), ones({1})), Error);
}

TEST_CASE("a forward of several typed arguments binds by position and by name") {
  Siamese m;
  const Tensor x = ones({1, 2});
  const auto number = [](const Value& v) { return v.as<Tensor>().item().d; };
  CHECK(number(m(x, x)) == 1);
  CHECK(number(m(x, x, 2)) == 2);
  CHECK(number(m(Args{{x}, {{"margin", 3.5}, {"x2", x}}})) == 3.5);
  CHECK(number(m(Args{{x, x}, {{"mask", ones({2})}}})) == 0);
  CHECK_THROWS_WITH_AS(m(x, x, "far"), "Siamese.forward: `margin`: expected float, got \"far\"",
                       Error);
  Items seen;
  m.register_forward_pre_hook([&](Module&, const Values&, Items& kwargs) { seen = kwargs; });
  m(Args{{x, x}, {{"margin", 3}}});
  CHECK(str(seen) == "{'margin': 3}");
}

// The texts are CPython's of `def forward(self, x1, x2, margin=1.0, mask=None)` and the like.
TEST_CASE("calls that do not fit a forward are refused in Python's words") {
  Siamese m;
  const Tensor x = ones({1, 2});
  const auto said = [](Module& module, const Args& args) -> std::string {
    try {
      module(args);
    } catch (const BindError& e) {
      return e.what();
    }
    return "";
  };
  CHECK(said(m, {}) == "Siamese.forward() missing 2 required positional arguments: 'x1' and 'x2'");
  CHECK(said(m, {{x}, {}}) == "Siamese.forward() missing 1 required positional argument: 'x2'");
  CHECK(said(m, {{}, {{"x2", x}}}) ==
        "Siamese.forward() missing 1 required positional argument: 'x1'");
  CHECK(said(m, {{x, x, 1, nullptr, 1}, {}}) ==
        "Siamese.forward() takes from 3 to 5 positional arguments but 6 were given");
  CHECK(said(m, {{x}, {{"y", x}}}) == "Siamese.forward() got an unexpected keyword argument 'y'");
  CHECK(said(m, {{x, x}, {{"x1", x}}}) ==
        "Siamese.forward() got multiple values for argument 'x1'");
  // Keywords are looked at first, and what is missing last.
  CHECK(said(m, {{x, x, 1, nullptr, 1}, {{"y", x}}}) ==
        "Siamese.forward() got an unexpected keyword argument 'y'");
  CHECK(said(m, {{"far"}, {}}) == "Siamese.forward() missing 1 required positional argument: 'x2'");
  try {
    m(Args{{x, x}, {{"margn", 1}}});
  } catch (const BindError& e) {
    CHECK(e.hint() == "did you mean `margin`?");
    CHECK(e.name == "margn");
  }
  Named named;
  CHECK(said(named, {{}, {{"scale", 2}}}) ==
        "Named.forward() missing 3 required positional arguments: 'a', 'b', and 'c'");
  CHECK(said(named, {{x, x, x}, {}}) ==
        "Named.forward() missing 1 required keyword-only argument: 'scale'");
  CHECK(said(named, {{x, x, x, x}, {}}) ==
        "Named.forward() takes 4 positional arguments but 5 were given");
  CHECK(said(named, {{x, x, x, x}, {{"scale", 2}}}) ==
        "Named.forward() takes 4 positional arguments but 5 positional arguments (and 1 "
        "keyword-only argument) were given");
}

TEST_CASE("layers name what a call of them lacks as PyTorch does") {
  const Tensor x = ones({1, 2});
  nn::Linear fc(2, 2);
  CHECK_THROWS_WITH_AS(fc(), "Linear.forward() missing 1 required positional argument: 'input'",
                       Error);
  CHECK_THROWS_WITH_AS(fc(Args{{x, x}, {{"z", x}}}),
                       "Linear.forward() got an unexpected keyword argument 'z'", Error);
  CHECK_THROWS_WITH_AS(fc(x, x), "Linear.forward() takes 2 positional arguments but 3 were given",
                       Error);
  nn::MSELoss loss;
  CHECK_THROWS_WITH_AS(loss(Args{{x}, {}}),
                       "MSELoss.forward() missing 1 required positional argument: 'target'", Error);
  nn::LSTM lstm(2, 2);
  CHECK_THROWS_WITH_AS(lstm(x, x, x),
                       "LSTM.forward() takes from 2 to 3 positional arguments but 4 were given",
                       Error);
  nn::CosineSimilarity cosine;
  CHECK_THROWS_WITH_AS(
      cosine(), "CosineSimilarity.forward() missing 2 required positional arguments: 'x1' and 'x2'",
      Error);
}

TEST_CASE("an optimizer takes its parameters with the options") {
  nn::Linear fc(2, 1);
  optim::SGD by_number(fc.parameters(), {.lr = 0.5});
  CHECK(by_number.groups()[0].params[1].name == "1");
  optim::SGD by_name(fc.named_parameters());
  CHECK(by_name.groups()[0].params[1].name == "bias");
  fc.weight->set_grad(ones({1, 2}));
  const Tensor before = clone(fc.weight);
  by_number.step();
  CHECK(allclose(fc.weight, before - 0.5));
}

TEST_CASE("modules print in values as PyTorch prints them") {
  CHECK(str(nn::Linear(1, 2)) == "Linear(in_features=1, out_features=2, bias=True)");
  const Ref<Module> relu = nn::ReLU();
  CHECK(Value::list({relu, 1}).repr() == "[ReLU(), 1]");
  CHECK(Value(relu).config_text() == "ReLU");
  nn::Sequential s({{"a", relu}});
  CHECK(str(s.module_slots()) == "{'a': ReLU()}");
  CHECK(str(Child<nn::ReLU>()) == "None");
  CHECK(str(IncompatibleKeys{}) == "<All keys matched successfully>");
  CHECK(str(nn::Linear(1, 1).bias).starts_with("Parameter containing:\ntensor(["));
  CHECK(repr("a") == "'a'");
  std::ostringstream out;
  const Child<nn::Linear> child = Pair().fc;
  out << nn::Linear(1, 2) << '\n' << relu << '\n' << child << '\n' << IncompatibleKeys{};
  CHECK(out.str() ==
        "Linear(in_features=1, out_features=2, bias=True)\nReLU()\nLinear(in_features=3, "
        "out_features=2, bias=True)\n<All keys matched successfully>");
}

TEST_SUITE_END();
