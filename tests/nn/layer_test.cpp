// Layers compute PyTorch's values, start as its layers do, and refuse what it refuses.
#include <algorithm>
#include <cmath>

#include "nn/modules.h"
#include "nnm/nnm.h"

using namespace nnm;
using namespace nnm::test;

TEST_SUITE_BEGIN("nn");

// The expected numbers are PyTorch 2.13's in float64, for inputs and parameters of `wave`.
TEST_CASE("convolutions pad as PyTorch's") {
  const Tensor x = wave({2, 2, 3, 3});
  nn::Conv2d same(2, 2, 2, 1, "same");
  check_values(
      waved(same)(x),
      Floats{2.3125, -2.25,  0.75,    -1.0625, -4.25,   2,       -1.5625, -2.6875, 0.375,
             3.5,    1.0625, 2.4375,  1,       -0.0625, 4.125,   0.5625,  -0.875,  2.25,
             -4.875, 3.625,  -2.0625, -1.375,  2.3125,  -2.1875, -0.5,    -1.625,  -1.625,
             -0.5,   3.9375, 0.1875,  -3.6875, 3.5,     -0.1875, 1.5,     0.75,    0.1875});
  nn::Conv2d reflect({.in_channels = 2,
                      .out_channels = 2,
                      .kernel_size = 3,
                      .padding = IntTuple<2>{0, 1},
                      .groups = 2,
                      .bias = false,
                      .padding_mode = "reflect"});
  check_values(waved(reflect)(x), Floats{0, 6.5625, -0.9375, -1.875, 6.9375, -2.4375, 0.8125, -2.25,
                                         1.9375, 4.25, -2.75, 3.6875});
  nn::Conv1d circular({.in_channels = 2,
                       .out_channels = 1,
                       .kernel_size = 3,
                       .padding = 1,
                       .padding_mode = "circular"});
  check_values(waved(circular)(wave({2, 2, 4})),
               Floats{-2.5625, 0.5, -2.5625, 2.375, 0.4375, 0.75, -1.625, 0.5625});
}

TEST_CASE("batch norms use and update their statistics") {
  const Tensor x = wave({2, 2, 3, 3});
  nn::BatchNorm2d bn(2);
  check_values(
      waved(bn)(x),
      Floats{0.509667915529,  -1.676747686271, -0.427367342386, -2.613782944186, -1.3644026003,
             -0.115022256414, -2.301437858214, -1.052057514329, 0.197322829557,  1.492456106376,
             0.537869683893,  -0.41671673859,  1.253809500755,  0.299223078272,  1.969749317617,
             1.015162895134,  0.060576472651,  1.731102711997,  -1.052057514329, 0.197322829557,
             -1.989092772243, -0.739712428357, 0.509667915529,  -1.676747686271, -0.427367342386,
             -2.613782944186, -1.3644026003,   0.060576472651,  1.731102711997,  0.776516289513,
             -0.17807013297,  1.492456106376,  0.537869683893,  -0.41671673859,  1.253809500755,
             0.299223078272});
  check_values(*bn.running_mean, Floats{0.020833333333, 0.022222222222});
  check_values(*bn.running_var, Floats{0.967830882353, 0.965359477124});
  CHECK(bn.num_batches_tracked->item().i == 1);
  bn.eval();
  check_values(bn(x), Floats{0.037654708548,  -1.741181934677, -0.724703852834, -2.503540496059,
                             -1.487062414216, -0.470584332374, -2.249420975598, -1.232942893756,
                             -0.216464811913, 1.496370807137,  0.733037027111,  -0.030296752916,
                             1.30553736213,   0.542203582104,  1.87803769715,   1.114703917124,
                             0.351370137097,  1.687204252143,  -1.232942893756, -0.216464811913,
                             -1.995301455138, -0.978823373295, 0.037654708548,  -1.741181934677,
                             -0.724703852834, -2.503540496059, -1.487062414216, 0.351370137097,
                             1.687204252143,  0.923870472117,  0.160536692091,  1.496370807137,
                             0.733037027111,  -0.030296752916, 1.30553736213,   0.542203582104});
  CHECK(bn.num_batches_tracked->item().i == 1);

  nn::BatchNorm1d cumulative({.num_features = 2, .momentum = std::nullopt});
  waved(cumulative)(wave({4, 2}));
  cumulative(wave({4, 2}) * 3 + 1);
  check_values(*cumulative.running_mean, Floats{0.75, 1.5});
  check_values(*cumulative.running_var, Floats{4.6875, 3.541666666667});
  CHECK(error_of([&] { bn(wave({2, 2})); }) == "ValueError: expected 4D input (got 2D input)");
}

