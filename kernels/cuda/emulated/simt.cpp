// The scheduler of the emulation: fibers, barriers, warp exchanges.
#include "kernels/cuda/simt.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

// Saves the registers that a call keeps on the running stack, leaves its pointer in *save and goes
// on with the stack `to`: ten times as fast as swapcontext, which also saves the signal mask.
extern "C" void nnm_simt_switch(void** save, void* to);
#if defined(__x86_64__)
asm(R"(
.text
.type nnm_simt_switch, @function
.hidden nnm_simt_switch
.globl nnm_simt_switch
nnm_simt_switch:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
.size nnm_simt_switch, . - nnm_simt_switch
)");
#else
#error "the emulation switches stacks on x86-64 only"
#endif

namespace nnm::simt {
namespace {

constexpr int kMostThreads = 1024;
constexpr size_t kStack = 256 * 1024, kGuard = 4096;

enum class State : uint8_t { fresh, ready, at_barrier, at_exchange, done };

struct Fiber {
  void* stack_pointer = nullptr;
  char* stack = nullptr;
};

struct Copy {
  void* to;
  const void* from;
  int bytes, there;
};

struct Thread {
  State state = State::fresh;
  Fiber* fiber = nullptr;
  const char* file = nullptr;
  int line = 0;
  // Its part in a warp exchange.
  uint32_t mask = 0;
  int source = 0;
  uint64_t value = 0, result = 0;
  std::vector<Copy> copies;  ///< under way
};

struct Machine {
  std::mutex launching;
  std::map<std::string, int64_t> names;  ///< of the kernels launched, and how often
  Order order = Order::forward;
  uint64_t seed = 0;
  bool order_set = false;        ///< by the program, whatever the environment says
  std::string wish = "forward";  ///< what the environment said last

  // The launch.
  const char* name = "";
  void (*body)(void*) = nullptr;
  void* args = nullptr;
  std::vector<uint3> index;
  std::vector<char> shared;

  // The block.
  std::array<Thread, kMostThreads> threads;
  std::vector<int> sequence;  ///< the threads in the order they run
  size_t at = 0;              ///< which of it runs
  int count = 0, unfinished = 0, current = 0;

