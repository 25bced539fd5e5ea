"""Golden cases of layers and losses: the constructor, how it is called, and its inputs.

Inputs are written as in golden_functions.py. Parameters are numbers drawn from the constructor's
text and their names. A layer is in training mode unless its call says `m.eval()`.
"""

X = "x: f[3, 4]"
IMAGE = "x: f[2, 4, 5, 5]"


def simple(names, spec=X):
    return [(f"{name}()" if "(" not in name else name, "m(x)", spec) for name in names]


CASES = simple("""CELU ELU GELU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid Mish
PReLU ReLU ReLU6 SELU SiLU Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink Identity GLU
Flatten""".split())
CASES += simple([
    "CELU(alpha=1.5)", "ELU(0.5)", "ELU(alpha=2.0, inplace=false)", "GELU(\"tanh\")",
    "GELU(approximate=\"tanh\")", "Hardshrink(0.25)", "Hardtanh(-0.5, 0.75)",
    "Hardtanh(min_val=-2, max_val=2)", "LeakyReLU(0.2)", "LeakyReLU(negative_slope=0.3)",
    "Softplus(beta=2, threshold=10)", "Softshrink(0.25)", "Threshold(0.1, 20)",
    "PReLU(4)", "PReLU(num_parameters=1, init=0.1)", "Softmax(dim=1)", "Softmax(-1)",
    "LogSoftmax(dim=1)", "LogSoftmax(dim=0)", "Softmin(dim=1)", "GLU(dim=1)", "ReLU(inplace=false)",
    "Flatten(0)", "Flatten(start_dim=0, end_dim=-1)", "Unflatten(1, (2, 2))", "Dropout(0.0)",
    "Linear(4, 5)", "Linear(4, 5, bias=false)", "Linear(in_features=4, out_features=1)",
    "LayerNorm(4)", "LayerNorm((3, 4))", "LayerNorm(4, eps=1e-3, elementwise_affine=false)",
    "LayerNorm(4, bias=false)", "RMSNorm(4)", "RMSNorm(4, eps=0.01)",
    "RMSNorm((3, 4), elementwise_affine=false)", "BatchNorm1d(4)", "Threshold(-1, 0.5)",
])
# What is written into the input, and the gradient of what was in it.
for name in ["ReLU(inplace=true)", "ReLU6(true)", "SELU(inplace=true)", "SiLU(inplace=true)",
             "Mish(inplace=true)", "Hardswish(inplace=true)", "Hardsigmoid(inplace=true)",
             "CELU(1.5, true)", "ELU(0.5, inplace=true)", "LeakyReLU(0.2, true)",
             "Hardtanh(-0.5, 0.75, inplace=true)", "Threshold(0.1, 20, inplace=true)"]:
    CASES += [(name, "[m(x), x]", "x: c[3, 4]"), (name, "m(add(x, 0.25))", X)]
CASES += simple(["Softmax2d()", "ChannelShuffle(2)", "PixelShuffle(2)", "ZeroPad2d(1)",
                 "ZeroPad2d((1, 2, 0, 1))", "ConstantPad2d(2, 3.5)", "ReflectionPad2d(2)",
                 "ReplicationPad2d((1, 0, 2, 1))", "CircularPad2d(1)",
                 "UpsamplingNearest2d(scale_factor=2)", "Upsample(scale_factor=2)",
                 "Upsample(size=(3, 7))", "Upsample(scale_factor=2, mode=\"bilinear\")",
                 "UpsamplingBilinear2d(scale_factor=2)"], IMAGE)
CASES += simple(["ReflectionPad1d(2)", "ReplicationPad1d(1)", "ConstantPad1d((1, 2), 0.5)",
                 "ZeroPad1d(2)", "CircularPad1d(1)"], "x: f[2, 3, 4]")
CASES += simple(["ReflectionPad3d(1)", "ReplicationPad3d((1, 0, 2, 1, 0, 3))", "CircularPad3d(1)",
                 "ConstantPad3d(1, -2.5)", "ZeroPad3d((1, 0, 0, 2, 3, 0))",
                 "Upsample(size=(3, 4, 2), mode=\"area\")"], "x: f[2, 2, 3, 2, 4]")
