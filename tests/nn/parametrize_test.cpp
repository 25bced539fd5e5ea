// Parametrizations and torch.nn.utils. Numbers and texts are PyTorch's for the same waves.
#include "nn/modules.h"
#include "nnm/nn/construct.h"
#include "nnm/nn/utils.h"
#include "nnm/ops/linalg.h"
#include "support/gradcheck.h"

using namespace nnm;
using namespace nnm::test;
namespace utils = nnm::nn::utils;
namespace parametrize = nnm::nn::utils::parametrize;
namespace parametrizations = nnm::nn::utils::parametrizations;

namespace {

struct Symmetric : parametrize::Parametrization {
  using Module::forward;
  Tensor forward(const Tensor& x) override { return triu(x) + t(triu(x, 1)); }
  Value right_inverse(const Tensor& a) override { return triu(a); }
  Ref<Module> copied() const override { return make_ref<Symmetric>(*this); }
};

/// Counts how often it is asked; no way back.
struct Twice : Module {
  using Module::forward;
  Tensor forward(const Tensor& x) override {
    ++calls;
    return x * 2;
  }
  int calls = 0;
};

struct Rank : parametrize::Parametrization {
  Value forward(const Args& a) override { return outer(arg(a, 0), arg(a, 1)); }
  Value right_inverse(const Tensor& z) override {
    return Value::tuple({clone(select(z, 1, 0)), clone(select(z, 0, 0))});
  }
};

struct Wide : Module {
  using Module::forward;
  Tensor forward(const Tensor& x) override { return cat({x, x}); }
};

struct Short : Module {
  using Module::forward;
  Tensor forward(const Tensor& x) override { return nnm::to(x, DType::f32); }
};

Ref<nn::Linear> waved_linear(int64_t in, int64_t out) {
  auto m = make_ref<nn::Linear>(in, out);
  waved(*m);
  return m;
}

}  // namespace

TEST_SUITE_BEGIN("nn parametrize");

TEST_CASE("a parametrized weight is computed of its original, and prints as PyTorch's") {
  const auto m = waved_linear(3, 3);
  parametrize::register_parametrization(*m, "weight", Symmetric());
  CHECK(m->repr() ==
        "ParametrizedLinear(\n  in_features=3, out_features=3, bias=True\n"
        "  (parametrizations): ModuleDict(\n    (weight): ParametrizationList(\n"
        "      (0): Symmetric()\n    )\n  )\n)");
  check_values(m->weight, {-1, .75, -.25, .75, .5, -.5, -.25, -.5, -.75});
  CHECK(names(m->named_parameters()) == Names{"bias", "parametrizations.weight.original"});
  CHECK(m->state_dict().keys() == Names{"bias", "parametrizations.weight.original"});
  CHECK(names(m->named_modules()) ==
        Names{"", "parametrizations", "parametrizations.weight", "parametrizations.weight.0"});
  CHECK(parametrize::is_parametrized(*m));
  CHECK(parametrize::is_parametrized(*m, "weight"));
  CHECK_FALSE(parametrize::is_parametrized(*m, "bias"));
  CHECK(parametrize::type_before_parametrizations(*m) == "Linear");
  CHECK(error_of([&] { (void)m->get_parameter("weight"); }) ==
        "AttributeError: `weight` is not an nn.Parameter");
}

TEST_CASE("a value assigned goes to the original, where there is a way back") {
  const auto m = waved_linear(3, 3);
  parametrize::register_parametrization(*m, "weight", make_ref<Symmetric>());
  const Tensor original = m->get_parameter("parametrizations.weight.original");
  m->set_attribute("weight", wave({3, 3}) * 2.0);
  check_values(m->weight, {-2, 1.5, -.5, 1.5, 1, -1, -.5, -1, -1.5});
  check_values(original, {-2, 1.5, -.5, 0, 1, -1, 0, 0, -1.5});
  parametrize::register_parametrization(*m, "weight", make_ref<Twice>());
  check_values(m->weight, {-4, 3, -1, 3, 2, -2, -1, -2, -3});
  CHECK(error_of([&] {
          m->set_attribute("weight", wave({3, 3}));
        }) == "RuntimeError: parametrization Twice does not implement right_inverse.");
}

