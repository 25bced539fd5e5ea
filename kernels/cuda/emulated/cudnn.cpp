// The emulated cuDNN.
#include "kernels/cuda/emulated/cudnn.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "kernels/cuda/emulated/runtime.h"
#include "kernels/half.h"

using namespace nnm::cuda::dnn;

struct nnm::cuda::dnn::cudnnContext {
  bool streamed = false;
};

namespace {

struct Value {
  int type;
  int64_t count;
  std::vector<char> bytes;
};

struct Entity {
  int kind;
  bool finished = false;
  std::map<int, Value> values;
  int engine = -1;  ///< of an engine and its configuration

  template <class T>
  T get(int attribute, int64_t at = 0) const {
    T out;
    std::memcpy(&out, values.at(attribute).bytes.data() + at * static_cast<int64_t>(sizeof(T)),
                sizeof(T));
    return out;
  }
  const Entity& part(int attribute) const {
    return *static_cast<const Entity*>(get<Descriptor>(attribute));
  }
  std::array<int64_t, 4> four(int attribute) const {
    return {get<int64_t>(attribute, 0), get<int64_t>(attribute, 1), get<int64_t>(attribute, 2),
            get<int64_t>(attribute, 3)};
  }
};

constexpr int64_t kAny = -1;
/// What an attribute takes: a descriptor of which kind, how many values.
struct Rule {
  int kind, attribute, type;
  int64_t count;
  int part = 0;
};
constexpr Rule kRules[] = {{kConvolution, kConvolutionComputeType, kDataType, 1},
                           {kConvolution, kConvolutionConvMode, kConvolutionMode, 1},
                           {kConvolution, kConvolutionDilations, kInt64, 2},
                           {kConvolution, kConvolutionStrides, kInt64, 2},
                           {kConvolution, kConvolutionPostPaddings, kInt64, 2},
                           {kConvolution, kConvolutionPrePaddings, kInt64, 2},
                           {kConvolution, kConvolutionSpatialDims, kInt64, 1},
                           {kHeuristic, kHeuristicsMode, kHeuristicType, 1},
                           {kHeuristic, kHeuristicGraph, kDescriptor, 1, kGraph},
                           {kPlan, kPlanHandle, kHandleType, 1},
                           {kPlan, kPlanEngineConfig, kDescriptor, 1, kEngineConfig},
                           {kForward, kForwardAlpha, kFloat, 1},
                           {kForward, kForwardBeta, kFloat, 1},
                           {kForward, kForwardConvolution, kDescriptor, 1, kConvolution},
                           {kForward, kForwardW, kDescriptor, 1, kTensor},
                           {kForward, kForwardX, kDescriptor, 1, kTensor},
                           {kForward, kForwardY, kDescriptor, 1, kTensor},
                           {kBackwardData, kDataAlpha, kFloat, 1},
                           {kBackwardData, kDataBeta, kFloat, 1},
                           {kBackwardData, kDataConvolution, kDescriptor, 1, kConvolution},
                           {kBackwardData, kDataW, kDescriptor, 1, kTensor},
                           {kBackwardData, kDataDx, kDescriptor, 1, kTensor},
                           {kBackwardData, kDataDy, kDescriptor, 1, kTensor},
                           {kBackwardFilter, kFilterAlpha, kFloat, 1},
                           {kBackwardFilter, kFilterBeta, kFloat, 1},
                           {kBackwardFilter, kFilterConvolution, kDescriptor, 1, kConvolution},
                           {kBackwardFilter, kFilterDw, kDescriptor, 1, kTensor},
                           {kBackwardFilter, kFilterX, kDescriptor, 1, kTensor},
                           {kBackwardFilter, kFilterDy, kDescriptor, 1, kTensor},
                           {kGraph, kGraphHandle, kHandleType, 1},
                           {kGraph, kGraphOperations, kDescriptor, 1, kAny},
                           {kTensor, kTensorAlignment, kInt64, 1},
                           {kTensor, kTensorDataType, kDataType, 1},
                           {kTensor, kTensorDimensions, kInt64, 4},
                           {kTensor, kTensorStrides, kInt64, 4},
                           {kTensor, kTensorUniqueId, kInt64, 1},
                           {kVariantPack, kVariantPackIds, kInt64, 3},
                           {kVariantPack, kVariantPackPointers, kPointer, 3},
                           {kVariantPack, kVariantPackWorkspace, kPointer, 1}};

size_t bytes_of(int type) {
  switch (type) {
    case kHandleType:
    case kInt64:
    case kPointer:
    case kDescriptor: return 8;
    default: return 4;
  }
}

/// In the order in which the heuristics name them: all but the last two are none for the plug-in.
struct Engine {
  int index;
  std::vector<int> numbers, behavior;
  int64_t workspace;
  bool finishes = true;
};
const std::vector<Engine>& engines() {
  static const std::vector<Engine> all = {{20, {kNondeterministic}, {}, 0},
                                          {25, {kTensorCore, kReducedPrecisionReduction}, {}, 0},
                                          {501, {kTensorCore}, {kRuntimeCompilation}, 0},
                                          {67, {kTensorCore, kDownConvertInputs}, {}, 0},
                                          {30, {kWinograd}, {}, 0},
                                          {31, {kFft}, {}, 0},
                                          {32, {}, {kCublasLtDependency}, 0},
                                          {40, {}, {}, 0, false},
                                          {41, {}, {}, int64_t{1} << 40},
                                          {62, {kTensorCore, 99}, {99}, 48},
                                          {1, {}, {}, 0}};
  return all;
}

bool refuses(const char* what) {
  const char* text = std::getenv("NNM_EMULATED_DNN_REFUSES");
  return text && std::strcmp(text, what) == 0;
}

/// A convolution out of an operation's descriptors.
struct Case {
  int kind;
  const Entity *conv, *x, *w, *y;

