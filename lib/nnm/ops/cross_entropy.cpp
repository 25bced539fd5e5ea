// Losses of classes: cross entropy and the negative log-likelihood, forward and backward in one
// kernel each.
#include "kernels/pointwise.h"
#include "kernels/softmax.h"

#include "nnm/ops/autocast.h"
#include "nnm/ops/detail.h"
#include "nnm/ops/function.h"
#include "nnm/ops/gemm.h"
#include "nnm/ops/layout.h"
#include "nnm/ops/reduction.h"
#include "nnm/tensor/device.h"
#include "nnm/tensor/recording.h"

namespace nnm {

LabelError::LabelError(int64_t label, int64_t sample, int64_t classes)
    : Error(ErrorKind::input_file,
            fmt::format("Target {} is out of bounds: the label of sample {} of the batch is "
                        "outside the classes 0 to {}",
                        label, sample, classes - 1),
            "labels count from 0; ignore_index names one that is skipped"),
      label(label),
      sample(sample) {}

namespace {

// What the loss is taken of: x (N, C, I), target (N, I).
struct Classes {
  int64_t samples, classes, inner;
};

Classes split(const Tensor& x) {
  if (x.dim() == 1) return {1, x.shape()[0], 1};
  const int64_t n = x.shape()[0], c = x.shape()[1];
  const int64_t columns = n * c;
  return {n, c, columns > 0 ? x.numel() / columns : 1};
}

// A number of samples that the sizes agree on; the texts are those of nll_loss and nll_loss2d.
void check_target(const Tensor& x, const Tensor& target) {
  const int dx = x.dim(), dt = target.dim();
  NNM_CHECK(dx > 0, runtime, "input tensor should be 1D or 2D");
  if (dx <= 2) {
    NNM_CHECK(dt <= 1, runtime, "0D or 1D target tensor expected, multi-target not supported");
    if (dx == 2) {
      NNM_CHECK(dt == 1 && x.shape()[0] == target.shape()[0], value,
                "Expected input batch_size ({}) to match target batch_size ({}).", x.shape()[0],
                dt ? target.shape()[0] : 1);
    } else {
      NNM_CHECK(target.numel() == 1, runtime,
                "For 1D input, 1D target must have size 1, but got target size: {}",
                target.numel());
    }
    return;
  }
  NNM_CHECK(dt > 0 && x.shape()[0] == target.shape()[0], value,
            "Expected input batch_size ({}) to match target batch_size ({}).", x.shape()[0],
            dt ? target.shape()[0] : 1);
  if (dx == 4) {
    NNM_CHECK(dt == 3, runtime,
              "only batches of spatial targets supported (3D tensors) but got targets of "
              "dimension: {}",
              dt);
    NNM_CHECK(x.shape()[2] == target.shape()[1] && x.shape()[3] == target.shape()[2], runtime,
              "size mismatch (got input: {} , target: {}", x.shape().str(), target.shape().str());
    return;
  }
  Shape expected = x.shape();
  expected.erase(1);
  NNM_CHECK(target.shape() == expected, runtime, "Expected target size {}, got {}", expected.str(),
            target.shape().str());
}

void check_weight(const Tensor& weight, int64_t classes, const char* op) {
  NNM_CHECK(!weight.defined() || (weight.dim() == 1 && weight.numel() == classes), runtime,
            "{}weight tensor should be defined either for all {} classes or no classes but got "
            "weight tensor of shape: {}",
            op, classes, weight.shape().str());
}

// The labels as i64, row-major, each a class or ignored.
Tensor checked_labels(const Tensor& target, int64_t classes, int64_t inner, int64_t ignore) {
  NNM_CHECK(target.dtype() == DType::i64 || target.dtype() == DType::u8, runtime,
            "expected target dtype to be Long or Byte, but got {}",
            detail::scalar_type_name(target.dtype()));
  Tensor t = detail::row_major(to(target, DType::i64));
  if (t.is_meta()) return t;
  if (Tensor safe = detail::indices_checked_late(t, classes, ignore); safe.defined()) return safe;
  const Tensor seen = moved(t, Device{});
  const auto* p = seen.data<int64_t>();
  for (int64_t i = 0; i < t.numel(); ++i) {
    if ((p[i] < 0 || p[i] >= classes) && p[i] != ignore) throw LabelError(p[i], i / inner, classes);
  }
  return t;
}

View classes_view(const Tensor& x, const Classes& c) {
  View v = x;
  v.ndim = 3;
  v.size[0] = c.samples, v.size[1] = c.classes, v.size[2] = c.inner;
  v.stride[0] = c.classes * c.inner, v.stride[1] = c.inner, v.stride[2] = 1;
  return v;
}

View samples_view(const Tensor& x, const Classes& c) {
  View v = x;
  v.ndim = 2;
  v.size[0] = c.samples, v.size[1] = c.inner;
  v.stride[0] = c.inner, v.stride[1] = 1;
  return v;
}

/// The operand as mixed precision wants it. A GPU's kernels read halves themselves, and compute as
/// they would with a copy in f32, which would take longer than they.
Tensor logits_of(const Tensor& x) {
  return x.device().type == DeviceType::cuda ? x : autocast_f32(x);
}

/// The type of the loss.
DType loss_type(const Tensor& x) {
  return detail::autocast_dtype && item_size(x.dtype()) == 2 ? DType::f32 : x.dtype();
}

/// For the gradient of x. A GPU multiplies halves fast where their rows begin at multiples of 16
/// bytes, and what made x, and gets the gradient, is likely a product.
Tensor gradient_for(const Tensor& x) {
  constexpr int64_t kUnit = 8, kLarge = int64_t{1} << 18;
  if (x.device().type != DeviceType::cuda || item_size(x.dtype()) != 2 || x.dim() != 2 ||
      x.numel() < kLarge)
    return empty(x.shape(), x.options());
  const int64_t apart = (x.shape()[1] + kUnit - 1) / kUnit * kUnit;
  return empty_strided(x.shape(), {apart, 1}, x.options());
}

/// Uninitialised, (N, C, …) with the classes of a sample side by side.
Tensor empty_of_samples(const Tensor& x) {
  const Shape& n = x.shape();
  Shape strides = Shape::filled(x.dim(), 1);
  int64_t step = n[1];
  for (int d = x.dim() - 1; d > 1; --d) {
    strides[d] = step;
    step *= n[d];
  }
  strides[0] = step;
  return empty_strided(n, strides, x.options());
}

bool has_samples(const Tensor& x) { return x.dim() > 2 && detail::has_channels_innermost(x); }

/// Logits as kernels read them: row-major, or with the classes of a sample side by side where they
/// lie so already, or where a CPU reads them, whose vectors are of classes.
Tensor laid_out(const Tensor& x) {
  if (has_samples(x)) return x;
  if (x.dim() < 3 || x.device().type != DeviceType::cpu) return detail::row_major(x);
  Tensor y = empty_of_samples(x);
  kernels::copy(y, x);
  return y;
}

Tensor class_loss(const Tensor& x, const Tensor& target, const Tensor& weights, CrossEntropy o) {
  detail::check_same_device(x, target);
  check_target(x, target);
  Classes c = split(x);
  check_weight(weights, c.classes, "");
  detail::check_floating(x, o.log_probs ? "nll_loss_out_frame" : "log_softmax_lastdim_kernel_impl");
  const Tensor t = checked_labels(target, c.classes, c.inner, o.ignore_index);
  const Tensor in = laid_out(x);
  if (has_samples(in)) c = {c.samples * c.inner, c.classes, 1};
  const TensorOptions of_loss{loss_type(x), x.device()};
  const Tensor w =
      weights.defined() ? detail::row_major(to(weights.detach(), of_loss.dtype)) : weights;
  const bool none = o.reduction == CrossEntropy::Reduction::none;
  Tensor y = empty(none ? target.shape() : Shape(), of_loss);
  const DType stats = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  const Tensor lse = empty({c.samples * c.inner}, {stats, x.device()});
  const View y_view = none ? samples_view(y, c) : y.view();
  kernels::cross_entropy(y_view, samples_view(lse, c), classes_view(in, c), samples_view(t, c), w,
                         o);
  if (!needs_grad({&x})) return y;
  return record(x.dim() > 2 ? "NllLoss2DBackward0" : "NllLossBackward0", y, {&x},
                [in = Saved(in), t = Saved(t), w = Saved(w), lse, c, none, o](Backward& b) {
                  const Tensor& x = in.get();
                  const Tensor dx = has_samples(x) ? empty_of_samples(x) : gradient_for(x);
                  const Tensor g = detail::row_major(b.grad());
                  View dx_view = classes_view(dx, c);
                  if (x.dim() == 2) dx_view.stride[0] = dx.strides()[0];
                  kernels::cross_entropy_backward(dx_view, none ? samples_view(g, c) : g.view(),
                                                  samples_view(lse, c), classes_view(x, c),
                                                  samples_view(t.get(), c),
                                                  w.defined() ? w.get().view() : View{}, o);
                  b.set(0, dx);
                });
}

// target holds the probability of every class.
Tensor probability_loss(const Tensor& x, const Tensor& target, const Tensor& weight,
                        const std::string& reduction, double smoothing) {
  const int64_t dim = x.dim() == 1 ? 0 : 1, classes = x.size(dim);
  NNM_CHECK(is_floating(target.dtype()), runtime,
            "Expected floating point type for target with class probabilities, got {}",
            detail::scalar_type_name(target.dtype()));
  check_weight(weight, classes, "cross_entropy: ");
  Tensor p = target;
  if (smoothing > 0)
    p = add(mul(p, Scalar(1 - smoothing)), Scalar(smoothing / static_cast<double>(classes)));
  Tensor terms = mul(log_softmax(x, dim), p);
  if (weight.defined()) {
    Shape shape = Shape::filled(x.dim(), 1);
    shape[static_cast<int>(dim)] = classes;
    terms = mul(terms, reshape(weight, shape));
  }
  if (reduction == "none") return neg(sum(terms, {dim}));
  Tensor total = neg(sum(terms));
  if (reduction == "sum") return total;
  return div(total, Scalar(static_cast<double>(x.numel()) / static_cast<double>(classes)));
}

CrossEntropy::Reduction class_reduction(const std::string& name) {
  using R = CrossEntropy::Reduction;
  switch (detail::parse_reduction(name)) {
    case detail::Reduction::none: return R::none;
    case detail::Reduction::sum: return R::sum;
    default: return R::mean;
  }
}

}  // namespace

Tensor cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight,
                     int64_t ignore_index, const std::string& reduction, double label_smoothing) {
  detail::check_defined(input, "cross_entropy");
  detail::check_defined(target, "cross_entropy");
  const Tensor x = logits_of(input);
  NNM_CHECK(label_smoothing >= 0 && label_smoothing <= 1, runtime,
            "label_smoothing must be between 0.0 and 1.0. Got: {}", python_float(label_smoothing));
  CrossEntropy o;
  o.reduction = class_reduction(reduction);
  o.ignore_index = ignore_index;
  o.label_smoothing = label_smoothing;
  if (target.shape() == x.shape() && x.dim() > 0) {
    NNM_CHECK(ignore_index < 0, runtime, "ignore_index is not supported for floating point target");
    return probability_loss(autocast_f32(x), target, weight, reduction, label_smoothing);
  }
  return class_loss(x, target, weight, o);
}

