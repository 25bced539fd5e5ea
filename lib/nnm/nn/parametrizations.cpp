// weight_norm, spectral_norm and orthogonal: the maps, and their names in configs.
#include "nnm/nn/parametrizations.h"

#include "nnm/autograd/node.h"
#include "nnm/nn/construct.h"
#include "nnm/nn/layers/conv.h"
#include "nnm/ops/linalg.h"

namespace nnm::nn::utils {

Tensor norm_except_dim(const Tensor& v, std::optional<int64_t> dim) {
  // -1 is PyTorch's none.
  if (!dim || *dim == -1) return norm(v);
  Dims others;
  for (int d = 0; d < v.dim(); ++d)
    if (d != wrap_dim(*dim, v.dim())) others.push_back(d);
  return others.empty() ? abs(v) : norm(v, 2, others, true);
}

Tensor as_matrix(const Tensor& x, int64_t dim) {
  return flatten(dim == 0 ? x : movedim(x, {dim}, {0}), 1);
}

int64_t output_dim(const Module& module) {
  const bool transposed = dynamic_cast<const ConvTranspose1d*>(&module) ||
                          dynamic_cast<const ConvTranspose2d*>(&module) ||
                          dynamic_cast<const ConvTranspose3d*>(&module);
  return transposed ? 1 : 0;
}

namespace parametrizations {

namespace {

using parametrize::Parametrization;

/// The module's tensor, or PyTorch's error.
Tensor tensor_of_module(const Module& module, const std::string& name) {
  Value v;
  if (module.has_attribute(name)) v = module.get_attribute(name);
  NNM_CHECK(v.holds<Tensor>(), value, "Module '{}' has no parameter or buffer with name '{}'",
            module.repr(), name);
  return v.as<Tensor>();
}

class WeightNorm final : public Parametrization {
 public:
  explicit WeightNorm(std::optional<int64_t> dim) : dim_(dim) {}
  std::string type_name() const override { return "_WeightNorm"; }
  Value forward(const Args& args) override {
    const Tensor g = args.pos.at(0).as<Tensor>(), v = args.pos.at(1).as<Tensor>();
    return v * (g / norm_except_dim(v, dim_));
  }
  Value right_inverse(const Tensor& weight) override {
    return Value::tuple({norm_except_dim(weight, dim_), weight});
  }
  Ref<Module> copied() const override { return make_ref<WeightNorm>(*this); }

 private:
  const std::optional<int64_t> dim_;
};

class SpectralNorm final : public Parametrization {
 public:
  SpectralNorm(const Tensor& weight, int64_t n_power_iterations, int64_t dim, double eps)
      : iterations_(n_power_iterations), eps_(eps) {
    const int64_t rank = weight.dim();
    NNM_CHECK(dim < rank && dim >= -rank, index,
              "Dimension out of range (expected to be in range of [{}, {}] but got {})", -rank,
              rank - 1, dim);
    NNM_CHECK(n_power_iterations > 0, value,
              "Expected n_power_iterations to be positive, but got n_power_iterations={}",
              n_power_iterations);
    dim_ = dim < 0 ? dim + rank : dim;
    if (rank <= 1) return;
    const NoGradGuard no_grad;
    const Tensor matrix = as_matrix(weight.detach(), dim_);
    u_ = register_buffer("_u", empty({matrix.size(0)}, matrix.options()));
    v_ = register_buffer("_v", empty({matrix.size(1)}, matrix.options()));
    draw(matrix, Streams());
  }
  std::string type_name() const override { return "_SpectralNorm"; }
  using Module::forward;
  Tensor forward(const Tensor& weight) override {
    if (weight.dim() == 1) return normalize(weight, 2, 0, eps_);
    const Tensor matrix = as_matrix(weight, dim_);
    if (training()) iterate(matrix.detach(), iterations_);
    // Copies: a later iteration must not change what this backward needs.
    const Tensor u = clone(u_.get()), v = clone(v_.get());
    return weight / dot(u, matmul(matrix, v));
  }
  Value right_inverse(const Tensor& value) override { return value; }
  void start(const Tensor& original, const Streams& streams) override {
    if (original.dim() > 1) draw(as_matrix(original.detach(), dim_), streams);
  }
  Ref<Module> copied() const override { return make_ref<SpectralNorm>(*this); }