TEST_CASE("other norms") {
  const Tensor x = wave({2, 2, 3, 3});
  nn::InstanceNorm2d in({.num_features = 2, .affine = true, .track_running_stats = true});
  check_values(
      waved(in)(x),
      Floats{0.436518786208,  -1.668148272655, -0.465481381876, -2.570148440739, -1.36748154996,
             -0.164814659182, -2.269481718044, -1.066814827265, 0.135852063513,  1.348751566434,
             0.411575201581,  -0.525601163273, 1.114457475221,  0.177281110367,  1.817339748861,
             0.880163384007,  -0.057012980846, 1.583045657648,  -1.036178423412, 0.26624481943,
             -2.012995855544, -0.710572612702, 0.59185063014,   -1.687390044833, -0.384966801991,
             -2.664207476965, -1.361784234123, 0.163037438546,  1.923925122909,  0.917703588987,
             -0.088517944935, 1.672369739428,  0.666148205507,  -0.340073328415, 1.420814355948,
             0.414592822026});
  check_values(*in.running_mean, Floats{0.020833333333, 0.022222222222});
  check_values(*in.running_var, Floats{0.972048611111, 0.967274305556});
  CHECK(in.num_batches_tracked->item().i == 0);
  in.eval();
  check_values(in(x), Floats{0.035401087314,  -1.739572205224, -0.725301752345, -2.500275044883,
                             -1.486004592004, -0.471734139126, -2.246707431664, -1.232436978785,
                             -0.218166525906, 1.495631686265,  0.733053825312,  -0.029524035641,
                             1.304987221027,  0.542409360074,  1.876920616742,  1.114342755789,
                             0.351764894836,  1.686276151504,  -1.232436978785, -0.218166525906,
                             -1.993139818444, -0.978869365565, 0.035401087314,  -1.739572205224,
                             -0.725301752345, -2.500275044883, -1.486004592004, 0.351764894836,
                             1.686276151504,  0.92369829055,   0.161120429597,  1.495631686265,
                             0.733053825312,  -0.029524035641, 1.304987221027,  0.542409360074});
  nn::RMSNorm rms(3);
  check_values(waved(rms)(wave({2, 3})), Floats{1.358732440974, 0.764286998048, 0.084920777561,
                                                -1.566698903601, 0.3916747259, 0.130558241967});
  nn::LayerNorm ln(nn::Sizes{2, 3});
  check_values(waved(ln)(wave({2, 2, 3})),
               Floats{0.393042135732, 1.272390800899, -0.125621237881, 3.888072232683,
                      0.69900601939, -0.101987961219, -2.361959854486, 0.863496654541,
                      0.014825527261, 3.088953163567, 0.42433556364, 0.180979927243});
  nn::GroupNorm gn(1, 2);
  check_values(
      waved(gn)(narrow(x, 0, 0, 1)),
      Floats{0.557744985541, -1.575688364222, -0.356583592929, -2.490016942691, -1.270912171398,
             -0.051807400106, -2.185240749868, -0.966135978575, 0.252968792718, 1.410348417784,
             0.496019839314, -0.418308739156, 1.181766273166, 0.267437694697, 1.867512707018,
             0.953184128549, 0.038855550079, 1.638930562401});
  CHECK(error_of([] { nn::GroupNorm(2, 3); }) ==
        "ValueError: num_channels (3) must be divisible by num_groups (2)");
}

TEST_CASE("older states of norms load") {
  nn::BatchNorm1d bn(2);
  fill_(*bn.num_batches_tracked, 5);
  StateDict s = bn.state_dict();
  s.erase("num_batches_tracked");
  CHECK(error_of([&] { bn.load_state_dict(s); }) ==
        "RuntimeError: Error(s) in loading state_dict for BatchNorm1d:\n\tMissing key(s) in "
        "state_dict: \"num_batches_tracked\". ");
  s.metadata.clear();
  bn.load_state_dict(s);
  CHECK(bn.num_batches_tracked->item().i == 5);
  nn::InstanceNorm2d in(2);
  CHECK(error_of([&] {
          in.load_state_dict(StateDict({{"running_mean", ones({2})}}));
        })
            .find("Unexpected running stats buffer(s) \"running_mean\" for InstanceNorm2d with "
                  "track_running_stats=False.") != std::string::npos);
}

