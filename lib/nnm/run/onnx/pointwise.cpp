// Functions of each element.
#include <cmath>
#include <numbers>

#include "nnm/ops/detail.h"
#include "nnm/run/onnx/builder.h"

namespace nnm::run::onnx {
namespace {

// The first argument as a value of the output's type.
std::string first(Builder& g, const Call& c) {
  return g.operand(c.args[0].second, c.out().dtype());
}

template <Text op>
void same(Builder& g, const Call& c) {
  g.give(c.out(), g.emit(op, {first(g, c)}));
}

// What stands beside x: a number of its type.
std::string beside(Builder& g, const Call& c, double number) {
  return g.scalar(number, c.out().dtype());
}

template <Text op>
void binary(Builder& g, const Call& c) {
  const DType dtype = c.out().dtype();
  std::string b = g.operand(c.args[1].second, dtype);
  for (const auto& [name, value] : c.args)
    if (name == "alpha" && value.real() != 1) b = g.emit("Mul", {b, g.scalar(value.real(), dtype)});
  g.give(c.out(), g.emit(op, {first(g, c), b}));
}

void sum_of_several(Builder& g, const Call& c) {
  Strings in;
  for (const Value& v : c.at("tensors").items()) in.push_back(g.operand(v, c.out().dtype()));
  g.give(c.out(), in.size() == 1 ? in[0] : g.emit("Sum", in));
}

void reversed_sub(Builder& g, const Call& c) {
  g.give(c.out(), g.emit("Sub", {g.operand(c.args[1].second, c.out().dtype()), first(g, c)}));
}

// a / b, rounded as it is asked for.
void divide(Builder& g, const Call& c) {
  const DType dtype = c.out().dtype();
  const std::string a = first(g, c), b = g.operand(c.args[1].second, dtype);
  std::string mode;
  for (const auto& [name, value] : c.args)
    if (name == "rounding_mode" && !value.is_none()) mode = value.string();
  if (c.function == "//" || c.function == "floor_divide") mode = "floor";
  std::string y = g.emit("Div", {a, b});
  if (!mode.empty() && !is_floating(dtype)) unsupported("`" + c.function + "` of whole numbers");
  if (mode == "floor") y = g.emit("Floor", {y});
  if (mode == "trunc")
    y = g.emit("Mul", {g.emit("Sign", {y}), g.emit("Floor", {g.emit("Abs", {y})})});
  g.give(c.out(), y);
}

// Python's remainder: with the divisor's sign.
void remainder(Builder& g, const Call& c) {
  const DType dtype = c.out().dtype();
  const std::string a = first(g, c), b = g.operand(c.args[1].second, dtype);
  if (!is_floating(dtype)) return g.give(c.out(), g.emit("Mod", {a, b}));
  g.give(c.out(), g.emit("Sub", {a, g.emit("Mul", {g.emit("Floor", {g.emit("Div", {a, b})}), b})}));
}

DType common_type(const Value& a, const Value& b) {
  if (!a.is(Value::Kind::tensor)) return detail::result_type(b.as<Tensor>(), a.scalar());
  if (!b.is(Value::Kind::tensor)) return detail::result_type(a.as<Tensor>(), b.scalar());
  return detail::result_type(a.as<Tensor>(), b.as<Tensor>());
}

template <Text op, bool negated>
void compare(Builder& g, const Call& c) {
  const Value &a = c.args[0].second, &b = c.args[1].second;
  const DType dtype = common_type(a, b);
  const std::string y = g.emit(op, {g.operand(a, dtype), g.operand(b, dtype)});
  g.give(c.out(), negated ? g.emit("Not", {y}) : y);
}

template <Text op>
void logical(Builder& g, const Call& c) {
  if (c.out().dtype() != DType::b8) unsupported("`" + c.function + "` of whole numbers");
  g.give(c.out(), g.emit(op, {first(g, c), g.operand(c.args[1].second, DType::b8)}));
}

void negation(Builder& g, const Call& c) {
  if (c.out().dtype() != DType::b8) unsupported("`~` of whole numbers");
  g.give(c.out(), g.emit("Not", {g.operand(c.args[0].second, DType::b8)}));
}

template <Text op, Text argument>
void with_slope(Builder& g, const Call& c) {
  g.give(c.out(), g.emit(op, {first(g, c)}, {{"alpha", c.real(argument.value)}}));
}

std::string product(Builder& g, const std::string& a, const std::string& b) {
  return g.emit("Mul", {a, b});
}

void silu(Builder& g, const Call& c) {
  const std::string x = first(g, c);
  g.give(c.out(), product(g, x, g.emit("Sigmoid", {x})));
}
void mish(Builder& g, const Call& c) {
  const std::string x = first(g, c);
  g.give(c.out(), product(g, x, g.emit("Tanh", {g.emit("Softplus", {x})})));
}

// The normal distribution's cumulative function by erf, or tanh's approximation.
void gelu(Builder& g, const Call& c) {
  const std::string x = first(g, c);
  std::string inner;
  if (c.at("approximate").string() == "tanh") {
    const std::string cube = product(g, product(g, x, x), product(g, x, beside(g, c, 0.044715)));
    const double scale = std::sqrt(2 / std::numbers::pi);
    inner = g.emit("Tanh", {product(g, g.emit("Add", {x, cube}), beside(g, c, scale))});
  } else {
    inner = g.emit("Erf", {product(g, x, beside(g, c, 1 / std::numbers::sqrt2))});
  }
  const std::string half = product(g, x, beside(g, c, 0.5));
  g.give(c.out(), product(g, half, g.emit("Add", {inner, beside(g, c, 1)})));
}

void selu(Builder& g, const Call& c) { g.give(c.out(), g.emit("Selu", {first(g, c)})); }

void softplus(Builder& g, const Call& c) {
  const std::string x = first(g, c);
  const double beta = c.real("beta");
  const std::string scaled = beta == 1 ? x : product(g, x, beside(g, c, beta));
  const std::string soft = g.emit("Softplus", {scaled});
  const std::string y = beta == 1 ? soft : product(g, soft, beside(g, c, 1 / beta));
  const std::string linear = g.emit("Greater", {scaled, beside(g, c, c.real("threshold"))});
  g.give(c.out(), g.emit("Where", {linear, x, y}));
}
void log_sigmoid(Builder& g, const Call& c) {
  g.give(c.out(), g.emit("Neg", {g.emit("Softplus", {g.emit("Neg", {first(g, c)})})}));
}
void tanhshrink(Builder& g, const Call& c) {
  const std::string x = first(g, c);
  g.give(c.out(), g.emit("Sub", {x, g.emit("Tanh", {x})}));
}
void hardsigmoid(Builder& g, const Call& c) {
  g.give(c.out(), g.emit("HardSigmoid", {first(g, c)}, {{"alpha", 1.0 / 6}, {"beta", 0.5}}));
}
void softshrink(Builder& g, const Call& c) {
  const double l = c.real("lambd");
  g.give(c.out(), g.emit("Shrink", {first(g, c)}, {{"lambd", l}, {"bias", l}}));
}
void hardshrink(Builder& g, const Call& c) {
  g.give(c.out(), g.emit("Shrink", {first(g, c)}, {{"lambd", c.real("lambd")}, {"bias", 0.0}}));
}

void clip(Builder& g, const Call& c, double low, double high) {
  g.give(c.out(), g.emit("Clip", {first(g, c), beside(g, c, low), beside(g, c, high)}));
}
void relu6(Builder& g, const Call& c) { clip(g, c, 0, 6); }
void hardtanh(Builder& g, const Call& c) { clip(g, c, c.real("min_val"), c.real("max_val")); }

// Bounds may be numbers, tensors or none.
void clamp(Builder& g, const Call& c) {
  std::string y = first(g, c);
  for (const auto& [name, value] : c.args) {
    if ((name != "min" && name != "max") || value.is_none()) continue;
    y = g.emit(name == "min" ? "Max" : "Min", {y, g.operand(value, c.out().dtype())});
  }
  g.give(c.out(), y);
}

void threshold(Builder& g, const Call& c) {
  const std::string x = first(g, c);
  const std::string above = g.emit("Greater", {x, beside(g, c, c.real("threshold"))});
  g.give(c.out(), g.emit("Where", {above, x, beside(g, c, c.real("value"))}));
}

// One slope, or one for each channel, which is dimension 1.
void prelu(Builder& g, const Call& c) {
  const Tensor x = c.tensor(), weight = c.tensor("weight");
  std::string slope = g.of(weight);
  if (weight.numel() > 1 && x.dim() > 2) {
    Shape shape{weight.numel()};
    for (int i = 2; i < x.dim(); ++i) shape.push_back(1);
    slope = g.reshape(slope, shape);
  }
  g.give(c.out(), g.emit("PRelu", {g.of(x), slope}));
}

void rsqrt(Builder& g, const Call& c) {
  g.give(c.out(), g.emit("Reciprocal", {g.emit("Sqrt", {first(g, c)})}));
}
void square(Builder& g, const Call& c) {
  const std::string x = first(g, c);
  g.give(c.out(), product(g, x, x));
}
template <Text op>
void test(Builder& g, const Call& c) {
  g.give(c.out(), g.emit(op, {g.of(c.tensor())}));
}

void where(Builder& g, const Call& c) {
  const DType dtype = c.out().dtype();
  g.give(c.out(), g.emit("Where", {g.of(c.tensor("condition")), g.operand(c.at("input"), dtype),
                                   g.operand(c.at("other"), dtype)}));
}
void masked_fill(Builder& g, const Call& c) {
  g.give(c.out(), g.emit("Where", {g.of(c.tensor("mask")),
                                   g.operand(c.at("value"), c.out().dtype()), first(g, c)}));
}

// Another element type, or the same value.
void cast(Builder& g, const Call& c) { g.give(c.out(), first(g, c)); }

template <Text op>
void random_like(Builder& g, const Call& c) {
  const Tensor out = c.out();
  const Ints shape = out.shape().vec();
  g.give(out, g.emit(op, {}, {{"dtype", io::onnx_type(out.dtype())}, {"shape", shape}}));
}

constexpr Conversion kPointwise[] = {
    {"abs", same<"Abs">},
    {"absolute", same<"Abs">},
    {"arccos", same<"Acos">},
    {"acos", same<"Acos">},
    {"arccosh", same<"Acosh">},
    {"acosh", same<"Acosh">},
    {"arcsin", same<"Asin">},
    {"asin", same<"Asin">},
    {"arcsinh", same<"Asinh">},
    {"asinh", same<"Asinh">},
    {"arctan", same<"Atan">},
    {"atan", same<"Atan">},
    {"arctanh", same<"Atanh">},
    {"atanh", same<"Atanh">},
    {"ceil", same<"Ceil">},
    {"cos", same<"Cos">},
    {"cosh", same<"Cosh">},
    {"erf", same<"Erf">},
    {"exp", same<"Exp">},
    {"floor", same<"Floor">},
    {"log", same<"Log">},
    {"neg", same<"Neg">},
    {"negative", same<"Neg">},
    {"reciprocal", same<"Reciprocal">},
    {"relu", same<"Relu">},
    {"relu_", same<"Relu">},
    {"round", same<"Round">},
    {"sigmoid", same<"Sigmoid">},
    {"sign", same<"Sign">},
    {"sin", same<"Sin">},
    {"sinh", same<"Sinh">},
    {"softsign", same<"Softsign">},
    {"sqrt", same<"Sqrt">},
    {"tan", same<"Tan">},
    {"tanh", same<"Tanh">},
    {"hardswish", same<"HardSwish">},
    {"+", binary<"Add">},
    {"add", binary<"Add">},
    {"add_", binary<"Add">},
    {"-", binary<"Sub">},
    {"sub", binary<"Sub">},
    {"sub_", binary<"Sub">},
    {"subtract", binary<"Sub">},
    {"*", binary<"Mul">},
    {"mul", binary<"Mul">},
    {"mul_", binary<"Mul">},
    {"multiply", binary<"Mul">},
    {"**", binary<"Pow">},
    {"pow", binary<"Pow">},
    {"maximum", binary<"Max">},
    {"minimum", binary<"Min">},
    {"rsub", reversed_sub},
    {"sum of several", sum_of_several},
    {"/", divide},
    {"div", divide},
    {"div_", divide},
    {"divide", divide},
    {"true_divide", divide},
    {"//", divide},
    {"floor_divide", divide},
    {"%", remainder},
    {"remainder", remainder},
    {"==", compare<"Equal", false>},
    {"eq", compare<"Equal", false>},
    {"!=", compare<"Equal", true>},
    {"ne", compare<"Equal", true>},
    {"<", compare<"Less", false>},
    {"lt", compare<"Less", false>},
    {"<=", compare<"LessOrEqual", false>},
    {"le", compare<"LessOrEqual", false>},
    {">", compare<"Greater", false>},
    {"gt", compare<"Greater", false>},
    {">=", compare<"GreaterOrEqual", false>},
    {"ge", compare<"GreaterOrEqual", false>},
    {"&", logical<"And">},
    {"logical_and", logical<"And">},
    {"|", logical<"Or">},
    {"logical_or", logical<"Or">},
    {"^", logical<"Xor">},
    {"logical_xor", logical<"Xor">},
    {"~", negation},
    {"logical_not", negation},
    {"elu", with_slope<"Elu", "alpha">},
    {"celu", with_slope<"Celu", "alpha">},
    {"leaky_relu", with_slope<"LeakyRelu", "negative_slope">},
    {"selu", selu},
    {"silu", silu},
    {"mish", mish},
    {"gelu", gelu},
    {"softplus", softplus},
    {"logsigmoid", log_sigmoid},
    {"tanhshrink", tanhshrink},
    {"hardsigmoid", hardsigmoid},
    {"softshrink", softshrink},
    {"hardshrink", hardshrink},
    {"relu6", relu6},
    {"hardtanh", hardtanh},
    {"clamp", clamp},
    {"clip", clamp},
    {"clamp_min", clamp},
    {"clamp_max", clamp},
    {"threshold", threshold},
    {"prelu", prelu},
    {"rsqrt", rsqrt},
    {"square", square},
    {"isnan", test<"IsNaN">},
    {"isinf", test<"IsInf">},
    {"where", where},
    {"masked_fill", masked_fill},
    {"to", cast},
    {"type", cast},
    {"type_as", cast},
    {"float", cast},
    {"double", cast},
    {"half", cast},
    {"bfloat16", cast},
    {"long", cast},
    {"int", cast},
    {"short", cast},
    {"char", cast},
    {"byte", cast},
    {"bool", cast},
    {"contiguous", cast},
    {"clone", cast},
    {"detach", cast},
    {"positive", cast},
    {"dropout", cast},
    {"dropout1d", cast},
    {"dropout2d", cast},
    {"dropout3d", cast},
    {"alpha_dropout", cast},
    {"randn_like", random_like<"RandomNormal">},
    {"randn", random_like<"RandomNormal">},
    {"rand_like", random_like<"RandomUniform">},
    {"rand", random_like<"RandomUniform">},
};

}  // namespace

std::span<const Conversion> pointwise_conversions() { return kPointwise; }

}  // namespace nnm::run::onnx
