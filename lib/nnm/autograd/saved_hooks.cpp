// Hooks for what the tape saves, and hooks over several tensors.
#include "nnm/autograd/saved_hooks.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "nnm/autograd/node.h"

namespace nnm {

namespace {

struct PackPair final : Object {
  PackPair(SavedTensorsHooks::Pack pack, SavedTensorsHooks::Unpack unpack)
      : pack(std::move(pack)), unpack(std::move(unpack)) {}
  SavedTensorsHooks::Pack pack;
  SavedTensorsHooks::Unpack unpack;
};

struct Packed final : Object {
  Packed(Value value, Ref<PackPair> hooks) : value(std::move(value)), hooks(std::move(hooks)) {}
  Value value;
  Ref<PackPair> hooks;
};

// The number beside the list is what every saved tensor reads; the list needs construction.
thread_local size_t pairs_in_force = 0;
std::vector<Ref<PackPair>>& pairs() {
  thread_local std::vector<Ref<PackPair>> list;
  return list;
}
std::string& refusal() {
  thread_local std::string message;
  return message;
}

}  // namespace

SavedTensorsHooks::SavedTensorsHooks(Pack pack, Unpack unpack) {
  NNM_CHECK(refusal().empty(), runtime, "{}", refusal());
  pairs().push_back(make_ref<PackPair>(std::move(pack), std::move(unpack)));
  pairs_in_force = pairs().size();
}

SavedTensorsHooks::~SavedTensorsHooks() {
  pairs().pop_back();
  pairs_in_force = pairs().size();
}

DisableSavedTensorsHooks::DisableSavedTensorsHooks(std::string message) : before_(refusal()) {
  NNM_CHECK(pairs().empty(), runtime, "{}", message);
  refusal() = std::move(message);
}

DisableSavedTensorsHooks::~DisableSavedTensorsHooks() { refusal() = before_; }

namespace detail {

Ref<Object> pack(const Tensor& t) {
  if (!pairs_in_force) [[likely]]
    return nullptr;
  const Ref<PackPair> hooks = pairs().back();
  // What the hook computes is no part of the graph, and not packed in turn.
  const NoGradGuard no_grad;
  const Tensor given = t.detach();
  const uint32_t before = given.version();
  Ref<Packed> packed = make_ref<Packed>(hooks->pack(given), hooks);
  NNM_CHECK(
      given.version() == before, runtime,
      "A saved tensor pack hook is modifying its input in place. Tensors provided as input to "
      "pack hook cannot be modified by in-place operations as this can lead to unexpected "
      "side-effects. Please open an issue if you need to perform in-place operations on the "
      "input to a pack hook.");
  return packed;
}

Tensor unpack(const Object& packed) {
  const auto& p = static_cast<const Packed&>(packed);
  return p.hooks->unpack(p.value);
}

}  // namespace detail

namespace {

/// Removes several hooks by one handle.
class HandleList final : public HookListBase {
 public:
  explicit HandleList(std::vector<RemovableHandle> handles) : handles_(std::move(handles)) {}
  void erase(uint64_t) override {
    for (RemovableHandle& h : std::exchange(handles_, {})) h.remove();
  }

 private:
  std::vector<RemovableHandle> handles_;
};

RemovableHandle one_handle(std::vector<RemovableHandle> handles) {
  return RemovableHandle(make_ref<HandleList>(std::move(handles)), HookListBase::next_id());
}

/// What the hooks of one register_multi_grad_hook share. Nodes are not owned, since hooks that own
/// their node keep the graph: a node lives exactly as long as its list holds hooks.
struct MultiGrad {
  struct Watched {
    const Node* node;
    Ref<HookList<NodeHooks::TensorPre>> list;
  };
  std::function<void(const Tensors&)> fn;
  std::vector<Watched> watched;
  // Of the backward under way:
  uint64_t backward = 0;
  size_t expected = 0, count = 0;
  Tensors grads;

  void arrive(size_t i, const Tensor& g) {
    if (const uint64_t now = detail::running_backward(); backward != now) {
      backward = now;
      grads.assign(watched.size(), Tensor());
      count = 0;
      expected =
          static_cast<size_t>(std::count_if(watched.begin(), watched.end(), [](const Watched& w) {
            return !w.list->empty() && detail::will_run(*w.node);
          }));
    }
    grads[i] = g;
    if (++count < expected) return;
    backward = 0;
    fn(std::exchange(grads, {}));
  }
};

}  // namespace

void detail::check_multi_grad_mode(std::string_view mode) {
  NNM_CHECK(mode == "all" || mode == "any", value,
            "Expects mode to be one of ('all', 'any') but got {}", mode);
}

RemovableHandle register_multi_grad_hook(const Tensors& tensors,
                                         std::function<void(const Tensors&)> fn) {
  for (const Tensor& t : tensors)
    NNM_CHECK(gradient_edge(t).node, assertion, "Expected gradient function to be set");
  const auto shared = std::make_shared<MultiGrad>();
  shared->fn = std::move(fn);
  std::vector<RemovableHandle> handles;
  for (size_t i = 0; i < tensors.size(); ++i) {
    handles.push_back(
        tensors[i].register_hook([shared, i](const Tensor& g) { shared->arrive(i, g); }));
    const Ref<Node> node = gradient_edge(tensors[i]).node;
    shared->watched.push_back({node.get(), node->hooks().tensor_pre});
  }
  return one_handle(std::move(handles));
}

RemovableHandle register_multi_grad_hook_any(const Tensors& tensors,
                                             std::function<void(const Tensor&)> fn) {
  auto last = std::make_shared<uint64_t>(0);
  auto shared_fn = std::make_shared<const std::function<void(const Tensor&)>>(std::move(fn));
  std::vector<RemovableHandle> handles;
  for (const Tensor& t : tensors) {
    if (!t.requires_grad()) continue;
    handles.push_back(t.register_hook([=](const Tensor& g) {
      if (std::exchange(*last, detail::running_backward()) == detail::running_backward()) return;
      (*shared_fn)(g);
    }));
  }
  return one_handle(std::move(handles));
}

}  // namespace nnm
