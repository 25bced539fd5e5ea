// Recurrent layers against PyTorch's values, in float64 with parameters of `wave` / 4.
#include "nnm/nn/layers/rnn.h"
#include "nn/modules.h"
#include "nnm/ops/autocast.h"

using namespace nnm;
using namespace nnm::test;

TEST_SUITE_BEGIN("nn");

namespace {

Tensor part(const Value& v, size_t i) { return v.items()[i].as<Tensor>(); }

}  // namespace

TEST_CASE("LSTM") {
  const Tensor x = wave({3, 2, 2});
  nn::LSTM m({.input_size = 2, .hidden_size = 3, .num_layers = 2, .bidirectional = true});
  const Value r = waved(m, 0.25)(Args{{x}, {}});
  check_values(
      part(r, 0),
      Floats{0.147070209922,  0.050225765822,  -0.062483997876, 0.294908757855,  0.087108239324,
             -0.10063088562,  0.157683152258,  0.052681210751,  -0.068785120139, 0.312264384121,
             0.091167967477,  -0.113043040502, 0.243341987827,  0.082940554035,  -0.095249868658,
             0.241517608986,  0.088549795861,  -0.09467247443,  0.254646106599,  0.082747145632,
             -0.105966877427, 0.255076364597,  0.090038046655,  -0.106164374952, 0.292764869868,
             0.097569909891,  -0.097936494049, 0.143236790408,  0.062174581245,  -0.060321703149,
             0.301392655376,  0.097711157137,  -0.109191052853, 0.152256495911,  0.064947006114,
             -0.067382725161});
  check_values(
      part(r.items()[1], 0),
      Floats{0.210537202688,  0.006534662237,  -0.043662843082, 0.280873741664,  0.085593336108,
             -0.120899015088, 0.207063810224,  -0.020527668869, -0.051269672348, 0.232019887247,
             0.155428695936,  -0.021912778642, 0.292764869868,  0.097569909891,  -0.097936494049,
             0.301392655376,  0.097711157137,  -0.109191052853, 0.294908757855,  0.087108239324,
             -0.10063088562,  0.312264384121,  0.091167967477,  -0.113043040502});
  check_values(
      part(r.items()[1], 1),
      Floats{0.393956043032,  0.014637145556, -0.095323796221, 0.443757228277,  0.171666259254,
             -0.381399134152, 0.379969810045, -0.047542856381, -0.110976567616, 0.444121447146,
             0.331772061419,  -0.0479248215,  0.517398546683,  0.205470472684,  -0.274513618859,
             0.547736626274,  0.205077864951, -0.303072403138, 0.52071513068,   0.184877749694,
             -0.271301688871, 0.547404464309, 0.186227688708,  -0.298288327714});
  sum(part(r, 0)).backward();
  check_values(
      m.get_parameter("weight_hh_l0_reverse").grad(),
      Floats{0.016471654311,  0.003377881837,  -0.006737748167, 6.7659287e-05,   -1.6878439e-05,
             -3.7232965e-05,  -0.003571221786, 0.00133470023,   0.001005154363,  0.007842519516,
             0.002866111345,  -0.003244314698, -0.00010697022,  -7.5459609e-05,  4.8934725e-05,
             -0.006147760905, -0.002839968003, 0.003232232195,  0.039145039806,  0.014375197819,
             -0.01611187658,  -0.001101833144, -0.000853694195, 0.000487977135,  0.043356239899,
             0.015560222731,  -0.018539674365, 0.019995902889,  0.007911641916,  -0.008616417132,
             -2.0031318e-05,  -0.000163034444, -6.50331e-06,    -0.008917220877, -0.001089776158,
             0.003888159247});

  nn::LSTM projected({.input_size = 2, .hidden_size = 3, .batch_first = true, .proj_size = 2});
  const Value p = waved(projected, 0.25)(x, Value::tuple({wave({1, 3, 2}), wave({1, 3, 3})}));
  check_values(part(p, 0), Floats{0.072593537184, -0.076521103025, 0.042504633099, -0.006410674512,
                                  -0.072026918739, 0.229768325639, -0.063606237593, 0.243979892265,
                                  -0.087694615821, 0.205985309731, -0.097670664054, 0.20014617223});
  check_values(part(p.items()[1], 1), Floats{-0.109680564369, 0.324639109241, 0.050104140569,
                                             1.198093562169, 0.627814881184, -0.268789926742,
                                             0.891469022057, 0.105297648212, -0.456859243118});
}

