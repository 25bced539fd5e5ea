// Arrays of a file as the fields of a dataset.
#include "nnm/run/input.h"

#include <algorithm>

#include "nnm/base/diagnostic.h"
#include "nnm/ops/ops.h"

namespace nnm::run {

namespace {

constexpr int64_t kBatch = 64;

bool has(const std::vector<data::ArrayInfo>& arrays, const std::string& name) {
  return std::any_of(arrays.begin(), arrays.end(), [&](const auto& a) { return a.name == name; });
}

// The columns of a table side by side, (rows, columns).
Tensor stacked(const data::DataFile& file) {
  Tensors columns;
  for (const data::ArrayInfo& a : file.arrays())
    columns.push_back(to(file.read(a.name), DType::f64));
  return to(stack(columns, 1), DType::f32);
}

std::vector<data::Field> read_fields(const std::vector<lang::ModelInput>& inputs,
                                     const std::string& path) {
  const auto [file_path, inner] = data::split_source(path);
  const Ref<data::DataFile> file = data::DataFile::open(file_path);
  const std::string first = inputs.empty() ? "x" : inputs[0].name;
  if (!inner.empty()) return {{first, file->read(inner), path}};
  if (file->format() == data::Format::csv && inputs.size() == 1 && !has(file->arrays(), first))
    return {{first, stacked(*file), path}};
  std::vector<data::Field> fields;
  for (const data::ArrayInfo& a : file->arrays()) {
    std::string name = a.name.empty() ? first : a.name;
    // `0`, `1` … stand for the inputs in their order.
    for (size_t i = 0; i < inputs.size(); ++i)
      if (name == std::to_string(i) && !has(file->arrays(), inputs[i].name)) name = inputs[i].name;
    fields.push_back({name, file->read(a.name), path});
  }
  NNM_CHECK(!fields.empty(), input_file, "{} holds no arrays of numbers", path);
  return fields;
}

// The model's output on meta, for inputs of these shapes.
Value output_for(Session& session, const Input& input) {
  const lang::Model meta = lang::build_model(
      session.config(), {.device = {DeviceType::meta}, .dtype = session.plan().dtype});
  lang::InputShapes shapes;
  for (size_t i = 0; i < meta.inputs.size(); ++i) {
    const int f = input.binding.fields()[i];
    if (f >= 0)
      shapes.emplace_back(meta.inputs[i].name, input.fields[static_cast<size_t>(f)].shape.vec());
  }
  try {
    return lang::check_shapes(session.config(), meta, shapes).output;
  } catch (const DiagnosticError& e) {
    throw DiagnosticError(e.diagnostics, ErrorKind::input_file);
  }
}

}  // namespace

Input open_input(Session& session, const std::string& path, int64_t batch) {
  const auto& inputs = session.description().inputs;
  const std::string file = data::split_source(path).first;
  const bool raw = data::is_raw(data::detect_format(file));
  const Ref<data::Dataset> dataset = data::make_arrays(read_fields(inputs, path));

  data::LoaderOptions o;
  o.batch = batch;
  const data::Data* data = session.checked().data.get();
  if (!o.batch && data) o.batch = data->config().batch.of(session.checked().split).value_or(kBatch);
  if (!o.batch) o.batch = kBatch;
  if (raw && data) {
    o.fields = data->plans(dataset->fields());
  } else {
    for (size_t i = 0; i < dataset->fields().size(); ++i)
      o.fields.push_back({static_cast<int>(i), {}});
  }
  // What the model wants depends on what the transforms give, and the other way round: a first
  // loader tells.
  Input out;
  const data::Loader probe(dataset, o);
  for (const data::FieldInfo& f : probe.fields()) {
    Shape shape = f.shape;
    shape.insert(0, std::min(o.batch, dataset->size()));
    out.fields.push_back({f.name, f.dtype, shape});
  }
  Diagnostics d;
  out.binding = train::InputBinding(inputs, out.fields, session.plan().dtype, d);
  if (d.has_errors()) throw DiagnosticError(d, ErrorKind::input_file);
  for (size_t i = 0; i < out.fields.size(); ++i)
    if (out.fields[i].converted) o.fields[i].pipeline.wanted = out.fields[i].dtype;
  out.output = output_for(session, out);
  out.loader = std::make_unique<data::Loader>(dataset, std::move(o));
  return out;
}

}  // namespace nnm::run
