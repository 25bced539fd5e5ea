"""The PyTorch side of bench.py: torch_step.py MODEL BATCH THREADS MODE; reads numbers of steps."""

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
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x)).flatten(0, 1)


def make(model):
    if model.startswith("mlp"):
        net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
        return net, torch.randn(8192, 784), torch.randint(10, (8192,))
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
    if model == "cnn":
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


def main():
    model, batch, threads, mode = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    net, data, targets = make(model)
    if mode == "channels_last" and model == "cnn":
        net = net.to(memory_format=torch.channels_last)
    optimizer = optimizer_of(model, net, mode)
    rows = []
    if mode == "hooked":
        watch(net, rows)
    step_net = torch.compile(net) if mode == "compile" else net

    def step(indices):
        x, y = data[indices], targets[indices].flatten()
        if mode == "channels_last" and x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        loss = F.cross_entropy(step_net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rows.clear()

    batches = torch.randperm(len(data))[: len(data) // batch * batch].view(-1, batch)
    for line in sys.stdin:
        steps = int(line)
        for i in range(max(1, steps // 4)):
            step(batches[i % len(batches)])
        begin, used = time.perf_counter(), time.process_time()
        for i in range(steps):
            step(batches[i % len(batches)])
        print(1000 * (time.perf_counter() - begin) / steps,
              1000 * (time.process_time() - used) / steps, flush=True)


if __name__ == "__main__":
    main()
