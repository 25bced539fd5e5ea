#!/usr/bin/env python3
"""Exports layers, functions and whole configs as ONNX and compares what onnxruntime makes of them
with `nnm predict`: PYTHON_WITH_ONNXRUNTIME scripts/check_onnx.py [CONFIG ...]. Needs the packages
onnx, onnxruntime, numpy and h5py."""

import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np
import onnx
import onnxruntime

ROOT = pathlib.Path(__file__).resolve().parent.parent
NNM = ROOT / "build" / "nnm"
TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64,
         "tensor(bool)": np.bool_}
# Float arithmetic in another order.
RTOL, ATOL = 2e-5, 2e-5

IMAGE, ROW, SEQUENCE = "f32[2, 4, 6, 6]", "f32[3, 8]", "f32[2, 5, 8]"
LAYERS = {
    IMAGE: """Conv2d(4, 6, 3) Conv2d(4,6,3,stride=2,padding=1) Conv2d(4,4,3,padding=same,groups=2)
        Conv2d(4,6,2,padding=same,dilation=2) Conv2d(4,6,3,padding=1,padding_mode=reflect)
        Conv2d(4,6,(3,2),padding=same,padding_mode=replicate,bias=false)
        ConvTranspose2d(4,3,3,stride=2,padding=1,output_padding=1) ConvTranspose2d(4,4,2,groups=2)
        MaxPool2d(2) MaxPool2d(3,stride=2,padding=1) MaxPool2d(3,stride=2,ceil_mode=true)
        MaxPool2d(2,dilation=2,stride=1) AvgPool2d(2) AvgPool2d(3,stride=2,padding=1)
        AvgPool2d(3,padding=1,count_include_pad=false) AdaptiveAvgPool2d(1) AdaptiveAvgPool2d(3)
        AdaptiveMaxPool2d((2,3)) BatchNorm2d(4) BatchNorm2d(4,affine=false) InstanceNorm2d(4)
        InstanceNorm2d(4,affine=true) GroupNorm(2,4) GroupNorm(4,4,affine=false) LayerNorm((6,6))
        PixelShuffle(2) PixelUnshuffle(2) ChannelShuffle(2) Upsample(scale_factor=2)
        Upsample(scale_factor=2,mode=bilinear) Upsample(size=(9,13),mode=bilinear,align_corners=true)
        Upsample(scale_factor=2,mode=bicubic) UpsamplingNearest2d(scale_factor=3)
        UpsamplingBilinear2d(scale_factor=2) ZeroPad2d(1) ZeroPad2d((1,2,0,3))
        ConstantPad2d(2,1.5) ReflectionPad2d((1,2,3,0)) ReplicationPad2d(2) Softmax2d() PReLU()
        PReLU(4) Flatten() Flatten(2) Unflatten(1,(2,2)) Dropout2d() GLU(1)""",
    "f32[2, 4, 4, 6, 6]": """Conv3d(4,2,3) Conv3d(4,4,(2,3,3),padding=1,groups=2) ConvTranspose3d(4,2,2,stride=2)
        MaxPool3d(2) AvgPool3d(2) AdaptiveAvgPool3d(2) AdaptiveMaxPool3d(1) InstanceNorm3d(4) ZeroPad3d(1)
        ConstantPad3d(1,2.0) ReplicationPad3d(1) BatchNorm3d(4)""",
    "f32[4, 6, 6]": "Conv2d(4,2,3) MaxPool2d(2) ConvTranspose2d(4,2,3)",
    "f32[2, 4, 9]": """Conv1d(4,6,3) Conv1d(4,6,3,padding=same,dilation=2) ConvTranspose1d(4,2,3,stride=2)
        MaxPool1d(2) AvgPool1d(3) AdaptiveAvgPool1d(3) AdaptiveMaxPool1d(3) BatchNorm1d(4) InstanceNorm1d(4) ZeroPad1d(2)
        ReflectionPad1d(2) ReplicationPad1d((1,2)) ConstantPad1d(1,-1) Upsample(scale_factor=2,mode=linear)""",
    ROW: """Linear(8,3) Linear(8,3,bias=false) ReLU() ReLU6() SELU() SiLU() Mish()
        Hardswish() Hardsigmoid() Sigmoid() LogSigmoid() Tanh() Softsign() Tanhshrink()
        LeakyReLU(0.2) ELU(0.7) CELU(1.3) GELU() GELU(approximate=tanh) Softplus(2,0.5)
        Softshrink() Hardshrink(0.4) Hardtanh(-0.5,0.8) Softmax(1) LogSoftmax(-1) Softmin(0)
        Threshold(0.1,5) Dropout() AlphaDropout() Identity() BatchNorm1d(8) LayerNorm(8)
        LayerNorm(8,elementwise_affine=false) RMSNorm(8) RMSNorm(8,elementwise_affine=false) GLU()
        PReLU(8)""",
    SEQUENCE: """Linear(8,3) LSTM(8,4,batch_first=true) LSTM(8,4,2,bidirectional=true) GRU(8,4)
        GRU(8,4,2,batch_first=true,bidirectional=true) RNN(8,4,bias=false) RNN(8,3,2)
        TransformerEncoderLayer(8,2,16,batch_first=true)
        TransformerEncoderLayer(8,4,16,norm_first=true,activation=gelu)
        MultiheadAttention(8,2,batch_first=true) MultiheadAttention(8,4,bias=false)""",
    "i64[2, 5]": "Embedding(3,4)",
    # Batches of any size.
    "f32[B, 4, 6, 6]": """Conv2d(4,6,3) MaxPool2d(2) AdaptiveAvgPool2d(1) BatchNorm2d(4) GroupNorm(2,4)
        Upsample(scale_factor=2) Flatten() PixelUnshuffle(2) ChannelShuffle(2) ZeroPad2d(1)
        Upsample(size=9,mode=bilinear) Unflatten(1,(2,2)) InstanceNorm2d(4)""",
    "f32[B, 5, 8]": """Linear(8,3) LSTM(8,4,batch_first=true) GRU(8,4,batch_first=true,bidirectional=true)
        TransformerEncoderLayer(8,2,16,batch_first=true) MultiheadAttention(8,2,batch_first=true)""",
}
FUNCTIONS = {
    ROW: """x+1 2-x x*x x/3 1/(x.abs()+1) x**2 (x.abs()+0.1)**0.5 -x x//0.3 x%0.7 x.abs().sqrt() x.exp()
        x.sin().cos() x.sigmoid().log() x.floor() x.round() x.sign() rsqrt(x.abs()+1) square(x)
        clamp(x,-0.5,0.5) x.clamp(min=0) maximum(x,-x) where(x>0,x,x*0.1) x.masked_fill(x<0,-1)
        logical_and(x>0,x<1) logical_not(x>0) logical_or(x>1,x<0) x>=0.5 x!=x x.isnan() (x>0).float() x.long() (x.double()+1).float()
        x.sum() x.sum(1) x.mean(0,keepdim=true) x.mean() x.amax(1) x.max(1).values x.max(1).indices
        x.min() x.argmax(1) x.argmin() x.prod(1) x.var(1) x.std(0,unbiased=false) x.norm()
        x.norm(1,dim=1) normalize(x) x.logsumexp(1) x.softmax(1) log_softmax(x,1) (x>0).any(1)
        (x>0).all() x.cumsum(1) x.topk(3).values x.sort(1,descending=true).indices x.argsort(0)
        x.view(3,2,4) x.reshape(-1) x.t() x.T x.transpose(0,1) x.unsqueeze(1).squeeze(1)
        x.unsqueeze(0).expand(4,3,8) x.repeat(2,1) cat([x,x*2],1) stack([x,-x],0) x.split(3,1)[2]
        x.chunk(2,1)[1] x.unbind(0)[1] x[1] x[:,1:5:2] x[...,-1] x[:,none,2:] x[:,[0,3]]
        x[-2:].flip(1) x.roll(3,1) tril(x) triu(x,1) x.narrow(1,2,3) x.select(1,4)
        x.gather(1,x.argsort(1)) x.index_select(0,x.argmax(0)) pad(x,(1,2)) pad(x,(1,2,3,0),value=2)
        x@x.t() einsum("ij,kj->ik",x,x) outer(x[0],x[1]) x.mean(1).unsqueeze(1)*x gelu(x) silu(x)
        relu(x)+tanh(x) elu(x) leaky_relu(x,0.1) softplus(x) x.flatten() rearrange(x,"a (b c) -> c a b",b=2)
        one_hot(x.argmax(1),8) cosine_similarity(x,x.flip(1)) sum([x,x,x]) arange(8)*x
        x-x.mean(1,keepdim=true) dropout(x,0.5,training=false) x.scatter(1,x.argsort(1),x)
        x.sum(1,keepdim=true).expand_as(x) layer_norm(x,[8]) x.add(x,alpha=2) swapaxes(x,0,1)
        x.div(2,rounding_mode="trunc")""",
    "f32[2, 3, 4, 8]": """scaled_dot_product_attention(x,x,x) scaled_dot_product_attention(x,x,x,is_causal=true)
        scaled_dot_product_attention(x,x,x,scale=0.3) x.permute(0,2,1,3).flatten(2) x@x.mT
        x.mean((2,3)) x.flatten(1) x.amax((-2,-1)) max_pool2d(x,2) avg_pool2d(x,2)
        adaptive_avg_pool2d(x,1) interpolate(x,scale_factor=2) movedim(x,1,3) group_norm(x,3)
        rms_norm(x,[8]) x.transpose(1,2).contiguous().view(2,4,24)""",
    "f32[B, 3, 8]": """x.flatten(1) x.view(x.size(0),-1) x.view(x.shape[0]*3,8).view(-1,3,8) x.reshape(-1,24)
        cat([arange(8).float().view(1,1,8).expand(x.size(0),-1,-1),x],1) x[:,0] x.permute(0,2,1)
        rearrange(x,"b t (h e) -> (b h) t e",h=2).view(x.size(0),-1) x.repeat(1,2,1) x.mean(1)
        scaled_dot_product_attention(x,x,x,is_causal=true) x.unsqueeze(1).expand(-1,2,-1,-1)
        x+zeros(x.size(0),1,8) x*ones_like(x)+full([x.size(0),3,1],2.5)""",
}


