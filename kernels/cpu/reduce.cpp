// Reductions: along rows of memory by lanes, across rows by columns.
#include "kernels/reduce.h"

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>

#include "kernels/cpu/strided.h"
#include "kernels/pointwise.h"
#include "kernels/reduction.h"

namespace nnm {
namespace {

/// to[j] = what `f` (not prod) makes of to[j] and x[j], chosen once so that the loop is one of
/// vectors. Of numbers one of which is NaN, NaN is both the largest and the smallest.
template <class T>
inline void combine_each(Reduce f, T* __restrict to, const T* __restrict x, int64_t n) {
  if (f == Reduce::sum) {
    for (int64_t j = 0; j < n; ++j) to[j] = plus(to[j], x[j]);
  } else if (f == Reduce::max) {
    for (int64_t j = 0; j < n; ++j) {
      const T larger = x[j] > to[j] ? x[j] : to[j];
      to[j] = x[j] != x[j] ? x[j] : larger;
    }
  } else {
    for (int64_t j = 0; j < n; ++j) {
      const T smaller = x[j] < to[j] ? x[j] : to[j];
      to[j] = x[j] != x[j] ? x[j] : smaller;
    }
  }
}

// n at most a few thousand: sixteen lanes, then the lanes in order.
template <class T>
Total<T> reduce_block(Reduce f, const T* __restrict x, int64_t n) {
  constexpr int64_t kLanes = 16;
  if (f == Reduce::prod || n < kLanes) {
    Total<T> t = start<T>(f);
    for (int64_t i = 0; i < n; ++i) t = combine<Total<T>>(f, t, Total<T>(x[i]));
    return t;
  }
  T lane[kLanes];
  std::copy_n(x, kLanes, lane);
  int64_t i = kLanes;
  const auto walk = [&](Reduce what) {
    for (; i + kLanes <= n; i += kLanes) combine_each(what, lane, x + i, kLanes);
  };
  // With constants, the choice is made outside of the loop.
  if (f == Reduce::sum) walk(Reduce::sum);
  else if (f == Reduce::max) walk(Reduce::max);
  else walk(Reduce::min);
  Total<T> t = Total<T>(lane[0]);
  for (int64_t l = 1; l < kLanes; ++l) t = combine<Total<T>>(f, t, Total<T>(lane[l]));
  for (; i < n; ++i) t = combine<Total<T>>(f, t, Total<T>(x[i]));
  return t;
}

constexpr int64_t kChunk = 4096;

// One output element: all reduced elements at p.
template <class T>
Total<T> reduce_rows(const Split::Dims& r, const char* p, DType t, Reduce f) {
  const auto item = static_cast<int64_t>(item_size(t));
  const int64_t n = r.n ? r.size[r.n - 1] : 1, step = r.n ? r.x[r.n - 1] : 1;
  const int64_t rows = r.n ? r.count() / std::max<int64_t>(n, 1) : 1;
  Total<T> total = start<T>(f);
  T buffer[kBlock];
  for (int64_t row = 0; row < rows; ++row) {
    int64_t xo = 0, unused = 0;
    r.offsets(row, r.n - 1, xo, unused);
    const bool direct = t == dtype_of<T>() && step == 1;
    const int64_t part = direct ? kChunk : kBlock;
    for (int64_t at = 0; at < n; at += part) {
      const int64_t m = std::min(part, n - at);
      const char* from = p + (xo + at * step) * item;
      const T* x = reinterpret_cast<const T*>(from);
      if (!direct) {
        load<T>(buffer, from, t, step, m);
        x = buffer;
      }
      total = combine<Total<T>>(f, total, reduce_block<T>(f, x, m));
    }
  }
  return total;
}

// A run of columns at once: every reduced index adds a row of memory to the running values.
template <class T>
void reduce_columns(const Split::Dims& r, const char* p, DType t, Reduce f, Total<T>* totals,
                    int64_t n) {
  constexpr int64_t kRows = 64;
  const auto item = static_cast<int64_t>(item_size(t));
  const int64_t count = r.count();
  T acc[kBlock], buffer[kBlock];
  std::fill_n(totals, n, start<T>(f));
  for (int64_t first = 0; first < count; first += kRows) {
    const int64_t last = std::min(first + kRows, count);
    for (int64_t i = first; i < last; ++i) {
      int64_t xo = 0, unused = 0;
      r.offsets(i, r.n, xo, unused);
      const T* x = reinterpret_cast<const T*>(p + xo * item);
      if (t != dtype_of<T>()) {
        load<T>(buffer, p + xo * item, t, 1, n);
        x = buffer;
      }
      if (i == first) {
        std::copy_n(x, n, acc);
      } else if (f == Reduce::prod) {
        for (int64_t j = 0; j < n; ++j) acc[j] = combine<T>(f, acc[j], x[j]);
      } else {
        combine_each(f, acc, x, n);
      }
    }
    for (int64_t j = 0; j < n; ++j) totals[j] = combine<Total<T>>(f, totals[j], Total<T>(acc[j]));
  }
}

template <class T>
void put(char* p, DType t, Total<T> v) {
  store<Total<T>>(p, t, 1, &v, 1);
}

// One output of a long run: chunks over the threads, their totals in order.
template <class T>
void reduce_all(const View& out, const View& x, int64_t n, Reduce f) {
  constexpr int64_t kPart = 65536;
  const int64_t parts = (n + kPart - 1) / kPart;
  const std::unique_ptr<Total<T>[]> totals(new Total<T>[static_cast<size_t>(parts)]);
  Split::Dims run;
  parallel_for(parts, 2, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      Split::Dims d = run;
      d.add(std::min(kPart, n - i * kPart), 1, 0);
      totals[static_cast<size_t>(i)] = reduce_rows<T>(
          d, x.as<char>() + i * kPart * static_cast<int64_t>(item_size(x.dtype)), x.dtype, f);
    }
  });
  Total<T> t = start<T>(f);
  for (int64_t i = 0; i < parts; ++i) t = combine<Total<T>>(f, t, totals[static_cast<size_t>(i)]);
  put<T>(out.as<char>(), out.dtype, t);
}

