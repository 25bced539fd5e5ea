// What a recorder sees of a model: sites, calls in their order, values, gradients, weights.
#include "nnm/trace/recorder.h"

#include <doctest/doctest.h>

#include "nnm/ops/ops.h"
#include "nnm/trace/sinks.h"

using namespace nnm;
using namespace nnm::tracing;

namespace {

struct Scale : Module {
  Parameter weight;
  explicit Scale(double w) {
    weight = register_parameter("weight", parameter(full({2}, w, {DType::f64})));
  }
  Tensor forward(const Tensor& x) override { return x * *weight; }
};

// Calls its first child twice and returns a nested tuple.
struct TwiceNet : Module {
  Child<Scale> a, b;
  TwiceNet() {
    a = register_module("a", make_ref<Scale>(2.0));
    b = register_module("b", make_ref<Scale>(3.0));
  }
  Value forward(const Args& args) override {
    const Tensor x = args.pos[0].as<Tensor>();
    const Tensor once = a(x);
    const Tensor twice = a(once);
    return Value::tuple({b(twice), Value::tuple({once, Value(1)})});
  }
};

struct Log final : Sink {
  std::vector<std::string> calls, tensors_seen;
  std::vector<io::TraceSite> sites;
  std::vector<std::vector<double>> values;
  std::vector<Tensor> kept;

