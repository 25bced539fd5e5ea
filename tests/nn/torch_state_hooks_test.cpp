// What PyTorch's tests assert of the hooks around state_dict and load_state_dict, and of
// test/nn/test_load_state_dict.py.
#include "nn/modules.h"
#include "nnm/nn/layers/container.h"
#include "nnm/nn/layers/norm.h"
#include "nnm/optim/optimizers.h"

using namespace nnm;
using namespace nnm::test;

TEST_SUITE_BEGIN("nn");

TEST_CASE("load pre-hooks get an equal dict and empty lists, once for each module they are on") {
  Wrap net;
  Module& lin = net.get_submodule("lin");
  const StateDict s = net.state_dict();
  int root = 0, child = 0;
  net.register_load_state_dict_pre_hook([&](Module& m, LoadContext& c) {
    ++root;
    CHECK(&m == &net);
    CHECK(c.prefix == "");
    CHECK(c.strict);
    CHECK(c.state_dict.keys() == s.keys());
    CHECK(c.missing_keys.empty());
    CHECK(c.unexpected_keys.empty());
    CHECK(c.error_msgs.empty());
  });
  const auto h = lin.register_load_state_dict_pre_hook([&](Module& m, LoadContext& c) {
    ++child;
    CHECK(&m == &lin);
    CHECK(c.prefix == "lin.");
    CHECK(c.strict);
    CHECK(c.state_dict.keys() == Names{"lin.weight", "lin.bias"});
    CHECK(c.version == 1);
  });
  net.load_state_dict(s, false);
  net.load_state_dict(s);
  CHECK(root == 2);
  CHECK(child == 2);
  RemovableHandle(h).remove();
  net.load_state_dict(s);
  CHECK(root == 3);
  CHECK(child == 2);
}

TEST_CASE("a registered hook adds no reference to its module") {
  const auto lin = make_ref<Lin>();
  lin->register_load_state_dict_pre_hook([](Module&, LoadContext&) {});
  lin->register_forward_hook([](Module&, const Values&, const Value&) {});
  CHECK(lin->use_count() == 1);
  lin->load_state_dict(lin->state_dict());
  (*lin)(tensor({1, 2, 3}));
  CHECK(lin->use_count() == 1);
}

TEST_CASE("load post-hooks add to and clear what is reported") {
  struct Made : Wrap {
    Made() {
      lin->register_load_state_dict_post_hook([this](Module&, IncompatibleKeys& k) {
        ++calls;
        k.missing_keys.push_back("foo");
        k.unexpected_keys.push_back("bar");
      });
    }
    int calls = 0;
  };
  Module root;
  root.add_module("made", make_ref<Made>());
  auto& made = static_cast<Made&>(root.get_submodule("made"));
  const StateDict s = root.state_dict();
  const IncompatibleKeys keys = root.load_state_dict(s, false);
  CHECK(keys.missing_keys == Names{"foo"});
  CHECK(keys.unexpected_keys == Names{"bar"});
  CHECK(made.calls == 1);
  CHECK(error_of([&] { root.load_state_dict(s); }) ==
        "RuntimeError: Error(s) in loading state_dict for Module:\n\tMissing key(s) in state_dict: "
        "\"foo\". \n\tUnexpected key(s) in state_dict: \"bar\". ");
  auto clear = root.register_load_state_dict_post_hook([](Module&, IncompatibleKeys& k) {
    k.missing_keys.clear();
    k.unexpected_keys.clear();
  });
  CHECK(root.load_state_dict(s).str() == "<All keys matched successfully>");
  clear.remove();
  CHECK(root.load_state_dict(s, false).missing_keys == Names{"foo"});
}

TEST_CASE(
    "state_dict pre-hooks get each module's prefix and keep_vars, before and after a forward") {
  Wrap net;
  std::string log;
  for (Module* m : net.modules()) {
    m->register_state_dict_pre_hook([&](Module&, const std::string& prefix, bool keep_vars) {
      log += "[" + prefix + (keep_vars ? " keep] " : "] ");
    });
  }
  net.state_dict();
  CHECK(log == "[] [lin.] ");
  net(tensor({1, 2, 3}));
  log.clear();
  net.state_dict("m.", true);
  CHECK(log == "[m. keep] [m.lin. keep] ");
}

TEST_CASE("state_dict post-hooks edit the whole dict in place") {
  Wrap net;
  net.lin->register_state_dict_post_hook([](Module&, StateDict& s, const std::string& prefix) {
    s.set(prefix + "extra", 1);
    CHECK(s.erase(prefix + "bias"));
    CHECK(s.metadata.back().first == "lin");
    s.metadata.back().second = Value::dict({{"version", 7}});
  });
  net.register_state_dict_post_hook([](Module&, StateDict& s, const std::string& prefix) {
    CHECK(prefix == "");
    s.set("whole", static_cast<int64_t>(s.size()));
  });
  const StateDict s = net.state_dict();
  CHECK(s.keys() == Names{"lin.weight", "lin.extra", "whole"});
  CHECK(s.find("whole")->integer() == 2);
  CHECK(s.version("lin") == 7);
}

