// Everything a C++ user of nnm needs: tensors, operations, modules and layers, optimizers, weights.
//
//   #include <nnm/nnm.h>
//   using namespace nnm;
//   struct Net : Module {
//     Child<nn::Linear> fc1 = register_module("fc1", nn::Linear(784, 128));
//     Child<nn::Linear> fc2 = register_module("fc2", nn::Linear(128, 10));
//     Tensor forward(const Tensor& x) override { return fc2(relu(fc1(x))); }
//   };
#pragma once

#include "nnm/autograd/node.h"
#include "nnm/autograd/record.h"
#include "nnm/autograd/saved_hooks.h"
#include "nnm/base/log.h"
#include "nnm/base/print.h"
#include "nnm/io/checkpoint.h"
#include "nnm/io/save.h"
#include "nnm/nn/construct.h"
#include "nnm/nn/init.h"
#include "nnm/nn/layers.h"
#include "nnm/nn/module.h"
#include "nnm/nn/typed_forward.h"
#include "nnm/nn/utils.h"
#include "nnm/ops/functional.h"
#include "nnm/ops/linalg.h"
#include "nnm/ops/margin_loss.h"
#include "nnm/ops/matmul_precision.h"
#include "nnm/ops/ops.h"
#include "nnm/optim/clip.h"
#include "nnm/optim/lbfgs.h"
#include "nnm/optim/optimizers.h"
#include "nnm/optim/schedulers.h"
#include "nnm/tensor/print.h"
#include "nnm/train/save.h"