Tensor nll_loss(const Tensor& input, const Tensor& target, const Tensor& weight,
                int64_t ignore_index, const std::string& reduction) {
  detail::check_defined(input, "nll_loss");
  detail::check_defined(target, "nll_loss");
  CrossEntropy o;
  o.reduction = class_reduction(reduction);
  o.ignore_index = ignore_index;
  o.log_probs = true;
  return class_loss(logits_of(input), target, weight, o);
}

namespace {

// The sizes of linear_weight (C, …, F) but for its last one fit what it is applied to.
void check_linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  NNM_CHECK(x.dim() == 1 || x.dim() == 2, runtime,
            "expected input with dimensionality 1 or 2, got {}", x.dim());
  NNM_CHECK(weight.dim() >= 2, runtime,
            "expected linear_weight with dimensionality at least 2, got {}", weight.dim());
  NNM_CHECK(x.size(-1) == weight.size(-1), runtime,
            "expected equal input and linear_weight last dimensions (in_features), got {} and {}, "
            "respectively",
            x.size(-1), weight.size(-1));
  Shape classes = weight.shape();
  classes.erase(weight.dim() - 1);
  NNM_CHECK(!bias.defined() || bias.shape() == classes, runtime,
            "expected linear_bias shape {}, got {}", classes.tuple(), bias.shape().tuple());
  NNM_CHECK(weight.dim() == 2 || x.dim() == 2, runtime,
            "K-dimensional loss defined by linear_weight shape {} requires batched input, (N, {}), "
            "got unbatched input with shape {}",
            weight.shape().tuple(), x.size(-1), x.shape().tuple());
}

}  // namespace

