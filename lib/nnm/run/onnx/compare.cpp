// Two looks at one forward: what must be the same, and what follows from the size of the batch.
#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include "nnm/base/error.h"
#include "nnm/run/onnx/builder.h"

namespace nnm::run::onnx {
namespace {

constexpr const char* kHint =
    "an ONNX graph is what the forward does for one input: it cannot follow numbers that are taken "
    "out of tensors";

bool same_bits(const Tensor& a, const Tensor& b) {
  const size_t bytes = static_cast<size_t>(a.numel()) * item_size(a.dtype());
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         (bytes == 0 || std::memcmp(a.data(), b.data(), bytes) == 0);
}

/// Whether two nodes are the same but for what they take.
bool alike(const io::OnnxNode& a, const io::OnnxNode& b) {
  return a.op == b.op && a.outputs == b.outputs && a.attributes == b.attributes &&
         a.inputs.size() == b.inputs.size();
}

/// The one size that grows with the batch; none where it is otherwise.
std::optional<FreeSize> free_size(const Tensor& a, const Tensor& b, int64_t batch, int64_t larger) {
  if (a.dtype() != DType::i64 || a.dim() != 1 || a.shape() != b.shape()) return {};
  const Ints x = a.to_vector<int64_t>(), y = b.to_vector<int64_t>();
  std::optional<FreeSize> out;
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i] == y[i]) continue;
    const int64_t factor = x[i] / batch;
    if (out || factor <= 0 || x[i] != factor * batch || y[i] != factor * larger) return {};
    out = FreeSize{0, 0, x, i, factor};
  }
  return out;
}

}  // namespace

const Tensor* Builder::known(const std::string& name) const {
  const auto at = std::find_if(graph.initializers.begin(), graph.initializers.end(),
                               [&](const auto& t) { return t.first == name; });
  return at == graph.initializers.end() ? nullptr : &at->second;
}

bool Builder::same_input(const Builder& other, size_t node, size_t k) const {
  const std::string &a = graph.nodes[node].inputs[k], &b = other.graph.nodes[node].inputs[k];
  const Tensor *one = known(a), *two = other.known(b);
  return one && two ? same_bits(*one, *two) : a == b;
}

void Builder::compare(const Builder& other) const {
  const auto& a = graph.nodes;
  const auto& b = other.graph.nodes;
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    if (i >= a.size() || i >= b.size() || !alike(a[i], b[i]))
      throw Error(ErrorKind::runtime,
                  fmt::format("forward does something else at `{}` with other inputs",
                              (i < a.size() ? a[i] : b[i]).name),
                  kHint);
    for (size_t k = 0; k < a[i].inputs.size(); ++k)
      if (!same_input(other, i, k))
        throw Error(
            ErrorKind::runtime,
            fmt::format("what `{}` takes changes with the inputs, but not by operators", a[i].name),
            kHint);
  }
}

// A reshape finds out one size by itself; the other lists are put together around the batch.
void Builder::compute_sizes(std::vector<FreeSize> sizes) {
  std::vector<io::OnnxNode> before = std::move(graph.nodes);
  graph.nodes.clear();
  std::string batch;
  const auto size_of_batch = [&](int64_t factor) {
    begin("batch");
    if (batch.empty())
      batch = emit("Shape", {graph.inputs[0].name}, {{"start", int64_t{0}}, {"end", int64_t{1}}});
    return factor == 1 ? batch : emit("Mul", {batch, ints({factor})});
  };
  auto next = sizes.begin();
  for (size_t i = 0; i < before.size(); ++i) {
    for (; next != sizes.end() && next->node == i; ++next) {
      std::string& input = before[i].inputs[next->input];
      const Ints& s = next->sizes;
      const auto place = static_cast<std::ptrdiff_t>(next->place);
      if (before[i].op == "Reshape" && std::find(s.begin(), s.end(), -1) == s.end()) {
        next->sizes[next->place] = -1;
        input = ints(s);
        continue;
      }
      Strings parts;
      if (place > 0) parts.push_back(ints({s.begin(), s.begin() + place}));
      parts.push_back(size_of_batch(next->factor));
      if (next->place + 1 < s.size()) parts.push_back(ints({s.begin() + place + 1, s.end()}));
      input = parts.size() == 1 ? parts[0] : emit("Concat", parts, {{"axis", int64_t{0}}});
    }
    graph.nodes.push_back(std::move(before[i]));
  }
  drop_unused();
}

void Builder::drop_unused() {
  std::set<std::string> used;
  for (const io::OnnxNode& n : graph.nodes) used.insert(n.inputs.begin(), n.inputs.end());
  std::erase_if(graph.initializers, [&](const auto& t) { return !used.contains(t.first); });
}

bool Builder::free_batch(const Builder& larger, const std::string& name) {
  const auto& a = graph.nodes;
  const auto& b = larger.graph.nodes;
  if (a.size() != b.size() || graph.inputs.empty()) return false;
  const int64_t batch = graph.inputs[0].shape[0], more = larger.graph.inputs[0].shape[0];
  std::vector<FreeSize> sizes;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!alike(a[i], b[i])) return false;
    for (size_t k = 0; k < a[i].inputs.size(); ++k) {
      if (same_input(larger, i, k)) continue;
      const Tensor *one = known(a[i].inputs[k]), *two = larger.known(b[i].inputs[k]);
      std::optional<FreeSize> size = one && two ? free_size(*one, *two, batch, more) : std::nullopt;
      if (!size) return false;
      size->node = i;
      size->input = k;
      sizes.push_back(std::move(*size));
    }
  }
  compute_sizes(std::move(sizes));
  for (const auto values : {&io::OnnxGraph::inputs, &io::OnnxGraph::outputs}) {
    for (size_t i = 0; i < (graph.*values).size(); ++i) {
      io::OnnxValue& v = (graph.*values)[i];
      const Shape& grown = (larger.graph.*values)[i].shape;
      for (int d = 0; d < v.shape.size(); ++d)
        v.free.push_back(v.shape[d] == grown[d] ? ""
                         : v.shape[d] == batch  ? name
                                                : fmt::format("{}*{}", v.shape[d] / batch, name));
    }
  }
  return true;
}

}  // namespace nnm::run::onnx