TEST_CASE("embeddings") {
  const std::vector<int64_t> raw{0, 1, 0, 4, 0, 1};
  const Tensor ids = tensor_of<int64_t>(raw, {2, 3}, {DType::i64});
  nn::Embedding e(
      {.num_embeddings = 5, .embedding_dim = 2, .padding_idx = -1, .scale_grad_by_freq = true});
  CHECK(floats(select(*e.weight, 0, 4)) == Floats{0, 0});
  const Tensor y = waved(e)(ids);
  check_values(y, Floats{-1, 0.75, -0.25, 1.5, -1, 0.75, -0.75, 1, -1, 0.75, -0.25, 1.5});
  sum(y).backward();
  check_values(e.weight->grad(), Floats{1, 1, 1, 1, 0, 0, 0, 0, 0, 0});
  const Tensor two = tensor({0, 2}, DType::i64);
  nn::Embedding short_rows({.num_embeddings = 5, .embedding_dim = 2, .max_norm = 0.5});
  waved(short_rows)(two);
  check_values(*short_rows.weight, Floats{-0.399999968, 0.299999976, -0.25, 1.5, 0.353553340593,
                                          -0.353553340593, 1.25, 0.25, -0.75, 1});
  nn::Embedding norm_1({.num_embeddings = 5, .embedding_dim = 2, .max_norm = 0.5, .norm_type = 1});
  waved(norm_1)(two);
  check_values(*norm_1.weight, Floats{-0.285714269388, 0.214285702041, -0.25, 1.5, 0.249999975,
                                      -0.249999975, 1.25, 0.25, -0.75, 1});
  CHECK(error_of([] { nn::Embedding(3, 2, 3); }) ==
        "AssertionError: Padding_idx must be within num_embeddings");
}

TEST_CASE("pools return indices when asked") {
  nn::MaxPool2d pool({.kernel_size = 2, .stride = 1, .return_indices = true});
  const Tensor x = wave({1, 2, 3, 3});
  const Value both = pool(Args{{x}, {}});
  check_values(both.items()[0].as<Tensor>(), Floats{1.5, 0.75, 1.5, 0.5, 1, 1.5, 0.75, 1.5});
  check_values(both.items()[1].as<Tensor>(), Floats{3, 1, 3, 4, 0, 5, 3, 5});
  CHECK(error_of([&] { pool(x); }) ==
        "TypeError: MaxPool2d returned a tuple where a Tensor is asked for");
  nn::MaxPool1d line({.kernel_size = 2, .stride = 1, .padding = 1, .return_indices = true});
  const Value flat = line(Args{{wave({1, 1, 4})}, {}});
  check_values(flat.items()[0].as<Tensor>(), Floats{-1, 0.75, 0.75, 1.5, 1.5});
  check_values(flat.items()[1].as<Tensor>(), Floats{0, 1, 1, 3, 3});
}

TEST_CASE("small layers") {
  nn::Bilinear bilinear(2, 3, 2);
  check_values(waved(bilinear)(wave({2, 2}), wave({2, 3})).as<Tensor>(),
               Floats{-3.375, 1.0625, 3.375, 3.15625});
  check_values(nn::Softmax2d()(wave({2, 1, 2})),
               Floats{0.320821300825, 0.320821300825, 0.679178699175, 0.679178699175});
  check_values(nn::Softmin(0)(wave({3})), Floats{0.607481562062, 0.105564466613, 0.286953971325});
  nn::PReLU prelu(2);
  check_values(waved(prelu)(wave({1, 2, 2})), Floats{1, 0.75, -0.1875, 1.5});
  check_values(nn::Threshold(0.1, 20)(wave({4})), Floats{20, 0.75, 20, 1.5});
  CHECK(nn::Unflatten(1, nn::Sizes{1, -1})(wave({2, 3})).shape() == Shape{2, 1, 3});
  CHECK(nn::Flatten()(wave({2, 3, 4})).shape() == Shape{2, 12});
  const Tensor x = wave({3});
  nn::ReLU relu(true);
  CHECK(relu(x).is_same(x));
  CHECK(nn::Identity()(x).is_same(x));
}

