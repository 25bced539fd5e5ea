// Looking into files.
#include "nnm/io/inspect.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/half.h"
#include "nnm/io/row_major.h"

namespace nnm::io {
namespace {

constexpr int64_t kPieceBytes = int64_t{16} << 20;

double as_double(double x) { return x; }
double as_double(float x) { return x; }
double as_double(BFloat16 x) { return static_cast<float>(x); }
double as_double(Half x) { return static_cast<float>(x); }
template <class T>
requires std::is_integral_v<T>
double as_double(T x) { return static_cast<double>(x); }

// Adds up pieces: the second moment about the mean is merged (Chan, Golub, LeVeque), since a sum of
// squares loses it where the mean is large.
class Accumulator {
 public:
  template <class T>
  void add(const T* data, int64_t count) {
    double sum = 0;
    int64_t finite = 0;
    for (int64_t i = 0; i < count; ++i) {
      const double x = as_double(data[i]);
      out_.nan += std::isnan(x);
      out_.inf += std::isinf(x);
      out_.zero += x == 0;
      if (!std::isfinite(x)) continue;
      sum += x;
      squares_ += x * x;
      low_ = std::min(low_, x);
      high_ = std::max(high_, x);
      ++finite;
    }
    out_.numel += count;
    if (finite == 0) return;
    const double mean = sum / static_cast<double>(finite);
    double second = 0;
    for (int64_t i = 0; i < count; ++i) {
      const double x = as_double(data[i]);
      if (std::isfinite(x)) second += (x - mean) * (x - mean);
    }
    const double both = static_cast<double>(finite_ + finite), delta = mean - mean_;
    second_ +=
        second + delta * delta * static_cast<double>(finite_) * static_cast<double>(finite) / both;
    mean_ += delta * static_cast<double>(finite) / both;
    finite_ += finite;
  }

  void add(DType dtype, const void* data, int64_t count) {
    switch (dtype) {
      case DType::f32: return add(static_cast<const float*>(data), count);
      case DType::f64: return add(static_cast<const double*>(data), count);
      case DType::bf16: return add(static_cast<const BFloat16*>(data), count);
      case DType::f16: return add(static_cast<const Half*>(data), count);
      case DType::i64: return add(static_cast<const int64_t*>(data), count);
      case DType::i32: return add(static_cast<const int32_t*>(data), count);
      case DType::u8:
      case DType::b8: return add(static_cast<const uint8_t*>(data), count);
    }
  }

  Statistics result() const {
    constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
    Statistics s = out_;
    const bool any = finite_ > 0;
    s.mean = any ? mean_ : kNone;
    s.std = finite_ > 1 ? std::sqrt(second_ / static_cast<double>(finite_ - 1)) : kNone;
    s.min = any ? low_ : kNone;
    s.max = any ? high_ : kNone;
    s.norm = std::sqrt(squares_);
    return s;
  }

 private:
  Statistics out_;
  int64_t finite_ = 0;
  double mean_ = 0, second_ = 0, squares_ = 0;
  double low_ = std::numeric_limits<double>::infinity(), high_ = -low_;
};

Statistics dataset_statistics(const H5Reader& file, const H5Node& node) {
  Accumulator sum;
  const auto item = static_cast<int64_t>(item_size(node.element.dtype));
  if (node.shape.empty() || node.numel * item <= kPieceBytes) {
    std::vector<char> data(node.numel * item);
    file.read(node, data.data(), data.size());
    sum.add(node.element.dtype, data.data(), node.numel);
    return sum.result();
  }
  const int64_t per_row = node.numel / node.shape[0];
  const int64_t rows = std::max<int64_t>(1, kPieceBytes / (per_row * item));
  std::vector<char> data(rows * per_row * item);
  for (int64_t at = 0; at < node.shape[0]; at += rows) {
    const int64_t count = std::min(rows, node.shape[0] - at);
    file.read_rows(node, at, count, data.data(), count * per_row * item);
    sum.add(node.element.dtype, data.data(), count * per_row);
  }
  return sum.result();
}

class Describer {
 public:
  Describer(const H5Reader& file, const DescribeOptions& options)
      : file_(file), options_(options) {}

  Description visit(const H5Node& node) const {
    Description d{.name = node.name, .path = node.path, .group = node.group};
    for (const std::string& name : file_.attributes(node)) {
      try {
        d.attributes.emplace_back(name, file_.attribute(node, name).repr());
      } catch (const Error&) {
        d.attributes.emplace_back(name, "(of a type that is not read)");
      }
    }
    if (node.group) {
      for (const H5Node& c : node.children) d.children.push_back(visit(c));
      return d;
    }
    d.dtype = node.element.name;
    d.shape = node.shape;
    if (options_.statistics) try_data(node, d);
    return d;
  }

 private:
  void try_data(const H5Node& node, Description& d) const {
    try {
      if (node.element.kind == Element::Kind::number) d.stats = dataset_statistics(file_, node);
      if (node.element.kind == Element::Kind::text && node.shape.empty()) {
        d.text = file_.text(node).substr(0, options_.text_bytes);
      }
    } catch (const Error& e) {
      d.problem = e.what();
    }
  }

  const H5Reader& file_;
  const DescribeOptions& options_;
};

}  // namespace

Statistics statistics(const Tensor& tensor) {
  const Tensor dense = row_major(tensor);
  Accumulator sum;
  sum.add(dense.dtype(), dense.data(), dense.numel());
  return sum.result();
}

Description describe(const std::string& path, const DescribeOptions& options) {
  const H5Reader file(path);
  return Describer(file, options).visit(file.root());
}

}  // namespace nnm::io
