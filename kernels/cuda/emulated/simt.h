// CUDA's execution model on one CPU thread: the threads of a block are fibers, run one after
// another between barriers, each warp as far as it gets, in an order that NNM_SIMT_ORDER chooses
// (forward, reverse, shuffled or shuffled:SEED), so that a missing barrier changes results instead
// of hiding. Barriers that not all threads reach, shuffles whose lanes do not all arrive and
// launches that no device accepts end the process with a message. NNM_SIMT_LAUNCHED=FILE gets, at
// the process's end, a line for every kernel launched: how often, and its name as NNM_LAUNCH was
// given it. Only kernels/cuda/simt.h includes this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct uint3 {
  unsigned x, y, z;
};

inline uint3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace nnm::simt {

enum class Order : uint8_t { forward, reverse, shuffled };

/// Overrides NNM_SIMT_ORDER.
void set_order(Order order, uint64_t seed = 0);

/// Called before and after each launch, where it is set: the emulated runtime opens the device's
/// memory meanwhile.
inline void (*around_launch)(bool begins) = nullptr;

/// Keeps work for later where the emulated runtime captures, and says so; `kind` tells kernels
/// apart.
inline bool (*keep_captured)(const void* kind, const std::function<void()>& work) = nullptr;

/// Runs body(args) for every thread of every block.
void run(const char* name, dim3 grid, dim3 block, size_t shared, void (*body)(void*), void* args);

/// The block's dynamic shared memory: filled with 0xFF when the block starts.
void* dynamic_shared();

/// Waits for all threads of the block that have not ended. `line` tells barriers apart.
void block_barrier(const char* file, int line);

/// What each lane of a warp operation gets.
constexpr int kBallot = -1;  ///< the lanes whose value is not 0
/// Waits for the lanes in `mask`; returns the value of lane `source`, or with kBallot the ballot.
uint64_t warp_exchange(uint32_t mask, uint64_t value, int source, const char* file, int line);
int lane();

/// A copy of `there` bytes, and zeros up to `bytes`, that lands when the thread waits for it; in
/// shuffled order perhaps at once. None that it never waits for lands.
void begin_copy(void* to, const void* from, int bytes, int there);
void end_copies();

/// Ends the process with what is wrong in a kernel.
[[noreturn]] void die(const char* what);

template <class T>
T shuffle(uint32_t mask, T value, int source, const char* file, int line) {
  static_assert(std::is_arithmetic_v<T> && sizeof(T) >= 4, "CUDA shuffles 4 and 8 bytes");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = warp_exchange(mask, bits, source, file, line);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace nnm::simt

#define NNM_SIMT_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(NNM_SIMT_HERE) { nnm::simt::block_barrier(file, line); }
inline void __syncwarp(unsigned mask = ~0u, NNM_SIMT_HERE) {
  nnm::simt::warp_exchange(mask, 0, nnm::simt::kBallot, file, line);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, NNM_SIMT_HERE) {
  return static_cast<unsigned>(
      nnm::simt::warp_exchange(mask, predicate != 0, nnm::simt::kBallot, file, line));
}
inline int __any_sync(unsigned mask, int predicate, NNM_SIMT_HERE) {
  return __ballot_sync(mask, predicate, file, line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, NNM_SIMT_HERE) {
  return __ballot_sync(mask, predicate, file, line) == mask;
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize, NNM_SIMT_HERE) {
  const int base = nnm::simt::lane() & ~(width - 1);
  return nnm::simt::shuffle(mask, value, base + (source & (width - 1)), file, line);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize, NNM_SIMT_HERE) {
  const int at = nnm::simt::lane(), base = at & ~(width - 1), to = at + static_cast<int>(delta);
  return nnm::simt::shuffle(mask, value, to < base + width ? to : at, file, line);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize, NNM_SIMT_HERE) {
  const int at = nnm::simt::lane(), base = at & ~(width - 1), to = at - static_cast<int>(delta);
  return nnm::simt::shuffle(mask, value, to >= base ? to : at, file, line);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int with, int width = warpSize, NNM_SIMT_HERE) {
  const int at = nnm::simt::lane(), to = at ^ with;
  return nnm::simt::shuffle(mask, value, to < (at & ~(width - 1)) + width ? to : at, file, line);
}

inline void __threadfence() {}
inline void __threadfence_block() {}

// Fibers never preempt one another: plain operations are atomic.
#define NNM_SIMT_ATOMIC(name, expression)                                    \
  template <class T>                                                         \
  T name(T* at, std::type_identity_t<T> value) {                             \
    static_assert(std::is_integral_v<T> && sizeof(T) >= 4, "integers only"); \
    const T old = *at;                                                       \
    *at = expression;                                                        \
    return old;                                                              \
  }
NNM_SIMT_ATOMIC(atomicAdd, old + value)
NNM_SIMT_ATOMIC(atomicExch, value)
NNM_SIMT_ATOMIC(atomicMax, old > value ? old : value)
NNM_SIMT_ATOMIC(atomicMin, old < value ? old : value)
NNM_SIMT_ATOMIC(atomicOr, old | value)
NNM_SIMT_ATOMIC(atomicAnd, old& value)
#undef NNM_SIMT_ATOMIC
template <class T>
T atomicCAS(T* at, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  const T old = *at;
  if (old == expected) *at = value;
  return old;
}

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>((static_cast<unsigned __int128>(a) * b) >> 64);
}

namespace nnm::cuda {

template <class... P>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
            const std::type_identity_t<P>&... args) {
  auto work = [=, held = std::tuple<std::remove_cvref_t<P>...>(args...)] {
    auto call = [&] { std::apply(kernel, held); };
    simt::run(
        name, grid, block, shared, [](void* f) { (*static_cast<decltype(call)*>(f))(); }, &call);
  };
  const auto* kind = reinterpret_cast<const void*>(kernel);
  if (!simt::keep_captured || !simt::keep_captured(kind, work)) work();
}

}  // namespace nnm::cuda

#define NNM_DYNAMIC_SHARED(T, name) T* const name = static_cast<T*>(::nnm::simt::dynamic_shared())
