// The update rules of torch.optim, with PyTorch's arguments, defaults and state names.
#pragma once

#include <array>
#include <optional>
#include <utility>

#include "kernels/optim.h"
#include "nnm/optim/optimizer.h"

namespace nnm::optim {

// Made with the parameters, as in PyTorch, or without, which add_param_group gives it then:
//   optim::Adam optimizer(model.parameters(), {.lr = 1e-3});
//
// Numbers are Scalars, which keep how they were written: PyTorch prints `momentum: 0`.

/// Updates by one rule: those of a GPU are put off until many can be done together.
template <class Step>
class Updates {
 public:
  explicit Updates(const kernels::UpdateKernel<Step>& kernel) : kernel_(kernel) {}
  /// `param`, `grad` and states as the kernel takes them, absent ones undefined.
  void add(const Step& step, const Tensor& param, const Tensor& grad, const Tensor& a = {},
           const Tensor& b = {}, const Tensor& c = {});
  /// Does what is put off.
  void finish();

 private:
  const kernels::UpdateKernel<Step>& kernel_;
  Step step_;
  std::vector<std::array<Tensor, 5>> waiting_;
};

/// Stands in an optimizer's class after its struct Options: declares their Spec, the constructors
/// and the signature.
#define NNM_OPTIMIZER(Type)                                                                    \
  static const Spec<Options>& spec();                                                          \
  Type() : Type(Options{}) {}                                                                  \
  explicit Type(Params params) : Type(std::move(params), Options{}) {}                         \
  Type(Params params, const Options& o) : Type(o) { add_param_group(std::move(params.list)); } \
  explicit Type(const Options& o);                                                             \
  const Signature& signature() const override

/// A pair of numbers such as Adam's `betas`.
using Pair = std::array<Scalar, 2>;

/// Stochastic gradient descent with momentum (torch.optim.SGD).
class SGD final : public Optimizer {
 public:
  struct Options {
    Scalar lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0;
    bool nesterov = false, maximize = false;
    std::optional<bool> foreach = {};
    bool differentiable = false;
    std::optional<bool> fused = {};
  };
  NNM_OPTIMIZER(SGD);

 protected:
  std::vector<const char*> state_names() const override { return {"momentum_buffer"}; }
  bool counts_steps() const override { return false; }
  void check(const Values& options) const override;
  void begin_group(const Values& options) override;
  void init_state(const Tensor& param, State& state) const override;
  void update(const Tensor& param, const Tensor& grad, State& state) override;
  void finish_updates() override { updates_.finish(); }

 private:
  SgdStep rule_;
  Updates<SgdStep> updates_{kernels::sgd_steps};
};

/// What Adam and AdamW share.
class AdamBase : public Optimizer {
 protected:
  using Optimizer::Optimizer;
  std::vector<const char*> state_names() const override {
    return {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
  }
  void init_state(const Tensor& param, State& state) const override;
  void update(const Tensor& param, const Tensor& grad, State& state) override;
  void finish_updates() override { updates_.finish(); }

  AdamStep rule_;
  bool amsgrad_ = false;

 private:
  Updates<AdamStep> updates_{kernels::adam_steps};
};

/// Adam (torch.optim.Adam; Kingma and Ba, 2015).
class Adam final : public AdamBase {
 public:
  struct Options {
    Scalar lr = 1e-3;
    Pair betas = {0.9, 0.999};
    Scalar eps = 1e-8, weight_decay = 0;
    bool amsgrad = false;
    std::optional<bool> foreach = {};
    bool maximize = false, capturable = false, differentiable = false;
    std::optional<bool> fused = {};
    bool decoupled_weight_decay = false;
  };
  NNM_OPTIMIZER(Adam);

 protected:
  void check(const Values& options) const override;
  void begin_group(const Values& options) override;
};

/// Adam with decoupled weight decay (torch.optim.AdamW; Loshchilov and Hutter, 2019).
class AdamW final : public AdamBase {
 public:
  struct Options {
    Scalar lr = 1e-3;
    Pair betas = {0.9, 0.999};
    Scalar eps = 1e-8, weight_decay = 1e-2;
    bool amsgrad = false, maximize = false;
    std::optional<bool> foreach = {};
    bool capturable = false, differentiable = false;
    std::optional<bool> fused = {};
  };
  NNM_OPTIMIZER(AdamW);

 protected:
  void check(const Values& options) const override;
  void begin_group(const Values& options) override;
};

/// RMSprop (torch.optim.RMSprop; Hinton's lecture 6e, Graves 2013 for `centered`).
class RMSprop final : public Optimizer {
 public:
  struct Options {
    Scalar lr = 1e-2, alpha = 0.99, eps = 1e-8, weight_decay = 0, momentum = 0;
    bool centered = false, capturable = false;
    std::optional<bool> foreach = {};
    bool maximize = false, differentiable = false;
  };
  NNM_OPTIMIZER(RMSprop);

