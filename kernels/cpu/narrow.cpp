// Convolution of few channels: a register tile of pixels times results, over the taps of an image
// with its zeros around it.
#include "kernels/narrow.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/vector.h"
#include "kernels/parallel.h"

namespace nnm {
namespace {

typedef float Wide __attribute__((vector_size(kVectorBytes)));
typedef float Anywhere __attribute__((vector_size(kVectorBytes), aligned(4)));
constexpr int64_t kLanes = kVectorBytes / int64_t{sizeof(float)};

const Anywhere& at(const float* p) { return *reinterpret_cast<const Anywhere*>(p); }
Anywhere& at(float* p) { return *reinterpret_cast<Anywhere*>(p); }

// One image with its zeros around it, and where taps lie in it.
class Image {
 public:
  Image(const View& x, const View& w, const View& y, const Conv2d& p)
      : h_(x.size[2]), w_(x.size[3]), c_(x.size[1]), p_(p) {
    const auto reach = [&](int d) {
      return (y.size[2 + d] - 1) * p.stride[d] + (w.size[2 + d] - 1) * p.dilation[d] + 1;
    };
    rows_ = std::max(reach(0), h_ + p.before[0]), width_ = std::max(reach(1), w_ + p.before[1]);
    pixels_.resize(static_cast<size_t>(rows_ * width_ * c_));
    for (int64_t ky = 0; ky < w.size[2]; ++ky)
      for (int64_t kx = 0; kx < w.size[3]; ++kx)
        for (int64_t c = 0; c < c_; ++c)
          taps_.push_back((ky * p.dilation[0] * width_ + kx * p.dilation[1]) * c_ + c);
  }

  void load(const float* image) {
    for (int64_t y = 0; y < h_; ++y) {
      float* row = pixels_.data() + ((y + p_.before[0]) * width_ + p_.before[1]) * c_;
      std::memcpy(row, image + y * w_ * c_, static_cast<size_t>(w_ * c_) * sizeof(float));
    }
  }

  /// The first tap of the result at (y, x), and from there to that of the next x.
  const float* first(int64_t y, int64_t x) const {
    return pixels_.data() + (y * p_.stride[0] * width_ + x * p_.stride[1]) * c_;
  }
  int64_t step() const { return p_.stride[1] * c_; }
  const std::vector<int64_t>& taps() const { return taps_; }

 private:
  int64_t h_, w_, c_, rows_, width_;
  Conv2d p_;
  std::vector<float> pixels_;
  std::vector<int64_t> taps_;
};

// Weights (O, C, KH, KW) as rows of results, a row a tap (kh, kw, c).
std::vector<float> rows_of_taps(const View& w) {
  const int64_t o = w.size[0], c = w.size[1], area = w.size[2] * w.size[3];
  std::vector<float> rows(static_cast<size_t>(o * c * area));
  const auto* from = w.as<const float>();
  for (int64_t i = 0; i < o; ++i)
    for (int64_t j = 0; j < c; ++j)
      for (int64_t k = 0; k < area; ++k)
        rows[static_cast<size_t>((k * c + j) * o + i)] = from[(i * c + j) * area + k];
  return rows;
}

constexpr int64_t kPixels = 6;  ///< of a register tile

// What is the same for all tiles of an image.
struct Tile {
  const int64_t* taps;
  int64_t count, step, outputs;
};

// y (kP, kV vectors) = bias + the sum over taps of x, its pixels `step` apart, times rows of w.
template <int kP, int kV>
void multiply(const Tile& t, float* y, const float* x, const float* w, const float* bias) {
  Wide sum[kP][kV];
#pragma GCC unroll 6
  for (int r = 0; r < kP; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < kV; ++v) sum[r][v] = bias ? Wide(at(bias + v * kLanes)) : Wide{};
  for (int64_t k = 0; k < t.count; ++k, w += t.outputs) {
    const float* from = x + t.taps[k];
    Wide row[kV];
#pragma GCC unroll 2
    for (int v = 0; v < kV; ++v) row[v] = at(w + v * kLanes);
#pragma GCC unroll 6
    for (int r = 0; r < kP; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < kV; ++v) sum[r][v] += from[r * t.step] * row[v];
  }
#pragma GCC unroll 6
  for (int r = 0; r < kP; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < kV; ++v) at(y + r * t.outputs + v * kLanes) = sum[r][v];
}

using Multiply = void (*)(const Tile&, float*, const float*, const float*, const float*);
template <int kV>
constexpr Multiply kMultiply[] = {nullptr,         multiply<1, kV>, multiply<2, kV>,
                                  multiply<3, kV>, multiply<4, kV>, multiply<5, kV>,
                                  multiply<6, kV>};

// body<kV>(first result) over results, two vectors at a time and a single one at the end.
template <class Body>
void for_results(int64_t outputs, const Body& body) {
  int64_t o = 0;
  for (; o + 2 * kLanes <= outputs; o += 2 * kLanes) body.template operator()<2>(o);
  for (; o < outputs; o += kLanes) body.template operator()<1>(o);
}

void narrow_cpu(const View& y, const View& x, const View& w, const View& bias, const Conv2d& p) {
  if (y.numel() == 0) return;
  const int64_t outputs = y.size[1], rows = y.size[2], columns = y.size[3];
  const std::vector<float> weights = rows_of_taps(w);
  const auto* b = bias.as<const float>();
  parallel_for(y.size[0], 1, [&](int64_t begin, int64_t end) {
    Image image(x, w, y, p);
    const Tile tile{image.taps().data(), static_cast<int64_t>(image.taps().size()), image.step(),
                    outputs};
    const int64_t parts = (columns + kPixels - 1) / kPixels;
    for (int64_t n = begin; n < end; ++n) {
      image.load(x.as<const float>() + n * x.stride[0]);
      float* out = y.as<float>() + n * y.stride[0];
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t i = 0; i < parts; ++i) {
          const int64_t first = columns * i / parts, count = columns * (i + 1) / parts - first;
          for_results(outputs, [&]<int kV>(int64_t o) {
            kMultiply<kV>[count](tile, out + (row * columns + first) * outputs + o,
                                 image.first(row, first), weights.data() + o, b ? b + o : nullptr);
          });
        }
      }
    }
  });
}