template <class T>
void reduce_typed(const View& out, const View& x, Reduce f) {
  const Split s(out, x);
  const auto xi = static_cast<int64_t>(item_size(x.dtype)),
             oi = static_cast<int64_t>(item_size(out.dtype));
  const int64_t outputs = s.kept.count(), depth = s.reduced.count();
  if (outputs == 0) return;
  if (depth > 0 && s.kept.n == 0 && s.reduced.n == 1 && s.reduced.x[0] == 1)
    return reduce_all<T>(out, x, depth, f);
  const int k = s.kept.n;
  const bool columns = k > 0 && s.kept.x[k - 1] == 1 && s.kept.size[k - 1] > 1;
  if (!columns) {
    parallel_for(outputs, std::max<int64_t>(1, kPointwiseGrain / std::max<int64_t>(depth, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     int64_t xo = 0, oo = 0;
                     s.kept.offsets(i, k, xo, oo);
                     const Total<T> t =
                         depth ? reduce_rows<T>(s.reduced, x.as<char>() + xo * xi, x.dtype, f)
                               : start<T>(f);
                     put<T>(out.as<char>() + oo * oi, out.dtype, t);
                   }
                 });
    return;
  }
  // A thread for each block: columns are summed by themselves, however many there are in one.
  constexpr int64_t kNarrowest = 64;
  const int64_t n = s.kept.size[k - 1];
  const int64_t width = std::clamp(n / num_threads() / 16 * 16, kNarrowest, kBlock);
  const int64_t blocks = (n + width - 1) / width, rows = outputs / n;
  parallel_for(
      rows * blocks,
      std::max<int64_t>(1, kPointwiseGrain / std::max<int64_t>(depth * std::min(n, width), 1)),
      [&](int64_t begin, int64_t end) {
        Total<T> totals[kBlock];
        for (int64_t i = begin; i < end; ++i) {
          int64_t xo = 0, oo = 0;
          s.kept.offsets(i / blocks, k - 1, xo, oo);
          const int64_t at = i % blocks * width, m = std::min(width, n - at);
          reduce_columns<T>(s.reduced, x.as<char>() + (xo + at) * xi, x.dtype, f, totals, m);
          for (int64_t j = 0; j < m; ++j)
            put<T>(out.as<char>() + (oo + (at + j) * s.kept.out[k - 1]) * oi, out.dtype, totals[j]);
        }
      });
}