 protected:
  std::vector<const char*> state_names() const override {
    return {"square_avg", "momentum_buffer", "grad_avg"};
  }
  void check(const Values& options) const override;
  void begin_group(const Values& options) override;
  void init_state(const Tensor& param, State& state) const override;
  void update(const Tensor& param, const Tensor& grad, State& state) override;
  void finish_updates() override { updates_.finish(); }

 private:
  RmspropStep rule_;
  Updates<RmspropStep> updates_{kernels::rmsprop_steps};
  bool centered_ = false;
};

/// Adagrad (torch.optim.Adagrad; Duchi et al., 2011).
class Adagrad final : public Optimizer {
 public:
  struct Options {
    Scalar lr = 1e-2, lr_decay = 0, weight_decay = 0, initial_accumulator_value = 0, eps = 1e-10;
    std::optional<bool> foreach = {};
    bool maximize = false, differentiable = false;
    std::optional<bool> fused = {};
  };
  NNM_OPTIMIZER(Adagrad);

 protected:
  std::vector<const char*> state_names() const override { return {"sum"}; }
  void check(const Values& options) const override;
  void begin_group(const Values& options) override;
  void init_state(const Tensor& param, State& state) const override;
  void update(const Tensor& param, const Tensor& grad, State& state) override;
  void finish_updates() override { updates_.finish(); }

 private:
  AdagradStep rule_;
  Updates<AdagradStep> updates_{kernels::adagrad_steps};
};

/// Adadelta (torch.optim.Adadelta; Zeiler, 2012).
class Adadelta final : public Optimizer {
 public:
  struct Options {
    Scalar lr = 1.0, rho = 0.9, eps = 1e-6, weight_decay = 0;
    std::optional<bool> foreach = {};
    bool capturable = false, maximize = false, differentiable = false;
  };
  NNM_OPTIMIZER(Adadelta);

 protected:
  std::vector<const char*> state_names() const override { return {"square_avg", "acc_delta"}; }
  void check(const Values& options) const override;
  void begin_group(const Values& options) override;
  void init_state(const Tensor& param, State& state) const override;
  void update(const Tensor& param, const Tensor& grad, State& state) override;

 private:
  AdadeltaStep rule_;
};

/// Adamax (torch.optim.Adamax; Kingma and Ba, 2015).
class Adamax final : public Optimizer {
 public:
  struct Options {
    Scalar lr = 2e-3;
    Pair betas = {0.9, 0.999};
    Scalar eps = 1e-8, weight_decay = 0;
    std::optional<bool> foreach = {};
    bool maximize = false, differentiable = false, capturable = false;
  };
  NNM_OPTIMIZER(Adamax);

 protected:
  std::vector<const char*> state_names() const override { return {"exp_avg", "exp_inf"}; }
  void check(const Values& options) const override;
  void begin_group(const Values& options) override;
  void init_state(const Tensor& param, State& state) const override;
  void update(const Tensor& param, const Tensor& grad, State& state) override;

 private:
  AdamaxStep rule_;
};

/// Adam with Nesterov momentum (torch.optim.NAdam; Dozat, 2016).
class NAdam final : public Optimizer {
 public:
  struct Options {
    Scalar lr = 2e-3;
    Pair betas = {0.9, 0.999};
    Scalar eps = 1e-8, weight_decay = 0, momentum_decay = 4e-3;
    bool decoupled_weight_decay = false;
    std::optional<bool> foreach = {};
    bool maximize = false, capturable = false, differentiable = false;
  };
  NNM_OPTIMIZER(NAdam);

 protected:
  std::vector<const char*> state_names() const override {
    return {"mu_product", "exp_avg", "exp_avg_sq"};
  }
  void check(const Values& options) const override;
  void begin_group(const Values& options) override;
  void init_state(const Tensor& param, State& state) const override;
  void update(const Tensor& param, const Tensor& grad, State& state) override;

 private:
  Options o_;
};

/// Rectified Adam (torch.optim.RAdam; Liu et al., 2020).
class RAdam final : public Optimizer {
 public:
  struct Options {
    Scalar lr = 1e-3;
    Pair betas = {0.9, 0.999};
    Scalar eps = 1e-8, weight_decay = 0;
    bool decoupled_weight_decay = false;
    std::optional<bool> foreach = {};
    bool maximize = false, capturable = false, differentiable = false;
  };
  NNM_OPTIMIZER(RAdam);

 protected:
  std::vector<const char*> state_names() const override { return {"exp_avg", "exp_avg_sq"}; }
  void check(const Values& options) const override;
  void begin_group(const Values& options) override;
  void init_state(const Tensor& param, State& state) const override;
  void update(const Tensor& param, const Tensor& grad, State& state) override;

 private:
  Options o_;
};

/// Resilient backpropagation (torch.optim.Rprop; Riedmiller and Braun, 1993).
class Rprop final : public Optimizer {
 public:
  struct Options {
    Scalar lr = 1e-2;
    Pair etas = {0.5, 1.2}, step_sizes = {1e-6, 50};
    bool capturable = false;
    std::optional<bool> foreach = {};
    bool maximize = false, differentiable = false;
  };
  NNM_OPTIMIZER(Rprop);

