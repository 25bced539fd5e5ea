// Matrix products by cuBLASLt, whose matrices are column-major: a row-major product c = a b is to
// it c^T = b^T a^T, so that its first operand is b and the bias runs along its rows. f32 is
// computed in f32, or with factors of TF32 where that is allowed.
#include "kernels/gemm.h"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <optional>

#include "kernels/cuda/lt.h"
#include "kernels/cuda/plugin.h"
#include "kernels/pointwise.h"
#include "kernels/tf32.h"

namespace nnm::cuda {
namespace {

constexpr size_t kWorkspace = size_t{32} << 20;       // Hopper's kernels want this much
constexpr size_t kWorkspaceBefore = size_t{4} << 20;  // those of earlier GPUs
constexpr int64_t kMaxAlignment = 256;
constexpr size_t kMaxPlans = 4096;  // where sizes never repeat, as lengths of texts

// Tensor cores are fed 16 bytes at a time. Where rows of halves begin elsewhere, cuBLASLt has only
// kernels of 100 to 150 TFLOP/s on an H100 instead of 600: 1e-14 s lost for each term, while a copy
// of a matrix takes 2e-12 s for each element. It pays from 200 terms an element on, of products
// that take longer than a launch.
constexpr int64_t kRowBytes = 16, kLeastTerms = 256;
#ifdef NNM_SIMT_EMULATED
constexpr int64_t kLeastWork = int64_t{1} << 20;  // a larger one takes the CPU seconds
#else
constexpr int64_t kLeastWork = int64_t{1} << 28;
#endif

/// A matrix as cuBLASLt takes it: columns `ld` apart, or rows (`transposed`); one or a batch.
struct Matrix {
  void* data = nullptr;
  bool transposed = false;
  int64_t rows = 0, cols = 0;  ///< as it takes part in the product
  int64_t ld = 0, batch_stride = 0;

  int64_t alignment() const {
    const auto address = reinterpret_cast<uintptr_t>(data);
    return std::min<int64_t>(kMaxAlignment, static_cast<int64_t>(address & -address));
  }
};

/// The view (rows, cols), or (B, rows, cols), as a row-major matrix is seen column by column: its
/// transpose. None where neither of its strides is 1.
std::optional<Matrix> transpose_of(const View& v) {
  const int r = v.ndim - 2, c = v.ndim - 1;
  const int64_t rows = v.size[r], cols = v.size[c];
  Matrix m{v.data, false, cols, rows, 0, v.ndim == 3 ? v.stride[0] : 0};
  const bool row_major = cols == 1 || v.stride[c] == 1;
  const bool col_major = rows == 1 || v.stride[r] == 1;
  if (row_major && (rows == 1 || v.stride[r] >= cols)) {
    m.ld = rows == 1 ? cols : v.stride[r];
    return m;
  }
  if (col_major && (cols == 1 || v.stride[c] >= rows)) {
    m.transposed = true;
    m.ld = cols == 1 ? rows : v.stride[c];
    return m;
  }
  return std::nullopt;
}

View transposed(View v) {
  std::swap(v.size[v.ndim - 2], v.size[v.ndim - 1]);
  std::swap(v.stride[v.ndim - 2], v.stride[v.ndim - 1]);
  return v;
}

/// Whether rows, or columns, of halves begin elsewhere than at multiples of 16 bytes.
bool uneven(const View& v) {
  const auto m = transpose_of(v);
  if (!m || item_size(v.dtype) != 2) return false;
  const bool one = (m->transposed ? m->rows : m->cols) == 1;
  const int64_t apart = (one ? 0 : m->ld) | m->batch_stride;
  return m->alignment() < kRowBytes || apart * 2 % kRowBytes != 0;
}

/// Whether the product c = a b gains by copies of the matrices that are uneven.
bool worth_copies(const View& c, const View& a, const View& b) {
  int64_t copied = 0;
  for (const View* v : {&c, &a, &b})
    if (uneven(*v)) copied += v->numel();
  const int64_t work = c.numel() * a.size[a.ndim - 1];
  return copied > 0 && work >= kLeastWork && work / copied >= kLeastTerms;
}

/// A row-major matrix, or batch of them, of the sizes of v, in temporary memory: its rows begin at
/// multiples of 16 bytes.
class Packed {
 public:
  explicit Packed(const View& v) : item_(static_cast<int64_t>(item_size(v.dtype))), view_(v) {
    int64_t stride = 1;
    for (int d = v.ndim - 1; d >= 0; --d) {
      view_.stride[d] = stride;
      stride *= v.size[d];
      if (d == v.ndim - 1)
        stride = (stride * item_ + kRowBytes - 1) / kRowBytes * kRowBytes / item_;
    }
    memory_.emplace(stride * item_);
    view_.data = memory_->get();
  }
  const View& view() const { return view_; }