TEST_CASE("padding, pixels and distances") {
  check_values(nn::ReflectionPad2d(IntTuple<4>{1, 0, 1, 1})(wave({1, 1, 2, 2})),
               Floats{1.5, -0.25, 1.5, 0.75, -1, 0.75, 1.5, -0.25, 1.5, 0.75, -1, 0.75});
  check_values(nn::ConstantPad1d(IntTuple<2>{1, 2}, 3)(wave({1, 2})), Floats{3, -1, 0.75, 3, 3});
  check_values(nn::ReplicationPad1d(IntTuple<2>{1, 2})(wave({1, 2})),
               Floats{-1, -1, 0.75, 0.75, 0.75});
  check_values(nn::CircularPad1d(IntTuple<2>{1, 2})(wave({1, 3})),
               Floats{-0.25, -1, 0.75, -0.25, -1, 0.75});
  check_values(
      nn::PixelShuffle(2)(wave({1, 4, 2, 2})),
      Floats{-1, 0.5, 0.75, -0.5, -0.75, 0.75, 1, -0.25, -0.25, 1.25, 1.5, 0.25, 0, 1.5, -1, 0.5});
  check_values(nn::PixelUnshuffle(2)(wave({1, 1, 4, 2})),
               Floats{-1, 0.5, 0.75, -0.5, -0.25, 1.25, 1.5, 0.25});
  const Tensor a = wave({2, 3}), b = a + 1;
  check_values(nn::CosineSimilarity()(a, b).as<Tensor>(), Floats{0.463523582362, 0.866400225444});
  check_values(nn::PairwiseDistance({.keepdim = true})(a, b).as<Tensor>(),
               Floats{1.732049075518, 1.732049075518});
}

TEST_CASE("losses") {
  const Tensor input = wave({2, 3}), zero = zeros_like(input), one = ones_like(input);
  const Tensor classes = tensor({2, 0}, DType::i64), weight = tensor({1, 2, 3}, DType::f64);
  const Warnings warnings;
  check_values(nn::CrossEntropyLoss({.weight = weight, .label_smoothing = 0.1})(input, classes),
               Floats{1.207161853709});
  check_values(nn::CrossEntropyLoss({.ignore_index = 0, .reduction = "none"})(input, classes),
               Floats{1.432855466879, 0});
  check_values(nn::NLLLoss(weight)(input, classes), Floats{-0.1875});
  check_values(nn::BCEWithLogitsLoss({.pos_weight = weight})(input, one), Floats{1.439436693045});
  check_values(nn::KLDivLoss({.reduction = "batchmean"})(input, softmax(input, 1)),
               Floats{-1.545230715662});
  check_values(nn::HuberLoss({.delta = 0.5})(input, zero), Floats{0.255208333333});
  check_values(nn::SmoothL1Loss({.reduction = "sum", .beta = 0.5})(input, zero), Floats{3.0625});
  check_values(nn::MSELoss()(input, zero), Floats{0.729166666667});
  check_values(nn::L1Loss({.size_average = false})(input, zero), Floats{4.5});
  check_values(nn::BCELoss()(sigmoid(input), one), Floats{0.695939893309});
  CHECK(nn::CrossEntropyLoss({.weight = weight}).state_dict().keys() == Names{"weight"});
}