CASES += simple(["PixelUnshuffle(2)"], "x: f[2, 3, 4, 6]")
CASES += simple(["Unfold(2)", "Unfold((2, 3), dilation=1, padding=1, stride=2)"], IMAGE)
CASES += simple(["Fold((4, 5), (2, 2))"], "x: f[2, 8, 12]")
CASES += simple(["Unfold((3, 2), padding=(1, 0), dilation=(1, 2))"], "x: f[4, 5, 5]")
CASES += simple(["Fold(4, 2, stride=2)"], "x: f[8, 4]")

# Dropout does nothing in evaluation.
CASES += [(name, "m.eval()(x)", spec) for name, spec in [
    ("Dropout()", X), ("Dropout(p=0.2)", X), ("Dropout1d(0.3)", "x: f[2, 3, 4]"),
    ("Dropout2d()", IMAGE), ("RReLU()", X), ("RReLU(0.1, upper=0.3, inplace=true)", "x: c[3, 4]"), ("Dropout3d(0.5)", "x: f[1, 2, 2, 3, 3]"), ("AlphaDropout(0.1)", X),
    ("FeatureAlphaDropout(0.2)", "x: f[2, 3, 4]")]]

# Convolutions.
CASES += simple(["Conv1d(4, 6, 3)", "Conv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2)",
                 "Conv1d(4, 6, kernel_size=1, bias=false)", "Conv1d(4, 2, 3, padding=\"same\")",
                 "Conv1d(4, 2, 3, padding=2, padding_mode=\"circular\")"], "x: f[2, 4, 7]")
CASES += simple([
    "Conv2d(4, 6, 3)", "Conv2d(4, 6, 3, stride=2, padding=1, bias=false)",
    "Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(0, 1), dilation=(1, 2), groups=2)",
    "Conv2d(4, 4, 3, padding=1, groups=4)", "Conv2d(4, 3, 1)",
    "Conv2d(4, 3, 3, padding=\"same\")", "Conv2d(4, 3, 3, padding=\"valid\")",
    "Conv2d(4, 3, 3, padding=1, padding_mode=\"reflect\")",
    "Conv2d(4, 3, 3, padding=1, padding_mode=\"replicate\")",
    "Conv2d(in_channels=4, out_channels=3, kernel_size=(3, 3), stride=(1, 1), padding=2, "
    "padding_mode=\"circular\")",
    "ConvTranspose2d(4, 3, 3)",
    "ConvTranspose2d(4, 6, (3, 2), stride=2, padding=1, output_padding=1, groups=2, bias=false)",
], IMAGE)
CASES += simple(["ConvTranspose1d(4, 3, 3, stride=2)"], "x: f[2, 4, 5]")
CASES += simple(["Conv2d(4, 3, 3)"], "x: f[4, 5, 5]")
CASES += simple(["Conv3d(2, 3, 2)"], "x: f[1, 2, 3, 3, 4]")
VOLUME = "x: f[2, 4, 4, 3, 5]"
CASES += simple([
    "Conv3d(4, 6, 3, padding=1)", "Conv3d(4, 2, (1, 3, 3), bias=false)", "Conv3d(4, 2, 1)",
    "Conv3d(4, 2, (3, 1, 1), padding=\"same\")",
    "Conv3d(4, 6, (2, 3, 2), stride=(2, 1, 2), padding=(1, 0, 1), dilation=(2, 1, 1), groups=2)",
    "Conv3d(4, 4, 3, padding=2, stride=2, groups=4)",
    "Conv3d(4, 3, 2, padding=1, padding_mode=\"reflect\")",
    "Conv3d(4, 3, 2, padding=(1, 0, 2), padding_mode=\"circular\")",
    "ConvTranspose3d(4, 3, 2)",
    "ConvTranspose3d(4, 6, (3, 1, 2), stride=2, padding=(1, 0, 1), output_padding=1, groups=2, "
    "bias=false, dilation=(2, 1, 1))",
], VOLUME)
CASES += simple(["Conv3d(4, 3, 2)", "ConvTranspose3d(4, 3, 3, stride=2)"], "x: f[4, 3, 3, 4]")
CASES += [("ConvTranspose3d(4, 3, 3, stride=2)", "m(x, output_size=(6, 6, 8))",
           "x: f[4, 2, 2, 3]")]

