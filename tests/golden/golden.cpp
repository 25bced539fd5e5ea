// Numbers, calls and comparisons of the golden tests.
#include "golden/golden.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "nnm/autograd/node.h"
#include "nnm/ops/function.h"
#include "support/paths.h"

namespace nnm::golden {

namespace {

uint32_t fnv1a(std::string_view text) {
  uint32_t h = 2166136261U;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 16777619U;
  return h;
}

const Value* find(const Items& items, std::string_view name) {
  const auto it = std::find_if(items.begin(), items.end(),
                               [&](const auto& item) { return item.first == name; });
  return it == items.end() ? nullptr : &it->second;
}

/// The same numbers in memory of another order: the last dimension outermost, and every second
/// element unused.
Tensor with_strides(const Tensor& t) {
  const int n = t.dim();
  Shape strides = Shape::filled(n, 0);
  int64_t extent = 2;
  for (int d = 0; d < n; ++d) {
    strides[d] = extent;
    extent *= std::max<int64_t>(1, t.shape()[d]);
  }
  const Tensor memory =
      tensor_of<double>(std::vector<double>(static_cast<size_t>(extent)), {extent}, t.options());
  const Tensor out = memory.as_strided(t.shape(), strides, 0);
  const size_t item = item_size(t.dtype());
  for (int64_t i = 0; i < t.numel(); ++i) {
    int64_t rest = i, at = 0;
    for (int d = n - 1; d >= 0; --d) {
      at += rest % t.shape()[d] * strides[d];
      rest /= t.shape()[d];
    }
    std::memcpy(out.data<char>() + static_cast<size_t>(at) * item,
                t.data<char>() + static_cast<size_t>(i) * item, item);
  }
  return out;
}

/// One `name: kind[shape]<below*scale+offset`.
std::pair<std::string, Tensor> make_input(const std::string& key, Scanner& s, const Variant& v) {
  const std::string name = s.name();
  s.expect(":");
  const std::string kind = s.name();
  s.expect("[");
  Shape shape;
  while (!s.accept("]")) {
    shape.push_back(static_cast<int64_t>(s.number()));
    s.accept(",");
  }
  const double below = s.accept("<") ? s.number() : 0;
  const double scale = s.accept("*") ? s.number() : 1;
  const double offset = s.accept("+") ? s.number() : 0;
  std::vector<double> values = uniform(key + "\n" + name, shape.numel());
  DType dtype = v.dtype;
  if (kind == "i" || kind == "b") {
    dtype = kind == "i" ? DType::i64 : DType::b8;
    for (double& x : values) x = kind == "i" ? std::floor(x * below) : x < 0.5;
  } else {
    const bool positive = kind == "p" || kind == "v", unit = kind == "u";
    const double factor = positive ? 2 : unit ? 1 : 4, base = positive ? 0.1 : unit ? 0 : -2;
    for (double& x : values) x = (factor * x + base) * scale + offset;
  }
  Tensor t = tensor_of<double>(values, shape, {dtype, {}});
  if (v.strided) t = with_strides(t);
  if (kind == "f" || kind == "p" || kind == "u") t.requires_grad_();
  return {name, t};
}

}  // namespace

std::vector<double> uniform(const std::string& key, int64_t n) {
  const uint32_t seed = fnv1a(key);
  std::vector<double> out(static_cast<size_t>(n));
  for (size_t i = 0; i < out.size(); ++i) {
    uint32_t h = static_cast<uint32_t>(i) * 2654435761U + seed;
    h = (h ^ (h >> 15)) * 2246822519U;
    h = (h ^ (h >> 13)) * 3266489917U;
    h ^= h >> 16;
    out[i] = (h >> 8) / 16777216.0;
  }
  return out;
}

Items make_inputs(const std::string& key, const std::string& specs, const Variant& variant) {
  Items out;
  Scanner s(specs);
  while (!s.at_end()) {
    const auto [name, tensor] = make_input(key, s, variant);
    out.emplace_back(name, tensor);
    s.accept(";");
  }
  return out;
}

Value CallText::value() {
  const Value v = expression();
  if (!scanner_.at_end()) scanner_.fail("unexpected text");
  return v;
}

std::pair<std::string, Args> CallText::call() {
  const std::string name = scanner_.name();
  scanner_.expect("(");
  return {name, arguments()};
}

Values CallText::elements(const char* close) {
  Values out;
  while (!scanner_.accept(close)) {
    out.push_back(expression());
    scanner_.accept(",");
  }
  return out;
}

Value CallText::dictionary() {
  Items out;
  while (!scanner_.accept("}")) {
    const std::string key = scanner_.literal().string();
    scanner_.expect(":");
    out.emplace_back(key, expression());
    scanner_.accept(",");
  }
  return Value::dict(std::move(out));
}

Args CallText::arguments() {
  Args args;
  while (!scanner_.accept(")")) {
    Scanner ahead = scanner_;
    const std::string keyword = ahead.name();
    if (!keyword.empty() && ahead.accept("=")) {
      scanner_ = ahead;
      args.kw.emplace_back(keyword, expression());
    } else {
      args.pos.push_back(expression());
    }
    scanner_.accept(",");
  }
  return args;
}

Value CallText::method(const Value& input) {
  const Function* f = find_function("Tensor." + scanner_.name());
  NNM_CHECK(f, key, "no method that is not a function");
  scanner_.expect("(");
  Args args = arguments();
  args.pos.insert(args.pos.begin(), input);
  return f->run(f->signature().bind(args).data());
}

Value CallText::expression() {
  if (scanner_.accept("[")) return Value::list(elements("]"));
  if (scanner_.accept("{")) return dictionary();
  if (scanner_.accept("(")) return Value::tuple(elements(")"));
  Scanner ahead = scanner_;
  const std::string name = ahead.name();
  if (const Value* input = find(inputs_, name)) {
    scanner_ = ahead;
    if (scanner_.accept(".")) return method(*input);
    if (!input->holds<Ref<Module>>() || !scanner_.accept("(")) return *input;
    return (*input->as<Ref<Module>>())(arguments());
  }
  if (name.empty() || !ahead.accept("(")) return scanner_.literal();
  scanner_ = ahead;
  const Args args = arguments();
  if (const Function* f = find_function(name)) return f->run(f->signature().bind(args).data());
  return Registry<Module>::make(name, args);
}

Tensors flatten(const Value& value) {
  Tensors out;
  if (value.holds<Tensor>()) return {value.as<Tensor>()};
  if (value.is_sequence()) {
    for (const Value& v : value.items()) {
      for (Tensor& t : flatten(v)) out.push_back(std::move(t));
    }
  } else if (value.is_number()) {
    const double number = value.scalar().d;
    const DType dtype = value.is(Value::Kind::boolean)   ? DType::b8
                        : value.is(Value::Kind::integer) ? DType::i64
                                                         : DType::f64;
    out.push_back(tensor_of<double>({&number, 1}, {}, {dtype, {}}));
  }
  return out;
}

Tensor weights_like(const Tensor& t) {
  std::vector<double> w(static_cast<size_t>(t.numel()));
  for (size_t i = 0; i < w.size(); ++i) w[i] = (static_cast<double>(i * 37 % 17) - 8) / 8;
  return tensor_of<double>(w, t.shape(), t.options());
}

void backpropagate(const Tensors& outputs) {
  Tensors roots, weights;
  for (const Tensor& t : outputs) {
    if (!t.requires_grad()) continue;
    roots.push_back(t);
    weights.push_back(weights_like(t));
  }
  if (!roots.empty()) backward(roots, weights);
}

std::string difference(const std::vector<double>& got, const std::vector<double>& expected,
                       double rtol, double atol) {
  if (got.size() != expected.size()) {
    return fmt::format("{} elements instead of {}", got.size(), expected.size());
  }
  for (size_t i = 0; i < got.size(); ++i) {
    const double a = got[i], b = expected[i];
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    if (!(std::abs(a - b) <= atol + rtol * std::abs(b))) {
      return fmt::format("element {} of {} is {:.17g} instead of {:.17g}", i, got.size(), a, b);
    }
  }
  return "";
}

std::string difference(const Tensor& got, const io::H5Reader& file, const io::H5Node& node,
                       const std::string& dataset) {
  const io::H5Node* expected = node.find(dataset);
  if (!expected) {
    if (!got.defined()) return "";
    const std::vector<double> v = got.to_vector<double>();
    const bool zero = std::all_of(v.begin(), v.end(), [](double x) { return x == 0; });
    return zero ? "" : "not zero, but PyTorch has none";
  }
  if (!got.defined()) return "missing";
  const Tensor want = file.tensor(*expected);
  if (got.shape() != want.shape()) {
    return fmt::format("shape {} instead of {}", got.shape().str(), want.shape().str());
  }
  // What PyTorch computed in f64 stands for every floating type of inputs.
  if (got.dtype() != want.dtype() && !(want.dtype() == DType::f64 && got.dtype() == DType::f32)) {
    return fmt::format("dtype {} instead of {}", info(got.dtype()).name, info(want.dtype()).name);
  }
  const bool single = got.dtype() == DType::f32;
  const Value loose = file.attribute(node, "rtol");
  const double rtol = std::max(single ? 1.3e-6 : 1e-9, loose.is_none() ? 0 : loose.real());
  return difference(got.to_vector<double>(), want.to_vector<double>(), rtol, single ? 1e-5 : 1e-11);
}

std::string text_of(const io::H5Reader& file, const io::H5Node& node, const char* name) {
  return file.attribute(node, name).string();
}

io::H5Reader open(const std::string& name) {
  io::H5Limits limits;
  limits.probe = false;
  return io::H5Reader(testing::source_dir() + "/tests/golden/" + name + ".h5", limits);
}

}  // namespace nnm::golden
