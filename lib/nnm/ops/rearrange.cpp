// rearrange: einops' notation for reshape, permute, reshape.
// Notation: Rogozhnikov, "Einops: Clear and Reliable Tensor Manipulations with Einstein-like
// Notation" (2022).
#include <algorithm>
#include <cctype>

#include "nnm/ops/detail.h"
#include "nnm/ops/function.h"

namespace nnm {

namespace {

using Sizes = std::vector<std::pair<std::string, int64_t>>;

[[noreturn]] void fail_in(const std::string& pattern, const std::string& what) {
  throw Error(ErrorKind::value, fmt::format("rearrange(\"{}\"): {}", pattern, what));
}

// One dimension of a side: its axes, of which parentheses may join any number.
struct Dim {
  std::vector<std::string> axes;
  bool joined = false;
};

struct Side {
  std::vector<Dim> dims;
  std::vector<std::string> axes() const {
    std::vector<std::string> all;
    for (const Dim& d : dims) all.insert(all.end(), d.axes.begin(), d.axes.end());
    return all;
  }
  bool has(const std::string& axis) const {
    const auto all = axes();
    return std::find(all.begin(), all.end(), axis) != all.end();
  }
};

bool is_name_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

Side parse_side(const std::string& pattern, std::string_view text) {
  Side side;
  bool inside = false;
  for (size_t i = 0; i < text.size();) {
    if (text[i] == ' ') {
      ++i;
      continue;
    }
    if (text[i] == '(') {
      if (inside) fail_in(pattern, "parentheses stand inside parentheses");
      inside = true;
      side.dims.push_back({{}, true});
      ++i;
      continue;
    }
    if (text[i] == ')') {
      if (!inside) fail_in(pattern, "a `)` has no `(`");
      inside = false;
      ++i;
      continue;
    }
    size_t end = i;
    if (text.substr(i, 3) == "...") {
      end = i + 3;
    } else {
      while (end < text.size() && is_name_char(text[end])) ++end;
    }
    if (end == i) fail_in(pattern, fmt::format("unexpected `{}`", text[i]));
    const std::string axis(text.substr(i, end - i));
    const bool number = std::isdigit(static_cast<unsigned char>(axis[0]));
    if (number && axis != "1")
      fail_in(pattern, fmt::format("a number other than 1 is no axis: `{}`", axis));
    if (!number && side.has(axis)) fail_in(pattern, fmt::format("`{}` stands twice", axis));
    if (!inside) side.dims.emplace_back();
    // Axes of extent 1 have no name and no place in memory.
    if (!number) side.dims.back().axes.push_back(axis);
    i = end;
  }
  if (inside) fail_in(pattern, "a `(` has no `)`");
  return side;
}

// Writes `...` as the axes that stand for it.
void expand_ellipsis(Side& side, int count) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back(fmt::format("...{}", i));
  for (size_t d = 0; d < side.dims.size(); ++d) {
    auto& axes = side.dims[d].axes;
    const auto at = std::find(axes.begin(), axes.end(), "...");
    if (at == axes.end()) continue;
    if (side.dims[d].joined) {
      axes.insert(axes.erase(at), names.begin(), names.end());
      return;
    }
    std::vector<Dim> dims;
    for (const std::string& name : names) dims.push_back({{name}, false});
    const auto place = side.dims.erase(side.dims.begin() + static_cast<std::ptrdiff_t>(d));
    side.dims.insert(place, dims.begin(), dims.end());
    return;
  }
}

const int64_t* find_size(const Sizes& sizes, const std::string& axis) {
  for (const auto& [name, n] : sizes)
    if (name == axis) return &n;
  return nullptr;
}

// Extents of all axes of the left side, one per dimension inferred where it is not given.
Sizes solve(const std::string& pattern, const Side& left, const Shape& shape, const Sizes& given) {
  Sizes solved;
  for (size_t d = 0; d < left.dims.size(); ++d) {
    const int64_t extent = shape[static_cast<int>(d)];
    int64_t known = 1;
    const std::string* open = nullptr;
    for (const std::string& axis : left.dims[d].axes) {
      const int64_t* n = find_size(given, axis);
      if (n) {
        if (*n < 1) fail_in(pattern, fmt::format("`{}` is {}, but must be positive", axis, *n));
        known *= *n;
        solved.emplace_back(axis, *n);
      } else if (open) {
        fail_in(pattern, fmt::format("the sizes of `{}` and `{}` cannot both be inferred from "
                                     "dimension {}; give one of them",
                                     *open, axis, d));
      } else {
        open = &axis;
      }
    }
    if (open ? extent % known != 0 : extent != known) {
      fail_in(pattern,
              open ? fmt::format("dimension {} of size {} is not divisible by {} in shape {}", d,
                                 extent, known, shape.str())
                   : fmt::format("dimension {} has size {}, but the pattern says {} in shape {}", d,
                                 extent, known, shape.str()));
    }
    if (open) solved.emplace_back(*open, extent / known);
  }
  return solved;
}

void check_sides(const std::string& pattern, const Side& left, const Side& right,
                 const Sizes& given) {
  for (const std::string& axis : left.axes())
    if (!right.has(axis)) fail_in(pattern, fmt::format("`{}` stands on the left side only", axis));
  for (const std::string& axis : right.axes())
    if (!left.has(axis)) fail_in(pattern, fmt::format("`{}` stands on the right side only", axis));
  for (const auto& [name, n] : given)
    if (!left.has(name))
      fail_in(pattern, fmt::format("a size is given for `{}`, which it lacks", name));
}

}  // namespace

