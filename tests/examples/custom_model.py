"""A custom model: its forward, printing it, its parameters and modules by name, its modes."""

import sys

import torch
from torch import nn

from weights import load


class CustomModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(10, 5)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(5, 2)

    def forward(self, x):
        x = self.fc1(x)
        x = self.relu(x)
        x = self.fc2(x)
        return x


model = CustomModel()
model.load_state_dict(load(sys.argv[1]))
print(model)

x = torch.arange(20.0).reshape(2, 10) / 10
print("output:", model(x))

for name, param in model.named_parameters():
    print(name, param.shape, param.requires_grad)
for name, module in model.named_modules():
    print(repr(name), module)
for name, child in model.named_children():
    print(name, child)
print(sum(p.numel() for p in model.parameters()), "parameters")
print(model.fc1.bias)
print(model.get_submodule("fc2").weight)

print(model.training)
model.eval()
print(model.training, model.fc1.training)
model.train()
print(model.training, model.fc1.training)

for param in model.fc1.parameters():
    param.requires_grad_(False)
print([name for name, param in model.named_parameters() if param.requires_grad])

model(x).sum().backward()
print(model.fc1.weight.grad)
print(model.fc2.bias.grad)
model.zero_grad()
print(model.fc2.bias.grad)

model.double()
print(model.fc2.bias)
try:
    model.fc3
except AttributeError as e:
    print(e)
