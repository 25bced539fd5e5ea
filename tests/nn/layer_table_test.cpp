// Every layer's printed form and state against PyTorch's, made from the same call.
#include "nn/modules.h"
#include "nnm/base/literal.h"
#include "nnm/nn/layers.h"
#include "nnm/nn/repr.h"

using namespace nnm;
using namespace nnm::test;

TEST_SUITE_BEGIN("nn");

namespace {

// "Linear(4, 5, bias=False)" as a module.
Ref<Module> make(const std::string& call) {
  const size_t open = call.find('(');
  const std::string inside = call.substr(open + 1, call.size() - open - 2);
  Args args;
  int depth = 0;
  std::string piece;
  auto finish = [&] {
    const size_t equals = piece.find('=');
    if (equals == std::string::npos) {
      args.pos.push_back(parse_literal(piece));
    } else {
      const size_t start = piece.find_first_not_of(' ');
      args.kw.emplace_back(piece.substr(start, equals - start),
                           parse_literal(piece.substr(equals + 1)));
    }
    piece.clear();
  };
  for (const char c : inside) {
    depth += (c == '(' || c == '[') - (c == ')' || c == ']');
    if (c == ',' && depth == 0) finish();
    else piece += c;
  }
  if (!piece.empty()) finish();
  return Registry<Module>::make(call.substr(0, open), args);
}

std::string state_text(Module& m) {
  std::string out;
  for (const auto& [name, value] : m.state_dict()) {
    if (!out.empty()) out += "; ";
    out += name + " " + value.as<Tensor>().shape().str();
  }
  return out;
}

struct Expected {
  const char *call, *repr, *state;
};

// print(nn.CALL) and {k: v.shape for k, v in nn.CALL.state_dict().items()} of PyTorch 2.13.
constexpr Expected kExpected[] = {
    {"Linear(4, 5)", "Linear(in_features=4, out_features=5, bias=True)", "weight [5, 4]; bias [5]"},
    {"Linear(4, 5, bias=False)", "Linear(in_features=4, out_features=5, bias=False)",
     "weight [5, 4]"},
    {"Linear(in_features=3, out_features=2)", "Linear(in_features=3, out_features=2, bias=True)",
     "weight [2, 3]; bias [2]"},
    {"Bilinear(2, 3, 4)", "Bilinear(in1_features=2, in2_features=3, out_features=4, bias=True)",
     "weight [4, 2, 3]; bias [4]"},
    {"Bilinear(2, 3, 4, bias=False)",
     "Bilinear(in1_features=2, in2_features=3, out_features=4, bias=False)", "weight [4, 2, 3]"},
    {"Identity()", "Identity()", ""},
    {"Flatten()", "Flatten(start_dim=1, end_dim=-1)", ""},
    {"Flatten(0, 1)", "Flatten(start_dim=0, end_dim=1)", ""},
    {"Unflatten(1, (2, 3))", "Unflatten(dim=1, unflattened_size=(2, 3))", ""},
    {"Conv1d(3, 4, 3)", "Conv1d(3, 4, kernel_size=(3,), stride=(1,))",
     "weight [4, 3, 3]; bias [4]"},
    {"Conv1d(4, 4, 3, padding='same', groups=2)",
     "Conv1d(4, 4, kernel_size=(3,), stride=(1,), padding=same, groups=2)",
     "weight [4, 2, 3]; bias [4]"},
    {"Conv2d(3, 4, 3)", "Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1))",
     "weight [4, 3, 3, 3]; bias [4]"},
    {"Conv2d(3, 4, (3, 5), stride=2, padding=1, dilation=2, groups=1, bias=False, "
     "padding_mode='reflect')",
     "Conv2d(3, 4, kernel_size=(3, 5), stride=(2, 2), padding=(1, 1), dilation=(2, 2), bias=False, "
     "padding_mode=reflect)",
     "weight [4, 3, 3, 5]"},
    {"Conv2d(4, 4, 3, padding='same', groups=4)",
     "Conv2d(4, 4, kernel_size=(3, 3), stride=(1, 1), padding=same, groups=4)",
     "weight [4, 1, 3, 3]; bias [4]"},
    {"Conv2d(4, 4, 3, padding='valid')",
     "Conv2d(4, 4, kernel_size=(3, 3), stride=(1, 1), padding=valid)",
     "weight [4, 4, 3, 3]; bias [4]"},
    {"ConvTranspose2d(3, 4, 3, stride=2, output_padding=1)",
     "ConvTranspose2d(3, 4, kernel_size=(3, 3), stride=(2, 2), output_padding=(1, 1))",
     "weight [3, 4, 3, 3]; bias [4]"},
    {"ConvTranspose2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=2, bias=False)",
     "ConvTranspose2d(4, 6, kernel_size=(3, 2), stride=(2, 1), padding=(1, 0), dilation=(2, 2), "
     "bias=False)",
     "weight [4, 6, 3, 2]"},
    {"ConvTranspose1d(4, 6, 3, 2, 1, 1, 2, False, 2)",
     "ConvTranspose1d(4, 6, kernel_size=(3,), stride=(2,), padding=(1,), dilation=(2,), "
     "output_padding=(1,), groups=2, bias=False)",
     "weight [4, 3, 3]"},
    {"Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 2), padding=(0, 1))",
     "Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 2), padding=(0, 1))",
     "weight [8, 3, 3, 3]; bias [8]"},
    {"BatchNorm1d(4)",
     "BatchNorm1d(4, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)",
     "weight [4]; bias [4]; running_mean [4]; running_var [4]; num_batches_tracked []"},
    {"BatchNorm1d(3, eps=0.001, momentum=None, affine=False, track_running_stats=False)",
     "BatchNorm1d(3, eps=0.001, momentum=None, affine=False, bias=False, "
     "track_running_stats=False)",
     ""},
    {"BatchNorm2d(3)",
     "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)",
     "weight [3]; bias [3]; running_mean [3]; running_var [3]; num_batches_tracked []"},
    {"BatchNorm2d(3, 0.001, 0.8, True, False)",
     "BatchNorm2d(3, eps=0.001, momentum=0.8, affine=True, bias=True, track_running_stats=False)",
     "weight [3]; bias [3]"},
    {"BatchNorm2d(3, bias=False)",
     "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, bias=False, track_running_stats=True)",
     "weight [3]; running_mean [3]; running_var [3]; num_batches_tracked []"},
    {"InstanceNorm2d(3)",
     "InstanceNorm2d(3, eps=1e-05, momentum=0.1, affine=False, bias=False, "
     "track_running_stats=False)",
     ""},
    {"InstanceNorm2d(3, affine=True, track_running_stats=True)",
     "InstanceNorm2d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)",
     "weight [3]; bias [3]; running_mean [3]; running_var [3]; num_batches_tracked []"},
    {"LayerNorm(5)", "LayerNorm((5,), eps=1e-05, elementwise_affine=True, bias=True)",
     "weight [5]; bias [5]"},
    {"LayerNorm((2, 3), elementwise_affine=False)",
     "LayerNorm((2, 3), eps=1e-05, elementwise_affine=False, bias=False)", ""},
    {"LayerNorm(5, bias=False)", "LayerNorm((5,), eps=1e-05, elementwise_affine=True, bias=False)",
     "weight [5]"},
    {"LayerNorm([2, 5], 0.001)", "LayerNorm((2, 5), eps=0.001, elementwise_affine=True, bias=True)",
     "weight [2, 5]; bias [2, 5]"},
    {"GroupNorm(2, 4)", "GroupNorm(2, 4, eps=1e-05, affine=True, bias=True)",
     "weight [4]; bias [4]"},
    {"GroupNorm(1, 4, 0.001, False)", "GroupNorm(1, 4, eps=0.001, affine=False, bias=False)", ""},
    {"RMSNorm(4)", "RMSNorm((4,), eps=None, elementwise_affine=True)", "weight [4]"},
    {"RMSNorm((2, 3), eps=1e-6, elementwise_affine=False)",
     "RMSNorm((2, 3), eps=1e-06, elementwise_affine=False)", ""},
    {"Embedding(10, 3)", "Embedding(10, 3)", "weight [10, 3]"},
    {"Embedding(10, 3, padding_idx=-1)", "Embedding(10, 3, padding_idx=9)", "weight [10, 3]"},
    {"Embedding(10, 3, padding_idx=0, max_norm=1.0, scale_grad_by_freq=True)",
     "Embedding(10, 3, padding_idx=0, max_norm=1.0, scale_grad_by_freq=True)", "weight [10, 3]"},
    {"Dropout()", "Dropout(p=0.5, inplace=False)", ""},
    {"Dropout(0.1, True)", "Dropout(p=0.1, inplace=True)", ""},
    {"Dropout(p=0)", "Dropout(p=0, inplace=False)", ""},
    {"Dropout1d()", "Dropout1d(p=0.5, inplace=False)", ""},
    {"Dropout2d(0.3)", "Dropout2d(p=0.3, inplace=False)", ""},
    {"MaxPool1d(2)", "MaxPool1d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)",
     ""},
    {"MaxPool1d(3, stride=2, padding=1)",
     "MaxPool1d(kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=False)", ""},
    {"MaxPool2d(2)", "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)",
     ""},
    {"MaxPool2d(3, stride=2, padding=1, ceil_mode=True)",
     "MaxPool2d(kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=True)", ""},
    {"MaxPool2d((3, 2), stride=(2, 1))",
     "MaxPool2d(kernel_size=(3, 2), stride=(2, 1), padding=0, dilation=1, ceil_mode=False)", ""},
    {"MaxPool2d(2, return_indices=True)",
     "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)", ""},
    {"AvgPool1d(2)", "AvgPool1d(kernel_size=(2,), stride=(2,), padding=(0,))", ""},
    {"AvgPool2d(2)", "AvgPool2d(kernel_size=2, stride=2, padding=0)", ""},
    {"AvgPool2d(3, 2, 1)", "AvgPool2d(kernel_size=3, stride=2, padding=1)", ""},
    {"AdaptiveAvgPool1d(3)", "AdaptiveAvgPool1d(output_size=3)", ""},
    {"AdaptiveAvgPool2d(1)", "AdaptiveAvgPool2d(output_size=1)", ""},
    {"AdaptiveAvgPool2d((1, None))", "AdaptiveAvgPool2d(output_size=(1, None))", ""},
    {"AdaptiveAvgPool2d((3, 4))", "AdaptiveAvgPool2d(output_size=(3, 4))", ""},
    {"AdaptiveMaxPool2d(3)", "AdaptiveMaxPool2d(output_size=3)", ""},
    {"ReLU()", "ReLU()", ""},
    {"ReLU(inplace=True)", "ReLU(inplace=True)", ""},
    {"ReLU6()", "ReLU6()", ""},
    {"ReLU6(True)", "ReLU6(inplace=True)", ""},
    {"LeakyReLU()", "LeakyReLU(negative_slope=0.01)", ""},
    {"LeakyReLU(0.2, inplace=True)", "LeakyReLU(negative_slope=0.2, inplace=True)", ""},
    {"LeakyReLU(1)", "LeakyReLU(negative_slope=1)", ""},
    {"ELU()", "ELU(alpha=1.0)", ""},
    {"ELU(alpha=2.0)", "ELU(alpha=2.0)", ""},
    {"CELU()", "CELU(alpha=1.0)", ""},
    {"SELU()", "SELU()", ""},
    {"SELU(inplace=True)", "SELU(inplace=True)", ""},
    {"GELU()", "GELU(approximate='none')", ""},
    {"GELU('tanh')", "GELU(approximate='tanh')", ""},
    {"SiLU()", "SiLU()", ""},
    {"SiLU(inplace=True)", "SiLU(inplace=True)", ""},
    {"Mish()", "Mish()", ""},
    {"Sigmoid()", "Sigmoid()", ""},
    {"LogSigmoid()", "LogSigmoid()", ""},
    {"Tanh()", "Tanh()", ""},
    {"Softplus()", "Softplus(beta=1.0, threshold=20.0)", ""},
    {"Softplus(2, 10)", "Softplus(beta=2, threshold=10)", ""},
    {"Softsign()", "Softsign()", ""},
    {"Softshrink()", "Softshrink(0.5)", ""},
    {"Softshrink(1)", "Softshrink(1)", ""},
    {"Hardshrink()", "Hardshrink(0.5)", ""},
    {"Hardtanh()", "Hardtanh(min_val=-1.0, max_val=1.0)", ""},
    {"Hardtanh(-2, 2, inplace=True)", "Hardtanh(min_val=-2, max_val=2, inplace=True)", ""},
    {"Hardswish()", "Hardswish()", ""},
    {"Hardswish(inplace=True)", "Hardswish()", ""},
    {"Hardsigmoid()", "Hardsigmoid()", ""},
    {"Hardsigmoid(inplace=True)", "Hardsigmoid()", ""},
    {"Tanhshrink()", "Tanhshrink()", ""},
    {"Threshold(0.1, 20)", "Threshold(threshold=0.1, value=20)", ""},
    {"Threshold(1, 2.0, True)", "Threshold(threshold=1, value=2.0, inplace=True)", ""},
    {"PReLU()", "PReLU(num_parameters=1)", "weight [1]"},
    {"PReLU(3)", "PReLU(num_parameters=3)", "weight [3]"},
    {"GLU()", "GLU(dim=-1)", ""},
    {"GLU(1)", "GLU(dim=1)", ""},
    {"Softmax()", "Softmax(dim=None)", ""},
    {"Softmax(dim=1)", "Softmax(dim=1)", ""},
    {"LogSoftmax(dim=-1)", "LogSoftmax(dim=-1)", ""},
    {"Softmin(1)", "Softmin(dim=1)", ""},
    {"Softmax2d()", "Softmax2d()", ""},
    {"CrossEntropyLoss()", "CrossEntropyLoss()", ""},
    {"CrossEntropyLoss(ignore_index=1, reduction='sum', label_smoothing=0.1)", "CrossEntropyLoss()",
     ""},
    {"LinearCrossEntropyLoss(5, 10, out_features=(4, 3))",
     "LinearCrossEntropyLoss(\n  in_features=5, num_classes=10, out_features=(4, 3), bias=False, "
     "reduction=mean, ignore_index=None, label_smoothing=0.0, options=None\n  (linear): "
     "Linear(in_features=5, out_features=120, bias=False)\n)",
     "linear.weight [120, 5]"},
    {"MSELoss()", "MSELoss()", ""},
    {"L1Loss(reduction='sum')", "L1Loss()", ""},
    {"SmoothL1Loss(beta=0.5)", "SmoothL1Loss()", ""},
    {"HuberLoss(delta=2.0)", "HuberLoss()", ""},
    {"BCELoss()", "BCELoss()", ""},
    {"BCEWithLogitsLoss()", "BCEWithLogitsLoss()", ""},
    {"NLLLoss()", "NLLLoss()", ""},
    {"KLDivLoss(reduction='batchmean', log_target=True)", "KLDivLoss()", ""},
    {"MultiheadAttention(8, 2)",
     "MultiheadAttention(\n  (out_proj): NonDynamicallyQuantizableLinear(in_features=8, "
     "out_features=8, bias=True)\n)",
     "in_proj_weight [24, 8]; in_proj_bias [24]; out_proj.weight [8, 8]; out_proj.bias [8]"},
    {"MultiheadAttention(8, 2, bias=False, add_bias_kv=True, kdim=3, vdim=5)",
     "MultiheadAttention(\n  (out_proj): NonDynamicallyQuantizableLinear(in_features=8, "
     "out_features=8, bias=False)\n)",
     "q_proj_weight [8, 8]; k_proj_weight [8, 3]; v_proj_weight [8, 5]; bias_k [1, 1, 8]; bias_v "
     "[1, 1, 8]; out_proj.weight [8, 8]"},
    {"RNN(3, 4)", "RNN(3, 4)",
     "weight_ih_l0 [4, 3]; weight_hh_l0 [4, 4]; bias_ih_l0 [4]; bias_hh_l0 [4]"},
    {"RNN(3, 4, 2, 'relu', bias=False)", "RNN(3, 4, num_layers=2, bias=False)",
     "weight_ih_l0 [4, 3]; weight_hh_l0 [4, 4]; weight_ih_l1 [4, 4]; weight_hh_l1 [4, 4]"},
    {"GRU(3, 4)", "GRU(3, 4)",
     "weight_ih_l0 [12, 3]; weight_hh_l0 [12, 4]; bias_ih_l0 [12]; bias_hh_l0 [12]"},
    {"GRU(3, 4, bidirectional=True)", "GRU(3, 4, bidirectional=True)",
     "weight_ih_l0 [12, 3]; weight_hh_l0 [12, 4]; bias_ih_l0 [12]; bias_hh_l0 [12]; "
     "weight_ih_l0_reverse [12, 3]; weight_hh_l0_reverse [12, 4]; bias_ih_l0_reverse [12]; "
     "bias_hh_l0_reverse [12]"},
    {"LSTM(3, 4, proj_size=2)", "LSTM(3, 4, proj_size=2)",
     "weight_ih_l0 [16, 3]; weight_hh_l0 [16, 2]; bias_ih_l0 [16]; bias_hh_l0 [16]; weight_hr_l0 "
     "[2, 4]"},
    {"LSTM(3, 4, 2, batch_first=True, dropout=0.1, bidirectional=True, bias=False)",
     "LSTM(3, 4, num_layers=2, bias=False, batch_first=True, dropout=0.1, bidirectional=True)",
     "weight_ih_l0 [16, 3]; weight_hh_l0 [16, 4]; weight_ih_l0_reverse [16, 3]; "
     "weight_hh_l0_reverse [16, 4]; weight_ih_l1 [16, 8]; weight_hh_l1 [16, 4]; "
     "weight_ih_l1_reverse [16, 8]; weight_hh_l1_reverse [16, 4]"},
    {"ZeroPad1d(1)", "ZeroPad1d((1, 1))", ""},
    {"ZeroPad2d(1)", "ZeroPad2d((1, 1, 1, 1))", ""},
    {"ZeroPad2d((1, 2, 3, 4))", "ZeroPad2d((1, 2, 3, 4))", ""},
    {"ConstantPad1d(2, 3)", "ConstantPad1d(padding=(2, 2), value=3)", ""},
    {"ConstantPad2d(1, 3.5)", "ConstantPad2d(padding=(1, 1, 1, 1), value=3.5)", ""},
    {"ReflectionPad1d(2)", "ReflectionPad1d((2, 2))", ""},
    {"ReflectionPad2d((1, 2, 3, 4))", "ReflectionPad2d((1, 2, 3, 4))", ""},
    {"ReplicationPad1d(2)", "ReplicationPad1d((2, 2))", ""},
    {"ReplicationPad2d(1)", "ReplicationPad2d((1, 1, 1, 1))", ""},
    {"CircularPad1d(1)", "CircularPad1d((1, 1))", ""},
    {"CircularPad2d(1)", "CircularPad2d((1, 1, 1, 1))", ""},
    {"PixelShuffle(2)", "PixelShuffle(upscale_factor=2)", ""},
    {"PixelUnshuffle(2)", "PixelUnshuffle(downscale_factor=2)", ""},
    {"CosineSimilarity()", "CosineSimilarity()", ""},
    {"CosineSimilarity(dim=0)", "CosineSimilarity()", ""},
    {"PairwiseDistance()", "PairwiseDistance()", ""},
    {"Sequential()", "Sequential()", ""},
    {"ModuleList()", "ModuleList()", ""},
    {"ModuleDict()", "ModuleDict()", ""},
    {"ParameterList()", "ParameterList()", ""},
    {"ParameterDict()", "ParameterDict()", ""},
};

}  // namespace

