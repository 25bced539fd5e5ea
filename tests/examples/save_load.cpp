// save_load.py in C++: a state dict in a file, a strict load, a partial one, and what train and
// eval change.
#include <nnm/nnm.h>

using namespace nnm;

struct Net : Module {
  Child<nn::Linear> fc1 = register_module("fc1", nn::Linear(10, 5));
  Child<nn::Dropout> dropout = register_module("dropout", nn::Dropout({.p = 0.5}));
  Child<nn::Linear> fc2 = register_module("fc2", nn::Linear(5, 2));

  Tensor forward(const Tensor& x) override { return fc2(dropout(relu(fc1(x)))); }
};

int main(int, char** argv) {
  Net model;
  print(model.load_state_dict(load(argv[1])));
  for (const auto& [name, tensor] : model.state_dict()) print(name, tensor.as<Tensor>().shape());
  print(model.state_dict().tensor("fc2.weight"));

  save(model.state_dict(), argv[2]);
  Net restored;
  restored.load_state_dict(load(argv[2]));

  const Tensor x = ones({4, 10});
  model.eval();
  restored.eval();
  print(equal(model(x), restored(x)));
  print(restored(x));
  {
    NoGradGuard no_grad;
    print(restored(x));
  }

  restored.train();
  print(equal(restored.dropout(x), x));
  restored.eval();
  print(equal(restored.dropout(x), x));

  const StateDict partial({{"fc1.weight", zeros({5, 10})}, {"fc3.weight", zeros({1})}});
  print(model.load_state_dict(partial, /*strict=*/false));
  try {
    model.load_state_dict(partial);
  } catch (const Error& e) {
    print(e.what());
  }
  try {
    model.load_state_dict(StateDict({{"fc1.weight", zeros({5, 9})}}), /*strict=*/false);
  } catch (const Error& e) {
    print(e.what());
  }
}
