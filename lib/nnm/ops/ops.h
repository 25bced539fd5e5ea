// The operations: differentiable free functions with PyTorch's names, arguments and defaults. They
// check what they are given, allocate the result, call kernels and record the gradient. The same
// functions run on the meta device, where only shapes and types are computed.
//
// Errors are Error(runtime/type/index/value) with PyTorch's texts where it has one.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nnm/tensor/generator.h"
#include "nnm/tensor/tensor.h"

namespace nnm {

using Dims = std::vector<int64_t>;
using Size2 = IntTuple<2>;

/// torch.set_default_device: where this thread's config functions (`zeros`, `arange`, `randn` …)
/// create tensors unless told otherwise. The functions below take the device from their options
/// alone.
Device default_device();
void set_default_device(Device device);
class DefaultDeviceGuard {
 public:
  explicit DefaultDeviceGuard(Device d) : before_(default_device()) { set_default_device(d); }
  ~DefaultDeviceGuard() { set_default_device(before_); }
  DefaultDeviceGuard(const DefaultDeviceGuard&) = delete;

 private:
  Device before_;
};

// Creation. `options` says dtype and device.
Tensor zeros(const Shape& size, TensorOptions options = {});
Tensor ones(const Shape& size, TensorOptions options = {});
Tensor full(const Shape& size, Scalar value, TensorOptions options = {});
Tensor zeros_like(const Tensor& x);
Tensor ones_like(const Tensor& x);
Tensor full_like(const Tensor& x, Scalar value);
/// start, start + step … below end; i64 for integers, f32 otherwise, unless dtype is given.
Tensor arange(Scalar start, Scalar end, Scalar step = 1, std::optional<DType> dtype = {},
              Device device = {});
inline Tensor arange(Scalar end) { return arange(0, end); }
Tensor linspace(double start, double end, int64_t steps, TensorOptions options = {});
Tensor eye(int64_t n, int64_t m = -1, TensorOptions options = {});
Tensor one_hot(const Tensor& x, int64_t num_classes = -1);
/// Numbers, or lists of them nested to any depth.
class TensorData {
 public:
  TensorData() : shape_{0} {}
  template <class T>
  requires std::is_arithmetic_v<T> TensorData(T number)
      : values_{
            Scalar(static_cast<
                   std::conditional_t<std::is_floating_point_v<T>, double,
                                      std::conditional_t<std::is_same_v<T, bool>, bool, int64_t>>>(
                number))} {}
  /// Throws Error(value) for lists of different lengths.
  TensorData(std::initializer_list<TensorData> items);
  const std::vector<Scalar>& values() const { return values_; }
  const Shape& shape() const { return shape_; }