TEST_CASE("layers print as PyTorch's and have its state") {
  const Warnings warnings;
  for (const Expected& e : kExpected) {
    CAPTURE(e.call);
    const Ref<Module> m = make(e.call);
    CHECK(m->repr() == e.repr);
    CHECK(full_type_name(*m).starts_with("torch.nn.modules."));
    CHECK(state_text(*m) == e.state);
  }
}

TEST_CASE("a layer's full name is torch.typename's") {
  constexpr const char* kNames[][2] = {
      {"GELU()", "torch.nn.modules.activation.GELU"},
      {"BatchNorm2d(3)", "torch.nn.modules.batchnorm.BatchNorm2d"},
      {"ModuleList()", "torch.nn.modules.container.ModuleList"},
      {"Conv1d(3, 4, 3)", "torch.nn.modules.conv.Conv1d"},
      {"CosineSimilarity()", "torch.nn.modules.distance.CosineSimilarity"},
      {"Dropout2d()", "torch.nn.modules.dropout.Dropout2d"},
      {"Unflatten(1, (2, 3))", "torch.nn.modules.flatten.Unflatten"},
      {"InstanceNorm2d(3)", "torch.nn.modules.instancenorm.InstanceNorm2d"},
      {"Linear(1, 1)", "torch.nn.modules.linear.Linear"},
      {"MSELoss()", "torch.nn.modules.loss.MSELoss"},
      {"LayerNorm(5)", "torch.nn.modules.normalization.LayerNorm"},
      {"ZeroPad2d(1)", "torch.nn.modules.padding.ZeroPad2d"},
      {"PixelShuffle(2)", "torch.nn.modules.pixelshuffle.PixelShuffle"},
      {"MaxPool2d(2)", "torch.nn.modules.pooling.MaxPool2d"},
      {"LSTM(3, 4)", "torch.nn.modules.rnn.LSTM"},
      {"Embedding(3, 2)", "torch.nn.modules.sparse.Embedding"}};
  for (const auto& [call, name] : kNames) CHECK(full_type_name(*make(call)) == name);
  struct Linear : Module {};
  CHECK(full_type_name(Linear()) == "Linear");
}

TEST_SUITE_END();
