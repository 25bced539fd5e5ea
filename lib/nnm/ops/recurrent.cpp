// Each step is a product of the state with its weights, added to the input's part, and one kernel.
// On the CPU the weights are packed once for all steps. Gradients of weights are one product over
// all steps. Source: Appleyard, Kocisky and Blunsom, "Optimizing Performance of Recurrent Neural
// Networks on GPUs" (2016).
#include "nnm/ops/recurrent.h"

#include "kernels/linear.h"
#include "kernels/pointwise.h"
#include "kernels/recurrent.h"
#include "nnm/ops/autocast.h"
#include "nnm/ops/detail.h"
#include "nnm/ops/gemm.h"

namespace nnm::detail {

namespace {

// Step t of (L, N, width).
View step_of(const Tensor& x, int64_t t) { return x.view().at(t); }

// Steps [begin, begin + count) as the rows of one matrix.
View rows_of(const Tensor& x, int64_t begin, int64_t count) {
  View v = step_of(x, begin);
  v.size[0] *= count;
  return v;
}

View rows_of(const Tensor& x) { return rows_of(x, 0, x.shape()[0]); }

struct Recurrence {
  RecurrentCell cell;
  bool reverse;
  int64_t steps, batch, width, out;  // L, N, H, S

  bool is_lstm() const { return cell == RecurrentCell::lstm; }
  bool is_gru() const { return cell == RecurrentCell::gru; }
  Unary activation() const { return cell == RecurrentCell::rnn_relu ? Unary::relu : Unary::tanh; }
  // The place of the k-th step in the order of the recurrence.
  int64_t step(int64_t k) const { return reverse ? steps - 1 - k : k; }
  // The state that it starts from.
  View before(int64_t k, const Tensor& states, const Tensor& first) const {
    return k == 0 || !states ? View(first) : step_of(states, step(k - 1));
  }
};

// x wᵀ at every step, for w of any strides.
class StepProduct {
 public:
  StepProduct(const Tensor& w, const Recurrence& r) : w_(w) {
    // Fewer rows are products of their own without a copy, and oneDNN is as fast with more.
    constexpr int64_t kFewestRows = 5, kFewestSteps = 3;
    if (w.dtype() != DType::f32 || !kernels::linear.has(w.device().type)) return;
    if (r.batch < kFewestRows || r.batch > kLinearRows || r.steps < kFewestSteps) return;
    if (w.numel() == 0) return;
    const Tensor rows = contiguous(w);
    packed_ = empty({linear_packed(rows)}, {DType::u8, w.device()});
    kernels::linear_weights(packed_, rows);
  }

  void operator()(const View& y, const View& x, const View& bias, bool add) const {
    if (!packed_) return gemm(y, x, transposed_view(w_), bias, 1, add);
    count_flops(2 * y.numel() * x.size[1]);
    kernels::linear(y, x, w_, packed_, bias, add);
  }

 private:
  Tensor w_, packed_;
};

// What the steps leave, for backward.
struct Steps {
  Tensor gates;      // (L, N, gates · H): values
  Tensor state;      // of a GRU (L, N, 3H): the state's parts
  Tensor c;          // of an LSTM (L, N, H)
  Tensor projected;  // with a projection (L, N, H): what it is made of
  Tensor y;          // (L, N, S)
};

void run_step(const Recurrence& r, const Steps& s, const RecurrentWeights& w,
              const StepProduct& by_w, const View& h, const View& c, int64_t t) {
  const View gates = step_of(s.gates, t), y = step_of(s.y, t);
  if (r.is_gru()) {
    const View state = step_of(s.state, t);
    by_w(state, h, w.bias, false);
    return kernels::gru_step(y, gates, state, h);
  }
  by_w(gates, h, w.bias, true);
  if (!r.is_lstm()) return kernels::unary(y, gates, r.activation());
  if (!w.projection) return kernels::lstm_step(y, step_of(s.c, t), gates, c);
  const View wide = step_of(s.projected, t);
  kernels::lstm_step(wide, step_of(s.c, t), gates, c);
  gemm(y, wide, transposed_view(w.projection));
}

// From the last step to the first: gradients of gates, states and weights.
class Gradients {
 public:
  Gradients(const Recurrence& r, const Steps& s, const RecurrentWeights& w, const Tensor& h,
            const Tensor& c)
      : r_(r), s_(s), w_(w), h_(h), c_(c) {}

