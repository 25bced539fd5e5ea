// Recording changes nothing: losses and weights of a training are the same bits with and without.
#include <doctest/doctest.h>

#include <cstring>

#include "nnm/autograd/node.h"
#include "nnm/lang/model.h"
#include "nnm/ops/ops.h"
#include "nnm/tensor/generator.h"
#include "nnm/trace/captures.h"
#include "tests/io/temp.h"

using namespace nnm;
using namespace nnm::tracing;

namespace {

constexpr const char* kConfig = R"(
nnm: 1
define:
  Net:
    modules:
      conv: Conv2d(1, 4, 3)
      bn: BatchNorm2d(4)
      act: ReLU()
      pool: MaxPool2d(2)
      drop: Dropout(0.3)
      rnn: LSTM(9, 6, batch_first=True)
      mix: Linear(6, 6)
      tied: Linear(6, 6)
      head: Linear(6, 3)
    tie: [tied.weight = mix.weight]
    inputs:
      x: f32[B, 1, 8, 8]
    forward:
      - h = x |> conv |> bn |> act |> pool |> drop
      - y, (hn, cn) = rnn(h |> flatten(2))
      - y = act(mix(y)) + tied(y)
      - return head(drop(y[:, 3] + cn[0]))
model: Net()
)";

std::string bytes_of(const Tensor& t) {
  const Tensor c = contiguous(t.detach());
  return std::string(c.data<char>(), static_cast<size_t>(c.numel()) * item_size(c.dtype()));
}

// Losses, gradients, weights and buffers of three steps, as bytes.
std::string trained(const CaptureOptions* options, const std::string& path) {
  manual_seed(3);
  const Ref<Module> model =
      lang::build_model(lang::Config::from_text(kConfig, "net.yaml"), {.seed = 3}).module;
  model->train();
  std::optional<io::TraceWriter> writer;
  Captures captures(*model);
  if (options) {
    io::TraceHeader header;
    captures.add(*options);
    captures.describe(header);
    writer.emplace(path, header);
    captures.record_into(*writer, header);
  }
  std::string out;
  for (int step = 0; step < 3; ++step) {
    const Tensor x = randn({8, 1, 8, 8});
    captures.begin({.step = step, .mode = "train"});
    const Tensor y = (*model)(x);
    const Tensor loss = mean(y * y);
    loss.backward();
    captures.end();
    out += bytes_of(loss);
    const NoGradGuard no_grad;
    for (const Tensor& p : model->parameters()) {
      out += bytes_of(p.grad());
      copy_(p.detach(), p.detach() - p.grad() * 0.1);
      p.set_grad({});
    }
  }
  for (const auto& [name, value] : model->state_dict()) out += bytes_of(value.as<Tensor>());
  if (writer) writer->close();
  return out;
}

}  // namespace

TEST_CASE("recorder: losses, gradients and weights are bit for bit those of a run without it") {
  const io::testing::TempDir dir;
  const std::string plain = trained(nullptr, "");
  CHECK(plain == trained(nullptr, ""));
  for (const char* tensor : {"full", "none", "slice:0:2"}) {
    CAPTURE(tensor);
    CaptureOptions all;
    for (const char* kind : {"forward_pre", "forward", "full_backward_pre", "full_backward",
                             "tensor", "tensor:Linear.input", "post_accumulate_grad"})
      all.hooks.push_back(parse_hook(kind));
    all.set_what("input,output,grad_input,grad_output,weight,weight_grad");
    std::string names;
    for (const std::string& s : statistic_names()) names += s + ",";
    all.set_reduce(names);
    all.tensor = TensorMode::parse(tensor);
    CHECK(plain == trained(&all, dir / "t.h5"));
    CHECK(io::TraceReader(dir / "t.h5").steps().size() == 3);
  }
}
