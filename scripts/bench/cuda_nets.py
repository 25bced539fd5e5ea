"""The networks of cuda_bench.py: PyTorch's twins of the configs beside this file, and their data."""

import dataclasses
import typing

import torch
import torch_step
from torch import nn

POOL = 64  # batches that PyTorch's side goes round in


@dataclasses.dataclass
class Net:
    key: str
    name: str
    config: str
    make: typing.Callable[[], nn.Module]
    fields: dict  # of a sample, by nnm's names: (dtype, shape, classes or None); the last is the target
    batch: int
    optimizer: typing.Any
    options: dict
    unit: str = "steps"  # what is counted, `each` of them a sample; 0: steps
    each: int = 0
    loss: str = "cross_entropy"
    precision: str = "f32"
    images: bool = False
    sets: list = dataclasses.field(default_factory=list)
    flops: float = 0  # of training, by unit
    pool: int = POOL

    def overrides(self):
        """What nnm's config is to be told."""
        out = [*self.sets, f"data.batch={self.batch}", f"train.precision={self.precision}"]
        for name, (dtype, shape, classes) in self.fields.items():
            sizes = ", ".join(map(str, (self.batch * self.pool, *shape)))
            out.append(f"data.train.random.{name}={dtype}[{sizes}]" + (f" < {classes}" if classes else ""))
        return out

    def data(self, device):
        """Inputs and targets of all batches."""
        def draw(shape, classes):
            sizes = (self.pool, self.batch, *shape)
            t = torch.randint(classes, sizes) if classes else torch.randn(sizes)
            return t.to(device)

        return [draw(shape, classes) for _, shape, classes in self.fields.values()]

    def units(self):
        """So many units are a step."""
        return self.batch * self.each if self.each else 1


class Bottleneck(nn.Module):
    def __init__(self, cin, width, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(cin, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.downsample = None
        if stride != 1 or cin != 4 * width:
            self.downsample = nn.Sequential(nn.Conv2d(cin, 4 * width, 1, stride, bias=False),
                                            nn.BatchNorm2d(4 * width))

    def forward(self, x):
        y = torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))
        return torch.relu(self.bn3(self.conv3(y)) + (self.downsample(x) if self.downsample else x))


def resnet50(depths, classes):
    layers, cin = [nn.Conv2d(3, 64, 7, 2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
                   nn.MaxPool2d(3, 2, padding=1)], 64
    for width, depth in zip((64, 128, 256, 512), depths):
        for b in range(depth):
            layers.append(Bottleneck(cin, width, 2 if b == 0 and width > 64 else 1))
            cin = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(cin, classes))


class CharRnn(nn.Module):
    def __init__(self, vocab, d, layers):
        super().__init__()
        self.embed, self.head = nn.Embedding(vocab, d), nn.Linear(d, vocab)
        self.rnn = nn.LSTM(d, d, layers, batch_first=True)

    def forward(self, ids):
        return self.head(self.rnn(self.embed(ids))[0]).flatten(0, 1)


def mlp():
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def cnn():
    return nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10))


def higgs():
    sizes = [28, 300, 300, 300, 300, 300]
    layers = [m for a, b in zip(sizes, sizes[1:]) for m in (nn.Linear(a, b), nn.Tanh())]
    return nn.Sequential(*layers, nn.Linear(300, 1))


def gpt(key, name, vocab, ctx, layers, heads, d, batch, precision, pool=POOL):
    parameters = 12 * layers * d * d + vocab * d
    fields = {"ids": ("i64", (ctx,), vocab), "targets": ("i64", (ctx,), vocab)}
    return Net(key, name, "gpt.yaml", lambda: torch_step.GPT(vocab, ctx, layers, heads, d), fields, batch,
               torch.optim.AdamW, {"lr": 1e-3, "weight_decay": 0.1}, "tokens", ctx, precision=precision,
               sets=[f"vars.vocab={vocab}", f"vars.ctx={ctx}", f"vars.n_layer={layers}",
                     f"vars.n_head={heads}", f"vars.d={d}"],
               flops=6 * parameters + 6 * layers * ctx * d, pool=pool)


def nets(tiny):
    """All of them; `tiny`: of sizes that the emulated GPU can take."""
    pick = (lambda full, small: small) if tiny else (lambda full, small: full)
    momentum = (torch.optim.SGD, {"lr": 0.01, "momentum": 0.9})
    side, deep = pick(224, 32), pick((3, 4, 6, 3), (1, 1, 1, 1))
    b = pick(128, 4)
    few = pick(POOL, 2)
    vectors = {"x": ("f32", (784,), None), "y": ("i64", (), 10)}
    images = {"x": ("f32", (1, 28, 28), None), "y": ("i64", (), 10)}
    out = [
        Net("B1", "MLP 784-512-512-10, AdamW", "mlp512.yaml", mlp, vectors, b, torch.optim.AdamW, {"lr": 1e-3},
            pool=few),
        Net("B2", "CNN of MNIST, SGD", "cnn.yaml", cnn, images, b, *momentum, "images", 1, pool=few),
        Net("B3", "28-300x5-1, tanh, SGD", "higgs.yaml", higgs,
            {"x": ("f32", (28,), None), "y": ("f32", (1,), None)}, pick(100, 4), torch.optim.SGD,
            {"lr": 0.01}, "samples", 1, loss="mse_loss", pool=few),
        Net("B4", "ResNet-18, 32x32", "resnet.yaml", lambda: torch_step.resnet18(True, 10),
            {"x": ("f32", (3, pick(32, 8), pick(32, 8)), None), "y": ("i64", (), 10)}, pick(512, 1), *momentum,
            "images", 1, precision="bf16", images=True, pool=pick(8, 1)),
        Net("B5", f"ResNet-50, {side}x{side}", "resnet50.yaml", lambda: resnet50(deep, 1000),
            {"x": ("f32", (3, side, side), None), "y": ("i64", (), 1000)}, pick(256, 1), *momentum, "images",
            1, precision="bf16", images=True, sets=[f"vars.depths={list(deep)}"], pool=pick(2, 1)),
        Net("B8", "LSTM of 2 x 512, characters", "lstm.yaml", lambda: CharRnn(65, pick(512, 8), 2),
            {"ids": ("i64", (pick(128, 4),), 65), "targets": ("i64", (pick(128, 4),), 65)}, pick(64, 2),
            torch.optim.AdamW, {"lr": 1e-3}, "characters", pick(128, 4), sets=[f"vars.d={pick(512, 8)}"],
            pool=pick(16, 2)),
        gpt("B6s", "GPT 4 x d128, T 64", 65, 64, pick(4, 1), 4, pick(128, 16), pick(16, 2), "f32", few),
    ]
    if tiny:
        return [*out, gpt("B6", "GPT tiny", 50, 16, 1, 2, 16, 2, "bf16", 2)]
    for batch in (16, 64):
        out.append(gpt("B6", f"GPT-2 124M, T 1024, batch {batch}", 50257, 1024, 12, 12, 768, batch, "bf16", 4))
    out.append(gpt("B7", "GPT-2 350M, T 1024, batch 16", 50257, 1024, 24, 16, 1024, 16, "bf16", 4))
    out.append(gpt("B7", "GPT-2 774M, T 1024, batch 8", 50257, 1024, 36, 20, 1280, 8, "bf16", 4))
    return out
