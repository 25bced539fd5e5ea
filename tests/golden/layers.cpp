// Layers and losses against PyTorch: what they print, the keys of their state, outputs, gradients
// and buffers of every case of scripts/golden_layers.py.
#include <doctest/doctest.h>

#include "golden/golden.h"
#include "nnm/nn/construct.h"
#include "nnm/ops/ops.h"

using namespace nnm;
using namespace nnm::golden;

namespace {

std::string lines(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& t : texts) out += (out.empty() ? "" : "\n") + t;
  return out;
}

/// The numbers that write_layers gave to parameters, statistics and what norms keep.
void set_parameters(Module& module, const std::string& key) {
  const StateDict state = module.state_dict();
  for (const auto& [name, value] : state) {
    const Tensor t = value.as<Tensor>();
    const bool variance = name.ends_with("running_var");
    bool kept = false;
    for (const char* end : {"running_mean", "._u", "._v", ".base"}) kept |= name.ends_with(end);
    bool is_parameter = false;
    for (const auto& [parameter, tensor] : module.named_parameters("", true, false)) {
      is_parameter |= parameter == name;
    }
    if (!variance && !kept && !is_parameter) continue;
    std::vector<double> v = uniform(key + "\n" + name, t.numel());
    for (double& x : v) x += variance ? 0.5 : -0.5;
    copy_(t, tensor_of<double>(v, t.shape(), t.options()));
  }
}

struct Case {
  const io::H5Reader& file;
  const io::H5Node& node;
  std::string constructor, call;

  void run(const Variant& variant) const {
    const ConstructionGuard guard({.dtype = variant.dtype});
    Items inputs = make_inputs(constructor + "\n" + call, text_of(file, node, "inputs"), variant);
    const auto module = CallText(constructor, inputs).value().as<Ref<Module>>();
    CHECK(module->repr() == text_of(file, node, "repr"));
    CHECK(lines(module->state_dict().keys()) == text_of(file, node, "keys"));
    set_parameters(*module, constructor);
    std::string text = call;
    if (text.starts_with("m.eval()")) {
      module->eval();
      text.erase(1, 7);
    }
    Items names = inputs;
    names.emplace_back("m", module);
    const Tensors outputs = flatten(CallText(text, names).value());
    backpropagate(outputs);
    compare(outputs, inputs, *module);
  }

  void compare(const Tensors& outputs, const Items& inputs, Module& module) const {
    size_t compared = 0;
    const auto same = [&](const std::string& name, const Tensor& t) {
      CAPTURE(name);
      compared += node.find(name) != nullptr;
      CHECK(difference(t, file, node, name) == "");
    };
    for (size_t i = 0; i < outputs.size(); ++i) same(fmt::format("out{}", i), outputs[i]);
    for (const auto& [name, value] : inputs) same("grad." + name, value.as<Tensor>().grad());
    for (const auto& [name, p] : module.named_parameters()) same("grad.m." + name, p.grad());
    for (const auto& [name, b] : module.named_buffers()) same("buffer." + name, b);
    CHECK(compared == node.children.size());
  }
};

}  // namespace

TEST_SUITE_BEGIN("golden");

TEST_CASE("golden: layers compute and print what PyTorch's do") {
  const io::H5Reader file = open("layers");
  for (const io::H5Node& node : file.root().children) {
    const std::string constructor = text_of(file, node, "constructor");
    CAPTURE(constructor);
    try {
      if (file.has_attribute(node, "call")) {
        for (const Variant& variant : kVariants) {
          CAPTURE(variant.name);
          const std::string call = text_of(file, node, "call");
          CAPTURE(call);
          Case{file, node, constructor, call}.run(variant);
        }
      } else {
        const auto module = CallText(constructor, {}).value().as<Ref<Module>>();
        CHECK(module->repr() == text_of(file, node, "repr"));
        CHECK(lines(module->state_dict().keys()) == text_of(file, node, "keys"));
      }
    } catch (const Error& e) {
      FAIL_CHECK(std::string(e.what()));
    }
  }
}

TEST_CASE("golden: every layer has a case") {
  const io::H5Reader file = open("layers");
  std::string all;
  for (const io::H5Node& node : file.root().children) {
    all += text_of(file, node, "constructor") + "\n";
  }
  for (const std::string& name : Registry<Module>::names()) {
    CAPTURE(name);
    CHECK(all.find(name + "(") != std::string::npos);
  }
}

TEST_SUITE_END();
