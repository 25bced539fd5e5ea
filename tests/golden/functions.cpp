// Functions against PyTorch: outputs and gradients of every case of scripts/golden_functions.py.
#include "nnm/ops/function.h"

#include <doctest/doctest.h>

#include <cctype>
#include <map>
#include <set>

#include "golden/golden.h"

using namespace nnm;
using namespace nnm::golden;

namespace {

/// Why a function needs no case.
const std::map<std::string, std::string> kWithoutCase = {
    {"accuracy", "a metric, not PyTorch's: tests/lang"},
    {"eigh", "eigenvectors have any sign: tests/ops"},
    {"load", "reads a file: tests/lang"},
    {"mae", "a metric, not PyTorch's: tests/lang"},
    {"mse", "a metric, not PyTorch's: tests/lang"},
    {"svd", "singular vectors have any sign: tests/ops"},
    {"top_k_accuracy", "a metric, not PyTorch's: tests/lang"},
    {"zero", "clears parts of a tensor, for hooks: tests/lang"}};

/// The names in a text that are followed by a parenthesis.
std::vector<std::string> called(const std::string& text) {
  std::vector<std::string> names;
  for (size_t end = text.find('('); end != std::string::npos; end = text.find('(', end + 1)) {
    size_t begin = end;
    while (begin > 0 && (std::isalnum(text[begin - 1]) || text[begin - 1] == '_')) --begin;
    const bool method = begin > 0 && text[begin - 1] == '.';
    names.push_back((method ? "Tensor." : "") + text.substr(begin, end - begin));
  }
  return names;
}

}  // namespace

TEST_SUITE_BEGIN("golden");

TEST_CASE("golden: functions compute what PyTorch computes") {
  const io::H5Reader file = open("functions");
  for (const io::H5Node& node : file.root().children) {
    const std::string call = text_of(file, node, "call");
    for (const Variant& variant : kVariants) {
      CAPTURE(call);
      CAPTURE(variant.name);
      // PyTorch refuses to view such memory in another shape, too.
      if (variant.strided && call.starts_with("view")) continue;
      try {
        const Items inputs = make_inputs(call, text_of(file, node, "inputs"), variant);
        const Tensors outputs = flatten(CallText(call, inputs).value());
        backpropagate(outputs);
        for (size_t i = 0; i < outputs.size(); ++i) {
          CAPTURE(i);
          CHECK(difference(outputs[i], file, node, fmt::format("out{}", i)) == "");
        }
        CHECK_FALSE(node.find(fmt::format("out{}", outputs.size())));
        for (const auto& [name, value] : inputs) {
          CAPTURE(name);
          CHECK(difference(value.as<Tensor>().grad(), file, node, "grad." + name) == "");
          const std::string after = "after." + name;  // running statistics
          if (node.find(after)) CHECK(difference(value.as<Tensor>(), file, node, after) == "");
        }
      } catch (const Error& e) {
        FAIL_CHECK(std::string(e.what()));
      }
    }
  }
}

TEST_CASE("golden: every function has a case") {
  const io::H5Reader file = open("functions");
  std::set<std::string> covered;
  for (const io::H5Node& node : file.root().children) {
    for (std::string& name : called(text_of(file, node, "call"))) covered.insert(std::move(name));
  }
  for (const std::string_view name : function_names()) {
    const std::string text(name);
    CAPTURE(text);
    CHECK(covered.contains(text) != kWithoutCase.contains(text));
  }
}

TEST_SUITE_END();