TEST_CASE("load pre-hooks may report errors, which raise strict or not") {
  Lin lin;
  lin.register_load_state_dict_pre_hook(
      [](Module&, LoadContext& c) { c.error_msgs.push_back("not this one"); });
  CHECK(error_of([&] { lin.load_state_dict(lin.state_dict(), false); }) ==
        "RuntimeError: Error(s) in loading state_dict for Lin:\n\tnot this one");
}

TEST_CASE("loading after a prefix was stripped, with more, fewer and misshapen keys") {
  Net net;
  const StateDict whole = net.state_dict();
  StateDict wrapped;
  for (const auto& [key, value] : whole) wrapped.set("module." + key, value);
  consume_prefix_in_state_dict_if_present(wrapped, "module.");
  CHECK(net.load_state_dict(wrapped).str() == "<All keys matched successfully>");

  StateDict extra = whole;
  extra.set("extra", tensor({1}));
  CHECK(error_of([&] { net.load_state_dict(extra); }) ==
        "RuntimeError: Error(s) in loading state_dict for Net:\n\tUnexpected key(s) in state_dict: "
        "\"extra\". ");
  CHECK(net.load_state_dict(extra, false).unexpected_keys == Names{"extra"});
  extra.erase("extra");
  extra.set("extra.param", tensor({1}));
  CHECK(net.load_state_dict(extra, false).unexpected_keys == Names{"extra.param"});
  // A suffix on a valid key is the child's to report.
  StateDict suffix = whole;
  suffix.set("a.lin.weight.bad_suffix", tensor({1}));
  CHECK(error_of([&] { net.load_state_dict(suffix); }) ==
        "RuntimeError: Error(s) in loading state_dict for Net:\n\tUnexpected key(s) in state_dict: "
        "\"a.lin.weight.bad_suffix\". ");

  StateDict fewer = whole;
  fewer.erase("a.lin.weight");
  CHECK(error_of([&] { net.load_state_dict(fewer); }) ==
        "RuntimeError: Error(s) in loading state_dict for Net:\n\tMissing key(s) in state_dict: "
        "\"a.lin.weight\". ");
  CHECK(net.load_state_dict(fewer, false).missing_keys == Names{"a.lin.weight"});

  const Tensor before = clone(net.get_parameter("a.lin.weight"));
  StateDict part({{"b.lin.bias", tensor({7, 7, 7})}});
  net.load_state_dict(part, false);
  CHECK(floats(net.get_parameter("b.lin.bias")) == Floats{7, 7, 7});
  CHECK(floats(net.get_parameter("a.lin.weight")) == floats(before));
  StateDict wrong = whole;
  wrong.set("a.lin.weight", tensor({1}));
  CHECK(error_of([&] { net.load_state_dict(wrong, false); }) ==
        "RuntimeError: Error(s) in loading state_dict for Net:\n\tsize mismatch for a.lin.weight: "
        "copying a param with shape torch.Size([1]) from checkpoint, the shape in current model is "
        "torch.Size([3]).");
}

TEST_CASE("copies in a load bump the version and keep hooks and what is not loaded") {
  Lin lin;
  int fired = 0;
  lin.weight->register_hook([&](const Tensor&) { ++fired; });
  const uint32_t version = lin.weight->version();
  lin.load_state_dict(StateDict({{"weight", tensor({4, 5, 6})}}), false);
  CHECK(lin.weight->version() == version + 1);
  CHECK(lin.weight->requires_grad());
  sum(lin(tensor({1, 1, 1}))).backward();
  CHECK(fired == 1);
}

TEST_CASE("batch norms of older versions keep their counter, of this version miss it") {
  nn::BatchNorm1d bn(3);
  bn.num_batches_tracked.set(full({}, 5, {DType::i64}));
  StateDict old = bn.state_dict();
  old.erase("num_batches_tracked");
  StateDict without_metadata = old;
  without_metadata.metadata.clear();
  CHECK(bn.load_state_dict(without_metadata).missing_keys.empty());
  CHECK(bn.num_batches_tracked->item().i == 5);
  StateDict version_1 = old;
  version_1.metadata = {{"", Value::dict({{"version", 1}})}};
  CHECK(bn.load_state_dict(version_1).missing_keys.empty());
  CHECK(bn.load_state_dict(old, false).missing_keys == Names{"num_batches_tracked"});
}

