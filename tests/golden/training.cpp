// The example models, trained for twenty steps in f64 as PyTorch trains their twins.
#include <doctest/doctest.h>

#include <cmath>

#include "golden/golden.h"
#include "nnm/lang/expression.h"
#include "nnm/lang/model.h"
#include "nnm/ops/ops.h"
#include "nnm/optim/optimizer.h"
#include "support/paths.h"

using namespace nnm;
using namespace nnm::golden;

namespace {

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  for (size_t at = 0;;) {
    const size_t end = text.find(separator, at);
    parts.push_back(text.substr(at, end - at));
    if (end == std::string::npos) return parts;
    at = end + separator.size();
  }
}

/// The weights that scripts/golden.py begins with.
void initialise(Module& model, const std::string& key) {
  for (const auto& [name, p] : model.named_parameters()) {
    std::vector<double> v = uniform(key + "\n" + name, p.numel());
    const double fan_in = p.dim() > 1 ? static_cast<double>(p.numel() / p.size(0)) : 0;
    for (double& x : v) {
      x -= 0.5;
      x = fan_in > 0 ? x * (2 / std::sqrt(fan_in)) : 0.1 * x + (name.ends_with("weight") ? 1 : 0);
    }
    copy_(p.detach(), tensor_of<double>(v, p.shape(), p.options()));
  }
}

/// One of the example configs, built as small as the case says, with its optimizer.
struct Run {
  Run(const io::H5Reader& file, const io::H5Node& node)
      : name(node.name), batch(text_of(file, node, "batch")), loss(text_of(file, node, "loss")) {
    lang::LoadOptions options;
    options.set = split(text_of(file, node, "overrides"), "; ");
    const std::string path = testing::source_dir() + "/tests/lang/examples/" + name + ".yaml";
    model = lang::build_model(lang::Config::load(path, options), {.dtype = DType::f64}).module;
    initialise(*model, name);
    const auto [type, args] = CallText(text_of(file, node, "optimizer"), {}).call();
    optimizer = Registry<optim::Optimizer>::make(type, args);
    std::vector<optim::NamedParameter> parameters;
    for (const auto& [path_of, p] : model->named_parameters()) parameters.push_back({path_of, p});
    optimizer->add_param_group(parameters);
  }

  double step(int number) {
    const Items fields = make_inputs(fmt::format("{} {}", name, number), batch, {});
    Args args;
    std::vector<std::string> names;
    Values values;
    for (const auto& [field, value] : fields) {
      // The label is no input of a model that does not compute its own loss.
      if (field != "y") args.kw.emplace_back(field, value);
      names.push_back(field);
      values.push_back(value);
    }
    const Value out = (*model)(args);
    names.push_back("out");
    values.push_back(out);
    if (out.is(Value::Kind::dict)) {
      for (const auto& [field, value] : out.entries()) {
        names.push_back(field);
        values.push_back(value);
      }
    }
    const Value result = lang::Expression::compile(loss, "loss", names).run(values, true);
    const Tensor value = result.as<Tensor>();
    optimizer->zero_grad();
    value.backward();
    optimizer->step();
    return value.item().d;
  }

  std::string name, batch, loss;
  Ref<Module> model;
  Ref<optim::Optimizer> optimizer;
};

}  // namespace

TEST_SUITE_BEGIN("golden");

TEST_CASE("golden: the example models train as PyTorch's do") {
  const io::H5Reader file = open("training");
  CHECK(file.root().children.size() == 4);
  for (const io::H5Node& node : file.root().children) {
    CAPTURE(node.name);
    Run run(file, node);
    std::string keys;
    for (const std::string& key : run.model->state_dict().keys()) {
      keys += (keys.empty() ? "" : "\n") + key;
    }
    CHECK(keys == text_of(file, node, "keys"));
    const Tensor losses = file.tensor(*node.find("losses"));
    std::vector<double> got;
    for (int i = 0; i < losses.size(0); ++i) got.push_back(run.step(i));
    CHECK(difference(got, losses.to_vector<double>(), 1e-11, 0) == "");
    std::vector<double> sums;
    for (const auto& [key, value] : run.model->state_dict()) {
      sums.push_back(sum(to(value.as<Tensor>(), DType::f64)).item().d);
    }
    CHECK(difference(sums, file.tensor(*node.find("sums")).to_vector<double>(), 1e-10, 1e-11) ==
          "");
  }
}

TEST_SUITE_END();
