#!/usr/bin/env python3
"""Times single layers and functions of nnm and PyTorch, forward and backward, on the CPU.

    PYTHON_WITH_TORCH scripts/bench/layers.py [--nnm build/nnm] [--only WORD ...] [--threads N]
                                              [--steps N] [--rounds N]

Prints milliseconds (medians) and PyTorch's time over nnm's, and marks what is slower than PyTorch by
a fifth. Images reach a layer as a convolution before it gives them, and PyTorch's best of both memory
formats counts.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
IMAGE, SMALL, ROWS, VOLUME, SERIES = ((16, 64, 32, 32), (16, 64, 16, 16), (1024, 1024),
                                      (4, 16, 16, 16, 16), (16, 64, 512))

LAYERS = [
    ("Conv2d(64, 64, 3, padding=1)", IMAGE), ("Conv2d(64, 128, 3, stride=2, padding=1)", IMAGE),
    ("Conv2d(64, 128, 1)", IMAGE), ("Conv2d(64, 64, 3, padding=1, groups=64)", IMAGE),
    ("Conv2d(64, 64, 3, padding=1, groups=4)", IMAGE), ("Conv2d(64, 32, 5, padding=2)", IMAGE),
    ("ConvTranspose2d(64, 32, 4, stride=2, padding=1)", SMALL), ("Conv1d(64, 64, 3, padding=1)", SERIES),
    ("Conv3d(16, 16, 3, padding=1)", VOLUME), ("BatchNorm2d(64)", IMAGE), ("GroupNorm(8, 64)", IMAGE),
    ("InstanceNorm2d(64)", IMAGE), ("MaxPool2d(2)", IMAGE), ("MaxPool2d(3, stride=2, padding=1)", IMAGE),
    ("AvgPool2d(2)", IMAGE), ("AdaptiveAvgPool2d(1)", IMAGE), ("AdaptiveAvgPool2d(7)", IMAGE),
    ("MaxPool1d(2)", SERIES), ("MaxPool3d(2)", VOLUME), ("LPPool2d(2, 2)", IMAGE),
    ("Upsample(scale_factor=2)", SMALL), ("Upsample(scale_factor=2, mode='bilinear')", SMALL),
    ("Upsample(scale_factor=2, mode='bicubic')", SMALL), ("PixelShuffle(2)", IMAGE),
    ("ZeroPad2d(2)", IMAGE), ("ReflectionPad2d(2)", IMAGE), ("ReplicationPad2d(2)", IMAGE),
    ("Unfold(3, padding=1)", SMALL), ("PReLU(64)", IMAGE), ("Softmax(dim=1)", IMAGE), ("Dropout2d(0.5)", IMAGE),
    ("LocalResponseNorm(5)", SMALL), ("Linear(1024, 512)", ROWS), ("LayerNorm(1024)", ROWS),
    ("RMSNorm(1024)", ROWS), ("BatchNorm1d(1024)", ROWS), ("Softmax(dim=-1)", ROWS), ("LogSoftmax(dim=-1)", ROWS),
    *((f"{name}()", ROWS) for name in
      "ReLU GELU SiLU Tanh Sigmoid ELU SELU LeakyReLU Hardswish Hardsigmoid Mish Softplus GLU Softsign "
      "LogSigmoid Dropout AlphaDropout RReLU Tanhshrink Hardshrink".split()),
    ("LSTM(64, 128, batch_first=True)", (16, 50, 64)), ("GRU(64, 128, batch_first=True)", (16, 50, 64)),
    ("RNN(64, 128, batch_first=True)", (16, 50, 64)),
    ("TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True)", (8, 64, 128)),
]

FUNCTIONS = [
    *((f"{name}(x)", ROWS) for name in
      "sum std norm exp sin sqrt abs erf tril".split()),
    *((f"{name}(x, dim={dim})", ROWS) for name in "sum mean var amax logsumexp cumsum".split() for dim in (0, 1)),
    ("x.argmax(dim=1, keepdim=True) * x", ROWS), ("x.sort(dim=1)[0]", ROWS), ("x.topk(10)[0]", ROWS),
    ("cat([x, x], 1)", ROWS), ("stack([x, x])", ROWS), ("x.transpose(0, 1).contiguous()", ROWS),
    ("x.permute(0, 2, 1, 3).contiguous()", (16, 128, 8, 64)), ("x.flip([1])", ROWS), ("x.roll(1, 1)", ROWS),
    ("x[:, 1:] * x[:, :-1]", ROWS), ("x + x[0]", ROWS), ("x + x[:, :1]", ROWS), ("x / (x + 3)", ROWS),
    ("x ** 2", ROWS), ("x ** 3", ROWS), ("x.clamp(-1, 1)", ROWS), ("where(x > 0, x, -x)", ROWS),
    ("x.masked_fill(x > 0, 0.0)", ROWS), ("maximum(x, -x)", ROWS), ("x @ x.transpose(1, 2)", (64, 64, 64)),
    ("einsum('bhid,bhjd->bhij', x, x)", (8, 8, 64, 32)), ("x.unsqueeze(1) * x.unsqueeze(2)", (64, 128)),
    ("cdist(x, x)", (256, 64)), ("cosine_similarity(x, x + 1)", (1024, 256)), ("normalize(x, dim=1)", ROWS),
    ("x.index_select(0, arange(0, 1024, 2))", ROWS), ("x.index_select(1, arange(0, 1024, 2))", ROWS),
    ("x.repeat(2, 2)", (512, 1024)), ("x.repeat_interleave(2, dim=1)", (512, 1024)), ("mse_loss(x, x + 1)", ROWS),
    ("huber_loss(x, x * 2)", ROWS), ("binary_cross_entropy_with_logits(x, sigmoid(x))", ROWS),
    ("cross_entropy(x, x.argmax(dim=1))", ROWS), ("cross_entropy(x, x.argmax(dim=1))", (16, 32, 32, 32)),
    ("scaled_dot_product_attention(x, x, x, is_causal=True)", (8, 8, 128, 64)),
]

NET = """nnm: 1
model: Net()
define:
  Function:
    inputs:
      x: f32[{extents}]
    forward:
      - return {function}
  Net:
    inputs:
      x: f32[{input}]
    modules:
      before: {before}
      measured: {layer}{after}
    forward:
      - y = x |> before |> measured
      - return {result}
