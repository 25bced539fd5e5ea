#!/usr/bin/env python3
"""Writes tests/golden/*.h5: what PyTorch 2.13 computes, for tests that run without it.

    python scripts/golden.py [functions] [layers] [optim] [training]

Inputs and parameters are not stored: both sides derive them from the case's text (see numbers()).
A case whose PyTorch call fails is an error. Everything is computed in float64 on one thread.
"""

import functools
import math
import pathlib
import re
import sys

import h5py
import numpy as np
import torch
import torch.nn.functional as F

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "golden"
VERSION = "2.13"


def fnv1a(text):
    """The 32-bit hash of a text that names a sequence of numbers."""
    h = 2166136261
    for byte in text.encode():
        h = (h ^ byte) * 16777619 % 2**32
    return h


def uniform(key, n):
    """n numbers in [0, 1) of 24 bits, exact in float32, from the key's hash alone."""
    h = (np.arange(n, dtype=np.uint64) * 2654435761 + fnv1a(key)) % 2**32
    for shift, factor in ((15, 2246822519), (13, 3266489917)):
        h = (h ^ (h >> np.uint64(shift))) * factor % 2**32
    h ^= h >> np.uint64(16)
    return (h >> np.uint64(8)).astype(np.float64) / 2**24


SPEC = re.compile(r"(\w+): ([fpucvib])\[([\d, ]*)\](?:<(\d+))?(?:\*([\d.]+))?(?:\+([\d.]+))?$")
RANGES = {"f": (4, -2), "c": (4, -2), "p": (2, 0.1), "v": (2, 0.1), "u": (1, 0)}


def numbers(case, spec):
    """The name and the tensor of one input such as `x: f[2, 3]*0.5+1` (golden_functions.py)."""
    name, kind, shape, below, scale, offset = SPEC.match(spec).groups()
    shape = [int(n) for n in shape.split(",")] if shape else []
    u = uniform(f"{case}\n{name}", math.prod(shape)).reshape(shape)
    if kind == "i":
        return name, torch.from_numpy(np.asarray(np.floor(u * int(below)), np.int64))
    if kind == "b":
        return name, torch.from_numpy(np.asarray(u < 0.5))
    factor, base = RANGES[kind]
    values = (factor * u + base) * float(scale or 1) + float(offset or 0)
    return name, torch.from_numpy(np.asarray(values)).requires_grad_(kind in "fpu")


class Names(dict):
    """What a call may name: inputs, literals, then functional, torch and tensor methods."""

    CONSTANTS = {"true": True, "false": False, "none": None, "inf": math.inf, "f32": torch.float32,
                 "f64": torch.float64, "i64": torch.int64, "bool": torch.bool, "nan": math.nan,
                 "linalg": torch.linalg}

    def __missing__(self, name):
        if name in self.CONSTANTS:
            return self.CONSTANTS[name]
        for room in (F, torch.nn, torch, torch.linalg, torch.special,
                     torch.nn.utils.parametrizations):
            found = getattr(room, name, None)
            if callable(found):
                return found
        return lambda x, *args, **kw: getattr(x, name)(*args, **kw)


def evaluate(text, inputs=()):
    try:
        return eval(text, {}, Names(inputs))
    except Exception as error:
        raise RuntimeError(f"{text}: {error}") from error


def flatten(value):
    """The tensors of a result, in order; numbers count as 0-d tensors."""
    if isinstance(value, (tuple, list)):
        return [t for v in value for t in flatten(v)]
    if value is None:
        return []
    return [value if isinstance(value, torch.Tensor) else torch.tensor(value)]


def weights_like(t):
    """What a loss weighs the elements of an output with: eighths that repeat after 17."""
    w = (np.arange(t.numel()) * 37 % 17 - 8) / 8
    return torch.from_numpy(w.reshape(tuple(t.shape))).to(t.dtype)


def gradients(outputs, leaves):
    """Those of the weighted sum of all outputs w.r.t. each leaf, or None."""
    outputs = [t for t in outputs if t.requires_grad]
    leaves = [t for t in leaves if t.requires_grad]
    if not outputs or not leaves:
        return {}
    grads = torch.autograd.grad(outputs, leaves, [weights_like(t) for t in outputs],
                                allow_unused=True)
    return {id(leaf): g for leaf, g in zip(leaves, grads)}


