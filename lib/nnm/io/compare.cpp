// Comparing checkpoints and plain files, tensor by tensor.
#include "nnm/io/compare.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "nnm/base/text_table.h"
#include "nnm/io/checkpoint.h"

namespace nnm::io {
namespace {

std::vector<int64_t> place_of(int64_t at, const std::vector<int64_t>& shape) {
  std::vector<int64_t> place(shape.size(), 0);
  for (size_t d = shape.size(); d-- > 0 && at > 0; at /= shape[d]) place[d] = at % shape[d];
  return place;
}

double cosine_of(const TensorDifference& d) {
  if (d.changed == 0 || (d.squares_a == 0 && d.squares_b == 0)) return 1;
  if (d.squares_a == 0 || d.squares_b == 0) return 0;
  const double c = d.dot / (std::sqrt(d.squares_a) * std::sqrt(d.squares_b));
  return std::isnan(c) ? c : std::clamp(c, -1.0, 1.0);
}

ComparedTensor only_in(const char* side, const std::string& name) {
  return {.name = name, .equal = false, .note = std::string("only in ") + side};
}

/// A dataset under its name.
struct Named {
  std::string name;
  const H5Node* node;
};

/// One of two files: its datasets, and what they are checked against.
struct Side {
  H5Reader file;
  std::optional<Manifest> manifest;
  std::vector<Named> entries;

  void collect(const H5Node& node, const std::function<bool(const std::string&)>& select) {
    const std::string name = node.path.substr(1);
    if (!node.group && (!select || select(name))) entries.push_back({name, &node});
    for (const H5Node& c : node.children) collect(c, select);
  }
};

/// Rows of two sides, each pair of objects compared once whatever its names.
class Rows {
 public:
  Rows(const Side& a, const Side& b, const Tolerance& tolerance)
      : a_(a), b_(b), tolerance_(tolerance) {}

  std::vector<ComparedTensor> all() {
    std::map<std::string_view, const H5Node*> left, right;
    for (const Named& e : a_.entries) left.emplace(e.name, e.node);
    for (const Named& e : b_.entries) right.emplace(e.name, e.node);
    std::vector<ComparedTensor> rows;
    for (const Named& e : a_.entries) {
      const auto it = right.find(e.name);
      rows.push_back(it == right.end() ? only_in("A", e.name) : pair(e.name, *e.node, *it->second));
    }
    for (const Named& e : b_.entries)
      if (!left.contains(e.name)) rows.push_back(only_in("B", e.name));
    return rows;
  }

 private:
  ComparedTensor pair(const std::string& name, const H5Node& a, const H5Node& b) {
    const auto [it, fresh] = known_.try_emplace({a.address, b.address});
    if (fresh) it->second = compare_nodes(name, a, b);
    ComparedTensor row = it->second;
    row.name = name;
    return row;
  }

  ComparedTensor compare_nodes(const std::string& name, const H5Node& a, const H5Node& b) const {
    using Kind = Element::Kind;
    if (a.element.kind == Kind::number && b.element.kind == Kind::number)
      return compare(name, {a_.file, a, a_.manifest ? &*a_.manifest : nullptr},
                     {b_.file, b, b_.manifest ? &*b_.manifest : nullptr}, tolerance_);
    if (a.element.kind == Kind::text && b.element.kind == Kind::text) return texts(name, a, b);
    if (a.element.name == b.element.name)
      return {.name = name, .note = a.element.name + ": not compared"};
    return {.name = name,
            .equal = false,
            .note = fmt::format("dtype {} and {}", a.element.name, b.element.name)};
  }

  ComparedTensor texts(const std::string& name, const H5Node& a, const H5Node& b) const {
    const std::vector<std::string> x = a_.file.texts(a), y = b_.file.texts(b);
    if (a.shape != b.shape)
      return {.name = name,
              .equal = false,
              .note = fmt::format("shape {} and {}", shape_cell(a.shape), shape_cell(b.shape))};
    int64_t changed = 0;
    for (size_t i = 0; i < x.size(); ++i) changed += x[i] != y[i];
    if (changed == 0) return {.name = name, .note = "text"};
    return {.name = name,
            .equal = false,
            .note = fmt::format("text: {} of {} differ", changed, x.size())};
  }

  const Side &a_, &b_;
  const Tolerance& tolerance_;
  std::map<std::pair<uint64_t, uint64_t>, ComparedTensor> known_;
};

Side open_checkpoint(const std::string& path, const CompareOptions& options) {
  LoadOptions header;
  header.state_dict = header.training = false;
  load_checkpoint(path, header);
  // It has been looked into, and need not be again.
  Side side{.file = H5Reader(path, {.probe = false})};
  side.manifest.emplace(side.file);
  for (const H5Node& node : side.file.at("/state_dict").children)
    if (!options.select || options.select(node.name)) side.entries.push_back({node.name, &node});
  if (!options.all) return side;
  for (const char* group : {"/optimizer/state", "/ema"})
    if (const H5Node* node = side.file.find(group)) side.collect(*node, options.select);
  return side;
}

}  // namespace

Difference conclude(const TensorDifference& sums, const std::vector<int64_t>& shape) {
  Difference d{.numel = sums.numel, .max_abs = sums.max_abs, .cosine = cosine_of(sums)};
  d.squares_a = sums.squares_a;
  d.squares = sums.squares;
  if (sums.squares != 0) d.rel_l2 = std::sqrt(sums.squares) / std::sqrt(sums.squares_a);
  const bool counted = sums.nan == 0 && sums.max_ulp != TensorDifference::kNoUlp;
  d.ulp = counted ? std::optional(sums.max_ulp) : std::nullopt;
  if (sums.numel > 0) {
    d.changed = static_cast<double>(sums.changed) / static_cast<double>(sums.numel);
    d.beyond = static_cast<double>(sums.beyond) / static_cast<double>(sums.numel);
  }
  d.worst = place_of(sums.worst, shape);
  return d;
}

ComparedTensor compare(const std::string& name, const StoredTensor& a, const StoredTensor& b,
                       const Tolerance& tolerance) {
  ComparedTensor row{.name = name};
  const std::string &x = a.node().element.name, &y = b.node().element.name;
  if (x != y) row.note = fmt::format("dtype {} and {}", x, y);
  if (a.shape() != b.shape()) {
    row.note += fmt::format("{}shape {} and {}", row.note.empty() ? "" : ", ",
                            shape_cell(a.shape()), shape_cell(b.shape()));
    row.equal = false;
    return row;
  }
  const TensorDifference sums = difference(a, b, tolerance);
  row.equal = sums.beyond == 0 && (x == y || !tolerance.exact);
  row.by = conclude(sums, a.shape());
  return row;
}

std::vector<ComparedTensor> compare_checkpoints(const std::string& a, const std::string& b,
                                                const CompareOptions& options) {
  const Side left = open_checkpoint(a, options), right = open_checkpoint(b, options);
  return Rows(left, right, options.tolerance).all();
}

std::vector<ComparedTensor> compare_files(const std::string& a, const std::string& b,
                                          const CompareOptions& options) {
  Side left{.file = H5Reader(a)}, right{.file = H5Reader(b)};
  left.collect(left.file.root(), options.select);
  right.collect(right.file.root(), options.select);
  return Rows(left, right, options.tolerance).all();
}

}  // namespace nnm::io
