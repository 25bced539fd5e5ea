// Running an instance of a class: inputs bound and checked, steps run, errors with their calls.
#include <array>
#include <utility>

#include "nnm/lang/compiled_nodes.h"
#include "nnm/lang/forward.h"
#include "nnm/nn/copying.h"
#include "nnm/nn/layers/fused.h"
#include "nnm/ops/ops.h"

namespace nnm::lang {

namespace {

using Kind = Value::Kind;

thread_local int depth = 0;  // of forwards of classes on this thread

struct DepthGuard {
  DepthGuard() { ++depth; }
  ~DepthGuard() { --depth; }
};

/// The slots of one run, on the stack where they are few.
class SlotBuffer {
 public:
  explicit SlotBuffer(int n) {
    if (n > static_cast<int>(inline_.size())) {
      heap_.resize(static_cast<size_t>(n));
      data_ = heap_.data();
    }
  }
  Value* data() { return data_; }

 private:
  std::array<Value, 24> inline_;
  Values heap_;
  Value* data_ = inline_.data();
};

/// Reports what fails and goes on with what does not depend on it.
bool run_checked(const Step& s, Frame& f) {
  try {
    return s.run(f);
  } catch (const Fault& e) {
    f.check->report(e);
    return s.fail(f);
  }
}

bool same_category(DType a, DType b) { return info(a).category == info(b).category; }

}  // namespace

bool run_steps(const Steps& steps, Frame& f) {
  for (const auto& s : steps) {
    if (f.check) [[unlikely]] {
      if (run_checked(*s, f)) return true;
    } else if (s->run(f)) {
      return true;
    }
  }
  return false;
}

std::string ForwardInput::type_text() const {
  std::string out = std::string(info(dtype).name) + "[";
  for (size_t i = 0; i < dims.size(); ++i) out += (i ? ", " : "") + dims[i].text;
  return out + "]";
}

Diagnostic with_calls(const Fault& f) {
  Diagnostic d = f.diagnostic;
  std::vector<Note> calls;
  for (const Fault::Call& c : f.calls) {
    if (c.from) {
      calls.push_back({fmt::format("in {}.forward, called from {}:{}:{}", c.path, c.from.file->path,
                                   c.from.line, c.from.column),
                       {}});
    } else if (!c.path.empty()) {
      calls.push_back({fmt::format("in {}.forward", c.path), {}});
    }
  }
  d.notes.insert(d.notes.begin(), calls.begin(), calls.end());
  return d;
}

void throw_diagnostic(const Fault& f) {
  Diagnostics d;
  d.add(with_calls(f));
  for (const Diagnostic& one : f.more) d.add(one);
  DiagnosticError e(std::move(d));
  e.set_module(f.module(), f.module_path());
  throw e;
}

/// The arguments of a call, without a copy.
struct ClassModule::Given {
  const Value* pos = nullptr;
  size_t count = 0;
  const Items* kw = nullptr;
};

void ClassModule::compile(ForwardSource source, Reporter& reporter) {
  source_ = std::move(source);
  program_ = compile_forward(
      {source_.definition.get(), this, &source_.values, &source_.failed, &source_.made}, reporter);
}

ClassModule::ClassModule(const ClassModule& o) : Module(o), type_(o.type_), path_(o.path_) {
  ForwardSource source = o.source_;
  for (auto& [name, value] : source.values) value = nnm::detail::copied_value(value);
  Reporter reporter;
  compile(std::move(source), reporter);
  reporter.diagnostics.throw_if_errors();
}

Value ClassModule::forward(const Args& args) {
  return run({args.pos.data(), args.pos.size(), &args.kw});
}

Value ClassModule::forward(const Value& x) { return run({&x, 1, nullptr}); }

Tensor ClassModule::forward(const Tensor& x) {
  const Value v(x), out = run({&v, 1, nullptr});
  NNM_CHECK(out.is(Kind::tensor), type, "{} returned a {} where a Tensor is asked for", type_,
            out.type_name());
  return out.as<Tensor>();
}

Value ClassModule::run(const Given& given) {
  const DepthGuard guard;
  SlotBuffer slots(program_.slots);
  Frame f;
  f.slots = slots.data();
  f.self = this;
  f.training = training();
  f.check = CheckSession::current();
  f.watch = f.check ? f.check : ForwardWatcher::current();
  if (f.check) [[unlikely]] {
    CheckSession::Running running(*f.check, path_);
    return run_frame(given, f, &running);
  }
  try {
    return run_frame(given, f);
  } catch (Fault& e) {
    e.calls.push_back({path_, {}});
    if (depth == 1) throw_diagnostic(e);
    throw;
  }
}

namespace {

/// Where functions like `arange` create: beside the inputs.
Device device_of(const std::vector<ForwardInput>& inputs, const Frame& f) {
  for (const ForwardInput& in : inputs) {
    const Value& v = f.slots[in.slot];
    if (v.is(Kind::tensor)) return static_cast<const TensorImpl*>(v.object())->device;
  }
  return default_device();
}

}  // namespace

Value ClassModule::run_frame(const Given& given, Frame& f, CheckSession::Running* check) {
  bind(given, f);
  if (check) {
    for (const ForwardInput& in : program_.inputs)
      check->input(in.name, program_.inputs.size() == 1, f.slots[in.slot]);
  }
  const DefaultDeviceGuard device(device_of(program_.inputs, f));
  if (!program_.chain) {
    if (!run_steps(program_.steps, f)) nothing_returned(f);
    return std::move(f.result);
  }
  return run_chain(f.slots[program_.inputs[0].slot], f.check != nullptr);
}

/// Without `forward`: the children in order.
Value ClassModule::run_chain(Value v, bool check) {
  for (size_t i = 0; i < module_slots().size(); ++i) {
    if (!check && v.holds<Tensor>()) {
      Tensor x = v.as<Tensor>();
      if (const size_t n = nn::run_fused(module_slots(), i, x)) {
        v = x;
        i += n - 1;
        continue;
      }
    }
    if (const Ref<Module>& m = module_slots()[i]->value) v = (*m)(v);
  }
  return v;
}

/// The way taken through the forward met no `return`.
void ClassModule::nothing_returned(Frame& f) const {
  Fault e(
      Diagnostic{.code = "E0505",
                 .message = fmt::format("this way through forward of {} returns nothing", type_),
                 .span = program_.end,
                 .help = "every way ends with `- return …`: add one after the last `if`"});
  if (!f.check) throw e;
  f.check->report(e);
  f.result = poison();
}

void ClassModule::bind(const Given& given, Frame& f) const {
  const auto& inputs = program_.inputs;
  for (int slot : program_.maybe_unset) f.slots[slot] = unset();
  if (given.count > inputs.size())
    throw CallError(fmt::format("{} takes {} input{}, got {}", type_, inputs.size(),
                                inputs.size() == 1 ? "" : "s", given.count),
                    inputs_text());
  uint64_t have = 0;  // a bit per input; more than 64 are refused when compiled
  for (size_t i = 0; i < given.count; ++i) {
    f.slots[inputs[i].slot] = given.pos[i];
    have |= uint64_t{1} << i;
  }
  if (given.kw) {
    for (const auto& [name, value] : *given.kw) {
      const size_t i = input_index(name);
      if (have >> i & 1)
        throw CallError(fmt::format("{}: input `{}` is given twice", type_, name), "");
      f.slots[inputs[i].slot] = value;
      have |= uint64_t{1} << i;
    }
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const ForwardInput& in = inputs[i];
    Value& v = f.slots[in.slot];
    if (have >> i & 1) {
      if (in.typed) check_input(in, v);
      continue;
    }
    if (!in.optional)
      throw CallError(fmt::format("{}: input `{}` is missing", type_, in.name), inputs_text());
    v = Value();
  }
  bind_dims(f);
}

size_t ClassModule::input_index(const std::string& name) const {
  std::vector<std::string> names;
  for (size_t i = 0; i < program_.inputs.size(); ++i) {
    if (program_.inputs[i].name == name) return i;
    names.push_back(program_.inputs[i].name);
  }
  throw CallError(fmt::format("{} has no input `{}`", type_, name), did_you_mean(name, names));
}

/// What to say of inputs that a call does not fit.
std::string ClassModule::inputs_text() const {
  std::string names;
  for (const ForwardInput& in : program_.inputs) names += (names.empty() ? "" : ", ") + in.name;
  return fmt::format(
      "its inputs are {}{}", names.empty() ? "none" : names,
      program_.inferred ? ": the names that its forward reads before it sets them" : "");
}

void ClassModule::complain(const ForwardInput& in, const Value& v, const std::string& why) const {
  std::string got = v.is(Kind::tensor) ? "" : v.type_name();
  if (v.is(Kind::tensor)) {
    const Tensor t = v.as<Tensor>();
    got = info(t.dtype()).name + t.shape().str();
  }
  const std::string text =
      fmt::format("input `{}` of {}: expected {}, got {}", in.name, type_, in.type_text(), got);
  // The call is to blame; of the outermost module, whoever gave the input.
  if (depth > 1) throw Error(ErrorKind::runtime, text, why);
  fault(in.span, "E0502", text, why);
}

void ClassModule::check_input(const ForwardInput& in, const Value& v) const {
  if (v.is_none() && in.optional) return;
  if (!v.is(Kind::tensor)) {
    if (is_poison(v)) return;
    complain(in, v, "");
  }
  const TensorImpl& t = *static_cast<const TensorImpl*>(v.object());
  if (!same_category(t.dtype, in.dtype))
    complain(in, v, fmt::format("its type is {}", info(t.dtype).name));
  if (t.sizes.size() != static_cast<int>(in.dims.size()))
    complain(in, v, fmt::format("it has {} dimensions", t.sizes.size()));
}

void ClassModule::bind_dims(Frame& f) const {
  using DimKind = ForwardInput::Dim::Kind;
  const auto each = [&](auto&& visit) {
    for (const ForwardInput& in : program_.inputs) {
      const Value& v = f.slots[in.slot];
      if (!in.typed || !v.is(Kind::tensor)) continue;
      const TensorImpl& t = *static_cast<const TensorImpl*>(v.object());
      for (size_t i = 0; i < in.dims.size(); ++i)
        visit(in, v, in.dims[i], t.sizes[static_cast<int>(i)], i);
    }
  };
  each([&](const auto&, const Value&, const ForwardInput::Dim& d, int64_t size, size_t) {
    if (d.kind == DimKind::bind) f.slots[d.slot] = size;
  });
  each([&](const ForwardInput& in, const Value& v, const ForwardInput::Dim& d, int64_t size,
           size_t i) {
    int64_t wanted = size;
    if (d.kind == DimKind::size) wanted = d.size;
    if (d.kind == DimKind::check) {
      const Value w = d.expr->eval(f);
      if (w.is(Kind::integer)) wanted = w.integer();
    }
    if (wanted != size)
      complain(in, v, fmt::format("dimension {} must be {}, it is {}", i, wanted, size));
  });
}

}  // namespace nnm::lang