  explicit Case(const Entity& op) : kind(op.kind) {
    const bool forward = kind == kForward, data = kind == kBackwardData;
    conv = &op.part(forward ? +kForwardConvolution
                    : data  ? +kDataConvolution
                            : +kFilterConvolution);
    x = &op.part(forward ? +kForwardX : data ? +kDataDx : +kFilterX);
    w = &op.part(forward ? +kForwardW : data ? +kDataW : +kFilterDw);
    y = &op.part(forward ? +kForwardY : data ? +kDataDy : +kFilterDy);
    factors = {op.get<float>(forward ? +kForwardAlpha
                             : data  ? +kDataAlpha
                                     : +kFilterAlpha),
               op.get<float>(forward ? +kForwardBeta
                             : data  ? +kDataBeta
                                     : +kFilterBeta)};
  }
  std::array<float, 2> factors;

  bool fits() const {
    const auto in = x->four(kTensorDimensions), weights = w->four(kTensorDimensions),
               out = y->four(kTensorDimensions);
    bool good = in[0] == out[0] && weights[0] == out[1] && in[1] % weights[1] == 0 &&
                out[1] % (in[1] / weights[1]) == 0 && factors == std::array{1.0f, 0.0f};
    for (int i = 0; i < 2; ++i) {
      const int64_t room = in[2 + i] + conv->get<int64_t>(kConvolutionPrePaddings, i) +
                           conv->get<int64_t>(kConvolutionPostPaddings, i) -
                           conv->get<int64_t>(kConvolutionDilations, i) * (weights[2 + i] - 1) - 1;
      good =
          good && room >= 0 && room / conv->get<int64_t>(kConvolutionStrides, i) + 1 == out[2 + i];
    }
    const int type = x->get<int>(kTensorDataType);
    return good && w->get<int>(kTensorDataType) == type && y->get<int>(kTensorDataType) == type;
  }
};

bool complete(const Entity& e) {
  for (const Rule& rule : kRules)
    if (rule.kind == e.kind && !e.values.contains(rule.attribute)) return false;
  switch (e.kind) {
    case kConvolution:
      return e.get<int>(kConvolutionComputeType) == kDataFloat &&
             e.get<int>(kConvolutionConvMode) == kCrossCorrelation &&
             e.get<int64_t>(kConvolutionSpatialDims) == 2;
    case kForward:
    case kBackwardData:
    case kBackwardFilter: return Case(e).fits();
    case kHeuristic: return e.get<int>(kHeuristicsMode) == kModeA && !refuses("plan");
    case kPlan: return engines()[static_cast<size_t>(e.part(kPlanEngineConfig).engine)].finishes;
    default: return true;
  }
}

double load_element(const void* p, int64_t i, int type) {
  switch (type) {
    case kDataHalf: return static_cast<float>(static_cast<const nnm::Half*>(p)[i]);
    case kDataBFloat16: return static_cast<float>(static_cast<const nnm::BFloat16*>(p)[i]);
    default: return static_cast<const float*>(p)[i];
  }
}
void store_element(void* p, int64_t i, int type, double v) {
  const auto f = static_cast<float>(v);
  switch (type) {
    case kDataHalf: static_cast<nnm::Half*>(p)[i] = nnm::Half(f); break;
    case kDataBFloat16: static_cast<nnm::BFloat16*>(p)[i] = nnm::BFloat16(f); break;
    default: static_cast<float*>(p)[i] = f;
  }
}

/// A tensor with its memory, and the sums that become it where it is written.
struct Operand {
  std::array<int64_t, 4> size, stride;
  int type;
  void* data;
  std::vector<double> sums;