TEST_CASE("what changes the shape or the type is refused in PyTorch's words") {
  const auto m = waved_linear(2, 2);
  const auto refused = [&](Ref<Module> p, const std::string& name = "weight") {
    return error_of([&] { parametrize::register_parametrization(*m, name, p); });
  };
  CHECK(refused(make_ref<Wide>()) ==
        "ValueError: Registering a parametrization may not change the shape of the tensor, unless "
        "`unsafe` flag is enabled.\nunparametrized shape: torch.Size([2, 2])\nparametrized shape: "
        "torch.Size([4, 2])");
  CHECK(refused(make_ref<Short>()) ==
        "ValueError: Registering a parametrization may not change the dtype of the tensor, unless "
        "`unsafe` flag is enabled.\nunparametrized dtype: torch.float64\nparametrized dtype: "
        "torch.float32");
  CHECK(refused(make_ref<Wide>(), "foo") ==
        "ValueError: Module 'Linear(in_features=2, out_features=2, bias=True)' does not have a "
        "parameter, a buffer, or a parametrized element with name 'foo'");
  CHECK(m->repr() == "Linear(in_features=2, out_features=2, bias=True)");
  parametrize::register_parametrization(*m, "weight", make_ref<Symmetric>());
  CHECK(refused(make_ref<Wide>()) ==
        "ValueError: Registering a parametrization may not change the shape of the tensor, unless "
        "the `unsafe` flag is enabled.\nmodule.weight.shape: torch.Size([2, 2])\n"
        "parametrization(module.weight).shape: torch.Size([4, 2])");
  CHECK(refused(make_ref<Short>()) ==
        "ValueError: Registering a parametrization may not change the dtype of the tensor, unless "
        "the `unsafe` flag is enabled.\nmodule.weight.dtype: torch.float64\n"
        "parametrization(module.weight).dtype: torch.float32");
  parametrize::register_parametrization(*m, "weight", make_ref<Wide>(), true);
  CHECK(m->weight->shape() == Shape{4, 2});
}

TEST_CASE("a parametrization removed leaves its value or its original") {
  auto m = waved_linear(3, 3);
  const Tensor weight = m->weight;
  parametrize::register_parametrization(*m, "weight", make_ref<Symmetric>());
  CHECK(m->get_parameter("parametrizations.weight.original").is_same(weight));
  parametrize::remove_parametrizations(*m, "weight");
  CHECK(m->repr() == "Linear(in_features=3, out_features=3, bias=True)");
  CHECK(names(m->named_parameters()) == Names{"bias", "weight"});
  CHECK(m->weight->is_same(weight));
  check_values(m->weight, {-1, .75, -.25, .75, .5, -.5, -.25, -.5, -.75});
  CHECK(error_of([&] { parametrize::remove_parametrizations(*m, "weight"); }) ==
        "ValueError: Module Linear(in_features=3, out_features=3, bias=True) does not have a "
        "parametrization on weight");
  m = waved_linear(3, 3);
  parametrize::register_parametrization(*m, "weight", make_ref<Symmetric>());
  parametrize::remove_parametrizations(*m, "weight", false);
  check_values(m->weight, {-1, .75, -.25, 0, .5, -.5, 0, 0, -.75});
}

TEST_CASE("several originals") {
  const auto m = waved_linear(2, 2);
  parametrize::register_parametrization(*m, "weight", make_ref<Rank>(), true);
  CHECK(m->state_dict().keys() ==
        Names{"bias", "parametrizations.weight.original0", "parametrizations.weight.original1"});
  check_values(m->weight, {1, -.75, .25, -.1875});
  (*m)(wave({3, 2})).backward(ones({3, 2}, {DType::f64}));
  CHECK(m->get_parameter("parametrizations.weight.original0").grad().defined());
  CHECK(error_of([&] { parametrize::remove_parametrizations(*m, "weight", false); }) ==
        "ValueError: Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
        "parametrized in terms of a sequence of tensors.");
  parametrize::remove_parametrizations(*m, "weight");
  check_values(m->weight, {1, -.75, .25, -.1875});
  CHECK(is_parameter(m->weight));
}

TEST_CASE("a call computes once, readings outside each time, cached ones once") {
  const auto m = waved_linear(2, 2);
  const auto twice = make_ref<Twice>();
  parametrize::register_parametrization(*m, "weight", twice);
  twice->calls = 0;
  (*m)(wave({1, 2}));
  CHECK(twice->calls == 1);
  (void)m->weight.get();
  (void)m->weight.get();
  CHECK(twice->calls == 3);
  {
    const parametrize::Cached cached;
    (*m)(wave({1, 2}));
    const Tensor& w = m->weight;
    CHECK(m->weight->is_same(w));
    CHECK(twice->calls == 4);
  }
  CHECK(m->weight.defined());
  CHECK(twice->calls == 4);
}

TEST_CASE("a parametrized module is copied with its originals, and trains by them") {
  const auto m = waved_linear(2, 2);
  parametrize::register_parametrization(*m, "weight", make_ref<Symmetric>());
  const auto copy = deepcopy(m);
  const NoGradGuard no_grad;
  zero_(m->get_parameter("parametrizations.weight.original"));
  check_values(m->weight, {0, 0, 0, 0});
  check_values(copy->weight, {-1, .75, .75, 1.5});
  zero_(copy->get_parameter("parametrizations.weight.original"));
  check_values(copy->weight, {0, 0, 0, 0});
  m->to_float();
  CHECK(m->weight->dtype() == DType::f32);
  CHECK(copy->weight->dtype() == DType::f64);
}