TEST_CASE("multi-head attention") {
  const Value none;
  {
    nn::MultiheadAttention m({.embed_dim = 4, .num_heads = 2, .batch_first = true});
    waved(m).eval();
    const Tensor q = wave({1, 2, 4});
    const Value r = m(q, q, q);
    check_values(r.items()[0].as<Tensor>(),
                 Floats{3.528388816185, -0.675823896693, 1.871504942341, 0.350548179213,
                        4.456880767078, -0.793226588786, 0.246517701763, 0.448178075674});
    check_values(r.items()[1].as<Tensor>(),
                 Floats{0.73736200759, 0.26263799241, 0.730387274019, 0.269612725981});
  }
  {
    nn::MultiheadAttention m({.embed_dim = 4,
                              .num_heads = 2,
                              .add_bias_kv = true,
                              .add_zero_attn = true,
                              .kdim = 3,
                              .vdim = 2});
    waved(m).eval();
    const Tensor padding = tensor_of<uint8_t>(std::vector<uint8_t>{0, 1, 0}, {1, 3}, {DType::b8});
    const Value r = m(Args{{wave({2, 1, 4}), wave({3, 1, 3}), wave({3, 1, 2})},
                           {{"key_padding_mask", padding}, {"average_attn_weights", false}}});
    check_values(r.items()[0].as<Tensor>(),
                 Floats{0.320860653934, 0.02181529262, 1.254074408287, 1.607791499163,
                        2.362402830516, 0.025351187189, -0.001754630275, 0.711533395817});
    check_values(r.items()[1].as<Tensor>(),
                 Floats{0.980998605141, 0, 0.005244006006, 0.001546851631, 0.012210537222,
                        3.4301482e-05,  0, 0.806461672109, 0.182477573012, 0.011026453397,
                        0.097123852909, 0, 0.349889726978, 0.408420649698, 0.144565770415,
                        0.001528826068, 0, 0.185878325657, 0.803537861224, 0.009054987051});
  }
  {
    nn::MultiheadAttention m(4, 2);
    waved(m).eval();
    const Tensor q = wave({3, 4}), mask = to(triu(ones({3, 3}), 1), DType::b8);
    const Value r = m(Args{{q, q, q}, {{"attn_mask", mask}, {"need_weights", false}}});
    check_values(r.items()[0].as<Tensor>(),
                 Floats{7.046875, -1.828125, 0.296875, -0.671875, 4.456880767078, -0.793226588786,
                        0.246517701763, 0.448178075674, -0.715436778762, -1.265360685603,
                        1.818706515982, -0.688360786012});
    CHECK(r.items()[1].is_none());
  }
}

TEST_CASE("dropout drops in training and scales the rest") {
  const Tensor x = ones({200, 50});
  nn::Dropout drop(0.2);
  const Floats v = floats(drop(x));
  int64_t zeros = 0;
  for (const double e : v) {
    if (e == 0) ++zeros;
    else REQUIRE(e == doctest::Approx(1.25));
  }
  CHECK(std::abs(static_cast<double>(zeros) - 2000) < 200);
  drop.eval();
  CHECK(drop(x).is_same(x));
  nn::Dropout2d channels(0.5);
  const Tensor y = channels(ones({20, 10, 2, 3}));
  for (const double channel : floats(sum(y, {2, 3}))) CHECK((channel == 0 || channel == 12));
  CHECK(std::abs(sum(y).item().d / 12 - 100) < 40);
  CHECK(error_of([] { nn::Dropout(1.5); }) ==
        "ValueError: dropout probability has to be between 0 and 1, but got 1.5");
}

TEST_CASE("layers refuse what PyTorch's constructors refuse") {
  CHECK(error_of([] {
          nn::Conv2d({.in_channels = 3, .out_channels = 4, .kernel_size = 3, .groups = 2});
        }) == "ValueError: in_channels must be divisible by groups");
  CHECK(error_of([] { nn::Conv2d(3, 4, 3, 2, "same"); }) ==
        "ValueError: padding='same' is not supported for strided convolutions");
  CHECK(error_of([] { nn::Conv2d(3, 4, 3, 1, "full"); }) ==
        "ValueError: Invalid padding string 'full', should be one of {'same', 'valid'}");
  CHECK(error_of([] { nn::Hardtanh(1, -1); }) ==
        "AssertionError: max_val (-1) must be greater than min_val (1)");
  CHECK(error_of([] {
          Registry<Module>::make("Linear", {{4, "x"}, {}});
        }).starts_with("TypeError: "));
  CHECK(error_of([] { nn::MultiheadAttention(5, 2); }) ==
        "AssertionError: embed_dim must be divisible by num_heads");
}

TEST_CASE("parameters start as PyTorch's") {
  auto within = [](const Tensor& t, double bound) {
    const Floats v = floats(t);
    const auto [low, high] = std::minmax_element(v.begin(), v.end());
    CHECK(*low >= -bound);
    CHECK(*high <= bound);
    CHECK(*low < -0.95 * bound);
    CHECK(*high > 0.95 * bound);
  };
  nn::Linear linear(100, 400);
  within(*linear.weight, 0.1);
  within(*linear.bias, 0.1);
  nn::Conv2d conv({.in_channels = 8, .out_channels = 300, .kernel_size = 5, .groups = 2});
  within(*conv.weight, 0.1);
  within(*conv.bias, 0.1);
  nn::Bilinear bilinear(25, 10, 40);
  within(*bilinear.weight, 0.2);
  nn::MultiheadAttention attention(64, 2);
  within(*attention.in_proj_weight, std::sqrt(6.0 / 256));
  CHECK(floats(*attention.in_proj_bias) == Floats(192, 0));
  CHECK(floats(*attention.out_proj->bias) == Floats(64, 0));
  const Floats normal = floats(*nn::Embedding(200, 50).weight);
  double square = 0;
  for (const double v : normal) square += v * v / 10000;
  CHECK(square == doctest::Approx(1).epsilon(0.05));
  CHECK(floats(*nn::PReLU().weight) == Floats{0.25});
  nn::BatchNorm1d bn(2);
  CHECK(floats(*bn.weight) == Floats{1, 1});
  CHECK(floats(*bn.bias) == Floats{0, 0});
  CHECK(floats(*bn.running_var) == Floats{1, 1});
}

