// nnm doctor: this build and this machine.
#include <memory>

#include "cli/verb.h"
#include "kernels/cuda.h"
#include "kernels/kernel.h"
#include "kernels/parallel.h"
#include "nnm/base/json.h"

namespace nnm::cli {

namespace {

struct Fact {
  std::string name, value;
};

/// The plug-in, what it runs on, the GPUs; or why there are none.
void add_cuda(std::vector<Fact>& out) {
  const CudaPlugin& p = cuda_plugin();
  out.push_back({"cuda", p.devices > 0
                             ? fmt::format("{} device{}", p.devices, p.devices == 1 ? "" : "s")
                             : "off: " + p.why});
  if (!p.table) return;
  out.push_back({"cuda_plugin", p.path});
  for (const auto& [name, value] : p.table->libraries()) out.push_back({name, value});
  for (int i = 0; i < p.devices; ++i) {
    const CudaDevice d = p.table->describe(i);
    const CudaMemory m = p.table->memory(i);
    const auto gib = [](size_t bytes) { return static_cast<double>(bytes) / (1 << 30); };
    out.push_back({fmt::format("cuda:{}", i),
                   fmt::format("{}, sm_{}{}, {} multiprocessors, {:.1f} of {:.1f} GiB free", d.name,
                               d.major, d.minor, d.multiprocessors, gib(m.free), gib(m.total))});
  }
}

std::vector<Fact> facts() {
  std::vector<Fact> out;
  out.push_back({"version", NNM_VERSION});
  out.push_back({"compiler", __VERSION__});
  constexpr const char* kLevels[] = {"baseline (x86-64)", "avx2 (x86-64-v3)", "avx512 (x86-64-v4)"};
  out.push_back({"instructions", kLevels[static_cast<int>(cpu_isa())]});
  out.push_back({"threads", std::to_string(num_threads())});
  add_cuda(out);
  return out;
}

}  // namespace

Action doctor(App app) {
  auto format = std::make_shared<std::string>();
  add_format(app, *format);
  return [format] {
    if (*format == "json") {
      Json j(2);
      j.object();
      for (const Fact& f : facts()) j.entry(f.name, f.value);
      print_line(j.end().text());
    } else {
      for (const Fact& f : facts()) print_line(fmt::format("{:<16}{}", f.name, f.value));
    }
    return 0;
  };
}

}  // namespace nnm::cli
