// Examples of settings of data and training that cannot be.
#include "nnm/lang/code_examples.h"

namespace nnm::lang::detail {

namespace {

constexpr const char* kTrain = "nnm train net.yaml --dry-run";

// A run's settings: what stands around them is the same in all.
#define NNM_RUN(data, settings) \
  "model: Linear(10, 3)\n"      \
  "data:\n"                     \
  "  train: {random: " data     \
  "}\n"                         \
  "  batch: 10\n"               \
  "train:\n" settings
#define NNM_TRAIN(settings) NNM_RUN("{x: \"f32[100, 10]\", y: \"i64[100] < 3\"}", settings)

constexpr CodeExample kSettingExamples[] = {
    {"E0420",
     {NNM_TRAIN("  max: 10\n  loss: cross_entropy(out, y)\n  optimizer: SGD(lr=0.1)\n")},
     {NNM_TRAIN("  max: 10 epochs\n  loss: cross_entropy(out, y)\n  optimizer: SGD(lr=0.1)\n")}},
    {"E0421",
     {NNM_TRAIN("  max: 10 epochs\n  loss: cross_entropy(out, y)\n"), kTrain},
     {NNM_TRAIN("  max: 10 epochs\n  loss: cross_entropy(out, y)\n  optimizer: SGD(lr=0.1)\n"),
      kTrain}},
    {"E0422",
     {NNM_TRAIN("  max: 2 h\n  loss: cross_entropy(out, y)\n  optimizer: SGD(lr=0.1)\n"
                "  schedule: cosine(final=0.1)\n")},
     {NNM_TRAIN("  max: 10 epochs\n  loss: cross_entropy(out, y)\n  optimizer: SGD(lr=0.1)\n"
                "  schedule: cosine(final=0.1)\n")}},
    {"E0423",
     {NNM_TRAIN("  max: 1 epoch\n  accumulate: 20\n  loss: cross_entropy(out, y)\n"
                "  optimizer: SGD(lr=0.1)\n"),
      kTrain},
     {NNM_TRAIN("  max: 1 epoch\n  accumulate: 5\n  loss: cross_entropy(out, y)\n"
                "  optimizer: SGD(lr=0.1)\n"),
      kTrain}},
    {"E0430",
     {R"(define:
  Net:
    modules:
      fc: Bilinear(10, 10, 1)
    inputs:
      a: f32[B, 10]
      b: f32[B, 10]
    forward:
      - return fc(a, b)
model: Net()
data:
  train: {random: {a: "f32[100, 10]", y: "f32[100, 1]"}}
  batch: 10
train:
  loss: mse_loss(out, y)
)"},
     {R"(define:
  Net:
    modules:
      fc: Bilinear(10, 10, 1)
    inputs:
      a: f32[B, 10]
      b: f32[B, 10]
    forward:
      - return fc(a, b)
model: Net()
data:
  train: {random: {a: "f32[100, 10]", b: "f32[100, 10]", y: "f32[100, 1]"}}
  batch: 10
train:
  loss: mse_loss(out, y)
)"}},
    {"E0431",
     {R"(define:
  Net:
    modules:
      fc: Linear(10, 1)
    inputs:
      x: f32[B, 10]
    forward:
      - return score=squeeze(fc(x), 1)
model: Net()
data:
  train: {random: {x: "f32[100, 10]", score: "f32[100]"}}
  batch: 10
train:
  loss: mean(score)
)"},
     {R"(define:
  Net:
    modules:
      fc: Linear(10, 1)
    inputs:
      x: f32[B, 10]
    forward:
      - return score=squeeze(fc(x), 1)
model: Net()
data:
  train: {random: {x: "f32[100, 10]", target: "f32[100]"}}
  batch: 10
train:
  loss: mse_loss(score, target)
)"}},
    {"E0432",
     {NNM_RUN("{x: \"f32[100, 10]\"}", "  max: 10 epochs\n  optimizer: SGD(lr=0.1)\n"), kTrain},
     {NNM_RUN("{x: \"f32[100, 10]\"}",
              "  max: 10 epochs\n  optimizer: SGD(lr=0.1)\n  loss: mean(square(out))\n"),
      kTrain}},
    {"E0433",
     {NNM_RUN("{x: \"f32[100, 10]\"}",
              "  max: 10 epochs\n  optimizer: SGD(lr=0.1)\n  loss: mean(square(x))\n")},
     {NNM_RUN("{x: \"f32[100, 10]\"}",
              "  max: 10 epochs\n  optimizer: SGD(lr=0.1)\n  loss: mean(square(out))\n")}},
    {"E0440",
     {"model: Linear(10, 3)\ndata:\n  train: {random: {x: \"f32[100, 10]\"}}\n  batch: 0\n"},
     {"model: Linear(10, 3)\ndata:\n  train: {random: {x: \"f32[100, 10]\"}}\n  batch: 20\n"}},
    {"E0441",
     {"model: Linear(10, 3)\ndata:\n  train: {x: .}\n"},
     {"model: Linear(10, 3)\ndata:\n  train: {random: {x: \"f32[100, 10]\"}}\n"}},
    {"E0442",
     {R"(define:
  Scale:
    params:
      scale: load('absent.h5', 'scale')
    inputs: {x: "f32[B, 10]"}
    forward:
      - return x * self.scale
model: Scale()
)"},
     {R"(define:
  Scale:
    params:
      scale: ones(10)
    inputs: {x: "f32[B, 10]"}
    forward:
      - return x * self.scale
model: Scale()
)"}},
    {"E0510",
     {NNM_TRAIN("  loss: cross_entropy(out, y, reduction=\"none\")\n")},
     {NNM_TRAIN("  loss: cross_entropy(out, y)\n")}},
    {"W0401",
     {NNM_TRAIN("  max: 10 epochs\n  loss: cross_entropy(out, y)\n  optimizer: SGD(lr=0.1)\n"
                "  schedule: StepLR(step_size=3)\n")},
     {NNM_TRAIN("  max: 10 epochs\n  loss: cross_entropy(out, y)\n  optimizer: SGD(lr=0.1)\n"
                "  schedule: StepLR(step_size=3 epochs)\n")}},
    {"W0402",
     {NNM_TRAIN("  max: 10 epochs\n  loss: cross_entropy(out, y)\n  optimizer: SGD(lr=0.1)\n"
                "  schedule: warmup(500 steps) |> cosine()\n")},
     {NNM_TRAIN("  max: 10 epochs\n  loss: cross_entropy(out, y)\n  optimizer: SGD(lr=0.1)\n"
                "  schedule: warmup(50 steps) |> cosine()\n")}},
    {"W0430", {NNM_TRAIN("  loss: mean(out)\n")}, {NNM_TRAIN("  loss: cross_entropy(out, y)\n")}},
    {"W0510",
     {NNM_RUN("{x: \"f32[100, 10]\", y: \"f32[100, 1]\"}", "  loss: mse_loss(out, y)\n")},
     {NNM_RUN("{x: \"f32[100, 10]\", y: \"f32[100, 3]\"}", "  loss: mse_loss(out, y)\n")}},
    {"W0511",
     {"model:\n  - Linear(10, 3)\n  - Softmax(dim=1)\ndata:\n  train: {random: {x: \"f32[100, "
      "10]\", "
      "y: \"i64[100] < 3\"}}\ntrain:\n  max: 10 epochs\n  optimizer: SGD(lr=0.1)\n  "
      "loss: cross_entropy(out, y)\n"},
     {"model:\n  - Linear(10, 3)\ndata:\n  train: {random: {x: \"f32[100, 10]\", "
      "y: \"i64[100] < 3\"}}\ntrain:\n  max: 10 epochs\n  optimizer: SGD(lr=0.1)\n  "
      "loss: cross_entropy(out, y)\n"}},
    {"W0441",
     {"model: Linear(10, 3)\ndata:\n  train: {x: images.npy}\n"},
     {"model: Linear(10, 3)\ndata:\n  train: {random: {x: \"f32[100, 10]\"}}\n"}},
    {"W0443",
     {"model: Linear(10, 3)\ndata:\n  train: {random: {x: \"f32[100, 10]\"}}\n"
      "  val: {split: 0.2}\n  shuffle: {val: true}\n"},
     {"model: Linear(10, 3)\ndata:\n  train: {random: {x: \"f32[100, 10]\"}}\n"
      "  val: {split: 0.2}\n  shuffle: {train: true}\n"}},
};

}  // namespace

std::span<const CodeExample> setting_examples() { return kSettingExamples; }

}  // namespace nnm::lang::detail