# Pooling.
CASES += simple(["MaxPool1d(2)", "MaxPool1d(3, stride=2, padding=1, dilation=1, ceil_mode=true)",
                 "AvgPool1d(3)", "AvgPool1d(3, 2, 1, ceil_mode=true, count_include_pad=false)",
                 "AdaptiveAvgPool1d(3)", "AdaptiveMaxPool1d(2)", "LPPool1d(2, 3)"],
                "x: f[2, 3, 8]")
CASES += simple(["MaxPool2d(2)", "MaxPool2d(3, stride=2, padding=1)",
                 "MaxPool2d((3, 2), stride=(2, 1), dilation=(1, 2), ceil_mode=true)",
                 "AvgPool2d(2)", "AvgPool2d(3, stride=2, padding=1, count_include_pad=false)",
                 "AvgPool2d((2, 3), divisor_override=5)", "AdaptiveAvgPool2d(1)",
                 "AdaptiveAvgPool2d((3, none))", "AdaptiveAvgPool2d((2, 3))",
                 "AdaptiveMaxPool2d(2)", "LPPool2d(2, 2)",
                 "MaxPool2d(2, return_indices=true)"], IMAGE)
CASES += [
    ("MaxUnpool1d(2)", "m(x, i)", "x: f[2, 3, 4]; i: i[2, 3, 4]<8"),
    ("MaxUnpool2d(2)", "m(x, i)", "x: f[2, 3, 2, 3]; i: i[2, 3, 2, 3]<24"),
    ("MaxUnpool2d(3, stride=2, padding=(1, 0))", "m(x, i, (4, 8))",
     "x: f[3, 2, 3]; i: i[3, 2, 3]<32"),
    ("MaxUnpool3d((2, 1, 2))", "m(x, i, output_size=(1, 2, 4, 2, 4))",
     "x: f[1, 2, 2, 2, 2]; i: i[1, 2, 2, 2, 2]<32"),
    ("FractionalMaxPool2d(2, output_size=(3, 2), _random_samples=s)", "m(x)",
     "x: f[2, 4, 5, 6]; s: v[2, 4, 2]*0.4"),
    ("FractionalMaxPool3d(2, output_size=(2, 3, 2), _random_samples=s)", "m(x)",
     "x: f[2, 2, 4, 5, 4]; s: v[2, 2, 3]*0.4"),
    ("FractionalMaxPool3d((1, 2, 3), output_ratio=(0.5, 0.6, 0.4), return_indices=true, "
     "_random_samples=s)", "m(x)", "x: f[2, 4, 5, 7]; s: v[1, 2, 3]*0.4"),
    ("FractionalMaxPool2d((2, 3), output_ratio=(0.5, 0.6), return_indices=true, "
     "_random_samples=s)", "m(x)", "x: f[4, 7, 6]; s: v[1, 4, 2]*0.4"),
]
CASES += simple(["MaxPool3d(2)", "AvgPool3d(2)", "AdaptiveAvgPool3d(1)"], "x: f[1, 2, 4, 4, 5]")
CASES += simple([
    "MaxPool3d((1, 3, 2), stride=(1, 2, 2), padding=(0, 1, 1), ceil_mode=true)",
    "MaxPool3d(2, stride=1, dilation=(3, 1, 2), return_indices=true)",
    "MaxPool3d(3, 2, 1, return_indices=true, ceil_mode=true)",
    "AvgPool3d((2, 1, 3), stride=2, padding=(1, 0, 1), ceil_mode=true, count_include_pad=false)",
    "AvgPool3d(3, 2, 1, ceil_mode=true)", "AvgPool3d(2, stride=1, divisor_override=3)",
    "AdaptiveAvgPool3d((3, none, 2))", "AdaptiveMaxPool3d((3, none, 2))",
    "AdaptiveMaxPool3d(2, return_indices=true)", "LPPool3d(2, 2)",
], VOLUME)
CASES += simple(["LPPool3d(norm_type=3.0, kernel_size=(2, 1, 2), stride=(1, 1, 2), "
                 "ceil_mode=true)"], "x: p[2, 4, 4, 3, 5]")