 private:
  std::vector<Scalar> values_;
  Shape shape_;
};
/// torch.tensor: tensor({{1, 2}, {3, 4}}); bool, i64 or f32 as the numbers are, unless dtype is
/// given.
Tensor tensor(const TensorData& data, std::optional<DType> dtype = {}, Device device = {});
/// A 0-d tensor: bool -> bool, int -> i64, float -> f32.
Tensor scalar_tensor(Scalar value, std::optional<DType> dtype = {}, Device device = {});

// Random. Philox, element-indexed; `generator` null is the default generator of the process.
Tensor rand(const Shape& size, TensorOptions options = {}, Generator* generator = nullptr);
Tensor randn(const Shape& size, TensorOptions options = {}, Generator* generator = nullptr);
Tensor randint(int64_t low, int64_t high, const Shape& size, Generator* generator = nullptr);
Tensor randperm(int64_t n, Generator* generator = nullptr);
Tensor bernoulli(const Tensor& p, Generator* generator = nullptr);
void uniform_(const Tensor& x, double from, double to, Generator* generator = nullptr);
void normal_(const Tensor& x, double mean, double std, Generator* generator = nullptr);
void trunc_normal_(const Tensor& x, double mean, double std, double a, double b,
                   Generator* generator = nullptr);

// Copies, casts, layout.
Tensor clone(const Tensor& x);
Tensor contiguous(const Tensor& x);       ///< x itself when it already is
Tensor to(const Tensor& x, DType dtype);  ///< x itself when nothing changes
Tensor to(const Tensor& x, TensorOptions options);
Tensor channels_last(const Tensor& x);  ///< (N, C, H, W) with C innermost in memory
/// self[...] = src, broadcast and converted.
void copy_(const Tensor& self, const Tensor& src);
void fill_(const Tensor& self, Scalar value);
void zero_(const Tensor& self);

// Views.
Tensor reshape(const Tensor& x,
               const Shape& shape);                ///< one extent may be -1; copies only if it must
Tensor view(const Tensor& x, const Shape& shape);  ///< never copies, else Error(runtime)
Tensor flatten(const Tensor& x, int64_t start_dim = 0, int64_t end_dim = -1);
Tensor unflatten(const Tensor& x, int64_t dim, const Shape& sizes);
Tensor squeeze(const Tensor& x);
Tensor squeeze(const Tensor& x, int64_t dim);
Tensor unsqueeze(const Tensor& x, int64_t dim);
Tensor permute(const Tensor& x, const Dims& dims);
Tensor transpose(const Tensor& x, int64_t dim0, int64_t dim1);
Tensor t(const Tensor& x);
Tensor movedim(const Tensor& x, const Dims& source, const Dims& destination);
Tensor expand(const Tensor& x, const Shape& size);
Tensor broadcast_to(const Tensor& x, const Shape& size);
Tensor narrow(const Tensor& x, int64_t dim, int64_t start, int64_t length);
Tensor select(const Tensor& x, int64_t dim, int64_t index);
Tensor slice(const Tensor& x, int64_t dim, std::optional<int64_t> start, std::optional<int64_t> end,
             int64_t step = 1);
Tensor diagonal(const Tensor& x, int64_t offset = 0, int64_t dim1 = 0, int64_t dim2 = 1);
Tensors split(const Tensor& x, int64_t split_size, int64_t dim = 0);
Tensors split(const Tensor& x, const Dims& sizes, int64_t dim = 0);
Tensors chunk(const Tensor& x, int64_t chunks, int64_t dim = 0);
Tensors unbind(const Tensor& x, int64_t dim = 0);
/// What a pattern of einops means for a tensor: a reshape, a permutation, a reshape.
struct Rearrangement {
  Shape split;
  Dims order;
  Shape joined;
};
Rearrangement rearrangement(const Shape& shape, const std::string& pattern,
                            const std::vector<std::pair<std::string, int64_t>>& sizes = {});
/// einops' notation: "b t (n h e) -> n b h t e" with the sizes of what cannot be inferred.
Tensor rearrange(const Tensor& x, const std::string& pattern,
                 const std::vector<std::pair<std::string, int64_t>>& sizes = {});

// Joining, indexing.
Tensor cat(const Tensors& tensors, int64_t dim = 0);
Tensor stack(const Tensors& tensors, int64_t dim = 0);
Tensor repeat(const Tensor& x, const Shape& repeats);
Tensor repeat_interleave(const Tensor& x, int64_t repeats, std::optional<int64_t> dim = {});
Tensor tile(const Tensor& x, const Shape& dims);
Tensor roll(const Tensor& x, const Dims& shifts, const Dims& dims = {});
Tensor flip(const Tensor& x, const Dims& dims);
/// x[index]: a tuple or one of int, slice, none, ellipsis, bool mask, integer tensor.
Tensor index(const Tensor& x, const Value& index);
Tensor index_select(const Tensor& x, int64_t dim, const Tensor& index);
Tensor gather(const Tensor& x, int64_t dim, const Tensor& index);
Tensor scatter_add(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src);
Tensor scatter(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src);
/// x with alpha * source added at the places `index` (n) of dimension `dim`.
Tensor index_add(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                 Scalar alpha = 1);
Tensor masked_fill(const Tensor& x, const Tensor& mask, Scalar value);
Tensor masked_select(const Tensor& x, const Tensor& mask);
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
Tensor tril(const Tensor& x, int64_t diagonal = 0);
Tensor triu(const Tensor& x, int64_t diagonal = 0);
Tensor pad(const Tensor& x, const Dims& pad, const std::string& mode = "constant",
           double value = 0);
std::pair<Tensor, Tensor> topk(const Tensor& x, int64_t k, int64_t dim = -1, bool largest = true,
                               bool sorted = true);
std::pair<Tensor, Tensor> sort(const Tensor& x, int64_t dim = -1, bool descending = false);
Tensor argsort(const Tensor& x, int64_t dim = -1, bool descending = false);

// Pointwise, two operands: broadcast, promoted. Scalars do not promote within a category.
Tensor add(const Tensor& a, const Tensor& b, Scalar alpha = 1);
Tensor add(const Tensor& a, Scalar b);
Tensor sub(const Tensor& a, const Tensor& b, Scalar alpha = 1);
Tensor sub(const Tensor& a, Scalar b);
Tensor rsub(Scalar a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, Scalar b);
Tensor div(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, Scalar b);
Tensor div(Scalar a, const Tensor& b);
Tensor floor_divide(const Tensor& a, const Tensor& b);
Tensor floor_divide(const Tensor& a, Scalar b);
Tensor remainder(const Tensor& a, const Tensor& b);
Tensor remainder(const Tensor& a, Scalar b);
Tensor pow(const Tensor& a, const Tensor& b);
Tensor pow(const Tensor& a, Scalar b);
Tensor pow(Scalar a, const Tensor& b);
Tensor maximum(const Tensor& a, const Tensor& b);
Tensor minimum(const Tensor& a, const Tensor& b);
Tensor atan2(const Tensor& a, const Tensor& b);
Tensor eq(const Tensor& a, const Tensor& b);
Tensor eq(const Tensor& a, Scalar b);
Tensor ne(const Tensor& a, const Tensor& b);
Tensor ne(const Tensor& a, Scalar b);
Tensor lt(const Tensor& a, const Tensor& b);
Tensor lt(const Tensor& a, Scalar b);
Tensor le(const Tensor& a, const Tensor& b);
Tensor le(const Tensor& a, Scalar b);
Tensor gt(const Tensor& a, const Tensor& b);
Tensor gt(const Tensor& a, Scalar b);
Tensor ge(const Tensor& a, const Tensor& b);
Tensor ge(const Tensor& a, Scalar b);
Tensor logical_and(const Tensor& a, const Tensor& b);
Tensor logical_or(const Tensor& a, const Tensor& b);
Tensor logical_xor(const Tensor& a, const Tensor& b);
Tensor logical_not(const Tensor& a);
Tensor lerp(const Tensor& a, const Tensor& b, double weight);
inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator+(const Tensor& a, Scalar b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator-(const Tensor& a, Scalar b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator*(const Tensor& a, Scalar b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator/(const Tensor& a, Scalar b) { return div(a, b); }
inline Tensor operator+(Scalar a, const Tensor& b) { return add(b, a); }
inline Tensor operator-(Scalar a, const Tensor& b) { return rsub(a, b); }
inline Tensor operator*(Scalar a, const Tensor& b) { return mul(b, a); }
inline Tensor operator/(Scalar a, const Tensor& b) { return div(a, b); }

// Made of the above.
Tensor isnan(const Tensor& x);
Tensor isinf(const Tensor& x);
Tensor isfinite(const Tensor& x);
Tensor isclose(const Tensor& a, const Tensor& b, double rtol = 1e-5, double atol = 1e-8,
               bool equal_nan = false);
Tensor nan_to_num(const Tensor& x, double nan = 0, std::optional<double> posinf = {},
                  std::optional<double> neginf = {});
/// x + value a b, x + value a / b.
Tensor addcmul(const Tensor& x, const Tensor& a, const Tensor& b, Scalar value = 1);
Tensor addcdiv(const Tensor& x, const Tensor& a, const Tensor& b, Scalar value = 1);
Tensor hypot(const Tensor& a, const Tensor& b);
Tensor logaddexp(const Tensor& a, const Tensor& b);
Tensor logit(const Tensor& x, std::optional<double> eps = {});
/// Differences of neighbours along `dim`, n times.
Tensor diff(const Tensor& x, int64_t n = 1, int64_t dim = -1);
Tensor trace(const Tensor& x);
/// The diagonal of a matrix, or a matrix with this diagonal.
Tensor diag(const Tensor& x, int64_t diagonal = 0);
std::pair<Tensor, Tensor> var_mean(const Tensor& x, const Dims& dims = {}, double correction = 1,
                                   bool keepdim = false);
std::pair<Tensor, Tensor> std_mean(const Tensor& x, const Dims& dims = {}, double correction = 1,
                                   bool keepdim = false);
/// Sum and mean of what is not NaN.
Tensor nansum(const Tensor& x, const Dims& dims = {}, bool keepdim = false);
Tensor nanmean(const Tensor& x, const Dims& dims = {}, bool keepdim = false);
/// Running products in float64; integers give i64.
Tensor cumprod(const Tensor& x, int64_t dim, std::optional<DType> dtype = {});
/// beta input + alpha (the products); with a beta of 0 the input's NaN is left out.
Tensor baddbmm(const Tensor& input, const Tensor& a, const Tensor& b, double beta = 1,
               double alpha = 1);
Tensor addbmm(const Tensor& input, const Tensor& a, const Tensor& b, double beta = 1,
              double alpha = 1);
Tensor addmv(const Tensor& input, const Tensor& mat, const Tensor& vec, double beta = 1,
             double alpha = 1);
/// Products over the last dimensions of both.
Tensor inner(const Tensor& a, const Tensor& b);
/// Products over these dimensions of a and those of b; as many of each.
Tensor tensordot(const Tensor& a, const Tensor& b, const Dims& dims_a, const Dims& dims_b);
Tensor kron(const Tensor& a, const Tensor& b);
/// x1 (*, P, M), x2 (*, R, M): the p-norms (*, P, R) of all differences of rows. Distances of p 2
/// come of a product of matrices where `compute_mode` asks for it, as by default where there are
/// more than 25 rows: faster, and less exact between rows that are close.
Tensor cdist(const Tensor& x1, const Tensor& x2, double p = 2,
             const std::string& compute_mode = "use_mm_for_euclid_dist_if_necessary");
/// The lower of two middle elements and where it stands; NaN where there is one.
std::pair<Tensor, Tensor> median(const Tensor& x, int64_t dim, bool keepdim = false);
Tensor median(const Tensor& x);
/// How many of a sorted sequence (N), or of each row of one (*, N), stand before each value:
/// `right` counts those that are equal as well. i64.
Tensor searchsorted(const Tensor& sorted, const Tensor& values, bool right = false);
/// How often each number from 0 on stands in x, or the sums of its weights.
Tensor bincount(const Tensor& x, const Tensor& weights = {}, int64_t minlength = 0);
Tensor isin(const Tensor& elements, const Tensor& test_elements, bool invert = false);
/// The places (n, rank) of what is not 0, row-major; on meta, where nobody knows, all.
Tensor nonzero(const Tensor& x);
/// Softmax of (logits + Gumbel noise) / tau; `hard`: one-hot, with the gradient of the soft one.
Tensor gumbel_softmax(const Tensor& logits, double tau = 1, bool hard = false, int64_t dim = -1,
                      Generator* generator = nullptr);
/// Places (n) or (rows, n) drawn by the weights (C) or (rows, C), which need not sum to one.
Tensor multinomial(const Tensor& weights, int64_t num_samples, bool replacement = false,
                   Generator* generator = nullptr);
/// x on the diagonal of dim1 and dim2 of a tensor that is 0 elsewhere.
Tensor diag_embed(const Tensor& x, int64_t offset = 0, int64_t dim1 = -2, int64_t dim2 = -1);
/// A number, or slices of a source, at places of a dimension.
Tensor index_fill(const Tensor& x, int64_t dim, const Tensor& index, Scalar value);
Tensor index_copy(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source);
/// Parts whose extents differ by one at most, the longer ones first; or parts that end at indices.
Tensors tensor_split(const Tensor& x, int64_t sections, int64_t dim = 0);
Tensors tensor_split(const Tensor& x, const std::vector<int64_t>& indices, int64_t dim = 0);
Tensors broadcast_tensors(const Tensors& tensors);
/// (2, n) rows and columns of a triangle, row by row.
Tensor tril_indices(int64_t row, int64_t col, int64_t offset = 0);
Tensor triu_indices(int64_t row, int64_t col, int64_t offset = 0);
/// (N, C, *) with the channels of several groups in turn.
Tensor channel_shuffle(const Tensor& x, int64_t groups);
/// (*, C r², H, W) to (*, C, H r, W r), and back.
Tensor pixel_shuffle(const Tensor& x, int64_t upscale_factor);
Tensor pixel_unshuffle(const Tensor& x, int64_t downscale_factor);
/// x (N, C, d1, …) resampled to `size`, or to extents times `scale_factor`: one of the two, of one
/// number for all spatial dimensions or one for each. `mode`: nearest, nearest-exact, linear (3-D),
/// bilinear, bicubic (4-D), trilinear (5-D) or area. Throws as F.interpolate does.
Tensor interpolate(const Tensor& x, const std::vector<int64_t>& size,
                   const std::vector<double>& scale_factor, const std::string& mode = "nearest",
                   std::optional<bool> align_corners = {}, bool recompute_scale_factor = false);
Tensors meshgrid(const Tensors& tensors, const std::string& indexing = "ij");

// In place, on the tape where needed (not on a view that needs a gradient and has its base still).
const Tensor& add_(const Tensor& self, const Tensor& b, Scalar alpha = 1);
const Tensor& add_(const Tensor& self, Scalar b);
const Tensor& sub_(const Tensor& self, const Tensor& b, Scalar alpha = 1);
const Tensor& mul_(const Tensor& self, const Tensor& b);
const Tensor& mul_(const Tensor& self, Scalar b);
const Tensor& div_(const Tensor& self, Scalar b);
const Tensor& relu_(const Tensor& self);
/// f(self) written into self and put on the tape: `inplace=true` of any activation. f's result has
/// self's shape and type.
const Tensor& apply_(const Tensor& self, const std::function<Tensor(const Tensor&)>& f);

// Pointwise, one operand. Every row of kernels/pointwise.def without parameters is declared here:
// relu, sigmoid, exp, log, sqrt, abs, neg, sin, erf, …
#define NNM_UNARY(name, ...) Tensor name(const Tensor& x);
#include "kernels/pointwise.def"
#undef NNM_UNARY
inline Tensor operator-(const Tensor& x) { return neg(x); }
// … and those with parameters.
Tensor clamp(const Tensor& x, std::optional<Scalar> min = {}, std::optional<Scalar> max = {});
Tensor leaky_relu(const Tensor& x, double negative_slope = 0.01);
Tensor elu(const Tensor& x, double alpha = 1.0);
Tensor celu(const Tensor& x, double alpha = 1.0);
Tensor selu(const Tensor& x);
Tensor gelu(const Tensor& x, const std::string& approximate = "none");
Tensor softplus(const Tensor& x, double beta = 1.0, double threshold = 20.0);
Tensor hardtanh(const Tensor& x, double min_val = -1.0, double max_val = 1.0);
Tensor hardshrink(const Tensor& x, double lambd = 0.5);
Tensor softshrink(const Tensor& x, double lambd = 0.5);
Tensor threshold(const Tensor& x, double threshold, double value);
Tensor prelu(const Tensor& x, const Tensor& weight);
Tensor glu(const Tensor& x, int64_t dim = -1);

// Reductions. No dims: all of them.
Tensor sum(const Tensor& x, const Dims& dims = {}, bool keepdim = false,
           std::optional<DType> dtype = {});
Tensor mean(const Tensor& x, const Dims& dims = {}, bool keepdim = false,
            std::optional<DType> dtype = {});
Tensor var(const Tensor& x, const Dims& dims = {}, double correction = 1, bool keepdim = false);
Tensor std(const Tensor& x, const Dims& dims = {}, double correction = 1, bool keepdim = false);
Tensor prod(const Tensor& x, std::optional<int64_t> dim = {}, bool keepdim = false,
            std::optional<DType> dtype = {});
Tensor max(const Tensor& x);
Tensor min(const Tensor& x);
std::pair<Tensor, Tensor> max(const Tensor& x, int64_t dim,
                              bool keepdim = false);  ///< values, indices
std::pair<Tensor, Tensor> min(const Tensor& x, int64_t dim, bool keepdim = false);
Tensor amax(const Tensor& x, const Dims& dims = {}, bool keepdim = false);
Tensor amin(const Tensor& x, const Dims& dims = {}, bool keepdim = false);
Tensor argmax(const Tensor& x, std::optional<int64_t> dim = {}, bool keepdim = false);
Tensor argmin(const Tensor& x, std::optional<int64_t> dim = {}, bool keepdim = false);
Tensor any(const Tensor& x, const Dims& dims = {}, bool keepdim = false);
Tensor all(const Tensor& x, const Dims& dims = {}, bool keepdim = false);
Tensor norm(const Tensor& x, double p = 2, const Dims& dims = {}, bool keepdim = false);
Tensor logsumexp(const Tensor& x, const Dims& dims, bool keepdim = false);
Tensor cumsum(const Tensor& x, int64_t dim, std::optional<DType> dtype = {});
/// Sums `x` to `shape`, undoing a broadcast: what gradients of broadcast operands need.
Tensor sum_to(const Tensor& x, const Shape& shape);
bool allclose(const Tensor& a, const Tensor& b, double rtol = 1e-5, double atol = 1e-8,
              bool equal_nan = false);
bool equal(const Tensor& a, const Tensor& b);

// Linear algebra.
Tensor matmul(const Tensor& a, const Tensor& b);
Tensor mm(const Tensor& a, const Tensor& b);
Tensor bmm(const Tensor& a, const Tensor& b);
Tensor addmm(const Tensor& input, const Tensor& a, const Tensor& b, double beta = 1,
             double alpha = 1);
Tensor dot(const Tensor& a, const Tensor& b);
Tensor outer(const Tensor& a, const Tensor& b);
Tensor einsum(const std::string& equation, const Tensors& operands);
/// x (*, in) W^T (out, in) + b (out): torch.nn.functional.linear.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});
Tensor bilinear(const Tensor& x1, const Tensor& x2, const Tensor& weight, const Tensor& bias = {});

// Network functions (torch.nn.functional).
Tensor softmax(const Tensor& x, int64_t dim);
Tensor log_softmax(const Tensor& x, int64_t dim);
Tensor softmin(const Tensor& x, int64_t dim);
Tensor dropout(const Tensor& x, double p = 0.5, bool training = true,
               Generator* generator = nullptr);
/// Drops whole channels of x (N, C, …): dropout1d, dropout2d, dropout3d.
Tensor feature_dropout(const Tensor& x, double p = 0.5, bool training = true,
                       Generator* generator = nullptr);
/// Keeps the mean and variance of selu's outputs.
Tensor alpha_dropout(const Tensor& x, double p = 0.5, bool training = false,
                     Generator* generator = nullptr);
Tensor normalize(const Tensor& x, double p = 2, int64_t dim = 1, double eps = 1e-12);
Tensor cosine_similarity(const Tensor& a, const Tensor& b, int64_t dim = 1, double eps = 1e-8);
Tensor pairwise_distance(const Tensor& a, const Tensor& b, double p = 2, double eps = 1e-6,
                         bool keepdim = false);
/// PyTorch's words for padding: none, or as much as keeps the extent (strides of 1 only; where it
/// is odd, one more zero behind than before).
enum class Padding : uint8_t { valid, same };
/// "valid" or "same", else Error(value).
Padding parse_padding(const std::string& word);
/// x (N, C, L) or (C, L), weight (O, C / groups, K).
Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, int64_t stride = 1,
              int64_t padding = 0, int64_t dilation = 1, int64_t groups = 1);
Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t stride,
              Padding padding, int64_t dilation = 1, int64_t groups = 1);
/// x (N, C, H, W) or (C, H, W), weight (O, C / groups, KH, KW). The result is channels_last in
/// memory where that is the faster layout.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, Size2 stride = 1,
              Size2 padding = 0, Size2 dilation = 1, int64_t groups = 1);
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, Size2 stride,
              Padding padding, Size2 dilation = 1, int64_t groups = 1);
