// libFuzzer's side: which target it feeds, and the coverage of code that GCC has instrumented.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "fuzz/targets.h"
#include "nnm/base/log.h"

// libFuzzer counts coverage in tables that clang makes for it; GCC calls a function at every basic
// block instead (-fsanitize-coverage=trace-pc), which counts in one table here.
extern "C" void __sanitizer_cov_8bit_counters_init(uint8_t* begin, uint8_t* end);

namespace {

constexpr uintptr_t kCounters = uintptr_t{1} << 18;
uint8_t counters[kCounters];

const nnm::fuzz::Target* chosen() {
  const char* name = std::getenv("NNM_FUZZ_TARGET");
  const nnm::fuzz::Target* target = nnm::fuzz::find_target(name ? name : "");
  if (target) return target;
  std::fputs("NNM_FUZZ_TARGET names what is fuzzed, one of\n", stderr);
  for (const nnm::fuzz::Target& t : nnm::fuzz::targets()) std::fprintf(stderr, "  %s\n", t.name);
  std::exit(2);
}

}  // namespace

extern "C" {

void __sanitizer_cov_trace_pc() {
  const auto at = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
  // Blocks are a few bytes apart: all bits of the address below 2^30 matter.
  ++counters[(at ^ (at >> 12)) % kCounters];
}

// GCC tells of comparisons of floats, of which libFuzzer does not know.
void __sanitizer_cov_trace_cmpf(float, float) {}
void __sanitizer_cov_trace_cmpd(double, double) {}

int LLVMFuzzerInitialize(int*, char***) {
  chosen();
  __sanitizer_cov_8bit_counters_init(counters, counters + kCounters);
  nnm::set_log_level(nnm::LogLevel::quiet);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const nnm::fuzz::Target* const target = chosen();
  target->run({reinterpret_cast<const char*>(data), size});
  return 0;
}

}  // extern "C"
