// Gathering rows of a table, and adding gradients back without races.
#include "kernels/embedding.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/cpu/dtype.h"
#include "kernels/parallel.h"

namespace nnm {
namespace {

void embedding_cpu(const View& y, const View& weight, const View& indices) {
  const int64_t width = weight.size[1];
  const size_t bytes = static_cast<size_t>(width) * item_size(weight.dtype);
  const int64_t* at = indices.as<int64_t>();
  parallel_for(indices.numel(), std::max<int64_t>(1, 16384 / std::max<int64_t>(1, width)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   std::memcpy(y.as<char>() + static_cast<size_t>(i) * bytes,
                               weight.as<char>() + static_cast<size_t>(at[i]) * bytes, bytes);
                 }
               });
}

void bounded_indices_cpu(const View& safe, const View& indices, const View& bad, int64_t count,
                         int64_t ignore) {
  const int64_t* at = indices.as<int64_t>();
  for (int64_t i = 0; i < indices.numel(); ++i) {
    const bool good = (at[i] >= 0 && at[i] < count) || at[i] == ignore;
    safe.as<int64_t>()[i] = good ? at[i] : 0;
    if (!good) *bad.as<int64_t>() = 1;
  }
}

template <class T>
void add_row(T* to, const T* g, int64_t n) {
#pragma omp simd
  for (int64_t j = 0; j < n; ++j) to[j] += g[j];
}

// Half types are summed in float, row by row, in a table of the rows that occur.
template <class T>
void add_rows_of_halves(T* to, const T* g, const int64_t* at, int64_t n, int64_t width, int64_t lo,
                        int64_t hi, int64_t skip) {
  std::vector<std::pair<int64_t, int64_t>> order;
  for (int64_t i = 0; i < n; ++i)
    if (at[i] >= lo && at[i] < hi && at[i] != skip) order.emplace_back(at[i], i);
  std::sort(order.begin(), order.end());
  std::vector<float> sum(static_cast<size_t>(width));
  for (size_t i = 0; i < order.size();) {
    const int64_t row = order[i].first;
    std::fill(sum.begin(), sum.end(), 0.0f);
    for (; i < order.size() && order[i].first == row; ++i) {
      const T* p = g + order[i].second * width;
      for (int64_t j = 0; j < width; ++j) sum[static_cast<size_t>(j)] += static_cast<float>(p[j]);
    }
    for (int64_t j = 0; j < width; ++j) to[row * width + j] = T(sum[static_cast<size_t>(j)]);
  }
}

// Every part owns a range of the table's rows, so that sums run in the order of the indices
// whatever the number of threads.
void embedding_backward_cpu(const View& dw, const View& g, const View& indices,
                            int64_t padding_idx) {
  const int64_t rows = dw.size[0], width = dw.size[1], n = indices.numel();
  const int64_t* at = indices.as<int64_t>();
  by_floating(dw.dtype, [&]<class T>() {
    parallel_for(rows, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, width)),
                 [&](int64_t lo, int64_t hi) {
                   T* to = dw.as<T>();
                   std::memset(static_cast<void*>(to + lo * width), 0,
                               static_cast<size_t>((hi - lo) * width) * sizeof(T));
                   if constexpr (kIsHalf<T>) {
                     add_rows_of_halves(to, g.as<T>(), at, n, width, lo, hi, padding_idx);
                   } else {
                     for (int64_t i = 0; i < n; ++i) {
                       if (at[i] >= lo && at[i] < hi && at[i] != padding_idx)
                         add_row(to + at[i] * width, g.as<T>() + i * width, width);
                     }
                   }
                 });
  });
}

}  // namespace

NNM_KERNEL(bounded_indices, bounded_indices_cpu);
NNM_KERNEL(embedding, embedding_cpu);
NNM_KERNEL(embedding_backward, embedding_backward_cpu);

}  // namespace nnm
