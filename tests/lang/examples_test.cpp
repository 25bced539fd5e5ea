// The examples of the language's description, as they stand.
#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "lang/model_support.h"
#include "nnm/ops/ops.h"
#include "support/paths.h"

using namespace nnm;
using namespace nnm::lang;
using nnm::testing::count_parameters;
using nnm::testing::ParsedModel;

namespace {

std::string example(const std::string& name) {
  const std::string path = nnm::testing::source_dir() + "/tests/lang/examples/" + name + ".yaml";
  std::ifstream in(path);
  REQUIRE_MESSAGE(in.good(), path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

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