 private:
  void draw(const Tensor& matrix, const Streams& streams) {
    constexpr int64_t kFirstIterations = 15;
    normal_(u_.get(), 0, 1, streams("_u"));
    normal_(v_.get(), 0, 1, streams("_v"));
    copy_(u_.get(), normalize(u_.get(), 2, 0, eps_));
    copy_(v_.get(), normalize(v_.get(), 2, 0, eps_));
    iterate(matrix, kFirstIterations);
  }
  void iterate(const Tensor& matrix, int64_t times) {
    const NoGradGuard no_grad;
    for (int64_t i = 0; i < times; ++i) {
      copy_(u_.get(), normalize(matmul(matrix, v_.get()), 2, 0, eps_));
      copy_(v_.get(), normalize(matmul(t(matrix), u_.get()), 2, 0, eps_));
    }
  }

  const int64_t iterations_;
  int64_t dim_ = 0;
  const double eps_;
  Buffer u_, v_;
};

enum class OrthogonalMap : uint8_t { matrix_exp, cayley, householder };

OrthogonalMap map_of(const std::string& word, const Tensor& weight) {
  if (word.empty())
    return weight.size(-2) == weight.size(-1) ? OrthogonalMap::matrix_exp
                                              : OrthogonalMap::householder;
  if (word == "matrix_exp") return OrthogonalMap::matrix_exp;
  if (word == "cayley") return OrthogonalMap::cayley;
  NNM_CHECK(word == "householder", value,
            "orthogonal_map has to be one of \"matrix_exp\", \"cayley\", \"householder\". Got: {}",
            word);
  return OrthogonalMap::householder;
}

/// Q of A = Q R with a positive diagonal of R; A is not wide.
Tensor made_orthogonal(const Tensor& a) {
  const auto [factors, tau] = geqrf(a);
  return householder_product(factors, tau) * unsqueeze(sign(diagonal(factors, 0, -2, -1)), -2);
}

class Orthogonal final : public Parametrization {
 public:
  Orthogonal(const Tensor& weight, OrthogonalMap map, bool use_trivialization)
      : shape_(weight.shape()), map_(map), trivialized_(use_trivialization) {
    if (trivialized_) base_ = register_buffer("base", {});
  }
  std::string type_name() const override { return "_Orthogonal"; }
  using Module::forward;
  Tensor forward(const Tensor& original) override {
    const bool wide = original.size(-2) < original.size(-1);
    Tensor q = tall(wide ? transpose(original, -2, -1) : original);
    if (trivialized_) q = matmul(base_.get(), q);
    return wide ? transpose(q, -2, -1) : q;
  }
  Value right_inverse(const Tensor& given) override;
  void start(const Tensor&, const Streams&) override {}
  Ref<Module> copied() const override { return make_ref<Orthogonal>(*this); }

 private:
  Tensor tall(const Tensor& x) const;
  Tensor base_for(const Tensor& q) const;

