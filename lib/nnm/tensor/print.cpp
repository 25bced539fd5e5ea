// How tensors print: torch/_tensor_str.py's rules.
#include "nnm/tensor/print.h"

#include <algorithm>
#include <cmath>

#include "nnm/tensor/tensor.h"

namespace nnm {

namespace {

PrintOptions print_options;

PrintOptions of_profile(const std::string& profile) {
  if (profile == "default") return {};
  if (profile == "short") return {.precision = 2, .edgeitems = 2};
  if (profile == "full") return {.threshold = INFINITY};
  fail(ErrorKind::value, "profile must be 'default', 'short' or 'full', got {}",
       python_string(profile));
}

PrintOptions changed(PrintOptions now, const PrintChanges& changes) {
  if (changes.profile) now = of_profile(*changes.profile);
  now.precision = changes.precision.value_or(now.precision);
  now.threshold = changes.threshold.value_or(now.threshold);
  now.edgeitems = changes.edgeitems.value_or(now.edgeitems);
  now.linewidth = changes.linewidth.value_or(now.linewidth);
  now.sci_mode = changes.sci_mode;
  NNM_CHECK(now.precision >= 0 && now.edgeitems >= 0 && now.linewidth >= 0, value,
            "precision, edgeitems and linewidth must not be negative");
  return now;
}

/// The text of elements, set right in a column.
struct Column {
  std::vector<std::string> words;
  size_t width = 1;

  void pad() {
    for (std::string& w : words) w.insert(0, width - std::min(width, w.size()), ' ');
  }
};

/// Numbers: whole, with digits after the point, or scientific, as all of them need it.
Column real_column(const std::vector<double>& values) {
  double low = INFINITY, high = 0;
  bool whole = true;
  for (const double v : values) {
    if (!std::isfinite(v) || v == 0) continue;
    low = std::min(low, std::abs(v));
    high = std::max(high, std::abs(v));
    whole = whole && v == std::ceil(v);
  }
  const bool wide = high / low > 1000 || high > 1e8 || low < 1e-4;
  const bool scientific = high > 0 && print_options.sci_mode.value_or(wide);
  const auto word = [&](double v) {
    if (scientific) return fmt::format("{:.{}e}", v, print_options.precision);
    if (!whole) return fmt::format("{:.{}f}", v, print_options.precision);
    return fmt::format("{:.0f}{}", v, std::isfinite(v) ? "." : "");
  };
  // Zeros, infinities and NaNs do not widen the column, but where the numbers are whole they may
  // stick out of it.
  Column c;
  for (const double v : values) {
    c.words.push_back(word(v));
    if (std::isfinite(v) && v != 0) c.width = std::max(c.width, c.words.back().size());
  }
  c.pad();
  return c;
}

Column integer_column(const std::vector<int64_t>& values, bool boolean) {
  Column c;
  for (const int64_t v : values) {
    c.words.push_back(boolean ? (v ? "True" : "False") : std::to_string(v));
    c.width = std::max(c.width, c.words.back().size());
  }
  c.pad();
  return c;
}

/// The elements of a tensor as text, in brackets and lines.
class Elements {
 public:
  explicit Elements(const Tensor& x)
      : x_(x), summarize_(static_cast<double>(x.numel()) > print_options.threshold) {
    if (is_floating(x.dtype())) column_ = real_column(visible<double>());
    else column_ = integer_column(visible<int64_t>(), x.dtype() == DType::b8);
  }
  std::string text(int indent) {
    next_ = 0;
    return x_.dim() ? block(0, indent) : column_.words[0];
  }

 private:
  bool cut(int dim) const { return summarize_ && x_.shape()[dim] > 2 * print_options.edgeitems; }
  int64_t shown(int dim) const { return cut(dim) ? 2 * print_options.edgeitems : x_.shape()[dim]; }

  template <class T>
  std::vector<T> visible() const {
    std::vector<T> out;
    collect(0, x_.impl()->offset, out);
    return out;
  }
  template <class T>
  void collect(int dim, int64_t offset, std::vector<T>& out) const {
    if (dim == x_.dim() || (dim == x_.dim() - 1 && !cut(dim))) {
      const Shape size(std::span(x_.shape().begin() + dim, x_.shape().end()));
      const Shape strides(std::span(x_.strides().begin() + dim, x_.strides().end()));
      const std::vector<T> row = x_.as_strided(size, strides, offset).template to_vector<T>();
      out.insert(out.end(), row.begin(), row.end());
      return;
    }
    const int64_t n = x_.shape()[dim];
    for (int64_t i = 0; i < shown(dim); ++i) {
      const int64_t at = cut(dim) && i >= print_options.edgeitems ? n - shown(dim) + i : i;
      collect(dim + 1, offset + at * x_.strides()[dim], out);
    }
  }

