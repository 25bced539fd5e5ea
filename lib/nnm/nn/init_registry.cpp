// The initialisers that a config can name.
#include "nnm/nn/init.h"

namespace nnm {

namespace {

namespace fill = nn::init;

/// An initialiser of the options O, which say how it is called and what it does.
template <class O>
class InitializerOf final : public Initializer {
 public:
  explicit InitializerOf(const O& options) : options_(options) {}
  void operator()(const Tensor& t, Generator* generator) const override {
    options_.fill(t, generator);
  }
  static bool add(const char* name) {
    return Registry<Initializer>::add(name,
                                      {[]() -> const Signature& {
                                         static const Signature s = O::spec().signature();
                                         return s;
                                       },
                                       []() -> const std::string& { return O::spec().doc(); },
                                       [](const Values& bound) -> Ref<Initializer> {
                                         return make_ref<InitializerOf<O>>(O::spec().read(bound));
                                       }});
  }

 private:
  O options_;
};

#define NNM_INITIALIZER(Type, name) \
  [[maybe_unused]] const bool Type##_added = InitializerOf<Type>::add(name)

struct Uniform {
  using Options = Uniform;
  double a = 0, b = 1;
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("uniform", "uniform in [a, b)")
                              .opt(NNM_ARG(a), "lower bound")
                              .opt(NNM_ARG(b), "upper bound");
    return s;
  }
  void fill(const Tensor& t, Generator* g) const { fill::uniform_(t, a, b, g); }
};
NNM_INITIALIZER(Uniform, "uniform");

struct Normal {
  using Options = Normal;
  double mean = 0, std = 1;
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("normal", "normal with the given mean and deviation")
                              .opt(NNM_ARG(mean), "mean")
                              .opt(NNM_ARG(std), "standard deviation", at_least(0));
    return s;
  }
  void fill(const Tensor& t, Generator* g) const { fill::normal_(t, mean, std, g); }
};
NNM_INITIALIZER(Normal, "normal");

struct TruncNormal {
  using Options = TruncNormal;
  double mean = 0, std = 1, a = -2, b = 2;
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("trunc_normal", "normal, with values outside of [a, b] drawn again")
            .opt(NNM_ARG(mean), "mean")
            .opt(NNM_ARG(std), "standard deviation", at_least(0))
            .opt(NNM_ARG(a), "lower cutoff")
            .opt(NNM_ARG(b), "upper cutoff");
    return s;
  }
  void fill(const Tensor& t, Generator* g) const { fill::trunc_normal_(t, mean, std, a, b, g); }
};
NNM_INITIALIZER(TruncNormal, "trunc_normal");

struct Constant {
  using Options = Constant;
  double val = 0;
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("constant", "one value everywhere").req(NNM_ARG(val), "the value");
    return s;
  }
  void fill(const Tensor& t, Generator*) const { fill::constant_(t, val); }
};
NNM_INITIALIZER(Constant, "constant");

struct Ones {
  static const Spec<Ones>& spec() {
    static const auto s = Spec<Ones>("ones", "1 everywhere");
    return s;
  }
  void fill(const Tensor& t, Generator*) const { fill::ones_(t); }
};
NNM_INITIALIZER(Ones, "ones");

struct Zeros {
  static const Spec<Zeros>& spec() {
    static const auto s = Spec<Zeros>("zeros", "0 everywhere");
    return s;
  }
  void fill(const Tensor& t, Generator*) const { fill::zeros_(t); }
};
NNM_INITIALIZER(Zeros, "zeros");

struct Eye {
  static const Spec<Eye>& spec() {
    static const auto s = Spec<Eye>("eye", "the identity matrix");
    return s;
  }
  void fill(const Tensor& t, Generator*) const { fill::eye_(t); }
};
NNM_INITIALIZER(Eye, "eye");

struct Dirac {
  using Options = Dirac;
  int64_t groups = 1;
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("dirac", "convolutions that pass their inputs on")
                              .opt(NNM_ARG(groups), "groups of the convolution", at_least(1));
    return s;
  }
  void fill(const Tensor& t, Generator*) const { fill::dirac_(t, groups); }
};
NNM_INITIALIZER(Dirac, "dirac");

struct XavierUniform {
  using Options = XavierUniform;
  double gain = 1;
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("xavier_uniform", "Glorot and Bengio 2010, uniform")
                              .opt(NNM_ARG(gain), "scale");
    return s;
  }
  void fill(const Tensor& t, Generator* g) const { fill::xavier_uniform_(t, gain, g); }
};
NNM_INITIALIZER(XavierUniform, "xavier_uniform");

struct XavierNormal {
  using Options = XavierNormal;
  double gain = 1;
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("xavier_normal", "Glorot and Bengio 2010, normal")
                              .opt(NNM_ARG(gain), "scale");
    return s;
  }
  void fill(const Tensor& t, Generator* g) const { fill::xavier_normal_(t, gain, g); }
};
NNM_INITIALIZER(XavierNormal, "xavier_normal");

struct Kaiming {
  double a = 0;
  std::string mode = "fan_in", nonlinearity = "leaky_relu";
  template <class Options>
  static Spec<Options> spec(const char* name, const char* doc) {
    return Spec<Options>(name, doc)
        .template opt<double>("a", &Options::a, "negative slope of a leaky_relu")
        .template opt<std::string>("mode", &Options::mode,
                                   "whose variance to keep: forward or backward",
                                   one_of({"fan_in", "fan_out"}))
        .template opt<std::string>("nonlinearity", &Options::nonlinearity,
                                   "the function that follows, as calculate_gain knows it");
  }
};

struct KaimingUniform : Kaiming {
  static const Spec<KaimingUniform>& spec() {
    static const auto s =
        Kaiming::spec<KaimingUniform>("kaiming_uniform", "He et al. 2015, uniform");
    return s;
  }
  void fill(const Tensor& t, Generator* g) const {
    fill::kaiming_uniform_(t, a, mode, nonlinearity, g);
  }
};
NNM_INITIALIZER(KaimingUniform, "kaiming_uniform");

struct KaimingNormal : Kaiming {
  static const Spec<KaimingNormal>& spec() {
    static const auto s = Kaiming::spec<KaimingNormal>("kaiming_normal", "He et al. 2015, normal");
    return s;
  }
  void fill(const Tensor& t, Generator* g) const {
    fill::kaiming_normal_(t, a, mode, nonlinearity, g);
  }
};
NNM_INITIALIZER(KaimingNormal, "kaiming_normal");

struct Orthogonal {
  using Options = Orthogonal;
  double gain = 1;
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("orthogonal", "orthonormal rows or columns, Saxe 2013")
                              .opt(NNM_ARG(gain), "scale");
    return s;
  }
  void fill(const Tensor& t, Generator* g) const { fill::orthogonal_(t, gain, g); }
};
NNM_INITIALIZER(Orthogonal, "orthogonal");

struct Sparse {
  using Options = Sparse;
  double sparsity = 0, std = 0.01;
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("sparse", "normal with zeros in each column, Martens 2010")
            .req(NNM_ARG(sparsity), "share of zeros in each column", between(0, 1))
            .opt(NNM_ARG(std), "standard deviation of the rest", at_least(0));
    return s;
  }
  void fill(const Tensor& t, Generator* g) const { fill::sparse_(t, sparsity, std, g); }
};
NNM_INITIALIZER(Sparse, "sparse");

}  // namespace

}  // namespace nnm
