// Batch normalisation: sums per channel in parts whose number depends on the shape and on how it
// divides into packs, what follows from them per channel, and an affine map of the elements. Both
// passes over the elements are walks whose threads keep to their channels.
#include <algorithm>
#include <bit>
#include <cmath>
#include <initializer_list>

#include "kernels/channel_layout.h"
#include "kernels/cuda/norm.h"
#include "kernels/cuda/plugin.h"
#include "kernels/norm.h"

namespace nnm::cuda {
namespace {

constexpr int kLoads = 4;     ///< packs of a thread under way
constexpr int kResident = 3;  ///< blocks of a multiprocessor at once, which bounds their registers
// Of the 132 multiprocessors of an H100; on every device, since the order of sums depends on it.
constexpr int64_t kSumBlocks = 132 * kResident, kMapBlocks = 2 * kSumBlocks;

/// How blocks walk over the elements in packs of kWide. Where channels lie side by side, `across`
/// of a block's threads have packs of a row, and the positions are rows; elsewhere a block has one
/// channel, and the positions are the packs of its planes. Neighbouring blocks of a channel, its
/// parts, take neighbouring positions: all together sweep over the memory.
struct Walk {
  bool planes;
  int across = 1;
  int64_t channels, columns;     ///< columns: packs of a row, or planes of a sample
  int64_t count, groups, parts;  ///< positions; blocks along the columns, and the positions
  int64_t width, stride;         ///< of a plane, and from sample to sample, in packs
  int64_t step, move, rest;      ///< of a thread: in positions; in packs; in packs within a plane
  int64_t last;                  ///< the last position's distance from the first, in packs

  Walk(const ChannelLayout& l, int64_t wide, int64_t blocks)
      : planes(!l.inner_channels), channels(l.channels) {
    columns = planes ? channels : channels / wide;
    if (!planes) across = static_cast<int>(std::clamp<int64_t>(ceil_power(columns), 1, 32));
    width = planes ? std::max<int64_t>(l.width / wide, 1) : 1;
    stride = columns * width;
    count = planes ? l.count / wide : l.count;
    groups = (columns + across - 1) / across;
    const int64_t at_once = kThreads / across, most = at_once * kLoads;
    parts = parts_for(std::max<int64_t>(groups, 1), blocks,
                      std::max<int64_t>((count + most - 1) / most, 1));
    step = parts * at_once;
    rest = step % width;
    move = step / width * stride + rest;
    last = (count - 1) / width * stride + (count - 1) % width;
  }
  /// As many as `blocks` have room for, or some more where the last of several rounds of so many
  /// blocks is fuller then, which saves a tenth of the time at least.
  static int64_t parts_for(int64_t groups, int64_t blocks, int64_t most) {
    const auto rounds = [&](int64_t parts) { return (groups * parts + blocks - 1) / blocks; };
    const int64_t least = std::clamp<int64_t>(blocks / groups, 1, most);
    int64_t best = least;
    for (int64_t parts = least + 1; parts <= std::min<int64_t>(least + 4, most); ++parts)
      if (rounds(parts) * best * 10 < rounds(best) * parts * 9) best = parts;
    return best;
  }
  static int64_t ceil_power(int64_t n) {
    return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(n)));
  }
  dim3 blocks() const { return dim3(static_cast<unsigned>(groups * parts)); }
};

/// A thread's position in a walk: `begin` packs to the first of its column, and `distance` from
/// there.
struct Walker {
  int64_t part, column, begin, position, distance, at;

  __device__ explicit Walker(const Walk& w) {
    const int rank = static_cast<int>(threadIdx.x);
    part = blockIdx.x % w.parts;
    column = blockIdx.x / w.parts * w.across + rank % w.across;
    begin = w.planes ? column * w.width : column;
    position = part * (kThreads / w.across) + rank / w.across;
    distance = divide(position, w.width, &at) * w.stride + at;
  }
  __device__ bool inside(const Walk& w) const { return column < w.columns && position < w.count; }
  __device__ void advance(const Walk& w) {
    position += w.step;
    distance += w.move;
    at += w.rest;
    if (at >= w.width) {
      at -= w.width;
      distance += w.stride - w.width;
    }
  }
  /// The channel of the pack's element j.
  template <int kWide>
  __device__ int64_t channel(const Walk& w, int j) const {
    return w.planes ? column : column * kWide + j;
  }
};

template <class T, int kInputs>
struct Inputs {
  const T* of[kInputs];
};

/// The next kLoads / kInputs packs of a thread, of every input, and where they lie. A map walks
/// backwards: the memory that the sums saw last may still be cached.
template <class T, int kWide, int kInputs, bool kBackwards>
struct Packs {
  static constexpr int kCount = kLoads / kInputs;
  Pack<T, kWide> of[kInputs][kCount];
  int64_t place[kCount];
  bool inside[kCount];

