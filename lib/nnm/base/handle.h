// Hook lists and the handles that remove from them: the mechanism under every kind of hook.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "nnm/base/ref.h"

namespace nnm {

/// What a handle can do with the list it came from.
class HookListBase : public Object {
 public:
  virtual void erase(uint64_t id) = 0;
  /// The next id; one process-wide counter serves all kinds, as in PyTorch.
  static uint64_t next_id();
};

/// Removes one hook. Safe from inside the hook, after the owner's death, and twice. Copies refer to
/// the same hook; dropping a handle does not remove the hook.
class RemovableHandle {
 public:
  RemovableHandle() = default;
  RemovableHandle(Ref<HookListBase> list, uint64_t id) : list_(std::move(list)), id_(id) {}
  void remove() {
    // The hook may own this very handle: nothing of it is touched after the erasure.
    if (const auto list = std::exchange(list_, nullptr)) list->erase(id_);
  }
  uint64_t id() const { return id_; }

 private:
  Ref<HookListBase> list_;
  uint64_t id_ = 0;
};

/// Removes its hook when it goes out of scope (PyTorch's `with handle:`).
class ScopedHandle {
 public:
  explicit ScopedHandle(RemovableHandle h) : h_(std::move(h)) {}
  ScopedHandle(ScopedHandle&& o) noexcept : h_(std::exchange(o.h_, {})) {}
  ScopedHandle& operator=(ScopedHandle&& o) noexcept {
    h_.remove();
    h_ = std::exchange(o.h_, {});
    return *this;
  }
  ~ScopedHandle() { h_.remove(); }

 private:
  RemovableHandle h_;
};

/// Hooks of one kind in calling order. Entries are copied on write, so that iterating over a
/// snapshot is one reference count and hooks may add or remove hooks while they run.
template <class Entry>
class HookList final : public HookListBase {
 public:
  struct Item {
    uint64_t id;
    Entry hook;
  };
  using Snapshot = std::shared_ptr<const std::vector<Item>>;

  RemovableHandle add(Entry hook, bool prepend = false) {
    auto next = items_ ? std::make_shared<std::vector<Item>>(*items_)
                       : std::make_shared<std::vector<Item>>();
    const uint64_t id = next_id();
    next->insert(prepend ? next->begin() : next->end(), Item{id, std::move(hook)});
    items_ = std::move(next);
    return RemovableHandle(Ref<HookListBase>(this), id);
  }
  void erase(uint64_t id) override {
    if (!items_) return;
    auto next = std::make_shared<std::vector<Item>>();
    for (const Item& i : *items_)
      if (i.id != id) next->push_back(i);
    items_ = next->empty() ? nullptr : Snapshot(std::move(next));
  }
  /// Null when empty.
  Snapshot snapshot() const { return items_; }
  bool empty() const { return !items_; }
  bool contains(uint64_t id) const {
    if (items_)
      for (const Item& i : *items_)
        if (i.id == id) return true;
    return false;
  }
  void clear() { items_ = nullptr; }
  void copy_from(const HookList& o) { items_ = o.items_; }

 private:
  Snapshot items_;
};

}  // namespace nnm
