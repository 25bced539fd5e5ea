"""Saving and loading: a state dict in a file, a strict load, a partial one, and what train and eval change."""

import sys

import torch
from torch import nn

from weights import load


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(10, 5)
        self.dropout = nn.Dropout(p=0.5)
        self.fc2 = nn.Linear(5, 2)

    def forward(self, x):
        return self.fc2(self.dropout(torch.relu(self.fc1(x))))


model = Net()
print(model.load_state_dict(load(sys.argv[1])))
for name, tensor in model.state_dict().items():
    print(name, tensor.shape)
print(model.state_dict()["fc2.weight"])

torch.save(model.state_dict(), sys.argv[2])
restored = Net()
restored.load_state_dict(torch.load(sys.argv[2]))

x = torch.ones(4, 10)
model.eval()
restored.eval()
print(torch.equal(model(x), restored(x)))
print(restored(x))
with torch.no_grad():
    print(restored(x))

restored.train()
print(torch.equal(restored.dropout(x), x))
restored.eval()
print(torch.equal(restored.dropout(x), x))

partial = {"fc1.weight": torch.zeros(5, 10), "fc3.weight": torch.zeros(1)}
print(model.load_state_dict(partial, strict=False))
try:
    model.load_state_dict(partial)
except RuntimeError as e:
    print(e)
try:
    model.load_state_dict({"fc1.weight": torch.zeros(5, 9)}, strict=False)
except RuntimeError as e:
    print(e)
