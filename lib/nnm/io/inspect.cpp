// Looking into files.
#include "nnm/io/inspect.h"

#include <cmath>
#include <limits>

#include "nnm/io/stored.h"

namespace nnm::io {
namespace {

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
      for (const H5Node& c : node.children) {
        if (!c.group && options_.select && !options_.select(c.path.substr(1))) continue;
        d.children.push_back(visit(c));
        if (c.group && options_.select && d.children.back().children.empty()) d.children.pop_back();
      }
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
      if (node.element.kind == Element::Kind::number)
        d.stats = statistics(StoredTensor(file_, node));
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

Statistics statistics(const TensorStatistics& t) {
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

Statistics statistics(const Tensor& tensor) {
  TensorStatistics sums;
  kernels::statistics(tensor.view(), &sums, nullptr);
  return statistics(sums);
}

std::string format_of(const std::string& path) {
  const H5Reader file(path);
  const Value v = file.attribute(file.root(), "format");
  return v.is(Value::Kind::string) ? v.string() : "";
}

Description describe(const std::string& path, const DescribeOptions& options) {
  const H5Reader file(path);
  return Describer(file, options).visit(file.root());
}

}  // namespace nnm::io
