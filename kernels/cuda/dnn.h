// cuDNN: found and loaded when a convolution first asks for it, and done without where it is not
// there. Of its backend interface only names, numbers and functions that the plug-in uses are
// declared, so that it is built without cuDNN's headers; their numbers have been the same since
// cuDNN 8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

namespace nnm::cuda {

namespace dnn {

/// As cuDNN's cudnnHandle_t and cudnnBackendDescriptor_t.
using Handle = struct cudnnContext*;
using Descriptor = void*;

constexpr int kSuccess = 0, kBadParam = 2000, kNotSupported = 3000;

/// cudnnBackendDescriptorType_t.
enum Kind : int {
  kConvolution = 1,
  kEngine = 2,
  kEngineConfig = 3,
  kHeuristic = 4,
  kPlan = 5,
  kForward = 10,
  kBackwardFilter = 11,
  kBackwardData = 12,
  kGraph = 15,
  kVariantPack = 16,
  kTensor = 17,
  kDeviceProperties = 38,  ///< since 9.8
};

/// cudnnBackendAttributeType_t.
enum Type : int {
  kHandleType = 0,
  kDataType = 1,
  kInt64 = 3,
  kFloat = 4,
  kPointer = 6,
  kConvolutionMode = 7,
  kHeuristicType = 8,
  kNumericalNote = 11,
  kDescriptor = 15,
  kBehaviorNote = 19,
  kChar = 24,
};

/// cudnnBackendAttributeName_t.
enum Attribute : int {
  kConvolutionComputeType = 100,
  kConvolutionConvMode = 101,
  kConvolutionDilations = 102,
  kConvolutionStrides = 103,
  kConvolutionPostPaddings = 104,
  kConvolutionPrePaddings = 105,
  kConvolutionSpatialDims = 106,
  kHeuristicsMode = 200,
  kHeuristicGraph = 201,
  kHeuristicResults = 202,
  kHeuristicDevice = 204,
  kEngineConfigEngine = 300,
  kPlanHandle = 400,
  kPlanEngineConfig = 401,
  kPlanWorkspaceSize = 402,
  kPlanDevice = 407,
  kForwardAlpha = 700,
  kForwardBeta = 701,
  kForwardConvolution = 702,
  kForwardW = 703,
  kForwardX = 704,
  kForwardY = 705,
  kDataAlpha = 706,
  kDataBeta = 707,
  kDataConvolution = 708,
  kDataW = 709,
  kDataDx = 710,
  kDataDy = 711,
  kFilterAlpha = 712,
  kFilterBeta = 713,
  kFilterConvolution = 714,
  kFilterDw = 715,
  kFilterX = 716,
  kFilterDy = 717,
  kGraphHandle = 800,
  kGraphOperations = 801,
  kTensorAlignment = 900,
  kTensorDataType = 901,
  kTensorDimensions = 902,
  kTensorStrides = 903,
  kTensorUniqueId = 906,
  kVariantPackIds = 1000,
  kVariantPackPointers = 1001,
  kVariantPackWorkspace = 1003,
  kEngineGlobalIndex = 1301,
  kEngineNumericalNote = 1303,
  kEngineBehaviorNote = 1305,
  kDeviceJson = 2702,
};

/// cudnnDataType_t.
enum DataType : int { kDataFloat = 0, kDataHalf = 2, kDataBFloat16 = 9 };
/// cudnnConvolutionMode_t.
constexpr int kCrossCorrelation = 1;
/// cudnnBackendHeurMode_t.
enum HeuristicMode : int { kFallback = 2, kModeA = 3 };
/// cudnnBackendNumericalNote_t.
enum NumericalNote : int {
  kTensorCore = 0,
  kDownConvertInputs = 1,
  kReducedPrecisionReduction = 2,
  kFft = 3,
  kNondeterministic = 4,
  kWinograd = 5,
};
/// cudnnBackendBehaviorNote_t.
enum BehaviorNote : int {
  kRuntimeCompilation = 0,
  kInt8FilterReorder = 1,
  kInt8BiasReorder = 2,
  kCublasLtDependency = 4,
};

}  // namespace dnn

/// The functions that the plug-in calls: `dnn_library().BackendFinalize` is cudnnBackendFinalize.
#define NNM_DNN_FUNCTIONS(F)                                                                      \
  F(GetVersion, size_t())                                                                         \
  F(GetCudartVersion, size_t())                                                                   \
  F(Create, int(dnn::Handle * handle))                                                            \
  F(SetStream, int(dnn::Handle handle, void* stream))                                             \
  F(BackendCreateDescriptor, int(int kind, dnn::Descriptor* descriptor))                          \
  F(BackendDestroyDescriptor, int(dnn::Descriptor descriptor))                                    \
  F(BackendFinalize, int(dnn::Descriptor descriptor))                                             \
  F(BackendSetAttribute,                                                                          \
    int(dnn::Descriptor descriptor, int attribute, int type, int64_t count, const void* values))  \
  F(BackendGetAttribute, int(dnn::Descriptor descriptor, int attribute, int type, int64_t wanted, \
                             int64_t* count, void* values))                                       \
  F(BackendExecute, int(dnn::Handle handle, dnn::Descriptor plan, dnn::Descriptor pack))

struct Dnn {
#define NNM_DNN_MEMBER(name, ...) std::add_pointer_t<__VA_ARGS__> name = nullptr;
  NNM_DNN_FUNCTIONS(NNM_DNN_MEMBER)
#undef NNM_DNN_MEMBER
  std::string path;
  std::string why;  ///< why it is not there; empty where it is
};

/// Loaded at the first call.
const Dnn& dnn_library();
/// Whether convolutions shall use it: unless NNM_CUDA_CUDNN=0. The emulation asks for =1, so that
/// its tests meet the plug-in's own kernels.
bool dnn_wanted();
/// Why it cannot be used with a CUDA runtime of this version (13000 is 13.0); empty where it can.
std::string dnn_why(int runtime);
/// Version and path, or why it is not used.
std::string dnn_facts(int runtime);

}  // namespace nnm::cuda
