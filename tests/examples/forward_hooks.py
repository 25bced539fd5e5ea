"""Forward hooks: one doubles the input, one adds ten to the output, one looks; then all are removed."""

import sys

import torch
from torch import nn

from weights import load


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(10, 5)
        self.fc2 = nn.Linear(5, 2)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))


def double_input(module, input):
    print("before", type(module).__name__)
    return input[0] * 2


def add_ten(module, input, output):
    return output + 10


def look(module, input, output):
    print(type(module).__name__, input[0].shape, "->", output.shape)


model = Net()
model.load_state_dict(load(sys.argv[1]))
x = torch.ones(1, 10)
print("original:", model(x))

handle = model.register_forward_pre_hook(double_input)
print("input doubled:", model(x))
print("by hand:", model.forward(x * 2))
handle.remove()
print("removed:", model(x))

handle = model.fc1.register_forward_hook(add_ten)
print("ten added in fc1:", model(x))
second = model.register_forward_hook(add_ten)
print("and to the output:", model(x))
handle.remove()
print("first removed:", model(x))
second.remove()
print("removed:", model(x))

handles = [module.register_forward_hook(look) for module in model.children()]
model(x)
for handle in handles:
    handle.remove()

features = {}
handle = model.fc1.register_forward_hook(lambda module, input, output: features.update(fc1=output.detach()))
model(x)
handle.remove()
print(features)
print("original again:", model(x))