  __device__ void load(const Walk& w, Walker& walker, const Inputs<T, kInputs>& in) {
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      inside[k] = walker.position < w.count;
      // The first pack in place of those beyond the end: so no load waits for a branch.
      const int64_t distance = inside[k] ? walker.distance : 0;
      place[k] = walker.begin + (kBackwards ? w.last - distance : distance);
#pragma unroll
      for (int n = 0; n < kInputs; ++n)
        of[n][k] = reinterpret_cast<const Pack<T, kWide>*>(in.of[n])[place[k]];
      walker.advance(w);
    }
  }
};

/// The sums of a block's threads as its part of sums (2, C, parts).
template <class C, int kWide>
__device__ inline void store_sums(const Walk& w, const Walker& walker, double* sums,
                                  const C (&a)[kWide], const C (&b)[kWide]) {
  const int rank = static_cast<int>(threadIdx.x);
  if (w.planes) {
    double total[2] = {};
    for (int j = 0; j < kWide; ++j) {
      total[0] += static_cast<double>(a[j]);
      total[1] += static_cast<double>(b[j]);
    }
    sum_both<kThreads / 32>(total[0], total[1]);
    if (rank == 0)
      for (int k = 0; k < 2; ++k)
        sums[(k * w.channels + walker.column) * w.parts + walker.part] = total[k];
    return;
  }
  // Rows of `across` more than needed keep the threads' accesses to different banks.
  __shared__ C held[2 * kWide * (kThreads + 32)];
  const int row = kThreads + w.across;
#pragma unroll
  for (int j = 0; j < kWide; ++j) {
    held[j * row + rank] = a[j];
    held[(kWide + j) * row + rank] = b[j];
  }
  __syncthreads();
  const int64_t first = blockIdx.x / w.parts * w.across;
  for (int i = rank; i < 2 * kWide * w.across; i += kThreads) {
    const int lane = i % w.across, value = i / w.across;
    if (first + lane >= w.columns) continue;
    double total = 0;
#pragma unroll 8
    for (int t = lane; t < kThreads; t += w.across)
      total += static_cast<double>(held[value * row + t]);
    const int64_t channel = (first + lane) * kWide + value % kWide;
    sums[(value / kWide * w.channels + channel) * w.parts + walker.part] = total;
  }
}

/// Per channel the sums of d and d d, where d is an element's deviation from `about`, or of g and
/// g d, where g comes before it. Without `about`, from the first element of the channel: no
/// cancellation for a far mean.
template <class T, int kWide, int kInputs>
__global__ void __launch_bounds__(kThreads, kResident)
    channel_sums(Walk w, double* sums, Inputs<T, kInputs> in, const Compute<T>* about) {
  using C = Compute<T>;
  constexpr int kX = kInputs - 1;
  Walker walker(w);
  C a[kWide] = {}, b[kWide] = {};
  if (walker.inside(w)) {
    C middle[kWide];
    for (int j = 0; j < kWide; ++j)
      middle[j] = about ? about[walker.channel<kWide>(w, j)]
                        : static_cast<C>(in.of[kX][walker.begin * kWide + (w.planes ? 0 : j)]);
#pragma unroll 1
    while (walker.position < w.count) {
      Packs<T, kWide, kInputs, false> p;
      p.load(w, walker, in);
#pragma unroll
      for (int k = 0; k < p.kCount; ++k) {
        if (!p.inside[k]) continue;
        for (int j = 0; j < kWide; ++j) {
          const C d = static_cast<C>(p.of[kX][k].v[j]) - middle[j];
          const C v = kInputs == 1 ? d : static_cast<C>(p.of[0][k].v[j]);
          a[j] += v;
          b[j] += v * d;
        }
      }
    }
  }
  store_sums(w, walker, sums, a, b);
}

/// The factors of y = x scale + offset per channel, or of dx = g scale + x slope + offset.
template <class C>
struct Affine {
  C *scale, *offset, *slope;
};

template <class C>
Affine<C> affine_in(const Scratch<C>& memory, int64_t channels) {
  return {memory.get(), memory.get() + channels, memory.get() + 2 * channels};
}