Tensor linear_cross_entropy(const Tensor& input, const Tensor& linear_weight, const Tensor& target,
                            const Tensor& linear_bias, const Tensor& weight,
                            const std::string& reduction, std::optional<int64_t> ignore_index,
                            double label_smoothing) {
  check_linear(input, linear_weight, linear_bias);
  const Tensor flat = reshape(linear_weight, {-1, linear_weight.size(-1)});
  const Tensor bias = linear_bias.defined() ? reshape(linear_bias, {-1}) : linear_bias;
  Shape shape = input.shape();
  shape.erase(input.dim() - 1);
  for (int64_t i = 0; i + 1 < linear_weight.dim(); ++i) shape.push_back(linear_weight.size(i));
  const Tensor logits = reshape(linear(input, flat, bias), shape);
  NNM_CHECK(!ignore_index || target.shape() != shape, runtime,
            "ignore_index cannot be specified when target contains probabilities");
  return cross_entropy(logits, target, weight, ignore_index.value_or(-100), reduction,
                       label_smoothing);
}

namespace {

Tensor cross_entropy_call(const Tensor& x, const Tensor& target, const Tensor& weight,
                          std::optional<bool> size_average, int64_t ignore_index,
                          std::optional<bool> reduce, const std::string& reduction,
                          double label_smoothing) {
  return cross_entropy(x, target, weight, ignore_index,
                       detail::legacy_reduction(size_average, reduce, reduction), label_smoothing);
}

Tensor nll_loss_call(const Tensor& x, const Tensor& target, const Tensor& weight,
                     std::optional<bool> size_average, int64_t ignore_index,
                     std::optional<bool> reduce, const std::string& reduction) {
  return nll_loss(x, target, weight, ignore_index,
                  detail::legacy_reduction(size_average, reduce, reduction));
}

constexpr Function kCrossEntropyFunctions[] = {
    {"cross_entropy(input: Tensor, target: Tensor, weight: Tensor? = none, size_average: bool? = "
     "none, ignore_index: int = -100, reduce: bool? = none, reduction: str = \"mean\", "
     "label_smoothing: float = 0.0)",
     "-log softmax(input) at the target class, or at class probabilities",
     call<cross_entropy_call>},
    {"nll_loss(input: Tensor, target: Tensor, weight: Tensor? = none, size_average: bool? = none, "
     "ignore_index: int = -100, reduce: bool? = none, reduction: str = \"mean\")",
     "-input at the target class, input being log-probabilities", call<nll_loss_call>},
    {"linear_cross_entropy(input: Tensor, linear_weight: Tensor, target: Tensor, *, linear_bias: "
     "Tensor? = none, weight: Tensor? = none, reduction: str = \"mean\", ignore_index: int? = "
     "none, label_smoothing: float = 0.0)",
     "cross_entropy of linear(input, linear_weight, linear_bias)", call<linear_cross_entropy>},
};
NNM_REGISTER_FUNCTIONS(kCrossEntropyFunctions);

}  // namespace
}  // namespace nnm