// Taps whose sums are in registers at once, beside that of the bias.
constexpr int kTaps = kVectorBytes == 64 ? 9 : 4;
// Pixels summed before they are added to the rest: sums of few lose less.
constexpr int64_t kPixelsSummed = 1024;

// Rows of pixels, and the gradients of them.
struct Rows {
  const Image& image;
  const float* g;
  int64_t first, last, columns, outputs;
};

// sums (kT, kV vectors), rows `outputs` apart, + pixels at kT taps times their gradients; and
// `bias`, unless null, + the gradients.
template <int kT, int kV>
void add_gradients(const Rows& s, const int64_t* taps, float* sums, float* bias) {
  Wide sum[kT][kV] = {}, plain[kV] = {};
  const int64_t step = s.image.step();
  for (int64_t row = s.first; row < s.last; ++row) {
    const float *x = s.image.first(row, 0), *g = s.g + row * s.columns * s.outputs;
    for (int64_t i = 0; i < s.columns; ++i, x += step, g += s.outputs) {
      Wide z[kV];
#pragma GCC unroll 2
      for (int v = 0; v < kV; ++v) {
        z[v] = at(g + v * kLanes);
        plain[v] += z[v];
      }
#pragma GCC unroll 9
      for (int k = 0; k < kT; ++k)
#pragma GCC unroll 2
        for (int v = 0; v < kV; ++v) sum[k][v] += x[taps[k]] * z[v];
    }
  }
#pragma GCC unroll 2
  for (int v = 0; v < kV; ++v) {
#pragma GCC unroll 9
    for (int k = 0; k < kT; ++k) at(sums + k * s.outputs + v * kLanes) += sum[k][v];
    if (bias) at(bias + v * kLanes) += plain[v];
  }
}

using AddGradients = void (*)(const Rows&, const int64_t*, float*, float*);
template <int kV>
constexpr AddGradients kAddGradients[] = {
    nullptr,
    add_gradients<1, kV>,
    add_gradients<2, kV>,
    add_gradients<3, kV>,
    add_gradients<4, kV>,
#ifdef __AVX512F__
    add_gradients<5, kV>,
    add_gradients<6, kV>,
    add_gradients<7, kV>,
    add_gradients<8, kV>,
    add_gradients<9, kV>,
#endif
};

void narrow_gradients_cpu(const View& sums, const View& g, const View& x, const View& w,
                          const Conv2d& p) {
  if (g.numel() == 0) return;
  const int64_t outputs = g.size[1], rows = g.size[2], columns = g.size[3];
  Image image(x, w, g, p);
  const std::vector<int64_t>& taps = image.taps();
  const auto count = static_cast<int64_t>(taps.size()), parts = (count + kTaps - 1) / kTaps;
  const int64_t together = std::max<int64_t>(1, kPixelsSummed / columns);
  auto* out = sums.as<float>();
  for (int64_t n = 0; n < g.size[0]; ++n) {
    image.load(x.as<const float>() + n * x.stride[0]);
    const float* gradients = g.as<const float>() + n * g.stride[0];
    for (int64_t row = 0; row < rows; row += together) {
      for_results(outputs, [&]<int kV>(int64_t o) {
        const Rows s{image, gradients + o, row, std::min(rows, row + together), columns, outputs};
        for (int64_t i = 0; i < parts; ++i) {
          const int64_t k = count * i / parts, last = count * (i + 1) / parts;
          kAddGradients<kV>[last - k](s, taps.data() + k, out + k * outputs + o,
                                      i == 0 ? out + count * outputs + o : nullptr);
        }
      });
    }
  }
}

void narrow_backward_weight_cpu(const View& dw, const View& dbias, const View& sums) {
  const int64_t parts = sums.size[0], o = dw.size[0], c = dw.size[1],
                area = dw.size[2] * dw.size[3], rows = c * area + 1;
  const auto* from = sums.as<const float>();
  auto* to = dw.as<float>();
  const auto total = [&](int64_t row, int64_t i) {
    float sum = 0;
    for (int64_t part = 0; part < parts; ++part) sum += from[(part * rows + row) * o + i];
    return sum;
  };
  for (int64_t i = 0; i < o; ++i)
    for (int64_t j = 0; j < c; ++j)
      for (int64_t k = 0; k < area; ++k) to[(i * c + j) * area + k] = total(k * c + j, i);
  if (!dbias.data) return;
  for (int64_t i = 0; i < o; ++i) dbias.as<float>()[i] = total(rows - 1, i);
}

NNM_KERNEL(narrow, narrow_cpu);
NNM_KERNEL(narrow_gradients, narrow_gradients_cpu);
NNM_KERNEL(narrow_backward_weight, narrow_backward_weight_cpu);

}  // namespace
}  // namespace nnm
