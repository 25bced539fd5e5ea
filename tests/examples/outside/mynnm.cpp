// An nnm whose YAML files know one more layer.
#include <nnm/cli.h>
#include <nnm/nnm.h>

using namespace nnm;

/// y = x sigmoid(beta x), with a beta that is learnt (Ramachandran et al., 2017).
struct Swish : Module {
  struct Options {
    double beta = 1.0;
  };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("Swish", "x sigmoid(beta x), beta is learnt").opt(NNM_ARG(beta), "at first");
    return s;
  }
  explicit Swish(const Options& o)
      : options(o), beta(register_parameter("beta", parameter(tensor({o.beta})))) {}

  Tensor forward(const Tensor& x) override { return x * sigmoid(beta * x); }
  std::string extra_repr() const override { return arguments_text(spec(), options, {"beta"}); }

  const Options options;
  Parameter beta;
};
NNM_REGISTER(Module, Swish);

int main(int argc, char** argv) { return cli_main(argc, argv); }