 private:
  int64_t item_;
  std::optional<Scratch<char>> memory_;
  View view_;
};

/// An operand that cuBLASLt can read: the view itself, or a copy without its gaps; with `even` a
/// copy of one that is uneven, too.
class Operand {
 public:
  Operand(const View& v, bool even) {
    const auto direct = transpose_of(v);
    if (direct && !(even && uneven(v))) {
      matrix_ = *direct;
      return;
    }
    // In the order in which it lies: a copy that transposes is slower.
    const bool turn = direct && direct->transposed;
    const View rows = turn ? transposed(v) : v;
    copy_.emplace(rows);
    kernels::copy(copy_->view(), rows);
    matrix_ = *transpose_of(turn ? transposed(copy_->view()) : copy_->view());
  }
  const Matrix& matrix() const { return matrix_; }

 private:
  std::optional<Packed> copy_;
  Matrix matrix_;
};

struct Types {
  cudaDataType_t data, scale;
  cublasComputeType_t compute;
};
Types types_of(DType t, bool tf32) {
  switch (t) {
    case DType::f64: return {CUDA_R_64F, CUDA_R_64F, CUBLAS_COMPUTE_64F};
    case DType::bf16: return {CUDA_R_16BF, CUDA_R_32F, CUBLAS_COMPUTE_32F};
    case DType::f16: return {CUDA_R_16F, CUDA_R_32F, CUBLAS_COMPUTE_32F};
    default:
      return {CUDA_R_32F, CUDA_R_32F, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F};
  }
}

/// d = alpha x y + beta d (+ bias along the rows), all as column-major matrices.
struct Product {
  DType dtype;
  Matrix x, y, d;
  const void* bias = nullptr;
  int64_t batch = 1;
  bool tf32 = tf32_allowed();

  using Key = std::array<int64_t, 19>;
  Key key() const {
    const auto aligned = [](const void* p) { return Matrix{const_cast<void*>(p)}.alignment(); };
    return {static_cast<int64_t>(dtype),
            d.rows,
            d.cols,
            x.cols,
            batch,
            x.transposed,
            y.transposed,
            x.ld,
            y.ld,
            d.ld,
            x.batch_stride,
            y.batch_stride,
            d.batch_stride,
            x.alignment(),
            y.alignment(),
            d.alignment(),
            bias != nullptr,
            bias ? aligned(bias) : 0,
            tf32};
  }
};

/// What a product comes to on a device: descriptors and the algorithm that cuBLASLt thinks best.
struct Plan {
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t x = nullptr, y = nullptr, d = nullptr;
  cublasLtMatmulAlgo_t algorithm;
  bool known = false;  ///< false: cuBLASLt has nothing for it
};

/// Of one device. Plans are kept: making one costs more CPU time than a small product.
class Products {
 public:
  Products() {
    check(lt().Create(&handle_), "cuBLASLt");
    workspace_bytes_ = device_facts().major >= 9 ? kWorkspace : kWorkspaceBefore;
    workspace_ = allocate(workspace_bytes_);
  }

  /// False, with nothing done, where cuBLASLt does not know the case.
  bool run(const Product& p, double alpha, double beta) {
    const std::lock_guard lock(mutex_);
    if (plans_.size() >= kMaxPlans) forget();
    const auto [at, fresh] = plans_.try_emplace(p.key());
    if (fresh) at->second = make(p);
    const Plan& plan = at->second;
    if (!plan.known) return false;
    if (p.bias) set(plan.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
    const auto a = static_cast<float>(alpha), b = static_cast<float>(beta);
    const bool wide = p.dtype == DType::f64;
    const void *alpha_at = wide ? static_cast<const void*>(&alpha) : &a,
               *beta_at = wide ? static_cast<const void*>(&beta) : &b;
    check(lt().Matmul(handle_, plan.operation, alpha_at, p.x.data, plan.x, p.y.data, plan.y,
                      beta_at, p.d.data, plan.d, p.d.data, plan.d, &plan.algorithm, workspace_,
                      workspace_bytes_, stream(&plan)),
          "cuBLASLt");
    return true;
  }

 private:
  template <class T>
  static void set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t what, T value) {
    check(lt().MatmulDescSetAttribute(operation, what, &value, sizeof value), "cuBLASLt");
  }

