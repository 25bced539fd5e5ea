// The rules. Names and first thresholds follow SageMaker Debugger's built-in rules.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "nnm/autograd/node.h"
#include "nnm/io/tree.h"
#include "nnm/ops/ops.h"
#include "nnm/trace/rule.h"

namespace nnm::tracing {

Numbers Numbers::of(const Tensor& t) {
  TensorStatistics s;
  kernels::statistics(t.view(), &s, nullptr);
  return of(s);
}

Numbers Numbers::of(const TensorStatistics& s) {
  const double absmax = s.finite ? std::max(std::abs(s.min), std::abs(s.max)) : 0;
  return {static_cast<double>(s.numel), static_cast<double>(s.nan + s.inf),
          static_cast<double>(s.zero), absmax, std::sqrt(s.squares)};
}

const Numbers& Sight::numbers() const {
  if (!numbers_) numbers_ = Numbers::of(tensor);
  return *numbers_;
}

namespace {

double percent(double part, double whole) { return whole > 0 ? 100 * part / whole : 0; }

bool known(double x) { return !std::isnan(x); }

struct nonfinite final : Rule {
  struct Options {};
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("nonfinite", "any value is NaN or infinite");
    return s;
  }
  explicit nonfinite(const Options&) {}
  bool about_nonfinite() const override { return true; }
  bool by_numbers() const override { return true; }
  std::optional<Reading> look(const Sight& s) override {
    const Numbers& n = s.numbers();
    if (!known(n.nonfinite)) return std::nullopt;
    return Reading{
        n.nonfinite > 0, n.nonfinite, 0,
        fmt::format("{:.0f} of {:.0f} values are NaN or infinite", n.nonfinite, n.numel)};
  }
};
NNM_REGISTER(Rule, nonfinite);

struct exploding_tensor final : Rule {
  struct Options {
    double threshold = 1e6;
  };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("exploding_tensor", "the largest absolute value is above the threshold")
            .opt(NNM_ARG(threshold), "absolute value");
    return s;
  }
  explicit exploding_tensor(const Options& options) : o(options) {}
  bool by_numbers() const override { return true; }
  std::optional<Reading> look(const Sight& s) override {
    const Numbers& n = s.numbers();
    if (!known(n.absmax)) return std::nullopt;
    return Reading{n.absmax > o.threshold, n.absmax, o.threshold,
                   fmt::format("the largest absolute value is {:.4g}", n.absmax)};
  }
  Options o;
};
NNM_REGISTER(Rule, exploding_tensor);

struct vanishing_gradient final : Rule {
  struct Options {
    double threshold = 1e-7;
  };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("vanishing_gradient", "the root mean square of a gradient is below it")
            .opt(NNM_ARG(threshold), "root mean square");
    return s;
  }
  explicit vanishing_gradient(const Options& options) : o(options) {}
  HookKind kind() const override { return HookKind::full_backward; }
  bool by_numbers() const override { return true; }
  std::optional<Reading> look(const Sight& s) override {
    const Numbers& n = s.numbers();
    if (!known(n.l2) || n.numel == 0 || n.nonfinite > 0) return std::nullopt;
    const double rms = n.l2 / std::sqrt(n.numel);
    return Reading{rms < o.threshold, rms, o.threshold,
                   fmt::format("the root mean square is {:.4g}", rms)};
  }
  Options o;
};
NNM_REGISTER(Rule, vanishing_gradient);

