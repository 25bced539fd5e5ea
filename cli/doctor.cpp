// nnm doctor: this build and this machine.
#include <memory>

#include "cli/verb.h"
#include "kernels/kernel.h"
#include "kernels/parallel.h"
#include "nnm/base/json.h"

namespace nnm::cli {

namespace {

struct Fact {
  std::string name, value;
};

std::vector<Fact> facts() {
  std::vector<Fact> out;
  out.push_back({"version", NNM_VERSION});
  out.push_back({"compiler", __VERSION__});
  out.push_back(
      {"instructions", cpu_isa() == Isa::avx2 ? "avx2 (x86-64-v3)" : "baseline (x86-64)"});
  out.push_back({"threads", std::to_string(num_threads())});
  out.push_back({"cuda", "not built"});
  return out;
}

}  // namespace

Action doctor(CLI::App& app) {
  auto format = std::make_shared<std::string>();
  add_format(app, *format);
  return [format] {
    if (*format == "json") {
      Json j(2);
      j.object();
      for (const Fact& f : facts()) j.entry(f.name, f.value);
      print_line(j.end().text());
    } else {
      for (const Fact& f : facts()) print_line(fmt::format("{:<14}{}", f.name, f.value));
    }
    return 0;
  };
}

}  // namespace nnm::cli
