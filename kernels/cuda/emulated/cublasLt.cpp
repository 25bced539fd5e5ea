// The emulated cuBLASLt.
#include "kernels/cuda/emulated/cublasLt.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <vector>

#include "kernels/half.h"

struct cublasLtContext {};
struct cublasLtMatmulDescOpaque_t {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  cublasOperation_t op[2] = {CUBLAS_OP_N, CUBLAS_OP_N};
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
};
struct cublasLtMatrixLayoutOpaque_t {
  cudaDataType_t type;
  int64_t rows, cols, ld;
  int32_t batch = 1;
  int64_t stride = 0;
};
struct cublasLtMatmulPreferenceOpaque_t {
  uint64_t workspace = 0;
  // The library's own promise, where the caller makes none.
  uint32_t alignment[4] = {256, 256, 256, 256};
};

namespace {

constexpr cublasStatus_t kInvalid = CUBLAS_STATUS_INVALID_VALUE;

template <class T>
cublasStatus_t take(T& to, const void* value, size_t bytes) {
  if (bytes != sizeof(T)) return kInvalid;
  std::memcpy(&to, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

double load(const void* p, int64_t i, cudaDataType_t type) {
  switch (type) {
    case CUDA_R_64F: return static_cast<const double*>(p)[i];
    case CUDA_R_16F: return static_cast<float>(static_cast<const nnm::Half*>(p)[i]);
    case CUDA_R_16BF: return static_cast<float>(static_cast<const nnm::BFloat16*>(p)[i]);
    default: return static_cast<const float*>(p)[i];
  }
}

void store(void* p, int64_t i, cudaDataType_t type, double v) {
  switch (type) {
    case CUDA_R_64F: static_cast<double*>(p)[i] = v; break;
    case CUDA_R_16F: static_cast<nnm::Half*>(p)[i] = nnm::Half(static_cast<float>(v)); break;
    case CUDA_R_16BF:
      static_cast<nnm::BFloat16*>(p)[i] = nnm::BFloat16(static_cast<float>(v));
      break;
    default: static_cast<float*>(p)[i] = static_cast<float>(v);
  }
}

const void* at_batch(const void* p, const cublasLtMatrixLayoutOpaque_t& m, int64_t i) {
  const int64_t bytes = m.type == CUDA_R_64F ? 8 : m.type == CUDA_R_32F ? 4 : 2;
  return static_cast<const char*>(p) + i * m.stride * bytes;
}

struct Sizes {
  int64_t m, n, k;
};

/// The sizes of a product, if its descriptors fit one another.
bool sizes_of(const cublasLtMatmulDescOpaque_t& o, const cublasLtMatrixLayoutOpaque_t& a,
              const cublasLtMatrixLayoutOpaque_t& b, const cublasLtMatrixLayoutOpaque_t& d,
              Sizes& s) {
  const bool ta = o.op[0] == CUBLAS_OP_T, tb = o.op[1] == CUBLAS_OP_T;
  s = {d.rows, d.cols, ta ? a.rows : a.cols};
  for (const auto* m : {&a, &b, &d})
    if (m->rows <= 0 || m->cols <= 0 || m->ld < m->rows || m->batch != d.batch || m->type != d.type)
      return false;
  const bool wide = d.type == CUDA_R_64F;
  return (ta ? a.cols : a.rows) == s.m && (tb ? b.rows : b.cols) == s.n &&
         (tb ? b.cols : b.rows) == s.k && wide == (o.compute == CUBLAS_COMPUTE_64F) &&
         wide == (o.scale == CUDA_R_64F) && (d.batch == 1 || d.stride != 0);
}

void log_product(const cublasLtMatmulDescOpaque_t& o, const cublasLtMatrixLayoutOpaque_t& a,
                 const cublasLtMatrixLayoutOpaque_t& b, const cublasLtMatrixLayoutOpaque_t& d,
                 const Sizes& s, const cublasLtMatmulAlgo_t& algo, uint64_t workspace) {
  const char* path = std::getenv("NNM_EMULATED_LT_LOG");
  std::FILE* f = path && *path ? std::fopen(path, "a") : nullptr;
  if (!f) return;
  const auto letter = [](cublasOperation_t op) { return op == CUBLAS_OP_T ? 'T' : 'N'; };
  std::fprintf(f, "%c%c %ldx%ldx%ld ld %ld %ld %ld batch %d stride %ld %ld %ld type %d%s",
               letter(o.op[0]), letter(o.op[1]), s.m, s.n, s.k, a.ld, b.ld, d.ld, d.batch, a.stride,
               b.stride, d.stride, d.type, o.epilogue == CUBLASLT_EPILOGUE_BIAS ? " bias" : "");
  std::fprintf(f, "; compute %d %d, aligned %lu %lu %lu %lu, workspace %lu\n", o.compute, o.scale,
               algo.data[0], algo.data[1], algo.data[2], algo.data[3], workspace);
  std::fclose(f);
}

/// As tensor cores take it: a half of what is cut off is rounded to even.
double tf32_of(double x) {
  auto bits = std::bit_cast<uint32_t>(static_cast<float>(x));
  bits += 0xfff + (bits >> 13 & 1);
  return std::bit_cast<float>(bits & ~uint32_t{0x1fff});
}

/// The vectors (count, k) of an operand that sums go over.
std::vector<double> terms(const void* p, cudaDataType_t type, bool tf32, int64_t count, int64_t k,
                          int64_t step, int64_t apart) {
  std::vector<double> all(static_cast<size_t>(count * k));
  for (int64_t i = 0; i < count; ++i)
    for (int64_t j = 0; j < k; ++j)
      all[static_cast<size_t>(i * k + j)] = load(p, i * apart + j * step, type);
  if (tf32) std::transform(all.begin(), all.end(), all.begin(), tf32_of);
  return all;
}

struct Matmul {
  cublasLtMatmulDescOpaque_t desc;
  cublasLtMatrixLayoutOpaque_t a_layout, b_layout, c_layout, d_layout;
  Sizes s;
  const void *a, *b, *c;
  void* d;
  double by, keep;
  void run() const {
    const cudaDataType_t type = d_layout.type;
    const bool ta = desc.op[0] == CUBLAS_OP_T, tb = desc.op[1] == CUBLAS_OP_T;
    const bool tf32 = type == CUDA_R_32F && desc.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    for (int64_t i = 0; i < d_layout.batch; ++i) {
      const void *x = at_batch(a, a_layout, i), *y = at_batch(b, b_layout, i),
                 *before = at_batch(c, c_layout, i);
      void* out = const_cast<void*>(at_batch(d, d_layout, i));
      const std::vector<double> left = terms(x, type, tf32, s.m, s.k, ta ? 1 : a_layout.ld,
                                             ta ? a_layout.ld : 1),
                                right = terms(y, type, tf32, s.n, s.k, tb ? b_layout.ld : 1,
                                              tb ? 1 : b_layout.ld);
      for (int64_t col = 0; col < s.n; ++col) {
        for (int64_t row = 0; row < s.m; ++row) {
          const double *l = &left[static_cast<size_t>(row * s.k)],
                       *r = &right[static_cast<size_t>(col * s.k)];
          double sum = 0;
          for (int64_t k = 0; k < s.k; ++k) sum += l[k] * r[k];
          sum *= by;
          if (keep != 0) sum += keep * load(before, row + col * d_layout.ld, type);
          if (desc.epilogue == CUBLASLT_EPILOGUE_BIAS) sum += load(desc.bias, row, type);
          store(out, row + col * d_layout.ld, type, sum);
        }
      }
    }
  }
};

bool aligned(const void* p, uint64_t bytes) { return reinterpret_cast<uintptr_t>(p) % bytes == 0; }

}  // namespace

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  static cublasLtContext context;
  *handle = &context;
  return CUBLAS_STATUS_SUCCESS;
}

size_t cublasLtGetVersion() { return 130100; }

const char* cublasLtGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
  }
  return "unknown";
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  *desc = new cublasLtMatmulDescOpaque_t{compute, scale};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
  delete desc;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t what,
                                              const void* value, size_t bytes) {
  switch (what) {
    case CUBLASLT_MATMUL_DESC_TRANSA: return take(desc->op[0], value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB: return take(desc->op[1], value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return take(desc->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return take(desc->bias, value, bytes);
  }
  return kInvalid;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType_t type,
                                          uint64_t rows, uint64_t cols, int64_t ld) {
  *layout = new cublasLtMatrixLayoutOpaque_t{type, static_cast<int64_t>(rows),
                                             static_cast<int64_t>(cols), ld};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete layout;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t what,
                                                const void* value, size_t bytes) {
  return what == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT ? take(layout->batch, value, bytes)
                                                    : take(layout->stride, value, bytes);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = new cublasLtMatmulPreferenceOpaque_t;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t what,
                                                    const void* value, size_t bytes) {
  if (what == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
    return take(preference->workspace, value, bytes);
  return take(preference->alignment[what - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value,
              bytes);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int requested,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int* returned) {
  *returned = 0;
  Sizes s;
  if (requested < 1 || !sizes_of(*desc, *a, *b, *d, s)) return kInvalid;
  const bool bias = desc->epilogue == CUBLASLT_EPILOGUE_BIAS;
  // The library has no epilogue in double precision, either.
  if (bias && d->type == CUDA_R_64F) return CUBLAS_STATUS_NOT_SUPPORTED;
  results[0] = {};
  for (int i = 0; i < 4; ++i) results[0].algo.data[i] = preference->alignment[i];
  results[0].algo.data[4] = preference->workspace;
  results[0].workspaceSize = preference->workspace;
  *returned = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void* beta, const void* c,
                              cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algo,
                              void* workspace, size_t workspace_bytes, cudaStream_t) {
  Sizes s;
  const bool bias = desc->epilogue == CUBLASLT_EPILOGUE_BIAS;
  if (!sizes_of(*desc, *a_layout, *b_layout, *d_layout, s) || (bias && !desc->bias) ||
      !aligned(a, algo->data[0]) || !aligned(b, algo->data[1]) || !aligned(c, algo->data[2]) ||
      !aligned(d, algo->data[3]) || algo->data[4] > workspace_bytes ||
      (workspace_bytes > 0 && !aligned(workspace, 16)) || (workspace_bytes > 0 && !workspace))
    return kInvalid;
  log_product(*desc, *a_layout, *b_layout, *d_layout, s, *algo, workspace_bytes);
  // Descriptors and factors belong to the caller, who changes them for the next product.
  const Matmul product{*desc,
                       *a_layout,
                       *b_layout,
                       *c_layout,
                       *d_layout,
                       s,
                       a,
                       b,
                       c,
                       d,
                       load(alpha, 0, desc->scale),
                       load(beta, 0, desc->scale)};
  nnm::simt::do_or_keep(reinterpret_cast<const void*>(&cublasLtMatmul), [=] { product.run(); });
  return CUBLAS_STATUS_SUCCESS;
}
