// add_module.py in C++: children made in a loop, a ModuleList, and members beside add_module.
#include <nnm/nnm.h>

using namespace nnm;

struct Loop : Module {
  explicit Loop(int n) {
    for (int i = 0; i < n; ++i) add_module(fmt::format("linear_{}", i), nn::Linear(2, 2));
  }
  Tensor forward(const Tensor& input) override {
    Tensor x = input;
    for (Module* layer : children()) x = (*layer)(x);
    return x;
  }
};

struct Assigned : Module {
  Child<nn::Linear> linear = register_module("linear", nn::Linear(2, 2));

  Tensor forward(const Tensor& x) override { return linear(x); }
};

struct Added : Module {
  Added() { add_module("linear", nn::Linear(2, 2)); }
  Tensor forward(const Tensor& x) override { return get_submodule("linear")(x); }
};

struct Listed : Module {
  Child<nn::ModuleList> linears = register_module("linears", nn::ModuleList());

  Listed() {
    for (int i = 0; i < 3; ++i) linears->append(nn::Linear(2, 2));
  }
  Tensor forward(const Tensor& input) override {
    Tensor x = input;
    for (Module* linear : linears->children()) x = (*linear)(x) + x;
    return x;
  }
};

void set_ones(Module& module) {
  if (auto* linear = dynamic_cast<nn::Linear*>(&module)) {
    nn::init::ones_(linear->weight);
    nn::init::zeros_(linear->bias);
  }
}

void show(Module&& model) {
  model.apply(set_ones);
  print(model);
  print(model.module_slots());
  std::vector<std::string> names;
  for (const auto& [name, param] : model.named_parameters()) names.push_back(name);
  print(names);
  print(model(tensor({{1.0, 2.0}})));
}

int main() {
  show(Loop(3));
  show(Assigned());
  show(Added());
  show(Listed());

  Loop loop(2);
  loop.add_module("linear_1", nn::ReLU());
  loop.add_module("last", nn::Identity());
  print(loop.module_slots());
  for (const char* name : {"linear.3", "", "forward"}) {
    try {
      loop.add_module(name, nn::Linear(2, 2));
    } catch (const Error& e) {
      print(e.what());
    }
  }
}
