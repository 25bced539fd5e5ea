// All layers.
#pragma once

#include "nnm/nn/layers/activation.h"
#include "nnm/nn/layers/attention.h"
#include "nnm/nn/layers/container.h"
#include "nnm/nn/layers/conv.h"
#include "nnm/nn/layers/distance.h"
#include "nnm/nn/layers/dropout.h"
#include "nnm/nn/layers/embedding.h"
#include "nnm/nn/layers/linear.h"
#include "nnm/nn/layers/loss.h"
#include "nnm/nn/layers/norm.h"
#include "nnm/nn/layers/pad.h"
#include "nnm/nn/layers/pool.h"
#include "nnm/nn/layers/rnn.h"
#include "nnm/nn/layers/shape.h"
