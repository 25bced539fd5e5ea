// Thread-local free lists, bounded, so that objects made on one thread and dropped on another do
// not pile up.
#include "nnm/base/pool.h"

#include <new>

namespace nnm {
namespace {

constexpr size_t kStep = 64, kClasses = 16;
constexpr int kMaxKept = 8192;

struct Slot {
  Slot* next;
};
struct FreeLists {
  Slot* head[kClasses];
  int count[kClasses];
  bool released_at_end;
};
// Without constructor and destructor, and at a distance from the thread's pointer that is known
// when the program starts: every step passes here a hundred times.
[[gnu::tls_model("initial-exec")]] constinit thread_local FreeLists lists = {};

// Static destructors may drop objects after it: the lists are full for them.
struct Release {
  ~Release() {
    for (size_t c = 0; c < kClasses; ++c) {
      while (Slot* s = lists.head[c]) {
        lists.head[c] = s->next;
        ::operator delete(s);
      }
      lists.count[c] = kMaxKept;
    }
  }
};

void release_at_end() {
  [[maybe_unused]] static thread_local const Release release;
  lists.released_at_end = true;
}

}  // namespace

void* pool_allocate(size_t bytes) {
  const size_t c = (bytes - 1) / kStep;
  if (c >= kClasses) return ::operator new(bytes);
  FreeLists& l = lists;
  if (Slot* s = l.head[c]) {
    l.head[c] = s->next;
    --l.count[c];
    return s;
  }
  return ::operator new((c + 1) * kStep);
}

void pool_free(void* p, size_t bytes) noexcept {
  const size_t c = (bytes - 1) / kStep;
  FreeLists& l = lists;
  if (c >= kClasses || l.count[c] >= kMaxKept) {
    ::operator delete(p);
    return;
  }
  if (!l.released_at_end) [[unlikely]]
    release_at_end();
  auto* s = static_cast<Slot*>(p);
  s->next = l.head[c];
  l.head[c] = s;
  ++l.count[c];
}

}  // namespace nnm