struct dead_relu final : Rule {
  struct Options {
    double threshold_layer = 50, threshold_inactivity = 1;
    int64_t dim = 1;
  };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("dead_relu", "too many neurons of a layer are hardly ever above zero")
            .opt(NNM_ARG(threshold_layer), "percent of dead neurons, above which it is bad")
            .opt(NNM_ARG(threshold_inactivity), "active in less percent of its values: dead")
            .opt(NNM_ARG(dim), "the dimension along which neurons lie");
    return s;
  }
  explicit dead_relu(const Options& options) : o(options) {}
  const char* at() const override { return "ReLU"; }
  std::optional<Reading> look(const Sight& s) override {
    const Tensor& t = s.tensor;
    if (!t.defined() || t.dim() == 0 || t.numel() == 0) return std::nullopt;
    const int64_t neurons = std::min<int64_t>(o.dim < 0 ? o.dim + t.dim() : o.dim, t.dim() - 1);
    std::vector<int64_t> rest;
    for (int64_t d = 0; d < t.dim(); ++d)
      if (d != neurons) rest.push_back(d);
    const NoGradGuard no_grad;
    Tensor active = to(gt(t, Scalar(0)), TensorOptions{DType::f32, t.device()});
    if (!rest.empty()) active = mean(active, Dims(rest.begin(), rest.end()));
    const std::vector<double> share = active.to_vector<double>();
    const auto dead = std::count_if(share.begin(), share.end(), [&](double x) {
      return x == 0 || 100 * x < o.threshold_inactivity;
    });
    const double part = percent(static_cast<double>(dead), static_cast<double>(share.size()));
    return Reading{part > o.threshold_layer, part, o.threshold_layer,
                   fmt::format("{} of {} neurons are dead ({:.4g} %)", dead, share.size(), part)};
  }
  Options o;
};
NNM_REGISTER(Rule, dead_relu);

struct all_zero final : Rule {
  struct Options {
    double threshold = 100;
  };
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("all_zero", "so many percent of the values are zero")
                              .opt(NNM_ARG(threshold), "percent of zeros, from which on it is bad");
    return s;
  }
  explicit all_zero(const Options& options) : o(options) {}
  bool by_numbers() const override { return true; }
  std::optional<Reading> look(const Sight& s) override {
    const Numbers& n = s.numbers();
    if (!known(n.zero) || n.numel == 0) return std::nullopt;
    const double part = percent(n.zero, n.numel);
    return Reading{part >= o.threshold, part, o.threshold,
                   fmt::format("{:.4g} % of {:.0f} values are zero", part, n.numel)};
  }
  Options o;
};
NNM_REGISTER(Rule, all_zero);

struct unchanged_tensor final : Rule {
  struct Options {
    double rtol = 1e-5, atol = 1e-8;
  };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("unchanged_tensor", "it is what it was the last time (torch.allclose)")
            .opt(NNM_ARG(rtol), "relative tolerance")
            .opt(NNM_ARG(atol), "absolute tolerance");
    return s;
  }
  explicit unchanged_tensor(const Options& options) : o(options) {}
  bool compares() const override { return true; }
  int64_t patience() const override { return 3; }
  std::optional<Reading> look(const Sight& s) override {
    if (!s.tensor.defined() || !s.before.defined() || s.before.shape() != s.tensor.shape())
      return std::nullopt;
    const NoGradGuard no_grad;
    if (allclose(s.tensor, s.before, o.rtol, o.atol))
      return Reading{true, 0, o.rtol, "it does not change"};
    return Reading{false, 0, o.rtol, "it changes"};
  }
  Options o;
};
NNM_REGISTER(Rule, unchanged_tensor);

struct weight_update_ratio final : Rule {
  struct Options {
    double large_threshold = 10, small_threshold = 1e-8, epsilon = 1e-9;
  };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("weight_update_ratio",
                      "the norm of a step's update over that of the parameter is out of bounds")
            .opt(NNM_ARG(large_threshold), "bad above it")
            .opt(NNM_ARG(small_threshold), "bad below it")
            .opt(NNM_ARG(epsilon), "parameters of a norm below it are left out");
    return s;
  }
  explicit weight_update_ratio(const Options& options) : o(options) {}
  Subject subject() const override { return Subject::parameters; }
  bool compares() const override { return true; }
  HookKind kind() const override { return HookKind::post_accumulate_grad; }
  std::optional<Reading> look(const Sight& s) override {
    if (!s.tensor.defined() || !s.before.defined() || s.before.shape() != s.tensor.shape())
      return std::nullopt;
    const NoGradGuard no_grad;
    const double norm = Numbers::of(s.before).l2;
    const double update = Numbers::of(sub(s.tensor, s.before)).l2;
    if (norm < o.epsilon) return std::nullopt;
    const double ratio = update / norm;
    const double bound = ratio < o.small_threshold ? o.small_threshold : o.large_threshold;
    return Reading{ratio > o.large_threshold || ratio < o.small_threshold, ratio, bound,
                   fmt::format("the update is {:.4g} of the weight", ratio)};
  }
  Options o;
};
NNM_REGISTER(Rule, weight_update_ratio);

