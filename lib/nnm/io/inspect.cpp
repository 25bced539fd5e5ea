// Looking into files.
#include "nnm/io/inspect.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/statistics.h"

namespace nnm::io {
namespace {

constexpr int64_t kPieceBytes = int64_t{16} << 20;

Statistics named(const TensorStatistics& t) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  const bool any = t.finite > 0;
  return {.numel = t.numel,
          .nan = t.nan,
          .inf = t.inf,
          .zero = t.zero,
          .mean = any ? t.mean : kNone,
          .std = t.std(),
          .min = any ? t.min : kNone,
          .max = any ? t.max : kNone,
          .norm = std::sqrt(t.squares)};
}

// A dense run of numbers, as the kernels see it.
void add(TensorStatistics& sum, DType dtype, void* data, int64_t count) {
  View x;
  x.data = data;
  x.dtype = dtype;
  x.ndim = 1;
  x.size[0] = count;
  x.stride[0] = 1;
  TensorStatistics part;
  kernels::statistics(x, &part, nullptr);
  sum.merge(part);
}

Statistics dataset_statistics(const H5Reader& file, const H5Node& node) {
  TensorStatistics sum;
  const auto item = static_cast<int64_t>(item_size(node.element.dtype));
  if (node.shape.empty() || node.numel * item <= kPieceBytes) {
    std::vector<char> data(node.numel * item);
    file.read(node, data.data(), data.size());
    add(sum, node.element.dtype, data.data(), node.numel);
    return named(sum);
  }
  const int64_t per_row = node.numel / node.shape[0];
  const int64_t rows = std::max<int64_t>(1, kPieceBytes / (per_row * item));
  std::vector<char> data(rows * per_row * item);
  for (int64_t at = 0; at < node.shape[0]; at += rows) {
    const int64_t count = std::min(rows, node.shape[0] - at);
    file.read_rows(node, at, count, data.data(), count * per_row * item);
    add(sum, node.element.dtype, data.data(), count * per_row);
  }
  return named(sum);
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
  TensorStatistics sum;
  kernels::statistics(tensor.view(), &sum, nullptr);
  return named(sum);
}

Description describe(const std::string& path, const DescribeOptions& options) {
  const H5Reader file(path);
  return Describer(file, options).visit(file.root());
}

}  // namespace nnm::io
