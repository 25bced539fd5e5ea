// A network that learns XOR: a whole program against the library.
#include <nnm/nnm.h>

using namespace nnm;

struct Net : Module {
  Child<nn::Linear> hidden = register_module("hidden", nn::Linear(2, 8));
  Child<nn::Linear> out = register_module("out", nn::Linear(8, 1));

  Tensor forward(const Tensor& x) override { return out(tanh(hidden(x))); }
};

int main() {
  manual_seed(0);
  Net model;
  print(model);
  const Tensor x = tensor({{0.0, 0.0}, {0.0, 1.0}, {1.0, 0.0}, {1.0, 1.0}});
  const Tensor y = tensor({{0.0}, {1.0}, {1.0}, {0.0}});

  optim::Adam optimizer(model.parameters(), {.lr = 0.1});
  nn::BCEWithLogitsLoss criterion;
  Tensor loss;
  for (int step = 0; step < 200; ++step) {
    optimizer.zero_grad();
    loss = criterion(model(x), y);
    loss.backward();
    optimizer.step();
  }
  print("learnt:", loss.item().d < 0.01);
  print(gt(model(x), 0));

  save(model.state_dict(), "xor.h5");
  Net restored;
  print(restored.load_state_dict(load("xor.h5")));
  print(equal(model(x), restored(x)));
}
