// Rules of broadcasting, of products and of concatenation; sizes of layers from what they print.
#include "nnm/lang/size_clash.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "nnm/nn/parametrize.h"

namespace nnm::lang {

namespace {

using Kind = Value::Kind;

/// Whether a message tells of this number.
bool names(std::string_view message, int64_t number) {
  const std::string text = std::to_string(number);
  const auto digit = [&](size_t i) {
    return i < message.size() && message[i] >= '0' && message[i] <= '9';
  };
  for (size_t at = message.find(text); at != message.npos; at = message.find(text, at + 1))
    if (!(at > 0 && digit(at - 1)) && !digit(at + text.size())) return true;
  return false;
}

bool one_of(std::string_view what, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), what) != names.end();
}

using Clash = std::optional<SizeClash>;

/// Finds what a message tells of.
class Search {
 public:
  explicit Search(std::string_view message) : message_(message) {}

  /// Sizes that must be equal; those of one element stretch, if asked.
  Clash equal(const Tensor& a, int i, const Tensor& b, int j, bool stretch) const {
    if (i < 0 || j < 0 || i >= a.dim() || j >= b.dim()) return {};
    const int64_t x = a.size(i), y = b.size(j);
    if (x == y || (stretch && (x == 1 || y == 1))) return {};
    if (!names(message_, x) || !names(message_, y)) return {};
    return SizeClash{a, b, i, j};
  }

  /// All but the last `except` sizes, counted from the right; the first that differ.
  Clash broadcast(const Tensor& a, const Tensor& b, int except = 0) const {
    for (int k = std::max(a.dim(), b.dim()); k > except; --k)
      if (Clash c = equal(a, a.dim() - k, b, b.dim() - k, true)) return c;
    return {};
  }

  Clash product(const Tensor& a, const Tensor& b) const {
    if (Clash c = equal(a, a.dim() - 1, b, std::max(b.dim() - 2, 0), false)) return c;
    return broadcast(a, b, 2);
  }

  /// All sizes but that of `dim`.
  Clash same(const Tensor& a, const Tensor& b, int64_t dim) const {
    if (dim < 0) dim += a.dim();
    for (int i = 0; i < a.dim(); ++i) {
      if (i == dim) continue;
      if (Clash c = equal(a, i, b, i, false)) return c;
    }
    return {};
  }

  /// A prediction (N, C, …) and its classes (N, …).
  Clash classes(const Tensor& a, const Tensor& b) const {
    if (Clash c = equal(a, 0, b, 0, false)) return c;
    for (int i = 1; i < b.dim(); ++i)
      if (Clash c = equal(a, b.dim() == a.dim() ? i : i + 1, b, i, false)) return c;
    return {};
  }

  /// Two operands of what `what` names; `dim` is that of a concatenation.
  Clash operands(std::string_view what, const Tensor& a, const Tensor& b, int64_t dim) const {
    if (one_of(what, {"cat", "concat", "concatenate", "hstack", "vstack", "dstack"}))
      return same(a, b, dim);
    if (what == "stack") return same(a, b, a.dim());
    if (one_of(what, {"@", "matmul", "mm", "bmm", "mv", "dot"})) return product(a, b);
    if (what == "linear") return equal(a, a.dim() - 1, b, b.dim() - 1, false);
    if (one_of(what, {"cross_entropy", "nll_loss"})) return classes(a, b);
    return broadcast(a, b);
  }

 private:
  std::string_view message_;
};

}  // namespace

std::optional<SizeClash> find_clash(std::string_view what, const Value* in, size_t n,
                                    std::string_view message) {
  std::vector<Tensor> tensors;
  const auto add = [&](const Value& v) {
    if (v.is(Kind::tensor)) tensors.push_back(v.as<Tensor>());
  };
  int64_t dim = 0;
  for (size_t i = 0; i < n; ++i) {
    if (in[i].is_sequence()) std::for_each(in[i].items().begin(), in[i].items().end(), add);
    else if (in[i].is(Kind::integer)) dim = in[i].integer();
    else add(in[i]);
  }
  const Search search(message);
  for (size_t i = 0; i + 1 < tensors.size(); ++i) {
    for (size_t j = i + 1; j < tensors.size(); ++j) {
      if (Clash c = search.operands(what, tensors[i], tensors[j], dim)) return c;
    }
  }
  return {};
}

namespace {

/// The argument as a layer prints it, by name or in its place among those without: which is
/// PyTorch's way, whatever class the layer is of. "" where it is not printed.
std::string_view printed(std::string_view text, int position, std::string_view argument) {
  for (int i = 0; !text.empty(); ++i) {
    // A tuple holds commas of its own.
    const size_t close = text.starts_with('(') ? text.find(')') : 0;
    const size_t comma = std::min(text.find(", ", close), text.size());
    const std::string_view part = text.substr(0, comma);
    const size_t equals = part.find('=');
    if (equals == part.npos && i == position) return part;
    if (equals != part.npos && part.substr(0, equals) == argument) return part.substr(equals + 1);
    text.remove_prefix(std::min(comma + 2, text.size()));
  }
  return {};
}

/// The number, or the last one of a tuple; -1 without.
int64_t last_number(std::string_view text) {
  const size_t end = text.find_last_of("0123456789");
  if (end == text.npos) return -1;
  const size_t begin = text.find_last_not_of("0123456789", end) + 1;
  int64_t n = -1;
  std::from_chars(text.data() + begin, text.data() + end + 1, n);
  return n;
}

/// Dimensions of an image behind the channels: the digit of Conv2d; -1 without one.
int spatial(const std::string& type) {
  const size_t digit = type.find_last_of("123");
  return digit == std::string::npos ? -1 : type[digit] - '0';
}

using nn::utils::parametrize::type_before_parametrizations;

const Signature* signature_of(const Module& layer) {
  const auto* entry = Registry<Module>::find(type_before_parametrizations(layer));
  return entry ? &entry->signature() : nullptr;
}

}  // namespace

std::optional<LayerSize> size_of_input(const Module& layer, int rank) {
  const Signature* s = signature_of(layer);
  if (!s) return std::nullopt;
  const int image = spatial(type_before_parametrizations(layer));
  const std::pair<const char*, int> kArguments[] = {
      {"in_features", rank - 1}, {"in_channels", rank - 1 - image}, {"num_features", 1},
      {"num_channels", 1},       {"input_size", rank - 1},          {"normalized_shape", rank - 1}};
  for (const auto& [argument, dim] : kArguments) {
    const int position = s->index_of(argument);
    if (position < 0 || dim < 0 || dim >= rank) continue;
    const int64_t size = last_number(printed(layer.extra_repr(), position, argument));
    if (size >= 0) return LayerSize{argument, dim, size};
  }
  return std::nullopt;
}

int dim_of_output(const Module& layer, int rank) {
  const Signature* s = signature_of(layer);
  if (!s) return -1;
  if (s->index_of("out_features") >= 0 || s->index_of("embedding_dim") >= 0) return rank - 1;
  const int image = spatial(type_before_parametrizations(layer));
  return s->index_of("out_channels") >= 0 && image > 0 ? rank - 1 - image : -1;
}

}  // namespace nnm::lang