  // In memory the operand has the sizes that it takes part with, or these swapped.
  static cublasLtMatrixLayout_t layout(const Matrix& m, cudaDataType_t type, int64_t batch) {
    const int64_t rows = m.transposed ? m.cols : m.rows, cols = m.transposed ? m.rows : m.cols;
    cublasLtMatrixLayout_t out = nullptr;
    check(lt().MatrixLayoutCreate(&out, type, static_cast<uint64_t>(rows),
                                  static_cast<uint64_t>(cols), m.ld),
          "cuBLASLt");
    if (batch == 1) return out;
    const auto count = static_cast<int32_t>(batch);
    check(lt().MatrixLayoutSetAttribute(out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                        sizeof count),
          "cuBLASLt");
    check(lt().MatrixLayoutSetAttribute(out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                        &m.batch_stride, sizeof m.batch_stride),
          "cuBLASLt");
    return out;
  }

  Plan make(const Product& p) const {
    const Types types = types_of(p.dtype, p.tf32);
    Plan plan;
    check(lt().MatmulDescCreate(&plan.operation, types.compute, types.scale), "cuBLASLt");
    const auto op = [](const Matrix& m) { return m.transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
    set(plan.operation, CUBLASLT_MATMUL_DESC_TRANSA, op(p.x));
    set(plan.operation, CUBLASLT_MATMUL_DESC_TRANSB, op(p.y));
    if (p.bias) {
      set(plan.operation, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      set(plan.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
    }
    plan.x = layout(p.x, types.data, p.batch);
    plan.y = layout(p.y, types.data, p.batch);
    plan.d = layout(p.d, types.data, p.batch);
    plan.known = choose(p, plan);
    return plan;
  }

  bool choose(const Product& p, Plan& plan) const {
    cublasLtMatmulPreference_t wish = nullptr;
    check(lt().MatmulPreferenceCreate(&wish), "cuBLASLt");
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t what, auto value) {
      check(lt().MatmulPreferenceSetAttribute(wish, what, &value, sizeof value), "cuBLASLt");
    };
    const auto alignment = [](const Matrix& m) { return static_cast<uint32_t>(m.alignment()); };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes_);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment(p.x));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment(p.y));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment(p.d));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment(p.d));
    cublasLtMatmulHeuristicResult_t best = {};
    int found = 0;
    const cublasStatus_t result = lt().MatmulAlgoGetHeuristic(
        handle_, plan.operation, plan.x, plan.y, plan.d, plan.d, wish, 1, &best, &found);
    lt().MatmulPreferenceDestroy(wish);
    if (result == CUBLAS_STATUS_SUCCESS && found > 0) {
      plan.algorithm = best.algo;
      return true;
    }
    // How an epilogue is refused depends on the version; without one the reason is worth telling.
    if (result != CUBLAS_STATUS_NOT_SUPPORTED && !p.bias) check(result, "cuBLASLt");
    return false;
  }

  void forget() {
    for (const auto& [key, plan] : plans_) {
      lt().MatmulDescDestroy(plan.operation);
      for (cublasLtMatrixLayout_t layout : {plan.x, plan.y, plan.d})
        lt().MatrixLayoutDestroy(layout);
    }
    plans_.clear();
  }

  cublasLtHandle_t handle_ = nullptr;
  void* workspace_ = nullptr;
  size_t workspace_bytes_ = 0;
  std::mutex mutex_;
  std::map<Product::Key, Plan> plans_;
};

// Never destroyed, as the memory they hold is not.
Products& products() {
  static std::mutex mutex;
  static auto* all = new std::map<int, Products>;
  const std::lock_guard lock(mutex);
  return (*all)[current_device()];
}

