#!/usr/bin/env python3
"""Writes tests/golden/trace.h5: what hooks see in PyTorch 2.13 of one model, call by call.

    python scripts/golden_trace.py

The model has what makes traces hard: keyword arguments, nested tuples, a module that is called three
times with tensors of two ranks, a tied weight, an output that nobody uses, and a frozen beginning.
The same model stands in the file as a config, and its weights and batch as numbers, in float64.
"""

import torch
from torch import nn

from golden import attribute, create, set_parameters, uniform, write

CONFIG = """\
nnm: 1
define:
  Gate:
    modules:
      lin: Linear(6, 6)
    inputs:
      x: f32[B, 6]
      scale: f32[B, 6]
    forward:
      - h = x |> lin
      - return h * scale, (h, x)
  Net:
    modules:
      frozen: Linear(4, 6)
      fc: Linear(6, 6)
      act: Tanh()
      gate: Gate()
      lstm: LSTM(6, 5, batch_first=True)
      split: Split()
      tied: Linear(6, 6)
      head: Linear(5, 3)
    tie: [tied.weight = fc.weight]
    inputs:
      x: f32[B, 4]
    forward:
      - h = x |> frozen |> fc |> act
      - (a, (b, c)) = gate(h, scale=x[:, 0:1].expand(-1, 6))
      - y, (hn, cn) = lstm(stack([a, b + tied(c)], 1))
      - left, right = split(act(y))
      - return head(act(left[:, 1] + cn[0]))
  Split:
    inputs:
      x: f32[B, 2, 5]
    forward:
      - return x * 2, x * 3
model: Net()
"""


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(6, 6)

    def forward(self, x, scale):
        h = self.lin(x)
        return h * scale, (h, x)


class Split(nn.Module):
    def forward(self, x):
        return x * 2, x * 3


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.frozen = nn.Linear(4, 6)
        self.fc = nn.Linear(6, 6)
        self.act = nn.Tanh()
        self.gate = Gate()
        self.lstm = nn.LSTM(6, 5, batch_first=True)
        self.split = Split()
        self.tied = nn.Linear(6, 6)
        self.head = nn.Linear(5, 3)
        self.tied.weight = self.fc.weight

    def forward(self, x):
        h = self.act(self.fc(self.frozen(x)))
        a, (b, c) = self.gate(h, scale=x[:, 0:1].expand(-1, 6))
        y, (_, cn) = self.lstm(torch.stack([a, b + self.tied(c)], 1))
        left, _ = self.split(self.act(y))
        return self.head(self.act(left[:, 1] + cn[0]))


def flatten(value):
    if isinstance(value, (tuple, list)):
        return [t for v in value for t in flatten(v)]
    return [value]


def named(args, kwargs=()):
    """Tensors by the names that a trace gives them."""
    tensors = {str(i): t for i, t in enumerate(flatten(args)) if isinstance(t, torch.Tensor)}
    return {**tensors, **dict(kwargs)}


class Recording:
    """Hooks of the given kinds on all modules, and what they saw."""

    def __init__(self, model, kinds):
        self.calls, self.tensors, self.kinds = [], {}, kinds
        for path, module in model.named_modules():
            self.attach(path or type(module).__name__, module)
        if "post_accumulate_grad" in kinds:
            for path, p in model.named_parameters():
                if p.requires_grad:
                    owner = path.rsplit(".", 1)[0]
                    p.register_post_accumulate_grad_hook(
                        lambda _, owner=owner: self.told("post_accumulate_grad", owner, 0))

    def told(self, kind, name, call, what=None, tensors=None):
        if kind not in self.kinds:
            return
        self.calls.append((kind, name, call))
        for arg, t in (tensors or {}).items():
            if t is not None:
                self.tensors[f"{name}/{what}/{arg}/{call}"] = t.detach().clone()

    def attach(self, name, module):
        begun, running, bound = [0], [], []

        def bind(call):
            # A call keeps the backward hooks that are there when it begins.
            handles = [
                module.register_full_backward_pre_hook(
                    lambda _, grad_output: self.told("full_backward_pre", name, call, "grad_output",
                                                     dict(zip(map(str, range(9)), grad_output)))),
                module.register_full_backward_hook(
                    lambda _, grad_input, __: self.told("full_backward", name, call, "grad_input",
                                                        dict(zip(map(str, range(9)), grad_input))))]
            for handle in bound:
                handle.remove()
            bound[:] = handles

        def before(_, args, kwargs):
            call = begun[0]
            begun[0] += 1
            running.append(call)
            if self.kinds & {"full_backward_pre", "full_backward"}:
                bind(call + 1)
            self.told("forward_pre", name, call, "input", named(args, kwargs))

        def after(_, args, output):
            call = running.pop()
            self.told("forward", name, call, "output", named(output))
            if "tensor" in self.kinds:
                for arg, t in named(output).items():
                    if t.requires_grad:
                        t.register_hook(lambda grad, arg=arg: self.told(
                            "tensor", name, call, "grad_output", {arg: grad}))

        if self.kinds & {"full_backward_pre", "full_backward"}:
            bind(0)
        module.register_forward_pre_hook(before, with_kwargs=True)
        module.register_forward_hook(after)


def record(group, state, x, kinds):
    model = Net().double()
    model.load_state_dict(state)
    model.frozen.requires_grad_(False)
    recording = Recording(model, kinds)
    model(x).square().sum().backward()
    for name, p in model.named_parameters(remove_duplicate=False):
        owner, own = name.rsplit(".", 1)
        recording.tensors[f"{owner}/weight/{own}/0"] = p
        if p.grad is not None:
            recording.tensors[f"{owner}/weight_grad/{own}/0"] = p.grad
    attribute(group, "calls", "\n".join(f"{k} {m}#{c}" for k, m, c in recording.calls))
    for name, t in recording.tensors.items():
        write(group, f"tensors/{name}", t)


def main():
    torch.set_num_threads(1)
    model = Net().double()
    set_parameters(model, "trace")
    state = model.state_dict()
    x = torch.from_numpy(uniform("trace\nx", 12).reshape(3, 4) - 0.5)
    with create("trace") as file:
        attribute(file, "config", CONFIG)
        write(file, "x", x)
        for name, t in state.items():
            write(file, f"state_dict/{name}", t)
        record(file.create_group("modules"), state, x,
               {"forward_pre", "forward", "full_backward_pre", "full_backward",
                "post_accumulate_grad"})
        record(file.create_group("tensors"), state, x, {"tensor"})


if __name__ == "__main__":
    main()
