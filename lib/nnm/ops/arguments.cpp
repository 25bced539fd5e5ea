// Reading the arguments of functions that a config calls.
#include "nnm/ops/arguments.h"

#include <charconv>

namespace nnm::detail {

Dims integers(const Value& v) {
  if (!v.is_sequence()) return {v.integer()};
  if (v.items().size() == 1 && v.items()[0].is_sequence()) return integers(v.items()[0]);
  Dims out;
  for (const Value& item : v.items()) {
    NNM_CHECK(item.is(Value::Kind::integer), type, "expected integers, got {}", v.config_text());
    out.push_back(item.integer());
  }
  return out;
}

Device device(const Value& v) {
  if (v.is_none()) return default_device();
  const std::string& text = v.string();
  if (text == "cpu") return {};
  if (text == "meta") return {DeviceType::meta, 0};
  if (text == "cuda") return {DeviceType::cuda, 0};
  if (text.starts_with("cuda:")) {
    int8_t index = 0;
    const auto [end, error] = std::from_chars(text.data() + 5, text.data() + text.size(), index);
    if (error == std::errc() && end == text.data() + text.size()) {
      return {DeviceType::cuda, index};
    }
  }
  throw Error(ErrorKind::runtime, fmt::format("Invalid device string: '{}'", text),
              "write \"cpu\", \"cuda\" or \"meta\"");
}

Scalar number(const Value& v) { return is_tensor(v) ? tensor(v).item() : v.scalar(); }

Tensor operand(Scalar s, const Tensor& like) {
  return scalar_tensor(s, result_type(like, s), like.device());
}

Tensor filler(const Value& v, const Tensor& like, const char* op) {
  const Tensor value = tensor(v);
  NNM_CHECK(value.dim() == 0, runtime,
            "{} only supports a 0-dimensional value tensor, but got tensor with {} dimension(s).",
            op, value.dim());
  return to(value, like.dtype());
}

}  // namespace nnm::detail
