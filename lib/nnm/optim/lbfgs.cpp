// Limited-memory BFGS with a line search by Wolfe's conditions.
#include "nnm/optim/lbfgs.h"

#include <algorithm>
#include <cmath>

#include "nnm/autograd/node.h"
#include "nnm/ops/ops.h"
#include "nnm/optim/rule.h"

namespace nnm::optim {

namespace {

double inner_product(const Tensor& a, const Tensor& b) { return dot(a, b).item().d; }
double largest(const Tensor& x) { return max(abs(x)).item().d; }

/// Where the cubic through two points and their slopes is least, within bounds.
struct Sample {
  double x, f, g;
};
double cubic_minimum(const Sample& a, const Sample& b, double low, double high) {
  const double d1 = a.g + b.g - 3 * (a.f - b.f) / (a.x - b.x), square = d1 * d1 - a.g * b.g;
  if (!(square >= 0)) return (low + high) / 2;
  const double d2 = std::sqrt(square);
  const double x = a.x <= b.x ? b.x - (b.x - a.x) * ((b.g + d2 - d1) / (b.g - a.g + 2 * d2))
                              : a.x - (a.x - b.x) * ((a.g + d2 - d1) / (a.g - b.g + 2 * d2));
  return std::min(std::max(x, low), high);
}

}  // namespace

const Spec<LBFGS::Options>& LBFGS::spec() {
  static const auto s =
      Spec<Options>("LBFGS", "steps along curvature learnt from gradients; needs a closure")
          .opt(NNM_ARG(lr), "learning rate")
          .opt(NNM_ARG(max_iter), "iterations for each step")
          .opt(NNM_ARG(max_eval), "evaluations of the loss for each step; none: max_iter * 5 / 4")
          .opt(NNM_ARG(tolerance_grad), "stop below this gradient")
          .opt(NNM_ARG(tolerance_change), "stop below this change of loss or parameters")
          .opt(NNM_ARG(history_size), "how many gradients are remembered")
          .opt(NNM_ARG(line_search_fn), "how far to go; none: lr", one_of({"strong_wolfe"}));
  return s;
}

namespace {
LBFGS::Options completed(LBFGS::Options o) {
  if (!o.max_eval) o.max_eval = o.max_iter * 5 / 4;
  return o;
}
}  // namespace

LBFGS::LBFGS(const Options& o) : Optimizer(spec().write(completed(o))) { LBFGS::check(defaults()); }

const Signature& LBFGS::signature() const {
  static const Signature s = spec().signature();
  return s;
}

void LBFGS::check(const Values& options) const {
  const Options o = spec().read(options);
  check_not_negative("learning rate", "lr", o.lr);
}

Tensor LBFGS::step(const Closure& closure) {
  closure_ = &closure;
  struct Leave {
    LBFGS& of;
    ~Leave() { of.closure_ = nullptr; }
  } const leave{*this};
  Optimizer::step();
  return first_loss_;
}

double LBFGS::evaluate() {
  const EnableGradGuard with_grad;
  const Tensor loss = (*closure_)();
  if (!first_loss_.defined()) first_loss_ = loss;
  return loss.item().d;
}

Tensor LBFGS::flat_grad() const {
  Tensors parts;
  for (const NamedParameter& p : groups()[0].params) {
    const Tensor grad = p.tensor.grad();
    parts.push_back(grad.defined() ? reshape(grad, {-1})
                                   : zeros({p.tensor.numel()}, p.tensor.options()));
  }
  return cat(parts).detach();
}

void LBFGS::move(double t, const Tensor& d) const {
  int64_t from = 0;
  for (const NamedParameter& p : groups()[0].params) {
    const int64_t n = p.tensor.numel();
    add_(p.tensor, reshape(narrow(d, 0, from, n), p.tensor.shape()), Scalar(t));
    from += n;
  }
}

bool LBFGS::is_flat(const Tensor& grad) const { return largest(grad) <= o_.tolerance_grad.d; }

/// The last step and what it did to the gradient.
void LBFGS::learn_curvature(const Tensor& grad) {
  const Tensor y = grad - prev_flat_grad_, s = d_ * Scalar(t_);
  const double ys = inner_product(y, s);
  if (!(ys > 1e-10)) return;
  if (static_cast<int64_t>(old_dirs_.size()) == o_.history_size) {
    old_dirs_.pop_front();
    old_stps_.pop_front();
    ro_.pop_front();
  }
  old_dirs_.push_back(y);
  old_stps_.push_back(s);
  ro_.push_back(1 / ys);
  h_diag_ = ys / inner_product(y, y);
}

/// Minus the gradient times the inverse Hessian, as far as it is known: two loops over the history.
Tensor LBFGS::direction(const Tensor& grad) const {
  std::vector<double> along(old_dirs_.size());
  Tensor q = neg(grad);
  for (size_t i = old_dirs_.size(); i-- > 0;) {
    along[i] = inner_product(old_stps_[i], q) * ro_[i];
    q = add(q, old_dirs_[i], Scalar(-along[i]));
  }
  Tensor r = q * Scalar(h_diag_);
  for (size_t i = 0; i < old_dirs_.size(); ++i) {
    const double beta = inner_product(old_dirs_[i], r) * ro_[i];
    r = add(r, old_stps_[i], Scalar(along[i] - beta));
  }
  return r;
}

/// Nocedal and Wright, algorithms 3.5 and 3.6.
class LBFGS::LineSearch {
 public:
  LineSearch(LBFGS& of, const Tensor& d, const Point& start, int64_t most)
      : of_(of), d_(d), start_(start), most_(most), length_(largest(d)) {
    for (const NamedParameter& p : of.groups()[0].params) at_.push_back(clone(p.tensor.detach()));
  }