template <class T, int kWide, int kInputs>
__global__ void __launch_bounds__(kThreads, kResident)
    map_channels(Walk w, T* out, Inputs<T, kInputs> in, Affine<Compute<T>> f) {
  using C = Compute<T>;
  Walker walker(w);
  if (!walker.inside(w)) return;
  C scale[kWide], offset[kWide], slope[kWide];
  for (int j = 0; j < kWide; ++j) {
    const int64_t c = walker.channel<kWide>(w, j);
    scale[j] = f.scale[c];
    offset[j] = f.offset[c];
    slope[j] = kInputs == 1 ? C(0) : f.slope[c];
  }
#pragma unroll 1
  while (walker.position < w.count) {
    Packs<T, kWide, kInputs, true> p;
    p.load(w, walker, in);
#pragma unroll
    for (int k = 0; k < p.kCount; ++k) {
      if (!p.inside[k]) continue;
      Pack<T, kWide> y;
      for (int j = 0; j < kWide; ++j) {
        C v = static_cast<C>(p.of[0][k].v[j]) * scale[j];
        if constexpr (kInputs == 2) v += slope[j] * static_cast<C>(p.of[1][k].v[j]);
        y.v[j] = T(v + offset[j]);
      }
      reinterpret_cast<Pack<T, kWide>*>(out)[p.place[k]] = y;
    }
  }
}

/// Calls body.template operator()<kWide>() with the widest packs that the channels divide into.
template <class T, class Body>
void by_pack(const ChannelLayout& l, std::initializer_list<const void*> all, const Body& body) {
  if constexpr (sizeof(T) <= 4) {
    constexpr int kWide = 16 / sizeof(T);
    if (l.width % kWide == 0 && std::all_of(all.begin(), all.end(), aligned))
      return body.template operator()<kWide>();
  }
  body.template operator()<1>();
}

/// Sums per channel (2, C, parts), in memory of the rest of a kernel's body.
struct ChannelSums {
  const double* sums;
  int64_t channels, parts;

  /// By a warp of all those that share blocks: one thread would wait for every load.
  __device__ void total(int64_t c, double& first, double& second) const {
    first = second = 0;
#pragma unroll 4
    for (int64_t p = threadIdx.x; p < parts; p += 32) {
      first += sums[c * parts + p];
      second += sums[(channels + c) * parts + p];
    }
    first = over_warp(first, Plus());
    second = over_warp(second, Plus());
  }
};

/// The channel of a warp, in blocks of 8 warps.
__device__ inline int64_t own_channel() {
  return static_cast<int64_t>(blockIdx.x) * 8 + threadIdx.y;
}
inline dim3 channel_blocks(int64_t channels) {
  return dim3(static_cast<unsigned>((channels + 7) / 8));
}

/// Where channel i of running statistics lies, which may be a window on something larger.
__device__ inline int64_t place(const View& v, int64_t i) {
  return v.ndim ? i * v.stride[v.ndim - 1] : i;
}
__device__ inline double number(const View& v, int64_t i) {
  return load<double>(v.data, v.dtype, place(v, i));
}
__device__ inline double number_or(const View& v, int64_t i, double otherwise) {
  return v.data ? number(v, i) : otherwise;
}
__device__ inline void move_towards(const View& running, int64_t i, double value, double momentum) {
  const double v = (1 - momentum) * number(running, i) + momentum * value;
  store<double>(running.data, running.dtype, place(running, i), v);
}

struct Running {
  View mean, var;
  double momentum, eps;
};

template <class T>
__global__ void statistics_of(ChannelSums sums, int64_t count, int64_t between, const T* x,
                              View weight, View bias, Compute<T>* mean, Compute<T>* invstd,
                              Running running, Affine<Compute<T>> out) {
  using C = Compute<T>;
  const int64_t c = own_channel();
  if (c >= sums.channels) return;
  const auto n = static_cast<double>(count);
  double delta, square;
  sums.total(c, delta, square);
  if (threadIdx.x != 0) return;
  delta /= n;
  square = square / n - delta * delta;
  const double mu = static_cast<double>(static_cast<C>(x[c * between])) + delta,
               var = square > 0 || square != square ? square : 0;
  const double s = 1 / std::sqrt(var + running.eps);
  mean[c] = C(mu);
  invstd[c] = C(s);
  if (running.mean.data) move_towards(running.mean, c, mu, running.momentum);
  if (running.var.data) move_towards(running.var, c, var * n / (n - 1), running.momentum);
  const double scale = s * number_or(weight, c, 1);
  out.scale[c] = C(scale);
  out.offset[c] = C(number_or(bias, c, 0) - mu * scale);
}

template <class T, int kWide, int kInputs>
void map_by(const ChannelLayout& l, T* out, const Inputs<T, kInputs>& in,
            const Affine<Compute<T>>& f) {
  const Walk w(l, kWide, kMapBlocks);
  NNM_LAUNCH((map_channels<T, kWide, kInputs>), w.blocks(), dim3(kThreads), 0, w, out, in, f);
}