def create(name):
    file = h5py.File(FOLDER / f"{name}.h5", "w", libver=("v108", "v108"))
    file.attrs["torch"] = VERSION
    return file


def write(group, name, tensor):
    group.create_dataset(name, data=tensor.numpy(force=True))


def attribute(group, name, text):
    """A text of fixed length, readable everywhere."""
    data = text.encode()
    group.attrs.create(name, np.bytes_(data), dtype=f"S{max(len(data), 1)}")


def write_tolerance(group, call):
    """For the few cases in which PyTorch itself is not as exact as its type."""
    from golden_functions import LOOSE
    if call.split("(")[0] in LOOSE:
        group.attrs["rtol"] = LOOSE[call.split("(")[0]]


def write_functions():
    from golden_functions import CASES
    with create("functions") as file:
        for number, (call, specs, *other) in enumerate(CASES):
            inputs = dict(numbers(call, s.strip()) for s in specs.split(";") if s.strip())
            torch.set_default_dtype(torch.float64 if inputs else torch.float32)
            before = {name: t.detach().clone() for name, t in inputs.items()}
            outputs = flatten(evaluate(other[0] if other else call, inputs))
            group = file.create_group(f"{number:03}")
            attribute(group, "call", call)
            attribute(group, "inputs", specs)
            write_tolerance(group, call)
            grads = gradients(outputs, inputs.values())
            for i, t in enumerate(outputs):
                write(group, f"out{i}", t)
            for name, t in inputs.items():
                if grads.get(id(t)) is not None:
                    write(group, f"grad.{name}", grads[id(t)])
                if not torch.equal(t, before[name]):
                    write(group, f"after.{name}", t)


KEPT = ("running_mean", "._u", "._v", ".base")  # buffers of layers and of their parametrizations


def set_parameters(module, key):
    """Numbers for parameters, statistics and what norms keep, drawn from the key and the names."""
    with torch.no_grad():
        for name, t in module.state_dict(keep_vars=True).items():
            u = torch.from_numpy(uniform(f"{key}\n{name}", t.numel()).reshape(tuple(t.shape)))
            if name.endswith("running_var"):
                t.copy_(u + 0.5)
            elif isinstance(t, torch.nn.Parameter) or name.endswith(KEPT):
                t.copy_(u - 0.5)


def write_layers():
    from golden_layers import CASES, PRINTED
    with create("layers") as file:
        for number, (constructor, call, specs) in enumerate(CASES):
            key = constructor + "\n" + call
            inputs = dict(numbers(key, s.strip()) for s in specs.split(";"))
            module = evaluate(constructor, inputs)
            set_parameters(module, constructor)
            outputs = flatten(evaluate(call, {"m": module, **inputs}))
            group = file.create_group(f"{number:03}")
            for name, text in (("constructor", constructor), ("call", call), ("inputs", specs),
                               ("repr", repr(module)), ("keys", "\n".join(module.state_dict()))):
                attribute(group, name, text)
            write_tolerance(group, constructor)
            leaves = {**inputs, **{f"m.{n}": p for n, p in module.named_parameters()}}
            grads = gradients(outputs, leaves.values())
            for i, t in enumerate(outputs):
                write(group, f"out{i}", t)
            for name, t in leaves.items():
                if grads.get(id(t)) is not None:
                    write(group, f"grad.{name}", grads[id(t)])
            for name, t in module.named_buffers():
                write(group, f"buffer.{name}", t)
        for number, constructor in enumerate(PRINTED, len(CASES)):
            group = file.create_group(f"{number:03}")
            module = evaluate(constructor)
            attribute(group, "constructor", constructor)
            attribute(group, "repr", repr(module))
            attribute(group, "keys", "\n".join(module.state_dict()))


def make_optimizer(call, params):
    """The optimizer that a call describes; PyTorch takes the parameters first."""
    name, arguments = call.split("(", 1)
    return evaluate(f"{name}(params, {arguments}", {"params": params, name: getattr(
        torch.optim, name)})


