// The recurrence of RNN, LSTM and GRU: gradients of all its inputs, and who owns what it gives. Its
// values are PyTorch's in nn/rnn_test.cpp and the golden layers.
#include "nnm/ops/recurrent.h"

#include <doctest/doctest.h>

#include "nnm/ops/autocast.h"
#include "ops/wave.h"
#include "support/checks.h"
#include "support/gradcheck.h"

using namespace nnm;
using detail::recurrence;
using nnm::testing::message_of;

namespace {

constexpr int64_t kSteps = 3, kBatch = 2, kWide = 4;

int64_t parts_of(RecurrentCell cell) {
  return cell == RecurrentCell::lstm ? 4 : cell == RecurrentCell::gru ? 3 : 1;
}

// All inputs as leaves: gates (L, N, parts · H), w, bias, h, c, projection.
Tensors leaves_of(RecurrentCell cell, int64_t out, const Shape& gates) {
  const int64_t batch = gates[1], rows = gates[2], wide = rows / parts_of(cell);
  Tensors all{random_leaf(gates, -1, 1, 2), random_leaf({rows, out}, -1, 1, 3),
              random_leaf({rows}, -1, 1, 4), random_leaf({batch, out}, -1, 1, 5)};
  if (cell == RecurrentCell::lstm) all.push_back(random_leaf({batch, wide}, -1, 1, 6));
  if (out != wide) all.push_back(random_leaf({out, wide}, -1, 1, 7));
  return all;
}

Tensors leaves_of(RecurrentCell cell, int64_t out) {
  return leaves_of(cell, out, {kSteps, kBatch, parts_of(cell) * kWide});
}

Tensors run(RecurrentCell cell, const Tensors& v, bool reverse) {
  // The gates' memory is taken over.
  return recurrence(cell, clone(v[0]), {v[1], v[2], v.size() > 5 ? v[5] : Tensor()}, v[3],
                    v.size() > 4 ? v[4] : Tensor(), reverse);
}

}  // namespace

TEST_CASE("recurrence: gradients") {
  for (const RecurrentCell cell : {RecurrentCell::rnn_tanh, RecurrentCell::rnn_relu,
                                   RecurrentCell::lstm, RecurrentCell::gru}) {
    for (const bool reverse : {false, true}) {
      CAPTURE(static_cast<int>(cell));
      CAPTURE(reverse);
      CHECK(gradcheck([&](const Tensors& v) { return run(cell, v, reverse); },
                      leaves_of(cell, kWide)) == "");
    }
  }
  CHECK(gradcheck([](const Tensors& v) { return run(RecurrentCell::lstm, v, true); },
                  leaves_of(RecurrentCell::lstm, 3)) == "");
}

TEST_CASE("recurrence: f32 of every batch size, whose weights some kernels pack, is f64 rounded") {
  const Shape sizes[] = {{5, 4, 40}, {5, 5, 40}, {3, 64, 40}, {2, 64, 40}, {3, 97, 40}};
  for (const Shape& size : sizes) {
    for (const RecurrentCell cell :
         {RecurrentCell::rnn_tanh, RecurrentCell::lstm, RecurrentCell::gru}) {
      CAPTURE(static_cast<int>(cell));
      CAPTURE(size[1]);
      const int64_t width = size[2] / parts_of(cell), rows = parts_of(cell) * width;
      const Tensors exact = leaves_of(cell, width, {size[0], size[1], rows});
      Tensors rounded;
      for (const Tensor& t : exact) rounded.push_back(to(t.detach(), DType::f32).requires_grad_());
      const Tensors want = run(cell, exact, true), got = run(cell, rounded, true);
      CHECK(differs(to(got[0], DType::f64), want[0], 1e-5) == "");
      sum(want[0] * want[0]).backward();
      sum(got[0] * got[0]).backward();
      for (size_t i = 0; i < exact.size(); ++i)
        CHECK(differs(to(rounded[i].grad(), DType::f64), exact[i].grad(), 1e-3) == "");
    }
  }
}

TEST_CASE("recurrence: gradients of the last states alone, of one step, without biases") {
  CHECK(gradcheck([](const Tensors& v) { return Tensors{run(RecurrentCell::lstm, v, false)[1]}; },
                  leaves_of(RecurrentCell::lstm, kWide)) == "");
  const Tensors one{random_leaf({1, kBatch, 3 * kWide}), random_leaf({3 * kWide, kWide}),
                    random_leaf({kBatch, kWide})};
  CHECK(gradcheck(
            [](const Tensors& v) {
              return recurrence(RecurrentCell::gru, clone(v[0]), {v[1], {}, {}}, v[2], {}, false);
            },
            one) == "");
}

TEST_CASE("recurrence: a last state that is changed is not what backward reads") {
  const Tensors v = leaves_of(RecurrentCell::lstm, kWide);
  const Tensors plain = run(RecurrentCell::lstm, v, false);
  sum(plain[0]).backward();
  const std::vector<double> expected = v[1].grad().to_vector<double>();
  v[1].set_grad({});
  const Tensors other = run(RecurrentCell::lstm, v, false);
  {
    const NoGradGuard no_grad;
    fill_(other[1].detach(), 7);
  }
  sum(other[0]).backward();
  CHECK(v[1].grad().to_vector<double>() == expected);
}

TEST_CASE("recurrence: types") {
  const Tensors v = leaves_of(RecurrentCell::gru, kWide);
  CHECK(message_of([&] {
          recurrence(RecurrentCell::gru, clone(v[0]), {v[1], v[2], {}}, to(v[3], DType::f32), {},
                     false);
        }) ==
        "Input and hidden tensors are not the same dtype, found input tensor with "
        "Double and hidden tensor with Float");
  // Short types are computed in f32, so that a step rounds once.
  const auto f32 = [](const Tensor& t) { return to(t.detach(), DType::f32); };
  const AutocastGuard autocast(DType::bf16);
  const Tensors y = recurrence(RecurrentCell::gru, to(f32(v[0]), DType::bf16),
                               {f32(v[1]), f32(v[2]), {}}, f32(v[3]), {}, false);
  CHECK(y[0].dtype() == DType::bf16);
  const std::vector<double> got = y[0].to_vector<double>(),
                            exact = run(RecurrentCell::gru, v, false)[0].to_vector<double>();
  for (size_t i = 0; i < got.size(); ++i) CHECK(std::abs(got[i] - exact[i]) < 0.03);
}
