// Memory of modules that processes share.
#include <sys/mman.h>

#include <cstring>
#include <unordered_map>

#include "nnm/nn/module.h"

namespace nnm {

namespace {

/// Pages that a fork does not copy on write.
class SharedPages final : public Object {
 public:
  explicit SharedPages(size_t bytes) : bytes_(bytes) {
    data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    NNM_CHECK(data_ != MAP_FAILED, device, "cannot share {} bytes: {}", bytes,
              std::strerror(errno));
  }
  ~SharedPages() override { munmap(data_, bytes_); }
  void* data() const { return data_; }

 private:
  void* data_;
  size_t bytes_;
};

// Tensors that lie in one memory go on to do so.
using Moved = std::unordered_map<const Storage*, Ref<Storage>>;

void share(const Tensor& t, Moved& moved) {
  if (!t.defined() || t.device().type != DeviceType::cpu) return;
  TensorImpl& impl = *t.impl();
  const Ref<Storage> from = impl.storage;
  if (from->bytes == 0) return;
  Ref<Storage>& to = moved[from.get()];
  if (!to) {
    const auto pages = make_ref<SharedPages>(from->bytes);
    std::memcpy(pages->data(), from->data, from->bytes);
    to = make_ref<Storage>(pages->data(), from->bytes, pages);
    to->version = from->version;
    moved.emplace(to.get(), to);  // met again through another name
  }
  impl.data = static_cast<char*>(to->data) + (impl.data - static_cast<char*>(from->data));
  impl.storage = to;
}

}  // namespace

Module& Module::share_memory() {
  Moved moved;
  for (Module* m : modules()) {
    for (const auto& slot : m->parameters_) {
      if (!slot->value.defined()) continue;
      share(slot->value, moved);
      share(slot->value.grad(), moved);
    }
    for (const auto& slot : m->buffers_) share(slot->value, moved);
  }
  return *this;
}

}  // namespace nnm