TEST_CASE("initialize draws each parameter from its path's stream") {
  auto build = [](bool wider) {
    auto net = make_ref<nn::Sequential>();
    if (wider) net->add_module("first", make_ref<nn::Linear>(8, 8));
    net->add_module("fc", make_ref<nn::Linear>(8, 4));
    return net;
  };
  const auto a = build(false), b = build(true);
  initialize(*a, 3);
  initialize(*b, 3);
  CHECK(floats(a->get_parameter("fc.weight")) == floats(b->get_parameter("fc.weight")));
  CHECK(floats(b->get_parameter("first.bias")) != floats(b->get_parameter("fc.bias")));
  const Floats before = floats(a->get_parameter("fc.weight"));
  initialize(*a, 4);
  CHECK(floats(a->get_parameter("fc.weight")) != before);
}

TEST_CASE("layers are made on the meta device and made real later") {
  Ref<nn::Sequential> net;
  {
    const ConstructionGuard meta({.device = {DeviceType::meta}, .defer_init = true});
    net = make_ref<nn::Sequential>(make_ref<nn::Conv2d>(1, 4, 3), make_ref<nn::BatchNorm2d>(4),
                                   make_ref<nn::ReLU>(), make_ref<nn::Flatten>(),
                                   make_ref<nn::Linear>(16, 2));
  }
  CHECK(net->get_parameter("0.weight").is_meta());
  CHECK((*net)(empty({5, 1, 4, 4}, {DType::f32, {DeviceType::meta}})).shape() == Shape{5, 2});
  net->to_empty({});
  initialize(*net, 0);
  CHECK((*net)(ones({5, 1, 4, 4})).shape() == Shape{5, 2});
  CHECK(floats(net->get_buffer("1.running_var")).size() == 4);
  const ConstructionGuard half({.dtype = DType::bf16});
  CHECK(nn::Linear(2, 2).weight->dtype() == DType::bf16);
}

TEST_CASE("a network of a user's own trains") {
  struct Net : Module {
    Child<nn::Linear> fc1 = register_module("fc1", make_ref<nn::Linear>(2, 8));
    Child<nn::Linear> fc2 = register_module("fc2", make_ref<nn::Linear>(8, 1));
    using Module::forward;
    Tensor forward(const Tensor& x) override { return fc2(tanh(fc1(x))); }
  } net;
  initialize(net, 1);
  const Tensor x = tensor_of<double>(Floats{0, 0, 0, 1, 1, 0, 1, 1}, {4, 2}, {});
  const Tensor y = tensor_of<double>(Floats{0, 1, 1, 0}, {4, 1}, {});
  nn::MSELoss criterion;
  double loss = 0;
  for (int step = 0; step < 600; ++step) {
    net.zero_grad();
    const Tensor l = criterion(net(x), y);
    loss = l.item().d;
    l.backward();
    const NoGradGuard no_grad;
    for (const Tensor& p : net.parameters()) add_(p, p.grad(), -0.1);
  }
  CHECK(loss < 1e-4);
  CHECK(net.repr() == R"(Net(
  (fc1): Linear(in_features=2, out_features=8, bias=True)
  (fc2): Linear(in_features=8, out_features=1, bias=True)
))");
}

