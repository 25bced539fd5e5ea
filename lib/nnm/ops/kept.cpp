// Copies of weights that are kept with their storage.
#include "nnm/ops/kept.h"

#include <algorithm>
#include <mutex>
#include <vector>

namespace nnm::detail {

namespace {

constexpr int kMostOfOne = 3;

struct Copy {
  uint32_t version;
  int64_t offset;
  Shape sizes;
  KeptOrder order;
  Tensor bytes;

  bool is_of(const Tensor& w) const { return offset == w.impl()->offset && sizes == w.shape(); }
};

// What a storage keeps, the oldest first.
struct Copies final : Object {
  std::vector<Copy> all;
};

// Forward passes on several threads share their weights.
std::mutex mutex;

Tensor made(const Tensor& w, int64_t bytes, const std::function<void(const View&)>& fill) {
  Tensor copy = empty({bytes}, {DType::u8, w.device()});
  fill(copy);
  return copy;
}

}  // namespace

Tensor kept_weights(const Tensor& w, KeptOrder order, int64_t bytes,
                    const std::function<void(const View&)>& fill) {
  Storage& storage = *w.impl()->storage;
  if (!storage.is_owned()) return made(w, bytes, fill);
  const std::lock_guard lock(mutex);
  if (!storage.kept) storage.kept = make_ref<Copies>();
  auto& all = static_cast<Copies&>(*storage.kept).all;
  std::erase_if(all, [&](const Copy& c) { return c.version != storage.version; });
  for (const Copy& c : all) {
    if (c.is_of(w) && c.order == order) return c.bytes;
  }
  const auto is_of = [&](const Copy& c) { return c.is_of(w); };
  if (std::count_if(all.begin(), all.end(), is_of) >= kMostOfOne)
    all.erase(std::find_if(all.begin(), all.end(), is_of));
  all.push_back({storage.version, w.impl()->offset, w.shape(), order, made(w, bytes, fill)});
  return all.back().bytes;
}

void forget_weights(const Tensor& w) {
  const std::lock_guard lock(mutex);
  w.impl()->storage->kept = nullptr;
}

}  // namespace nnm::detail
