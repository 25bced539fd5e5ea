// Steps as training takes them, with a clock.
#include "nnm/run/bench.h"

#include <algorithm>
#include <chrono>
#include <functional>

#include "kernels/parallel.h"
#include "nnm/autograd/node.h"
#include "nnm/io/module_rows.h"
#include "nnm/ops/autocast.h"
#include "nnm/ops/detail.h"
#include "nnm/ops/ops.h"
#include "nnm/run/module_clock.h"
#include "nnm/tensor/allocator.h"
#include "nnm/train/optimize.h"

namespace nnm::run {

namespace {

using Clock = std::chrono::steady_clock;

double median(std::vector<double> xs) {
  if (xs.empty()) return 0;
  std::sort(xs.begin(), xs.end());
  const size_t half = xs.size() / 2;
  return xs.size() % 2 ? xs[half] : (xs[half - 1] + xs[half]) / 2;
}

Timing timing(const std::vector<double>& seconds) {
  const auto [min, max] = std::minmax_element(seconds.begin(), seconds.end());
  return {median(seconds), *min, *max};
}

void add_tensors(const Value& v, Tensors& out) {
  if (v.is(Value::Kind::tensor)) out.push_back(v.as<Tensor>());
  if (v.is_sequence())
    for (const Value& x : v.items()) add_tensors(x, out);
  if (v.is(Value::Kind::dict))
    for (const auto& [name, x] : v.entries()) add_tensors(x, out);
}

class Bench {
 public:
  Bench(Session& session, const BenchOptions& options, BenchReport& report)
      : session_(session), options_(options), report_(report) {
    open();
    if (const auto& plan = session.plan(); plan.optimizer) {
      Diagnostics d;
      optimizer_ = train::make_optimizer(plan, *session.model(), d);
      d.throw_if_errors();
      report.optimizer = optimizer_->type();
    }
    session.model()->train();
  }

  void run() {
    whole();
    by_module();
  }

 private:
  // The batch that training begins with, else inputs of the shapes that the check found.
  void open() {
    const Checked& checked = session_.checked();
    const train::Objective& objective = session_.objective();
    report_.made_up =
        options_.shapes || !checked.data || checked.data_error || !objective.has_loss();
    if (report_.made_up) make_up();
    else read_batch();
    report_.batch = report_.inputs.empty() || report_.inputs[0].second.empty()
                        ? 1
                        : report_.inputs[0].second[0];
  }

  void read_batch() {
    data::LoadOptions load;
    load.training = true;
    load.fields = session_.objective().wishes();
    if (options_.batch) load.batch = options_.batch;
    const auto loader = session_.data().loader(session_.checked().split, load);
    std::optional<data::Batch> batch = loader->next();
    NNM_CHECK(batch, input_file, "the split `{}` has no whole batch", session_.checked().split);
    fields_ = std::move(batch->fields);
    const auto& bound = session_.objective().inputs().fields();
    for (size_t i = 0; i < bound.size(); ++i) {
      if (bound[i] < 0) continue;
      const Tensor& t = fields_[static_cast<size_t>(bound[i])];
      report_.inputs.emplace_back(session_.description().inputs[i].name, t.shape().vec());
    }
  }

  // Integers are zeros: an index that every table has.
  void make_up() {
    const auto& inputs = session_.description().inputs;
    const auto& shapes = session_.checked().shapes.inputs;
    for (size_t i = 0; i < shapes.size(); ++i) {
      const auto& [name, meta] = shapes[i];
      if (!meta.defined()) break;
      Shape shape = meta.shape();
      const bool free = i < inputs.size() && !inputs[i].dims.empty() && inputs[i].dims[0] < 0;
      if (options_.batch && (free || !inputs[i].typed) && !shape.empty()) shape[0] = options_.batch;
      const TensorOptions like{meta.dtype(), default_device()};
      arguments_.pos.emplace_back(is_floating(meta.dtype()) ? randn(shape, like)
                                                            : zeros(shape, like));
      report_.inputs.emplace_back(name, shape.vec());
    }
  }

  Tensor forward() {
    Module& model = *session_.model();
    train::Objective& objective = session_.objective();
    if (!report_.made_up) {
      objective.scope(fields_, objective.forward(model, fields_));
      return objective.loss(true);
    }
    const AutocastGuard autocast(session_.plan().autocast);
    Tensors outputs;
    add_tensors(model(arguments_), outputs);
    std::erase_if(outputs, [](const Tensor& t) { return !t.requires_grad(); });
    NNM_CHECK(!outputs.empty(), config,
              "nothing of the model can be trained: there is no backward");
    Tensor loss = sum(outputs[0]);
    for (size_t i = 1; i < outputs.size(); ++i) loss = add(loss, sum(outputs[i]));
    return loss;
  }