CASES += simple(["MaxPool3d(2)", "AvgPool3d(2)", "AdaptiveMaxPool3d(2)"], "x: f[2, 3, 4, 5]")
CASES += simple(["AdaptiveMaxPool2d((2, none), return_indices=true)",
                 "LPPool2d(1.5, (2, 3), stride=2, ceil_mode=true)"], "x: p[2, 4, 5, 5]")
CASES += simple(["AdaptiveMaxPool1d(3, return_indices=true)", "LPPool1d(inf, 3, stride=2)",
                 "LPPool1d(-inf, 3)"], "x: f[2, 3, 8]")

# Normalisation.
for spec in (IMAGE, "x: f[1, 4, 2, 2]"):
    CASES += simple(["BatchNorm2d(4)", "BatchNorm2d(4, eps=0.01, momentum=0.3)",
                     "BatchNorm2d(4, momentum=none)", "BatchNorm2d(4, affine=false)",
                     "BatchNorm2d(4, track_running_stats=false)"], spec)
CASES += [(name, "m.eval()(x)", IMAGE) for name in
          ("BatchNorm2d(4)", "BatchNorm2d(4, affine=false)", "GroupNorm(2, 4)",
           "BatchNorm2d(4, track_running_stats=false)",
           "InstanceNorm2d(4, affine=true, track_running_stats=true)")]
CASES += simple(["BatchNorm1d(4)", "InstanceNorm1d(4)", "GroupNorm(4, 4)"], "x: f[3, 4, 5]")
CASES += simple(["BatchNorm3d(2)"], "x: f[2, 2, 2, 3, 2]")
# PyTorch's trains on GPUs alone.
CASES += [("SyncBatchNorm(4)", "m.eval()(x)", spec) for spec in ("x: f[3, 4]", "x: f[3, 4, 5]", IMAGE)]
CASES += simple(["InstanceNorm1d(4, affine=true, track_running_stats=true)",
                 "LocalResponseNorm(3)", "InstanceNorm1d(3)"], "x: f[3, 4, 5]")
CASES += simple(["InstanceNorm1d(3, affine=true)"], "x: f[3, 5]")
CASES += simple(["InstanceNorm3d(2, affine=true)",
                 "InstanceNorm3d(2, track_running_stats=true, momentum=0.3)",
                 "LocalResponseNorm(2, alpha=0.5, beta=0.5, k=2)"], "x: f[2, 2, 2, 3, 2]")
CASES += [("InstanceNorm3d(2, affine=true, track_running_stats=true)", "m.eval()(x)",
           "x: f[2, 2, 2, 3, 2]")]
CASES += simple(["GroupNorm(2, 4)", "GroupNorm(1, 4, eps=0.01, affine=false)", "InstanceNorm2d(4)",
                 "InstanceNorm2d(4, affine=true)", "LocalResponseNorm(2)",
                 "InstanceNorm2d(4, affine=true, track_running_stats=true)"], IMAGE)
CASES += simple(["LayerNorm([4, 5, 5])"], IMAGE)

# Embeddings and recurrence.
CASES += simple(["Embedding(6, 3)", "Embedding(6, 3, padding_idx=2)",
                 "Embedding(6, 3, padding_idx=-1)"], "x: i[2, 5]<6")
CASES += simple(["EmbeddingBag(6, 3)", "EmbeddingBag(6, 3, mode=\"sum\")",
                 "EmbeddingBag(6, 3, mode=\"max\")"], "x: i[2, 5]<6")
