// libgomp, loaded at the first parallel region: until then the program can choose its settings, and
// small nets never pay for it.
#pragma once

namespace nnm {

/// What a parallel region of C or C++ compiles to: libgomp's interface for compilers.
struct OpenMp {
  void (*parallel)(void (*body)(void*), void* data, unsigned threads, unsigned flags) = nullptr;
  int (*thread_num)() = nullptr;
  int (*num_threads)() = nullptr;
};

/// libgomp, loaded at the first call; null where there is none. Any thread. Sets GOMP_SPINCOUNT to
/// 10,000 where the environment sets neither that nor OMP_WAIT_POLICY: libgomp's idle threads would
/// spin for 300,000 rounds, which is 7 ms, and where other programs want the cores a step would
/// wait for threads that cannot run. 10,000 last over the serial code between the regions of a
/// step, 0.1 to 0.4 ms: to wake a thread that sleeps costs as much as a small product.
const OpenMp* openmp();

}  // namespace nnm
