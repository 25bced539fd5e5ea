"""The example configs as a PyTorch user writes them, with the same names in the state_dict."""

import torch
from torch import nn
from torch.nn import functional as F


class MLP(nn.Module):
    def __init__(self, widths, out):
        super().__init__()
        self.layers = len(widths) - 1
        for i in range(self.layers):
            self.add_module(f"linear_{i}", nn.Linear(widths[i], widths[i + 1]))
            self.add_module(f"drop_{i}", nn.Dropout(0.0))
        self.head = nn.Linear(widths[-1], out)

    def forward(self, x):
        x = torch.flatten(x, 1)
        for i in range(self.layers):
            x = self.get_submodule(f"drop_{i}")(torch.relu(self.get_submodule(f"linear_{i}")(x)))
        return self.head(x)

    def loss(self, x, y):
        return F.cross_entropy(self(x), y)


class BasicBlock(nn.Module):
    def __init__(self, cin, cout, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        if stride != 1 or cin != cout:
            self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, stride=stride, bias=False),
                                            nn.BatchNorm2d(cout))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class ResNet(nn.Module):
    def __init__(self, depths, classes, widths=(64, 128, 256, 512)):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.stages = len(widths)
        for s, w in enumerate(widths):
            cin, stride = (widths[s - 1], 2) if s > 0 else (64, 1)
            blocks = [BasicBlock(cin if b == 0 else w, w, stride if b == 0 else 1)
                      for b in range(depths[s])]
            self.add_module(f"layer{s + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        for s in range(self.stages):
            x = self.get_submodule(f"layer{s + 1}")(x)
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))

    def loss(self, x, y):
        return F.cross_entropy(self(x), y)


class Attention(nn.Module):
    def __init__(self, d, n_head):
        super().__init__()
        self.n_head = n_head
        self.c_attn = nn.Linear(d, 3 * d)
        self.c_proj = nn.Linear(d, d)
        self.resid_drop = nn.Dropout(0.0)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.c_attn(x).view(b, t, 3, self.n_head, d // self.n_head).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.resid_drop(self.c_proj(y.transpose(1, 2).reshape(b, t, d)))


class Block(nn.Module):
    def __init__(self, d, n_head):
        super().__init__()
        self.ln_1 = nn.LayerNorm(d)
        self.attn = Attention(d, n_head)
        self.ln_2 = nn.LayerNorm(d)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(d, 4 * d))
        self.mlp.add_module("act", nn.GELU(approximate="tanh"))
        self.mlp.add_module("c_proj", nn.Linear(4 * d, d))
        self.mlp.add_module("drop", nn.Dropout(0.0))

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, vocab, ctx, n_layer, n_head, d):
        super().__init__()
        self.transformer = nn.ModuleDict({
            "wte": nn.Embedding(vocab, d), "wpe": nn.Embedding(ctx, d), "drop": nn.Dropout(0.0),
            "h": nn.ModuleList([Block(d, n_head) for _ in range(n_layer)]),
            "ln_f": nn.LayerNorm(d)})
        self.lm_head = nn.Linear(d, vocab, bias=False)
        self.lm_head.weight = self.transformer.wte.weight

    def loss(self, ids, targets):
        part = self.transformer
        x = part.drop(part.wte(ids) + part.wpe(torch.arange(ids.shape[1])))
        for block in part.h:
            x = block(x)
        logits = self.lm_head(part.ln_f(x))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


class Encoder(nn.Module):
    def __init__(self, embed):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.proj = nn.Linear(32 * 7 * 7, embed)

    def forward(self, x):
        for conv in (self.conv1, self.conv2):
            x = F.max_pool2d(F.relu(conv(x)), 2)
        return self.proj(torch.flatten(x, 1))


class Siamese(nn.Module):
    def __init__(self, embed):
        super().__init__()
        self.encoder = Encoder(embed)
        self.head = nn.Linear(2 * embed, 1)

    def loss(self, a, b, y):
        za, zb = self.encoder(a), self.encoder(b)
        score = self.head(torch.cat([torch.abs(za - zb), za * zb], dim=-1)).squeeze(-1)
        return F.binary_cross_entropy_with_logits(score, y)


# Per model: the twin, the overrides of the config that make it as small, the optimizer, the batch
# of a step (as the inputs of golden_functions.py), and the loss as the config would write it.
TRAINING = {
    "mlp": (
        lambda: MLP([784, 24, 16], 10),
        "vars.widths=[784, 24, 16]; vars.p=0.0",
        "SGD(lr=0.05, momentum=0.9, nesterov=true)",
        "x: c[8, 1, 28, 28]*0.5; y: i[8]<10", "cross_entropy(out, y)"),
    "resnet18": (
        lambda: ResNet([1, 1, 1, 1], 5, (64, 72, 80, 88)),
        "vars.depths=[1, 1, 1, 1]; vars.classes=5; "
        "define.ResNet.args.widths=int[] = [64, 72, 80, 88]",
        "SGD(lr=0.0002, momentum=0.9, weight_decay=0.001)",
        "x: c[6, 3, 20, 20]; y: i[6]<5", "cross_entropy(out, y)"),
    "gpt2": (
        lambda: GPT(17, 12, 2, 2, 16),
        "vars.vocab=17; vars.ctx=12; vars.n_layer=2; vars.n_head=2; vars.d=16; vars.p=0.0",
        # With the default eps the gradient of a key's bias, which is 0 but for rounding, would make steps.
        "AdamW(lr=0.003, eps=1e-5, weight_decay=0.1)",
        "ids: i[3, 10]<17; targets: i[3, 10]<17", "loss"),
    "siamese": (
        lambda: Siamese(12),
        "vars.embed=12",
        "Adam(lr=0.002)",
        "a: c[4, 1, 28, 28]*0.5; b: c[4, 1, 28, 28]*0.5; y: u[4]",
        "binary_cross_entropy_with_logits(score, y)"),
}
