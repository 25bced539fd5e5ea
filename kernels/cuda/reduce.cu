// Reductions by trees of a fixed form: along rows by groups of threads, across rows by columns;
// long ones in parts, whose totals are reduced in a second pass.
#include "kernels/reduce.h"

#include <algorithm>

#include "kernels/cuda/element.h"
#include "kernels/pointwise.h"
#include "kernels/reduction.h"

namespace nnm::cuda {
namespace {

/// Blocks that fill a device; a constant, so that results do not depend on which device it is.
constexpr int64_t kEnoughBlocks = 1024;
constexpr int kWarps = kThreads / 32;

/// Elements of S, or of any integer type, as what totals are kept in.
template <class S>
struct Elements {
  using Sum = Total<std::conditional_t<std::is_same_v<S, int64_t>, int64_t, double>>;
  const void* p;
  DType dtype;
  __device__ Sum operator()(int64_t i) const {
    if constexpr (std::is_same_v<S, int64_t>) return load<int64_t>(p, dtype, i);
    else
      return static_cast<Sum>(
          widened<Compute<S>>(static_cast<const S*>(p)[i], dtype == DType::f16));
  }
};

/// Adds where an input and its output have the i-th index over the first `count` dimensions.
__device__ inline void add_offsets(const Split::Dims& dims, int64_t i, int count, int64_t& from,
                                   int64_t& to) {
#pragma unroll 1  // divisions are long
  for (int d = count - 1; d >= 0; --d) {
    int64_t place;
    i = divide(i, dims.size[d], &place);
    from += place * dims.x[d];
    to += place * dims.out[d];
  }
}

struct Target {
  char* p;
  DType dtype;
};

template <bool kSum, class A>
__device__ inline A joined(Reduce f, A a, A b) {
  return kSum ? a + b : combine<A>(f, a, b);
}

template <class S>
__device__ inline typename Elements<S>::Sum empty(Reduce f) {
  return start<std::conditional_t<std::is_same_v<S, int64_t>, int64_t, double>>(f);
}

/// What a thread sees of the reduced elements first, first + step, … below end.
template <bool kSum, class S>
__device__ inline auto gathered(const Elements<S>& x, int64_t base, const Split::Dims& reduced,
                                Reduce f, int64_t first, int64_t end, int64_t step) {
  auto total = empty<S>(f);
  if (reduced.n <= 1) {
    const int64_t stride = reduced.n ? reduced.x[0] : 0;
    for (int64_t r = first; r < end; r += step)
      total = joined<kSum>(f, total, x(base + r * stride));
    return total;
  }
  for (int64_t r = first; r < end; r += step) {
    int64_t at = base, unused = 0;
    add_offsets(reduced, r, reduced.n, at, unused);
    total = joined<kSum>(f, total, x(at));
  }
  return total;
}

/// `width` lanes (a power of two up to 32) to an output: short rows.
template <class S, bool kSum>
__global__ void reduce_short_rows(Target out, Elements<S> x, Split::Dims kept, Split::Dims reduced,
                                  Reduce f, int64_t outputs, int64_t depth, int width) {
  const int lane = static_cast<int>(threadIdx.x) & (width - 1);
  const int64_t o = global_thread() / width;
  auto total = empty<S>(f);
  int64_t to = 0;
  if (o < outputs) {
    int64_t base = 0;
    add_offsets(kept, o, kept.n, base, to);
    total = gathered<kSum>(x, base, reduced, f, lane, depth, width);
  }
  for (int d = width / 2; d > 0; d /= 2)
    total = joined<kSum>(f, total, __shfl_down_sync(~0u, total, static_cast<unsigned>(d), width));
  if (o < outputs && lane == 0) store(out.p, out.dtype, to, total);
}

/// A block to each part of an output: grid (outputs, parts). Several parts write their totals into
/// `out` as (outputs, parts).
template <class S, bool kSum>
__global__ void reduce_rows(Target out, Elements<S> x, Split::Dims kept, Split::Dims reduced,
                            Reduce f, int64_t depth, int64_t part) {
  using A = typename Elements<S>::Sum;
  __shared__ A warps[kWarps];
  int64_t base = 0, to = 0;
  add_offsets(kept, blockIdx.x, kept.n, base, to);
  const int64_t begin = blockIdx.y * part, end = begin + part < depth ? begin + part : depth;
  A total = gathered<kSum>(x, base, reduced, f, begin + threadIdx.x, end, kThreads);
  for (int d = 16; d > 0; d /= 2)
    total = joined<kSum>(f, total, __shfl_down_sync(~0u, total, static_cast<unsigned>(d)));
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = total;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int w = 1; w < kWarps; ++w) total = joined<kSum>(f, total, warps[w]);
  if (gridDim.y > 1)
    store(out.p, out.dtype, static_cast<int64_t>(blockIdx.x) * gridDim.y + blockIdx.y, total);
  else store(out.p, out.dtype, to, total);
}

constexpr int kColumns = 32, kRows = 8;

/// Blocks of 32 columns, 8 threads to each: grid (rows of outputs x blocks of columns, parts).
template <class S, bool kSum>
__global__ void reduce_columns(Target out, Elements<S> x, Split::Dims kept, Split::Dims reduced,
                               Reduce f, int64_t depth, int64_t part) {
  using A = typename Elements<S>::Sum;
  __shared__ A rows[kRows][kColumns];
  const int inner = kept.n - 1;
  const int64_t n = kept.size[inner], blocks = (n + kColumns - 1) / kColumns;
  int64_t block;
  const int64_t row = divide(blockIdx.x, blocks, &block);
  const int64_t column = block * kColumns + threadIdx.x;
  int64_t base = 0, to = 0;
  add_offsets(kept, row, inner, base, to);
  const int64_t begin = blockIdx.y * part, end = begin + part < depth ? begin + part : depth;
  A total = empty<S>(f);
  if (column < n)
    total = gathered<kSum>(x, base + column, reduced, f, begin + threadIdx.y, end, kRows);
  rows[threadIdx.y][threadIdx.x] = total;
  __syncthreads();
  if (threadIdx.y != 0 || column >= n) return;
  for (int r = 1; r < kRows; ++r) total = joined<kSum>(f, total, rows[r][threadIdx.x]);
  if (gridDim.y > 1) store(out.p, out.dtype, (row * n + column) * gridDim.y + blockIdx.y, total);
  else store(out.p, out.dtype, to + column * kept.out[inner], total);
}

/// Elements of a part, so that there are enough blocks for a device, and work for each of them.
int64_t part_of(int64_t depth, int64_t blocks, int64_t least) {
  const int64_t parts = std::clamp<int64_t>(kEnoughBlocks / std::max<int64_t>(blocks, 1), 1,
                                            std::max<int64_t>(depth / least, 1));
  return (depth + parts - 1) / parts;
}

/// The second pass: totals (outputs, parts) into where the outputs lie.
template <class S, bool kSum>
void reduce_parts(Target out, const void* totals, const Split::Dims& kept, int64_t parts,
                  Reduce f) {
  using A = typename Elements<S>::Sum;
  constexpr bool kInteger = std::is_same_v<A, int64_t>;
  Split::Dims rows = kept, along;
  int64_t stride = parts;
  for (int d = rows.n - 1; d >= 0; --d) {
    rows.x[d] = stride;
    stride *= rows.size[d];
  }
  along.add(parts, 1, 0);
  const Elements<A> x{totals, kInteger ? DType::i64 : DType::f64};
  const int64_t outputs = rows.count();
  NNM_LAUNCH((reduce_short_rows<A, kSum>), blocks_for(outputs * 32), kThreads, 0, out, x, rows,
             along, f, outputs, parts, 32);
}

template <class S, bool kSum>
void reduce_typed(Target out, const Elements<S>& x, const Split& s, Reduce f) {
  using A = typename Elements<S>::Sum;
  const int64_t outputs = s.kept.count(), depth = s.reduced.count();
  const int inner = s.kept.n - 1;
  const bool columns = inner >= 0 && s.kept.x[inner] == 1 && s.kept.size[inner] > 1 && depth > 1;
  if (!columns && depth <= 1024) {
    int width = 1;
    while (width < 32 && width < depth) width *= 2;
    NNM_LAUNCH((reduce_short_rows<S, kSum>), blocks_for(outputs * width), kThreads, 0, out, x,
               s.kept, s.reduced, f, outputs, depth, width);
    return;
  }
  const int64_t n = columns ? s.kept.size[inner] : 1;
  const int64_t blocks = columns ? outputs / n * ((n + kColumns - 1) / kColumns) : outputs;
  const int64_t part = part_of(depth, blocks, columns ? 256 : 4096);
  const int64_t parts = (depth + part - 1) / part;
  const Scratch<A> totals(parts > 1 ? outputs * parts : 0);
  const Target to = parts > 1 ? Target{reinterpret_cast<char*>(totals.get()),
                                       std::is_same_v<A, int64_t> ? DType::i64 : DType::f64}
                              : out;
  const dim3 grid(static_cast<unsigned>(blocks), static_cast<unsigned>(parts));
  if (columns)
    NNM_LAUNCH((reduce_columns<S, kSum>), grid, dim3(kColumns, kRows), 0, to, x, s.kept, s.reduced,
               f, depth, part);
  else
    NNM_LAUNCH((reduce_rows<S, kSum>), grid, kThreads, 0, to, x, s.kept, s.reduced, f, depth, part);
  if (parts > 1) reduce_parts<S, kSum>(out, totals.get(), s.kept, parts, f);
}

template <class S>
void reduce_as(const View& out, const View& x, Reduce f) {
  const Split s(out, x);
  const Target to{out.as<char>(), out.dtype};
  const Elements<S> from{x.data, x.dtype};
  if (f == Reduce::sum) reduce_typed<S, true>(to, from, s, f);
  else reduce_typed<S, false>(to, from, s, f);
}

void reduce(const View& out, const View& x, Reduce f) {
  if (out.numel() == 0) return;
  if (out.dtype == x.dtype && out.numel() == x.numel()) return kernels::copy(out, x);
  switch (x.dtype) {
    case DType::f32: return reduce_as<float>(out, x, f);
    case DType::f64: return reduce_as<double>(out, x, f);
    case DType::bf16:
    case DType::f16: return reduce_as<Short>(out, x, f);
    default: return reduce_as<int64_t>(out, x, f);
  }
}

NNM_CUDA_KERNEL(reduce, reduce);

}  // namespace
}  // namespace nnm::cuda