  Operand(const Entity& e, void* p)
      : size(e.four(kTensorDimensions)),
        stride(e.four(kTensorStrides)),
        type(e.get<int>(kTensorDataType)),
        data(p) {}
  int64_t elements() const { return size[0] * size[1] * size[2] * size[3]; }
  int64_t at(int64_t i, int64_t j, int64_t k, int64_t l) const {
    return i * stride[0] + j * stride[1] + k * stride[2] + l * stride[3];
  }
  double value(int64_t i) const { return load_element(data, i, type); }
  void begin() { sums.assign(static_cast<size_t>(elements()), 0); }
  void end() const {
    for (int64_t i = 0; i < elements(); ++i)
      store_element(data, i, type, sums[static_cast<size_t>(i)]);
  }
};

struct Convolving {
  int kind;
  Operand x, w, y;
  std::array<int64_t, 2> stride, dilation, before;

  /// Calls f(place in x, in w, in y) for every product of a sum.
  template <class F>
  void each_product(const F& f) const {
    const int64_t groups = x.size[1] / w.size[1], outputs = y.size[1] / groups;
    for (int64_t n = 0; n < y.size[0]; ++n)
      for (int64_t o = 0; o < y.size[1]; ++o)
        for (int64_t oy = 0; oy < y.size[2]; ++oy)
          for (int64_t ox = 0; ox < y.size[3]; ++ox)
            for (int64_t c = 0; c < w.size[1]; ++c)
              for (int64_t ky = 0; ky < w.size[2]; ++ky)
                for (int64_t kx = 0; kx < w.size[3]; ++kx) {
                  const int64_t iy = oy * stride[0] + ky * dilation[0] - before[0],
                                ix = ox * stride[1] + kx * dilation[1] - before[1];
                  if (iy < 0 || ix < 0 || iy >= x.size[2] || ix >= x.size[3]) continue;
                  f(x.at(n, o / outputs * w.size[1] + c, iy, ix), w.at(o, c, ky, kx),
                    y.at(n, o, oy, ox));
                }
  }
  void run() {
    Operand& out = kind == kForward ? y : kind == kBackwardData ? x : w;
    out.begin();
    each_product([&](int64_t i, int64_t j, int64_t k) {
      if (kind == kForward) y.sums[static_cast<size_t>(k)] += x.value(i) * w.value(j);
      if (kind == kBackwardData) x.sums[static_cast<size_t>(i)] += w.value(j) * y.value(k);
      if (kind == kBackwardFilter) w.sums[static_cast<size_t>(j)] += x.value(i) * y.value(k);
    });
    out.end();
  }
};

std::string words(const std::vector<int64_t>& values) {
  std::string out;
  for (const int64_t v : values) out += " " + std::to_string(v);
  return out;
}

void log_case(const Case& c, const Engine& engine) {
  const char* path = std::getenv("NNM_EMULATED_DNN_LOG");
  std::FILE* f = path && *path ? std::fopen(path, "a") : nullptr;
  if (!f) return;
  std::string line = c.kind == kForward ? "forward" : c.kind == kBackwardData ? "data" : "filter";
  line += " type" + words({c.x->get<int>(kTensorDataType)});
  for (const auto& [name, tensor] : {std::pair{", x", c.x}, {", w", c.w}, {", y", c.y}}) {
    const auto size = tensor->four(kTensorDimensions), stride = tensor->four(kTensorStrides);
    line +=
        name + words({size.begin(), size.end()}) + " by" + words({stride.begin(), stride.end()});
  }
  for (const auto& [name, what] : {std::pair{", stride", kConvolutionStrides},
                                   {", dilation", kConvolutionDilations},
                                   {", before", kConvolutionPrePaddings},
                                   {", after", kConvolutionPostPaddings}})
    line += name + words({c.conv->get<int64_t>(what, 0), c.conv->get<int64_t>(what, 1)});
  std::fprintf(f, "%s, engine %d\n", line.c_str(), engine.index);
  std::fclose(f);
}

int answer(const std::vector<int>& notes, int64_t wanted, int64_t* count, void* values) {
  *count = static_cast<int64_t>(notes.size());
  if (wanted < *count) return kBadParam;
  if (!notes.empty()) std::memcpy(values, notes.data(), notes.size() * sizeof(int));
  return kSuccess;
}

/// Of the heuristics: how many engines there are, or these as the caller's configurations, which
/// keep the graph that they are for.
int results(const Entity& heuristic, int64_t wanted, int64_t* count, void* values) {
  const auto all = static_cast<int64_t>(engines().size());
  *count = wanted == 0 ? all : std::min(wanted, all);
  for (int64_t i = 0; i < std::min(wanted, all); ++i) {
    Entity& config = *static_cast<Entity**>(values)[i];
    if (config.kind != kEngineConfig) return kBadParam;
    config.engine = static_cast<int>(i);
    config.values[kHeuristicGraph] = heuristic.values.at(kHeuristicGraph);
    config.finished = true;
  }
  return kSuccess;
}

}  // namespace