/// x (N, C, L) or (C, L), weight (C, O / groups, K). Mind PyTorch's order: groups before dilation.
Tensor conv_transpose1d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                        int64_t stride = 1, int64_t padding = 0, int64_t output_padding = 0,
                        int64_t groups = 1, int64_t dilation = 1);
/// x (N, C, H, W) or (C, H, W), weight (C, O / groups, KH, KW).
Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                        Size2 stride = 1, Size2 padding = 0, Size2 output_padding = 0,
                        int64_t groups = 1, Size2 dilation = 1);
Tensor max_pool1d(const Tensor& x, int64_t kernel_size, std::optional<int64_t> stride = {},
                  int64_t padding = 0, int64_t dilation = 1, bool ceil_mode = false);
std::pair<Tensor, Tensor> max_pool1d_with_indices(const Tensor& x, int64_t kernel_size,
                                                  std::optional<int64_t> stride = {},
                                                  int64_t padding = 0, int64_t dilation = 1,
                                                  bool ceil_mode = false);
Tensor max_pool2d(const Tensor& x, Size2 kernel_size, OptionalTuple<2> stride = {},
                  Size2 padding = 0, Size2 dilation = 1, bool ceil_mode = false);
/// The maxima and their places h W + w (i64).
std::pair<Tensor, Tensor> max_pool2d_with_indices(const Tensor& x, Size2 kernel_size,
                                                  OptionalTuple<2> stride = {}, Size2 padding = 0,
                                                  Size2 dilation = 1, bool ceil_mode = false);
