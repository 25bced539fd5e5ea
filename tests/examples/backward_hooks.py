"""Backward hooks: a tensor's gradient doubled, a module's grad_input doubled, and each removed again."""

import sys

import torch
from torch import nn

from weights import load

x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
(x * x).sum().backward()
print("original:", x.grad)

handle = x.register_hook(lambda grad: grad * 2)
x.grad = None
(x * x).sum().backward()
print("doubled:", x.grad)

handle.remove()
x.grad = None
(x * x).sum().backward()
print("removed:", x.grad)

y = x * 3
y.register_hook(lambda grad: print("grad of y:", grad))
y.retain_grad()
z = (y * y).mean()
print(z)
z.backward()
print(y)
print(y.grad, x.grad)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(10, 5)
        self.fc2 = nn.Linear(5, 2)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))


def double_grad_input(module, grad_input, grad_output):
    print("grad_input:", grad_input)
    print("grad_output:", grad_output)
    return (grad_input[0] * 2,)


def look(module, grad_output):
    print("before", type(module).__name__, grad_output)


def input_grad():
    x = torch.ones(1, 10, requires_grad=True)
    model.zero_grad()
    model(x).sum().backward()
    return x.grad


model = Net()
model.load_state_dict(load(sys.argv[1]))
print("original:", input_grad())

handle = model.fc1.register_full_backward_hook(double_grad_input)
print("doubled by fc1:", input_grad())
print(model.fc1.bias.grad)
handle.remove()
print("removed:", input_grad())

handle = model.fc2.register_full_backward_hook(double_grad_input)
print("doubled by fc2:", input_grad())
print(model.fc1.bias.grad)
handle.remove()

handles = [module.register_full_backward_pre_hook(look) for module in model.children()]
input_grad()
for handle in handles:
    handle.remove()
print("original again:", input_grad())
