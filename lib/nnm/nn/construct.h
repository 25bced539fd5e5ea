// Construction: on which device and with which type layers make their parameters, and from which
// random streams they draw them.
#pragma once

#include <string>
#include <string_view>

#include "nnm/nn/module.h"
#include "nnm/tensor/generator.h"

namespace nnm {

/// What layer constructors on this thread follow.
struct Construction {
  Device device = {};  ///< meta: shapes without memory
  DType dtype = DType::f32;
  bool defer_init = false;  ///< leave parameters uninitialised; `initialize` draws them later
  static Construction& current();
  TensorOptions options() const { return {dtype, device}; }
};

/// Changes Construction::current() for a scope.
///   ConstructionGuard meta({.device = {DeviceType::meta}, .defer_init = true});
class ConstructionGuard {
 public:
  explicit ConstructionGuard(Construction c) : before_(Construction::current()) {
    Construction::current() = c;
  }
  ~ConstructionGuard() { Construction::current() = before_; }
  ConstructionGuard(const ConstructionGuard&) = delete;

 private:
  Construction before_;
};

/// Gives each parameter of a module the generator it draws from.
class Streams {
 public:
  /// The default generator for all of them, as PyTorch does.
  Streams() = default;
  /// A stream of its own for each, named by its full path: one more layer leaves the others alone.
  Streams(uint64_t seed, std::string module_path)
      : own_(true), seed_(seed), path_(std::move(module_path)) {}
  /// The generator for the module's parameter; valid until the next call.
  Generator* operator()(std::string_view parameter) const;

 private:
  bool own_ = false;
  uint64_t seed_ = 0;
  std::string path_;
  mutable Generator generator_;
};

/// Draws all parameters anew, each from the stream of (seed, its dotted path); modules are reached
/// by their first name. Do it before parameters are tied.
void initialize(Module& root, uint64_t seed);

}  // namespace nnm
