// Functions that create tensors, and casts, as a config calls them.
#include "nnm/ops/arguments.h"

namespace nnm {
namespace {

using namespace detail;

/// The type and extents of nested lists of numbers (or tensors), and the numbers in order.
struct Nested {
  Shape shape;
  Scalar::Kind kind = Scalar::Kind::boolean;
  std::vector<Scalar> numbers;

  void read(const Value& v, int depth) {
    if (!v.is_sequence()) {
      NNM_CHECK(depth == shape.size(), value, "tensor: lists and numbers stand side by side");
      add(number(v));
      return;
    }
    const auto n = static_cast<int64_t>(v.items().size());
    if (depth == shape.size()) {
      NNM_CHECK(numbers.empty(), value, "tensor: lists and numbers stand side by side");
      shape.push_back(n);
    }
    NNM_CHECK(shape[depth] == n, value, "expected sequence of length {} at dim {} (got {})",
              shape[depth], depth, n);
    for (const Value& item : v.items()) read(item, depth + 1);
  }

  void add(Scalar s) {
    kind = std::max(kind, s.kind);
    numbers.push_back(s);
  }
};

Value tensor_of_data(const Value* a) {
  Nested data;
  data.read(a[0], 0);
  if (data.numbers.empty()) data.kind = Scalar::Kind::real;
  constexpr DType kTypes[] = {DType::b8, DType::i64, DType::f32};
  const DType type = dtype(a[1]).value_or(kTypes[static_cast<int>(data.kind)]);
  Tensor host;
  if (is_floating(type)) {
    std::vector<double> v;
    for (const Scalar& s : data.numbers) v.push_back(s.d);
    host = tensor_of<double>(v, data.shape, {type, {}});
  } else {
    std::vector<int64_t> v;
    for (const Scalar& s : data.numbers) v.push_back(s.i);
    host = tensor_of<int64_t>(v, data.shape, {type, {}});
  }
  return to(host, {type, device(a[2])});
}

Value arange_of(const Value* a) {
  const bool one = a[1].is_none();
  return arange(one ? Scalar(0) : a[0].scalar(), one ? a[0].scalar() : a[1].scalar(), a[2].scalar(),
                dtype(a[3]), device(a[4]));
}

Value randint_of(const Value* a) {
  // randint(high, size) or randint(low, high, size).
  const bool low_given = a[1].is(Value::Kind::integer);
  const Value& size = low_given ? a[2] : a[2].is_none() ? a[1] : a[2];
  NNM_CHECK(size.is_sequence(), type, "randint: expected a size, got {}", size.config_text());
  const int64_t low = low_given ? a[0].integer() : 0;
  const int64_t high = low_given ? a[1].integer() : a[0].integer();
  return to(randint(low, high, shape(size)), {dtype(a[3]).value_or(DType::i64), device(a[4])});
}

TensorOptions like(const Value* a) {
  const Tensor x = tensor(a[0]);
  return {dtype(a[1]).value_or(x.dtype()), x.device()};
}

/// x in another type, uninitialised, in its memory format.
Tensor like_of(const Value& x, const Value& type) {
  const Tensor t = tensor(x);
  return empty_pointwise(t, dtype(type).value_or(t.dtype()));
}

Value filled_like(const Value* a, Scalar s) {
  Tensor y = like_of(a[0], a[1]);
  fill_(y, s);
  return y;
}

template <DType T>
Value cast(const Value* a) {
  return to(tensor(a[0]), T);
}

/// x.to(dtype), x.to("cpu"), x.to("cpu", dtype), x.to(other), and by keyword.
Value to_of(const Value* a) {
  const Tensor x = tensor(a[0]);
  TensorOptions o{dtype(a[2]).value_or(x.dtype()), a[3].is_none() ? x.device() : device(a[3])};
  for (const Value& v : a[1].items()) {
    if (is_tensor(v)) {
      o = tensor(v).options();
    } else if (v.is(Value::Kind::dtype)) {
      o.dtype = v.dtype();
    } else {
      NNM_CHECK(v.is(Value::Kind::string), type, "to: expected a dtype, device or tensor, got {}",
                v.config_text());
      o.device = device(v);
    }
  }
  // While shapes are checked, meta stands for whatever device a run is on.
  if (x.is_meta()) o.device = x.device();
  return to(x, o);
}

// Values are unknown while shapes are checked, which happens before every run.
Value item_of(const Value* a) {
  const Tensor x = tensor(a[0]);
  if (x.is_meta())
    throw Error(ErrorKind::type, "shapes are checked before there are values: no number is known",
                "keep it a tensor: one of one element goes with numbers in expressions");
  return Codec<Scalar>::write(x.item());
}

Value one_hot_of(const Value* a) {
  const Tensor x = tensor(a[0]);
  const int64_t classes = a[1].integer();
  if (x.is_meta() && classes < 0)
    throw Error(ErrorKind::type,
                "shapes are checked before there are values: the number of classes is not known",
                "give num_classes");
  return one_hot(x, classes);
}

Value size_of(const Value* a) {
  const Tensor x = tensor(a[0]);
  if (!a[1].is_none()) return x.size(a[1].integer());
  return Value::tuple(Values(x.shape().begin(), x.shape().end()));
}

const Function kCreationFunctions[] = {
    {"zeros(*size: any, dtype: dtype = none, device: str = none)", "filled with 0",
     [](const Value* a) -> Value { return zeros(shape(a[0]), options(a[1], a[2])); }},
    {"ones(*size: any, dtype: dtype = none, device: str = none)", "filled with 1",
     [](const Value* a) -> Value { return ones(shape(a[0]), options(a[1], a[2])); }},
    {"empty(*size: any, dtype: dtype = none, device: str = none)", "uninitialised",
     [](const Value* a) -> Value { return empty(shape(a[0]), options(a[1], a[2])); }},
    {"full(size: int[], fill_value: any, dtype: dtype = none, device: str = none)",
     "filled with a number",
     [](const Value* a) -> Value {
       const Scalar s = number(a[1]);
       const DType natural = scalar_tensor(s).dtype();
       return full(shape(a[0]), s, {dtype(a[2]).value_or(natural), device(a[3])});
     }},
    {"tensor(data: any, dtype: dtype = none, device: str = none)", "of numbers in nested lists",
     tensor_of_data},
    {"scalar_tensor(s: any, dtype: dtype = f32, device: str = none)", "0-d",
     [](const Value* a) -> Value {
       return scalar_tensor(a[0].scalar(), dtype(a[1]), device(a[2]));
     }},
    {"zeros_like(input: Tensor, dtype: dtype = none)", "0 in the shape of another",
     [](const Value* a) { return filled_like(a, 0); }},
    {"ones_like(input: Tensor, dtype: dtype = none)", "1 in the shape of another",
     [](const Value* a) { return filled_like(a, 1); }},
    {"empty_like(input: Tensor, dtype: dtype = none)", "uninitialised, in the shape of another",
     [](const Value* a) -> Value { return like_of(a[0], a[1]); }},
    {"full_like(input: Tensor, fill_value: any, dtype: dtype = none)",
     "a number in the shape of another",
     [](const Value* a) -> Value {
       Tensor y = like_of(a[0], a[2]);
       fill_(y, number(a[1]));
       return y;
     }},
    {"rand_like(input: Tensor, dtype: dtype = none)", "uniform in [0, 1)",
     [](const Value* a) -> Value { return rand(tensor(a[0]).shape(), like(a)); }},
    {"randn_like(input: Tensor, dtype: dtype = none)", "standard normal",
     [](const Value* a) -> Value { return randn(tensor(a[0]).shape(), like(a)); }},
    {"new_zeros(input: Tensor, *size: any, dtype: dtype = none)", "0, of the input's type",
     [](const Value* a) -> Value {
       const Tensor x = tensor(a[0]);
       return zeros(shape(a[1]), {dtype(a[2]).value_or(x.dtype()), x.device()});
     }},
    {"new_ones(input: Tensor, *size: any, dtype: dtype = none)", "1, of the input's type",
     [](const Value* a) -> Value {
       const Tensor x = tensor(a[0]);
       return ones(shape(a[1]), {dtype(a[2]).value_or(x.dtype()), x.device()});
     }},
    {"new_empty(input: Tensor, *size: any, dtype: dtype = none)", "uninitialised, of its type",
     [](const Value* a) -> Value {
       const Tensor x = tensor(a[0]);
       return empty(shape(a[1]), {dtype(a[2]).value_or(x.dtype()), x.device()});
     }},
    {"new_tensor(input: Tensor, data: any, dtype: dtype = none)",
     "of numbers in nested lists, of the input's type",
     [](const Value* a) -> Value {
       const Tensor x = tensor(a[0]);
       const Value of[] = {a[1], dtype(a[2]).value_or(x.dtype()), Value("cpu")};
       return to(tensor_of_data(of).as<Tensor>(), {dtype(a[2]).value_or(x.dtype()), x.device()});
     }},
    {"new_full(input: Tensor, size: int[], fill_value: any, dtype: dtype = none)",
     "a number, of the input's type",
     [](const Value* a) -> Value {
       const Tensor x = tensor(a[0]);
       return full(shape(a[1]), number(a[2]), {dtype(a[3]).value_or(x.dtype()), x.device()});
     }},
    {"arange(start: number, end: number = none, step: number = 1, dtype: dtype = none, "
     "device: str = none)",
     "start, start + step … below end; from 0 with one argument", arange_of},
    {"linspace(start: float, end: float, steps: int, dtype: dtype = none, device: str = none)",
     "evenly spaced, both ends included",
     [](const Value* a) -> Value {
       return linspace(a[0].real(), a[1].real(), a[2].integer(), options(a[3], a[4]));
     }},
    {"logspace(start: float, end: float, steps: int, base: float = 10.0, dtype: dtype = none, "
     "device: str = none)",
     "powers of the base, the exponents evenly spaced",
     [](const Value* a) -> Value {
       const TensorOptions wide{DType::f64, device(a[5])};
       const Tensor exponents = linspace(a[0].real(), a[1].real(), a[2].integer(), wide);
       return to(pow(Scalar(a[3].real()), exponents), options(a[4], a[5]));
     }},
    {"eye(n: int, m: int = none, dtype: dtype = none, device: str = none)", "ones on the diagonal",
     [](const Value* a) -> Value {
       return eye(a[0].integer(), a[1].is_none() ? -1 : a[1].integer(), options(a[2], a[3]));
     }},
    {"one_hot(tensor: Tensor, num_classes: int = -1)", "1 at the class, 0 elsewhere, i64",
     one_hot_of},
    {"rand(*size: any, dtype: dtype = none, device: str = none)", "uniform in [0, 1)",
     [](const Value* a) -> Value { return rand(shape(a[0]), options(a[1], a[2])); }},
    {"randn(*size: any, dtype: dtype = none, device: str = none)", "standard normal",
     [](const Value* a) -> Value { return randn(shape(a[0]), options(a[1], a[2])); }},
    {"randint(low: int, high: any = none, size: int[] = none, dtype: dtype = none, "
     "device: str = none)",
     "uniform integers in [low, high); low is 0 where it is left out", randint_of},
    {"randperm(n: int, dtype: dtype = none, device: str = none)", "a permutation of 0 … n - 1",
     [](const Value* a) -> Value {
       return to(randperm(a[0].integer()), {dtype(a[1]).value_or(DType::i64), device(a[2])});
     }},
    {"bernoulli(input: Tensor, p: float = none)", "1 with the probability given, else 0",
     [](const Value* a) -> Value {
       const Tensor x = tensor(a[0]);
       return bernoulli(a[1].is_none() ? x : full_like(x, Scalar(a[1].real())));
     }},
    {"clone(input: Tensor)", "a copy", call<clone>},
    {"contiguous(input: Tensor)", "row-major in memory, copied where it is not", call<contiguous>},
    {"detach(input: Tensor)", "the same data without history",
     [](const Value* a) -> Value { return tensor(a[0]).detach(); }},
    {"to(input: Tensor, *args: any, dtype: dtype = none, device: str = none)",
     "of another type or on another device", to_of},
    {"type(input: Tensor, dtype: dtype)", "of another type",
     [](const Value* a) -> Value { return to(tensor(a[0]), a[1].dtype()); }},
    {"type_as(input: Tensor, other: Tensor)", "of the other's type",
     [](const Value* a) -> Value { return to(tensor(a[0]), tensor(a[1]).dtype()); }},
    {"float(input: Tensor)", "as f32", cast<DType::f32>},
    {"double(input: Tensor)", "as f64", cast<DType::f64>},
    {"half(input: Tensor)", "as f16", cast<DType::f16>},
    {"bfloat16(input: Tensor)", "as bf16", cast<DType::bf16>},
    {"long(input: Tensor)", "as i64", cast<DType::i64>},
    {"int(input: Tensor)", "as i32", cast<DType::i32>},
    {"short(input: Tensor)", "as i16", cast<DType::i16>},
    {"char(input: Tensor)", "as i8", cast<DType::i8>},
    {"byte(input: Tensor)", "as u8", cast<DType::u8>},
    {"bool(input: Tensor)", "as bool", cast<DType::b8>},
    {"item(input: Tensor)", "the only element as a number", item_of},
    {"size(input: Tensor, dim: int = none)", "the extents, or that of one dimension", size_of},
    {"numel(input: Tensor)", "the number of elements",
     [](const Value* a) -> Value { return tensor(a[0]).numel(); }},
    {"dim(input: Tensor)", "the number of dimensions",
     [](const Value* a) -> Value { return tensor(a[0]).dim(); }},
    {"nelement(input: Tensor)", "the number of elements",
     [](const Value* a) -> Value { return tensor(a[0]).numel(); }},
    {"ndimension(input: Tensor)", "the number of dimensions",
     [](const Value* a) -> Value { return tensor(a[0]).dim(); }},
    {"is_floating_point(input: Tensor)", "true for f32, f64, bf16, f16",
     [](const Value* a) -> Value { return is_floating(tensor(a[0]).dtype()); }},
};
NNM_REGISTER_FUNCTIONS(kCreationFunctions);

}  // namespace
}  // namespace nnm
