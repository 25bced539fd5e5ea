// The part of cuDNN that the plug-in calls, on the CPU: descriptors that know which attributes they
// take, of what type, and check when they are finished what a caller can get wrong; engines with
// every note that a caller must heed; plain loops. With NNM_EMULATED_DNN_LOG each execution appends
// a line to that file. NNM_EMULATED_DNN_REFUSES=plan has no engine for anything, =run executes
// none.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/dnn.h"

size_t cudnnGetVersion();
size_t cudnnGetCudartVersion();
int cudnnCreate(nnm::cuda::dnn::Handle* handle);
int cudnnSetStream(nnm::cuda::dnn::Handle handle, void* stream);
int cudnnBackendCreateDescriptor(int kind, nnm::cuda::dnn::Descriptor* descriptor);
int cudnnBackendDestroyDescriptor(nnm::cuda::dnn::Descriptor descriptor);
int cudnnBackendFinalize(nnm::cuda::dnn::Descriptor descriptor);
int cudnnBackendSetAttribute(nnm::cuda::dnn::Descriptor descriptor, int attribute, int type,
                             int64_t count, const void* values);
int cudnnBackendGetAttribute(nnm::cuda::dnn::Descriptor descriptor, int attribute, int type,
                             int64_t wanted, int64_t* count, void* values);
int cudnnBackendExecute(nnm::cuda::dnn::Handle handle, nnm::cuda::dnn::Descriptor plan,
                        nnm::cuda::dnn::Descriptor pack);
