"""A module inside a module: SubModule in MainModule, found by dotted names."""

import torch
from torch import nn


class SubModule(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.linear = nn.Linear(size, size)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        self.calls += 1
        return torch.relu(self.linear(x))


class MainModule(nn.Module):
    def __init__(self):
        super().__init__()
        self.sub = SubModule(3)
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), SubModule(4))
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.scale * self.layers(self.sub(x))


def init(module):
    if isinstance(module, nn.Linear):
        nn.init.constant_(module.weight, 0.5)
        nn.init.ones_(module.bias)


model = MainModule()
model.apply(init)
print(model)
print(model(torch.ones(1, 3)))
print(model(torch.tensor([[1.0, -2.0, 0.5]])))

for name, _ in model.named_modules():
    print(repr(name))
print([name for name, _ in model.named_parameters()])
print([name for name, _ in model.named_parameters(recurse=False)])
for name, buffer in model.named_buffers():
    print(name, buffer)
print(model.get_submodule("layers.2.linear"))
print(model.get_parameter("layers.0.bias"))
print(model.scale)
print(list(model.state_dict()))
print(type(model.layers[2]).__name__, len(model.layers))

model.set_submodule("layers.1", nn.ReLU())
print(model.layers)
