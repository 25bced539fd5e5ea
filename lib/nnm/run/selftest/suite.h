// How a case of the self-test is written: operands, and a call of the kernel.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kernels/kernel.h"
#include "nnm/run/selftest.h"

namespace nnm::run {

using Sizes = std::vector<int64_t>;

/// How an operand lies in memory.
enum class Lay : uint8_t {
  plain,     ///< row-major
  turned,    ///< column-major
  gaps,      ///< every other element
  rows,      ///< dense rows with room between them
  off,       ///< row-major, from an address that is not aligned
  channels,  ///< dimension 1 innermost, the others row-major
  heads      ///< (B, H, L, E) as (B, L, H, E), beside others of it, rows from multiples of 8
};

/// What an operand holds before the call. Outputs hold bytes 0xFF.
struct Contents {
  enum class Kind : uint8_t { normal, uniform, integers, specials };
  Kind kind = Kind::normal;
  double low = 0, high = 1;  ///< of uniform and integers, high left out
};
inline Contents uniform(double low, double high) { return {Contents::Kind::uniform, low, high}; }
inline Contents integers(int64_t low, int64_t high) {
  return {Contents::Kind::integers, static_cast<double>(low), static_cast<double>(high)};
}
/// Normal ones with NaN, both infinities, both zeros and the ends of the range among them.
inline Contents specials() { return {Contents::Kind::specials}; }

struct Operand {
  enum class Role : uint8_t { in, out, both, absent };
  Role role = Role::absent;
  DType dtype = DType::f32;
  Sizes size;
  Lay lay = Lay::plain;
  Contents values;
  unsigned spread = 0;  ///< dimensions of stride 0, a bit each
};
inline Operand in(DType t, Sizes size, Lay lay = Lay::plain, Contents v = {}) {
  return {Operand::Role::in, t, std::move(size), lay, v};
}
inline Operand in(DType t, Sizes size, Contents v) {
  return {Operand::Role::in, t, std::move(size), Lay::plain, v};
}
inline Operand out(DType t, Sizes size, Lay lay = Lay::plain) {
  return {Operand::Role::out, t, std::move(size), lay, {}};
}
inline Operand both(DType t, Sizes size, Contents v = {}, Lay lay = Lay::plain) {
  return {Operand::Role::both, t, std::move(size), lay, v};
}
inline Operand absent() { return {}; }
/// The same with a value for all of these dimensions.
inline Operand spread(Operand o, unsigned dims) {
  o.spread = dims;
  return o;
}

using Views = std::vector<View>;
/// Calls the kernel; gives the numbers that it returns to the host, if any.
using Call = std::function<std::vector<double>(const Views&)>;

class Suite {
 public:
  Suite(Device device, const std::function<bool(const std::string&)>& wanted,
        const std::function<void(const SelfTestResult&)>& each)
      : device_(device), wanted_(wanted), each_(each) {}

  /// Checks one call; `slack` multiplies the limit of the outputs' type, 0 asks for the same bits.
  /// `note` tells cases apart that have the same operands.
  template <class Signature, class F>
  void check(const Kernel<Signature>& k, const std::string& note,
             const std::vector<Operand>& operands, double slack, const F& call) {
    Call f = [&call](const Views& v) -> std::vector<double> {
      if constexpr (std::is_void_v<decltype(call(v))>) {
        call(v);
        return {};
      } else {
        return call(v);
      }
    };
    check(k.name(), k.has(device_.type), note, operands, slack, f);
  }

 private:
  void check(const char* kernel, bool present, const std::string& note,
             const std::vector<Operand>& operands, double slack, const Call& call);

  Device device_;
  const std::function<bool(const std::string&)>& wanted_;
  const std::function<void(const SelfTestResult&)>& each_;
};

/// Floating types, from the one that training uses most.
inline constexpr DType kFloats[] = {DType::f32, DType::bf16, DType::f16, DType::f64};

// The cases, by families.
void check_pointwise(Suite& s);
void check_activations(Suite& s);
void check_reductions(Suite& s);
void check_classes(Suite& s);
void check_updates(Suite& s);
void check_random(Suite& s);
void check_statistics(Suite& s);
void check_products(Suite& s);
void check_layers(Suite& s);
void check_recurrent(Suite& s);
void check_indices(Suite& s);

}  // namespace nnm::run
