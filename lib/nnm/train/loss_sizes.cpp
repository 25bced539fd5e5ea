// The losses in an expression, and the shapes of what they compare.
#include "nnm/train/loss_sizes.h"

#include <algorithm>
#include <array>

#include "nnm/ops/ops.h"
#include "nnm/train/attempt.h"

namespace nnm::train {

namespace {

using lang::Expr;
using lang::ExprRef;

constexpr const char* kSizes = "W0510";
constexpr std::array kLosses = {"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"};

/// A call of one of the losses: what it compares.
struct Compared {
  ExprRef input, target;
};

bool is_loss(const Expr& callee) {
  return callee.kind == Expr::Kind::name && callee.name.is_plain() &&
         std::find(kLosses.begin(), kLosses.end(), callee.name.plain()) != kLosses.end();
}

Compared compared(const Expr& call, const ExprRef& piped) {
  Compared out{piped, nullptr};
  for (const Expr::Arg& a : call.args) {
    if (a.name == "input" || (a.name.empty() && !out.input)) out.input = a.value;
    else if (a.name == "target" || (a.name.empty() && !out.target)) out.target = a.value;
  }
  return out;
}

using ValueOf = std::function<Value(const ExprRef&)>;

void compare(const Expr& call, const Compared& c, const ValueOf& value, Diagnostics& d) {
  if (!c.input || !c.target) return;
  Value input, target;
  try {
    input = value(c.input), target = value(c.target);
  } catch (const Error&) {
    return;  // what is wrong with it is said where the whole is run
  }
  if (!input.is(Value::Kind::tensor) || !target.is(Value::Kind::tensor)) return;
  const Shape a = input.as<Tensor>().shape(), b = target.as<Tensor>().shape();
  if (a == b) return;
  try {
    broadcast_shapes(a, b);
  } catch (const Error&) {
    return;  // an error, which running it tells
  }
  report(d, kSizes, call.span,
         fmt::format("the target has size {} and the input {}: one is broadcast over the other",
                     b.str(), a.str()),
         "give both one shape, such as by `squeeze(out, 1)` or `unsqueeze(y, 1)`");
}

}  // namespace

void warn_of_sizes(const Expr& e, const ValueOf& value, Diagnostics& d) {
  if (e.kind == Expr::Kind::call && is_loss(*e.items[0])) compare(e, compared(e, {}), value, d);
  if (e.kind == Expr::Kind::pipe && e.items[1]->kind == Expr::Kind::call &&
      is_loss(*e.items[1]->items[0]))
    compare(*e.items[1], compared(*e.items[1], e.items[0]), value, d);
  for (const ExprRef& item : e.items)
    if (item) warn_of_sizes(*item, value, d);
  for (const Expr::Arg& a : e.args) warn_of_sizes(*a.value, value, d);
}

}  // namespace nnm::train
