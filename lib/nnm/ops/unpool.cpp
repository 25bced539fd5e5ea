// Poolings by the places of maxima: the inverse of max pooling, and windows at random places.
#include "nnm/ops/arguments.h"
#include "nnm/ops/functional.h"
#include "nnm/ops/gemm.h"

namespace nnm {

namespace {

template <int N>
struct Unpooling {
  IntTuple<N> kernel, stride, padding;
  const UnpooledSize& size;
};

std::string tuple_repr(std::span<const int64_t> v) {
  return Value::tuple(Values(v.begin(), v.end())).repr();
}

// The last N extents of the result.
template <int N>
std::vector<int64_t> unpooled_extents(const Tensor& x, const Unpooling<N>& p) {
  std::vector<int64_t> out;
  for (int d = 0; d < N; ++d)
    out.push_back((x.size(d - N) - 1) * p.stride[d] + p.kernel[d] - 2 * p.padding[d]);
  if (p.size) {
    std::span<const int64_t> asked(*p.size);
    if (asked.size() == N + 2) asked = asked.subspan(2);
    NNM_CHECK(asked.size() == N, value,
              "output_size should be a sequence containing {} or {} elements, but it has a length "
              "of '{}'",
              N, N + 2, asked.size());
    for (int d = 0; d < N; ++d) {
      const auto i = static_cast<size_t>(d);
      const int64_t below = out[i] - p.stride[d], above = out[i] + p.stride[d];
      NNM_CHECK(below < asked[i] && asked[i] < above, value,
                "invalid output_size \"{}\" (dim {} must be between {} and {})", tuple_repr(asked),
                d, below, above);
    }
    out.assign(asked.begin(), asked.end());
  }
  for (size_t i = 0; i < out.size(); ++i)
    NNM_CHECK(out[i] >= 0, value,
              "max_unpooling: output_size must contain non-negative spatial dimensions, but got "
              "output_size[{}]={}",
              i, out[i]);
  return out;
}

void check_unpooling(const Tensor& x, const Tensor& indices, int dims) {
  NNM_CHECK(indices.dtype() == DType::i64, runtime,
            "elements in indices should be type int64 but got: {}",
            detail::scalar_type_name(indices.dtype()));
  NNM_CHECK(x.dim() == dims + 1 || x.dim() == dims + 2, runtime,
            "Input to max_unpooling{}d should be a {}d or {}d Tensor, but got a tensor with {} "
            "dimensions.",
            dims, dims + 1, dims + 2, x.dim());
  NNM_CHECK(x.shape() == indices.shape(), runtime,
            "Expected shape of indices to be same as that of the input tensor ({}) but got indices "
            "tensor with shape: {}",
            x.shape().str(), indices.shape().str());
  detail::check_same_device(x, indices);
  detail::check_floating(x, dims == 3 ? "max_unpool3d" : "max_unpool2d");
}

// x at `indices` of the last extents, which are given.
Tensor unpooled(const char* node, const Tensor& x, const Tensor& indices,
                const std::vector<int64_t>& extents) {
  const auto dims = static_cast<int>(extents.size());
  check_unpooling(x, indices, dims);
  Shape shape = x.shape();
  int64_t volume = 1;
  for (int d = 0; d < dims; ++d) {
    shape[x.dim() - dims + d] = extents[static_cast<size_t>(d)];
    volume *= extents[static_cast<size_t>(d)];
  }
  detail::check_index_range(indices, 0, volume, [&](int64_t bad) {
    fail(ErrorKind::runtime, "Found an invalid max index: {} (output volumes are of size {})", bad,
         fmt::join(extents, "x"));
  });
  const Tensor places = flatten(indices, -dims);
  Shape flat = places.shape();
  flat[flat.size() - 1] = volume;
  Tensor y =
      reshape(scatter(zeros(flat, x.options()), -1, places, flatten(x.detach(), -dims)), shape);
  if (!needs_grad({&x})) return y;
  return record(node, y, {&x}, [places = Saved(places), size = x.shape(), dims](Backward& b) {
    b.set(0, reshape(gather(flatten(b.grad(), -dims), -1, places.get()), size));
  });
}

}  // namespace

Tensor max_unpool1d(const Tensor& x, const Tensor& indices, int64_t kernel_size,
                    std::optional<int64_t> stride, int64_t padding,
                    const UnpooledSize& output_size) {
  std::vector<int64_t> extents =
      unpooled_extents<1>(x, {kernel_size, stride.value_or(kernel_size), padding, output_size});
  // An image of one column.
  extents.push_back(1);
  const Tensor image = unsqueeze(x, -1), places = unsqueeze(indices, -1);
  return squeeze(unpooled("MaxUnpool2DBackward0", image, places, extents), -1);
}

Tensor max_unpool2d(const Tensor& x, const Tensor& indices, Size2 kernel_size,
                    OptionalTuple<2> stride, Size2 padding, const UnpooledSize& output_size) {
  return unpooled(
      "MaxUnpool2DBackward0", x, indices,
      unpooled_extents<2>(x, {kernel_size, stride.value_or(kernel_size), padding, output_size}));
}

Tensor max_unpool3d(const Tensor& x, const Tensor& indices, Size3 kernel_size,
                    OptionalTuple<3> stride, Size3 padding, const UnpooledSize& output_size) {
  return unpooled(
      "MaxUnpool3DBackward0", x, indices,
      unpooled_extents<3>(x, {kernel_size, stride.value_or(kernel_size), padding, output_size}));
}

namespace {

/// What messages call the dimensions, the last ones first.
constexpr const char* kSides[] = {"width", "height", "time"};

template <int N>
void check_fractional(const Tensor& x, IntTuple<N> kernel, IntTuple<N> out, const Tensor& samples) {
  const std::string name = fmt::format("fractional_max_pool{}d", N);
  NNM_CHECK(x.dim() == N + 1 || x.dim() == N + 2, runtime,
            "{}(): Expected {}D or {}D tensor, but got: {}", name, N + 1, N + 2, x.shape().str());
  for (int d = x.dim() - N - 1; d < x.dim(); ++d)
    NNM_CHECK(x.shape()[d] > 0, runtime,
              "{}(): Expected input to have non-zero size for non-batch dimensions, but got{} with "
              "dimension {} being empty.",
              name, x.shape().str(), d);
  for (int d = 0; d < N; ++d) {
    const char* side = kSides[N - 1 - d];
    NNM_CHECK(kernel[d] > 0, runtime, "kernel size should be greater than zero, but got a {} of {}",
              side, kernel[d]);
    // PyTorch asks for one more in volumes.
    NNM_CHECK(out[d] + kernel[d] - (N == 3 ? 0 : 1) <= x.size(d - N), runtime,
              "{}(): pool {} {} too large relative to input {} {}", name, side, kernel[d], side,
              x.size(d - N));
  }
  detail::check_floating(x, name.c_str());
  if (!samples.defined()) return;
  NNM_CHECK(samples.dim() == 3, runtime, "Expect _random_samples to have 3 dimensions, got {}",
            samples.dim());
  NNM_CHECK(x.dim() == N + 1 || samples.size(0) >= x.size(0), runtime,
            "Expect _random_samples.size(0) no less then input batch size.");
  NNM_CHECK(samples.size(1) == x.size(-N - 1), runtime,
            "Expect _random_samples.size(1) equals to input channel size.");
  NNM_CHECK(samples.size(2) == N, runtime, "Expect _random_samples.size(2) equals to {}; got {}.",
            N, samples.size(2));
}

// Where `out` windows of extent `kernel` begin along n positions: (N, C, out) of samples (N, C).
Tensor window_starts(const Tensor& samples, int64_t n, int64_t out, int64_t kernel) {
  Shape last = samples.shape();
  last.push_back(1);
  const TensorOptions whole{DType::i64, samples.device()};
  const Tensor end = full(last, n - kernel, whole);
  if (out < 2) return narrow(end, 2, 0, out);
  const double step = static_cast<double>(n - kernel) / static_cast<double>(out - 1);
  const Tensor s = unsqueeze(samples, 2);
  const Tensor i = arange(0, out - 1, 1, samples.dtype(), samples.device());
  const Tensor at = floor((i + s) * Scalar(step)) - floor(s * Scalar(step));
  return cat({to(at, DType::i64), end}, 2);
}

// The places in the images of all elements of all windows: (N, C, product of out, of kernel).
template <int N>
Tensor window_places(const Tensor& x, IntTuple<N> kernel, IntTuple<N> out, const Tensor& samples) {
  Tensor places;
  for (int d = 0; d < N; ++d) {
    // PyTorch's samples of images are for the width first, those of volumes for the depth.
    const Tensor sample = select(samples, 2, N == 2 ? 1 - d : d);
    const Tensor first = window_starts(sample, x.size(d - N), out[d], kernel[d]);
    const Tensor along = unsqueeze(first, 3) + arange(0, kernel[d], 1, DType::i64, x.device());
    Shape shape = Shape::filled(2 + 2 * N, 1);
    shape[0] = x.size(0);
    shape[1] = x.size(1);
    shape[2 + d] = out[d];
    shape[2 + N + d] = kernel[d];
    const Tensor part = reshape(along, shape);
    places = d == 0 ? part : places * Scalar(x.size(d - N)) + part;
  }
  return flatten(flatten(places, 2 + N), 2, 1 + N);
}

template <int N>
std::pair<Tensor, Tensor> fractional_max_pool(const char* node, const Tensor& x,
                                              IntTuple<N> kernel_size, IntTuple<N> output_size,
                                              const Tensor& random_samples) {
  detail::check_defined(x, "fractional_max_pool");
  check_fractional<N>(x, kernel_size, output_size, random_samples);
  const Tensor image = x.dim() == N + 1 ? unsqueeze(x.detach(), 0) : x.detach();
  const int64_t n = image.size(0), c = image.size(1);
  const Tensor samples = random_samples.defined() ? narrow(random_samples.detach(), 0, 0, n)
                                                  : rand({n, c, N}, x.options());
  const Tensor places = window_places<N>(image, kernel_size, output_size, samples);
  const Tensor seen = gather(flatten(image, 2), 2, flatten(places, 2));
  const auto [largest, which] = max(reshape(seen, places.shape()), 3);
  Shape shape = x.shape();
  for (int d = 0; d < N; ++d) shape[x.dim() - N + d] = output_size[d];
  const Tensor at = squeeze(gather(places, 3, unsqueeze(which, 3)), 3), y = reshape(largest, shape);
  const Tensor indices = reshape(at, shape);
  if (!needs_grad({&x})) return {y, indices};
  record(node, y, {&x},
         [at = Saved(at), size = x.shape(), flat = flatten(image, 2).shape()](Backward& b) {
           const Tensor g = reshape(b.grad(), at.get().shape());
           b.set(0, reshape(scatter_add(zeros(flat, g.options()), 2, at.get(), g), size));
         });
  return {y, indices};
}

template <int N>
IntTuple<N> fractional_size(const Tensor& x, const OptionalTuple<N>& size, const Value& ratio) {
  NNM_CHECK(size || !ratio.is_none(), value,
            "fractional_max_pool{}d requires specifying either an output_size or an output_ratio",
            N);
  if (size) return *size;
  const std::vector<double> r = detail::numbers<double>(ratio);
  NNM_CHECK(r.size() == 1 || r.size() == N, value,
            "fractional_max_pool{}d requires output_ratio to either be a single Int or tuple of "
            "Ints.",
            N);
  IntTuple<N> out;
  for (int d = 0; d < N; ++d) {
    const double share = r.size() == 1 ? r[0] : r[static_cast<size_t>(d)];
    out.v[static_cast<size_t>(d)] =
        static_cast<int64_t>(static_cast<double>(x.size(d - N)) * share);
  }
  return out;
}

}  // namespace

std::pair<Tensor, Tensor> fractional_max_pool2d_with_indices(const Tensor& x, Size2 kernel_size,
                                                             Size2 output_size,
                                                             const Tensor& random_samples) {
  return fractional_max_pool<2>("FractionalMaxPool2DBackward0", x, kernel_size, output_size,
                                random_samples);
}

std::pair<Tensor, Tensor> fractional_max_pool3d_with_indices(const Tensor& x, Size3 kernel_size,
                                                             Size3 output_size,
                                                             const Tensor& random_samples) {
  return fractional_max_pool<3>("FractionalMaxPool3DBackward0", x, kernel_size, output_size,
                                random_samples);
}

Size2 fractional_output_size(const Tensor& x, const OptionalTuple<2>& size, const Value& ratio) {
  return fractional_size<2>(x, size, ratio);
}
Size3 fractional_output_size(const Tensor& x, const OptionalTuple<3>& size, const Value& ratio) {
  return fractional_size<3>(x, size, ratio);
}

namespace {

using Size1 = IntTuple<1>;
using Sizes = std::optional<std::vector<int64_t>>;

Tensor max_unpool1d_call(const Tensor& x, const Tensor& indices, const Size1& k,
                         const std::optional<Size1>& stride, const Size1& padding,
                         const Sizes& output_size) {
  return max_unpool1d(x, indices, k[0], stride ? std::optional((*stride)[0]) : std::nullopt,
                      padding[0], output_size);
}

template <int N, auto F>
Value fractional_call(const Value* a) {
  const Tensor x = Codec<Tensor>::read(a[0]);
  const auto result = F(x, Codec<IntTuple<N>>::read(a[1]),
                        fractional_output_size(x, Codec<OptionalTuple<N>>::read(a[2]), a[3]),
                        a[5].is_none() ? Tensor() : a[5].as<Tensor>());
  return a[4].boolean() ? detail::to_value(result) : Value(result.first);
}

constexpr Function kUnpoolFunctions[] = {
    {"max_unpool1d(input: Tensor, indices: Tensor, kernel_size: int[1], stride: int[1]? = none, "
     "padding: int[1] = 0, output_size: int[]? = none)",
     "the inverse of max_pool1d, zeros elsewhere", call<max_unpool1d_call>},
    {"max_unpool2d(input: Tensor, indices: Tensor, kernel_size: int[2], stride: int[2]? = none, "
     "padding: int[2] = 0, output_size: int[]? = none)",
     "the inverse of max_pool2d, zeros elsewhere", call<max_unpool2d>},
    {"max_unpool3d(input: Tensor, indices: Tensor, kernel_size: int[3], stride: int[3]? = none, "
     "padding: int[3] = 0, output_size: int[]? = none)",
     "the inverse of max_pool3d, zeros elsewhere", call<max_unpool3d>},
    {"fractional_max_pool2d(input: Tensor, kernel_size: int[2], output_size: int[2]? = none, "
     "output_ratio = none, return_indices: bool = false, _random_samples: Tensor? = none)",
     "maxima of windows at random places of (N, C, H, W)",
     fractional_call<2, fractional_max_pool2d_with_indices>},
    {"fractional_max_pool3d(input: Tensor, kernel_size: int[3], output_size: int[3]? = none, "
     "output_ratio = none, return_indices: bool = false, _random_samples: Tensor? = none)",
     "maxima of windows at random places of (N, C, D, H, W)",
     fractional_call<3, fractional_max_pool3d_with_indices>},
};
NNM_REGISTER_FUNCTIONS(kUnpoolFunctions);

}  // namespace
}  // namespace nnm
