// LBFGS: steps along curvature learnt from gradients (torch.optim.LBFGS).
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "nnm/optim/optimizers.h"

namespace nnm::optim {

/// Limited-memory BFGS, after minFunc of Mark Schmidt. It evaluates the loss several times for a
/// step, by a closure; hence it has no place in a config, whose steps see one batch once.
///   optim::LBFGS optimizer(model.parameters());
///   optimizer.step([&] {
///     optimizer.zero_grad();
///     const Tensor loss = mse_loss(model(x), y);
///     loss.backward();
///     return loss;
///   });
class LBFGS final : public Optimizer {
 public:
  struct Options {
    Scalar lr = 1;
    int64_t max_iter = 20;
    std::optional<int64_t> max_eval = {};  ///< none: max_iter * 5 / 4
    Scalar tolerance_grad = 1e-7, tolerance_change = 1e-9;
    int64_t history_size = 100;
    std::optional<std::string> line_search_fn = {};  ///< or "strong_wolfe"
  };
  NNM_OPTIMIZER(LBFGS);

  using Closure = std::function<Tensor()>;
  /// Up to max_iter iterations. Returns the loss before them. Throws Error(value) where there are
  /// several groups of parameters.
  Tensor step(const Closure& closure);

 protected:
  std::vector<const char*> state_names() const override { return {}; }
  bool counts_steps() const override { return false; }
  void check(const Values& options) const override;
  void begin_group(const Values&) override {}
  void init_state(const Tensor&, State&) const override {}
  void update(const Tensor&, const Tensor&, State&) override {}
  /// Throws Error(type) outside of step(closure).
  void run_step() override;
  OptimizerState current_state() const override;
  void load(const OptimizerState& from) override;

 private:
  /// What a search along d comes to.
  struct Point {
    double t = 0, loss = 0;
    Tensor grad;
    double slope = 0;  ///< along d
  };
  class LineSearch;

  double evaluate();
  Tensor flat_grad() const;
  void move(double t, const Tensor& d) const;
  bool is_flat(const Tensor& grad) const;
  void learn_curvature(const Tensor& grad);
  Tensor direction(const Tensor& grad) const;
  bool iterate(int64_t& evaluations, bool last);

  Options o_;
  const Closure* closure_ = nullptr;
  Tensor first_loss_;
  double loss_ = 0;
  Tensor grad_;
  // What is kept from step to step, with PyTorch's names.
  int64_t func_evals_ = 0, n_iter_ = 0;
  Tensor d_, prev_flat_grad_;
  double t_ = 0, h_diag_ = 1, prev_loss_ = 0;
  std::deque<Tensor> old_dirs_, old_stps_;
  std::deque<double> ro_;
};

}  // namespace nnm::optim
