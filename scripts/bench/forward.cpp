// Times the forward pass of a config's model alone: in eval mode, without gradients.
//   forward CONFIG INPUT THREADS PASSES [PATH=VALUE ...]    INPUT: f32[1, 3, 224, 224] or i64[1,
//   64]
// Prints milliseconds a pass.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <sstream>
#include <string>

#include "kernels/parallel.h"
#include "nnm/autograd/node.h"
#include "nnm/lang/model.h"
#include "nnm/ops/ops.h"

namespace {

using namespace nnm;

/// Random numbers of the type and shape that `text` gives; integers are ids below 65.
Tensor input_of(const std::string& text) {
  const size_t open = text.find('[');
  Shape shape;
  std::istringstream in(text.substr(open + 1));
  for (int64_t n = 0; in >> n; in.ignore(2)) shape.push_back(n);
  return text.substr(0, open) == "i64" ? randint(0, 65, shape) : randn(shape);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 5) {
    fmt::print(stderr, "usage: forward CONFIG INPUT THREADS PASSES [PATH=VALUE ...]\n");
    return 2;
  }
  set_num_threads(std::atoi(argv[3]));
  const int passes = std::atoi(argv[4]);
  const auto config = lang::Config::load(argv[1], {{argv + 5, argv + argc}});
  const lang::Model model = lang::build_model(config, {});
  model.module->eval();
  const NoGradGuard no_grad;
  const Value x(input_of(argv[2]));
  const auto run = [&](int n) {
    for (int i = 0; i < n; ++i) (*model.module)(x);
  };
  run(passes / 4 + 1);
  const auto start = std::chrono::steady_clock::now();
  run(passes);
  const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
  fmt::print("{}\n", taken.count() / passes);
} catch (const std::exception& e) {
  fmt::print(stderr, "{}\n", e.what());
  return 1;
}
