// Synthetic data: normal floats and uniform integers, for tests and benchmarks.
#include "nnm/base/literal.h"
#include "nnm/data/convert.h"
#include "nnm/data/dataset.h"
#include "nnm/data/transform.h"
#include "nnm/tensor/generator.h"

namespace nnm::data {
namespace {

RandomSpec scan_random(const std::string& text) {
  Scanner s(text);
  RandomSpec spec;
  const Value dtype = find_dtype(s.name());
  if (dtype.is_none()) s.fail("expected an element type such as f32 or i64");
  spec.dtype = dtype.dtype();
  s.expect("[");
  double numel = 1;
  do {
    const Value n = s.literal();
    if (!n.is(Value::Kind::integer) || n.integer() < 0) s.fail("expected a size");
    if (spec.shape.size() == kMaxDims) s.fail("too many dimensions");
    spec.shape.push_back(n.integer());
    numel *= n.real();
  } while (s.accept(","));
  s.expect("]");
  if (numel > 1e11) s.fail("too many numbers");
  if (is_floating(spec.dtype)) {
    if (!s.at_end()) s.fail("expected the end: floats are normal and have no bound");
    return spec;
  }
  if (s.accept("<")) {
    const Value bound = s.literal();
    if (!bound.is(Value::Kind::integer) || bound.integer() < 1) s.fail("expected a bound");
    spec.bound = bound.integer();
  } else if (spec.dtype != DType::b8) {
    s.fail("expected `<` and a bound: integers are uniform below it");
  }
  if (!s.at_end()) s.fail("expected the end");
  const int64_t most = spec.dtype == DType::u8    ? 256
                       : spec.dtype == DType::i8  ? 128
                       : spec.dtype == DType::b8  ? 2
                       : spec.dtype == DType::i16 ? 1 << 15
                       : spec.dtype == DType::i32 ? int64_t{1} << 31
                                                  : int64_t{1} << 53;
  if (spec.bound > most)
    s.fail(fmt::format("the bound of {} is at most {}", info(spec.dtype).name, most));
  return spec;
}

}  // namespace

RandomSpec parse_random(const std::string& field, const std::string& text) {
  try {
    return scan_random(text);
  } catch (const Error& e) {
    throw Error(ErrorKind::config, fmt::format("random field `{}`: {}", field, e.what()),
                "write it as \"f32[1000, 20]\" or \"i64[1000] < 3\"");
  }
}

Tensor make_random(const std::string& field, const RandomSpec& spec, uint64_t seed) {
  Tensor out = empty(spec.shape, {spec.dtype});
  Draws draws(Generator::for_name(seed, "random/" + field).seed, 0, 0);
  auto* p = out.data<char>();
  const auto item = static_cast<int64_t>(item_size(spec.dtype));
  for (int64_t i = 0; i < out.numel(); ++i) {
    if (is_floating(spec.dtype)) {
      store_number(spec.dtype, p + i * item, draws.normal());
    } else {
      store_number(spec.dtype, p + i * item, static_cast<double>(draws.below(spec.bound)));
    }
  }
  return out;
}

}  // namespace nnm::data
