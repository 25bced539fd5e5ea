// Random sequences of registering, removing and calling, from inside hooks too, against a small
// model of PyTorch's rules that knows nothing of the library's lists.
#include <algorithm>
#include <memory>
#include <random>
#include <set>

#include "nn/modules.h"

using namespace nnm;
using namespace nnm::test;

TEST_SUITE_BEGIN("nn");

namespace {

enum Kind { kPre, kForward, kBackwardPre, kBackward, kKinds };

struct Op {
  enum class What { add, remove, call } what;
  Kind kind = kPre;
  int module = 0;  // 0: root, 1: its child, 2: global (of a call: root or child)
  bool prepend = false, always = false, throws = false;
  double factor = 0;       // 0: no replacement
  size_t target = 0;       // of a removal: which of the handles so far
  std::vector<Op> script;  // done when the hook fires for the first time
};
using Ops = std::vector<Op>;

Ops random_ops(std::mt19937& rng, size_t count, int depth) {
  auto draw = [&rng](int n) { return static_cast<int>(rng() % static_cast<unsigned>(n)); };
  Ops ops;
  for (size_t i = 0; i < count; ++i) {
    Op op{Op::What::add};
    if (const int what = draw(8); what >= 6) op.what = Op::What::call;
    else if (what >= 4) op.what = Op::What::remove;
    op.kind = static_cast<Kind>(draw(kKinds));
    op.module = draw(op.what == Op::What::call ? 2 : 3);
    op.prepend = draw(4) == 0 && op.module != 2;
    op.always = draw(3) == 0;
    op.throws = draw(10) == 0;
    op.factor = std::vector<double>{0, 2, 0.5}[static_cast<size_t>(draw(3))];
    op.target = rng();
    if (op.what == Op::What::add && depth < 2 && draw(3) == 0) {
      op.script = random_ops(rng, static_cast<size_t>(draw(4)), depth + 1);
    }
    ops.push_back(std::move(op));
  }
  return ops;
}

constexpr int kDeepest = 3;  // calls inside hooks of calls

/// What library and model have in common: a log, and scripts that run when a hook fires.
struct World {
  std::string log;
  int depth = 0;
  virtual ~World() = default;
  virtual void add(const Op& op) = 0;
  virtual void remove(size_t target) = 0;
  /// Forward and, unless inside a hook, backward.
  virtual void call(int module, bool backward) = 0;

  void run(const Ops& ops, bool backward) {
    for (const Op& op : ops) {
      if (op.what == Op::What::add) add(op);
      else if (op.what == Op::What::remove) remove(op.target);
      else if (depth < kDeepest) {
        ++depth;
        call(op.module, backward);
        --depth;
      }
    }
  }
  void fire(size_t id, const Op& op, int module) {
    log += fmt::format("{}{}@{} ", "pfbB"[op.kind], id, module);
    if (!op.script.empty() && fired_.insert(id).second) run(op.script, false);
    if (op.throws) fail(ErrorKind::value, "hook");
  }

 private:
  std::set<size_t> fired_;
};

/// The library: root(child), where the child doubles.
struct Real final : World {
  struct Root : Module {
    Child<Fn> child =
        register_module("child", make_ref<Fn>([](const Args& a) { return arg(a) * 2; }));
    using Module::forward;
    Tensor forward(const Tensor& x) override { return child(x); }
  };
  Ref<Root> root = make_ref<Root>();
  std::vector<RemovableHandle> handles;
  size_t next = 0;

  ~Real() override {
    for (RemovableHandle& h : handles) h.remove();
  }
  int name(const Module& m) const { return &m == root.get() ? 0 : 1; }

