// Rarer functions of torch.nn.functional, most of them made of others.
#pragma once

#include "nnm/ops/volume.h"

namespace nnm {

/// Normalises each channel of each sample of x (N, C, …): by its own statistics, or where
/// `use_input_stats` is false by the running ones. Where there are running ones, they are updated
/// in place by its own, averaged over the samples.
Tensor instance_norm(const Tensor& x, const Tensor& running_mean = {},
                     const Tensor& running_var = {}, const Tensor& weight = {},
                     const Tensor& bias = {}, bool use_input_stats = true, double momentum = 0.1,
                     double eps = 1e-5);
/// x (N, C, …) by (k + alpha m)^beta, m the mean of the squares of `size` channels around each.
Tensor local_response_norm(const Tensor& x, int64_t size, double alpha = 1e-4, double beta = 0.75,
                           double k = 1);

/// The norm_type-th root of the sum of each window's norm_type-th powers; infinity is the maximum.
Tensor lp_pool1d(const Tensor& x, double norm_type, int64_t kernel_size,
                 std::optional<int64_t> stride = {}, bool ceil_mode = false);
Tensor lp_pool2d(const Tensor& x, double norm_type, Size2 kernel_size, OptionalTuple<2> stride = {},
                 bool ceil_mode = false);
Tensor lp_pool3d(const Tensor& x, double norm_type, Size3 kernel_size, OptionalTuple<3> stride = {},
                 bool ceil_mode = false);

/// x (N, C, H, W) or (N, C, D, H, W) read at the points of grid (N, …, d): from -1 to 1 along x, y
/// (and z). `mode`: bilinear, nearest or bicubic (4-D); `padding_mode`: zeros, border, reflection.
Tensor grid_sample(const Tensor& x, const Tensor& grid, const std::string& mode = "bilinear",
                   const std::string& padding_mode = "zeros", bool align_corners = false);
/// The points (N, …, d) of images of `size` (N, C, …) mapped by matrices theta (N, d, d + 1).
Tensor affine_grid(const Tensor& theta, const std::vector<int64_t>& size,
                   bool align_corners = false);

/// Patches of x (N, C, H, W) or (C, H, W) as columns (N, C KH KW, L) or (C KH KW, L).
Tensor unfold(const Tensor& x, Size2 kernel_size, Size2 dilation = 1, Size2 padding = 0,
              Size2 stride = 1);
/// What unfold takes apart, put together: where patches overlap they are summed.
Tensor fold(const Tensor& x, Size2 output_size, Size2 kernel_size, Size2 dilation = 1,
            Size2 padding = 0, Size2 stride = 1);

/// x with 1, 2 or 3 dimensions at least.
Tensor atleast(const Tensor& x, int rank);
/// Matrices along the diagonal of one that is 0 elsewhere.
Tensor block_diag(const Tensors& tensors);
/// Rows of all choices of one element of each vector.
Tensor cartesian_prod(const Tensors& tensors);
/// x turned k times by 90 degrees from the first of two dimensions to the second.
Tensor rot90(const Tensor& x, int64_t k = 1, const Dims& dims = {0, 1});
/// The elements of x at row-major places, in the index's shape.
Tensor take(const Tensor& x, const Tensor& index);
/// Tensor.unfold: windows of `size` along a dimension, each `step` further, whose elements lie
/// along a new last dimension. A copy, not a view.
Tensor windows_along(const Tensor& x, int64_t dimension, int64_t size, int64_t step);
/// x with a part replaced: one place of a dimension, a slice of it, what a mask chooses.
Tensor select_scatter(const Tensor& x, const Tensor& src, int64_t dim, int64_t index);
Tensor slice_scatter(const Tensor& x, const Tensor& src, int64_t dim = 0,
                     std::optional<int64_t> start = {}, std::optional<int64_t> end = {},
                     int64_t step = 1);
Tensor masked_scatter(const Tensor& x, const Tensor& mask, const Tensor& source);
/// The vector product along a dimension of extent 3.
Tensor cross(const Tensor& a, const Tensor& b, int64_t dim = -1);

Tensor fmod(const Tensor& a, const Tensor& b);
/// The larger and the smaller; a number rather than NaN.
Tensor fmax(const Tensor& a, const Tensor& b);
Tensor fmin(const Tensor& a, const Tensor& b);
Tensor float_power(const Tensor& a, const Tensor& b);  ///< in f64
Tensor xlogy(const Tensor& a, const Tensor& b);        ///< a log b, 0 where a is
Tensor sinc(const Tensor& x);                          ///< sin(pi x) / (pi x)
Tensor signbit(const Tensor& x);
Tensor copysign(const Tensor& a, const Tensor& b);
Tensor heaviside(const Tensor& x, const Tensor& values);
Tensor ldexp(const Tensor& x, const Tensor& exponent);
Tensor logaddexp2(const Tensor& a, const Tensor& b);
/// beta x + alpha (outer product of a and b).
Tensor addr(const Tensor& x, const Tensor& a, const Tensor& b, double beta = 1, double alpha = 1);
Tensor matrix_power(const Tensor& x, int64_t n);
/// Integrals of y along `dim` at the places x, or every dx.
Tensor trapezoid(const Tensor& y, const Tensor& x = {}, double dx = 1, int64_t dim = -1);
/// Covariances and correlations of rows, whose columns count by the weights.
Tensor cov(const Tensor& x, int64_t correction = 1, const Tensor& fweights = {},
           const Tensor& aweights = {});
Tensor corrcoef(const Tensor& x);
/// x with the slices of `dim` whose p-norm is above maxnorm shortened to it.
Tensor renorm(const Tensor& x, double p, int64_t dim, double maxnorm);
/// The p-norms of the differences of all pairs of rows: (N (N - 1) / 2).
Tensor pdist(const Tensor& x, double p = 2);
/// x summed over what was broadcast from `shape`.
Tensor sum_to_size(const Tensor& x, const Shape& shape);

/// Running extremes along `dim`, of equal ones the last, and their places (i64).
std::pair<Tensor, Tensor> cummax(const Tensor& x, int64_t dim);
std::pair<Tensor, Tensor> cummin(const Tensor& x, int64_t dim);
/// log(cumsum(exp(x))) that does not overflow.
Tensor logcumsumexp(const Tensor& x, int64_t dim);
/// The k-th smallest along `dim`, k from 1, and its place.
std::pair<Tensor, Tensor> kthvalue(const Tensor& x, int64_t k, int64_t dim = -1,
                                   bool keepdim = false);
/// What shares q (a number or a vector, whose dimension comes first) of the elements lie below.
/// `interpolation` between two elements: linear, lower, higher, midpoint, nearest.
Tensor quantile(const Tensor& x, const Tensor& q, std::optional<int64_t> dim = {},
                bool keepdim = false, const std::string& interpolation = "linear",
                bool ignore_nan = false);
/// How many elements lie in each of equal bins from low to high; both 0: the extremes of x.
Tensor histc(const Tensor& x, int64_t bins = 100, double low = 0, double high = 0);

/// Each value once. `inverse`: which of them stands at each place of x; `counts`: how often each
/// does.
struct Unique {
  Tensor values, inverse, counts;
};
/// In ascending order; of slices along `dim` where that is given.
Unique unique(const Tensor& x, std::optional<int64_t> dim = {});
/// Only neighbours are put together.
Unique unique_consecutive(const Tensor& x, std::optional<int64_t> dim = {});

/// x with the elements of src reduced into it at the places of `index` along `dim`: "sum", "prod",
/// "mean", "amax" or "amin"; without x's own elements there unless include_self.
Tensor scatter_reduce(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src,
                      const std::string& reduce, bool include_self = true);
/// The same with slices of a source, at places of the dimension: "prod", "mean", "amax", "amin".
Tensor index_reduce(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                    const std::string& reduce, bool include_self = true);
/// x[indices] = values, or += where `accumulate`: a list of tensors and nones, as for `index`.
Tensor index_put(const Tensor& x, const Value& indices, const Tensor& values,
                 bool accumulate = false);
/// The same by row-major places.
Tensor put(const Tensor& x, const Tensor& index, const Tensor& source, bool accumulate = false);

/// Of integers and bools, bit by bit.
Tensor bitwise_and(const Tensor& a, const Tensor& b);
Tensor bitwise_or(const Tensor& a, const Tensor& b);
Tensor bitwise_xor(const Tensor& a, const Tensor& b);
Tensor bitwise_not(const Tensor& x);
Tensor bitwise_left_shift(const Tensor& a, const Tensor& b);
Tensor bitwise_right_shift(const Tensor& a, const Tensor& b);
/// The greatest common divisor, the least common multiple.
Tensor gcd(const Tensor& a, const Tensor& b);
Tensor lcm(const Tensor& a, const Tensor& b);

/// The logarithm of the gamma function's size, its derivative, and the n-th derivative of that.
Tensor lgamma(const Tensor& x);
Tensor digamma(const Tensor& x);
Tensor polygamma(int64_t n, const Tensor& x);
/// -x log(x), 0 at 0 and -inf below; the normal distribution function; its logarithm.
Tensor entr(const Tensor& x);
Tensor ndtr(const Tensor& x);
Tensor log_ndtr(const Tensor& x);
/// The modified Bessel function of order 0.
Tensor i0(const Tensor& x);

/// The median of what is not NaN.
std::pair<Tensor, Tensor> nanmedian(const Tensor& x, int64_t dim, bool keepdim = false);
/// Choices of r elements of a vector, row by row.
Tensor combinations(const Tensor& x, int64_t r = 2, bool with_replacement = false);
/// Powers of a vector as columns, the highest first unless `increasing`; n of them.
Tensor vander(const Tensor& x, std::optional<int64_t> n = {}, bool increasing = false);
/// Running integrals by trapezoids.
Tensor cumulative_trapezoid(const Tensor& y, const Tensor& x = {}, double dx = 1, int64_t dim = -1);

/// x at the places that a max pooling with these arguments returned (i64), zeros elsewhere.
/// `output_size` (the last extents or all of them) tells which of the extents that lead to x's is
/// meant.
using UnpooledSize = std::optional<std::vector<int64_t>>;
Tensor max_unpool1d(const Tensor& x, const Tensor& indices, int64_t kernel_size,
                    std::optional<int64_t> stride = {}, int64_t padding = 0,
                    const UnpooledSize& output_size = {});
Tensor max_unpool2d(const Tensor& x, const Tensor& indices, Size2 kernel_size,
                    OptionalTuple<2> stride = {}, Size2 padding = 0,
                    const UnpooledSize& output_size = {});
Tensor max_unpool3d(const Tensor& x, const Tensor& indices, Size3 kernel_size,
                    OptionalTuple<3> stride = {}, Size3 padding = 0,
                    const UnpooledSize& output_size = {});
/// Maxima of x (N, C, H, W) or (C, H, W) over windows at random places, and those places (i64);
/// Graham 2014. `random_samples` (N, C, 2) in [0, 1) move the windows along width and height; drawn
/// where undefined.
std::pair<Tensor, Tensor> fractional_max_pool2d_with_indices(const Tensor& x, Size2 kernel_size,
                                                             Size2 output_size,
                                                             const Tensor& random_samples = {});
/// The same of x (N, C, D, H, W) or (C, D, H, W), by samples (N, C, 3) along depth, height, width.
std::pair<Tensor, Tensor> fractional_max_pool3d_with_indices(const Tensor& x, Size3 kernel_size,
                                                             Size3 output_size,
                                                             const Tensor& random_samples = {});
/// The size, or x's extents times a ratio: a number, or one for each dimension. Throws Error(value)
/// where neither is given.
Size2 fractional_output_size(const Tensor& x, const OptionalTuple<2>& size, const Value& ratio);
Size3 fractional_output_size(const Tensor& x, const OptionalTuple<3>& size, const Value& ratio);

/// x where it is positive, else x times a slope: drawn from [lower, upper) in training, else their
/// mean.
Tensor rrelu(const Tensor& x, double lower = 1.0 / 8, double upper = 1.0 / 3, bool training = false,
             Generator* generator = nullptr);
/// alpha_dropout of whole channels of x (N, C, …).
Tensor feature_alpha_dropout(const Tensor& x, double p = 0.5, bool training = false,
                             Generator* generator = nullptr);

/// Rows of weight (n, E) at the indices, which are shortened to max_norm first, in place.
void embedding_renorm_(const Tensor& weight, const Tensor& indices, double max_norm,
                       double norm_type = 2);
/// Rows of a table whose gradients are divided by how often their index occurs.
Tensor scale_grad_by_frequency(const Tensor& rows, const Tensor& indices, int64_t table);
struct EmbeddingBagOptions {
  Tensor
      offsets;  ///< where bags begin in a 1-d input; undefined for a 2-d one, whose rows are bags
  std::optional<double> max_norm = {};
  double norm_type = 2;
  bool scale_grad_by_freq = false;
  std::string mode = "mean";  ///< or "sum", "max"
  Tensor per_sample_weights;  ///< of the input's shape, for sums
  bool include_last_offset = false;
  std::optional<int64_t> padding_idx = {};  ///< an index that does not count
};
/// Rows of weight (n, E), reduced bag by bag: (bags, E).
Tensor embedding_bag(const Tensor& input, const Tensor& weight, const EmbeddingBagOptions& o);

/// Connectionist temporal classification (Graves et al. 2006) of log_probs (T, N, C) or (T, C):
/// minus the log-likelihood of the targets, (N, S) or one after the other, over all alignments.
/// Lengths are (N) of integers. `reduction` "mean" divides by the targets' lengths first.
Tensor ctc_loss(const Tensor& log_probs, const Tensor& targets, const Tensor& input_lengths,
                const Tensor& target_lengths, int64_t blank = 0,
                const std::string& reduction = "mean", bool zero_infinity = false);
/// Lengths for it: a tensor, or integers.
Tensor ctc_lengths(const Value& v);

}  // namespace nnm