  void run(const Tensor& dy, const Tensor& dc_last) {
    d_gates = empty(s_.gates.shape(), s_.gates.options());
    d_state = r_.is_gru() ? empty(s_.gates.shape(), s_.gates.options()) : d_gates;
    d_h = zeros({r_.batch, r_.out}, s_.y.options());
    if (r_.is_lstm()) {
      d_c = empty({r_.batch, r_.width}, s_.y.options());
      if (dc_last.defined()) kernels::copy(d_c, dc_last);
      else kernels::fill(d_c, 0, 0);
    }
    if (w_.projection) {
      d_projected = empty({r_.batch, r_.width}, s_.y.options());
      d_y = empty(s_.y.shape(), s_.y.options());
      none_ = zeros({r_.batch, r_.width}, s_.y.options());
    } else if (!r_.is_lstm() && !r_.is_gru()) {
      d_y = empty({1, r_.batch, r_.width}, s_.y.options());
    }
    const StepProduct by_w(transposed(w_.w), r_);
    for (int64_t k = r_.steps - 1; k >= 0; --k) {
      const int64_t t = r_.step(k);
      through_cell(step_of(dy, t), t, r_.before(k, s_.y, h_), r_.before(k, s_.c, c_));
      by_w(d_h, step_of(d_state, t), {}, r_.is_gru());
    }
  }

  // Sums over all steps of the products of the gates' gradients with the states before them.
  Tensor of_weights() const {
    Tensor dw = empty(w_.w.shape(), w_.w.options());
    const int64_t n = r_.steps - 1;
    gemm(dw, transposed_view(rows_of(d_state, r_.reverse ? 0 : 1, n)),
         rows_of(s_.y, r_.reverse ? 1 : 0, n));
    gemm(dw, transposed_view(step_of(d_state, r_.step(0))), h_, {}, 1, 1);
    return dw;
  }

  Tensor of_projection() const {
    Tensor dw = empty(w_.projection.shape(), w_.projection.options());
    gemm(dw, transposed_view(rows_of(d_y)), rows_of(s_.projected));
    return dw;
  }

  Tensor of_bias() const { return sum(d_state, {0, 1}); }

  Tensor d_gates, d_state, d_h, d_c;

 private:
  void through_cell(const View& dy, int64_t t, const View& h, const View& c) {
    const View d = step_of(d_gates, t), gates = step_of(s_.gates, t);
    if (r_.is_gru())
      return kernels::gru_step_backward(d, step_of(d_state, t), d_h, gates, step_of(s_.state, t), h,
                                        dy);
    if (r_.is_lstm() && !w_.projection)
      return kernels::lstm_step_backward(d, d_c, gates, step_of(s_.c, t), c, dy, d_h);
    const View total = step_of(d_y, r_.is_lstm() ? t : 0);
    kernels::binary(total, dy, d_h, Binary::add, compute_type(total.dtype), 1);
    if (!r_.is_lstm()) return kernels::unary_backward(d, total, step_of(s_.y, t), r_.activation());
    gemm(d_projected, total, w_.projection);
    kernels::lstm_step_backward(d, d_c, gates, step_of(s_.c, t), c, d_projected, none_);
  }