size_t cudnnGetVersion() { return 91900; }
size_t cudnnGetCudartVersion() { return 13000; }

int cudnnCreate(Handle* handle) {
  *handle = new cudnnContext;
  return kSuccess;
}

int cudnnSetStream(Handle handle, void*) {
  handle->streamed = true;
  return kSuccess;
}

int cudnnBackendCreateDescriptor(int kind, Descriptor* descriptor) {
  *descriptor = new Entity{kind, false, {}, -1};
  return kSuccess;
}

int cudnnBackendDestroyDescriptor(Descriptor descriptor) {
  delete static_cast<Entity*>(descriptor);
  return kSuccess;
}

int cudnnBackendFinalize(Descriptor descriptor) {
  auto& e = *static_cast<Entity*>(descriptor);
  if (e.finished) return kBadParam;
  e.finished = complete(e);
  return e.finished ? kSuccess : kNotSupported;
}

int cudnnBackendSetAttribute(Descriptor descriptor, int attribute, int type, int64_t count,
                             const void* values) {
  auto& e = *static_cast<Entity*>(descriptor);
  if (e.finished) return kBadParam;
  for (const Rule& rule : kRules) {
    if (rule.kind != e.kind || rule.attribute != attribute) continue;
    if (rule.type != type || rule.count != count) return kBadParam;
    if (type == kDescriptor) {
      const Entity& part = **static_cast<Entity* const*>(values);
      if (!part.finished || (rule.part != kAny && rule.part != part.kind)) return kBadParam;
    }
    const char* from = static_cast<const char*>(values);
    const size_t bytes = static_cast<size_t>(count) * bytes_of(type);
    e.values[attribute] = {type, count, {from, from + bytes}};
    return kSuccess;
  }
  return kBadParam;
}

