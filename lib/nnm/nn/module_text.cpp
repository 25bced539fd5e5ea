// How modules print.
#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <typeinfo>

#include "nnm/nn/module.h"
#include "nnm/nn/repr.h"

namespace nnm {

namespace {

/// "Net" of "void f<int>()::Net<a::B>": the last part, without its template arguments.
std::string bare_name(const std::string& demangled) {
  size_t end = demangled.size(), begin = end;
  for (int depth = 0; begin > 0; --begin) {
    const char c = demangled[begin - 1];
    if (c == '>') ++depth;
    if (c == '<' && --depth == 0) end = begin - 1;
    if (c == ':' && depth == 0) break;
  }
  return demangled.substr(begin, end - begin);
}

// torch.nn.modules' files and their classes, as far as there are such layers here; a test looks for
// each of the registry.
struct TorchFile {
  std::string_view file, classes;
};
constexpr TorchFile kTorchFiles[] = {
    {"activation",
     " CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU "
     "LogSigmoid LogSoftmax Mish MultiheadAttention PReLU RReLU ReLU ReLU6 SELU SiLU "
     "Sigmoid Softmax Softmax2d Softmin Softplus Softshrink Softsign Tanh Tanhshrink "
     "Threshold "},
    {"adaptive", " AdaptiveLogSoftmaxWithLoss "},
    {"batchnorm", " BatchNorm1d BatchNorm2d BatchNorm3d SyncBatchNorm "},
    {"channelshuffle", " ChannelShuffle "},
    {"container", " Sequential ModuleList ModuleDict ParameterList ParameterDict "},
    {"conv", " Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d "},
    {"distance", " CosineSimilarity PairwiseDistance "},
    {"dropout", " AlphaDropout Dropout Dropout1d Dropout2d Dropout3d FeatureAlphaDropout "},
    {"flatten", " Flatten Unflatten "},
    {"fold", " Fold Unfold "},
    {"instancenorm", " InstanceNorm1d InstanceNorm2d InstanceNorm3d "},
    {"linear", " Bilinear Identity Linear NonDynamicallyQuantizableLinear "},
    {"loss",
     " BCELoss BCEWithLogitsLoss CTCLoss CosineEmbeddingLoss CrossEntropyLoss "
     "GaussianNLLLoss HingeEmbeddingLoss HuberLoss KLDivLoss L1Loss LinearCrossEntropyLoss "
     "MSELoss MarginRankingLoss MultiLabelMarginLoss MultiLabelSoftMarginLoss MultiMarginLoss "
     "NLLLoss PoissonNLLLoss SmoothL1Loss SoftMarginLoss TripletMarginLoss "
     "TripletMarginWithDistanceLoss "},
    {"normalization", " CrossMapLRN2d GroupNorm LayerNorm LocalResponseNorm RMSNorm "},
    {"padding",
     " CircularPad1d CircularPad2d CircularPad3d ConstantPad1d ConstantPad2d "
     "ConstantPad3d ReflectionPad1d ReflectionPad2d ReflectionPad3d ReplicationPad1d "
     "ReplicationPad2d ReplicationPad3d ZeroPad1d ZeroPad2d ZeroPad3d "},
    {"pixelshuffle", " PixelShuffle PixelUnshuffle "},
    {"pooling",
     " AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d "
     "AdaptiveMaxPool2d AdaptiveMaxPool3d AvgPool1d AvgPool2d AvgPool3d "
     "FractionalMaxPool2d FractionalMaxPool3d LPPool1d LPPool2d LPPool3d MaxPool1d MaxPool2d "
     "MaxPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d "},
    {"rnn", " GRU GRUCell LSTM LSTMCell RNN RNNCell "},
    {"sparse", " Embedding EmbeddingBag "},
    {"transformer",
     " Transformer TransformerDecoder TransformerDecoderLayer TransformerEncoder "
     "TransformerEncoderLayer "},
    {"upsampling", " Upsample UpsamplingBilinear2d UpsamplingNearest2d "}};

std::string demangled(const Module& m) {
  int status = 0;
  char* text = abi::__cxa_demangle(typeid(m).name(), nullptr, nullptr, &status);
  std::string name = status == 0 ? text : typeid(m).name();
  std::free(text);
  return name;
}

}  // namespace

std::string Module::type_name() const {
  const bool parametrized = std::any_of(computed_.begin(), computed_.end(), [](const auto& s) {
    return s->source && s->source->is_parametrization();
  });
  return (parametrized ? "Parametrized" : "") + bare_name(demangled(*this));
}

std::string full_type_name(const Module& m) {
  std::string name = m.type_name();
  if (!demangled(m).starts_with("nnm::nn::")) return name;
  for (const TorchFile& f : kTorchFiles) {
    if (f.classes.find(" " + name + " ") != std::string_view::npos)
      return fmt::format("torch.nn.modules.{}.{}", f.file, name);
  }
  return name;
}

std::string indented(const std::string& text) {
  std::string out;
  for (const char c : text) {
    out += c;
    if (c == '\n') out += "  ";
  }
  return out;
}

std::string arguments_text(const Signature& signature, const Values& values,
                           std::initializer_list<std::string_view> names) {
  std::string out;
  for (std::string_view name : names) {
    const bool bare = name.starts_with('='), if_changed = name.ends_with('?');
    name = name.substr(bare ? 1 : 0, name.size() - (bare ? 1 : 0) - (if_changed ? 1 : 0));
    const auto i = static_cast<size_t>(signature.index_of(name));
    const std::optional<Value>& fallback = signature.params()[i].fallback;
    if (if_changed && fallback && values[i] == *fallback) continue;
    if (!out.empty()) out += ", ";
    if (!bare) out.append(name).append("=");
    out += values[i].repr();
  }
  return out;
}

std::string Module::repr() const {
  const std::string extra = extra_repr();
  if (modules_.empty() && extra.find('\n') == std::string::npos) {
    return type_name() + "(" + extra + ")";
  }
  std::string out = type_name() + "(\n";
  if (!extra.empty()) out += "  " + indented(extra) + "\n";
  for (const auto& slot : modules_) {
    const std::string child = slot->value ? indented(slot->value->repr()) : "None";
    out += fmt::format("  ({}): {}\n", slot->name, child);
  }
  return out + ")";
}

std::string str(std::span<const Ref<ModuleSlot>> modules) {
  Items out;
  for (const auto& slot : modules) out.emplace_back(slot->name, slot->value);
  return Value::dict(std::move(out)).repr();
}

}  // namespace nnm