TEST_CASE("a child's load hook sees its own keys alone") {
  Net net;
  const StateDict s = net.state_dict();
  std::vector<std::string> seen;
  net.get_submodule("a").register_load_state_dict_pre_hook([&](Module&, LoadContext& c) {
    seen = c.state_dict.keys();
    for (const std::string& key : c.state_dict.keys()) CHECK(key.starts_with("a."));
  });
  net.load_state_dict(s);
  CHECK(seen == Names{"a.lin.weight", "a.lin.bias"});
}

TEST_CASE("classes may write and read their own entries") {
  struct Custom : Lin {
    void save_to_state_dict(StateDict& s, const std::string& prefix, bool) override {
      s.set(prefix + "serialized", (*weight * 2).detach());
    }
    void load_from_state_dict(LoadContext& c) override {
      const NoGradGuard no_grad;
      copy_(*weight, c.state_dict.tensor(c.prefix + "serialized") * 0.5);
    }
  };
  nn::Sequential net(make_ref<Custom>());
  const StateDict s = net.state_dict();
  CHECK(s.keys() == Names{"0.serialized"});
  fill_(net.get_parameter("0.weight").detach(), 9);
  net.load_state_dict(s);
  CHECK(floats(net.get_parameter("0.weight")) == Floats{2, 2, 2});
}

TEST_CASE("assign installs what was saved, with its strides, and keeps the order") {
  Net from, to;
  for (const bool keep_vars : {true, false}) {
    fill_(from.get_parameter("a.lin.weight").detach(), keep_vars ? 3 : 4);
    to.to(Device{DeviceType::meta});
    CHECK(to.load_state_dict(from.state_dict("", keep_vars), true, true).str() ==
          "<All keys matched successfully>");
    CHECK(names(to.named_parameters()) == names(from.named_parameters()));
    CHECK(floats(to(tensor({1, 2, 3}))) == floats(from(tensor({1, 2, 3}))));
    CHECK(to.get_parameter("a.lin.weight").requires_grad());
    CHECK(to.get_parameter("a.lin.weight").is_same(from.get_parameter("a.lin.weight")) ==
          keep_vars);
    to.load_state_dict(Net().state_dict(), true, true);
  }
  Module m;
  m.register_parameter("w", parameter(zeros({2, 3})));
  const Tensor other = transpose(rand({3, 2}), 0, 1);
  m.load_state_dict(StateDict({{"w", other}}), true, true);
  CHECK(m.get_parameter("w").strides() == other.strides());
  CHECK(error_of([&] {
          m.load_state_dict(StateDict({{"w", zeros({3, 2})}}), true, true);
        }) ==
        "RuntimeError: Error(s) in loading state_dict for Module:\n\tsize mismatch for w: copying "
        "a param with shape torch.Size([3, 2]) from checkpoint, the shape in current model is "
        "torch.Size([2, 3]).");
}

TEST_CASE("an optimizer made after an assigning load updates the new parameters") {
  Lin lin;
  lin.load_state_dict(Lin().state_dict(), true, true);
  optim::SGD sgd(optim::SGD::Options{.lr = 0.5});
  std::vector<optim::NamedParameter> params;
  for (const auto& [name, p] : lin.named_parameters()) params.push_back({name, p});
  sgd.add_param_group(params);
  sum(lin(tensor({1, 1, 1}))).backward();
  sgd.step();
  CHECK(floats(*lin.weight) == Floats{1.5, 1.5, 1.5});
}

TEST_CASE("assigning breaks ties, copying keeps them, and every name of a tie is required") {
  Module root;
  root.register_parameter("a", parameter(tensor({1})));
  root.register_parameter("b", root.get_parameter("a"));
  StateDict s({{"a", tensor({2})}, {"b", tensor({3})}});
  root.load_state_dict(s);
  CHECK(root.get_parameter("a").is_same(root.get_parameter("b")));
  CHECK(floats(root.get_parameter("a")) == Floats{3});  // the last one wins
  root.load_state_dict(s, true, true);
  CHECK_FALSE(root.get_parameter("a").is_same(root.get_parameter("b")));
  s.erase("b");
  CHECK(root.load_state_dict(s, false).missing_keys == Names{"b"});
}

TEST_CASE("post-hooks do not run where the loading code itself throws") {
  struct Broken : Lin {
    void load_from_state_dict(LoadContext&) override { fail(ErrorKind::value, "broken"); }
  };
  Wrap net(make_ref<Broken>());
  int post = 0;
  net.register_load_state_dict_post_hook([&](Module&, IncompatibleKeys&) { ++post; });
  CHECK(error_of([&] { net.load_state_dict(net.state_dict()); }) == "ValueError: broken");
  CHECK(post == 0);
}

TEST_SUITE_END();
