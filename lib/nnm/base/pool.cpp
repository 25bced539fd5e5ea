// Thread-local free lists, bounded, so that objects made on one thread and dropped on another do
// not pile up.
#include "nnm/base/pool.h"

#include <new>

namespace nnm {
namespace {

constexpr size_t kStep = 64, kClasses = 16;
constexpr int kMaxKept = 8192;

struct FreeLists {
  struct Slot {
    Slot* next;
  };
  Slot* head[kClasses] = {};
  int count[kClasses] = {};
  ~FreeLists();
};

thread_local FreeLists lists;
// Static destructors may drop objects after the thread's lists are gone.
thread_local bool lists_gone = false;

FreeLists::~FreeLists() {
  lists_gone = true;
  for (Slot* s : head) {
    while (s) {
      Slot* next = s->next;
      ::operator delete(s);
      s = next;
    }
  }
}

}  // namespace

void* pool_allocate(size_t bytes) {
  const size_t c = (bytes - 1) / kStep;
  if (c >= kClasses) return ::operator new(bytes);
  if (!lists_gone) {
    if (FreeLists::Slot* s = lists.head[c]) {
      lists.head[c] = s->next;
      --lists.count[c];
      return s;
    }
  }
  return ::operator new((c + 1) * kStep);
}

void pool_free(void* p, size_t bytes) noexcept {
  const size_t c = (bytes - 1) / kStep;
  if (c >= kClasses || lists_gone || lists.count[c] >= kMaxKept) {
    ::operator delete(p);
    return;
  }
  auto* s = static_cast<FreeLists::Slot*>(p);
  s->next = lists.head[c];
  lists.head[c] = s;
  ++lists.count[c];
}

}  // namespace nnm