  // Stacks.
  std::vector<Fiber*> free;
  void* scheduler = nullptr;
  void* fake_stack = nullptr;
  const void* scheduler_bottom = nullptr;
  size_t scheduler_size = 0;
};

Machine& machine() {
  static Machine* m = new Machine;  // outlives whatever still launches at exit
  return *m;
}

}  // namespace

void die(const char* what) {
  const Machine& m = machine();
  std::fprintf(stderr, "simt: %s: block (%u, %u, %u): %s\n", m.name, blockIdx.x, blockIdx.y,
               blockIdx.z, what);
  for (int t = 0; t < m.count && t < 8; ++t) {
    const Thread& s = m.threads[static_cast<size_t>(t)];
    if (s.state == State::at_barrier || s.state == State::at_exchange)
      std::fprintf(stderr, "simt: thread %d waits at %s:%d, mask %08x\n", t, s.file, s.line,
                   s.mask);
    else std::fprintf(stderr, "simt: thread %d %s\n", t, s.state == State::done ? "ended" : "runs");
  }
  std::abort();
}

namespace {

uint64_t next_random(uint64_t& state) {
  uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

template <class T>
void shuffle(std::vector<T>& all) {
  for (size_t i = all.size(); i > 1; --i)
    std::swap(all[i - 1], all[next_random(machine().seed) % i]);
}

/// A new order of the threads, those of a warp beside one another.
void arrange() {
  Machine& m = machine();
  if (m.order != Order::shuffled) return;
  std::vector<std::vector<int>> warps(static_cast<size_t>(m.count + 31) / 32);
  for (int t = 0; t < m.count; ++t) warps[static_cast<size_t>(t) / 32].push_back(t);
  shuffle(warps);
  m.sequence.clear();
  for (std::vector<int>& warp : warps) {
    shuffle(warp);
    m.sequence.insert(m.sequence.end(), warp.begin(), warp.end());
  }
}

void to_fiber(Fiber& f) {
  Machine& m = machine();
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(&m.fake_stack, f.stack + kGuard, kStack - kGuard);
#endif
  nnm_simt_switch(&m.scheduler, f.stack_pointer);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(m.fake_stack, nullptr, nullptr);
#endif
}

void to_scheduler(Fiber& f) {
  Machine& m = machine();
#ifdef __SANITIZE_ADDRESS__
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, m.scheduler_bottom, m.scheduler_size);
#endif
  nnm_simt_switch(&f.stack_pointer, m.scheduler);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(fake, &m.scheduler_bottom, &m.scheduler_size);
#endif
}

void become(int thread) {
  Machine& m = machine();
  m.current = thread;
  threadIdx = m.index[static_cast<size_t>(thread)];
}

/// What every fiber runs, again and again: the current thread to its end, and those that follow as
/// long as they are fresh. A kernel without barriers needs one fiber and no switches.
[[noreturn]] void fiber_main() {
  Machine& m = machine();
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(nullptr, &m.scheduler_bottom, &m.scheduler_size);
#endif
  while (true) {
    m.body(m.args);
    Thread& t = m.threads[static_cast<size_t>(m.current)];
    Fiber* const self = t.fiber;
    t.state = State::done;
    t.fiber = nullptr;
    --m.unfinished;
    if (m.at + 1 < m.sequence.size()) {
      Thread& next = m.threads[static_cast<size_t>(m.sequence[m.at + 1])];
      if (next.state == State::fresh) {
        ++m.at;
        next.state = State::ready;
        next.fiber = self;
        become(m.sequence[m.at]);
        continue;
      }
    }
    m.free.push_back(self);
    to_scheduler(*self);
  }
}

Fiber* new_fiber() {
  auto* f = new Fiber;
  void* p = mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) die("no memory for a stack");
  mprotect(p, kGuard, PROT_NONE);
  f->stack = static_cast<char*>(p);
  // As if fiber_main had called the switch: six registers, the address to return to, and the stack
  // as misaligned as the ABI has it at a function's entry.
  auto** top = reinterpret_cast<void**>(f->stack + kStack);
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(&fiber_main);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  f->stack_pointer = top;
  return f;
}

void resume(int thread) {
  Machine& m = machine();
  Thread& t = m.threads[static_cast<size_t>(thread)];
  if (t.state == State::fresh) {
    if (m.free.empty()) m.free.push_back(new_fiber());
    t.fiber = m.free.back();
    m.free.pop_back();
    t.state = State::ready;
  }
  become(thread);
  to_fiber(*t.fiber);
}

void wait(State state, const char* file, int line) {
  Thread& t = machine().threads[static_cast<size_t>(machine().current)];
  t.state = state;
  t.file = file;
  t.line = line;
  to_scheduler(*t.fiber);
}

/// Nothing can run: all that have not ended must wait at the same barrier.
void release_barrier() {
  Machine& m = machine();
  const Thread* first = nullptr;
  for (int t = 0; t < m.count; ++t) {
    const Thread& s = m.threads[static_cast<size_t>(t)];
    if (s.state == State::done) continue;
    if (s.state == State::at_exchange) die("a warp operation waits for lanes that do not come");
    if (!first) first = &s;
    if (s.line != first->line || std::strcmp(s.file, first->file) != 0)
      die("threads wait at different barriers");
  }
  for (int t = 0; t < m.count; ++t) {
    Thread& s = m.threads[static_cast<size_t>(t)];
    if (s.state == State::at_barrier) s.state = State::ready;
  }
  arrange();
}

/// Runs the threads from `first` to `end` of the sequence that can run; whether there were any.
bool run_threads(size_t first, size_t end) {
  Machine& m = machine();
  bool moved = false;
  for (m.at = first; m.at < end; ++m.at) {
    const int t = m.sequence[m.at];
    const State s = m.threads[static_cast<size_t>(t)].state;
    if (s != State::fresh && s != State::ready) continue;
    moved = true;
    resume(t);
  }
  return moved;
}

void run_block() {
  Machine& m = machine();
  for (int t = 0; t < m.count; ++t) m.threads[static_cast<size_t>(t)] = {};
  std::fill(m.shared.begin(), m.shared.end(), '\xff');
  arrange();
  m.unfinished = m.count;
  while (m.unfinished > 0) {
    bool moved = false;
    for (size_t first = 0, end = 0; first < m.sequence.size(); first = end) {
      const int warp = m.sequence[first] / 32;
      while (end < m.sequence.size() && m.sequence[end] / 32 == warp) ++end;
      // As far as it gets, ahead of all others: what it then overwrites shows.
      while (run_threads(first, end)) moved = true;
    }
    if (!moved) release_barrier();
  }
}

/// Looked up at every launch, so that a test can change it for a plug-in that is loaded.
void learn_order() {
  Machine& m = machine();
  const char* value = std::getenv("NNM_SIMT_ORDER");
  const std::string wish = value ? value : "forward";
  if (m.order_set || wish == m.wish) return;
  m.wish = wish;
  if (wish == "forward") {
    m.order = Order::forward;
  } else if (wish == "reverse") {
    m.order = Order::reverse;
  } else if (wish.starts_with("shuffled")) {
    m.order = Order::shuffled;
    m.seed = wish.size() > 9 ? std::strtoull(wish.c_str() + 9, nullptr, 10) : 0;
  } else {
    std::fprintf(
        stderr, "NNM_SIMT_ORDER=%s: expected forward, reverse, shuffled or shuffled:SEED\n", value);
    std::abort();
  }
}

void write_launched() {
  std::FILE* f = std::fopen(std::getenv("NNM_SIMT_LAUNCHED"), "w");
  if (!f) return;
  for (const auto& [name, count] : machine().names)
    std::fprintf(f, "%lld\t%s\n", static_cast<long long>(count), name.c_str());
  std::fclose(f);
}

void prepare(dim3 grid, dim3 block, size_t shared) {
  Machine& m = machine();
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > kMostThreads || block.z > 64)
    die("no device takes blocks of this size");
  if (grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
    die("no device takes grids of this size");
  if (shared > 227 * 1024) die("no device has that much shared memory");
  gridDim = grid;
  blockDim = block;
  m.count = static_cast<int>(threads);
  m.shared.assign(shared + 16, '\xff');
  m.index.clear();
  for (unsigned z = 0; z < block.z; ++z)
    for (unsigned y = 0; y < block.y; ++y)
      for (unsigned x = 0; x < block.x; ++x) m.index.push_back({x, y, z});
  m.sequence.resize(threads);
  std::iota(m.sequence.begin(), m.sequence.end(), 0);
  if (m.order == Order::reverse) std::reverse(m.sequence.begin(), m.sequence.end());
}

}  // namespace

