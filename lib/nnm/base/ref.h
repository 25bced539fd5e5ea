// Intrusive reference counts: what tensors, tape nodes, modules and boxed values are held by.
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

namespace nnm {

/// Base of everything shared. Counts are atomic, since the data loader hands tensors over threads.
class Object {
 public:
  Object() = default;
  Object(const Object&) : refs_(0) {}
  Object& operator=(const Object&) { return *this; }
  virtual ~Object() = default;

  void retain() const { refs_.fetch_add(1, std::memory_order_relaxed); }
  void release() const {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }
  uint32_t use_count() const { return refs_.load(std::memory_order_relaxed); }
  /// What Value::repr prints for it: as Python prints a tensor, a module, a function.
  virtual std::string value_repr() const { return "<object>"; }
  /// In a config's messages, in a few words: `Tensor(f32[2, 3])`, a module's type.
  virtual std::string value_text() const { return value_repr(); }

 protected:
  /// Called when the last reference goes; tape nodes override it to avoid recursion.
  virtual void destroy() const { delete this; }

 private:
  mutable std::atomic<uint32_t> refs_{0};
};

namespace detail {
/// Throws Error(runtime) where others hold the object: moving from it would leave them an empty
/// one.
void check_movable(const Object& o);
}  // namespace detail

/// Shared ownership of a T derived from Object; null by default.
template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  explicit Ref(T* p) : p_(p) {
    if (p_) p_->retain();
  }
  Ref(const Ref& o) : p_(o.p_) {
    if (p_) p_->retain();
  }
  Ref(Ref&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  template <class U>
  requires std::is_convertible_v<U*, T*> Ref(const Ref<U>& o) : Ref(o.get()) {}
  template <class U>
  requires std::is_convertible_v<U*, T*> Ref(Ref<U>&& o)
  noexcept : p_(o.detach()) {}
  /// An object given by value moves to where it can be shared: `add_module("fc", Linear(10, 20))`.
  /// (Not only if U can be moved: where U is made from a Ref, that would hang on this constructor.)
  template <class U>
  requires std::derived_from<U, T> Ref(U&& o)
      : Ref((detail::check_movable(o), new U(std::forward<U>(o)))) {}
  Ref& operator=(Ref o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~Ref() {
    if (p_) p_->release();
  }

  T* get() const { return p_; }
  T* operator->() const { return p_; }
  T& operator*() const { return *p_; }
  /// Calls the T: `model(x)` reads alike for a module and for a reference to one.
  template <class... A>
  auto operator()(const A&... args) const -> decltype(std::declval<T&>()(args...)) {
    return (*p_)(args...);
  }
  explicit operator bool() const { return p_ != nullptr; }
  /// Gives the pointer up without dropping the count.
  T* detach() { return std::exchange(p_, nullptr); }
  /// Takes over a count that somebody else holds.
  static Ref adopt(T* p) {
    Ref r;
    r.p_ = p;
    return r;
  }
  template <class U>
  friend bool operator==(const Ref& a, const Ref<U>& b) {
    return a.get() == b.get();
  }
  friend bool operator==(const Ref& a, std::nullptr_t) { return !a.p_; }

 private:
  T* p_ = nullptr;
};

template <class T, class... A>
Ref<T> make_ref(A&&... args) {
  return Ref<T>(new T(std::forward<A>(args)...));
}

}  // namespace nnm
