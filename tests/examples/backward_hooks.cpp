// backward_hooks.py in C++: a tensor's gradient doubled, a module's grad_input doubled, and each
// removed again.
#include <nnm/nnm.h>

using namespace nnm;

struct Net : Module {
  Child<nn::Linear> fc1 = register_module("fc1", nn::Linear(10, 5));
  Child<nn::Linear> fc2 = register_module("fc2", nn::Linear(5, 2));

  Tensor forward(const Tensor& x) override { return fc2(relu(fc1(x))); }
};

Tensors double_grad_input(Module&, const Tensors& grad_input, const Tensors& grad_output) {
  print("grad_input:", grad_input);
  print("grad_output:", grad_output);
  return {grad_input[0] * 2};
}

void look(Module& module, const Tensors& grad_output) {
  print("before", module.type_name(), grad_output);
}

Tensor input_grad(Net& model) {
  const Tensor x = ones({1, 10}).requires_grad_();
  model.zero_grad();
  sum(model(x)).backward();
  return x.grad();
}

void tensor_hooks() {
  const Tensor x = tensor({1.0, 2.0, 3.0}).requires_grad_();
  sum(x * x).backward();
  print("original:", x.grad());

  RemovableHandle handle = x.register_hook([](const Tensor& grad) { return grad * 2; });
  x.set_grad({});
  sum(x * x).backward();
  print("doubled:", x.grad());

  handle.remove();
  x.set_grad({});
  sum(x * x).backward();
  print("removed:", x.grad());

  const Tensor y = x * 3;
  y.register_hook([](const Tensor& grad) {
    print("grad of y:", grad);
    return std::nullopt;
  });
  y.retain_grad();
  const Tensor z = mean(y * y);
  print(z);
  z.backward();
  print(y);
  print(y.grad(), x.grad());
}

int main(int, char** argv) {
  tensor_hooks();

  Net model;
  model.load_state_dict(load(argv[1]));
  print("original:", input_grad(model));

  RemovableHandle handle = model.fc1->register_full_backward_hook(double_grad_input);
  print("doubled by fc1:", input_grad(model));
  print(model.fc1->bias->grad());
  handle.remove();
  print("removed:", input_grad(model));

  handle = model.fc2->register_full_backward_hook(double_grad_input);
  print("doubled by fc2:", input_grad(model));
  print(model.fc1->bias->grad());
  handle.remove();

  std::vector<RemovableHandle> handles;
  for (Module* module : model.children()) {
    handles.push_back(module->register_full_backward_pre_hook(look));
  }
  input_grad(model);
  for (RemovableHandle& h : handles) h.remove();
  print("original again:", input_grad(model));
}
