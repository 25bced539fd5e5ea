// What a module call costs beyond its forward: without hooks, with own ones, with global ones.
//   scripts/bench/call_cost.sh
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "nnm/nn/module.h"
#include "nnm/ops/ops.h"

namespace {

using namespace nnm;

/// The cheapest forward there is: what is measured is the call.
struct Pass final : Module {
  using Module::forward;
  Tensor forward(const Tensor& x) override { return x; }
};

template <class F>
double ns_per_call(const F& f, int calls) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < calls; ++i) f();
  const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
  return taken.count() / calls;
}

double quantile(std::vector<double> v, double q) {
  std::sort(v.begin(), v.end());
  return v[static_cast<size_t>(q * static_cast<double>(v.size() - 1))];
}

// Short rounds of both ways in turn: a machine that others use leaves some of them undisturbed.
void report(const std::string& what, Module& m, int calls, int rounds) {
  const Tensor x = ones({1});
  Module* volatile opaque = &m;  // the compiler must not see which class it is
  Tensor y;
  std::vector<double> direct, called, more;
  for (int r = 0; r < rounds; ++r) {
    Module& module = *opaque;
    direct.push_back(ns_per_call([&] { y = module.forward(x); }, calls));
    called.push_back(ns_per_call([&] { y = module(x); }, calls));
    more.push_back(called.back() - direct.back());
  }
  fmt::print(
      "{:36} forward {:6.2f} ns, call {:6.2f} ns (fastest rounds); more: {:6.2f} ns, quartiles of "
      "pairs {:.2f} {:.2f} {:.2f}\n",
      what, quantile(direct, 0), quantile(called, 0), quantile(called, 0) - quantile(direct, 0),
      quantile(more, 0.25), quantile(more, 0.5), quantile(more, 0.75));
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 2000;
  const int calls = 10'000;
  Pass m;
  report("no hooks", m, calls, rounds);
  auto own = m.register_forward_hook([](Module&, const Values&, const Value&) {});
  report("one forward hook that does nothing", m, calls / 10, rounds);
  own.remove();
  report("its hook removed", m, calls, rounds);
  Pass other;
  auto global = register_module_forward_hook([](Module&, const Values&, const Value&) {});
  report("one global hook that does nothing", other, calls / 10, rounds);
  global.remove();
  report("the global hook removed", other, calls, rounds);
}