void reduce_cpu(const View& out, const View& x, Reduce f) {
  // Nothing is reduced: the gradient of a bias in a batch of one.
  if (out.dtype == x.dtype && out.numel() == x.numel()) return kernels::copy(out, x);
  if (x.dtype == DType::f64) return reduce_typed<double>(out, x, f);
  if (is_floating(x.dtype)) return reduce_typed<float>(out, x, f);
  reduce_typed<int64_t>(out, x, f);
}

/// Calls body(offset of x's lane, offset of a's lane, offset of b's lane) for every lane along dim.
template <class F>
void each_lane(const View& x, const View& a, const View& b, int64_t dim, const F& body) {
  int64_t lanes = 1;
  for (int d = 0; d < x.ndim; ++d) {
    if (d != dim) lanes *= x.size[d];
  }
  const int64_t n = x.ndim ? x.size[dim] : 1;
  parallel_for(lanes, std::max<int64_t>(1, 4096 / std::max<int64_t>(n, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   int64_t rest = i, xo = 0, ao = 0, bo = 0;
                   for (int d = x.ndim - 1; d >= 0; --d) {
                     if (d == dim) continue;
                     const int64_t k = rest % x.size[d];
                     rest /= x.size[d];
                     xo += k * x.stride[d];
                     ao += k * a.stride[d];
                     bo += k * b.stride[d];
                   }
                   body(xo, ao, bo);
                 }
               });
}

template <class T>
T element(const View& v, int64_t offset) {
  T t{};
  load<T>(&t, v.as<char>() + offset * static_cast<int64_t>(item_size(v.dtype)), v.dtype, 1, 1);
  return t;
}
template <class T>
void put_element(const View& v, int64_t offset, T t) {
  store<T>(v.as<char>() + offset * static_cast<int64_t>(item_size(v.dtype)), v.dtype, 1, &t, 1);
}

template <class T>
void extremum_typed(const View& values, const View& indices, const View& x, int64_t dim,
                    bool largest) {
  const int64_t n = x.ndim ? x.size[dim] : 1, step = x.ndim ? x.stride[dim] : 1;
  each_lane(x, values, indices, dim, [&](int64_t xo, int64_t vo, int64_t io) {
    T best = element<T>(x, xo);
    int64_t at = 0;
    for (int64_t i = 1; i < n && best == best; ++i) {
      const T t = element<T>(x, xo + i * step);
      if (t != t || (largest ? t > best : t < best)) {
        best = t;
        at = i;
      }
    }
    put_element<T>(values, vo, best);
    put_element<int64_t>(indices, io, at);
  });
}

/// The extremum of a dense run by lanes, NaN if there is one.
template <class T>
T extreme_of_run(const T* __restrict x, int64_t n, bool largest) {
  constexpr int64_t kLanes = 16;
  T lane[kLanes];
  std::fill_n(lane, kLanes, x[0]);
  bool nan = false;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    bool any = false;
    for (int64_t l = 0; l < kLanes; ++l) {
      const T t = x[i + l];
      any |= t != t;
      lane[l] = largest ? (t > lane[l] ? t : lane[l]) : (t < lane[l] ? t : lane[l]);
    }
    nan |= any;
  }
  T best = lane[0];
  for (int64_t l = 1; l < kLanes; ++l) {
    if (largest ? lane[l] > best : lane[l] < best) best = lane[l];
  }
  for (; i < n; ++i) {
    nan |= x[i] != x[i];
    if (largest ? x[i] > best : x[i] < best) best = x[i];
  }
  return nan ? std::numeric_limits<T>::quiet_NaN() : best;
}

