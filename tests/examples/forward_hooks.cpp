// forward_hooks.py in C++: one hook doubles the input, one adds ten to the output, one looks; then
// all are removed.
#include <nnm/nnm.h>

using namespace nnm;

struct Net : Module {
  Child<nn::Linear> fc1 = register_module("fc1", nn::Linear(10, 5));
  Child<nn::Linear> fc2 = register_module("fc2", nn::Linear(5, 2));

  Tensor forward(const Tensor& x) override { return fc2(relu(fc1(x))); }
};

Tensor double_input(Module& module, const Tensor& input) {
  print("before", module.type_name());
  return input * 2;
}

Tensor add_ten(Module&, const Tensor&, const Tensor& output) { return output + 10; }

void look(Module& module, const Tensor& input, const Tensor& output) {
  print(module.type_name(), input.shape(), "->", output.shape());
}

int main(int, char** argv) {
  Net model;
  model.load_state_dict(load(argv[1]));
  const Tensor x = ones({1, 10});
  print("original:", model(x));

  RemovableHandle handle = model.register_forward_pre_hook(double_input);
  print("input doubled:", model(x));
  print("by hand:", model.forward(x * 2));
  handle.remove();
  print("removed:", model(x));

  handle = model.fc1->register_forward_hook(add_ten);
  print("ten added in fc1:", model(x));
  RemovableHandle second = model.register_forward_hook(add_ten);
  print("and to the output:", model(x));
  handle.remove();
  print("first removed:", model(x));
  second.remove();
  print("removed:", model(x));

  std::vector<RemovableHandle> handles;
  for (Module* module : model.children()) handles.push_back(module->register_forward_hook(look));
  model(x);
  for (RemovableHandle& h : handles) h.remove();

  Items features;
  handle = model.fc1->register_forward_hook([&](Module&, const Tensor&, const Tensor& output) {
    features.emplace_back("fc1", output.detach());
  });
  model(x);
  handle.remove();
  print(features);
  print("original again:", model(x));
}