 protected:
  std::vector<const char*> state_names() const override { return {"prev", "step_size"}; }
  void check(const Values& options) const override;
  void begin_group(const Values& options) override;
  void init_state(const Tensor& param, State& state) const override;
  void update(const Tensor& param, const Tensor& grad, State& state) override;

 private:
  RpropStep rule_;
  double lr_ = 0;
};

/// Averaged stochastic gradient descent (torch.optim.ASGD; Polyak and Juditsky, 1992).
class ASGD final : public Optimizer {
 public:
  struct Options {
    Scalar lr = 1e-2, lambd = 1e-4, alpha = 0.75, t0 = 1e6, weight_decay = 0;
    std::optional<bool> foreach = {};
    bool maximize = false, differentiable = false, capturable = false;
  };
  NNM_OPTIMIZER(ASGD);

 protected:
  std::vector<const char*> state_names() const override { return {"eta", "mu", "ax"}; }
  void check(const Values& options) const override;
  void begin_group(const Values& options) override;
  void init_state(const Tensor& param, State& state) const override;
  void update(const Tensor& param, const Tensor& grad, State& state) override;

 private:
  Options o_;
};

/// Momentum whose singular values are made alike, for matrices alone (torch.optim.Muon; Jordan et
/// al., 2024).
class Muon final : public Optimizer {
 public:
  struct Options {
    Scalar lr = 1e-3, weight_decay = 0.1, momentum = 0.95;
    bool nesterov = true;
    std::array<Scalar, 3> ns_coefficients = {3.4445, -4.775, 2.0315};
    Scalar eps = 1e-7;
    int64_t ns_steps = 5;
    std::optional<std::string> adjust_lr_fn = {};  ///< "original" or "match_rms_adamw"
  };
  NNM_OPTIMIZER(Muon);

 protected:
  std::vector<const char*> state_names() const override { return {"momentum_buffer"}; }
  bool counts_steps() const override { return false; }
  void check(const Values& options) const override;
  void check_parameter(const Tensor& param) const override;
  void begin_group(const Values& options) override;
  void init_state(const Tensor& param, State& state) const override;
  void update(const Tensor& param, const Tensor& grad, State& state) override;

 private:
  Options o_;
};

/// Adafactor's least values: of the roots of squares (none: the smallest that matters for the
/// type), and of weights.
struct LeastPair {
  std::optional<Scalar> of_squares = {};
  Scalar of_weights = 1e-3;
};

/// Adaptive steps from the mean squares of rows and columns (torch.optim.Adafactor; Shazeer and
/// Stern, 2018).
class Adafactor final : public Optimizer {
 public:
  struct Options {
    Scalar lr = 1e-2, beta2_decay = -0.8;
    LeastPair eps = {};
    Scalar d = 1.0, weight_decay = 0.0;
    std::optional<bool> foreach = {};
    bool maximize = false;
  };
  NNM_OPTIMIZER(Adafactor);

 protected:
  std::vector<const char*> state_names() const override {
    return {"row_var", "col_var", "variance"};
  }
  void check(const Values& options) const override;
  void begin_group(const Values& options) override;
  void init_state(const Tensor& param, State& state) const override;
  void update(const Tensor& param, const Tensor& grad, State& state) override;

 private:
  Options o_;
};

}  // namespace nnm::optim

namespace nnm {
template <size_t N>
struct Codec<std::array<Scalar, N>> {
  static ArgType type() { return {.base = ArgType::Base::number, .tuple = int{N}}; }
  static std::array<Scalar, N> read(const Value& v) {
    if (!v.is_sequence())
      fail(ErrorKind::type, "expected a tuple of {}, got {}", N, v.config_text());
    std::array<Scalar, N> out;
    for (size_t i = 0; i < N; ++i) out[i] = v.items()[i].scalar();
    return out;
  }
  static Value write(const std::array<Scalar, N>& p) {
    Values out;
    for (const Scalar& s : p) out.push_back(Codec<Scalar>::write(s));
    return Value::tuple(std::move(out));
  }
};

template <>
struct Codec<optim::LeastPair> {
  static ArgType type() { return {}; }
  static optim::LeastPair read(const Value& v) {
    const bool pair = v.is_sequence() && v.items().size() == 2;
    if (!pair) fail(ErrorKind::type, "expected a tuple of 2, got {}", v.config_text());
    const Value& first = v.items()[0];
    return {first.is_none() ? std::nullopt : std::optional(first.scalar()), v.items()[1].scalar()};
  }
  static Value write(const optim::LeastPair& p) {
    return Value::tuple(
        {Codec<std::optional<Scalar>>::write(p.of_squares), Codec<Scalar>::write(p.of_weights)});
  }
};
}  // namespace nnm