  void add(const Op& op) override {
    const size_t id = next++;
    const HookOptions o{.prepend = op.prepend, .always_call = op.always};
    Module& m = op.module == 0 ? static_cast<Module&>(*root) : *root->child;
    const bool global = op.module == 2;
    auto pre = [this, id, op](Module& m, const Values& a) {
      fire(id, op, name(m));
      return op.factor != 0 ? Value(a[0].as<Tensor>() * op.factor) : Value();
    };
    auto forward = [this, id, op](Module& m, const Values&, const Value& out) {
      fire(id, op, name(m));
      return op.factor != 0 && out.holds<Tensor>() ? Value(out.as<Tensor>() * op.factor) : Value();
    };
    auto scaled = [op](const Tensors& g) {
      return op.factor != 0 ? std::optional(Tensors{g[0] * op.factor}) : std::nullopt;
    };
    auto backward_pre = [this, id, op, scaled](Module& m, const Tensors& g) {
      fire(id, op, name(m));
      return scaled(g);
    };
    auto backward = [this, id, op, scaled](Module& m, const Tensors& g, const Tensors&) {
      fire(id, op, name(m));
      return scaled(g);
    };
    RemovableHandle h;
    switch (op.kind) {
      case kPre:
        h = global ? register_module_forward_pre_hook(pre) : m.register_forward_pre_hook(pre, o);
        break;
      case kForward:
        h = global ? register_module_forward_hook(forward, op.always)
                   : m.register_forward_hook(forward, o);
        break;
      case kBackwardPre:
        h = global ? register_module_full_backward_pre_hook(backward_pre)
                   : m.register_full_backward_pre_hook(backward_pre, o);
        break;
      default:
        h = global ? register_module_full_backward_hook(backward)
                   : m.register_full_backward_hook(backward, o);
    }
    handles.push_back(h);
  }
  void remove(size_t target) override {
    if (!handles.empty()) handles[target % handles.size()].remove();
  }
  void call(int module, bool with_backward) override {
    const Tensor x = tensor({1}).requires_grad_();
    try {
      const Tensor y = (module == 0 ? static_cast<Module&>(*root) : *root->child)(x);
      log += fmt::format("={} ", y.item().d);
      if (!with_backward) return;
      y.backward();
      log += fmt::format("'{} ", x.grad().item().d);
    } catch (const Error& e) {
      log += e.what() == std::string("hook") ? "! " : e.what();
    }
  }
};

/// PyTorch's rules, with a number for a tensor.
struct Model final : World {
  struct Hook {
    size_t id;
    Op op;
  };
  using List = std::vector<Hook>;
  struct Failure {};
  /// What backward passes, in reverse: a factor, or hooks at the input or output of a call.
  struct Step {
    double factor = 0;
    List hooks;
    int module = 0;
  };
  List lists[3][kKinds];  // of root, child and all modules
  size_t next = 0;
  std::vector<Step> tape;

  void add(const Op& op) override {
    List& list = lists[op.module][op.kind];
    list.insert(op.prepend ? list.begin() : list.end(), {next++, op});
  }
  void remove(size_t target) override {
    if (next == 0) return;
    for (auto& of_module : lists) {
      for (List& list : of_module)
        std::erase_if(list, [&](const Hook& h) { return h.id == target % next; });
    }
  }
  List both(int module, Kind kind) const {
    List out = lists[2][kind];
    out.insert(out.end(), lists[module][kind].begin(), lists[module][kind].end());
    return out;
  }
  void run_hook(const Hook& h, int module) {
    try {
      fire(h.id, h.op, module);
    } catch (const Error&) {
      throw Failure();
    }
  }

  double forward(int module, double x) { return module == 0 ? module_call(1, x) : x * 2; }

  double module_call(int module, double x) {
    bool any = false;
    for (int k = 0; k < kKinds; ++k) any |= !both(module, static_cast<Kind>(k)).empty();
    if (!any) return forward(module, x);
    const List backward_pre = both(module, kBackwardPre), full = both(module, kBackward);
    const bool wrapped = !backward_pre.empty() || !full.empty();
    std::set<size_t> started;
    std::optional<double> result;
    try {
      for (const Hook& h : both(module, kPre)) {
        run_hook(h, module);
        if (h.op.factor != 0) x *= h.op.factor;
        if (h.op.factor != 0) tape.push_back({h.op.factor});
      }
      if (wrapped) tape.push_back({0, full, module});
      result = forward(module, x);
      for (const Hook& h : both(module, kForward)) {
        if (h.op.always) started.insert(h.id);
        run_hook(h, module);
        if (h.op.factor != 0) *result *= h.op.factor;
        if (h.op.factor != 0) tape.push_back({h.op.factor});
      }
      if (wrapped) tape.push_back({0, backward_pre, module});
    } catch (const Failure&) {
      for (const int scope : {2, module}) {
        for (const Hook& h : List(lists[scope][kForward])) {
          if (!h.op.always || started.contains(h.id)) continue;
          try {
            run_hook(h, module);
          } catch (const Failure&) {
          }
        }
      }
      throw;
    }
    return *result;
  }

