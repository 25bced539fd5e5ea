// Descriptors of cuDNN's backend interface, from tensors to execution plans.
#include "kernels/cuda/dnn_plan.h"

#include <algorithm>

namespace nnm::cuda {

namespace {

constexpr int64_t kX = 1, kW = 2, kY = 3;  // the tensors' names in a graph
constexpr int64_t kMostEngines = 64, kMostNotes = 16;
constexpr int64_t kSpareWorkspace = int64_t{256} << 20;

/// What cuDNN answered to a call that it refused.
struct Refused {
  const char* call;
  int status;
};

void accept(int status, const char* call) {
  if (status != dnn::kSuccess) throw Refused{call, status};
}

dnn::DataType data_type(DType t) {
  switch (t) {
    case DType::bf16: return dnn::kDataBFloat16;
    case DType::f16: return dnn::kDataHalf;
    default: return dnn::kDataFloat;
  }
}

template <size_t kCount>
void set(const Dnn& library, dnn::Descriptor d, dnn::Attribute what,
         const std::array<int64_t, kCount>& values) {
  accept(library.BackendSetAttribute(d, what, dnn::kInt64, kCount, values.data()), "SetAttribute");
}

template <class T>
void set(const Dnn& library, dnn::Descriptor d, dnn::Attribute what, dnn::Type type, T value) {
  accept(library.BackendSetAttribute(d, what, type, 1, &value), "SetAttribute");
}

/// The notes of an engine, of which a newer cuDNN may know others than are declared.
std::vector<int> notes_of(const Dnn& library, dnn::Descriptor engine, dnn::Attribute what,
                          dnn::Type type) {
  int64_t count = 0;
  std::vector<int> notes(kMostNotes);
  accept(library.BackendGetAttribute(engine, what, type, kMostNotes, &count, notes.data()),
         "GetAttribute");
  notes.resize(static_cast<size_t>(std::clamp<int64_t>(count, 0, kMostNotes)));
  return notes;
}

bool any_of(const std::vector<int>& notes, std::initializer_list<int> wanted) {
  return std::find_first_of(notes.begin(), notes.end(), wanted.begin(), wanted.end()) !=
         notes.end();
}

/// Room for the images in another layout, which some engines copy them to, and a little more.
int64_t most_workspace(const DnnConvolution& c) {
  const auto bytes = [&](const std::array<int64_t, 4>& size) {
    return size[0] * size[1] * size[2] * size[3] * static_cast<int64_t>(item_size(c.dtype));
  };
  return bytes(c.x) + bytes(c.y) + kSpareWorkspace;
}

/// Which attributes hold what, by pass.
struct Names {
  dnn::Kind kind;
  dnn::Attribute convolution, x, w, y, alpha, beta;
};
Names names_of(DnnPass pass) {
  switch (pass) {
    case DnnPass::input:
      return {dnn::kBackwardData, dnn::kDataConvolution, dnn::kDataDx,  dnn::kDataW,
              dnn::kDataDy,       dnn::kDataAlpha,       dnn::kDataBeta};
    case DnnPass::weight:
      return {dnn::kBackwardFilter, dnn::kFilterConvolution, dnn::kFilterX,   dnn::kFilterDw,
              dnn::kFilterDy,       dnn::kFilterAlpha,       dnn::kFilterBeta};
    default:
      return {dnn::kForward,  dnn::kForwardConvolution, dnn::kForwardX,   dnn::kForwardW,
              dnn::kForwardY, dnn::kForwardAlpha,       dnn::kForwardBeta};
  }
}

}  // namespace

DnnConvolution::Key DnnConvolution::key() const {
  return {static_cast<int64_t>(pass),
          static_cast<int64_t>(dtype),
          x[0],
          x[1],
          x[2],
          x[3],
          w[0],
          w[1],
          w[2],
          w[3],
          y[0],
          y[1],
          y[2],
          y[3],
          stride[0],
          stride[1],
          dilation[0],
          dilation[1],
          before[0],
          before[1],
          after[0],
          after[1],
          tf32};
}

bool DnnConvolution::consistent() const {
  for (size_t i = 0; i < 2; ++i) {
    const int64_t room = x[2 + i] + before[i] + after[i] - dilation[i] * (w[2 + i] - 1) - 1;
    if (room < 0 || before[i] < 0 || after[i] < 0 || room / stride[i] + 1 != y[2 + i]) return false;
  }
  return true;
}

DnnPlan::DnnPlan(const Dnn& library, const DnnTarget& target, const DnnConvolution& c)
    : library_(library), target_(target), c_(c) {
  try {
    const dnn::Descriptor whole = graph();
    if (!choose(whole, dnn::kModeA) && !choose(whole, dnn::kFallback)) why_ = "no engine serves";
  } catch (const Refused& refused) {
    plan_ = nullptr;
    why_ = std::string(refused.call) + ": " + std::to_string(refused.status);
  }
}

DnnPlan::~DnnPlan() {
  for (auto d = made_.rbegin(); d != made_.rend(); ++d) library_.BackendDestroyDescriptor(*d);
}

dnn::Descriptor DnnPlan::create(dnn::Kind kind) {
  dnn::Descriptor d = nullptr;
  accept(library_.BackendCreateDescriptor(kind, &d), "CreateDescriptor");
  made_.push_back(d);
  return d;
}

dnn::Descriptor DnnPlan::tensor(int64_t id, const std::array<int64_t, 4>& size) {
  const dnn::Descriptor d = create(dnn::kTensor);
  set(library_, d, dnn::kTensorDataType, dnn::kDataType, data_type(c_.dtype));
  set(library_, d, dnn::kTensorDimensions, size);
  set(library_, d, dnn::kTensorStrides,
      std::array{size[1] * size[2] * size[3], int64_t{1}, size[3] * size[1], size[1]});
  set(library_, d, dnn::kTensorUniqueId, dnn::kInt64, id);
  set(library_, d, dnn::kTensorAlignment, dnn::kInt64, DnnConvolution::kAlignment);
  accept(library_.BackendFinalize(d), "Finalize of a tensor");
  return d;
}

dnn::Descriptor DnnPlan::convolution() {
  const dnn::Descriptor d = create(dnn::kConvolution);
  set(library_, d, dnn::kConvolutionComputeType, dnn::kDataType, dnn::kDataFloat);
  set(library_, d, dnn::kConvolutionConvMode, dnn::kConvolutionMode, dnn::kCrossCorrelation);
  set(library_, d, dnn::kConvolutionSpatialDims, dnn::kInt64, int64_t{2});
  set(library_, d, dnn::kConvolutionDilations, c_.dilation);
  set(library_, d, dnn::kConvolutionStrides, c_.stride);
  set(library_, d, dnn::kConvolutionPrePaddings, c_.before);
  set(library_, d, dnn::kConvolutionPostPaddings, c_.after);
  accept(library_.BackendFinalize(d), "Finalize of a convolution");
  return d;
}

dnn::Descriptor DnnPlan::operation() {
  const Names names = names_of(c_.pass);
  const dnn::Descriptor x = tensor(kX, c_.x), w = tensor(kW, c_.w), y = tensor(kY, c_.y),
                        conv = convolution(), d = create(names.kind);
  set(library_, d, names.convolution, dnn::kDescriptor, conv);
  set(library_, d, names.x, dnn::kDescriptor, x);
  set(library_, d, names.w, dnn::kDescriptor, w);
  set(library_, d, names.y, dnn::kDescriptor, y);
  set(library_, d, names.alpha, dnn::kFloat, 1.0f);
  set(library_, d, names.beta, dnn::kFloat, 0.0f);
  accept(library_.BackendFinalize(d), "Finalize of an operation");
  return d;
}

dnn::Descriptor DnnPlan::graph() {
  const dnn::Descriptor op = operation(), d = create(dnn::kGraph);
  set(library_, d, dnn::kGraphOperations, dnn::kDescriptor, op);
  if (target_.handle) set(library_, d, dnn::kGraphHandle, dnn::kHandleType, target_.handle);
  accept(library_.BackendFinalize(d), "Finalize of a graph");
  return d;
}

bool DnnPlan::choose(dnn::Descriptor graph, dnn::HeuristicMode mode) {
  const dnn::Descriptor d = create(dnn::kHeuristic);
  set(library_, d, dnn::kHeuristicGraph, dnn::kDescriptor, graph);
  set(library_, d, dnn::kHeuristicsMode, dnn::kHeuristicType, mode);
  if (target_.device) set(library_, d, dnn::kHeuristicDevice, dnn::kDescriptor, target_.device);
  // That it has nothing is an answer, too.
  if (library_.BackendFinalize(d) != dnn::kSuccess) return false;
  int64_t count = 0;
  accept(
      library_.BackendGetAttribute(d, dnn::kHeuristicResults, dnn::kDescriptor, 0, &count, nullptr),
      "GetAttribute");
  std::vector<dnn::Descriptor> configs(
      static_cast<size_t>(std::clamp<int64_t>(count, 0, kMostEngines)));
  for (dnn::Descriptor& config : configs) config = create(dnn::kEngineConfig);
  accept(library_.BackendGetAttribute(d, dnn::kHeuristicResults, dnn::kDescriptor,
                                      std::ssize(configs), &count, configs.data()),
         "GetAttribute");
  configs.resize(std::min<size_t>(configs.size(), static_cast<size_t>(count)));
  return std::any_of(configs.begin(), configs.end(),
                     [&](dnn::Descriptor config) { return make_plan(config); });
}

bool DnnPlan::serves(dnn::Descriptor engine) const {
  const std::vector<int> numbers = notes_of(library_, engine, dnn::kEngineNumericalNote,
                                            dnn::kNumericalNote),
                         behavior = notes_of(library_, engine, dnn::kEngineBehaviorNote,
                                             dnn::kBehaviorNote);
  if (any_of(numbers,
             {dnn::kNondeterministic, dnn::kReducedPrecisionReduction, dnn::kFft, dnn::kWinograd}))
    return false;
  // So are those called that make TF32 of f32.
  if (!c_.tf32 && any_of(numbers, {dnn::kDownConvertInputs})) return false;
  // The heuristics of 9.19 name some for bf16 that copy images and do without.
  const bool tensor_cores = c_.dtype != DType::f32 || c_.tf32;
  if (any_of(numbers, {dnn::kTensorCore}) != tensor_cores) return false;
  return !any_of(behavior, {dnn::kRuntimeCompilation, dnn::kInt8FilterReorder,
                            dnn::kInt8BiasReorder, dnn::kCublasLtDependency});
}

bool DnnPlan::make_plan(dnn::Descriptor config) {
  dnn::Descriptor engine = create(dnn::kEngine);
  int64_t count = 0, bytes = 0;
  accept(library_.BackendGetAttribute(config, dnn::kEngineConfigEngine, dnn::kDescriptor, 1, &count,
                                      &engine),
         "GetAttribute");
  if (!serves(engine)) return false;
  const dnn::Descriptor d = create(dnn::kPlan);
  set(library_, d, dnn::kPlanEngineConfig, dnn::kDescriptor, config);
  if (target_.handle) set(library_, d, dnn::kPlanHandle, dnn::kHandleType, target_.handle);
  if (target_.device) set(library_, d, dnn::kPlanDevice, dnn::kDescriptor, target_.device);
  if (library_.BackendFinalize(d) != dnn::kSuccess) return false;
  if (library_.BackendGetAttribute(d, dnn::kPlanWorkspaceSize, dnn::kInt64, 1, &count, &bytes) !=
          dnn::kSuccess ||
      bytes > most_workspace(c_))
    return false;
  accept(library_.BackendGetAttribute(engine, dnn::kEngineGlobalIndex, dnn::kInt64, 1, &count,
                                      &engine_),
         "GetAttribute");
  workspace_ = static_cast<size_t>(bytes);
  plan_ = d;
  return true;
}

bool DnnPlan::run(dnn::Handle handle, void* x, void* w, void* y, void* workspace) const {
  dnn::Descriptor pack = nullptr;
  if (library_.BackendCreateDescriptor(dnn::kVariantPack, &pack) != dnn::kSuccess) return false;
  const std::array<int64_t, 3> ids = {kX, kW, kY};
  const std::array<void*, 3> pointers = {x, w, y};
  const auto put = [&](dnn::Attribute what, dnn::Type type, int64_t count, const void* values) {
    return library_.BackendSetAttribute(pack, what, type, count, values) == dnn::kSuccess;
  };
  const bool done = put(dnn::kVariantPackIds, dnn::kInt64, 3, ids.data()) &&
                    put(dnn::kVariantPackPointers, dnn::kPointer, 3, pointers.data()) &&
                    put(dnn::kVariantPackWorkspace, dnn::kPointer, 1, &workspace) &&
                    library_.BackendFinalize(pack) == dnn::kSuccess &&
                    library_.BackendExecute(handle, plan_, pack) == dnn::kSuccess;
  library_.BackendDestroyDescriptor(pack);
  return done;
}

}  // namespace nnm::cuda