  const Recurrence& r_;
  const Steps& s_;
  const RecurrentWeights& w_;
  const Tensor &h_, &c_;
  Tensor d_y, d_projected, none_;  // of a projection, of all steps; of a step
};

void check_states(const Tensor& gates, const RecurrentWeights& w, const Tensor& h,
                  const Tensor& c) {
  for (const Tensor* state : {&h, &c}) {
    if (!state->defined()) continue;
    check_same_device(gates, *state);
    NNM_CHECK(state->dtype() == gates.dtype(), runtime,
              "Input and hidden tensors are not the same dtype, found input tensor with {} and "
              "hidden tensor with {}",
              scalar_type_name(gates.dtype()), scalar_type_name(state->dtype()));
  }
  NNM_CHECK(w.w.dtype() == gates.dtype(), runtime,
            "mat1 and mat2 must have the same dtype, but got {} and {}",
            scalar_type_name(gates.dtype()), scalar_type_name(w.w.dtype()));
  check_floating(gates, "recurrence");
}

// The operation's inputs.
enum : size_t { kGates, kWeights, kBias, kProjection, kState, kCell };

void record_steps(const Recurrence& r, const Steps& s, const RecurrentWeights& w, const Tensor& h,
                  const Tensor& c, const Tensors& outputs, std::span<const Tensor> inputs) {
  constexpr const char* kNode = "CudnnRnnBackward0";
  Steps kept = s;
  kept.y = {};
  record(kNode, outputs, inputs,
         [r, kept, w_saved = Saved(w.w), projection = w.projection ? Saved(w.projection) : Saved(),
          h = Saved(h), c = c.defined() ? Saved(c) : Saved(),
          y = Saved::output(s.y, kNode)](Backward& b) {
           Steps steps = kept;
           steps.y = y.get();
           const RecurrentWeights weights{
               w_saved.get(), {}, projection.defined() ? projection.get() : Tensor()};
           const Tensor first_c = c.defined() ? c.get() : Tensor();
           Gradients g(r, steps, weights, h.get(), first_c);
           g.run(contiguous(b.grad()), r.is_lstm() ? b.maybe_grad(1) : Tensor());
           if (b.needs(kGates)) b.set(kGates, g.d_gates);
           if (b.needs(kWeights)) b.set(kWeights, g.of_weights());
           if (b.needs(kBias)) b.set(kBias, g.of_bias());
           if (b.needs(kProjection)) b.set(kProjection, g.of_projection());
           if (b.needs(kState)) b.set(kState, g.d_h);
           if (b.needs(kCell)) b.set(kCell, g.d_c);
         });
}

}  // namespace

Tensors recurrence(RecurrentCell cell, const Tensor& input, const RecurrentWeights& given,
                   const Tensor& first_h, const Tensor& first_c, bool reverse) {
  const Tensor gates = contiguous(input), h = contiguous(autocast_short(first_h));
  const Tensor c = first_c.defined() ? contiguous(autocast_short(first_c)) : first_c;
  const RecurrentWeights w{autocast_short(given.w), autocast_short(given.bias),
                           autocast_short(given.projection)};
  check_states(gates, w, h, c);
  const int64_t parts = cell == RecurrentCell::lstm ? 4 : cell == RecurrentCell::gru ? 3 : 1;
  const Shape& size = gates.shape();
  const Recurrence r{cell, reverse, size[0], size[1], size[2] / parts, h.shape()[1]};
  const auto like = [&](int64_t width) {
    return empty({r.steps, r.batch, width}, gates.options());
  };
  Steps s{gates.detach(), {}, {}, {}, like(r.out)};
  if (r.is_gru()) s.state = like(size[2]);
  if (r.is_lstm()) s.c = like(r.width);
  if (w.projection) s.projected = like(r.width);
  const StepProduct by_w(w.w, r);
  for (int64_t k = 0; k < r.steps; ++k)
    run_step(r, s, w, by_w, r.before(k, s.y, h), r.before(k, s.c, c), r.step(k));
  Tensors outputs{s.y};
  if (r.is_lstm()) {
    // Of its own memory: whoever changes it must not change what backward reads.
    outputs.push_back(empty({r.batch, r.width}, gates.options()));
    kernels::copy(outputs[1], step_of(s.c, r.step(r.steps - 1)));
  }
  const Tensor inputs[] = {gates, w.w, w.bias, w.projection, h, c};
  if (needs_grad(inputs)) record_steps(r, s, w, h, c, outputs, inputs);
  return outputs;
}

}  // namespace nnm::detail
