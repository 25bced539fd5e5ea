// Free lists for the small objects that every step makes and drops: tensor handles, tape nodes.
#pragma once

#include <cstddef>

namespace nnm {

/// Memory for a small object, from the calling thread's free list of its size class (64 B steps up
/// to 1 KiB, beyond that the C++ heap). Any thread may give it back.
void* pool_allocate(size_t bytes);
void pool_free(void* p, size_t bytes) noexcept;

/// Classes derived from it live in the pool. Needs a virtual destructor where deleted by a base.
struct Pooled {
  static void* operator new(size_t bytes) { return pool_allocate(bytes); }
  static void operator delete(void* p, size_t bytes) noexcept { pool_free(p, bytes); }
};

}  // namespace nnm
