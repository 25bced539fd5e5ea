"""What cuda_bench.py measures beside training steps: kernels, attention, cold starts, hooks."""

import pathlib
import subprocess
import sys
import tempfile
import time

import cuda_nets
import torch
import torch.nn.functional as F
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent
CONFIG = """nnm: 1
{define}
model:
  Sequential: {{{modules}}}
data:
  train: {{random: {{{fields}}}, seed: 0}}
  batch: {batch}
train: {{max: 1 step, loss: "{loss}", optimizer: SGD(lr=0.0), precision: {precision}}}
"""
CORE = """define:
  Core:
    args: {heads: int}
    forward:
      - q, k, v = x |> rearrange("b t (n h e) -> n b h t e", n=3, h=heads)
      - return scaled_dot_product_attention(q, k, v, is_causal=true)
"""
FIRST_STEP = """
import torch
from torch import nn
net = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)).to("{0}")
x, y = torch.randn(128, 784, device="{0}"), torch.randint(10, (128,), device="{0}")
o = torch.optim.AdamW(net.parameters(), lr=1e-3)
nn.functional.cross_entropy(net(x), y).backward()
o.step()
print(float(next(net.parameters()).sum()))
"""


def wait():
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds(call, times):
    """Of one call, after some that do not count."""
    for _ in range(max(1, times // 4)):
        call()
    wait()
    begin = time.perf_counter()
    for _ in range(times):
        call()
    wait()
    return (time.perf_counter() - begin) / times


def torch_passes(module, inputs, times):
    """Seconds of forward and of backward."""
    out = module(*inputs)
    g = torch.ones_like(out)
    leaves = [t for t in (*inputs, *module_parameters(module)) if t.requires_grad]
    return (seconds(lambda: module(*inputs), times),
            seconds(lambda: torch.autograd.grad(out, leaves, g, retain_graph=True), times))


def module_parameters(module):
    return module.parameters() if isinstance(module, nn.Module) else []


def nnm_passes(nnm, row, steps, **config):
    """The same of a module of nnm."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "one.yaml"
        path.write_text(CONFIG.format(**{"define": "", "loss": "mean(out)", "precision": "f32", **config}))
        it = next(m for m in nnm.bench(path, [], steps)["modules"] if m["name"] == row)
    return it["forward_s"], it["backward_s"]


def kernels(nnm, o, compared):
    """B9: bytes a second of kernels that memory alone limits."""
    pick = (lambda full, small: small) if o.tiny else (lambda full, small: full)
    rows, wide, classes, d = pick(16384, 8), pick(4096, 64), pick(50304, 50), pick(768, 8)
    matrix, labels = f'x: "f32[{rows}, {wide}]"', f'y: "i64[{rows // 8}] < {classes}"'
    maps = (pick(256, 2), 64, pick(56, 4), pick(56, 4))
    ids = pick(65536, 64)

    def random(*shape):
        return torch.randn(*shape, device=o.device, requires_grad=True)

    # Name, nnm's modules, its fields and batch, PyTorch's twin and inputs, bytes of both passes.
    x, y = rows * wide * 4, maps[0] * maps[1] * maps[2] * maps[3] * 4
    logits = rows // 8 * classes * 4
    target = torch.randint(classes, (rows // 8,), device=o.device)
    places = torch.randint(classes, (ids,), device=o.device)
    cases = [
        ("LayerNorm", f"LayerNorm({wide})", matrix, rows, nn.LayerNorm(wide), [random(rows, wide)], 2 * x, 3 * x),
        ("RMSNorm", f"RMSNorm({wide})", matrix, rows, nn.RMSNorm(wide), [random(rows, wide)], 2 * x, 3 * x),
        ("softmax", "Softmax(dim=-1)", matrix, rows, nn.Softmax(-1), [random(rows, wide)], 2 * x, 3 * x),
        ("BatchNorm2d", "BatchNorm2d(64)", 'x: "f32[%d, %d, %d, %d]"' % maps, maps[0], nn.BatchNorm2d(64),
         [random(*maps)], 3 * y, 5 * y),
        ("cross_entropy", None, f'x: "f32[{rows // 8}, {classes}]", {labels}', rows // 8,
         lambda t: F.cross_entropy(t, target), [random(rows // 8, classes)], logits, 2 * logits),
        ("Embedding", f"Embedding({classes}, {d})", f'x: "i64[{ids}] < {classes}"', ids,
         nn.Embedding(classes, d), [places], 2 * ids * d * 4, (ids + classes) * d * 4),
    ]
    steps = pick(20, 1)
    for name, module, fields, batch, twin, inputs, forward, backward in cases:
        pre = "" if name == "Embedding" else "pre: PReLU()"
        modules = ", ".join(filter(None, (pre, module and f"it: {module}")))
        twin = twin.to(o.device) if isinstance(twin, nn.Module) else twin
        own = [nnm_passes(nnm, "it" if module else "(loss)", steps, modules=modules, fields=fields, batch=batch,
                          loss="mean(out)" if module else "cross_entropy(out, y)") for _ in range(o.rounds)]
        other = [torch_passes(twin, inputs, steps) for _ in range(o.rounds)]
        for at, what, count in ((0, "forward", forward), (1, "backward", backward)):
            yield from compared("B9", f"{name} {what}", "GB/s", {
                "nnm": [count / t[at] / 1e9 for t in own], "PyTorch, eager": [count / t[at] / 1e9 for t in other]},
                more_is_better=True)


def adamw(nnm, o, compared):
    """B9: the update of all parameters of GPT-2 124M."""
    size = (50, 16, 1, 2, 16, 2) if o.tiny else (50257, 64, 12, 12, 768, 1)
    net = cuda_nets.gpt("B9", "AdamW", *size, "f32", 2)
    parameters = [p.detach().to(o.device).requires_grad_() for p in net.make().parameters()]
    for p in parameters:
        p.grad = torch.ones_like(p)
    optimizer = torch.optim.AdamW(parameters, fused=True)
    count = 28 * sum(p.numel() for p in parameters)
    steps = 2 if o.tiny else 20
    own = [nnm.bench(HERE / net.config, net.overrides(), steps)["optimizer_s"]["median"] for _ in range(o.rounds)]
    other = [seconds(optimizer.step, steps) for _ in range(o.rounds)]
    yield from compared("B9", "AdamW of GPT-2 124M", "GB/s", {
        "nnm": [count / t / 1e9 for t in own], "PyTorch, fused": [count / t / 1e9 for t in other]},
        more_is_better=True)


def attention(nnm, o, compared):
    """B10: causal attention in bf16, 16,384 tokens of 1,024 numbers."""
    tokens, c = (16, 128) if o.tiny else (16384, 1024)
    for d in (64, 128):
        for t in ((8,) if o.tiny else (1024, 2048, 4096, 8192)):
            b, heads, steps = tokens // t, c // d, 1 if o.tiny else 20
            own = [nnm_passes(nnm, "core", steps, define=CORE, batch=b, precision="bf16",
                              modules=f"proj: Linear({c}, {3 * c}), core: Core({heads})",
                              fields=f'x: "f32[{b}, {t}, {c}]"') for _ in range(o.rounds)]
            q, k, v = (torch.randn(b, heads, t, d, device=o.device, dtype=torch.bfloat16, requires_grad=True)
                       for _ in range(3))
            other = [torch_passes(lambda *x: F.scaled_dot_product_attention(*x, is_causal=True), (q, k, v), steps)
                     for _ in range(o.rounds)]
            flops = 2 * b * t * t * c
            for at, what, times in ((0, "forward", 1), (1, "backward", 2.5)):
                yield from compared("B10", f"d {d}, T {t}, {what}", "TFLOP/s", {
                    "nnm": [times * flops / s[at] / 1e12 for s in own],
                    "PyTorch, eager": [times * flops / s[at] / 1e12 for s in other]}, more_is_better=True)


def cold_start(nnm, o, compared):
    """B11: from the start of a program to the end of its first step; what it is made of."""
    def python():
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", FIRST_STEP.format(o.device)], check=True, capture_output=True)
        return time.perf_counter() - begin

    sets = ["data.train.random.x=f32[256, 784]", "data.train.random.y=i64[256] < 10"]
    yield from compared("B11", "MLP 784-512-512-10, one step", "s", {
        "nnm": [nnm.first_step(HERE / "mlp512.yaml", sets) for _ in range(o.rounds)],
        "PyTorch, eager": [python() for _ in range(o.rounds)]})
    folder = nnm.program.parent
    own = [p for pattern in ("nnm", "libnnm.so.0", "libnnm_cuda.so", "lib/nnm", "lib/libnnm.so.0", "lib/libnnm_cuda.so")
           for p in folder.glob(pattern)]
    package = pathlib.Path(torch.__file__).parent
    yield from compared("B11", "program without other projects' libraries", "MiB", {
        "nnm": [sum(p.stat().st_size for p in own) / 2**20],
        "PyTorch": [sum(p.stat().st_size for p in package.rglob("*") if p.is_file()) / 2**20]})


STATISTICS = "hooks+={on: forward, at: '%s', capture: {what: [output], reduce: [mean, std, absmax]}}"
TENSORS = "hooks+={on: forward, at: '%s', capture: {what: [output]}, when: {every: 100 steps}}"


def hooks(nnm, o, compared):
    """B12: a step of GPT 4 x d128 plain, with statistics of its layers, with their tensors at times."""
    net = next(n for n in cuda_nets.nets(o.tiny) if n.key == "B6s")
    at, steps = "Linear, LayerNorm", 4 if o.tiny else 400
    rates = {what: {"nnm, graphs": [], "nnm": []}
             for what in ("plain", "statistics of every step", "tensors of every 100th step")}
    for _ in range(o.rounds):
        for own, sets in zip(rates.values(), ([], [STATISTICS % at], [TENSORS % at])):
            for graphs, name in ((True, "nnm, graphs"), (False, "nnm")):
                own[name].append(nnm.rate(net, steps, graphs, sets))
    for what, own in rates.items():
        other = [torch_hooked(net, o, what, steps) for _ in range(o.rounds)]
        yield from compared("B12", f"{net.name}, {what}", "steps/s", {**own, "PyTorch, eager": other},
                            more_is_better=True)


def torch_hooked(net, o, what, steps):
    """Steps a second of PyTorch with forward hooks that do the same."""
    model, rows = net.make().to(o.device), []
    state = {"step": 0}

    def hook(_, args, output):
        y = output.detach()
        if what.startswith("statistics"):
            rows.append(torch.stack([y.mean(), y.std(), y.abs().max()]))
        elif state["step"] % 100 == 0:
            rows.append(y.cpu())

    if what != "plain":
        for m in model.modules():
            if isinstance(m, (nn.Linear, nn.LayerNorm)):
                m.register_forward_hook(hook)
    optimizer = net.optimizer(model.parameters(), fused=True, **net.options)
    x, y = net.data(o.device)

    def step():
        i = state["step"] % len(x)
        optimizer.zero_grad()
        F.cross_entropy(model(x[i]), y[i].flatten()).backward()
        optimizer.step()
        if what.startswith("statistics"):
            torch.stack(rows).cpu()
        rows.clear()
        state["step"] += 1

    return 1 / seconds(step, steps)


PARTS = [("B9", "kernels that memory limits", kernels), ("B9", "AdamW", adamw), ("B10", "attention", attention),
         ("B11", "cold start", cold_start), ("B12", "hooks", hooks)]