BAGS = "x: i[8]<6"
CASES += [
    ("EmbeddingBag(6, 3)", "m(x, arange(0, 8, 3))", BAGS),
    ("EmbeddingBag(6, 3, mode=\"sum\", padding_idx=2)", "m(x, floor_divide(arange(0, 8), 2))",
     BAGS),
    ("EmbeddingBag(6, 3, mode=\"mean\", padding_idx=-1, include_last_offset=true)",
     "m(x, floor_divide(arange(0, 9), 2))", BAGS),
    ("EmbeddingBag(6, 3, mode=\"max\", padding_idx=1)", "m(x, floor_divide(arange(0, 8), 2))",
     BAGS),
    ("EmbeddingBag(6, 3, mode=\"sum\")",
     "m(x, arange(0, 8, 3), per_sample_weights=w)", BAGS + "; w: f[8]"),
    ("EmbeddingBag(6, 3, max_norm=0.5, norm_type=1, mode=\"sum\")", "m(x)", "x: i[2, 5]<6"),
]
SEQUENCE = "x: f[5, 2, 3]"
CASES += simple(["RNN(3, 4)", "RNN(3, 4, 2, nonlinearity=\"relu\", bias=false)",
                 "RNN(3, 4, bidirectional=true, batch_first=true)", "LSTM(3, 4)",
                 "LSTM(3, 4, num_layers=2, batch_first=true)",
                 "LSTM(3, 4, 2, bias=false, bidirectional=true)", "LSTM(3, 4, proj_size=2)",
                 "GRU(3, 4)", "GRU(3, 4, 2, bidirectional=true, batch_first=true)"], SEQUENCE)
CASES += [
    ("LSTM(3, 4)", "m(x, (h, c))", f"{SEQUENCE}; h: f[1, 2, 4]; c: f[1, 2, 4]"),
    ("LSTM(3, 4)", "m(x)", "x: f[5, 3]"),
    ("GRU(3, 4)", "m(x, h)", f"{SEQUENCE}; h: f[1, 2, 4]"),
    ("RNN(3, 4, 2)", "m(x, h)", f"{SEQUENCE}; h: f[2, 2, 4]"),
    ("LSTM(3, 4, 2, dropout=0.5)", "m.eval()(x)", SEQUENCE),
    ("LSTMCell(3, 4)", "m(x)", "x: f[2, 3]"),
    ("LSTMCell(3, 4)", "m(x, (h, c))", "x: f[2, 3]; h: f[2, 4]; c: f[2, 4]"),
    ("GRUCell(3, 4)", "m(x, h)", "x: f[2, 3]; h: f[2, 4]"),
    ("RNNCell(3, 4)", "m(x, h)", "x: f[2, 3]; h: f[2, 4]"),
    ("RNNCell(3, 4, nonlinearity=\"relu\")", "m(x)", "x: f[2, 3]"),
    ("Bilinear(3, 4, 2)", "m(x, y)", "x: f[5, 3]; y: f[5, 4]"),
    ("Bilinear(3, 4, 2, bias=false)", "m(x, y)", "x: f[5, 3]; y: f[5, 4]"),
    ("CosineSimilarity()", "m(x, y)", "x: f[3, 4]; y: f[3, 4]"),
    ("CosineSimilarity(dim=0, eps=0.01)", "m(x, y)", "x: f[3, 4]; y: f[3, 4]"),
    ("CosineSimilarity(eps=2.5)", "m(x, y)", "x: f[3, 4]; y: f[4]"),
    ("PairwiseDistance()", "m(x, y)", "x: f[3, 4]; y: f[3, 4]"),
    ("PairwiseDistance(p=1.0, keepdim=true)", "m(x, y)", "x: f[3, 4]; y: f[3, 4]"),
    ("Fold((4, 5), (2, 3), stride=2, padding=1)", "m(x)", "x: f[2, 12, 9]"),
]