Tensor avg_pool1d(const Tensor& x, int64_t kernel_size, std::optional<int64_t> stride = {},
                  int64_t padding = 0, bool ceil_mode = false, bool count_include_pad = true);
Tensor avg_pool2d(const Tensor& x, Size2 kernel_size, OptionalTuple<2> stride = {},
                  Size2 padding = 0, bool ceil_mode = false, bool count_include_pad = true,
                  std::optional<int64_t> divisor_override = {});
/// Output extents; none keeps the input's.
using OptSize2 = std::pair<std::optional<int64_t>, std::optional<int64_t>>;
Tensor adaptive_avg_pool1d(const Tensor& x, int64_t output_size);
Tensor adaptive_avg_pool2d(const Tensor& x, OptSize2 output_size);
Tensor adaptive_max_pool1d(const Tensor& x, int64_t output_size);
std::pair<Tensor, Tensor> adaptive_max_pool1d_with_indices(const Tensor& x, int64_t output_size);
Tensor adaptive_max_pool2d(const Tensor& x, OptSize2 output_size);
std::pair<Tensor, Tensor> adaptive_max_pool2d_with_indices(const Tensor& x, OptSize2 output_size);
/// Running statistics are updated in place when training; both or none of them may be undefined.
Tensor batch_norm(const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                  const Tensor& weight = {}, const Tensor& bias = {}, bool training = false,
                  double momentum = 0.1, double eps = 1e-5);