def compare(config, folder, *options):
    """An error, or "" where both agree."""
    model, given, out = folder / "m.onnx", folder / "in.npz", folder / "out.h5"
    run = subprocess.run([NNM, "export", config, "--to", "onnx", "-o", model, *options],
                         capture_output=True, text=True)
    if run.returncode:
        return run.stderr
    graph = onnx.load(model)
    onnx.checker.check_model(graph, full_check=True)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    draw = np.random.default_rng(1)
    feeds = {}
    for i in session.get_inputs():
        # Not the batch that the export looked at.
        shape = [5 if isinstance(n, str) else n for n in i.shape]
        feeds[i.name] = (draw.integers(0, 2, shape) if "int" in i.type
                         else draw.standard_normal(shape).astype(TYPES[i.type]))
    np.savez(given, **feeds)
    batch = str(max(len(next(iter(feeds.values()))), 1))
    run = subprocess.run([NNM, "predict", config, "--input", given, "-o", out, "--no-hooks",
                          "--batch", batch, *options], capture_output=True, text=True)
    if run.returncode:
        return "predict: " + run.stderr
    expected = []
    with h5py.File(out) as f:
        f.visititems(lambda _, o: expected.append(o[()]) if isinstance(o, h5py.Dataset) else None)
    got = session.run(None, feeds)
    if [x.shape for x in expected] != [x.shape for x in got]:
        return f"shapes {[x.shape for x in expected]}, of ONNX {[x.shape for x in got]}"
    for a, b in zip(expected, got):
        if a.dtype != b.dtype and {a.dtype.kind, b.dtype.kind} != {"b", "u"}:
            return f"{a.dtype}, of ONNX {b.dtype}"
        if not np.allclose(a, b, RTOL, ATOL, equal_nan=True):
            return f"differs by {np.max(np.abs(a.astype(float) - b.astype(float)))}"
    return ""


