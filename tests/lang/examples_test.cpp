// The examples of the language's description, as they stand.
#include <doctest/doctest.h>

#include "lang/model_support.h"
#include "nnm/ops/ops.h"

using namespace nnm;
using namespace nnm::lang;
using nnm::testing::count_parameters;
using nnm::testing::example;
using nnm::testing::ParsedModel;

TEST_SUITE_BEGIN("lang");

TEST_CASE("examples: MLP") {
  const ParsedModel p(example("mlp"), "mlp.yaml");
  const Model m = p.meta();
  CHECK(m.module->type_name() == "MLP");
  std::vector<std::string> names;
  for (const auto& [name, t] : m.module->named_parameters()) names.push_back(name);
  CHECK(names == std::vector<std::string>{"linear_0.weight", "linear_0.bias", "linear_1.weight",
                                          "linear_1.bias", "linear_2.weight", "linear_2.bias",
                                          "head.weight", "head.bias"});
  CHECK(m.inputs.size() == 1);
  CHECK(m.inputs[0].names[0] == "B");
  CHECK(m.inputs[0].dims == std::vector<int64_t>{-1, 1, 28, 28});
}

TEST_CASE("examples: ResNet") {
  const Model m18 = ParsedModel(example("resnet18")).meta();
  CHECK(count_parameters(*m18.module) == 11'689'512);
  CHECK(m18.module->named_parameters().size() == 62);
  const ParsedModel p34(example("resnet18"), "resnet.yaml", {"vars.depths=[3,4,6,3]"});
  const Model m34 = p34.meta();
  CHECK(count_parameters(*m34.module) == 21'797'672);
}

TEST_CASE("examples: GPT-2") {
  const Model m = ParsedModel(example("gpt2")).meta();
  CHECK(count_parameters(*m.module) == 124'439'808);
  const ParsedModel medium(example("gpt2"), "gpt2.yaml",
                           {"vars.n_layer=24", "vars.d=1024", "vars.n_head=16"});
  CHECK(count_parameters(*medium.meta().module) == 354'823'168);
}

TEST_CASE("examples: names are those of torchvision's resnet18 and of GPT-2, in order") {
  std::vector<std::string> resnet;
  const auto norm = [&](const std::string& bn) {
    for (const char* t : {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"})
      resnet.push_back(bn + "." + t);
  };
  resnet.push_back("conv1.weight");
  norm("bn1");
  for (int layer = 1; layer <= 4; ++layer) {
    for (int block = 0; block < 2; ++block) {
      const std::string p = fmt::format("layer{}.{}.", layer, block);
      resnet.push_back(p + "conv1.weight");
      norm(p + "bn1");
      resnet.push_back(p + "conv2.weight");
      norm(p + "bn2");
      if (layer > 1 && block == 0) {
        resnet.push_back(p + "downsample.0.weight");
        norm(p + "downsample.1");
      }
    }
  }
  resnet.push_back("fc.weight");
  resnet.push_back("fc.bias");
  CHECK(ParsedModel(example("resnet18")).meta().module->state_dict().keys() == resnet);

  std::vector<std::string> gpt = {"transformer.wte.weight", "transformer.wpe.weight"};
  for (int i = 0; i < 12; ++i) {
    for (const char* m : {"ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"}) {
      for (const char* t : {"weight", "bias"})
        gpt.push_back(fmt::format("transformer.h.{}.{}.{}", i, m, t));
    }
  }
  for (const char* n : {"transformer.ln_f.weight", "transformer.ln_f.bias", "lm_head.weight"})
    gpt.push_back(n);
  CHECK(ParsedModel(example("gpt2")).meta().module->state_dict().keys() == gpt);
}

TEST_CASE("examples: GPT-2 is initialised and tied by its rules") {
  const ParsedModel p(example("gpt2"), "gpt2.yaml",
                      {"vars.vocab=500", "vars.n_layer=2", "vars.d=128", "vars.n_head=4"});
  const Model m = p.build({.seed = 3});
  const auto deviation = [&](const char* name) {
    return nnm::std(m.module->get_parameter(name)).item().d;
  };
  CHECK(deviation("transformer.wte.weight") == doctest::Approx(0.02).epsilon(0.03));
  CHECK(deviation("transformer.h.1.attn.c_attn.weight") == doctest::Approx(0.02).epsilon(0.03));
  CHECK(deviation("transformer.h.1.mlp.c_proj.weight") == doctest::Approx(0.01).epsilon(0.03));
  CHECK(deviation("transformer.h.0.attn.c_attn.bias") == 0);
  CHECK(m.module->get_parameter("lm_head.weight")
            .is_same(m.module->get_parameter("transformer.wte.weight")));
}

TEST_CASE("examples: all forms of a class at once") {
  const ParsedModel p(example("all_forms"));
  CHECK(p.check().output.find("out")->as<Tensor>().shape().str() == "[2, 32, 4]");
  const Model m = p.build();
  m.module->train();
  const Tensor x = randn({2, 5, 4});
  const Value out = (*m.module)(Args{{x}, {{"m", ones({2, 5})}}});
  CHECK(out.find("out")->as<Tensor>().shape().str() == "[2, 10, 4]");
  CHECK(out.find("n")->integer() == 5);
  CHECK(m.module->get_buffer("count").item().i == 1);
  sum(out.find("out")->as<Tensor>()).backward();
  for (const auto& [name, t] : m.module->named_parameters()) {
    CAPTURE(name);
    // `freeze: lin_0`; of the b_… forward reads the first alone.
    const bool unused = name == "b_1" || name == "b_2" || name.starts_with("lin_0.");
    CHECK(t.grad().defined() != unused);
  }
  CHECK(m.module->child("twin") == m.module->child("lin_0"));
  CHECK(m.module->get_parameter("cells.0.ih.weight")
            .is_same(m.module->get_parameter("cells.1.ih.weight")));
  // A size known only while running drives the loop: another length needs no new build.
  CHECK((*m.module)(Args{{randn({1, 3, 4})}, {}}).find("n")->integer() == 3);
}

TEST_CASE("examples: Siamese and the smallest file") {
  const Model m = ParsedModel(example("siamese")).meta();
  CHECK(m.inputs.size() == 2);
  const Model small = ParsedModel(example("smallest")).meta();
  std::vector<std::string> names;
  for (const auto& [name, child] : small.module->named_children()) names.push_back(name);
  CHECK(names ==
        std::vector<std::string>{"0", "linear_0", "2", "linear_1", "4", "linear_2", "6", "7"});
}

TEST_SUITE_END();
