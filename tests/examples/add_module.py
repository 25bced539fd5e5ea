"""Children made in a loop: add_module with names, a ModuleList, and assignment beside add_module."""

import torch
from torch import nn


class Loop(nn.Module):
    def __init__(self, n):
        super().__init__()
        for i in range(n):
            self.add_module(f"linear_{i}", nn.Linear(2, 2))

    def forward(self, x):
        for layer in self.children():
            x = layer(x)
        return x


class Assigned(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)

    def forward(self, x):
        return self.linear(x)


class Added(nn.Module):
    def __init__(self):
        super().__init__()
        self.add_module("linear", nn.Linear(2, 2))

    def forward(self, x):
        return self.get_submodule("linear")(x)


class Listed(nn.Module):
    def __init__(self):
        super().__init__()
        self.linears = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])

    def forward(self, x):
        for linear in self.linears:
            x = linear(x) + x
        return x


def set_ones(module):
    if isinstance(module, nn.Linear):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)


x = torch.tensor([[1.0, 2.0]])
for model in (Loop(3), Assigned(), Added(), Listed()):
    model.apply(set_ones)
    print(model)
    print(model._modules)
    print([name for name, _ in model.named_parameters()])
    print(model(x))

loop = Loop(2)
loop.add_module("linear_1", nn.ReLU())
loop.add_module("last", nn.Identity())
print(loop._modules)
for name in ("linear.3", "", "forward"):
    try:
        loop.add_module(name, nn.Linear(2, 2))
    except KeyError as e:
        print(e.args[0])