/// Dense runs: the value first, by lanes, then the first place that has it.
template <class T>
void extremum_of_runs(const View& values, const View& indices, const View& x, int64_t dim,
                      bool largest) {
  const int64_t n = x.size[dim];
  each_lane(x, values, indices, dim, [&](int64_t xo, int64_t vo, int64_t io) {
    const T* run = x.as<T>() + xo;
    const T best = extreme_of_run(run, n, largest);
    int64_t at = 0;
    while (best == best ? run[at] != best : run[at] == run[at]) ++at;
    values.as<T>()[vo] = best == best ? best : run[at];
    indices.as<int64_t>()[io] = at;
  });
}

void extremum_cpu(const View& values, const View& indices, const View& x, int64_t dim,
                  bool largest) {
  if (x.ndim && x.stride[dim] == 1 && x.size[dim] > 0) {
    if (x.dtype == DType::f32) return extremum_of_runs<float>(values, indices, x, dim, largest);
    if (x.dtype == DType::f64) return extremum_of_runs<double>(values, indices, x, dim, largest);
  }
  if (is_floating(x.dtype)) return extremum_typed<double>(values, indices, x, dim, largest);
  extremum_typed<int64_t>(values, indices, x, dim, largest);
}

template <class T>
void cumsum_typed(const View& y, const View& x, int64_t dim, bool reverse) {
  const int64_t n = x.ndim ? x.size[dim] : 1, step = x.ndim ? x.stride[dim] : 1,
                to = y.ndim ? y.stride[dim] : 1;
  each_lane(x, y, y, dim, [&](int64_t xo, int64_t yo, int64_t) {
    Total<T> sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      const int64_t k = reverse ? n - 1 - i : i;
      sum = plus(sum, element<Total<T>>(x, xo + k * step));
      put_element<Total<T>>(y, yo + k * to, sum);
    }
  });
}

void cumsum_f32(const View& y, const View& x, int64_t dim, bool reverse) {
  const int64_t n = x.size[dim], step = x.stride[dim], to = y.stride[dim];
  each_lane(x, y, y, dim, [&](int64_t xo, int64_t yo, int64_t) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      const int64_t k = reverse ? n - 1 - i : i;
      sum += x.as<float>()[xo + k * step];
      y.as<float>()[yo + k * to] = static_cast<float>(sum);
    }
  });
}

void cumsum_cpu(const View& y, const View& x, int64_t dim, bool reverse) {
  if (x.ndim && x.dtype == DType::f32 && y.dtype == DType::f32)
    return cumsum_f32(y, x, dim, reverse);
  if (is_floating(x.dtype)) return cumsum_typed<double>(y, x, dim, reverse);
  cumsum_typed<int64_t>(y, x, dim, reverse);
}

template <class T>
struct Item {
  T value;
  int64_t index;
};

/// NaN is the largest; of equal values the first comes first.
template <class T>
bool stands_before(const Item<T>& a, const Item<T>& b, bool descending) {
  const auto less = [](T p, T q) { return p < q || (q != q && p == p); };
  const T x = descending ? b.value : a.value, y = descending ? a.value : b.value;
  if (less(x, y)) return true;
  return !less(y, x) && a.index < b.index;
}

