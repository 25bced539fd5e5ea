// Cases of the steps of recurrent layers.
#include "kernels/recurrent.h"

#include "nnm/run/selftest/suite.h"

namespace nnm::run {

namespace {

void check_lstm(Suite& s, DType t, int64_t n, int64_t wide) {
  const Sizes one = {n, wide}, gates = {n, 4 * wide};
  s.check(kernels::lstm_step, "",
          {out(t, one), out(t, one, Lay::rows), both(t, gates), in(t, one, Lay::rows)}, 2,
          [](const Views& v) { kernels::lstm_step(v[0], v[1], v[2], v[3]); });
  s.check(kernels::lstm_step_backward, "",
          {out(t, gates), both(t, one), in(t, gates, uniform(0.1, 0.9)), in(t, one), in(t, one),
           in(t, one, Lay::rows), in(t, one)},
          4, [](const Views& v) {
            kernels::lstm_step_backward(v[0], v[1], v[2], v[3], v[4], v[5], v[6]);
          });
}

void check_gru(Suite& s, DType t, int64_t n, int64_t wide) {
  const Sizes one = {n, wide}, gates = {n, 3 * wide};
  s.check(kernels::gru_step, "",
          {out(t, one, Lay::rows), both(t, gates), in(t, gates), in(t, one, Lay::rows)}, 2,
          [](const Views& v) { kernels::gru_step(v[0], v[1], v[2], v[3]); });
  s.check(kernels::gru_step_backward, "",
          {out(t, gates), out(t, gates, Lay::rows), both(t, one), in(t, gates, uniform(0.1, 0.9)),
           in(t, gates), in(t, one), in(t, one, Lay::rows)},
          4, [](const Views& v) {
            kernels::gru_step_backward(v[0], v[1], v[2], v[3], v[4], v[5], v[6]);
          });
}

}  // namespace

void check_recurrent(Suite& s) {
  for (const DType t : kFloats) {
    for (const auto& [n, wide] : {std::pair<int64_t, int64_t>{3, 5}, {7, 300}, {0, 4}}) {
      check_lstm(s, t, n, wide);
      check_gru(s, t, n, wide);
    }
  }
}

}  // namespace nnm::run