Tensor layer_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& weight = {},
                  const Tensor& bias = {}, double eps = 1e-5);
Tensor group_norm(const Tensor& x, int64_t num_groups, const Tensor& weight = {},
                  const Tensor& bias = {}, double eps = 1e-5);
Tensor rms_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& weight = {},
                std::optional<double> eps = {});
Tensor embedding(const Tensor& indices, const Tensor& weight,
                 std::optional<int64_t> padding_idx = {});
/// q (…, L, E), k (…, S, E), v (…, S, Ev); attn_mask bool (true takes part) or additive.
Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                    const Tensor& attn_mask = {}, double dropout_p = 0,
                                    bool is_causal = false, std::optional<double> scale = {});

/// A label that is no class: PyTorch's text, and which sample of the batch it belongs to.
struct LabelError : Error {
  LabelError(int64_t label, int64_t sample, int64_t classes);
  int64_t label, sample;
};

// Losses (torch.nn.functional). reduction: "mean", "sum", "none".
Tensor mse_loss(const Tensor& input, const Tensor& target, const std::string& reduction = "mean");
Tensor l1_loss(const Tensor& input, const Tensor& target, const std::string& reduction = "mean");
Tensor smooth_l1_loss(const Tensor& input, const Tensor& target,
                      const std::string& reduction = "mean", double beta = 1);