  /// The point to go to; the parameters are where they were.
  Point run(double t) {
    bracket(t);
    while (!done_ && iterations_ < most_) {
      if (std::abs(ends_[1].t - ends_[0].t) * length_ < of_.o_.tolerance_change.d) break;
      narrow_to(at(trial()));
    }
    return ends_[low_];
  }
  int64_t evaluations() const { return evaluations_; }

 private:
  static constexpr double kArmijo = 1e-4, kCurvature = 0.9;

  Point at(double t) {
    of_.move(t, d_);
    Point p{t, of_.evaluate(), of_.flat_grad(), 0};
    p.slope = inner_product(p.grad, d_);
    const auto& params = of_.groups()[0].params;
    for (size_t i = 0; i < params.size(); ++i) copy_(params[i].tensor, at_[i]);
    ++evaluations_;
    return p;
  }
  bool too_high(const Point& p) const {
    return p.loss > start_.loss + kArmijo * p.t * start_.slope;
  }
  bool is_level(const Point& p) const { return std::abs(p.slope) <= -kCurvature * start_.slope; }
  static Sample sample(const Point& p) { return {p.t, p.loss, p.slope}; }

  void set_ends(const Point& a, const Point& b) {
    ends_[0] = a;
    ends_[1] = b;
    low_ = a.loss <= b.loss ? 0 : 1;
  }

  /// Goes on until the interval holds a point that meets the conditions.
  void bracket(double t) {
    Point before = start_, now = at(t);
    for (; iterations_ < most_; ++iterations_) {
      if (too_high(now) || (iterations_ > 1 && now.loss >= before.loss))
        return set_ends(before, now);
      if (is_level(now)) {
        done_ = true;
        return set_ends(now, now);
      }
      if (now.slope >= 0) return set_ends(before, now);
      const double next =
          cubic_minimum(sample(before), sample(now), now.t + 0.01 * (now.t - before.t), now.t * 10);
      before = now;
      now = at(next);
    }
    set_ends(start_, now);
  }

  /// A trial within the interval, away from its ends where the last came too close to one.
  double trial() {
    const double least = std::min(ends_[0].t, ends_[1].t), most = std::max(ends_[0].t, ends_[1].t);
    double t = cubic_minimum(sample(ends_[0]), sample(ends_[1]), least, most);
    const double margin = 0.1 * (most - least);
    if (std::min(most - t, t - least) >= margin) {
      stuck_ = false;
    } else if (stuck_ || t >= most || t <= least) {
      t = std::abs(t - most) < std::abs(t - least) ? most - margin : least + margin;
      stuck_ = false;
    } else {
      stuck_ = true;
    }
    return t;
  }

  void narrow_to(const Point& p) {
    ++iterations_;
    const size_t high = 1 - low_;
    if (too_high(p) || p.loss >= ends_[low_].loss) {
      ends_[high] = p;
      low_ = ends_[0].loss <= ends_[1].loss ? 0 : 1;
      return;
    }
    if (is_level(p)) done_ = true;
    else if (p.slope * (ends_[high].t - ends_[low_].t) >= 0) ends_[high] = ends_[low_];
    ends_[low_] = p;
  }

