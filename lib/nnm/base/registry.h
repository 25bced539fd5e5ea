// Registry<Base>: every type of one kind (layers, optimizers, …) by name, filled by static
// registration.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "nnm/base/spec.h"

namespace nnm {

/// Base is the kind: a class whose registered types are made as Ref<Base> from bound arguments.
template <class Base>
class Registry {
 public:
  struct Entry {
    const Signature& (*signature)();  ///< built on first use: start-up pays for no type
    const std::string& (*doc)();
    Ref<Base> (*make)(const Values& bound);
  };

  static bool add(const char* name, Entry e) { return table().emplace(name, e).second; }
  /// The entry, or null.
  static const Entry* find(std::string_view name) {
    auto it = table().find(name);
    return it == table().end() ? nullptr : &it->second;
  }
  /// Makes one; throws Error(key) for an unknown name with the nearest one, BindError for
  /// arguments.
  static Ref<Base> make(std::string_view name, const Args& args) {
    const Entry* e = find(name);
    if (!e) {
      throw Error(ErrorKind::key, fmt::format("unknown {} `{}`", Base::kRegistryKind, name),
                  did_you_mean(name, names()));
    }
    return e->make(e->signature().bind(args));
  }
  static std::vector<std::string> names() {
    std::vector<std::string> out;
    for (const auto& [name, e] : table()) out.push_back(name);
    return out;
  }
  static const std::map<std::string, Entry, std::less<>>& all() { return table(); }

 private:
  static std::map<std::string, Entry, std::less<>>& table() {
    static std::map<std::string, Entry, std::less<>> t;
    return t;
  }
};

/// Registers `Type` (which has `Options`, `static const Spec<Options>& spec()` and a constructor
/// from Options) under its own name in Registry<Base>. Stands once at the end of the type's file.
#define NNM_REGISTER(Base, Type)                                                     \
  [[maybe_unused]] static const bool Type##_registered = ::nnm::Registry<Base>::add( \
      #Type, {[]() -> const ::nnm::Signature& {                                      \
                static const ::nnm::Signature s = Type::spec().signature();          \
                return s;                                                            \
              },                                                                     \
              []() -> const std::string& { return Type::spec().doc(); },             \
              [](const ::nnm::Values& bound) -> ::nnm::Ref<Base> {                   \
                return ::nnm::make_ref<Type>(Type::spec().read(bound));              \
              }})

}  // namespace nnm