TEST_CASE("weight_norm keeps the output, and loads the older states") {
  const auto m = waved_linear(4, 3);
  parametrizations::weight_norm(*m);
  check_values((*m)(wave({2, 4})), {2.875, -0.0625, -0.25, -1.8125, 2.875, -1.375});
  const StateDict old(Items{
      {"bias", wave({3})}, {"weight_g", ones({3, 1}, {DType::f64})}, {"weight_v", wave({3, 4})}});
  CHECK(m->load_state_dict(old).str() == "<All keys matched successfully>");
  check_values(m->weight,
               {-0.508000508000762, 0.38100038100057154, -0.1270001270001905, 0.7620007620011431,
                0.34299717028501764, -0.34299717028501764, 0.8574929257125441, 0.17149858514250882,
                -0.4685212856658182, 0.6246950475544243, 0.0, -0.6246950475544243});
}

TEST_CASE("spectral_norm divides by the largest singular value") {
  const auto m = waved_linear(4, 3);
  parametrizations::spectral_norm(*m);
  CHECK(m->state_dict().keys() == Names{"bias", "parametrizations.weight.original",
                                        "parametrizations.weight.0._u",
                                        "parametrizations.weight.0._v"});
  m->eval();
  const Floats s = floats(svdvals(m->weight.get().detach()));
  CHECK(s[0] == doctest::Approx(1).epsilon(1e-3));  // 15 iterations
  const Tensor u = m->get_buffer("parametrizations.weight.0._u");
  const Floats before = floats(u);
  (*m)(wave({1, 4}));
  CHECK(floats(u) == before);
  m->train();
  (*m)(wave({1, 4}));
  CHECK(floats(u) != before);
  const auto failed = [](const auto& f) { return error_of(f); };
  nn::Linear two(2, 2);
  CHECK(failed([&] { parametrizations::spectral_norm(two, "foo"); }) ==
        "ValueError: Module 'Linear(in_features=2, out_features=2, bias=True)' has no parameter or "
        "buffer with name 'foo'");
  CHECK(failed([&] { parametrizations::spectral_norm(two, "weight", 1, 1e-12, 3); }) ==
        "IndexError: Dimension out of range (expected to be in range of [-2, 1] but got 3)");
  CHECK(failed([&] { parametrizations::spectral_norm(two, "weight", 0); }) ==
        "ValueError: Expected n_power_iterations to be positive, but got n_power_iterations=0");
}

TEST_CASE("orthogonal starts at the nearest orthogonal matrix") {
  auto m = waved_linear(4, 3);
  parametrizations::orthogonal(*m, "weight", "", false);
  check_values(m->weight,
               {-0.5080005080007621, 0.38100038100057154, -0.12700012700019053, 0.7620007620011431,
                0.20765756021263446, -0.24515128636213768, 0.8565874358771168, 0.40377858930234456,
                -0.42122309153297804, 0.5800785153471183, 0.4980886191849813, -0.4878398821647142});
  m = waved_linear(3, 3);
  parametrizations::orthogonal(*m);
  const Floats start = {-0.4558423058385517, 0.8814834713971915,  -0.123266710272273,
                        0.6837634587578275,  0.4354739061882543,  0.5855168737932974,
                        0.5698028822981895,  0.18261808969184873, -0.8012336167697754};
  check_values(m->weight, start);
  CHECK(error_of([&] { parametrizations::orthogonal(*m, "bias"); }) ==
        "ValueError: Expected a matrix or batch of matrices. Got a tensor of 1 dimensions.");
  CHECK(error_of([&] { parametrizations::orthogonal(*m, "weight", "x"); }) ==
        "ValueError: orthogonal_map has to be one of \"matrix_exp\", \"cayley\", \"householder\". "
        "Got: x");
}

TEST_CASE("initialize draws what is parametrized as if it were not") {
  const auto drawn = [](const std::function<void(nn::Linear&)>& change) {
    const ConstructionGuard guard({.dtype = DType::f64, .defer_init = true});
    nn::Linear m(4, 3);
    change(m);
    initialize(m, 7);
    return m.weight.get().detach();
  };
  const Tensor plain = drawn([](nn::Linear&) {});
  const Tensor normed = drawn([](nn::Linear& m) { parametrizations::weight_norm(m); });
  CHECK(allclose(normed, plain));
  CHECK(allclose(drawn([](nn::Linear& m) { utils::weight_norm(m); }), plain));
  const auto spectral = [](nn::Linear& m) { parametrizations::spectral_norm(m).eval(); };
  const Tensor divided = drawn(spectral);
  CHECK(equal(divided, drawn(spectral)));
  CHECK(svdvals(divided).to_vector<double>()[0] == doctest::Approx(1).epsilon(1e-3));
  const Tensor rows = drawn([](nn::Linear& m) { parametrizations::orthogonal(m); });
  CHECK(allclose(matmul(rows, t(rows)), eye(3, -1, {DType::f64})));
}