  LBFGS& of_;
  const Tensor d_;
  const Point start_;
  const int64_t most_;
  const double length_;
  Tensors at_;
  Point ends_[2];
  size_t low_ = 0;
  bool done_ = false, stuck_ = false;
  int64_t iterations_ = 0, evaluations_ = 0;
};

/// One iteration; false where there is nothing more to gain.
bool LBFGS::iterate(int64_t& evaluations, bool last) {
  const int64_t max_eval = *o_.max_eval;
  const bool first = ++n_iter_ == 1;
  if (first) {
    old_dirs_.clear();
    old_stps_.clear();
    ro_.clear();
    h_diag_ = 1;
    d_ = neg(grad_);
  } else {
    learn_curvature(grad_);
    d_ = direction(grad_);
  }
  prev_flat_grad_ = clone(grad_);
  prev_loss_ = loss_;
  t_ = first ? std::min(1.0, 1.0 / sum(abs(grad_)).item().d) * o_.lr.d : o_.lr.d;
  const double slope = inner_product(grad_, d_);
  if (slope > -o_.tolerance_change.d) return false;
  int64_t used = 0;
  if (o_.line_search_fn) {
    LineSearch search(*this, d_, {0, loss_, grad_, slope}, max_eval - evaluations);
    const Point p = search.run(t_);
    loss_ = p.loss;
    grad_ = p.grad;
    t_ = p.t;
    used = search.evaluations();
    move(t_, d_);
  } else {
    move(t_, d_);
    if (!last) {
      loss_ = evaluate();
      grad_ = flat_grad();
      used = 1;
    }
  }
  evaluations += used;
  func_evals_ += used;
  return !last && evaluations < max_eval && !is_flat(grad_) &&
         largest(d_) * std::abs(t_) > o_.tolerance_change.d &&
         std::abs(loss_ - prev_loss_) >= o_.tolerance_change.d;
}

void LBFGS::run_step() {
  NNM_CHECK(closure_, type, "LBFGS.step() missing 1 required positional argument: 'closure'");
  NNM_CHECK(groups().size() == 1, value,
            "LBFGS doesn't support per-parameter options (parameter groups)");
  o_ = spec().read(groups()[0].options);
  const NoGradGuard no_grad;
  first_loss_ = {};
  loss_ = evaluate();
  ++func_evals_;
  grad_ = flat_grad();
  if (is_flat(grad_)) return;
  int64_t evaluations = 1;
  for (int64_t i = 1; i <= o_.max_iter; ++i)
    if (!iterate(evaluations, i == o_.max_iter)) break;
}

OptimizerState LBFGS::current_state() const {
  OptimizerState out = Optimizer::current_state();
  if (func_evals_ == 0) return out;
  Values dirs(old_dirs_.begin(), old_dirs_.end()), steps(old_stps_.begin(), old_stps_.end()),
      ro(ro_.begin(), ro_.end());
  Items own = {{"func_evals", func_evals_}, {"n_iter", n_iter_}};
  if (d_.defined()) {
    const Items learnt = {{"d", d_},
                          {"t", t_},
                          {"old_dirs", Value::list(std::move(dirs))},
                          {"old_stps", Value::list(std::move(steps))},
                          {"ro", Value::list(std::move(ro))},
                          {"H_diag", h_diag_},
                          {"prev_flat_grad", prev_flat_grad_},
                          {"prev_loss", prev_loss_}};
    own.insert(own.end(), learnt.begin(), learnt.end());
  }
  out.state = {{groups()[0].params[0].name, std::move(own)}};
  return out;
}

void LBFGS::load(const OptimizerState& from) {
  OptimizerState rest = from;
  rest.state.clear();
  Optimizer::load(rest);
  if (from.state.empty()) return;
  const Value own = Value::dict(from.state[0].second);
  const auto number = [&](const char* name, double fallback) {
    const Value* v = own.find(name);
    return v ? v->real() : fallback;
  };
  const auto held = [&](const char* name) {
    const Value* v = own.find(name);
    return v ? clone(v->as<Tensor>()) : Tensor();
  };
  func_evals_ = static_cast<int64_t>(number("func_evals", 0));
  n_iter_ = static_cast<int64_t>(number("n_iter", 0));
  d_ = held("d");
  prev_flat_grad_ = held("prev_flat_grad");
  t_ = number("t", 0);
  h_diag_ = number("H_diag", 1);
  prev_loss_ = number("prev_loss", 0);
  old_dirs_.clear();
  old_stps_.clear();
  ro_.clear();
  if (const Value* dirs = own.find("old_dirs")) {
    for (const Value& v : dirs->items()) old_dirs_.push_back(clone(v.as<Tensor>()));
    for (const Value& v : own.find("old_stps")->items()) old_stps_.push_back(clone(v.as<Tensor>()));
    for (const Value& v : own.find("ro")->items()) ro_.push_back(v.real());
  }
}

}  // namespace nnm::optim
