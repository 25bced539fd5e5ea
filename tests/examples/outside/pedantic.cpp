// What compilers say of a strict user's program and of nnm's headers in it: nothing.
#include <nnm/cli.h>
#include <nnm/nnm.h>

#include <iostream>

using namespace nnm;

struct Pairs : Module {
  Child<nn::Conv1d> conv = register_module("conv", nn::Conv1d(1, 2, 3, {.padding = 1}));
  Child<nn::Linear> fc = register_module("fc", nn::Linear(8, 2, {.bias = false}));
  Parameter scale = register_parameter("scale", parameter(full({2}, 0.5)));
  Buffer calls = register_buffer("calls", zeros({}, {.dtype = DType::i64}), false);

  NNM_FORWARD(Pairs, "a: Tensor, b: Tensor, margin: float = 1.0");
  Tensor forward(const Tensor& a, const Tensor& b, double margin) {
    return fc(flatten(conv(a - b), 1)) * scale + margin;
  }
  Ref<Module> copied() const override { return make_ref<Pairs>(*this); }
};

int main() {
  const ConstructionGuard construction({.dtype = DType::f32});
  Pairs model;
  int called = 0;
  const ScopedHandle pre(model.register_forward_pre_hook(
      [&](Module&, const Values&, Items& kwargs) { called += kwargs.empty() ? 1 : 10; }));
  const ScopedHandle forward(model.register_forward_hook(
      [&](Module&, const Values&, const Value& out) { return out; }, {.always_call = true}));
  const ScopedHandle backward(model.register_full_backward_hook(
      [&](Module&, const Tensors& in, const Tensors&) { called += static_cast<int>(in.size()); }));
  const ScopedHandle weight(
      model.fc->weight->register_hook([&](const Tensor& grad) { return grad * 2; }));
  optim::SGD optimizer(model.parameters(), {.lr = 0.1, .momentum = 0.9});

  const Tensor a = ones({3, 1, 4}).requires_grad_();
  const Value out = model(Args{{a}, {{"b", zeros({3, 1, 4})}}});
  sum(out.as<Tensor>()).backward();
  optimizer.step();
  std::cout << model << '\n' << called << ' ' << model.calls << ' ' << out.as<Tensor>().shape();
  std::cout << ' ' << model.load_state_dict(deepcopy(model)->state_dict()) << '\n';

  set_printoptions({.precision = 2, .sci_mode = true});
  std::cout << tensor({0.5, 0.25}) << ' ' << DType::bf16 << '\n';
  try {
    model(a);
  } catch (const Error& e) {
    std::cout << python_name(e.kind()) << ": " << e.what() << '\n';
  }
}
