// Kernel slots: one function pointer per device, filled by static registration or by a plug-in.
#pragma once

#include "kernels/view.h"

namespace nnm {

/// Instruction sets a CPU kernel is compiled for, worst first; the best one the processor has wins.
enum class Isa : uint8_t { baseline, avx2, avx512 };

/// The best instruction set of this processor, found once by CPUID. `NNM_ISA=baseline` or
/// `NNM_ISA=avx2` in the environment asks for no better one than that.
Isa cpu_isa();

/// Throws Error: "<kernel>: not built for device <device>". Defined above the kernels, in base.
[[noreturn]] void throw_missing_kernel(const char* kernel, DeviceType device);

template <class Signature>
class Kernel;

/// A kernel's name, contract (its signature) and implementations. The first argument is the output
/// whose device picks the implementation; on `meta` a call does nothing.
template <class... Rest>
class Kernel<void(const View& out, Rest...)> {
 public:
  using Fn = void (*)(const View&, Rest...);
  consteval explicit Kernel(const char* name) : name_(name) {}

  void operator()(const View& out, Rest... rest) const {
    if (Fn fn = fn_[static_cast<int>(out.device.type)]) return fn(out, rest...);
    if (out.device.type != DeviceType::meta) throw_missing_kernel(name_, out.device.type);
  }
  /// Fills the CPU slot unless a better instruction set has already done so.
  bool set_cpu(Isa isa, Fn fn) {
    if (isa > cpu_isa() || (fn_[0] && isa < isa_)) return false;
    isa_ = isa;
    fn_[0] = fn;
    return true;
  }
  bool set(DeviceType device, Fn fn) { return (fn_[static_cast<int>(device)] = fn) != nullptr; }
  bool has(DeviceType device) const { return fn_[static_cast<int>(device)] != nullptr; }
  const char* name() const { return name_; }

 private:
  const char* name_;
  Fn fn_[kDeviceTypes] = {};
  Isa isa_ = Isa::baseline;
};

}  // namespace nnm

// kernels/cpu/*.cpp are compiled once per instruction set (for AVX-512 those that gain by it), with
// NNM_ISA set by the build. Their
// functions stand in an anonymous namespace, so that the copies never meet in the linker.
#ifdef NNM_ISA
#define NNM_KERNEL(slot, fn)                             \
  [[maybe_unused]] static const bool slot##_registered = \
      nnm::kernels::slot.set_cpu(nnm::Isa::NNM_ISA, fn)
#endif