# Attention.
QKV = "q: f[5, 2, 8]; k: f[6, 2, 8]; v: f[6, 2, 8]"
BATCH = "x: f[2, 5, 8]"
CASES += [
    ("MultiheadAttention(8, 2)", "m(q, k, v)", QKV),
    ("MultiheadAttention(8, 2, bias=false)", "m(q, k, v, need_weights=false)", QKV),
    ("MultiheadAttention(8, 2, batch_first=true)", "m(x, x, x, average_attn_weights=false)", BATCH),
    ("MultiheadAttention(8, 4, add_bias_kv=true, add_zero_attn=true)", "m(q, k, v)", QKV),
    ("MultiheadAttention(8, 2, kdim=3, vdim=5)", "m(q, k, v)",
     "q: f[5, 2, 8]; k: f[6, 2, 3]; v: f[6, 2, 5]"),
    ("MultiheadAttention(8, 2, batch_first=true)", "m(x, x, x, attn_mask=a)",
     f"{BATCH}; a: f[5, 5]"),
    ("MultiheadAttention(8, 2)", "m(q, k, v, key_padding_mask=triu(a, 3))", f"{QKV}; a: b[2, 6]"),
    ("MultiheadAttention(8, 2)", "m(x, x, x)", "x: f[5, 8]"),
    ("TransformerEncoderLayer(8, 2, 16, dropout=0.0)", "m(x)", "x: f[5, 2, 8]"),
    ("TransformerEncoderLayer(8, 2, 16, 0.0, activation=\"gelu\", batch_first=true, "
     "norm_first=true)", "m(x)", BATCH),
    ("TransformerEncoderLayer(d_model=8, nhead=4, dim_feedforward=12, dropout=0.0, bias=false)",
     "m(x, src_mask=a)", "x: f[5, 2, 8]; a: c[5, 5]"),
    ("TransformerEncoder(TransformerEncoderLayer(8, 2, 16, dropout=0.0), 2)", "m(x)",
     "x: f[5, 2, 8]"),
    ("TransformerEncoder(TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=true), "
     "num_layers=2, norm=LayerNorm(8))", "m(x)", BATCH),
    ("TransformerDecoderLayer(8, 2, 16, dropout=0.0)", "m(x, y)", "x: f[5, 2, 8]; y: f[4, 2, 8]"),
    ("TransformerDecoder(TransformerDecoderLayer(8, 2, 16, dropout=0.0), 2)", "m(x, y)",
     "x: f[5, 2, 8]; y: f[4, 2, 8]"),
    ("Transformer(8, 2, 1, 1, 16, dropout=0.0)", "m(x, y)", "x: f[5, 2, 8]; y: f[4, 2, 8]"),
    ("Transformer(8, 4, num_encoder_layers=2, num_decoder_layers=1, dim_feedforward=12, "
     "dropout=0.0, activation=\"gelu\", batch_first=true, norm_first=true, bias=false)",
     "m(x, y, tgt_mask=a, src_key_padding_mask=triu(p, 3))",
     "x: f[2, 5, 8]; y: f[2, 4, 8]; a: c[4, 4]; p: b[2, 5]"),
]

# Containers.
CASES += [
    ("Sequential(Linear(4, 5), ReLU(), Linear(5, 2))", "m(x)", X),
    ("Sequential(Linear(4, 4), Linear(4, 4), Linear(4, 4), BatchNorm1d(4), Linear(4, 4))", "m(x)",
     X),
    ("Sequential(Sequential(Linear(4, 3), Tanh()), Sequential(Linear(3, 2)))", "m(x)", X),
    ("Sequential(Conv1d(4, 3, 2), ReLU(inplace=true), MaxPool1d(2), SiLU(inplace=true))", "m(x)",
     "x: f[2, 4, 7]"),
    ("Sequential(Linear(4, 6), Unflatten(2, (2, 3)), ELU(inplace=true), Linear(3, 2), "
     "LeakyReLU(0.2, true))", "m(x)", "x: f[2, 3, 4]"),
]

# Losses.
PAIR = "x: f[3, 4]; y: f[3, 4]"
for name in "MSELoss L1Loss SmoothL1Loss HuberLoss".split():
    CASES += [(f"{name}()", "m(x, y)", PAIR)]
    CASES += [(f"{name}(reduction=\"{how}\")", "m(x, y)", PAIR) for how in ("sum", "none")]
