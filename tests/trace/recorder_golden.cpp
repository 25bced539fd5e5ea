// What a trace holds of a model's hooks against what PyTorch's hooks saw: the same calls in the
// same order, the same tensors under the same names.
#include <doctest/doctest.h>

#include <map>

#include "golden/golden.h"
#include "nnm/lang/model.h"
#include "nnm/ops/ops.h"
#include "nnm/trace/captures.h"
#include "tests/io/temp.h"

using namespace nnm;
using namespace nnm::golden;
using namespace nnm::tracing;

namespace {

Ref<Module> model_of(const io::H5Reader& file, DType dtype) {
  const lang::Config config =
      lang::Config::from_text(text_of(file, file.root(), "config"), "trace.yaml");
  Ref<Module> model = lang::build_model(config, {.dtype = dtype}).module;
  const io::H5Node& state = file.at("state_dict");
  for (const auto& [name, p] : model->named_parameters("", true, false))
    copy_(p.detach(), file.tensor(*state.find(name)));
  model->get_submodule("frozen").requires_grad_(false);
  return model;
}

// A recorded step, in a file.
void write_trace(const io::H5Reader& file, DType dtype, const CaptureOptions& options,
                 const std::string& path) {
  const Ref<Module> model = model_of(file, dtype);
  io::TraceHeader header;
  Captures captures(*model);
  captures.add(options);
  captures.describe(header);
  io::TraceWriter writer(path, header);
  captures.record_into(writer, header);
  captures.begin({.step = 0, .mode = "train"});
  const Tensor x = to(file.tensor(file.at("x")), dtype);
  const Tensor y = (*model)(x);
  sum(y * y).backward();
  captures.end();
  writer.close();
}

// Everything that the file has of a run against what the trace has.
void compare(const io::H5Reader& file, const std::string& run, const io::TraceReader& trace) {
  std::string calls;
  for (const io::TraceReader::Call& c : trace.calls())
    calls += fmt::format("{}{} {}#{}", calls.empty() ? "" : "\n", c.hook, c.module, c.call);
  CHECK(calls == text_of(file, file.at(run), "calls"));

  std::map<std::string, Tensor> seen;
  for (const io::TraceRecords& r : trace.records())
    for (const std::string& arg : r.args)
      for (size_t i = 0; i < r.step.size(); ++i)
        if (const Tensor t = trace.tensor(r, arg, static_cast<int64_t>(i)); t.defined())
          seen[fmt::format("{}/{}/{}/{}", r.module, r.what, arg, r.call[i])] = t;
  size_t expected = 0;
  for (const io::H5Node& module : file.at(run + "/tensors").children)
    for (const io::H5Node& what : module.children)
      for (const io::H5Node& arg : what.children)
        for (const io::H5Node& call : arg.children) {
          const std::string name =
              fmt::format("{}/{}/{}/{}", module.name, what.name, arg.name, call.name);
          CAPTURE(name);
          ++expected;
          CHECK(difference(seen[name], file, arg, call.name) == "");
        }
  CHECK(seen.size() == expected);
}

}  // namespace

TEST_CASE("recorder: calls and tensors are those of PyTorch's hooks") {
  const io::H5Reader file = golden::open("trace");
  const io::testing::TempDir dir;
  CaptureOptions modules, tensors;
  for (const char* kind :
       {"forward_pre", "forward", "full_backward_pre", "full_backward", "post_accumulate_grad"})
    modules.hooks.push_back(parse_hook(kind));
  modules.set_what("input,output,grad_input,grad_output,weight,weight_grad");
  tensors.hooks = {parse_hook("tensor")};
  tensors.set_what("grad_output,weight,weight_grad");
  for (DType dtype : {DType::f64, DType::f32}) {
    CAPTURE(info(dtype).name);
    for (const auto& [run, options] :
         {std::pair{"modules", &modules}, std::pair{"tensors", &tensors}}) {
      CAPTURE(run);
      const std::string path = dir / fmt::format("{}-{}.h5", run, info(dtype).name);
      write_trace(file, dtype, *options, path);
      compare(file, run, io::TraceReader(path));
    }
  }
}
