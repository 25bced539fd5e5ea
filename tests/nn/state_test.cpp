// state_dict and load_state_dict: contents, reports, hooks, versions.
#include "nn/modules.h"

using namespace nnm;
using namespace nnm::test;

TEST_SUITE_BEGIN("nn");

TEST_CASE("state dicts list parameters, persistent buffers and children with versions") {
  Net net;
  CHECK(net.state_dict().keys() ==
        Names{"a.lin.weight", "a.lin.bias", "b.lin.weight", "b.lin.bias"});
  const StateDict s = net.state_dict("m.");
  CHECK(s.keys()[0] == "m.a.lin.weight");
  CHECK(Value::dict(s.metadata).repr() ==
        "{'m': {'version': 1}, 'm.a': {'version': 1}, 'm.a.lin': {'version': 1}, 'm.b': "
        "{'version': 1}, 'm.b.lin': {'version': 1}}");
  net.register_buffer("kept", tensor({1}));
  net.register_buffer("scratch", tensor({1}), false);
  net.register_buffer("none", {});
  CHECK(net.state_dict().keys()[0] == "kept");
  CHECK(net.state_dict().size() == 5);
}

TEST_CASE("values alias the model's, without history unless keep_vars") {
  Lin lin;
  const Tensor value = lin.state_dict().tensor("weight");
  CHECK_FALSE(value.requires_grad());
  fill_(value, 7);
  CHECK(floats(*lin.weight) == Floats{7, 7, 7});
  CHECK(lin.state_dict("", true).tensor("weight").is_same(*lin.weight));
  CHECK(error_of([&] { lin.state_dict().tensor("nope"); }) == "KeyError: 'nope'");
}

TEST_CASE("a state dict is read by key and prints as an OrderedDict") {
  StateDict s({{"w", tensor({1, 2})}, {"_extra_state", 3}});
  CHECK(floats(s["w"]) == Floats{1, 2});
  CHECK(error_of([&] { s["b"]; }) == "KeyError: 'b'");
  CHECK(s.repr() == "OrderedDict([('w', tensor([1., 2.])), ('_extra_state', 3)])");
  CHECK(StateDict().repr() == "OrderedDict()");
}

TEST_CASE("loading copies and reports in PyTorch's words") {
  Net net;
  StateDict s = net.state_dict();
  CHECK(net.load_state_dict(s).str() == "<All keys matched successfully>");
  s.erase("a.lin.bias");
  s.set("c", tensor({1}));
  s.set("a.lin.weight", tensor({1, 1}));
  s.set("b.lin.x.y", tensor({1}));
  s.set("b.lin.bias", 3);
  s.set("b.lin.weight", tensor({5, 5, 5}));
  const std::string rest =
      "\n\tsize mismatch for a.lin.weight: copying a param with shape torch.Size([2]) from "
      "checkpoint, the shape in current model is torch.Size([3]).\n\tWhile copying the parameter "
      "named \"b.lin.bias\", expected torch.Tensor or Tensor-like object from checkpoint but "
      "received <class 'int'>";
  CHECK(error_of([&] { net.load_state_dict(s); }) ==
        "RuntimeError: Error(s) in loading state_dict for Net:\n\tMissing key(s) in state_dict: "
        "\"a.lin.bias\". \n\tUnexpected key(s) in state_dict: \"c\", \"b.lin.x.y\". " +
            rest);
  // What fitted has been copied all the same.
  CHECK(floats(net.get_parameter("b.lin.weight")) == Floats{5, 5, 5});
  CHECK(error_of([&] { net.load_state_dict(s, false); }) ==
        "RuntimeError: Error(s) in loading state_dict for Net:" + rest);
  CHECK(net.load_state_dict(
               StateDict({{"a.lin.bias", tensor({4, 4, 4})}, {"q", tensor({1, 1, 1})}}), false)
            .str() ==
        "_IncompatibleKeys(missing_keys=['a.lin.weight', 'b.lin.weight', 'b.lin.bias'], "
        "unexpected_keys=['q'])");
  CHECK(floats(net.get_parameter("a.lin.bias")) == Floats{4, 4, 4});
}

TEST_CASE("copies keep type and identity, assign takes the dict's tensors") {
  Lin lin;
  const Tensor weight = *lin.weight;
  const StateDict s({{"weight", tensor({3, 4, 5}, DType::f64)}, {"bias", tensor({0, 0, 0})}});
  lin.load_state_dict(s);
  CHECK(lin.weight->is_same(weight));
  CHECK(weight.dtype() == DType::f32);
  CHECK(floats(weight) == Floats{3, 4, 5});
  lin.bias->requires_grad_(false);
  lin.load_state_dict(s, true, true);
  CHECK(lin.weight->dtype() == DType::f64);
  CHECK(is_parameter(*lin.weight));
  CHECK(lin.weight->requires_grad());
  CHECK_FALSE(lin.bias->requires_grad());
  CHECK(lin.weight->data() == s.tensor("weight").data());
}

