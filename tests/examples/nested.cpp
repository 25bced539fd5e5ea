// nested.py in C++: a module inside a module, SubModule in MainModule, found by dotted names.
#include <nnm/nnm.h>

using namespace nnm;

struct SubModule : Module {
  Child<nn::Linear> linear;
  Buffer calls = register_buffer("calls", zeros({1}));

  explicit SubModule(int64_t size) { linear = register_module("linear", nn::Linear(size, size)); }

  Tensor forward(const Tensor& x) override {
    add_(calls, 1);
    return relu(linear(x));
  }
};

struct MainModule : Module {
  Child<SubModule> sub = register_module("sub", SubModule(3));
  Child<nn::Sequential> layers =
      register_module("layers", nn::Sequential(nn::Linear(3, 4), nn::Tanh(), SubModule(4)));
  Parameter scale = register_parameter("scale", parameter(tensor(2.0)));

  Tensor forward(const Tensor& x) override { return scale * layers(sub(x)); }
};

void init(Module& module) {
  if (auto* linear = dynamic_cast<nn::Linear*>(&module)) {
    nn::init::constant_(linear->weight, 0.5);
    nn::init::ones_(linear->bias);
  }
}

template <class Named>
std::vector<std::string> names(const Named& named) {
  std::vector<std::string> out;
  for (const auto& entry : named) out.push_back(entry.first);
  return out;
}

int main() {
  MainModule model;
  model.apply(init);
  print(model);
  print(model(ones({1, 3})));
  print(model(tensor({{1.0, -2.0, 0.5}})));

  for (const auto& [name, module] : model.named_modules()) print(repr(name));
  print(names(model.named_parameters()));
  print(names(model.named_parameters("", /*recurse=*/false)));
  for (const auto& [name, buffer] : model.named_buffers()) print(name, buffer);
  print(model.get_submodule("layers.2.linear"));
  print(model.get_parameter("layers.0.bias"));
  print(model.scale);
  print(model.state_dict().keys());
  print((*model.layers)[2].type_name(), model.layers->size());

  model.set_submodule("layers.1", nn::ReLU());
  print(model.layers);
}