int cudnnBackendGetAttribute(Descriptor descriptor, int attribute, int type, int64_t wanted,
                             int64_t* count, void* values) {
  const auto& e = *static_cast<const Entity*>(descriptor);
  if (!e.finished) return kBadParam;
  if (e.kind == kHeuristic && attribute == kHeuristicResults && type == kDescriptor)
    return results(e, wanted, count, values);
  const int chosen = e.kind == kPlan ? e.part(kPlanEngineConfig).engine : e.engine;
  if (chosen < 0) return kBadParam;
  const Engine& engine = engines()[static_cast<size_t>(chosen)];
  *count = 1;
  if (e.kind == kEngineConfig && attribute == kEngineConfigEngine && type == kDescriptor) {
    Entity& out = **static_cast<Entity**>(values);
    out.engine = chosen;
    out.finished = true;
    return out.kind == kEngine ? kSuccess : kBadParam;
  }
  if (e.kind == kEngine && attribute == kEngineNumericalNote && type == kNumericalNote)
    return answer(engine.numbers, wanted, count, values);
  if (e.kind == kEngine && attribute == kEngineBehaviorNote && type == kBehaviorNote)
    return answer(engine.behavior, wanted, count, values);
  if (type != kInt64) return kBadParam;
  if (e.kind == kEngine && attribute == kEngineGlobalIndex)
    *static_cast<int64_t*>(values) = engine.index;
  else if (e.kind == kPlan && attribute == kPlanWorkspaceSize)
    *static_cast<int64_t*>(values) = engine.workspace;
  else return kBadParam;
  return kSuccess;
}

int cudnnBackendExecute(Handle handle, Descriptor plan, Descriptor pack) {
  const auto& p = *static_cast<const Entity*>(plan);
  const auto& v = *static_cast<const Entity*>(pack);
  if (!handle->streamed || !p.finished || !v.finished || p.kind != kPlan ||
      v.kind != kVariantPack || p.get<Handle>(kPlanHandle) != handle || refuses("run"))
    return kBadParam;
  const Entity& config = p.part(kPlanEngineConfig);
  const Engine& engine = engines()[static_cast<size_t>(config.engine)];
  if (engine.workspace > 0 && !v.get<void*>(kVariantPackWorkspace)) return kBadParam;
  const Case c(config.part(kHeuristicGraph).part(kGraphOperations));
  const auto memory = [&](const Entity& tensor) -> void* {
    for (int i = 0; i < 3; ++i)
      if (v.get<int64_t>(kVariantPackIds, i) == tensor.get<int64_t>(kTensorUniqueId))
        return v.get<void*>(kVariantPackPointers, i);
    return nullptr;
  };
  for (const Entity* tensor : {c.x, c.w, c.y}) {
    const auto address = reinterpret_cast<int64_t>(memory(*tensor));
    if (address == 0 || address % tensor->get<int64_t>(kTensorAlignment) != 0) return kBadParam;
  }
  log_case(c, engine);
  const auto two = [&](int what) {
    return std::array{c.conv->get<int64_t>(what, 0), c.conv->get<int64_t>(what, 1)};
  };
  Convolving work{c.kind,
                  {*c.x, memory(*c.x)},
                  {*c.w, memory(*c.w)},
                  {*c.y, memory(*c.y)},
                  two(kConvolutionStrides),
                  two(kConvolutionDilations),
                  two(kConvolutionPrePaddings)};
  nnm::simt::do_or_keep(reinterpret_cast<const void*>(&cudnnBackendExecute),
                        [work]() mutable { work.run(); });
  return kSuccess;
}