def write_optimizers(file):
    from golden_optim import MATRICES, OPTIMIZERS, PARAMETERS, STEPS
    for number, call in enumerate(OPTIMIZERS):
        def draw(name, shape, step=""):
            key = f"{call}\n{name}{step}"
            return torch.from_numpy(uniform(key, math.prod(shape)).reshape(shape) - 0.5)

        shapes = MATRICES if call.startswith("Muon") else PARAMETERS
        params = {n: draw(n, shape).requires_grad_() for n, shape in shapes.items()}
        optimizer = make_optimizer(call, list(params.values()))
        for step in range(STEPS):
            for name, p in params.items():
                p.grad = draw(name, p.shape, step)
            optimizer.step()
        group = file.create_group(f"optimizer{number:02}")
        attribute(group, "call", call)
        attribute(group, "repr", repr(optimizer))
        for name, p in params.items():
            write(group, name, p)
            for key, value in optimizer.state[p].items():
                if value is not None:
                    write(group, f"{name}.{key}", value)


def write_schedules(file):
    from golden_optim import RATES, SCHEDULES
    for number, (text, optimizer_call, milestones) in enumerate(SCHEDULES):
        optimizer = make_optimizer(optimizer_call, [torch.zeros(1, requires_grad=True)])
        group = optimizer.param_groups[0]

        def bound(name):
            scheduler = getattr(torch.optim.lr_scheduler, name)
            if name == "ChainedScheduler":
                return lambda schedulers: scheduler(schedulers, optimizer)
            return functools.partial(scheduler, optimizer)

        def make(call):
            return evaluate(call, {name: bound(name) for name in re.findall(r"\w+(?=\()", call)})

        parts = [make(call) for call in text.split(" |> ")]
        schedule = parts[0] if len(parts) == 1 else torch.optim.lr_scheduler.SequentialLR(
            optimizer, parts, list(milestones))
        metrics = uniform(text, RATES)
        rows = []
        for step in range(RATES):
            momentum = group["betas"][0] if "betas" in group else group["momentum"]
            rows.append([group["lr"], momentum])
            optimizer.step()
            schedule.step(*([metrics[step]] if "Plateau" in text else []))
        case = file.create_group(f"schedule{number:02}")
        attribute(case, "call", text)
        attribute(case, "optimizer", optimizer_call)
        write(case, "rates", torch.tensor(rows))


def write_optim():
    with create("optim") as file:
        write_optimizers(file)
        write_schedules(file)


def initialise(model, key):
    """Weights of the size that training wants: by fan-in, norms near one, biases near zero."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            u = torch.from_numpy(uniform(f"{key}\n{name}", p.numel()).reshape(tuple(p.shape)) - 0.5)
            if p.dim() > 1:
                p.copy_(u * (2 / math.sqrt(p.numel() / p.shape[0])))
            else:
                p.copy_(0.1 * u + (1 if name.endswith("weight") else 0))


def write_training():
    from golden_models import TRAINING
    steps = 20
    with create("training") as file:
        for name, (make, settings, optimizer_call, batch, loss) in TRAINING.items():
            model = make()
            initialise(model, name)
            optimizer = make_optimizer(optimizer_call, list(model.parameters()))
            losses = []
            for step in range(steps):
                fields = [numbers(f"{name} {step}", s.strip())[1] for s in batch.split(";")]
                value = model.loss(*fields)
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                losses.append(value.item())
            case = file.create_group(name)
            for key, text in (("overrides", settings), ("optimizer", optimizer_call),
                              ("batch", batch), ("loss", loss),
                              ("keys", "\n".join(model.state_dict()))):
                attribute(case, key, text)
            write(case, "losses", torch.tensor(losses))
            state = model.state_dict().values()
            write(case, "sums", torch.tensor([t.double().sum().item() for t in state]))


WRITERS = {"functions": write_functions, "layers": write_layers, "optim": write_optim,
           "training": write_training}


def main():
    assert torch.__version__.startswith(VERSION), torch.__version__
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    for name in sys.argv[1:] or WRITERS:
        WRITERS[name]()
        path = FOLDER / f"{name}.h5"
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