"""


def config(text, shape, out, is_layer):
    """Images come from a convolution and go to one; all else from a layer that needs its gradient."""
    extents, images = ", ".join(["B", *map(str, shape[1:])]), len(shape) == 4 and is_layer
    text = text.replace("True", "true").replace("'", '"')
    result = "y[0].mean()" if text.startswith(("LSTM", "GRU", "RNN(")) else "y.mean()"
    return NET.format(
        extents=extents, function=text if not is_layer else "x", layer=text if is_layer else "Function()",
        input=", ".join(["B", "4", *map(str, shape[2:])]) if images else extents,
        before=f"Conv2d(4, {shape[1]}, 3, padding=1)" if images else "PReLU()",
        after=f"\n      after: Conv2d({out[1]}, 4, 1)" if images and len(out) == 4 else "",
        result="after(y).mean()" if images and len(out) == 4 else result)


def nnm_times(options, text, shape, out, is_layer):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "net.yaml"
        path.write_text(config(text, shape, out, is_layer))
        words = [options.nnm, "bench", path, "--batch", shape[0], "--threads", options.threads, "--steps", options.steps,
                 "--format", "json"]
        run = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False)
        if run.returncode:
            raise RuntimeError(run.stderr)
        module = next(m for m in json.loads(run.stdout)["modules"] if m["name"] == "measured")
        return module["forward_s"], module["backward_s"]


def callables(text, is_layer):
    if not is_layer:
        names = {**vars(torch), **vars(torch.nn.functional)}
        return [(lambda x: eval(text, {**names, "x": x}), torch.contiguous_format)]  # noqa: S307
    layer = eval(f"torch.nn.{text}")  # noqa: S307

    def first(x):
        y = layer(x)
        return y[0] if isinstance(y, tuple) else y
    return [(first, f) for f in (torch.contiguous_format, torch.channels_last)]


def torch_times(options, text, shape, is_layer):
    """The best of both memory formats, and the shape of the result."""
    best, out = None, None
    for call, memory_format in callables(text, is_layer):
        if memory_format == torch.channels_last and len(shape) != 4:
            continue
        x = torch.randn(shape).to(memory_format=memory_format).requires_grad_()
        g = torch.randn_like(call(x))
        out, forward, backward = g.shape, [], []
        for _ in range(options.steps + 2):
            x.grad = None
            start = time.perf_counter()
            y = call(x)
            middle = time.perf_counter()
            y.backward(g)
            forward.append(middle - start)
            backward.append(time.perf_counter() - middle)
        times = statistics.median(forward[2:]), statistics.median(backward[2:])
        best = times if best is None or sum(times) < sum(best) else best
    return best, out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nnm", default=ROOT / "build/nnm")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("| layer or function | shape | PyTorch, ms | nnm, ms | ratio |\n|---|---|---:|---:|---:|")
    for text, shape, is_layer in [(t, s, True) for t, s in LAYERS] + [(t, s, False) for t, s in FUNCTIONS]:
        if options.only and not any(word in text for word in options.only):
            continue
        rounds = []
        for _ in range(options.rounds):
            theirs, out = torch_times(options, text, shape, is_layer)
            rounds.append((theirs, nnm_times(options, text, shape, out, is_layer)))
        middle = [[statistics.median(r[who][part] for r in rounds) * 1e3 for part in (0, 1)] for who in (0, 1)]
        ratio = sum(middle[0]) / sum(middle[1])
        theirs, ours = (f"{f:.3g} + {b:.3g}" for f, b in middle)
        print(f"| {text} | {'x'.join(map(str, shape))} | {theirs} | {ours} | {ratio:.2f}{' slower' * (ratio < 0.8)} |",
              flush=True)


if __name__ == "__main__":
    main()
