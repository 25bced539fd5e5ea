"""The PyTorch side of bench.py: torch_step.py MODEL BATCH THREADS MODE; reads numbers of steps.

MODE is eager, channels_last, fused, compile, compile_channels_last or hooked; a MODEL that ends in
"-forward" runs the forward pass alone, compiled with its weights frozen.
"""

import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.c_attn, self.c_proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(approximate="tanh"),
                                 nn.Linear(4 * d, d))

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.c_attn(self.ln_1(x)).view(b, t, 3, self.heads, d // self.heads) \
            .permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(y.transpose(1, 2).reshape(b, t, d))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, vocab=65, ctx=64, layers=4, heads=4, d=128):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab, d), nn.Embedding(ctx, d)
        self.h = nn.ModuleList(Block(d, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(d)
        self.lm_head = nn.Linear(d, vocab, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1], device=ids.device))
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x)).flatten(0, 1)


class BasicBlock(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.downsample = None
        if stride != 1 or cin != cout:
            self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False),
                                            nn.BatchNorm2d(cout))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


def resnet18(small, classes):
    stem = [nn.Conv2d(3, 64, 3, padding=1, bias=False) if small else
            nn.Conv2d(3, 64, 7, 2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    if not small:
        stem.append(nn.MaxPool2d(3, 2, padding=1))
    blocks, cin = [], 64
    for cout in (64, 128, 256, 512):
        blocks += [BasicBlock(cin, cout, 1 if cout == 64 else 2), BasicBlock(cout, cout, 1)]
        cin = cout
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(512, classes))


def make(model):
    """The network, its data and targets (of a forward pass alone, the inputs)."""
    if model.startswith("resnet"):
        small = model == "resnet-3x3"
        if model.endswith("-forward"):
            return resnet18(small, 1000), torch.randn(8, 3, 224, 224), None
        return resnet18(small, 10), torch.randn(512, 3, 32, 32), torch.randint(10, (512,))
    if model == "gpt2-forward":
        return GPT(50257, 1024, 12, 12, 768), torch.randint(65, (8, 64)), None
    if model == "gpt-d384":
        return (GPT(256, 256, 2, 6, 384), torch.randint(256, (64, 256)),
                torch.randint(256, (64, 256)))
    if model.startswith("mlp"):
        net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
        forward = model.endswith("-forward")
        return net, torch.randn(8192, 784), None if forward else torch.randint(10, (8192,))
    if model == "cnn":
        net = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                            nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10))
        return net, torch.randn(2048, 1, 28, 28), torch.randint(10, (2048,))
    return GPT(), torch.randint(65, (512, 64)), torch.randint(65, (512, 64))


def optimizer_of(model, net, mode):
    fused = {"fused": True} if mode == "fused" else {}
    if model == "mlp":
        return torch.optim.SGD(net.parameters(), lr=0.01, **fused)
    if model == "cnn" or model.startswith("resnet"):
        return torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, **fused)
    if model == "mlp-adam":
        return torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    return torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.1, fused=True)


def watch(net, rows):
    """Statistics of every module's output, as a forward hook takes them."""
    def hook(_, args, output):
        y = output.detach()
        rows.append(torch.stack([y.mean(), y.std(), y.abs().max()]))

    for module in net.modules():
        module.register_forward_hook(hook)


def training(model, net, data, targets, batch, mode):
    """A function that makes step i."""
    optimizer = optimizer_of(model, net, mode)
    rows = []
    if mode == "hooked":
        watch(net, rows)
    step_net = torch.compile(net) if mode.startswith("compile") else net
    batches = torch.randperm(len(data))[: len(data) // batch * batch].view(-1, batch)

    def step(i):
        indices = batches[i % len(batches)]
        x, y = data[indices], targets[indices].flatten()
        if mode.endswith("channels_last"):
            x = x.contiguous(memory_format=torch.channels_last)
        loss = F.cross_entropy(step_net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rows.clear()

    return step


def forward_only(net, data, batch, mode):
    """A function that makes forward pass i."""
    net.eval()
    x = data[:batch]
    if mode.endswith("channels_last"):
        x = x.contiguous(memory_format=torch.channels_last)
    if mode.startswith("compile"):
        import torch._inductor.config as inductor
        inductor.freezing = True
        net = torch.compile(net)

    def step(_):
        with torch.no_grad():
            net(x)

    return step


def main():
    model, batch, threads, mode = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    net, data, targets = make(model)
    if mode.endswith("channels_last"):
        net = net.to(memory_format=torch.channels_last)
    if targets is None:
        step = forward_only(net, data, batch, mode)
    else:
        step = training(model, net, data, targets, batch, mode)
    for line in sys.stdin:
        steps = int(line)
        for i in range(max(1, steps // 4)):
            step(i)
        begin, used = time.perf_counter(), time.process_time()
        for i in range(steps):
            step(i)
        print(1000 * (time.perf_counter() - begin) / steps,
              1000 * (time.process_time() - used) / steps, flush=True)


if __name__ == "__main__":
    main()
