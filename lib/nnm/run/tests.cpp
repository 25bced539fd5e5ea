// Tests: expressions taken apart where a failure can show their parts.
#include "nnm/run/tests.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>

#include "nnm/autograd/node.h"
#include "nnm/lang/eval.h"
#include "nnm/lang/expression.h"
#include "nnm/ops/ops.h"
#include "nnm/run/test_functions.h"
#include "nnm/tensor/generator.h"
#include "nnm/train/attempt.h"

namespace nnm::run {

namespace {

using lang::Expr;
using lang::Expression;
using lang::ExprRef;
using Status = TestOutcome::Status;

const std::vector<std::string> kNames = {"model", "vars"};

/// A condition whose parts are evaluated one by one: comparisons show their sides, and of `and`
/// only the part that is false is told.
class Condition {
 public:
  explicit Condition(const ExprRef& e) : span_(e->op_span ? e->op_span : e->span) {
    if (e->kind == Expr::Kind::logic && e->op == "and") {
      for (const ExprRef& item : e->items) all_.emplace_back(item);
    } else if (e->kind == Expr::Kind::compare) {
      ops_ = e->ops;
      for (const ExprRef& item : e->items)
        sides_.push_back(Expression::compile(item, kNames, test_functions()));
    } else {
      whole_ = Expression::compile(e, kNames, test_functions());
    }
  }

  /// Whether it holds; else `out` says why.
  bool holds(std::span<const Value> values, TestOutcome& out) const {
    if (!all_.empty())
      return std::all_of(all_.begin(), all_.end(),
                         [&](const Condition& c) { return c.holds(values, out); });
    return whole_ ? truth(whole_.run(values)) : compare(values, out);
  }

 private:
  bool compare(std::span<const Value> values, TestOutcome& out) const {
    Value left = sides_[0].run(values);
    for (size_t i = 0; i < ops_.size(); ++i) {
      Value right = sides_[i + 1].run(values);
      if (!truth(at_place([&] { return lang::compare(ops_[i], left, right); }))) {
        out.left = text_of(left), out.right = text_of(right);
        return false;
      }
      left = std::move(right);
    }
    return true;
  }

  // A test that is a number would never fail.
  bool truth(const Value& v) const {
    const bool tensor = v.is(Value::Kind::tensor) && v.as<Tensor>().numel() == 1 &&
                        v.as<Tensor>().dtype() == DType::b8;
    if (v.is(Value::Kind::boolean)) return v.boolean();
    if (tensor) return v.as<Tensor>().item().d != 0;
    const bool elements = v.is(Value::Kind::tensor) && v.as<Tensor>().dtype() == DType::b8;
    Diagnostics d;
    train::report(d, "E0401", span_, fmt::format("a test is true or false, this is {}", text_of(v)),
                  elements ? "`all(…)` is whether every element is true" : "compare it");
    throw DiagnosticError(std::move(d));
  }

  template <class F>
  Value at_place(const F& f) const {
    try {
      return f();
    } catch (const Error& e) {
      Diagnostics d;
      train::report(d, "E0401", span_, e);
      throw DiagnosticError(std::move(d));
    }
  }

  static std::string text_of(const Value& v) {
    if (!v.is(Value::Kind::tensor)) return v.config_text();
    const Tensor t = v.as<Tensor>();
    if (t.numel() != 1) return v.repr();
    return is_floating(t.dtype()) ? python_float(t.item().d) : Value(t.item().i).config_text();
  }

  Span span_;
  std::vector<Condition> all_;
  std::vector<Expression> sides_;
  std::vector<std::string> ops_;
  Expression whole_;
};

struct Test {
  std::string text;
  Span place;
  Condition condition;
};

std::vector<Test> compile_tests(const lang::Config& config, Diagnostics& d) {
  std::vector<Test> out;
  const lang::Tree* section = config.find("tests");
  if (!section) return out;
  for (const lang::Tree& item : section->items) {
    train::attempt(d, "E0302", item.span, [&] {
      Diagnostics wrong;
      const ExprRef e = lang::parse_expr(item.scalar, wrong);
      wrong.throw_if_errors();
      out.push_back({item.text(), item.span, Condition(e)});
    });
  }
  return out;
}

/// Buffers as they are now, to be put back: a forward may assign them.
class Buffers {
 public:
  explicit Buffers(Module& model) {
    for (const Tensor& b : model.buffers()) kept_.emplace_back(b, clone(b));
  }
  void restore() {
    const NoGradGuard no_grad;
    for (const auto& [buffer, value] : kept_) copy_(buffer, value);
  }

 private:
  std::vector<std::pair<Tensor, Tensor>> kept_;
};

void run_test(const Test& test, TestBench& bench, std::span<const Value> values, TestOutcome& out) {
  const auto began = std::chrono::steady_clock::now();
  try {
    const NoGradGuard no_grad;
    out.status = test.condition.holds(values, out) ? Status::passed : Status::failed;
    for (const std::string& note : bench.take_notes())
      if (out.status == Status::failed) out.message += (out.message.empty() ? "" : "\n") + note;
  } catch (const DiagnosticError& e) {
    out.status = Status::error;
    out.message = e.diagnostics.render();
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::internal || e.kind() == ErrorKind::interrupted) throw;
    out.status = Status::error;
    out.message = e.what();
    if (!e.hint().empty()) out.message += fmt::format(" ({})", e.hint());
  }
  (void)bench.take_notes();
  while (!out.message.empty() && out.message.back() == '\n') out.message.pop_back();
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

void keep_selected(std::vector<Test>& tests, const std::string& select, const std::string& config) {
  if (tests.empty())
    throw Error(ErrorKind::config, fmt::format("{} has no tests", config),
                "write them below `tests:`, such as `- finite(model(randn(2, 20)))`");
  std::string near;
  for (const Test& t : tests) near += (near.empty() ? "" : ", ") + fmt::format("`{}`", t.text);
  std::erase_if(tests, [&](const Test& t) { return t.text.find(select) == std::string::npos; });
  if (tests.empty())
    throw Error(ErrorKind::config, fmt::format("no test contains `{}`", select),
                "there is " + near);
}

}  // namespace

void check_tests(const lang::Config& config, Diagnostics& d) { compile_tests(config, d); }

SessionOptions test_session(Device device) {
  SessionOptions s;
  s.device = device;
  s.check.hooks = false;
  s.data = false;
  return s;
}

TestReport run_tests(Session& session, const TestOptions& options) {
  Diagnostics d;
  std::vector<Test> tests = compile_tests(session.config(), d);
  d.throw_if_errors();
  keep_selected(tests, options.select, session.config().path());

  const Ref<Module>& model = session.model();
  model->eval();
  Buffers buffers(*model);
  TestBench bench(session);
  const Values values = {model, session.config().vars()};
  TestReport report;
  report.config = session.config().path();
  for (const Test& test : tests) {
    buffers.restore();
    manual_seed(session.plan().seed);
    TestOutcome& out = report.tests.emplace_back();
    out.text = test.text;
    out.place = test.place;
    if (!options.dry_run) run_test(test, bench, values, out);
    if (options.done) options.done(out);
  }
  return report;
}

int64_t TestReport::count(Status status) const {
  return std::count_if(tests.begin(), tests.end(),
                       [&](const TestOutcome& t) { return t.status == status; });
}

double TestReport::seconds() const {
  return std::accumulate(tests.begin(), tests.end(), 0.0,
                         [](double sum, const TestOutcome& t) { return sum + t.seconds; });
}

}  // namespace nnm::run