  int64_t site(const io::TraceSite& s) override {
    sites.push_back(s);
    values.emplace_back();
    return static_cast<int64_t>(sites.size()) - 1;
  }
  void stats(int64_t site, std::span<const double> v, std::span<const uint32_t>) override {
    values[static_cast<size_t>(site)].assign(v.begin(), v.end());
  }
  void tensors(const std::string& module, const std::string& what, int64_t call,
               std::span<const io::TraceArg> args) override {
    for (const io::TraceArg& a : args) {
      tensors_seen.push_back(fmt::format("{}/{}/{}#{}", module, what, a.name, call));
      kept.push_back(a.tensor.defined() ? clone(a.tensor) : Tensor());
    }
  }
  void call(HookKind kind, const std::string& module, int64_t call, const std::string&) override {
    calls.push_back(fmt::format("{} {}#{}", name_of(kind), module, call));
  }
  void timing(HookKind, const std::string&, int64_t, int64_t, int64_t ns) override {
    CHECK(ns >= 0);
  }
  void flops(const std::string&, int64_t) override {}
};

Tensor input() {
  const double x[] = {1, -1};
  return tensor_of<double>(std::span<const double>(x, 2), {2}, {DType::f64});
}

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("recorder: forward of every module, the root by its class name, calls in order") {
  TwiceNet net;
  Log log;
  CaptureOptions o;
  o.hooks = {parse_hook("forward")};
  o.set_reduce("mean,l2");
  Recorder r(net, o, log);
  r.begin_step();
  net(Args{{input()}, {}});
  r.end_step();
  CHECK(r.fired());
  CHECK(log.calls == Strings{"forward a#0", "forward a#1", "forward b#0", "forward TwiceNet#0"});
  CHECK(log.tensors_seen == Strings{"a/output/0#0", "a/output/0#1", "b/output/0#0",
                                    "TwiceNet/output/0#0", "TwiceNet/output/1#0"});
  CHECK(log.values[0][1] == doctest::Approx(std::sqrt(8.0)));
  CHECK(log.kept[2].to_vector<double>() == std::vector<double>{12, -12});
}

TEST_CASE("recorder: gradients, weights and selectors") {
  TwiceNet net;
  Log log;
  CaptureOptions o;
  o.hooks = {parse_hook("full_backward:a"), parse_hook("full_backward_pre:Scale")};
  o.set_what("grad_input,grad_output,weight,weight_grad");
  Recorder r(net, o, log);
  const Tensor x = input();
  x.requires_grad_();
  r.begin_step();
  const Value out = net(Args{{x}, {}});
  sum(out.items()[0].as<Tensor>()).backward();
  r.end_step();
  CHECK(log.calls == Strings{"full_backward_pre b#0", "full_backward_pre a#1", "full_backward a#1",
                             "full_backward_pre a#0", "full_backward a#0"});
  const auto at = [&](const std::string& name) {
    for (size_t i = 0; i < log.tensors_seen.size(); ++i)
      if (log.tensors_seen[i] == name) return log.kept[i].to_vector<double>();
    FAIL(name);
    return std::vector<double>();
  };
  CHECK(at("a/grad_input/0#1") == std::vector<double>{6, 6});
  CHECK(at("a/grad_input/0#0") == std::vector<double>{12, 12});
  CHECK(at("b/grad_output/0#0") == std::vector<double>{1, 1});
  CHECK(at("b/weight/weight#0") == std::vector<double>{3, 3});
  CHECK(at("b/weight_grad/weight#0") == std::vector<double>{4, -4});
  CHECK(x.grad().to_vector<double>() == std::vector<double>{12, 12});
}

TEST_CASE("recorder: tensor and post-accumulate hooks, and hooks go with it") {
  TwiceNet net;
  Log log;
  {
    CaptureOptions o;
    o.hooks = {parse_hook("tensor:b"), parse_hook("post_accumulate_grad:a")};
    Recorder r(net, o, log);
    r.begin_step();
    sum(net(Args{{input()}, {}}).items()[0].as<Tensor>()).backward();
    r.end_step();
    CHECK(log.calls == Strings{"tensor b#0", "post_accumulate_grad a#0"});
  }
  const size_t before = log.calls.size();
  sum(net(Args{{input()}, {}}).items()[0].as<Tensor>()).backward();
  CHECK(log.calls.size() == before);
}

TEST_CASE("recorder: gradients bear the number of their call, whichever calls take part") {
  TwiceNet net;
  Log log;
  CaptureOptions o;
  o.hooks = {parse_hook("full_backward_pre:a"), parse_hook("full_backward:a")};
  o.set_what("grad_input,grad_output");
  Recorder r(net, o, log);
  for (int step = 0; step < 2; ++step) {
    log.calls.clear();
    const Tensor x = input();
    x.requires_grad_();
    r.begin_step();
    const Value out = net(Args{{x}, {}});
    // The tuple's second output is that of the first call: the second takes no part.
    sum(out.items()[1].items()[0].as<Tensor>()).backward();
    r.end_step();
    CHECK(log.calls == Strings{"full_backward_pre a#0", "full_backward a#0"});
  }
  CHECK(log.tensors_seen.back() == "a/grad_input/0#0");
}

TEST_CASE("recorder: tensor hooks on inputs, outputs and parameters") {
  TwiceNet net;
  Log log;
  CaptureOptions o;
  o.hooks = {parse_hook("tensor:a.input"), parse_hook("tensor:b.output"),
             parse_hook("tensor:a.weight"), parse_hook("post_accumulate_grad:*.weight")};
  Recorder r(net, o, log);
  r.begin_step();
  const Tensor x = input();
  x.requires_grad_();
  sum(net(Args{{x}, {}}).items()[0].as<Tensor>()).backward();
  r.end_step();
  CHECK(log.calls == Strings{"tensor b#0", "post_accumulate_grad b#0", "tensor a#1", "tensor a#0",
                             "tensor a#0", "post_accumulate_grad a#0"});
  CHECK(log.tensors_seen == Strings{"b/grad_output/0#0", "a/grad_input/0#1", "a/grad_input/0#0",
                                    "a/weight_grad/weight#0", "b/weight_grad/weight#0"});
  CHECK(log.kept[2].to_vector<double>() == std::vector<double>{12, 12});
  CaptureOptions missing;
  missing.hooks = {parse_hook("post_accumulate_grad:a.bias")};
  CHECK_THROWS_AS(Recorder(net, missing, log), Error);
}

TEST_CASE("recorder: a graph that outlives it runs backward, and records nothing") {
  TwiceNet net;
  Log log;
  Tensor loss;
  {
    CaptureOptions o;
    o.hooks = {parse_hook("full_backward"), parse_hook("tensor"),
               parse_hook("post_accumulate_grad")};
    Recorder r(net, o, log);
    r.begin_step();
    loss = sum(net(Args{{input()}, {}}).items()[0].as<Tensor>());
  }
  loss.backward();
  CHECK(log.calls.empty());
  CHECK(net.a->weight->grad().defined());
}

TEST_CASE("recorder: one argument, one call") {
  TwiceNet net;
  Log log;
  CaptureOptions o;
  o.hooks = {parse_hook("forward"), parse_hook("tensor:a")};
  o.arg = "1";
  Recorder second(net, o, log);
  o.arg = "all";
  o.call = 1;
  Recorder later(net, o, log);
  second.begin_step();
  later.begin_step();
  sum(net(Args{{input()}, {}}).items()[0].as<Tensor>()).backward();
  later.end_step();
  second.end_step();
  CHECK(log.tensors_seen == Strings{"a/output/0#1", "TwiceNet/output/1#0", "a/grad_output/0#1"});
}

TEST_CASE("recorder: slices keep rows, a list counts bytes") {
  TwiceNet net;
  ListSink list;
  CaptureOptions o;
  o.hooks = {parse_hook("forward:b")};
  o.tensor = TensorMode::parse("slice:0:1");
  Recorder r(net, o, list);
  r.begin_step();
  net(Args{{input()}, {}});
  r.end_step();
  REQUIRE(list.rows().size() == 1);
  CHECK(list.rows()[0].site.shape == std::vector<int64_t>{2});
  CHECK(list.bytes() == 8);
}

TEST_CASE("recorder: items of a tensor selector speak of inputs, outputs and parameters") {
  TwiceNet net;
  const auto seen = [&](const char* hook, std::vector<std::string> what = {}) {
    Log log;
    CaptureOptions o;
    o.hooks = {parse_hook(hook)};
    o.what = std::move(what);
    Recorder r(net, o, log);
    r.begin_step();
    const Tensor x = input();
    x.requires_grad_();
    sum(net(Args{{x}, {}}).items()[0].as<Tensor>()).backward();
    r.end_step();
    return log.tensors_seen;
  };
  const Strings a_input = {"a/grad_input/0#1", "a/grad_input/0#0"};
  CHECK(seen("tensor:a.input") == a_input);
  CHECK(seen("tensor:{a}.input") == a_input);
  CHECK(seen("tensor:b.output, b.weight") ==
        Strings{"b/grad_output/0#0", "b/weight_grad/weight#0"});
  CHECK(seen("tensor:b.output, b, a.input") ==
        Strings{"b/grad_output/0#0", "a/grad_input/0#1", "a/grad_input/0#0"});
  CHECK(parse_hook("forward").select.text() == "**");
  const auto refused = [&](const char* hook, std::vector<std::string> what = {}) {
    try {
      seen(hook, std::move(what));
    } catch (const Error& e) {
      return std::string(e.what()) + " / " + e.hint();
    }
    return std::string("none");
  };
  CHECK(refused("forward:a.output").starts_with("`a.output` matches nothing"));
  CHECK(refused("tensor:a.input.output").starts_with("`a.input.output` matches nothing"));
  CHECK(refused("forward:a.weight") ==
        "`a.weight` is a parameter, and forward hooks are of modules / of parameters there are "
        "tensor and post_accumulate_grad hooks");
  CHECK(refused("tensor:a.weight", {"grad_output"}) ==
        "no hook that was asked for sees `grad_output` / the gradient of a parameter is its "
        "`weight_grad`");
  CHECK(refused("tensor:a.output", {"grad_input"}).starts_with("no hook that was asked for sees"));
  CHECK(seen("tensor:a.weight", {"weight_grad"}) == Strings{"a/weight_grad/weight#0"});
}

TEST_CASE("capture: words that mean nothing are errors with the nearest one") {
  const auto hint = [](auto f) {
    try {
      f();
    } catch (const Error& e) {
      return e.hint();
    }
    return std::string("none");
  };
  CHECK(hint([] { parse_hook("forwrd"); }) == "did you mean `forward`?");
  CHECK(parse_hook("backward").kind == HookKind::full_backward);
  CaptureOptions o;
  CHECK(hint([&] { o.set_what("outputs"); }) == "did you mean `output`?");
  CHECK(hint([&] { o.set_reduce("men"); }) == "did you mean `mean`?");
  CHECK(hint([] { TensorMode::parse("slice:3:1"); }) != "none");
  o.hooks = {parse_hook("forward")};
  o.what = {"grad_input"};
  CHECK(hint([&] { o.check(); }) == "add `--hook full_backward`");
  TwiceNet net;
  Log log;
  CaptureOptions missing;
  missing.hooks = {parse_hook("forward:c")};
  CHECK_THROWS_AS(Recorder(net, missing, log), Error);
}

TEST_CASE("capture: nested values have one name a tensor") {
  const Tensor t = input();
  const Value nested = Value::tuple({t, Value::tuple({t, Value(), t})});
  Strings names;
  for (const auto& a : flatten(nested)) names.push_back(a.name);
  CHECK(names == Strings{"0", "1", "3"});
  names.clear();
  for (const auto& a : flatten(Args{{Value(3), t}, {{"mask", t}}})) names.push_back(a.name);
  CHECK(names == Strings{"1", "mask"});
  names.clear();
  for (const auto& a : flatten(Value::dict({{"loss", t}, {"hidden", Value::tuple({t, t})}})))
    names.push_back(a.name);
  CHECK(names == Strings{"loss", "hidden.0", "hidden.1"});
}
