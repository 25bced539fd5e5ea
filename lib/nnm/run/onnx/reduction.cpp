// Sums, means, extremes, orders.
#include <algorithm>

#include "nnm/ops/ops.h"
#include "nnm/run/onnx/builder.h"

namespace nnm::run::onnx {
namespace {

bool keeps(const Call& c) {
  for (const auto& [name, value] : c.args)
    if (name == "keepdim") return value.boolean();
  return false;
}

// The dimensions asked for; none: all.
Ints axes(const Call& c) {
  Ints dims;
  for (const auto& [name, value] : c.args)
    if (name == "dim") dims = c.ints("dim");
  for (int64_t& d : dims) d = d < 0 ? d + std::max(c.tensor().dim(), 1) : d;
  if (dims.empty())
    for (int i = 0; i < c.tensor().dim(); ++i) dims.push_back(i);
  return dims;
}

// ReduceSum takes its axes as an input since opset 13, the others as an attribute until 18.
std::string reduce(Builder& g, const std::string& op, const std::string& x, const Ints& dims,
                   bool keep) {
  if (dims.empty()) return x;  // of a scalar
  if (op == "ReduceSum") return g.emit(op, {x, g.ints(dims)}, {{"keepdims", int64_t{keep}}});
  return g.emit(op, {x}, {{"axes", dims}, {"keepdims", int64_t{keep}}});
}

std::string input(Builder& g, const Call& c) { return g.operand(c.at("input"), c.out().dtype()); }

template <Text op>
void reduced(Builder& g, const Call& c) {
  g.give(c.out(), reduce(g, op, input(g, c), axes(c), keeps(c)));
}

std::string position(Builder& g, const std::string& op, const Call& c, bool keep) {
  std::string x = g.of(c.tensor());
  if (!c.has("dim")) {
    x = g.reshape(x, {c.tensor().numel()});
    return g.emit(op, {x}, {{"axis", int64_t{0}}, {"keepdims", int64_t{0}}});
  }
  return g.emit(op, {x}, {{"axis", c.dim()}, {"keepdims", int64_t{keep}}});
}
template <Text op>
void positions(Builder& g, const Call& c) {
  g.give(c.out(), position(g, op, c, keeps(c)));
}

// Of all, with places along a dimension, or of two tensors.
template <Text reduction, Text place, Text pair>
void extreme(Builder& g, const Call& c) {
  const std::string x = g.of(c.tensor());
  const Value& dim = c.at("dim");
  const Value& other = dim.is(Value::Kind::tensor) ? dim : c.at("other");
  if (other.is(Value::Kind::tensor)) {
    const DType dtype = c.out().dtype();
    g.give(c.out(), g.emit(pair, {g.operand(c.at("input"), dtype), g.operand(other, dtype)}));
  } else if (dim.is_none()) {
    g.give(c.out(), reduce(g, reduction, x, axes(c), false));
  } else {
    g.give(c.out(0), reduce(g, reduction, x, axes(c), keeps(c)));
    g.give(c.out(1), position(g, place, c, keeps(c)));
  }
}

template <Text op>
void truth(Builder& g, const Call& c) {
  const std::string x = g.cast(g.operand(c.at("input"), DType::b8), DType::b8, DType::i32);
  g.give(c.out(), g.cast(reduce(g, op, x, axes(c), keeps(c)), DType::i32, DType::b8));
}

// The variance, by `correction` or `unbiased`.
std::string variance(Builder& g, const Call& c, const Tensor& out) {
  const Tensor x = c.tensor();
  const Ints dims = axes(c);
  int64_t n = 1;
  for (const int64_t d : dims) n *= x.size(static_cast<int>(d));
  double correction = 1;
  for (const auto& [name, value] : c.args) {
    if (name == "unbiased") correction = value.boolean() ? 1 : 0;
    if (name == "correction" && !value.is_none()) correction = value.real();
  }
  const std::string name = g.of(x);
  const std::string centred = g.emit("Sub", {name, reduce(g, "ReduceMean", name, dims, true)});
  const std::string mean =
      reduce(g, "ReduceMean", g.emit("Mul", {centred, centred}), dims, keeps(c));
  const double whole = static_cast<double>(n);
  return g.emit("Mul", {mean, g.scalar(whole / (whole - correction), out.dtype())});
}
void var(Builder& g, const Call& c) { g.give(c.out(), variance(g, c, c.out())); }
void std_(Builder& g, const Call& c) { g.give(c.out(), g.emit("Sqrt", {variance(g, c, c.out())})); }

std::string norm_of(Builder& g, const std::string& x, double p, const Ints& dims, bool keep,
                    DType dtype) {
  if (p == 1 || p == 2) return reduce(g, p == 1 ? "ReduceL1" : "ReduceL2", x, dims, keep);
  const std::string powers = g.emit("Pow", {g.emit("Abs", {x}), g.scalar(p, dtype)});
  return g.emit("Pow", {reduce(g, "ReduceSum", powers, dims, keep), g.scalar(1 / p, dtype)});
}
void norm(Builder& g, const Call& c) {
  const Value& p = c.at("p");
  if (p.is(Value::Kind::string) && p.string() != "fro") unsupported("`norm` of this kind");
  const double order = p.is_number() ? p.real() : 2;
  g.give(c.out(), norm_of(g, input(g, c), order, axes(c), keeps(c), c.out().dtype()));
}
void normalize(Builder& g, const Call& c) {
  const DType dtype = c.out().dtype();
  const std::string x = g.of(c.tensor());
  const std::string n = norm_of(g, x, c.real("p"), {c.dim()}, true, dtype);
  g.give(c.out(), g.emit("Div", {x, g.emit("Max", {n, g.scalar(c.real("eps"), dtype)})}));
}
void pairwise_distance(Builder& g, const Call& c) {
  const DType dtype = c.out().dtype();
  const std::string d = g.emit("Sub", {g.of(c.tensor("x1")), g.of(c.tensor("x2"))});
  const std::string moved = g.emit("Add", {d, g.scalar(c.real("eps"), dtype)});
  g.give(c.out(), norm_of(g, moved, c.real("p"), {-1}, keeps(c), dtype));
}
// Each vector is divided by its own length, not the product by both, as PyTorch does it.
void cosine_similarity(Builder& g, const Call& c) {
  const DType dtype = c.out().dtype();
  const int64_t d = c.dim("dim", "x1");
  const auto unit = [&](const char* name) {
    const std::string x = g.of(c.tensor(name));
    const std::string n = norm_of(g, x, 2, {d}, true, dtype);
    return g.emit("Div", {x, g.emit("Max", {n, g.scalar(c.real("eps"), dtype)})});
  };
  const std::string a = unit("x1"), b = unit("x2");
  g.give(c.out(), reduce(g, "ReduceSum", g.emit("Mul", {a, b}), {d}, false));
}

void cumsum(Builder& g, const Call& c) {
  g.give(c.out(), g.emit("CumSum", {input(g, c), g.constant(scalar_tensor(c.dim(), DType::i64))}));
}

Strings top(Builder& g, const Call& c, int64_t k, bool largest) {
  return g.emit("TopK", {g.of(c.tensor()), g.ints({k})}, 2,
                {{"axis", c.dim()}, {"largest", int64_t{largest}}, {"sorted", int64_t{1}}});
}
void topk(Builder& g, const Call& c) {
  const Strings y = top(g, c, c.integer("k"), c.at("largest").boolean());
  g.give(c.out(0), y[0]);
  g.give(c.out(1), y[1]);
}
void sort(Builder& g, const Call& c) {
  const int64_t n = c.tensor().size(static_cast<int>(c.dim()));
  const Strings y = top(g, c, n, c.at("descending").boolean());
  g.give(c.out(0), y[0]);
  g.give(c.out(1), y[1]);
}
void argsort(Builder& g, const Call& c) {
  const int64_t n = c.tensor().size(static_cast<int>(c.dim()));
  g.give(c.out(), top(g, c, n, c.at("descending").boolean())[1]);
}

// torch's choice where no dimension is named.
int64_t implicit_dim(const Call& c) {
  if (c.has("dim")) return c.dim();
  const int n = c.tensor().dim();
  return n == 0 || n == 1 || n == 3 ? 0 : 1;
}
template <Text op>
void softmax(Builder& g, const Call& c) {
  g.give(c.out(), g.emit(op, {input(g, c)}, {{"axis", implicit_dim(c)}}));
}
void softmin(Builder& g, const Call& c) {
  g.give(c.out(), g.emit("Softmax", {g.emit("Neg", {input(g, c)})}, {{"axis", implicit_dim(c)}}));
}

constexpr Conversion kReductions[] = {
    {"sum", reduced<"ReduceSum">},
    {"mean", reduced<"ReduceMean">},
    {"amax", reduced<"ReduceMax">},
    {"amin", reduced<"ReduceMin">},
    {"prod", reduced<"ReduceProd">},
    {"logsumexp", reduced<"ReduceLogSumExp">},
    {"argmax", positions<"ArgMax">},
    {"argmin", positions<"ArgMin">},
    {"max", extreme<"ReduceMax", "ArgMax", "Max">},
    {"min", extreme<"ReduceMin", "ArgMin", "Min">},
    {"all", truth<"ReduceMin">},
    {"any", truth<"ReduceMax">},
    {"var", var},
    {"std", std_},
    {"norm", norm},
    {"normalize", normalize},
    {"pairwise_distance", pairwise_distance},
    {"cosine_similarity", cosine_similarity},
    {"cumsum", cumsum},
    {"topk", topk},
    {"sort", sort},
    {"argsort", argsort},
    {"softmax", softmax<"Softmax">},
    {"log_softmax", softmax<"LogSoftmax">},
    {"softmin", softmin},
};

}  // namespace

std::span<const Conversion> reduction_conversions() { return kReductions; }

}  // namespace nnm::run::onnx