TEST_CASE("a 0-d entry takes a vector of one") {
  Module m;
  m.register_buffer("n", full({}, 1));
  m.load_state_dict(StateDict({{"n", tensor({9})}}));
  CHECK(m.get_buffer("n").item().d == 9);
  CHECK(error_of([&] {
          m.load_state_dict(StateDict({{"n", tensor({9, 8})}}));
        }) ==
        "RuntimeError: Error(s) in loading state_dict for Module:\n\tsize mismatch for n: copying "
        "a param with shape torch.Size([2]) from checkpoint, the shape in current model is "
        "torch.Size([]).");
}

TEST_CASE("keys of empty children are ignored, of empty and unsaved slots unexpected") {
  Module m;
  m.add_module("child", nullptr);
  m.register_parameter("p", {});
  m.register_buffer("b", tensor({1}), false);
  CHECK(m.load_state_dict(StateDict({{"child.x", tensor({1})}})).unexpected_keys.empty());
  const auto keys = m.load_state_dict(StateDict({{"p", tensor({1})}, {"b", tensor({1})}}), false);
  CHECK(keys.unexpected_keys == Names{"p", "b"});
}

TEST_CASE("extra state stands after a module's own tensors") {
  struct Extra : Lin {
    int64_t steps = 3;
    bool has_extra_state() const override { return true; }
    Value get_extra_state() const override { return steps; }
    void set_extra_state(const Value& v) override { steps = v.integer(); }
  };
  Wrap net(make_ref<Extra>());
  const StateDict s = net.state_dict();
  CHECK(s.keys() == Names{"lin.weight", "lin.bias", "lin._extra_state"});
  static_cast<Extra&>(*net.lin).steps = 8;
  net.load_state_dict(s);
  CHECK(static_cast<Extra&>(*net.lin).steps == 3);
  StateDict without = s;
  without.erase("lin._extra_state");
  CHECK(net.load_state_dict(without, false).missing_keys == Names{"lin._extra_state"});
  Lin plain;
  CHECK(plain.load_state_dict(static_cast<Extra&>(*net.lin).state_dict(), false).unexpected_keys ==
        Names{"_extra_state"});
}

TEST_CASE("state hooks: order, views and edits") {
  Wrap net;
  std::string log;
  auto name = [&](Module& m) { return std::string(&m == &net ? "root" : "lin"); };
  for (Module* m : net.modules()) {
    m->register_state_dict_pre_hook([&](Module& m, const std::string& prefix, bool) {
      log += "pre(" + name(m) + "," + prefix + ") ";
    });
    m->register_state_dict_post_hook([&](Module& m, StateDict& s, const std::string&) {
      log += "post(" + name(m) + "," + std::to_string(s.size()) + ") ";
    });
  }
  const StateDict s = net.state_dict();
  CHECK(log == "pre(root,) pre(lin,lin.) post(lin,2) post(root,2) ");
  log.clear();
  net.register_load_state_dict_pre_hook([&](Module&, LoadContext& c) {
    log += "pre(root) ";
    CHECK(c.strict);
    c.state_dict.set("extra", 1);
    CHECK(c.state_dict.erase("extra"));
  });
  net.lin->register_load_state_dict_pre_hook([&](Module&, LoadContext& c) {
    log += "pre(" + c.prefix + std::to_string(c.state_dict.size()) + ") ";
    c.state_dict.erase("lin.bias");
    c.missing_keys.push_back("made up");
  });
  net.register_load_state_dict_post_hook([&](Module&, IncompatibleKeys& k) {
    log += "post(root) ";
    CHECK(k.missing_keys == Names{"made up", "lin.bias"});
    k.missing_keys.clear();
  });
  CHECK(net.load_state_dict(s).missing_keys.empty());
  CHECK(log == "pre(root) pre(lin.2) post(root) ");
  CHECK(s.size() == 2);
}

TEST_CASE("a prefix is stripped from keys and metadata") {
  Lin lin;
  StateDict s = Wrap(make_ref<Lin>()).state_dict();
  consume_prefix_in_state_dict_if_present(s, "lin.");
  CHECK(s.keys() == Names{"weight", "bias"});
  CHECK(Value::dict(s.metadata).repr() == "{'': {'version': 1}}");
  CHECK(lin.load_state_dict(s).str() == "<All keys matched successfully>");
}

TEST_CASE("shared modules are in the state under every name") {
  Module root;
  auto lin = make_ref<Lin>();
  root.add_module("a", lin);
  root.add_module("b", lin);
  CHECK(root.state_dict().size() == 4);
  CHECK(root.load_state_dict(root.state_dict()).str() == "<All keys matched successfully>");
}

TEST_CASE("copying into a meta module warns") {
  Lin lin;
  const StateDict s = lin.state_dict();
  Lin meta;
  meta.to(Device{DeviceType::meta});
  Warnings warnings;
  meta.load_state_dict(s);
  REQUIRE(warnings.texts.size() == 2);
  CHECK(warnings.texts[0] ==
        "for weight: copying from a non-meta parameter in the checkpoint to a meta parameter in "
        "the current model, which is a no-op. (Did you mean to pass `assign=True` to assign items "
        "in the state dictionary to their corresponding key in the module instead of copying them "
        "in place?)");
  meta.load_state_dict(s, true, true);
  CHECK(floats(*meta.weight) == Floats{2, 2, 2});
}

TEST_SUITE_END();
