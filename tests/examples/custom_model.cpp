// custom_model.py in C++: a custom model, its forward, printing it, its parameters and its modes.
#include <nnm/nnm.h>

using namespace nnm;

struct CustomModel : Module {
  Child<nn::Linear> fc1 = register_module("fc1", nn::Linear(10, 5));
  Child<nn::ReLU> relu = register_module("relu", nn::ReLU());
  Child<nn::Linear> fc2 = register_module("fc2", nn::Linear(5, 2));

  Tensor forward(const Tensor& input) override {
    Tensor x = fc1(input);
    x = relu(x);
    x = fc2(x);
    return x;
  }
};

int main(int, char** argv) {
  CustomModel model;
  model.load_state_dict(load(argv[1]));
  print(model);

  const Tensor x = reshape(arange(20.0), {2, 10}) / 10;
  print("output:", model(x));

  for (const auto& [name, param] : model.named_parameters()) {
    print(name, param.shape(), param.requires_grad());
  }
  for (const auto& [name, module] : model.named_modules()) print(repr(name), *module);
  for (const auto& [name, child] : model.named_children()) print(name, *child);
  int64_t count = 0;
  for (const Tensor& p : model.parameters()) count += p.numel();
  print(count, "parameters");
  print(model.fc1->bias);
  print(model.get_parameter("fc2.weight"));

  print(model.training());
  model.eval();
  print(model.training(), model.fc1->training());
  model.train();
  print(model.training(), model.fc1->training());

  for (const Tensor& param : model.fc1->parameters()) param.requires_grad_(false);
  std::vector<std::string> trainable;
  for (const auto& [name, param] : model.named_parameters()) {
    if (param.requires_grad()) trainable.push_back(name);
  }
  print(trainable);

  sum(model(x)).backward();
  print(model.fc1->weight->grad());
  print(model.fc2->bias->grad());
  model.zero_grad();
  print(model.fc2->bias->grad());

  model.to_double();
  print(model.fc2->bias);
  try {
    model.get_attribute("fc3");
  } catch (const Error& e) {
    print(e.what());
  }
}
