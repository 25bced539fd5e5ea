// Connectionist temporal classification by the forward-backward algorithm: a sample's states are
// its labels with blanks between and around them, and a path goes on by at most one label a step.
#include <algorithm>
#include <cmath>

#include "nnm/ops/arguments.h"
#include "nnm/ops/functional.h"
#include "nnm/ops/reduction.h"

namespace nnm {

namespace {

constexpr double kNever = -HUGE_VAL;

struct CtcProblem {
  Tensor log_probs;  ///< (T, N, C)
  Tensor labels;     ///< of each state: (N, 2 S + 1)
  Tensor lengths;    ///< of inputs: (N)
  Tensor targets;    ///< lengths of targets: (N)
  Tensor skips;      ///< whether a state may be reached from the label before: (N, 2 S + 1), bool

  int64_t steps() const { return log_probs.size(0); }
  int64_t states() const { return labels.size(1); }
  /// log p of each state at a step: (N, 2 S + 1).
  Tensor at(int64_t t) const { return gather(select(log_probs, 0, t), 1, labels); }
};

Tensor never_like(const Tensor& x) { return full_like(x, Scalar(kNever)); }

// log(e^a + e^b + e^c), where all may be minus infinity.
Tensor log_of_sum(const Tensor& a, const Tensor& b, const Tensor& c) {
  const Tensor most = maximum(maximum(a, b), c);
  const Tensor shift = masked_fill(most, eq(most, Scalar(kNever)), Scalar(0.0));
  return log(exp(a - shift) + exp(b - shift) + exp(c - shift)) + shift;
}

// x (N, states) `by` states on, or back where that is negative, with minus infinity behind.
Tensor moved_on(const Tensor& x, int64_t by) {
  const int64_t n = x.size(1), gap = std::min(std::abs(by), n);
  const Tensor empty_states = narrow(never_like(x), 1, 0, gap);
  return by > 0 ? cat({empty_states, narrow(x, 1, 0, n - gap)}, 1)
                : cat({narrow(x, 1, gap, n - gap), empty_states}, 1);
}

// One step from the states before, forwards or backwards.
Tensor step_from(const Tensor& before, const Tensor& skips, int64_t direction) {
  const Tensor skipped = moved_on(before, 2 * direction);
  return log_of_sum(before, moved_on(before, direction),
                    where(skips, skipped, never_like(skipped)));
}

Tensor state_numbers(const CtcProblem& p) {
  return arange(0, p.states(), 1, DType::i64, p.labels.device());
}

// The last label and the last blank of each sample, where paths end: (N, states), bool.
Tensor final_states(const CtcProblem& p) {
  const Tensor last = unsqueeze(p.targets * Scalar(2), 1), state = state_numbers(p);
  const Tensor label = logical_and(eq(state, last - Scalar(1)), gt(last, Scalar(0)));
  return logical_or(eq(state, last), label);
}

// log of the probability of all beginnings of paths that are in a state after a step: (T, N,
// states).
Tensor beginnings(const CtcProblem& p) {
  Tensors all;
  for (int64_t t = 0; t < p.steps(); ++t) {
    const Tensor here = p.at(t);
    if (t > 0) all.push_back(step_from(all.back(), p.skips, 1) + here);
    else all.push_back(where(lt(state_numbers(p), Scalar(2)), here, never_like(here)));
  }
  return stack(all);
}

// log of the probability of all ends of paths that begin in a state at a step: (T, N, states).
Tensor endings(const CtcProblem& p) {
  const Tensor last = final_states(p);
  // Whether a state may be left for the label behind the next: that label's own leave.
  const Tensor leaves = slice(pad(p.skips, {0, 2}), 1, 2, std::nullopt);
  Tensors all(static_cast<size_t>(p.steps()));
  Tensor after;
  for (int64_t t = p.steps() - 1; t >= 0; --t) {
    const Tensor here = p.at(t);
    const Tensor ends = logical_and(last, unsqueeze(eq(p.lengths, Scalar(t + 1)), 1));
    const Tensor inside = unsqueeze(gt(p.lengths, Scalar(t + 1)), 1);
    Tensor now = where(ends, here, never_like(here));
    if (after.defined()) now = where(inside, step_from(after, leaves, -1) + here, now);
    all[static_cast<size_t>(t)] = after = now;
  }
  return stack(all);
}

// Minus the log-likelihood of each sample, from its beginnings: (N).
Tensor likelihoods(const CtcProblem& p, const Tensor& alpha) {
  const Tensor step = clamp(p.lengths - Scalar(1), Scalar(0));
  const Tensor place = expand(reshape(step, {1, -1, 1}), {1, step.numel(), p.states()});
  const Tensor at_end = squeeze(gather(alpha, 0, place), 0);
  const Tensor paths = where(final_states(p), at_end, never_like(at_end));
  const Tensor found = neg(logsumexp(paths, {1}));
  // Without a step there is one path, that of no labels.
  const Tensor nothing =
      where(eq(p.targets, Scalar(0)), zeros_like(found), full_like(found, Scalar(HUGE_VAL)));
  return where(eq(p.lengths, Scalar(0)), nothing, found);
}

// The gradient of the likelihoods w.r.t. log_probs, taken as those of a softmax are.
Tensor ctc_gradient(const CtcProblem& p, const Tensor& alpha, const Tensor& loss, const Tensor& g,
                    bool zero_infinity) {
  const Shape& size = p.log_probs.shape();
  const Tensor states = expand(unsqueeze(p.labels, 0), {size[0], size[1], p.states()});
  const Tensor here = gather(p.log_probs, 2, states);
  const Tensor posterior = exp(alpha + endings(p) - here + reshape(loss, {1, -1, 1}));
  const Tensor occupied = scatter_add(zeros(size, alpha.options()), 2, states, posterior);
  const Tensor found = (exp(p.log_probs) - occupied) * reshape(g, {1, -1, 1});
  const Tensor impossible = reshape(eq(loss, Scalar(HUGE_VAL)), {1, -1, 1});
  const Tensor whole = masked_fill(found, impossible, Scalar(zero_infinity ? 0.0 : NAN));
  const Tensor step = arange(0, size[0], 1, DType::i64, g.device());
  const Tensor inside = lt(unsqueeze(step, 1), unsqueeze(p.lengths, 0));
  return where(unsqueeze(inside, 2), whole, zeros_like(whole));
}

constexpr const char* kWhere = "(while checking arguments for ctc_loss_allocate_outputs)";

void check_lengths(const char* name, const Tensor& lengths, int64_t batch, int64_t most) {
  NNM_CHECK(is_integral(lengths.dtype()), runtime, "{} must be integral", name);
  NNM_CHECK(lengths.numel() == batch, runtime, "{} must be of size batch_size", name);
  detail::check_index_range(lengths, 0, most + 1, [&](int64_t bad) {
    fail(ErrorKind::runtime, "Expected {} to have value at {} {}, but got value {} {}", name,
         bad < 0 ? "least" : "most", bad < 0 ? 0 : most, bad, kWhere);
  });
}

// Targets as rows (N, S), S the longest, whatever they are given as.
Tensor target_rows(const Tensor& targets, const Tensor& lengths, int64_t batch) {
  const bool known = !lengths.is_meta() && lengths.numel() > 0;
  const int64_t longest = known ? max(lengths).item().i : 0;
  if (targets.dim() == 2) {
    NNM_CHECK(targets.size(0) == batch, runtime,
              "Expected tensor to have size {} at dimension 0, but got size {} for argument #2 "
              "'targets' {}",
              batch, targets.size(0), kWhere);
    NNM_CHECK(targets.size(1) >= longest, runtime,
              "Expected tensor to have size at least {} at dimension 1, but got size {} for "
              "argument #2 'targets' {}",
              longest, targets.size(1), kWhere);
    return narrow(targets, 1, 0, longest);
  }
  const int64_t all = known ? sum(lengths).item().i : targets.numel();
  NNM_CHECK(targets.dim() == 1 && targets.numel() == all, runtime,
            "Expected tensor to have size {} at dimension 0, but got size {} for argument #2 "
            "'targets' {}",
            all, targets.numel(), kWhere);
  if (longest == 0) return zeros({batch, 0}, targets.options());
  const Tensor first = cumsum(lengths, 0) - lengths;
  const Tensor place = unsqueeze(first, 1) + arange(0, longest, 1, DType::i64, targets.device());
  const Tensor at = clamp(place, Scalar(0), Scalar(all - 1));
  return reshape(index_select(targets, 0, reshape(at, {-1})), at.shape());
}

CtcProblem problem_of(const Tensor& log_probs, const Tensor& targets, const Tensor& lengths,
                      const Tensor& target_lengths, int64_t blank) {
  const int64_t batch = log_probs.size(1), classes = log_probs.size(2);
  NNM_CHECK(blank >= 0 && blank < classes, runtime, "blank must be in label range");
  check_lengths("input_lengths", lengths, batch, log_probs.size(0));
  check_lengths("target_lengths", target_lengths, batch, INT64_MAX - 1);
  const TensorOptions whole{DType::i64, log_probs.device()};
  CtcProblem p{.log_probs = log_probs,
               .lengths = to(reshape(lengths, {-1}), whole),
               .targets = to(reshape(target_lengths, {-1}), whole)};
  const Tensor rows = target_rows(to(targets, whole), p.targets, batch);
  const int64_t longest = rows.size(1);
  // What stands behind a target's end is no label; it is in nobody's way.
  const Tensor step = arange(0, longest, 1, DType::i64, rows.device());
  const Tensor labels = where(lt(step, unsqueeze(p.targets, 1)), rows, full_like(rows, blank));
  detail::check_index_range(labels, 0, classes, [&](int64_t bad) {
    fail(ErrorKind::runtime, "ctc_loss: label {} is out of range for {} classes", bad, classes);
  });
  const Tensor blanks = full({batch, longest, 1}, blank, rows.options());
  const Tensor pairs = flatten(cat({blanks, unsqueeze(labels, 2)}, 2), 1);
  p.labels = cat({pairs, full({batch, 1}, blank, rows.options())}, 1);
  // A label is entered from another one; equal ones, and blanks, have a blank between them.
  const Tensor before =
      slice(pad(p.labels, {2, 0}, "constant", static_cast<double>(blank)), 1, 0, p.states());
  p.skips = ne(p.labels, before);
  return p;
}

// (N) of log_probs (T, N, C).
Tensor ctc_losses(const Tensor& x, CtcProblem p, bool zero_infinity) {
  Tensor alpha, loss, y;
  {
    const NoGradGuard no_grad;
    alpha = beginnings(p);
    loss = likelihoods(p, alpha);
    y = zero_infinity ? where(eq(loss, Scalar(HUGE_VAL)), zeros_like(loss), loss) : clone(loss);
  }
  if (!needs_grad({&x})) return y;
  p.log_probs = Tensor();
  return record("CtcLossBackward0", y, {&x},
                [x = Saved(x), p, alpha, loss, zero_infinity](Backward& b) {
                  CtcProblem problem = p;
                  problem.log_probs = x.get();
                  b.set(0, ctc_gradient(problem, alpha, loss, b.grad(), zero_infinity));
                });
}

}  // namespace

Tensor ctc_loss(const Tensor& log_probs, const Tensor& targets, const Tensor& input_lengths,
                const Tensor& target_lengths, int64_t blank, const std::string& reduction,
                bool zero_infinity) {
  for (const Tensor* t : {&log_probs, &targets, &input_lengths, &target_lengths})
    detail::check_defined(*t, "ctc_loss");
  const detail::Reduction how = detail::parse_reduction(reduction);
  const bool batched = log_probs.dim() == 3;
  NNM_CHECK(batched || (log_probs.dim() == 2 && targets.dim() == 1 && input_lengths.numel() == 1),
            runtime,
            "Expected 3-dimensional tensor, but got {}-dimensional tensor for argument #1 "
            "'log_probs' {}",
            log_probs.dim(), kWhere);
  NNM_CHECK(log_probs.dtype() == DType::f32 || log_probs.dtype() == DType::f64, not_implemented,
            "\"ctc_loss_cpu\" not implemented for '{}'",
            detail::scalar_type_name(log_probs.dtype()));
  const Tensor x = batched ? log_probs : unsqueeze(log_probs, 1);
  NNM_CHECK(x.size(0) > 0, runtime, "ctc_loss: log_probs has no steps");
  const CtcProblem p = problem_of(x.detach(), targets, input_lengths, target_lengths, blank);
  const Tensor loss = ctc_losses(x, p, zero_infinity);
  if (how == detail::Reduction::sum) return sum(loss);
  if (how == detail::Reduction::mean)
    return mean(loss / to(clamp(p.targets, Scalar(1)), loss.dtype()));
  return batched ? loss : squeeze(loss, 0);
}

Tensor ctc_lengths(const Value& v) {
  if (v.is(Value::Kind::tensor)) return v.as<Tensor>();
  const std::vector<int64_t> n = detail::numbers<int64_t>(v);
  return tensor_of<int64_t>(n, {static_cast<int64_t>(n.size())}, {DType::i64, {}});
}

namespace {

Value ctc_loss_call(const Value* a) {
  return ctc_loss(a[0].as<Tensor>(), a[1].as<Tensor>(), ctc_lengths(a[2]), ctc_lengths(a[3]),
                  a[4].integer(), a[5].string(), a[6].boolean());
}

constexpr Function kCtcFunctions[] = {
    {"ctc_loss(log_probs: Tensor, targets: Tensor, input_lengths, target_lengths, blank: int = 0, "
     "reduction: str = \"mean\", zero_infinity: bool = false)",
     "minus the log-likelihood of label sequences, whatever their alignment", ctc_loss_call},
};
NNM_REGISTER_FUNCTIONS(kCtcFunctions);

}  // namespace
}  // namespace nnm