  void backward(Tensor loss) {
    loss.backward();
    loss = Tensor();
    session_.objective().clear();
  }

  void update() {
    if (optimizer_) optimizer_->step();
    session_.model()->zero_grad();
  }

  /// The time, once the device has done all so far.
  static Clock::time_point now() {
    synchronize(default_device());
    return Clock::now();
  }

  void whole() {
    std::vector<double> step, parts[3];
    for (int64_t i = 0; i < options_.warmup + options_.steps; ++i) {
      if (i == options_.warmup) reset_peak_memory(default_device());
      const auto begin = now();
      Tensor loss = forward();
      const auto lossy = now();
      backward(std::move(loss));
      const auto backed = now();
      update();
      const auto end = now();
      if (i < options_.warmup) continue;
      const auto seconds = [](auto a, auto b) {
        return std::chrono::duration<double>(b - a).count();
      };
      step.push_back(seconds(begin, end));
      parts[0].push_back(seconds(begin, lossy));
      parts[1].push_back(seconds(lossy, backed));
      parts[2].push_back(seconds(backed, end));
    }
    report_.peak_bytes = memory_stats(default_device()).peak;
    report_.step = timing(step);
    report_.forward = timing(parts[0]);
    report_.backward = timing(parts[1]);
    report_.update = timing(parts[2]);
    report_.samples_per_s = static_cast<double>(report_.batch) / report_.step.median;
  }

  void by_module() {
    Module& model = *session_.model();
    ModuleClock clock(model);
    std::vector<ModuleClock::Costs> steps;
    // The first is for the hooks to warm up.
    for (int64_t i = 0; i <= options_.steps; ++i) {
      clock.start();
      Tensor loss = forward();
      clock.watch_backward(loss);
      backward(std::move(loss));
      if (i > 0) steps.push_back(clock.take());
      update();
    }
    for (const io::ModuleRow& row : io::module_rows(model)) {
      if (!row.alias_of.empty()) continue;
      ModuleBench m{.name = row.name, .type = row.type, .parameters = row.parameters};
      fill(m, steps, &model.get_submodule(row.name));
      report_.modules.push_back(std::move(m));
    }
    ModuleBench loss{.name = "(loss)"};
    fill(loss, steps, nullptr);
    report_.modules.push_back(std::move(loss));
  }

  static void fill(ModuleBench& m, const std::vector<ModuleClock::Costs>& steps,
                   const Module* module) {
    using Cost = ModuleClock::Cost;
    std::vector<Cost> costs;
    for (const auto& step : steps)
      if (const auto at = step.find(module); at != step.end()) costs.push_back(at->second);
    if (costs.empty()) return;
    const auto of = [&](double Cost::*part) {
      std::vector<double> all;
      for (const Cost& c : costs) all.push_back(c.*part);
      return median(std::move(all));
    };
    m.calls = costs.back().calls;
    m.forward = of(&Cost::forward), m.forward_self = of(&Cost::forward_self);
    m.backward = of(&Cost::backward), m.backward_self = of(&Cost::backward_self);
    m.memory = costs.back().memory, m.memory_self = costs.back().memory_self;
  }

  Session& session_;
  const BenchOptions& options_;
  BenchReport& report_;
  Tensors fields_;
  Args arguments_;
  Ref<optim::Optimizer> optimizer_;
};

}  // namespace

SessionOptions bench_session(Device device, const lang::InputShapes& shapes) {
  SessionOptions s;
  s.device = device;
  s.check.shapes = shapes;
  s.check.hooks = false;
  s.data = false;
  return s;
}

BenchReport bench(Session& session, const BenchOptions& options) {
  BenchReport report;
  const train::Plan& plan = session.plan();
  report.config = session.config().path();
  report.device = detail::device_name(default_device());
  report.precision = plan.tf32 ? "tf32" : Value(plan.autocast.value_or(plan.dtype)).config_text();
  report.threads = num_threads();
  report.steps = options.steps;
  report.warmup = options.warmup;
  Bench(session, options, report).run();
  return report;
}

}  // namespace nnm::run
