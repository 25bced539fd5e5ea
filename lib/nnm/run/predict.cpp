// Outputs of all samples, side by side.
#include <algorithm>
#include <cstring>

#include "nnm/autograd/node.h"
#include "nnm/base/file.h"
#include "nnm/base/log.h"
#include "nnm/base/output.h"
#include "nnm/data/file.h"
#include "nnm/io/h5.h"
#include "nnm/ops/ops.h"
#include "nnm/run/evaluate.h"
#include "nnm/run/input.h"

namespace nnm::run {

namespace {

using Named = std::vector<std::pair<std::string, Tensor>>;

// Named outputs by their names, those of a tuple by their place among all, as in traces.
void flatten(const Value& v, const std::string& name, Named& out) {
  if (v.is(Value::Kind::tensor)) {
    out.emplace_back(name.empty() ? "out" : name, v.as<Tensor>());
  } else if (v.is(Value::Kind::dict)) {
    for (const auto& [key, x] : v.entries()) flatten(x, name.empty() ? key : name + "." + key, out);
  } else if (v.is_sequence()) {
    Named leaves;
    for (const Value& x : v.items()) flatten(x, "", leaves);
    for (size_t i = 0; i < leaves.size(); ++i)
      out.emplace_back((name.empty() ? "" : name + ".") + std::to_string(i), leaves[i].second);
  }
}

// The rows of each output, as they come.
class Collector {
 public:
  explicit Collector(int64_t samples) : samples_(samples) {}

  void add(const Value& output, int64_t n) {
    Named now;
    flatten(output, "", now);
    if (columns_.empty()) begin(now, n);
    for (Column& c : columns_) {
      const auto at =
          std::find_if(now.begin(), now.end(), [&](const auto& o) { return o.first == c.name; });
      Shape row = at == now.end() ? Shape() : at->second.shape();
      if (!row.empty()) row[0] = c.all.size(0);
      NNM_CHECK(at != now.end() && row == c.all.shape() && at->second.size(0) == n, runtime,
                "output {} changes its shape from batch to batch", c.name);
      const Tensor rows =
          contiguous(to(at->second.detach(), TensorOptions{c.all.dtype(), Device{}}));
      const size_t bytes = static_cast<size_t>(rows.numel()) * item_size(rows.dtype());
      if (!bytes) continue;
      const size_t offset = bytes / static_cast<size_t>(n) * static_cast<size_t>(done_);
      std::memcpy(c.all.data<char>() + offset, rows.data(), bytes);
    }
    done_ += n;
  }

  Named take() {
    Named out;
    for (Column& c : columns_) out.emplace_back(std::move(c.name), std::move(c.all));
    return out;
  }

 private:
  struct Column {
    std::string name;
    Tensor all;
  };
  void begin(const Named& outputs, int64_t n) {
    for (const auto& [name, t] : outputs) {
      if (t.dim() == 0 || t.size(0) != n) {
        log_note("output {} {} has no axis of samples: left out", name, t.shape().str());
        continue;
      }
      Shape shape = t.shape();
      shape[0] = samples_;
      columns_.push_back(
          {name, empty(shape, {is_floating(t.dtype()) ? DType::f32 : t.dtype(), Device{}})});
    }
    NNM_CHECK(!columns_.empty(), value, "the model has no output with an axis of samples");
  }
  int64_t samples_, done_ = 0;
  std::vector<Column> columns_;
};

void write(const std::string& path, const Named& outputs) {
  const std::string ending = ending_of(path);
  if (ending == ".npy" || ending == ".csv") {
    if (outputs.size() != 1)
      throw Error(ErrorKind::config,
                  fmt::format("{} outputs do not fit into {}", outputs.size(), path),
                  "name an HDF5 file (.h5), which holds all of them");
    if (ending == ".npy") data::write_npy(path, outputs[0].second);
    else data::write_csv(path, outputs[0].first, outputs[0].second);
    return;
  }
  write_atomically(path, [&](const std::string& part) {
    io::H5Writer file(part);
    for (const auto& [name, t] : outputs) file.tensor("/" + name, t);
    file.close();
  });
}

}  // namespace

Prediction predict(Session& session, const PredictOptions& options) {
  NNM_CHECK(!options.output.empty(), config, "there is no file to write: -o FILE");
  check_writable(options.output);
  refuse_inputs(options.output, {data::split_source(options.input).first});
  check_ending(options.output, {".h5", ".hdf5", ".npy", ".csv"});
  std::unique_ptr<data::Loader> loader;
  train::InputBinding binding;
  if (!options.input.empty()) {
    Input input = open_input(session, options.input, options.batch);
    loader = std::move(input.loader);
    binding = std::move(input.binding);
  } else {
    data::LoadOptions load;
    load.training = false;
    if (options.batch) load.batch = options.batch;
    load.fields = session.objective().wishes();
    loader = session.data().loader(session.checked().split, load);
    binding = session.objective().inputs();
  }
  NNM_CHECK(loader->dataset().size() > 0, input_file, "{} holds no samples",
            options.input.empty() ? "the split `" + session.checked().split + "`" : options.input);
  Prediction result;
  if (options.dry_run) return result;
  const NoGradGuard no_grad;
  session.model()->eval();
  Collector collector(loader->dataset().size());
  while (const auto batch = loader->next()) {
    const auto n = static_cast<int64_t>(batch->samples.size());
    if (options.input.empty()) session.objective().show(batch->fields);
    collector.add(binding.call(*session.model(), batch->fields), n);
    result.samples += n;
  }
  const Named outputs = collector.take();
  write(options.output, outputs);
  for (const auto& [name, t] : outputs) result.outputs.emplace_back(name, t.shape());
  return result;
}

}  // namespace nnm::run