void batch_norm_cuda(const View& y, const View& x, const View& weight, const View& bias,
                     const View& mean, const View& invstd, const View& running_mean,
                     const View& running_var, double momentum, double eps) {
  if (x.numel() == 0) return;
  const ChannelLayout l(x);
  by_floating(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    by_pack<T>(l, {y.data, x.data}, [&]<int kWide>() {
      const Walk w(l, kWide, kSumBlocks);
      const Scratch<double> sums(w.parts * 2 * l.channels);
      const Scratch<C> factors(3 * l.channels);
      const auto f = affine_in(factors, l.channels);
      const Inputs<T, 1> in{x.as<T>()};
      NNM_LAUNCH((channel_sums<T, kWide, 1>), w.blocks(), dim3(kThreads), 0, w, sums.get(), in,
                 nullptr);
      NNM_LAUNCH(statistics_of<T>, channel_blocks(l.channels), dim3(32, 8), 0,
                 ChannelSums{sums.get(), l.channels, w.parts}, l.count,
                 l.inner_channels ? 1 : l.width, x.as<T>(), weight, bias, mean.as<C>(),
                 invstd.as<C>(), Running{running_mean, running_var, momentum, eps}, f);
      map_by<T, kWide>(l, y.as<T>(), in, f);
    });
  });
}

template <class T>
__global__ void given_statistics(int64_t channels, View weight, View bias, Running given,
                                 Affine<Compute<T>> out) {
  using C = Compute<T>;
  const int64_t c = global_thread();
  if (c >= channels) return;
  const double scale = number_or(weight, c, 1) / std::sqrt(number(given.var, c) + given.eps);
  out.scale[c] = C(scale);
  out.offset[c] = C(number_or(bias, c, 0) - number(given.mean, c) * scale);
}

void batch_norm_eval_cuda(const View& y, const View& x, const View& weight, const View& bias,
                          const View& mean, const View& var, double eps) {
  const ChannelLayout l(x);
  by_floating(x.dtype, [&]<class T>() {
    const Scratch<Compute<T>> factors(3 * l.channels);
    const auto f = affine_in(factors, l.channels);
    NNM_LAUNCH(given_statistics<T>, blocks_for(l.channels), dim3(kThreads), 0, l.channels, weight,
               bias, Running{mean, var, 0, eps}, f);
    by_pack<T>(l, {y.data, x.data},
               [&]<int kWide>() { map_by<T, kWide>(l, y.as<T>(), Inputs<T, 1>{x.as<T>()}, f); });
  });
}

template <class T>
__global__ void gradients_of(ChannelSums sums, int64_t count, View weight, const Compute<T>* mean,
                             const Compute<T>* invstd, T* dw, T* db, bool training,
                             Affine<Compute<T>> out) {
  using C = Compute<T>;
  const int64_t c = own_channel();
  if (c >= sums.channels) return;
  double along_1, along_x;
  sums.total(c, along_1, along_x);
  if (threadIdx.x != 0) return;
  const double s = static_cast<double>(invstd[c]), mu = static_cast<double>(mean[c]),
               scale = s * number_or(weight, c, 1), n = static_cast<double>(count);
  if (dw) dw[c] = T(static_cast<C>(along_x * s));
  if (db) db[c] = T(static_cast<C>(along_1));
  const double slope = training ? scale * along_x * s * s / n : 0;
  out.scale[c] = C(scale);
  out.slope[c] = C(-slope);
  out.offset[c] = training ? C(slope * mu - scale * along_1 / n) : C(0);
}

void batch_norm_backward_cuda(const View& mean, const View& dx, const View& dw, const View& db,
                              const View& g, const View& x, const View& weight, const View& invstd,
                              bool training) {
  const ChannelLayout l(x);
  by_floating(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    by_pack<T>(l, {dx.data, g.data, x.data}, [&]<int kWide>() {
      const Walk w(l, kWide, kSumBlocks);
      const Scratch<double> sums(w.parts * 2 * l.channels);
      const Scratch<C> factors(3 * l.channels);
      const auto f = affine_in(factors, l.channels);
      const Inputs<T, 2> in{g.as<T>(), x.as<T>()};
      NNM_LAUNCH((channel_sums<T, kWide, 2>), w.blocks(), dim3(kThreads), 0, w, sums.get(), in,
                 mean.as<C>());
      NNM_LAUNCH(gradients_of<T>, channel_blocks(l.channels), dim3(32, 8), 0,
                 ChannelSums{sums.get(), l.channels, w.parts}, l.count, weight, mean.as<C>(),
                 invstd.as<C>(), dw.as<T>(), db.as<T>(), training, f);
      if (dx.data) map_by<T, kWide>(l, dx.as<T>(), in, f);
    });
  });
}

}  // namespace
}  // namespace nnm::cuda

NNM_CUDA_KERNEL(batch_norm, nnm::cuda::batch_norm_cuda);
NNM_CUDA_KERNEL(batch_norm_eval, nnm::cuda::batch_norm_eval_cuda);
NNM_CUDA_KERNEL(batch_norm_backward, nnm::cuda::batch_norm_backward_cuda);