  const Shape shape_;
  const OrthogonalMap map_;
  const bool trivialized_;
  Buffer base_;
};

Tensor Orthogonal::tall(const Tensor& x) const {
  const int64_t n = x.size(-2), k = x.size(-1);
  if (map_ == OrthogonalMap::householder) {
    const Tensor a = tril(x, -1);
    const Tensor tau = Scalar(2.0) / (Scalar(1.0) + sum(square(a), {-2}));
    const Tensor signs = nnm::to(nnm::to(diagonal(x.detach(), 0, -2, -1), DType::i32), x.dtype());
    return householder_product(a, tau) * unsqueeze(signs, -2);
  }
  Tensor lower = tril(x);
  if (n != k) {
    Shape rest = x.shape();
    rest[x.dim() - 1] = n - k;
    lower = cat({lower, zeros(rest, x.options())}, -1);
  }
  const Tensor skew = lower - transpose(lower, -2, -1);
  const Tensor one = eye(n, -1, x.options());
  const Tensor q = map_ == OrthogonalMap::matrix_exp
                       ? matrix_exp(skew)
                       : solve(add(one, skew, -0.5), expand(add(one, skew, 0.5), skew.shape()));
  return n == k ? q : narrow(q, -1, 0, k);
}

Tensor Orthogonal::base_for(const Tensor& q) const {
  const int64_t n = q.size(-2), k = q.size(-1);
  if (n != k) {
    Shape rest = q.shape();
    rest[q.dim() - 1] = n - k;
    return made_orthogonal(cat({q, randn(rest, q.options())}, -1));
  }
  if (q.is_meta()) return empty(q.shape(), q.options());
  const double eps = 10.0 * static_cast<double>(n) * (q.dtype() == DType::f64 ? 2.2e-16 : 1.2e-7);
  const Tensor product = matmul(transpose(q, -2, -1), q);
  const Tensor one = expand(eye(k, -1, q.options()), product.shape());
  return allclose(product, one, 1e-5, eps) ? clone(q) : made_orthogonal(q);
}

Value Orthogonal::right_inverse(const Tensor& given) {
  const NoGradGuard no_grad;
  NNM_CHECK(given.shape() == shape_, value,
            "Expected a matrix or batch of matrices of shape torch.Size({}). Got a tensor of shape "
            "torch.Size({}).",
            shape_.str(), given.shape().str());
  const bool wide = given.size(-2) < given.size(-1);
  const Tensor q = (wide ? transpose(given, -2, -1) : given).detach();
  if (trivialized_) {
    register_buffer("base", base_for(q));
    const Tensor original = zeros_like(given);
    fill_(diagonal(original, 0, -2, -1), -1.0);
    return original;
  }
  NNM_CHECK(map_ == OrthogonalMap::householder, not_implemented,
            "It is not possible to assign to the matrix exponential or the Cayley parametrizations "
            "when use_trivialization=False.");
  const auto [a, tau] = geqrf(q);
  // Where tau is 0 LAPACK leaves the diagonal's sign to be turned.
  const Tensor on_diagonal = diagonal(a, 0, -2, -1);
  const Tensor signs = sign(on_diagonal);
  copy_(on_diagonal, where(eq(tau, Scalar(0)), neg(signs), signs));
  return wide ? transpose(a, -2, -1) : a;
}

/// Old states have weight_g and weight_v in the module itself.
void accept_old_weight_norm(Module& module, const std::string& name) {
  module.register_load_state_dict_pre_hook([name](Module&, LoadContext& c) {
    const std::string old = c.prefix + name;
    const Value *g = c.state_dict.find(old + "_g"), *v = c.state_dict.find(old + "_v");
    if (!g || !v) return;
    const Value magnitude = *g, direction = *v;
    c.state_dict.erase(old + "_g");
    c.state_dict.erase(old + "_v");
    const std::string now = fmt::format("{}parametrizations.{}.original", c.prefix, name);
    c.state_dict.set(now + "0", magnitude);
    c.state_dict.set(now + "1", direction);
  });
}

}  // namespace

Module& weight_norm(Module& module, const std::string& name, std::optional<int64_t> dim) {
  parametrize::register_parametrization(module, name, make_ref<WeightNorm>(dim), true);
  accept_old_weight_norm(module, name);
  return module;
}

Module& spectral_norm(Module& module, const std::string& name, int64_t n_power_iterations,
                      double eps, std::optional<int64_t> dim) {
  const Tensor weight = tensor_of_module(module, name);
  return parametrize::register_parametrization(
      module, name,
      make_ref<SpectralNorm>(weight, n_power_iterations, dim.value_or(output_dim(module)), eps));
}

Module& orthogonal(Module& module, const std::string& name, const std::string& orthogonal_map,
                   bool use_trivialization) {
  const Tensor weight = tensor_of_module(module, name);
  NNM_CHECK(weight.dim() >= 2, value,
            "Expected a matrix or batch of matrices. Got a tensor of {} dimensions.", weight.dim());
  const OrthogonalMap map = map_of(orthogonal_map, weight);
  return parametrize::register_parametrization(
      module, name, make_ref<Orthogonal>(weight, map, use_trivialization), true);
}

namespace {

// In a config they stand around a layer: weight_norm(Conv1d(8, 16, 3)).

struct WeightNormCall {
  static constexpr const char* kName = "weight_norm";
  struct Options {
    Ref<Module> module = {};
    std::string name = "weight";
    std::optional<int64_t> dim = 0;
  };
  static const Spec<Options>& spec() {
    static const Spec<Options> spec =
        Spec<Options>(kName, "the module, its weight of a magnitude and a direction")
            .req(NNM_ARG(module), "the module")
            .opt(NNM_ARG(name), "its parameter")
            .opt(NNM_ARG(dim), "the dimension that keeps norms of its own; none: one norm");
    return spec;
  }
  static void apply(const Options& o) { weight_norm(*o.module, o.name, o.dim); }
};

struct SpectralNormCall {
  static constexpr const char* kName = "spectral_norm";
  struct Options {
    Ref<Module> module = {};
    std::string name = "weight";
    int64_t n_power_iterations = 1;
    double eps = 1e-12;
    std::optional<int64_t> dim = {};
  };
  static const Spec<Options>& spec() {
    static const Spec<Options> spec =
        Spec<Options>(kName, "the module, its weight by its largest singular value")
            .req(NNM_ARG(module), "the module")
            .opt(NNM_ARG(name), "its parameter")
            .opt(NNM_ARG(n_power_iterations), "steps for each call in training", at_least(1))
            .opt(NNM_ARG(eps), "the least norm that is divided by")
            .opt(NNM_ARG(dim),
                 "the dimension of the outputs; none: 1 of transposed convolutions, "
                 "else 0");
    return spec;
  }
  static void apply(const Options& o) {
    spectral_norm(*o.module, o.name, o.n_power_iterations, o.eps, o.dim);
  }
};

struct OrthogonalCall {
  static constexpr const char* kName = "orthogonal";
  struct Options {
    Ref<Module> module = {};
    std::string name = "weight";
    std::optional<std::string> orthogonal_map = {};
    bool use_trivialization = true;
  };
  static const Spec<Options>& spec() {
    static const Spec<Options> spec =
        Spec<Options>(kName, "the module, its weight of orthonormal columns or rows")
            .req(NNM_ARG(module), "the module")
            .opt(NNM_ARG(name), "its parameter")
            .opt(NNM_ARG(orthogonal_map),
                 "how it is made; none: matrix_exp of square ones, else "
                 "householder",
                 one_of({"matrix_exp", "cayley", "householder"}))
            .keyword_only()
            .opt(NNM_ARG(use_trivialization), "steps from a matrix that is kept beside");
    return spec;
  }
  static void apply(const Options& o) {
    orthogonal(*o.module, o.name, o.orthogonal_map.value_or(""), o.use_trivialization);
  }
};

template <class Call>
bool register_call() {
  return Registry<Module>::add(Call::kName,
                               {[]() -> const Signature& {
                                  static const Signature s = Call::spec().signature();
                                  return s;
                                },
                                []() -> const std::string& { return Call::spec().doc(); },
                                [](const Values& bound) -> Ref<Module> {
                                  const auto o = Call::spec().read(bound);
                                  NNM_CHECK(o.module, type, "{}: the module is none", Call::kName);
                                  Call::apply(o);
                                  return o.module;
                                }});
}

[[maybe_unused]] const bool calls_registered = register_call<WeightNormCall>() &&
                                               register_call<SpectralNormCall>() &&
                                               register_call<OrthogonalCall>();

}  // namespace
}  // namespace parametrizations
}  // namespace nnm::nn::utils