Rearrangement rearrangement(const Shape& shape, const std::string& pattern, const Sizes& sizes) {
  const size_t arrow = pattern.find("->");
  if (arrow == std::string::npos || pattern.find("->", arrow + 2) != std::string::npos)
    fail_in(pattern, "expected one `->`");
  const std::string_view text(pattern);
  Side left = parse_side(pattern, text.substr(0, arrow)),
       right = parse_side(pattern, text.substr(arrow + 2));
  if (left.has("...") != right.has("...")) fail_in(pattern, "`...` must stand on both sides");
  for (const Dim& d : left.dims)
    if (d.joined && std::find(d.axes.begin(), d.axes.end(), "...") != d.axes.end())
      fail_in(pattern, "`...` cannot stand inside parentheses on the left side");
  const int rest = shape.size() - static_cast<int>(left.dims.size()) + (left.has("...") ? 1 : 0);
  if (rest < 0 || (rest > 0 && !left.has("..."))) {
    fail_in(pattern, fmt::format("the left side has {} dimensions, the tensor of shape {} has {}",
                                 left.dims.size(), shape.str(), shape.size()));
  }
  expand_ellipsis(left, rest);
  expand_ellipsis(right, rest);
  check_sides(pattern, left, right, sizes);
  const Sizes solved = solve(pattern, left, shape, sizes);

  const std::vector<std::string> from = left.axes(), to = right.axes();
  Rearrangement out;
  for (const std::string& axis : from) out.split.push_back(*find_size(solved, axis));
  for (const std::string& axis : to)
    out.order.push_back(std::find(from.begin(), from.end(), axis) - from.begin());
  for (const Dim& d : right.dims) {
    int64_t n = 1;
    for (const std::string& axis : d.axes) n *= *find_size(solved, axis);
    out.joined.push_back(n);
  }
  return out;
}

Tensor rearrange(const Tensor& x, const std::string& pattern, const Sizes& sizes) {
  detail::check_defined(x, "rearrange");
  const Rearrangement r = rearrangement(x.shape(), pattern, sizes);
  Tensor y = r.split == x.shape() ? x : reshape(x, r.split);
  if (!std::is_sorted(r.order.begin(), r.order.end())) y = permute(y, r.order);
  return y.shape() == r.joined ? y : reshape(y, r.joined);
}

namespace {

Value rearrange_call(const Value* a) {
  Sizes sizes;
  for (const auto& [name, n] : a[2].entries()) sizes.emplace_back(name, n.integer());
  return rearrange(Codec<Tensor>::read(a[0]), a[1].string(), sizes);
}

constexpr Function kRearrangeFunctions[] = {
    {"rearrange(input: Tensor, pattern: str, **sizes: int)",
     "reshape, permute, reshape in einops' notation: \"b t (h e) -> b h t e\"", rearrange_call},
};
NNM_REGISTER_FUNCTIONS(kRearrangeFunctions);

}  // namespace

}  // namespace nnm