  void call(int module, bool with_backward) override {
    const auto outer = std::exchange(tape, {});
    try {
      log += fmt::format("={} ", module_call(module, 1));
      if (with_backward) log += fmt::format("'{} ", backward());
    } catch (const Failure&) {
      log += "! ";
    }
    tape = outer;
  }
  double backward() {
    double g = 2;  // the child's own
    const auto passed = std::exchange(tape, {});
    for (auto s = passed.rbegin(); s != passed.rend(); ++s) {
      if (s->factor != 0) g *= s->factor;
      for (const Hook& h : s->hooks) {
        run_hook(h, s->module);
        if (h.op.factor != 0) g *= h.op.factor;
      }
    }
    return g;
  }
};

}  // namespace

TEST_CASE("10,000 random sequences of register, remove and call agree with a model") {
  const Warnings warnings;
  size_t events = 0, failures = 0;
  for (unsigned seed = 0; seed < 10000; ++seed) {
    std::mt19937 rng(seed);
    const Ops ops = random_ops(rng, 8 + seed % 17, 0);
    Real real;
    real.run(ops, true);
    Model model;
    model.run(ops, true);
    if (real.log != model.log) {
      CAPTURE(seed);
      CHECK(real.log == model.log);
      break;
    }
    events += static_cast<size_t>(std::count(real.log.begin(), real.log.end(), '@'));
    failures += static_cast<size_t>(std::count(real.log.begin(), real.log.end(), '!'));
  }
  // The sequences must mean something.
  CHECK(events > 100000);
  CHECK(failures > 1000);
}

TEST_CASE("handles may be dropped, used and used again in any order after their modules") {
  std::mt19937 rng(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<RemovableHandle> handles;
    std::vector<Ref<Wrap>> nets;
    for (int i = 0; i < 3; ++i) nets.push_back(make_ref<Wrap>());
    const auto held = std::make_shared<int>(0);
    for (int i = 0; i < 24; ++i) {
      Module& m = i % 2 ? static_cast<Module&>(*nets[rng() % 3]) : *nets[rng() % 3]->lin;
      switch (rng() % 6) {
        case 0:
          handles.push_back(m.register_forward_pre_hook([held](Module&, const Values&) {}));
          break;
        case 1:
          handles.push_back(
              m.register_forward_hook([held](Module&, const Values&, const Value&) {}));
          break;
        case 2:
          handles.push_back(
              m.register_full_backward_hook([held](Module&, const Tensors&, const Tensors&) {}));
          break;
        case 3:
          handles.push_back(
              m.register_state_dict_pre_hook([held](Module&, const std::string&, bool) {}));
          break;
        case 4:
          handles.push_back(
              m.register_load_state_dict_post_hook([held](Module&, IncompatibleKeys&) {}));
          break;
        default:
          handles.push_back(m.get_submodule(i % 2 ? "lin" : "")
                                .get_parameter("weight")
                                .register_hook([held](const Tensor&) {}));
      }
    }
    // Handles, networks and a graph that still holds hooks go in a random order.
    Tensor y = sum((*nets[0])(tensor({1, 2, 3}).requires_grad_()));
    std::vector<int> order(static_cast<size_t>(handles.size() + 4));
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
    std::shuffle(order.begin(), order.end(), rng);
    for (const int i : order) {
      if (i < 3) nets[static_cast<size_t>(i)] = nullptr;
      else if (i == 3) y = Tensor();
      else if (rng() % 2) handles[static_cast<size_t>(i - 4)].remove();
      else handles[static_cast<size_t>(i - 4)] = RemovableHandle();
    }
    CHECK(held.use_count() == 1);
    for (RemovableHandle& h : handles) h.remove();
  }
}

TEST_CASE("a hook may own the handle that removes it") {
  Lin lin;
  const auto held = std::make_shared<int>(0);
  {
    const auto handle = std::make_shared<RemovableHandle>();
    *handle = lin.register_forward_hook(
        [held, handle](Module&, const Values&, const Value&) { handle->remove(); });
  }
  CHECK(held.use_count() == 2);
  lin(tensor({1, 2, 3}));
  CHECK(held.use_count() == 1);
  auto* raw = new RemovableHandle;
  const std::shared_ptr<RemovableHandle> owner(raw);
  *raw = lin.register_forward_hook([owner](Module&, const Values&, const Value&) {});
  raw->remove();
  CHECK(owner.use_count() == 1);
}

TEST_SUITE_END();