/// The first values.size[dim] of each lane, read as T, in the order of what key_of(number, place)
/// makes of them, which place_of brings back to a place. No two keys are equal.
template <class T, class KeyOf, class PlaceOf, class Before>
void sort_lanes(const View& values, const View& indices, const View& x, int64_t dim,
                const KeyOf& key_of, const PlaceOf& place_of, const Before& before) {
  using Key = decltype(key_of(T(), int64_t{0}));
  const int64_t n = x.ndim ? x.size[dim] : 1, step = x.ndim ? x.stride[dim] : 1;
  const int64_t k = values.ndim ? values.size[dim] : 1;
  const int64_t to_value = values.ndim ? values.stride[dim] : 1;
  const int64_t to_index = indices.ndim ? indices.stride[dim] : 1;
  each_lane(x, values, indices, dim, [&](int64_t xo, int64_t vo, int64_t io) {
    const auto count = static_cast<size_t>(n);
    const std::unique_ptr<T[]> numbers(new T[count]);
    const std::unique_ptr<Key[]> keys(new Key[count]);
    load<T>(numbers.get(), x.as<char>() + xo * static_cast<int64_t>(item_size(x.dtype)), x.dtype,
            step, n);
    for (int64_t i = 0; i < n; ++i) keys[i] = key_of(numbers[i], i);
    Key *const begin = keys.get(), *const end = begin + n;
    // Of few, nearly all keys are passed over after one comparison.
    if (k < n / 16) {
      std::partial_sort(begin, begin + k, end, before);
    } else {
      if (k < n) std::nth_element(begin, begin + k, end, before);
      std::sort(begin, begin + k, before);
    }
    for (int64_t i = 0; i < k; ++i) {
      const int64_t at = place_of(begin[i]);
      put_element<T>(values, vo + i * to_value, numbers[at]);
      put_element<int64_t>(indices, io + i * to_index, at);
    }
  });
}

template <class T>
void sort_typed(const View& values, const View& indices, const View& x, int64_t dim,
                bool descending) {
  sort_lanes<T>(
      values, indices, x, dim,
      [](T v, int64_t place) {
        return Item<T>{v, place};
      },
      [](const Item<T>& item) { return item.index; },
      [descending](const Item<T>& a, const Item<T>& b) { return stands_before(a, b, descending); });
}

/// A number whose order among those of other places is that of sorting: by the float's bits, which
/// order floats of one sign as integers do, then by the place. NaN is the largest; zeros are equal.
uint64_t sorting_key(float v, int64_t place, bool descending) {
  constexpr uint32_t kSign = 0x80000000u;
  const auto bits = std::bit_cast<uint32_t>(v);
  uint32_t key = bits & kSign ? kSign - (bits ^ kSign) : bits | kSign;
  if (v != v) key = 0xffffffffu;
  return static_cast<uint64_t>(descending ? ~key : key) << 32 | static_cast<uint64_t>(place);
}

/// Floats and halves, in lanes of less than 2^32.
void sort_floats(const View& values, const View& indices, const View& x, int64_t dim,
                 bool descending) {
  sort_lanes<float>(
      values, indices, x, dim,
      [descending](float v, int64_t place) { return sorting_key(v, place, descending); },
      [](uint64_t key) { return static_cast<int64_t>(key & 0xffffffffu); }, std::less<>());
}

void sort_cpu(const View& values, const View& indices, const View& x, int64_t dim,
              bool descending) {
  const bool narrow = x.ndim == 0 || x.size[dim] <= std::numeric_limits<uint32_t>::max();
  if (is_floating(x.dtype) && x.dtype != DType::f64 && narrow)
    return sort_floats(values, indices, x, dim, descending);
  if (is_floating(x.dtype)) return sort_typed<double>(values, indices, x, dim, descending);
  sort_typed<int64_t>(values, indices, x, dim, descending);
}

NNM_KERNEL(reduce, reduce_cpu);
NNM_KERNEL(extremum, extremum_cpu);
NNM_KERNEL(cumsum, cumsum_cpu);
NNM_KERNEL(sort, sort_cpu);

}  // namespace
}  // namespace nnm