CLASSES = "x: f[5, 4]; y: i[5]<4"
CASES += [
    ("SmoothL1Loss(beta=0.5)", "m(x, y)", PAIR),
    ("HuberLoss(delta=0.5)", "m(x, y)", PAIR),
    ("CrossEntropyLoss()", "m(x, y)", CLASSES),
    ("CrossEntropyLoss(weight=w, ignore_index=2, label_smoothing=0.1)", "m(x, y)",
     f"{CLASSES}; w: v[4]"),
    ("CrossEntropyLoss(reduction=\"none\")", "m(x, y)", "x: f[2, 4, 3]; y: i[2, 3]<4"),
    ("CrossEntropyLoss(reduction=\"sum\")", "m(x, softmax(y, 1))", "x: f[5, 4]; y: c[5, 4]"),
    ("LinearCrossEntropyLoss(3, 4)", "m(x, y)", "x: f[5, 3]; y: i[5]<4"),
    ("LinearCrossEntropyLoss(3, 4, bias=true, weight=w, ignore_index=2, label_smoothing=0.1)",
     "m(x, y)", "x: f[5, 3]; y: i[5]<4; w: v[4]"),
    ("LinearCrossEntropyLoss(3, 4, out_features=(2, 3), bias=true, reduction=\"none\")", "m(x, y)",
     "x: f[5, 3]; y: i[5, 2, 3]<4"),
    ("LinearCrossEntropyLoss(3, 4, out_features=(2,))", "m(x, softmax(y, 1))",
     "x: f[5, 3]; y: c[5, 4, 2]"),
    ("LinearCrossEntropyLoss(3, 4)", "m(x, y)", "x: f[3]; y: i[]<4"),
    ("NLLLoss()", "m(log_softmax(x, 1), y)", CLASSES),
    ("NLLLoss(weight=w, reduction=\"sum\", ignore_index=1)", "m(x, y)", f"{CLASSES}; w: v[4]"),
    ("BCELoss()", "m(sigmoid(x), y)", "x: f[3, 4]; y: u[3, 4]"),
    ("BCELoss(weight=w, reduction=\"sum\")", "m(sigmoid(x), y)",
     "x: f[3, 4]; y: u[3, 4]; w: v[4]"),
    ("BCEWithLogitsLoss()", "m(x, y)", "x: f[3, 4]; y: u[3, 4]"),
    ("BCEWithLogitsLoss(pos_weight=p, weight=w, reduction=\"none\")", "m(x, y)",
     "x: f[3, 4]; y: u[3, 4]; p: v[4]; w: v[4]"),
    ("KLDivLoss()", "m(x, y)", "x: f[3, 4]; y: p[3, 4]"),
    ("KLDivLoss(reduction=\"batchmean\", log_target=true)", "m(x, y)", PAIR),
    ("SoftMarginLoss()", "m(x, sign(y))", "x: f[3, 4]; y: c[3, 4]"),
    ("SoftMarginLoss(reduction=\"none\")", "m(x, sign(y))", "x: f[3, 4]*15; y: c[3, 4]"),
    ("HingeEmbeddingLoss()", "m(x, sign(y))", "x: f[3, 4]; y: c[3, 4]"),
    ("MarginRankingLoss(0.1)", "m(x, y, sign(z))", "x: f[5]; y: f[5]; z: c[5]"),
    ("CosineEmbeddingLoss(margin=0.1)", "m(x, y, sign(z))", "x: f[5, 3]; y: f[5, 3]; z: c[5]"),
    ("TripletMarginLoss()", "m(x, y, z)", "x: f[5, 3]; y: f[5, 3]; z: f[5, 3]"),
    ("TripletMarginLoss(margin=0.5, p=1.0, swap=true)", "m(x, y, z)",
     "x: f[5, 3]; y: f[5, 3]; z: f[5, 3]"),
    ("PoissonNLLLoss()", "m(x, y)", "x: f[3, 4]; y: p[3, 4]"),
    ("GaussianNLLLoss()", "m(x, y, z)", "x: f[3, 4]; y: f[3, 4]; z: p[3, 4]"),
    ("MultiMarginLoss()", "m(x, y)", CLASSES),
    ("MultiLabelSoftMarginLoss()", "m(x, y)", "x: f[5, 4]; y: u[5, 4]"),
    ("MultiLabelMarginLoss()", "m(x, sub(y, 1))", "x: f[5, 4]; y: i[5, 4]<5"),
    ("MultiLabelMarginLoss(reduction=\"none\")", "m(x, sub(y, 1))", "x: f[5, 4]; y: i[5, 4]<5"),
    ("MultiLabelMarginLoss(reduction=\"sum\")", "m(x, sub(y, 1))", "x: f[4]; y: i[4]<5"),
    ("TripletMarginWithDistanceLoss()", "m(x, y, z)", "x: f[5, 3]; y: f[5, 3]; z: f[5, 3]"),
    ("TripletMarginWithDistanceLoss(distance_function=CosineSimilarity(), margin=0.5, swap=true, "
     "reduction=\"none\")", "m(x, y, z)", "x: f[5, 3]; y: f[5, 3]; z: f[5, 3]"),
    ("CTCLoss(blank=3)", "m(log_softmax(x, 2), y, (6, 4), (3, 2))",
     "x: f[6, 2, 4]; y: i[2, 3]<3"),
    ("CTCLoss(3, \"sum\", zero_infinity=true)", "m(log_softmax(x, 2), y, (6, 1), (3, 2))",
     "x: f[6, 2, 4]; y: i[2, 3]<3"),
    ("AdaptiveLogSoftmaxWithLoss(8, 20, [5, 10], div_value=2.0)", "m(x, y)",
     "x: f[6, 8]; y: i[6]<20"),
    ("AdaptiveLogSoftmaxWithLoss(8, 12, [2, 4, 9], head_bias=true)", "m(x, y)",
     "x: f[8]; y: i[]<12"),
]

