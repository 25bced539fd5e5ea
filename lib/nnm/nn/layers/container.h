// Containers: Sequential, ModuleList, ModuleDict, ParameterList and ParameterDict, with PyTorch's
// methods. Indices may be negative; out of range is Error(index) "index 7 is out of range". Slices
// are Python's: slice(1) is [1:], slice({}, {}, -1) is [::-1].
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "nnm/nn/module.h"

namespace nnm::nn {

using NamedRefs = std::vector<std::pair<std::string, Ref<Module>>>;

/// What Sequential and ModuleList share: children by position.
class IndexedContainer : public Module {
 public:
  size_t size() const { return module_slots().size(); }
  bool empty() const { return size() == 0; }
  /// Throws Error(type) where the slot holds None.
  Module& operator[](int64_t index) const;
  Ref<Module> at(int64_t index) const;
  std::vector<Ref<Module>> modules_list() const;
  /// Replaces one; the name stays.
  void set(int64_t index, Ref<Module> m);
  /// Removes one and numbers the rest anew, which drops names given by hand.
  void remove(int64_t index);
  /// The same with those of a slice.
  void remove(std::optional<int64_t> start, std::optional<int64_t> stop, int64_t step = 1);
  Ref<Module> pop(int64_t index = -1);
  /// `for (const Ref<ModuleSlot>& slot : list)`: slot->value is the child.
  auto begin() const { return module_slots().begin(); }
  auto end() const { return module_slots().end(); }

 protected:
  std::span<const std::string_view> member_names() const override;
  size_t wrap(int64_t index) const;
  /// The slot that an index from 0 means: the one at that position. Null where there is none.
  virtual ModuleSlot* slot_of(size_t index) const { return module_slots()[index].get(); }
  /// Its name; of one that is not there the one it would have.
  std::string name_of(int64_t index) const;
  void renumber();
  /// The shifting of PyTorch's insert, which goes by names: Error(key) where they are no numbers.
  void shift_in(int64_t index, Ref<Module> m);
};

/// Calls its children in turn, each with what the one before returned.
///   nn::Sequential(nn::Linear(784, 128), nn::ReLU(), nn::Linear(128, 10))
/// T(T(…)) is T(…) in C++: where one container is all that another of its class holds, it is given
/// as a Ref, or with its name.
///   nn::Sequential(make_ref<nn::Sequential>(nn::ReLU()))
///   nn::Sequential({{"0", nn::Sequential(nn::ReLU())}})
class Sequential : public IndexedContainer {
 public:
  Sequential() = default;
  /// Each a new module or a Ref to one.
  template <class... M>
  requires(sizeof...(M) > 0 && (std::is_convertible_v<M, Ref<Module>> && ...))  //
      explicit Sequential(M&&... m) {
    (append(std::forward<M>(m)), ...);
  }
  /// Children with names; a name given twice means its last one.
  explicit Sequential(NamedRefs named);

  Value forward(const Args& args) override;
  Tensor forward(const Tensor& x) override;
  Value forward(const Value& x) override;

  /// Under the name str(len(self)), which replaces a child of that name.
  Sequential& append(Ref<Module> m);
  /// Before the one at index, from -n to n.
  Sequential& insert(int64_t index, Ref<Module> m);
  Sequential& extend(const std::vector<Ref<Module>>& modules);
  Sequential& operator+=(const Sequential& other);
  Ref<Module> copied() const override { return make_ref<Sequential>(*this); }
  /// The children repeated: the same objects, shared.
  Sequential& operator*=(int64_t times);
  /// Those of a slice with their names kept, as PyTorch does.
  Ref<Sequential> slice(std::optional<int64_t> start, std::optional<int64_t> stop = {},
                        int64_t step = 1) const;

 private:
  Ref<Module> callable(size_t i) const;
  /// The children from `first` on; each form goes over to the other where the kind changes.
  Value run(Tensor x, size_t first);
  Value run(Value x, size_t first);
};
Ref<Sequential> operator+(const Sequential& a, const Sequential& b);
Ref<Sequential> operator*(const Sequential& s, int64_t times);
inline Ref<Sequential> operator*(int64_t times, const Sequential& s) { return s * times; }

/// A list of children that are called by hand. It prints runs of equal children as one line.
///   nn::ModuleList({nn::Linear(2, 2), nn::ReLU()})    of one list: {make_ref<nn::ModuleList>(…)}
class ModuleList : public IndexedContainer {
 public:
  ModuleList() = default;
  explicit ModuleList(const std::vector<Ref<Module>>& modules) { extend(modules); }

  ModuleList& append(Ref<Module> m);
  void insert(int64_t index, Ref<Module> m);
  ModuleList& extend(const std::vector<Ref<Module>>& modules);
  ModuleList& operator+=(const std::vector<Ref<Module>>& modules) { return extend(modules); }
  /// Those of a slice, numbered from 0.
  Ref<ModuleList> slice(std::optional<int64_t> start, std::optional<int64_t> stop = {},
                        int64_t step = 1) const;
  std::string repr() const override;
  Ref<Module> copied() const override { return make_ref<ModuleList>(*this); }

