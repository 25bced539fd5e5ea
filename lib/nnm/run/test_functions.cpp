// params, shape, finite, close, allclose, overfits.
#include "nnm/run/test_functions.h"

#include <cmath>
#include <numeric>

#include "nnm/autograd/node.h"
#include "nnm/base/text.h"
#include "nnm/base/text_table.h"
#include "nnm/ops/ops.h"
#include "nnm/optim/clip.h"
#include "nnm/tensor/generator.h"
#include "nnm/train/nonfinite.h"
#include "nnm/train/optimize.h"

namespace nnm::run {

namespace {

using Kind = Value::Kind;

thread_local TestBench* current_bench = nullptr;

Value params(const Value* a) {
  const auto module = a[0].as<Ref<Module>>();
  int64_t n = 0;
  for (const Tensor& p : module->parameters())
    if (p.requires_grad() || !a[1].boolean()) n += p.numel();
  return n;
}

Value shape_of(const Value& x) {
  Values out;
  if (x.is(Kind::tensor)) {
    const Tensor t = x.as<Tensor>();
    out.assign(t.shape().begin(), t.shape().end());
  } else if (x.is_sequence()) {
    for (const Value& item : x.items()) out.push_back(shape_of(item));
  } else {
    std::string hint;
    if (x.is(Kind::dict) && !x.entries().empty())
      hint = fmt::format("say which output: `shape(model(…).{})`", x.entries()[0].first);
    throw Error(ErrorKind::type, fmt::format("shape of {}, which is no tensor", x.type_name()),
                std::move(hint));
  }
  return Value::list(std::move(out));
}
Value shape(const Value* a) { return shape_of(a[0]); }

/// Calls f(name, tensor) for all that x holds; `name` is "" for x itself.
template <class F>
void each_tensor(const Value& x, const std::string& name, const F& f) {
  const std::string dot = name.empty() ? "" : name + ".";
  if (x.is(Kind::tensor)) {
    f(name, x.as<Tensor>());
  } else if (x.is_sequence()) {
    for (size_t i = 0; i < x.items().size(); ++i)
      each_tensor(x.items()[i], dot + std::to_string(i), f);
  } else if (x.is(Kind::dict)) {
    for (const auto& [key, item] : x.entries()) each_tensor(item, dot + key, f);
  } else if (x.is(Kind::module)) {
    for (const auto& [key, item] : x.as<Ref<Module>>()->state_dict())
      each_tensor(item, dot + key, f);
  } else if (x.is_number()) {
    f(name, full({}, x.scalar(), {DType::f64}));
  } else {
    throw Error(ErrorKind::type, fmt::format("expected numbers, got {}", x.type_name()));
  }
}

Value finite(const Value* a) {
  bool good = true;
  each_tensor(a[0], "", [&](const std::string& name, const Tensor& t) {
    if (!is_floating(t.dtype()) || train::all_finite(t)) return;
    good = false;
    const int64_t n = t.numel() - sum(to(isfinite(t), DType::i64)).item().i;
    current_bench->note(fmt::format("{}{} of {} elements are not finite",
                                    name.empty() ? "" : name + ": ", with_thousands(n),
                                    with_thousands(t.numel())));
  });
  return good;
}

bool tensors_close(const Tensor& a, const Tensor& b, double rtol, double atol, bool equal_nan) {
  const auto wide = [](const Tensor& t) { return to(t, DType::f64); };
  const Tensor x = wide(a), y = wide(b);
  if (allclose(x, y, rtol, atol, equal_nan)) return true;
  const Tensor difference = abs(sub(x, y));
  const int64_t at = argmax(nan_to_num(difference, INFINITY)).item().i;
  const auto element = [at](const Tensor& t) { return select(flatten(t), 0, at).item().d; };
  current_bench->note(
      fmt::format("at most {} differs: {} and {}{}", short_number(element(difference)),
                  short_number(element(x), 8), short_number(element(y), 8),
                  x.numel() > 1 ? fmt::format(", element {} of {}", at, x.numel()) : ""));
  return false;
}

bool values_close(const Value& a, const Value& b, const Value* options) {
  std::vector<std::pair<std::string, Tensor>> left, right;
  each_tensor(a, "", [&](const std::string& name, const Tensor& t) { left.emplace_back(name, t); });
  each_tensor(b, "", [&](const std::string& n, const Tensor& t) { right.emplace_back(n, t); });
  NNM_CHECK(left.size() == right.size(), value, "{} tensors are compared with {}", left.size(),
            right.size());
  bool good = true;
  for (size_t i = 0; i < left.size(); ++i) {
    const auto& [name, x] = left[i];
    const auto& [other, y] = right[i];
    NNM_CHECK(name == other, value, "`{}` is compared with `{}`", name, other);
    NNM_CHECK(x.shape() == y.shape(), value, "{}{} is compared with {}",
              name.empty() ? "" : "`" + name + "`: ", x.shape().str(), y.shape().str());
    good &= tensors_close(x, y, options[0].real(), options[1].real(), options[2].boolean());
  }
  return good;
}
Value close(const Value* a) { return values_close(a[0], a[1], a + 2); }

Value overfits(const Value* a) {
  const auto whole = [](const Value& v, Unit unit, const char* example) {
    const bool right = v.is(Kind::duration) && v.unit() == unit && v.amount() >= 1 &&
                       v.amount() == std::floor(v.amount());
    if (!right)
      throw Error(ErrorKind::value, fmt::format("{} is no such length", v.config_text()),
                  fmt::format("write `{}`", example));
    return static_cast<int64_t>(v.amount());
  };
  return current_bench->overfits(whole(a[0], Unit::batch, "1 batch"), a[1].real(),
                                 whole(a[2], Unit::step, "within=100 steps"));
}

constexpr Function kFunctions[] = {
    {"params(module: module, trainable: bool = false)", "how many elements its parameters have",
     params},
    {"shape(x: any)", "the shape of a tensor, as a list", shape},
    {"finite(x: any)", "whether it holds no NaN and no infinity", finite},
    {"close(a: any, b: any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = false)",
     "|a - b| <= atol + rtol |b| everywhere", close},
    {"allclose(a: any, b: any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = false)",
     "|a - b| <= atol + rtol |b| everywhere", close},
    {"overfits(batches: duration, below: float, within: duration)",
     "whether a copy of the model learns a few batches by heart", overfits},
};

}  // namespace

std::span<const Function> test_functions() { return kFunctions; }

TestBench::TestBench(Session& session) : session_(session), outer_(current_bench) {
  current_bench = this;
}
TestBench::~TestBench() { current_bench = outer_; }
TestBench& TestBench::current() { return *current_bench; }

// The batches that training would begin with, kept: each pass sees the same numbers.
std::vector<Tensors> TestBench::first_batches(int64_t n) {
  if (session_.checked().data_error) std::rethrow_exception(session_.checked().data_error);
  data::LoadOptions load;
  load.fields = session_.objective().wishes();
  load.training = true;
  const auto loader = session_.data().loader(session_.checked().split, load);
  NNM_CHECK(n <= loader->batches_per_epoch(), value, "{} batches are more than the {} of an epoch",
            n, loader->batches_per_epoch());
  std::vector<Tensors> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(std::move(loader->next()->fields));
  return out;
}

Ref<Module> TestBench::copy_of_model() const {
  const train::Plan& plan = session_.plan();
  const Device device = default_device();
  Ref<Module> copy = lang::build_model(session_.config(), {device, plan.dtype, plan.seed}).module;
  copy->load_state_dict(session_.model()->state_dict());
  return copy;
}

bool TestBench::overfits(int64_t batches, double below, int64_t steps) {
  const EnableGradGuard grad;
  const train::Plan& plan = session_.plan();
  const std::vector<Tensors> data = first_batches(batches);
  train::Objective& objective = session_.objective();
  if (!objective.has_loss())
    throw Error(ErrorKind::config, "there is no loss",
                "write `loss: cross_entropy(out, y)` under `train:`");
  if (!plan.optimizer)
    throw Error(ErrorKind::config, "there is no optimizer",
                "write `optimizer: AdamW(lr=3e-4)` under `train:`");
  const Ref<Module> model = copy_of_model();
  model->train();
  Diagnostics d;
  const Ref<optim::Optimizer> optimizer = train::make_optimizer(plan, *model, d);
  d.throw_if_errors();
  const Tensors parameters = optimizer->parameters();
  manual_seed(plan.seed);
  std::vector<double> recent(data.size(), INFINITY);
  double mean = INFINITY;
  for (int64_t step = 0; step < steps; ++step) {
    const Tensors& fields = data[static_cast<size_t>(step % batches)];
    objective.scope(fields, objective.forward(*model, fields));
    const Tensor loss = objective.loss(true);
    recent[static_cast<size_t>(step % batches)] = loss.item().d;
    mean = std::accumulate(recent.begin(), recent.end(), 0.0) / static_cast<double>(batches);
    if (mean < below) {
      objective.clear();
      return true;
    }
    optimizer->zero_grad();
    loss.backward();
    objective.clear();
    if (plan.clip.kind == train::Clip::Kind::value)
      optim::clip_grad_value_(parameters, plan.clip.limit);
    else if (plan.clip.kind == train::Clip::Kind::norm)
      optim::clip_grad_norm_(parameters, plan.clip.limit, plan.clip.norm_type);
    optimizer->step();
  }
  note(fmt::format("after {} the loss is {}, not below {}", counted(steps, "step"),
                   short_number(mean), short_number(below)));
  return false;
}

}  // namespace nnm::run