TEST_CASE("a transposed convolution is told the size of its output") {
  nn::ConvTranspose2d up(1, 1, 3, {.stride = 2, .padding = 1});
  const Tensor x = ones({1, 1, 4, 5});
  auto size = [&](const std::vector<int64_t>& output_size) {
    return up.forward(x, output_size).shape();
  };
  CHECK(up(x).shape() == Shape{1, 1, 7, 9});
  CHECK(size({8, 9}) == Shape{1, 1, 8, 9});
  CHECK(size({1, 1, 8, 10}) == Shape{1, 1, 8, 10});
  const Value asked = Value::tuple({7, 10});
  CHECK(up(Args{{ones({1, 4, 5})}, {{"output_size", asked}}}).as<Tensor>().shape() ==
        Shape{1, 7, 10});
  CHECK(error_of([&] {
          size({6, 9});
        }) ==
        "ValueError: requested an output size of [6, 9], but valid sizes range from [7, 9] to "
        "[8, 10] (for an input of torch.Size([4, 5]))");
  CHECK(error_of([&] { size({9}); }) ==
        "ValueError: ConvTranspose2D: for 4D input, output_size must have 2 or 4 elements (got 1)");
  nn::Sequential chain(deepcopy(up), nn::ReLU());
  CHECK(chain(x).shape() == Shape{1, 1, 7, 9});
}

TEST_CASE("a transposed convolution refuses what PyTorch's refuses") {
  CHECK(error_of([] { nn::ConvTranspose2d(1, 1, 3, {.padding_mode = "reflect"}); }) ==
        "ValueError: Only \"zeros\" padding mode is supported for ConvTranspose2d");
  CHECK(error_of([] { nn::ConvTranspose2d(3, 4, 3, {.groups = 2}); }) ==
        "ValueError: in_channels must be divisible by groups");
  CHECK(error_of([] { nn::ConvTranspose1d(4, 3, 3, {.groups = 2}); }) ==
        "ValueError: out_channels must be divisible by groups");
}

TEST_CASE("attention refuses shapes and masks that do not fit, in PyTorch's words") {
  nn::MultiheadAttention m(4, 2), other({.embed_dim = 4, .num_heads = 2, .kdim = 3, .vdim = 5});
  auto error = [](Module& module, const Values& qkv, Items options = {}) {
    return error_of([&] { module(Args{qkv, std::move(options)}); });
  };
  const Tensor x = ones({2, 1, 4}), flat = ones({2, 4});
  CHECK(error(m, {x, ones({3, 1, 4}), x}) ==
        "AssertionError: key shape torch.Size([3, 1, 4]) does not match value shape torch.Size([2, "
        "1, 4])");
  CHECK(error(other, {x, ones({3, 1, 3}), ones({2, 1, 5})}) ==
        "AssertionError: key's sequence and batch dims torch.Size([3, 1]) do not match value's "
        "torch.Size([2, 1])");
  CHECK(error(m, {x, x, x}, {{"attn_mask", ones({3, 3})}}) ==
        "RuntimeError: The shape of the 2D attn_mask is torch.Size([3, 3]), but should be (2, 2).");
  CHECK(error(m, {x, x, x}, {{"attn_mask", ones({3, 3, 3})}}) ==
        "RuntimeError: The shape of the 3D attn_mask is torch.Size([3, 3, 3]), but should be (2, "
        "2, 2).");
  CHECK(error(m, {x, x, x}, {{"attn_mask", ones({3})}}) ==
        "AssertionError: For batched (3-D) `query`, expected `attn_mask` to be `None`, 2-D or 3-D "
        "but found 1-D tensor instead");
  CHECK(error(m, {x, x, x}, {{"attn_mask", ones({2, 2}, {DType::i64})}}) ==
        "AssertionError: only bool and floating types of attn_mask are supported");
  CHECK(error(m, {x, x, x}, {{"key_padding_mask", ones({3, 3})}}) ==
        "AssertionError: Expected key_padded_mask.shape[0] to be 1, but got 3");
  CHECK(error(m, {x, x, x}, {{"key_padding_mask", ones({1, 3})}}) ==
        "AssertionError: Expected key_padded_mask.shape[1] to be 2, but got 3");
  CHECK(error(m, {flat, flat, flat}, {{"key_padding_mask", ones({2, 2})}}) ==
        "AssertionError: For unbatched (2-D) `query`, expected `key_padding_mask` to be `None` or "
        "1-D but found 2-D tensor instead");
  CHECK(error(m, {x, x, x}, {{"is_causal", true}}) ==
        "RuntimeError: Need attn_mask if specifying the is_causal hint. You may use the "
        "Transformer module method `generate_square_subsequent_mask` to create this mask.");
}

TEST_SUITE_END();