  std::string block(int dim, int indent) {
    const bool last = dim == x_.dim() - 1;
    std::vector<std::string> parts;
    if (cut(dim) && print_options.edgeitems == 0) parts.emplace_back("...");
    for (int64_t i = 0; i < shown(dim); ++i) {
      if (cut(dim) && i == print_options.edgeitems) parts.emplace_back(last ? " ..." : "...");
      parts.push_back(last ? column_.words[next_++] : block(dim + 1, indent + 1));
    }
    const int64_t fit =
        (print_options.linewidth - indent) / static_cast<int64_t>(column_.width + 2);
    const size_t per_line = last ? static_cast<size_t>(std::max<int64_t>(1, fit)) : 1;
    const auto breaks = static_cast<size_t>(std::max(1, x_.dim() - 1 - dim));
    const std::string line_break =
        "," + std::string(breaks, '\n') + std::string(static_cast<size_t>(indent) + 1, ' ');
    std::string out = "[";
    for (size_t i = 0; i < parts.size(); ++i) {
      if (i) out += i % per_line ? ", " : line_break;
      out += parts[i];
    }
    return out + "]";
  }

  const Tensor& x_;
  bool summarize_;
  Column column_;
  size_t next_ = 0;
};

std::string size_suffix(const Tensor& x) {
  return "size=" + Value::tuple(Values(x.shape().begin(), x.shape().end())).repr();
}

/// What follows the elements: device, size where they do not show it, dtype where they do not tell
/// it, and how a gradient reaches the tensor.
std::vector<std::string> suffixes(const Tensor& x) {
  std::vector<std::string> out;
  if (x.device().type == DeviceType::cuda) {
    out.push_back(fmt::format("device='cuda:{}'", x.device().index));
  } else if (x.is_meta()) {
    out.push_back("device='meta'");
  }
  const bool hidden = x.is_meta() || x.numel() == 0;
  const bool sized = hidden ? x.is_meta() || x.dim() != 1 : print_options.edgeitems == 0;
  if (sized) out.push_back(size_suffix(x));
  const bool obvious =
      x.dtype() == DType::f32 || (!hidden && (x.dtype() == DType::i64 || x.dtype() == DType::b8));
  if (!obvious) out.push_back("dtype=" + Value(x.dtype()).repr());
  if (const char* name = x.grad_fn_name()) out.push_back(fmt::format("grad_fn=<{}>", name));
  else if (x.requires_grad()) out.push_back("requires_grad=True");
  return out;
}

}  // namespace

void set_printoptions(const PrintChanges& changes) {
  print_options = changed(print_options, changes);
}
PrintOptions get_printoptions() { return print_options; }

PrintOptionsGuard::PrintOptionsGuard(const PrintChanges& changes) : before_(print_options) {
  set_printoptions(changes);
}
PrintOptionsGuard::~PrintOptionsGuard() { print_options = before_; }

std::string Tensor::repr() const {
  if (!defined()) return "None";
  constexpr std::string_view kPrefix = "tensor(";
  constexpr size_t kIndent = kPrefix.size();
  std::string out(kPrefix);
  if (is_meta()) out += "...";
  else if (numel() == 0) out += "[]";
  else out += Elements(*this).text(kIndent);
  // PyTorch counts the last line as two columns wider than it is.
  const size_t line = out.rfind('\n') == out.npos ? 0 : out.rfind('\n') + 1;
  size_t column = out.size() - line + 2;
  for (const std::string& suffix : suffixes(*this)) {
    if (column + suffix.size() + 2 > static_cast<size_t>(print_options.linewidth)) {
      out += ",\n" + std::string(kIndent, ' ') + suffix;
      column = kIndent + suffix.size();
    } else {
      out += ", " + suffix;
      column += suffix.size() + 2;
    }
  }
  out += ")";
  return impl_->is_parameter ? "Parameter containing:\n" + out : out;
}

std::string str(const Tensors& tensors) {
  return Value::tuple(Values(tensors.begin(), tensors.end())).repr();
}

std::string TensorImpl::value_repr() const {
  return Tensor(Ref<TensorImpl>(const_cast<TensorImpl*>(this))).repr();
}

std::string TensorImpl::value_text() const {
  return fmt::format("Tensor({}{})", info(dtype).name, sizes.str());
}

}  // namespace nnm