TEST_CASE("GRU and RNN") {
  const Tensor x = wave({3, 2, 2});
  nn::GRU gru(2, 3);
  const Value g = waved(gru, 0.25)(x, wave({1, 2, 3}));
  check_values(part(g, 0), Floats{-0.52907160441, 0.296589290415, 0.063481625731, 1.223219105824,
                                  0.346106997622, -0.02531059972, -0.199466300433, 0.239281566846,
                                  -0.19177935429, 1.096940055007, 0.410138708804, -0.196253863087,
                                  -0.052526955237, 0.106505289289, 0.044316231076, 0.916862952909,
                                  0.164063858457, -0.35604366357});
  sum(part(g, 0)).backward();
  check_values(
      gru.get_parameter("bias_hh_l0").grad(),
      Floats{0.099016883898, -0.054829337518, -0.068045075454, -0.146556680772, 0.862439018706,
             -0.206843549674, 1.134581161915, 2.235178692342, 2.401213373212});
  nn::RNN rnn({.input_size = 2, .hidden_size = 3, .nonlinearity = "relu", .bidirectional = true});
  const Value r = waved(rnn, 0.25)(Args{{wave({3, 2})}, {}});
  check_values(part(r, 0),
               Floats{0, 0.71875, 0, 0.072998046875, 0.84033203125, 0, 0, 1.04296875, 0, 0,
                      0.97265625, 0, 0, 0.28662109375, 0.065185546875, 0, 0.15625, 0});
  check_values(part(r, 1),
               Floats{0, 0.28662109375, 0.065185546875, 0.072998046875, 0.84033203125, 0});
}

TEST_CASE("recurrent layers refuse what PyTorch's do") {
  const Tensor x = wave({3, 2, 2});
  auto call = [](Module& m, const Args& a) {
    m.to_double();
    return error_of([&] { m(a); });
  };
  nn::LSTM lstm(2, 3);
  nn::GRU gru(2, 3);
  CHECK(call(lstm, {{wave({3})}, {}}) ==
        "ValueError: LSTM: Expected input to be 2D or 3D, got 1D instead");
  CHECK(call(lstm, {{wave({3, 2, 5})}, {}}) ==
        "RuntimeError: input.size(-1) must be equal to input_size. Expected 2, got 5");
  CHECK(call(gru, {{x, wave({1, 1, 3})}, {}}) ==
        "RuntimeError: Expected hidden size (1, 2, 3), got [1, 1, 3]");
  CHECK(call(lstm, {{x, Value::tuple({wave({1, 1, 3}), wave({1, 2, 3})})}, {}}) ==
        "RuntimeError: Expected hidden[0] size (1, 2, 3), got [1, 1, 3]");
  CHECK(call(gru, {{wave({3, 2}), wave({1, 2, 3})}, {}}) ==
        "RuntimeError: For unbatched 2-D input, hx should also be 2-D but got 3-D tensor");
  for (Module* m : std::initializer_list<Module*>{&lstm, &gru})
    CHECK(call(*m, {{to(x, DType::f32)}, {}}) ==
          "ValueError: RNN input dtype (torch.float32) does not match weight dtype "
          "(torch.float64). Convert input: input.to(torch.float64), or convert model: "
          "model.to(torch.float32)");
  {
    const AutocastGuard autocast(DType::bf16);
    nn::LSTM own(2, 3);
    Module& any = own;
    const Args args{{to(x, DType::bf16)}, {}};
    CHECK(error_of([&] { any(args); }) == "");
  }
  CHECK(error_of([] { nn::LSTM(2, 0); }) == "ValueError: hidden_size must be greater than zero");
  CHECK(error_of([] { nn::LSTM(2, 3, 0); }) == "ValueError: num_layers must be greater than zero");
  CHECK(error_of([] { nn::LSTM({.input_size = 2, .hidden_size = 3, .proj_size = 3}); }) ==
        "ValueError: proj_size has to be smaller than hidden_size");
  CHECK(error_of([] { nn::GRU({.input_size = 2, .hidden_size = 3, .dropout = 1.5}); }) ==
        "ValueError: dropout should be a number in range [0, 1] representing the probability of an "
        "element being zeroed");
}

TEST_SUITE_END();