Tensor huber_loss(const Tensor& input, const Tensor& target, const std::string& reduction = "mean",
                  double delta = 1);
/// input (N, C, …), target (N, …) of class indices, or probabilities of input's shape. Throws
/// LabelError for an index that is neither a class nor ignore_index.
Tensor cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight = {},
                     int64_t ignore_index = -100, const std::string& reduction = "mean",
                     double label_smoothing = 0);
Tensor nll_loss(const Tensor& input, const Tensor& target, const Tensor& weight = {},
                int64_t ignore_index = -100, const std::string& reduction = "mean");
/// cross_entropy of linear(input, linear_weight, linear_bias): input (N, F) or (F), linear_weight
/// (C, …, F), linear_bias (C, …), target (N, …) or (N, C, …); no ignore_index is -100, and has to
/// be left out where the target holds probabilities (torch.nn.functional.linear_cross_entropy).
Tensor linear_cross_entropy(const Tensor& input, const Tensor& linear_weight, const Tensor& target,
                            const Tensor& linear_bias = {}, const Tensor& weight = {},
                            const std::string& reduction = "mean",
                            std::optional<int64_t> ignore_index = {}, double label_smoothing = 0);
Tensor binary_cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight = {},
                            const std::string& reduction = "mean");
Tensor binary_cross_entropy_with_logits(const Tensor& input, const Tensor& target,
                                        const Tensor& weight = {},
                                        const std::string& reduction = "mean",
                                        const Tensor& pos_weight = {});
/// input holds log-probabilities; reduction may also be "batchmean".
Tensor kl_div(const Tensor& input, const Tensor& target, const std::string& reduction = "mean",
              bool log_target = false);

/// Counts floating-point operations of GEMMs and convolutions on this thread (2 per multiply-add),
/// on the meta device too.
struct FlopCounter {
  FlopCounter();
  ~FlopCounter();
  int64_t flops = 0;

 private:
  FlopCounter* outer_;
};
void count_flops(int64_t n);

}  // namespace nnm