 protected:
  /// By the name str(index), as PyTorch has it: after delete_attribute("1") an index of 1 is
  /// Error(key), while iteration and slices go by position.
  ModuleSlot* slot_of(size_t index) const override;
};
Ref<ModuleList> operator+(const ModuleList& a, const std::vector<Ref<Module>>& b);
inline Ref<ModuleList> operator+(const ModuleList& a, const ModuleList& b) {
  return a + b.modules_list();
}

/// Children by key, in order of insertion.
class ModuleDict : public Module {
 public:
  ModuleDict() = default;
  explicit ModuleDict(const NamedRefs& modules) { update(modules); }

  size_t size() const { return module_slots().size(); }
  bool contains(std::string_view key) const;
  /// Throws Error(key) with the key's repr where there is none.
  Module& operator[](std::string_view key) const;
  Ref<Module> at(std::string_view key) const;
  void set(const std::string& key, Ref<Module> m) { add_module(key, std::move(m)); }
  void remove(std::string_view key);
  Ref<Module> pop(std::string_view key);
  void update(const NamedRefs& modules);
  void clear();
  std::vector<std::string> keys() const;
  std::vector<Ref<Module>> values() const;
  NamedRefs items() const;
  /// `for (const Ref<ModuleSlot>& slot : dict)`: slot->name is the key, slot->value the child.
  auto begin() const { return module_slots().begin(); }
  auto end() const { return module_slots().end(); }
  Ref<Module> copied() const override { return make_ref<ModuleDict>(*this); }

 protected:
  std::span<const std::string_view> member_names() const override;
};

/// Parameters by position; tensors become parameters. It cannot be called, and entries are not
/// removed, as in PyTorch: after delete_attribute("1") the size stays, and what comes to that entry
/// throws Error(attribute).
class ParameterList : public Module {
 public:
  ParameterList() = default;
  explicit ParameterList(const Tensors& values) { extend(values); }

  Value forward(const Args& args) override;
  size_t size() const { return size_; }
  const Tensor& operator[](int64_t index) const;
  void set(int64_t index, const Tensor& value);
  ParameterList& append(const Tensor& value);
  ParameterList& extend(const Tensors& values);
  ParameterList& operator+=(const Tensors& values) { return extend(values); }
  /// Those of a slice, numbered from 0; the same parameters.
  Ref<ParameterList> slice(std::optional<int64_t> start, std::optional<int64_t> stop = {},
                           int64_t step = 1) const;
  Tensors values() const;
  /// `for (const Tensor& p : list)`
  class Iterator {
   public:
    using value_type = Tensor;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    Iterator(const ParameterList* list, size_t at) : list_(list), at_(at) {}
    const Tensor& operator*() const { return (*list_)[static_cast<int64_t>(at_)]; }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    Iterator operator++(int) { return {list_, at_++}; }
    bool operator==(const Iterator& o) const = default;

   private:
    const ParameterList* list_ = nullptr;
    size_t at_ = 0;
  };
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, size()}; }
  std::string extra_repr() const override;
  Ref<Module> copied() const override { return make_ref<ParameterList>(*this); }

 protected:
  std::span<const std::string_view> member_names() const override;

 private:
  size_t wrap(int64_t index) const;
  /// The slot of the name str(index). Throws Error(attribute) where there is none.
  const Ref<TensorSlot>& slot_of(size_t index) const;
  std::vector<Ref<TensorSlot>> entries() const;

  size_t size_ = 0;  ///< of what was appended: other parameters may be registered beside
};

/// Parameters by key; tensors become parameters, undefined ones are None. It cannot be called.
class ParameterDict : public Module {
 public:
  ParameterDict() = default;
  explicit ParameterDict(const NamedTensors& parameters) { update(parameters); }

  Value forward(const Args& args) override;
  size_t size() const { return parameter_slots().size(); }
  bool contains(std::string_view key) const;
  /// Throws Error(attribute) where there is none, as PyTorch does.
  Tensor operator[](std::string_view key) const;
  void set(const std::string& key, const Tensor& value);
  void remove(std::string_view key);
  Tensor pop(std::string_view key);
  std::pair<std::string, Tensor> popitem();
  Tensor get(std::string_view key, const Tensor& fallback = {}) const;
  Tensor setdefault(const std::string& key, const Tensor& value = {});
  /// In the order given.
  void update(const NamedTensors& parameters);
  void clear();
  /// Another dict of the same parameters.
  Ref<ParameterDict> copy() const;
  /// A new dict with one value under all keys.
  static Ref<ParameterDict> fromkeys(const std::vector<std::string>& keys,
                                     const Tensor& value = {});
  ParameterDict& operator|=(const ParameterDict& other);
  std::vector<std::string> keys() const;
  Tensors values() const;
  NamedTensors items() const;
  /// `for (const Ref<TensorSlot>& slot : dict)`: slot->name is the key, slot->value the parameter.
  auto begin() const { return parameter_slots().begin(); }
  auto end() const { return parameter_slots().end(); }
  std::string extra_repr() const override;
  Ref<Module> copied() const override { return make_ref<ParameterDict>(*this); }

 protected:
  std::span<const std::string_view> member_names() const override;
};
/// a's entries, then b's, which win.
Ref<ParameterDict> operator|(const ParameterDict& a, const ParameterDict& b);

}  // namespace nnm::nn
