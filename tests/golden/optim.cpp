// Optimizers and schedules against PyTorch: parameters and state after some steps, and the rates of
// forty.
#include <doctest/doctest.h>

#include <set>

#include "golden/golden.h"
#include "nnm/lang/expression.h"
#include "nnm/optim/optimizer.h"
#include "nnm/optim/schedule.h"
#include "nnm/train/optimize.h"

using namespace nnm;
using namespace nnm::golden;
using optim::Optimizer;
using optim::Scheduler;

namespace {

template <class Kind>
Ref<Kind> make(const std::string& text) {
  const auto [name, args] = CallText(text, {}).call();
  return Registry<Kind>::make(name, args);
}

Tensor draw(const std::string& key, const Shape& shape, DType dtype) {
  std::vector<double> v = uniform(key, shape.numel());
  for (double& x : v) x -= 0.5;
  return tensor_of<double>(v, shape, {dtype, {}});
}

/// Cases whose names begin with `kind`, and the types that they name.
template <class Run>
std::set<std::string> for_cases(const char* kind, const Run& run) {
  const io::H5Reader file = open("optim");
  std::set<std::string> types;
  for (const io::H5Node& node : file.root().children) {
    if (!node.name.starts_with(kind)) continue;
    const std::string call = text_of(file, node, "call");
    CAPTURE(call);
    run(file, node, call);
    for (size_t at = 0; at < call.size(); at = call.find(" |> ", at) + 4) {
      types.insert(call.substr(at, call.find('(', at) - at));
      if (call.find(" |> ", at) == std::string::npos) break;
    }
  }
  return types;
}

/// PyTorch prints an option of AdamW's base class, which AdamW does not take as an argument.
std::string without_line(std::string repr, const std::string& call) {
  const std::string line = "    decoupled_weight_decay: True\n";
  const size_t at = repr.find(line);
  return call.starts_with("AdamW(") && at != std::string::npos ? repr.erase(at, line.size()) : repr;
}

/// Six steps of the case's optimizer in one type, compared with PyTorch's.
void run_optimizer(const io::H5Reader& file, const io::H5Node& node, const std::string& call,
                   DType dtype) {
  const Ref<Optimizer> optimizer = make<Optimizer>(call);
  std::vector<optim::NamedParameter> params;
  for (const char* name : {"a", "b"}) {
    const Shape shape = file.tensor(*node.find(name)).shape();
    params.push_back({name, draw(call + "\n" + name, shape, dtype)});
    params.back().tensor.requires_grad_();
  }
  optimizer->add_param_group(params);
  for (int step = 0; step < 6; ++step) {
    for (const auto& [name, p] : params) {
      p.set_grad(draw(fmt::format("{}\n{}{}", call, name, step), p.shape(), dtype));
    }
    optimizer->step();
  }
  CHECK(optimizer->repr() == without_line(text_of(file, node, "repr"), call));
  size_t compared = 0;
  for (const auto& [name, p] : params) {
    CHECK(difference(p, file, node, name) == "");
    ++compared;
  }
  for (const auto& [param, items] : optimizer->state_dict().state) {
    for (const auto& [name, value] : items) {
      CAPTURE(name);
      const io::H5Node* expected = node.find(param + "." + name);
      REQUIRE(expected);
      ++compared;
      if (name == "step") CHECK(value.as<Tensor>().item().i == file.tensor(*expected).item().i);
      else CHECK(difference(value.as<Tensor>(), file, node, param + "." + name) == "");
    }
  }
  CHECK(compared == node.children.size());
}

}  // namespace

TEST_SUITE_BEGIN("golden");

TEST_CASE("golden: optimizers take PyTorch's steps, and each has a case") {
  const auto types = for_cases("optimizer", [](const auto& file, const auto& node, auto& call) {
    run_optimizer(file, node, call, DType::f64);
    run_optimizer(file, node, call, DType::f32);
  });
  for (const std::string& name : Registry<Optimizer>::names()) {
    CAPTURE(name);
    CHECK(types.contains(name));
  }
}

TEST_CASE("golden: schedules have PyTorch's rates, and each has a case") {
  auto types = for_cases("schedule", [](const auto& file, const auto& node, auto& call) {
    const Ref<Optimizer> optimizer = make<Optimizer>(text_of(file, node, "optimizer"));
    const double zero = 0;
    optimizer->add_param_group({{"p", tensor_of<double>({&zero, 1}, {1}, {DType::f64, {}})}});
    train::Plan plan;
    plan.schedule = lang::read_calls(
        lang::Located(call, std::make_shared<SourceFile>("case", call), 0), Value());
    Diagnostics d;
    const Ref<Scheduler> schedule = train::make_schedule(plan, optimizer, {}, d);
    d.throw_if_errors();
    const Tensor rates = file.tensor(*node.find("rates"));
    const std::vector<double> metrics = uniform(call, rates.size(0));
    std::vector<double> got;
    for (const double metric : metrics) {
      const optim::ParamGroup& group = optimizer->groups()[0];
      const bool betas = optimizer->has_option("betas");
      got.push_back(group.lr());
      got.push_back(betas ? optimizer->option(group, "betas").items()[0].real()
                          : optimizer->option(group, "momentum").real());
      schedule->step();
      schedule->step_metric(metric);
    }
    CHECK(difference(got, rates.to_vector<double>(), 1e-13, 1e-17) == "");
  });
  types.insert({"warmup", "cosine"});  // not PyTorch's; tests/optim/schedule.cpp
  for (const std::string& name : Registry<Scheduler>::names()) {
    CAPTURE(name);
    CHECK(types.contains(name));
  }
}

TEST_SUITE_END();