void set_order(Order order, uint64_t seed) {
  Machine& m = machine();
  m.order = order;
  m.seed = seed;
  m.order_set = true;
}

void run(const char* name, dim3 grid, dim3 block, size_t shared, void (*body)(void*), void* args) {
  Machine& m = machine();
  const std::lock_guard lock(m.launching);
  learn_order();
  m.name = name;
  m.body = body;
  m.args = args;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  if (m.names.empty() && std::getenv("NNM_SIMT_LAUNCHED")) std::atexit(write_launched);
  ++m.names[name];
  prepare(grid, block, shared);
  if (around_launch) around_launch(true);
  const uint64_t blocks = uint64_t{grid.x} * grid.y * grid.z;
  for (uint64_t i = 0; i < blocks; ++i) {
    const uint64_t b = m.order == Order::forward ? i : blocks - 1 - i;
    blockIdx = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                static_cast<unsigned>(b / grid.x / grid.y)};
    run_block();
  }
  if (around_launch) around_launch(false);
}

void* dynamic_shared() {
  void* p = machine().shared.data();
  size_t space = machine().shared.size();
  return std::align(16, 1, p, space);
}

void block_barrier(const char* file, int line) { wait(State::at_barrier, file, line); }

int lane() { return machine().current % 32; }

namespace {

void land(const Copy& c) {
  std::memcpy(c.to, c.from, static_cast<size_t>(c.there));
  std::memset(static_cast<char*>(c.to) + c.there, 0, static_cast<size_t>(c.bytes - c.there));
}

}  // namespace

void begin_copy(void* to, const void* from, int bytes, int there) {
  Machine& m = machine();
  const auto aligned = [bytes](const void* p) {
    return reinterpret_cast<uintptr_t>(p) % static_cast<uintptr_t>(bytes) == 0;
  };
  if (!aligned(to) || !aligned(from)) die("a copy that is not aligned");
  if (there < 0 || there > bytes) die("a copy of more than it has room for");
  const Copy copy{to, from, bytes, there};
  if (m.order == Order::shuffled && next_random(m.seed) % 2 == 0) land(copy);
  else m.threads[static_cast<size_t>(m.current)].copies.push_back(copy);
}

void end_copies() {
  std::vector<Copy>& copies = machine().threads[static_cast<size_t>(machine().current)].copies;
  for (const Copy& c : copies) land(c);
  copies.clear();
}

uint64_t warp_exchange(uint32_t mask, uint64_t value, int source, const char* file, int line) {
  Machine& m = machine();
  const int me = m.current % 32, first = m.current - me;
  // Lanes beyond the end of the last warp do not exist.
  const int lanes = std::min(32, m.count - first);
  if (lanes < 32) mask &= (1u << lanes) - 1;
  if (!(mask >> me & 1)) die("a lane is not in its own mask");
  if (source != kBallot && (source < 0 || source >= 32 || !(mask >> source & 1)))
    die("a shuffle reads from a lane that takes no part");
  Thread* const warp = &m.threads[static_cast<size_t>(first)];
  Thread& own = warp[me];
  own.mask = mask;
  own.value = value;
  own.source = source;
  own.state = State::at_exchange;
  own.file = file;
  own.line = line;
  uint32_t ballot = 0;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    const Thread& t = warp[std::countr_zero(rest)];
    if (t.state != State::at_exchange || t.mask != mask) {
      wait(State::at_exchange, file, line);
      return own.result;
    }
    if (t.value) ballot |= rest & -rest;
  }
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    Thread& t = warp[std::countr_zero(rest)];
    t.result = t.source == kBallot ? ballot : warp[t.source].value;
    t.state = State::ready;
  }
  return own.result;
}

}  // namespace nnm::simt