View repeated(const View& bias, const View& c) {
  View v = c;
  v.data = bias.data;
  v.stride[0] = 0;
  v.stride[1] = bias.stride[0];
  return v;
}

// Sums without terms: c = beta c, which for beta 0 is not read.
void scale(const View& c, double beta) {
  if (beta == 0) kernels::fill(c, 0.0, int64_t{0});
  else if (beta != 1) kernels::binary(c, c, c, Binary::add, compute_type(c.dtype), beta - 1);
}

void multiply(const View& c, const View& a, const View& b, const View& bias, double alpha,
              double beta);

/// For halves cuBLASLt has its fast kernels only where the extents of what lies side by side are
/// multiples of 16 bytes, too: in a large product of rows what is beyond goes by itself. False,
/// with nothing done, where nothing is.
bool multiply_in_parts(const View& c, const View& a, const View& b, const View& bias, double alpha,
                       double beta) {
  constexpr int64_t kEven = 8;
  const int rows = c.ndim - 2, columns = c.ndim - 1;
  const int64_t n = c.size[columns], k = a.size[columns];
  if (item_size(c.dtype) != 2 || c.size[rows] < kEven || c.numel() * k < kLeastWork) return false;
  if (const int64_t rest = n % kEven; rest != 0 && n > kEven) {
    const auto range = [&](int64_t begin, int64_t end) {
      multiply(c.part(begin, end, columns), a, b.part(begin, end, columns),
               bias ? bias.part(begin, end) : bias, alpha, beta);
    };
    range(0, n - rest);
    range(n - rest, n);
    return true;
  }
  const auto x = transpose_of(b), y = transpose_of(a);
  const bool terms_lie = (x && x->transposed) || (y && !y->transposed);
  if (const int64_t rest = k % kEven; rest != 0 && k > kEven && terms_lie) {
    const int64_t whole = k - rest;
    multiply(c, a.part(0, whole, columns), b.part(0, whole, rows), bias, alpha, beta);
    multiply(c, a.part(whole, k, columns), b.part(whole, k, rows), {}, alpha, 1);
    return true;
  }
  return false;
}

// c may have any strides; bias is added afterwards where cuBLASLt cannot.
void multiply(const View& c, const View& a, const View& b, const View& bias, double alpha,
              double beta) {
  if (c.numel() == 0) return;
  const auto d = transpose_of(c);
  if (d && d->transposed && !bias) {
    multiply(transposed(c), transposed(b), transposed(a), {}, alpha, beta);
    return;
  }
  const bool even = worth_copies(c, a, b);
  if (!d || d->transposed || (even && uneven(c))) {
    const Packed packed(c);
    if (beta != 0) kernels::copy(packed.view(), c);
    multiply(packed.view(), a, b, bias, alpha, beta);
    kernels::copy(c, packed.view());
    return;
  }
  const bool fast = even || !(uneven(c) || uneven(a) || uneven(b));
  if (fast && multiply_in_parts(c, a, b, bias, alpha, beta)) return;
  bool added = !bias;
  if (a.size[a.ndim - 1] == 0) {
    scale(c, beta);
  } else {
    const Operand x(b, even), y(a, even);
    Product p{c.dtype, x.matrix(), y.matrix(), *d, nullptr, c.ndim == 3 ? c.size[0] : 1};
    if (bias && (bias.stride[0] == 1 || bias.size[0] == 1)) {
      p.bias = bias.data;
      added = products().run(p, alpha, beta);
    }
    p.bias = nullptr;
    if ((!added || !bias) && !products().run(p, alpha, beta))
      throw_device_error(std::string("cuBLASLt has no product for ") + info(c.dtype).name);
  }
  if (!added) kernels::binary(c, c, repeated(bias, c), Binary::add, compute_type(c.dtype), 1.0);
}

void gemm(const View& c, const View& a, const View& b, const View& bias, double alpha,
          double beta) {
  multiply(c, a, b, bias, alpha, beta);
}

void gemm_batched(const View& c, const View& a, const View& b, double alpha, double beta) {
  multiply(c, a, b, {}, alpha, beta);
}

}  // namespace

NNM_CUDA_KERNEL(gemm, gemm);
NNM_CUDA_KERNEL(gemm_batched, gemm_batched);

}  // namespace nnm::cuda