CASES += [
    ("CrossMapLRN2d(3)", "m(x)", "x: c[2, 5, 3, 2]"),
    ("CrossMapLRN2d(4, alpha=0.5, beta=0.6, k=2)", "m(x)", "x: c[2, 7, 3, 2]"),
    ("weight_norm(Linear(4, 5))", "m(x)", X),
    ("weight_norm(Linear(4, 5), dim=none)", "m(x)", X),
    ("weight_norm(Conv1d(3, 4, 2), \"weight\", dim=1)", "m(x)", "x: f[2, 3, 5]"),
    ("weight_norm(Linear(4, 5), name=\"bias\")", "m(x)", X),
    ("weight_norm(weight_norm(Linear(4, 5), name=\"bias\"))", "m(x)", X),
    ("spectral_norm(Linear(4, 5))", "m(x)", X),
    ("spectral_norm(Linear(4, 5), n_power_iterations=3)", "m.eval()(x)", X),
    ("spectral_norm(Linear(4, 5), name=\"bias\")", "m(x)", X),
    ("spectral_norm(ConvTranspose2d(4, 3, 2), n_power_iterations=2)", "m(x)", IMAGE),
    ("spectral_norm(weight_norm(Linear(4, 5)))", "m(x)", X),
    ("Sequential(weight_norm(Conv2d(4, 3, 2)), BatchNorm2d(3), ReLU())", "m.eval()(x)", IMAGE),
    ("orthogonal(Linear(4, 4))", "m(x)", X),
    ("orthogonal(Linear(4, 3), orthogonal_map=\"matrix_exp\")", "m(x)", X),
    ("orthogonal(Linear(4, 6), orthogonal_map=\"cayley\")", "m(x)", X),
    ("orthogonal(Linear(4, 4), use_trivialization=false)", "m(x)", X),
    ("orthogonal(Linear(4, 3), orthogonal_map=\"cayley\", use_trivialization=false)", "m(x)", X),
]

# Printed only: layers that cannot be called, or too large to be called here.
PRINTED = [
    "ModuleList([Linear(2, 3), Linear(2, 3), ReLU()])",
    "ModuleDict({\"a\": Linear(2, 3), \"b\": ReLU()})",
    "Sequential()", "ParameterList()", "ParameterDict()",
    "Sequential(Conv2d(3, 64, 7, stride=2, padding=3, bias=false), BatchNorm2d(64), "
    "ReLU(inplace=true), MaxPool2d(3, stride=2, padding=1))",
    "TransformerEncoder(TransformerEncoderLayer(512, 8), 6)",
    "Transformer()",
    "Sequential(ModuleList([ReLU(), ReLU()]), Sequential(), Identity())",
    "TransformerEncoderLayer(4, 2, 8, 0)", "TransformerEncoderLayer(4, 2, layer_norm_eps=1)",
    "TransformerDecoderLayer(4, 2, dropout=1, layer_norm_eps=0)", "Transformer(4, 2, 1, 1, 8, 0)",
    "Identity(54, unused_argument1=0.1, unused_argument2=false)",
    "SyncBatchNorm(3)", "SyncBatchNorm(3, 1, none, track_running_stats=false, bias=false)",
]