struct saturated_activation final : Rule {
  struct Options {
    double threshold_layer = 50, threshold = 1;
    std::optional<double> low, high;
  };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("saturated_activation",
                      "too many values lie at an end of what the function can give")
            .opt(NNM_ARG(threshold_layer), "percent of saturated values, above which it is bad")
            .opt(NNM_ARG(threshold), "percent of the range that counts as its end")
            .opt(NNM_ARG(low), "the lower end; known of Tanh, Sigmoid, Hardtanh and the like")
            .opt(NNM_ARG(high), "the upper end");
    return s;
  }
  explicit saturated_activation(const Options& options) : o(options) {}
  const char* at() const override {  // One item: a model need not have all of them.
    return "{Tanh,Sigmoid,Hardtanh,Hardsigmoid,Softsign}";
  }

  struct Range {
    double low, high;
  };
  std::optional<Range> range(std::string_view type) const {
    if (o.low && o.high) return Range{*o.low, *o.high};
    if (type == "Sigmoid" || type == "Hardsigmoid") return Range{0, 1};
    if (type == "Tanh" || type == "Hardtanh" || type == "Softsign") return Range{-1, 1};
    return std::nullopt;
  }
  void check(std::string_view type) const override {
    if (!range(type))
      throw Error(ErrorKind::config,
                  fmt::format("saturated_activation does not know the range of {}", type),
                  "give it: saturated_activation(low=0, high=6)");
  }
  std::optional<Reading> look(const Sight& s) override {
    const Tensor& t = s.tensor;
    const std::optional<Range> r = range(s.type);
    if (!r || !t.defined() || t.numel() == 0) return std::nullopt;
    const NoGradGuard no_grad;
    const double margin = o.threshold / 100 * (r->high - r->low);
    const Tensor at_end =
        logical_or(le(t, Scalar(r->low + margin)), ge(t, Scalar(r->high - margin)));
    const double part = 100 * mean(to(at_end, TensorOptions{DType::f32, t.device()})).item().d;
    return Reading{part > o.threshold_layer, part, o.threshold_layer,
                   fmt::format("{:.4g} % of {} values are saturated", part, t.numel())};
  }
  Options o;
};
NNM_REGISTER(Rule, saturated_activation);

struct loss_not_decreasing final : Rule {
  struct Options {
    double diff_percent = 0.1;
    int64_t num_steps = 10;
  };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("loss_not_decreasing", "the mean loss of some steps is not below the last")
            .opt(NNM_ARG(diff_percent), "by which percent it must be lower")
            .opt(NNM_ARG(num_steps), "steps over which the loss is averaged");
    return s;
  }
  explicit loss_not_decreasing(const Options& options) : o(options) {
    if (o.num_steps < 1)
      throw BindError("num_steps must be at least 1", "", -1, "num_steps", ErrorKind::value);
  }
  Subject subject() const override { return Subject::loss; }
  const char* at() const override { return ""; }
  std::optional<Reading> look(const Sight& s) override {
    sum_ += s.loss;
    if (++count_ < o.num_steps) return std::nullopt;
    const double now = sum_ / static_cast<double>(count_);
    const std::optional<double> last = std::exchange(last_, now);
    sum_ = 0;
    count_ = 0;
    if (!last || *last == 0) return std::nullopt;
    const double fell = 100 * (*last - now) / std::abs(*last);
    return Reading{
        !(fell >= o.diff_percent), fell, o.diff_percent,
        fmt::format("the mean of {} steps went from {:.4g} to {:.4g}", o.num_steps, *last, now)};
  }
  Items memory() const override {
    return {{"sum", sum_}, {"count", count_}, {"last", last_ ? Value(*last_) : Value()}};
  }
  void remember(const Items& memory) override {
    sum_ = io::item_at(memory, "sum").real();
    count_ = io::item_at(memory, "count").integer();
    const Value& last = io::item_at(memory, "last");
    last_ = last.is_none() ? std::nullopt : std::optional(last.real());
  }

 private:
  Options o;
  double sum_ = 0;
  int64_t count_ = 0;
  std::optional<double> last_;
};
NNM_REGISTER(Rule, loss_not_decreasing);

}  // namespace

}  // namespace nnm::tracing