TEST_CASE("the older norms have their parameters in the module") {
  auto m = waved_linear(4, 3);
  utils::weight_norm(*m);
  CHECK(m->repr() == "Linear(in_features=4, out_features=3, bias=True)");
  CHECK(m->state_dict().keys() == Names{"bias", "weight_g", "weight_v"});
  check_values((*m)(wave({2, 4})), {2.875, -0.0625, -0.25, -1.8125, 2.875, -1.375});
  check_values(m->get_parameter("weight_g"),
               {1.9685019685029528, 1.4577379737113252, 1.6007810593582121});
  CHECK(error_of([&] { utils::weight_norm(*m); }) ==
        "RuntimeError: Cannot register two weight_norm hooks on the same parameter weight");
  const auto copy = deepcopy(m);
  utils::remove_weight_norm(*m);
  check_values(m->weight, {-1, .75, -.25, 1.5, .5, -.5, 1.25, .25, -.75, 1, 0, -1});
  CHECK(names(m->named_parameters()) == Names{"bias", "weight"});
  CHECK(error_of([&] { utils::remove_weight_norm(*m); }) ==
        "ValueError: weight_norm of 'weight' not found in Linear(in_features=4, out_features=3, "
        "bias=True)");
  fill_(copy->get_parameter("weight_g").detach(), 0);
  check_values(copy->weight, Floats(12, 0));

  m = waved_linear(4, 3);
  utils::spectral_norm(*m);
  CHECK(m->state_dict().keys() == Names{"bias", "weight_orig", "weight_u", "weight_v"});
  CHECK(error_of([&] { utils::spectral_norm(*m); }) ==
        "RuntimeError: Cannot register two spectral_norm hooks on the same parameter weight");
  for (int i = 0; i < 30; ++i) (*m)(wave({1, 4}));
  CHECK(floats(svdvals(m->weight.get().detach()))[0] == doctest::Approx(1).epsilon(1e-6));
  utils::remove_spectral_norm(*m);
  CHECK(names(m->named_parameters()) == Names{"bias", "weight"});
  CHECK(error_of([&] { utils::remove_spectral_norm(*m); }) ==
        "ValueError: spectral_norm of 'weight' not found in Linear(in_features=4, out_features=3, "
        "bias=True)");
}

TEST_CASE("parameters to a vector and back") {
  const auto m = waved_linear(2, 2);
  const Tensor weight = m->weight;
  const Tensor v = utils::parameters_to_vector(m->parameters());
  check_values(v, {-1, .75, -.25, 1.5, -1, .75});
  CHECK(std::string(v.grad_fn_name()) == "CatBackward0");
  utils::vector_to_parameters(tensor({1, 2, 3, 4, 5, 6}, DType::f64), m->parameters());
  CHECK(m->weight->is_same(weight));
  check_values(m->weight, {1, 2, 3, 4});
  check_values(m->bias, {5, 6});
}

TEST_CASE("a batch norm fused into the layer before it") {
  nn::Conv2d conv(2, 3, 2, {.bias = false});
  nn::BatchNorm2d norm(3);
  waved(conv);
  waved(norm);
  copy_(norm.running_mean, wave({3}));
  copy_(norm.running_var, abs(wave({3})) + Scalar(0.5));
  CHECK(error_of([&] { (void)utils::fuse_conv_bn_eval(conv, norm); }) ==
        "RuntimeError: Fusion only for eval!");
  conv.eval();
  norm.eval();
  const auto fused = utils::fuse_conv_bn_eval(conv, norm);
  const Tensor x = wave({2, 2, 4, 4});
  CHECK(allclose((*fused)(x), norm(conv(x))));
  nn::ConvTranspose2d turned(2, 3, 2);
  waved(turned);
  turned.eval();
  CHECK(allclose((*utils::fuse_conv_bn_eval(turned, norm, true))(x), norm(turned(x))));
  nn::Linear linear(4, 3);
  nn::BatchNorm1d flat(3);
  waved(linear);
  waved(flat);
  linear.eval();
  flat.eval();
  const Tensor rows = wave({5, 4});
  CHECK(allclose((*utils::fuse_linear_bn_eval(linear, flat))(rows), flat(linear(rows))));
}

TEST_SUITE_END();
