// What the steps of a forward do.
#include "nnm/lang/forward_steps.h"

#include <algorithm>

#include "nnm/autograd/node.h"
#include "nnm/ops/ops.h"

namespace nnm::lang {

bool AssignStep::run(Frame& f) const {
  if (place_.slot >= 0) {
    f.slots[place_.slot] = value_->eval(f);
    return false;
  }
  const Value v = value_->eval(f);
  try {
    place_.store(f, v);
  } catch (const Error& e) {
    throw_at_place(f, span_, "", e);
  }
  return false;
}

bool BufferStep::run(Frame& f) const {
  const Value v = value_->eval(f);
  if (is_poison(v)) return false;
  const NoGradGuard no_grad;
  const Tensor& old = slot_->value;
  try {
    NNM_CHECK(v.is_number() || v.holds<Tensor>(), type, "expected a Tensor or a number, got {}",
              v.type_name());
    // The old tensor stays as it is: the tape may have saved it.
    if (v.is_number()) {
      slot_->value = full_like(old, v.scalar());
    } else {
      const Tensor t = to(v.as<Tensor>().detach(), old.options());
      NNM_CHECK(t.shape() == old.shape(), runtime, "the buffer has shape {}, the value {}",
                old.shape().str(), t.shape().str());
      slot_->value = t;
    }
  } catch (const Error& e) {
    throw_at_place(f, span_, "self." + slot_->name, e);
  }
  return false;
}

bool ReturnStep::run(Frame& f) const {
  if (!names_.empty()) {
    Items out;
    for (size_t i = 0; i < names_.size(); ++i) out.emplace_back(names_[i], values_[i]->eval(f));
    f.result = Value::dict(std::move(out));
  } else if (values_.size() == 1) {
    f.result = values_[0]->eval(f);
  } else {
    Values out;
    for (const NodeRef& n : values_) out.push_back(n->eval(f));
    f.result = Value::tuple(std::move(out));
  }
  return true;
}

bool RequireStep::run(Frame& f) const {
  const size_t errors = f.check ? f.check->diagnostics.all().size() : 0;
  bool holds = false;
  try {
    holds = truth(condition_->eval(f));
  } catch (const Error& e) {
    throw_at_place(f, span_, "require", e);
  }
  // What is wrong with the condition is reported already.
  if (f.check && f.check->diagnostics.all().size() > errors) return false;
  if (!holds)
    fault(span_, "E0402", text_ ? text_->eval(f).str() : fmt::format("`{}` does not hold", code_));
  return false;
}

bool IfStep::run(Frame& f) const {
  for (const Branch& b : branches_) {
    bool yes = !b.condition;
    if (!yes) {
      try {
        yes = truth(b.condition->eval(f));
      } catch (const Error& e) {
        throw_at_place(f, b.condition->span, "if", e);
      }
    }
    if (yes) return run_steps(b.body, f);
  }
  return false;
}

bool LoopStep::run(Frame& f) const {
  Values items;
  try {
    items = iterate_at(f, iterable_->eval(f));
  } catch (const Error& e) {
    throw_at_place(f, iterable_->span, "", e);
  }
  for (const Value& v : items) {
    if (f.check) f.check->spend(span_);
    try {
      place_.store(f, v);
    } catch (const Error& e) {
      throw_at_place(f, span_, "", e);
    }
    if (run_steps(body_, f)) return true;
  }
  return false;
}

bool RoundStep::run(Frame& f) const {
  if (!f.check) return run_steps(body_, f);
  const CheckSession::Expanding expanding(*f.check, note_);
  return run_steps(body_, f);
}

bool AssignStep::fail(Frame& f) const {
  place_.store(f, poison());
  return false;
}
bool BufferStep::fail(Frame&) const { return false; }
bool ReturnStep::fail(Frame& f) const {
  f.result = poison();
  return true;
}
bool RequireStep::fail(Frame&) const { return false; }
/// Which way it goes is not known: nothing behind it can be trusted.
bool IfStep::fail(Frame& f) const {
  f.result = poison();
  return true;
}
bool LoopStep::fail(Frame& f) const {
  f.result = poison();
  return true;
}

bool RoundStep::fail(Frame& f) const {
  return std::any_of(body_.begin(), body_.end(), [&](const auto& s) { return s->fail(f); });
}

}  // namespace nnm::lang