def small(kind, text, shape, folder):
    """A config of one layer or one expression. Rows are samples to `predict`, so that what has no
    batch of its own is wrapped in one of one."""
    batched = "[B" in shape
    whole = shape if batched else shape.replace("[", "[1, ")
    lines = ["nnm: 1", "define:", "  Net:", "    inputs:", f"      x: {whole}"]
    if kind == "layer":
        lines += ["    modules:", f"      f: {text}"]
    call = "x |> f" if kind == "layer" else text
    if text.startswith("MultiheadAttention"):
        call = "f(x, x, x)"
    result = "y, h" if text.startswith(("LSTM", "GRU", "RNN", "Multi")) else "y"
    lines += ["    forward:"] + ([] if batched else ["      - x = x[0]"])
    lines += [f"      - {result} = {call}", f"      - return {'y' if batched else 'y.unsqueeze(0)'}"]
    path = folder / "t.yaml"
    path.write_text("\n".join(lines + ["model: Net()"]) + "\n")
    return path


def main():
    failed = passed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        cases = [(c, c) for c in sys.argv[1:]]
        if not cases:
            cases = [(str(c), c) for c in sorted((ROOT / "configs").rglob("*.yaml"))
                     if "data" not in c.relative_to(ROOT / "configs").parts[:1]]
            for kind, table in (("layer", LAYERS), ("function", FUNCTIONS)):
                cases += [(f"{text} of {shape}", (kind, text, shape))
                          for shape, texts in table.items() for text in texts_of(texts)]
        for label, case in cases:
            config = small(*case, folder) if isinstance(case, tuple) else case
            problem = compare(config, folder, "--fresh")
            passed, failed = passed + (not problem), failed + bool(problem)
            if problem:
                print(f"{label}: {problem}")
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return failed > 0


def texts_of(text):
    """Split at blanks outside of parentheses and quotes."""
    out, depth, quoted = [""], 0, False
    for c in text:
        depth += (c in "([") - (c in ")]")
        quoted ^= c == '"'
        if c.isspace() and depth == 0 and not quoted:
            out.append("")
        else:
            out[-1] += c
    return [t for t in out if t]


if __name__ == "__main__":
    sys.exit(main())
