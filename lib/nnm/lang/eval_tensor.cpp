// Operators where tensors, modules and containers take part: arithmetic, comparison, subscripts,
// attributes, truth and iteration.
#include "nnm/base/slice.h"
#include "nnm/lang/eval.h"
#include "nnm/nn/layers/container.h"
#include "nnm/ops/detail.h"

namespace nnm::lang {

namespace {

using Kind = Value::Kind;

/// A number as a 0-d tensor of the type that it takes beside x: numbers promote by category only.
Tensor beside(const Tensor& x, const Value& number) {
  DType dtype = x.dtype();
  if (number.is(Kind::real) && !is_floating(dtype)) dtype = DType::f32;
  if (number.is(Kind::integer) && dtype == DType::b8) dtype = DType::i64;
  return scalar_tensor(number.scalar(), dtype, x.device());
}

void check_operand(std::string_view op, const Value& v) {
  NNM_CHECK(v.is(Kind::tensor) || v.is_number(), type, "`{}` of a Tensor and {}", op,
            v.is(Kind::none) ? "none" : v.type_name());
}

Value with_number(std::string_view op, const Tensor& a, const Value& b) {
  switch (op[0]) {
    case '+': return add(a, b.scalar());
    case '-': return sub(a, b.scalar());
    case '*': return op == "**" ? pow(a, b.scalar()) : mul(a, b.scalar());
    case '/': return op == "//" ? floor_divide(a, beside(a, b)) : div(a, b.scalar());
    case '%': return remainder(a, beside(a, b));
    default: fail(ErrorKind::type, "`{}` of a Tensor and a number", op);
  }
}

Value from_number(std::string_view op, const Value& a, const Tensor& b) {
  switch (op[0]) {
    case '+': return add(b, a.scalar());
    case '-': return rsub(a.scalar(), b);
    case '*': return op == "**" ? pow(beside(b, a), b) : mul(b, a.scalar());
    case '/': return op == "//" ? floor_divide(beside(b, a), b) : div(a.scalar(), b);
    case '%': return remainder(beside(b, a), b);
    default: fail(ErrorKind::type, "`{}` of a number and a Tensor", op);
  }
}

}  // namespace

namespace detail {

Value tensor_binary(std::string_view op, const Value& a, const Value& b) {
  check_operand(op, a);
  check_operand(op, b);
  if (!b.is(Kind::tensor)) return with_number(op, a.as<Tensor>(), b);
  if (!a.is(Kind::tensor)) return from_number(op, a, b.as<Tensor>());
  const Tensor x = a.as<Tensor>(), y = b.as<Tensor>();
  switch (op[0]) {
    case '+': return add(x, y);
    case '-': return sub(x, y);
    case '*': return op == "**" ? pow(x, y) : mul(x, y);
    case '/': return op == "//" ? floor_divide(x, y) : div(x, y);
    case '%': return remainder(x, y);
    default: return matmul(x, y);
  }
}

Value tensor_negative(const Value& a) { return neg(a.as<Tensor>()); }

Value tensor_compare(std::string_view op, const Value& a, const Value& b) {
  if (a.is_none() || b.is_none()) return op == "!=";
  check_operand(op, a);
  check_operand(op, b);
  const Tensor x = a.is(Kind::tensor) ? a.as<Tensor>() : beside(b.as<Tensor>(), a);
  const Tensor y = b.is(Kind::tensor) ? b.as<Tensor>() : beside(x, b);
  if (op == "==") return eq(x, y);
  if (op == "!=") return ne(x, y);
  if (op == "<") return lt(x, y);
  if (op == "<=") return le(x, y);
  return op == ">" ? gt(x, y) : ge(x, y);
}

namespace {

/// T, H, mT and mH: transposed views of what is real.
Value transposed(const Tensor& t, const std::string& name) {
  if (t.dim() == 0) return t;
  if (name[0] == 'm') {
    NNM_CHECK(t.dim() >= 2, runtime,
              "tensor.{} is only supported on matrices or batches of matrices. Got {}-D tensor.",
              name, t.dim());
    return transpose(t, -2, -1);
  }
  NNM_CHECK(name == "T" || t.dim() == 2, runtime,
            "tensor.H is only supported on matrices (2-D tensors). Got {}-D tensor.{}", t.dim(),
            t.dim() > 2 ? " For batches of matrices, consider using tensor.mH" : "");
  Dims reversed;
  for (int64_t d = t.dim(); d-- > 0;) reversed.push_back(d);
  return permute(t, reversed);
}

}  // namespace

Value tensor_attribute(const Value& v, const std::string& name) {
  const Tensor t = v.as<Tensor>();
  if (name == "shape") return Value::tuple(Values(t.shape().begin(), t.shape().end()));
  if (name == "dtype") return t.dtype();
  if (name == "ndim") return t.dim();
  if (name == "requires_grad") return t.requires_grad();
  if (name == "data") return t.detach();
  if (name == "device") return nnm::detail::device_name(t.device());
  if (name == "T" || name == "H" || name == "mT" || name == "mH") return transposed(t, name);
  const bool place = name == "cuda" || name == "cpu";
  const std::string hint = place ? "leave it away: `--device` places the model and what it is given"
                           : find_function(name)
                               ? fmt::format("`{0}` is a function: write `.{0}(…)`", name)
                               : did_you_mean(name, {"shape", "dtype", "ndim", "T", "mT"});
  throw Error(ErrorKind::attribute, fmt::format("a Tensor has no attribute `{}`", name), hint);
}

}  // namespace detail

namespace {

int64_t wrapped(int64_t i, size_t n, const char* what) {
  const auto length = static_cast<int64_t>(n);
  NNM_CHECK(i >= -length && i < length, index, "{} index {} is out of range for length {}", what, i,
            length);
  return i < 0 ? i + length : i;
}

std::optional<int64_t> bound(const Value& v) {
  return v.is_none() ? std::nullopt : std::optional(v.integer());
}

Values characters(const std::string& s) {
  Values out;
  for (size_t i = 0; i < s.size();) {
    size_t n = 1;
    while (i + n < s.size() && (static_cast<unsigned char>(s[i + n]) & 0xc0) == 0x80) ++n;
    out.push_back(s.substr(i, n));
    i += n;
  }
  return out;
}

/// Some of a list of modules or parameters: a list of the same kind, which shares them.
Value module_slice(const Module& m, const Value& slice) {
  const auto start = bound(slice.items()[0]), stop = bound(slice.items()[1]);
  const int64_t step = bound(slice.items()[2]).value_or(1);
  if (const auto* s = dynamic_cast<const nn::Sequential*>(&m))
    return Ref<Module>(s->slice(start, stop, step));
  if (const auto* l = dynamic_cast<const nn::ModuleList*>(&m))
    return Ref<Module>(l->slice(start, stop, step));
  const auto* p = dynamic_cast<const nn::ParameterList*>(&m);
  NNM_CHECK(p, type, "a {} has no slices", m.type_name());
  return Ref<Module>(p->slice(start, stop, step));
}

Value module_item(const Value& m, const Value& key) {
  Module& module = *m.as<Ref<Module>>();
  if (key.is(Kind::slice)) return module_slice(module, key);
  if (key.is(Kind::integer)) {
    if (const auto* list = dynamic_cast<const nn::ParameterList*>(&module))
      return (*list)[key.integer()];
    const auto slots = module.module_slots();
    const std::string type = module.type_name();
    return slots[static_cast<size_t>(wrapped(key.integer(), slots.size(), type.c_str()))]->value;
  }
  NNM_CHECK(key.is(Kind::string), type, "a child is picked by an int or a name, got {}",
            key.type_name());
  Module* child = module.child(key.string());
  NNM_CHECK(child, key, "{} has no child `{}`", module.type_name(), key.string());
  return Ref<Module>(child);
}

Value sequence_item(const Value& a, const Value& b) {
  const bool text = a.is(Kind::string);
  const Values chars = text ? characters(a.string()) : Values();
  const Values& items = text ? chars : a.items();
  if (b.is(Kind::slice)) {
    Values out;
    std::string joined;
    for (size_t i : slice_positions(b, items.size())) {
      if (text) joined += items[i].string();
      else out.push_back(items[i]);
    }
    if (text) return joined;
    return a.is(Kind::list) ? Value::list(std::move(out)) : Value::tuple(std::move(out));
  }
  NNM_CHECK(b.is(Kind::integer) || b.is(Kind::boolean), type,
            "{} indices must be integers or slices, got {}", a.type_name(), b.type_name());
  return items[static_cast<size_t>(wrapped(b.integer(), items.size(), a.type_name()))];
}

}  // namespace

std::vector<size_t> slice_positions(const Value& slice, size_t n) {
  const Values& parts = slice.items();
  return nnm::slice_positions(bound(parts[0]), bound(parts[1]), bound(parts[2]).value_or(1), n);
}

bool has_keys(const Module& m) {
  return dynamic_cast<const nn::ModuleDict*>(&m) || dynamic_cast<const nn::ParameterDict*>(&m);
}

std::vector<std::string> keys_of(const Module& m) {
  std::vector<std::string> out;
  for (const auto& s : m.module_slots()) out.push_back(s->name);
  if (!dynamic_cast<const nn::ParameterDict*>(&m)) return out;
  for (const auto& s : m.parameter_slots()) out.push_back(s->name);
  return out;
}

Value subscript(const Value& a, const Value& b) {
  if (a.is(Kind::tensor)) return index(a.as<Tensor>(), b);
  if (a.is(Kind::module)) return module_item(a, b);
  if (a.is(Kind::dict)) {
    if (b.is(Kind::integer))
      return a.entries()[static_cast<size_t>(wrapped(b.integer(), a.entries().size(), "output"))]
          .second;
    NNM_CHECK(b.is(Kind::string), type, "keys are strings, got {}", b.type_name());
    if (const Value* v = a.find(b.string())) return *v;
    return attribute(a, b.string());
  }
  NNM_CHECK(a.is_sequence() || a.is(Kind::string), type, "{} cannot be indexed", a.type_name());
  return sequence_item(a, b);
}

namespace {

/// `.values` and `.indices` of the pairs that max, min, sort, topk and their like give
/// (torch.return_types); null for anything else.
const Value* field_of_pair(const Value& a, const std::string& name) {
  if (!a.is(Kind::tuple) || a.items().size() != 2) return nullptr;
  const Value &values = a.items()[0], &indices = a.items()[1];
  if (!values.is(Kind::tensor) || !indices.is(Kind::tensor)) return nullptr;
  if (indices.as<Tensor>().dtype() != DType::i64) return nullptr;
  if (name == "values") return &values;
  return name == "indices" ? &indices : nullptr;
}

}  // namespace

Value attribute(const Value& a, const std::string& name) {
  if (a.is(Kind::tensor)) return detail::tensor_attribute(a, name);
  if (a.is(Kind::module)) return a.as<Ref<Module>>()->get_attribute(name);
  if (const Value* field = field_of_pair(a, name)) return *field;
  std::vector<std::string> names;
  if (a.is(Kind::dict)) {
    if (const Value* v = a.find(name)) return *v;
    for (const auto& [key, value] : a.entries()) names.push_back(key);
  }
  std::string help = did_you_mean(name, names);
  if (help.empty() && !names.empty()) help = fmt::format("there is {}", fmt::join(names, ", "));
  throw Error(ErrorKind::attribute,
              a.is(Kind::dict) ? fmt::format("there is no `{}`", name)
                               : fmt::format("{} has no attribute `{}`", a.type_name(), name),
              std::move(help));
}

bool truth(const Value& v) {
  if (!v.is(Kind::tensor)) return v.truthy();
  const Tensor t = v.as<Tensor>();
  NNM_CHECK(t.numel() == 1, type,
            "the truth of a Tensor of shape {} is not one value; logical_and, logical_or, "
            "logical_not and where work elementwise",
            t.shape().str());
  if (t.is_meta())
    throw Error(ErrorKind::type, "control flow cannot depend on the values of a tensor",
                "`where(condition, a, b)` chooses element by element");
  return t.item().d != 0;
}

Values iterate(const Value& v) {
  switch (v.kind()) {
    case Kind::list:
    case Kind::tuple: return v.items();
    case Kind::string: return characters(v.string());
    case Kind::dict: {
      Values out;
      for (const auto& [key, value] : v.entries()) out.push_back(key);
      return out;
    }
    case Kind::module: {
      const Ref<Module> module = v.as<Ref<Module>>();
      Values out;
      if (const auto* list = dynamic_cast<const nn::ParameterList*>(module.get())) {
        for (const Tensor& p : *list) out.push_back(p);
        return out;
      }
      if (has_keys(*module)) {
        for (std::string& key : keys_of(*module)) out.push_back(std::move(key));
        return out;
      }
      for (Module* m : module->children()) out.push_back(Ref<Module>(m));
      return out;
    }
    case Kind::tensor: {
      const Tensor t = v.as<Tensor>();
      NNM_CHECK(t.dim() > 0, type, "iteration over a 0-d tensor");
      Values out;
      for (const Tensor& row : unbind(t, 0)) out.push_back(row);
      return out;
    }
    default: fail(ErrorKind::type, "{} is not a list: nothing to go through", v.type_name());
  }
}

}  // namespace nnm::lang
