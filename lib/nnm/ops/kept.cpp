// Copies of weights that are kept with their storage.
#include "nnm/ops/kept.h"

#include <algorithm>
#include <mutex>

#include "nnm/autograd/node.h"
#include "nnm/ops/ops.h"

namespace nnm::detail {

namespace {

constexpr int kMostOfOne = 3;

struct Copy {
  uint32_t version;
  int64_t offset;
  Shape sizes;
  KeptOrder order;
  std::vector<float> scale;
  Tensor bytes;
  bool met = false;  ///< asked for before

  bool is_of(const Tensor& w) const { return offset == w.impl()->offset && sizes == w.shape(); }
};

// What a storage keeps, the oldest first.
struct Copies final : Object {
  std::vector<Copy> all;
};

// Forward passes on several threads share their weights.
std::mutex mutex;

using Fill = std::function<void(const View&, const Tensor&)>;

Tensor scaled(const Tensor& w, const std::vector<float>& scale) {
  if (scale.empty()) return w;
  const NoGradGuard no_grad;
  Shape along{static_cast<int64_t>(scale.size())};
  while (along.size() < w.dim()) along.push_back(1);
  return mul(w, tensor_of(std::span(scale), along, {}));
}

Tensor made(const Tensor& w, const std::vector<float>& scale, int64_t bytes, const Fill& fill) {
  Tensor copy = empty({bytes}, {DType::u8, w.device()});
  fill(copy, scaled(w, scale));
  return copy;
}

// The copy that w's storage keeps; a new one has no bytes yet. The lock is held.
Copy& find_or_add(const Tensor& w, const std::vector<float>& scale, KeptOrder order) {
  Storage& storage = *w.impl()->storage;
  if (!storage.kept) storage.kept = make_ref<Copies>();
  auto& all = static_cast<Copies&>(*storage.kept).all;
  std::erase_if(all, [&](const Copy& c) { return c.version != storage.version; });
  const auto is_of = [&](const Copy& c) { return c.is_of(w); };
  for (Copy& c : all) {
    if (is_of(c) && c.order == order && c.scale == scale) return c;
  }
  if (std::count_if(all.begin(), all.end(), is_of) >= kMostOfOne)
    all.erase(std::find_if(all.begin(), all.end(), is_of));
  all.push_back({storage.version, w.impl()->offset, w.shape(), order, scale, {}});
  return all.back();
}

}  // namespace

Tensor kept_weights(const Tensor& w, const std::vector<float>& scale, KeptOrder order,
                    int64_t bytes, const Fill& fill) {
  if (!w.impl()->storage->is_owned()) return made(w, scale, bytes, fill);
  const std::lock_guard lock(mutex);
  Copy& c = find_or_add(w, scale, order);
  if (!c.bytes.defined()) c.bytes = made(w, scale, bytes, fill);
  return c.bytes;
}

Tensor kept_weights_later(const Tensor& w, KeptOrder order, int64_t bytes, const Fill& fill) {
  if (!w.impl()->storage->is_owned()) return {};
  const std::lock_guard lock(mutex);
  Copy& c = find_or_add(w, {}, order);
  if (c.met && !c.bytes.defined()) c.bytes = made(w, {}, bytes, fill);
  c.met = true;
  return c.bytes;
}

void forget_weights(const Tensor& w) {
  const std::lock_guard lock(mutex);
  w.impl()->storage->kept = nullptr;
}

}  // namespace nnm::detail
