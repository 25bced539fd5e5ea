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

std::string first_of(const std::vector<lang::ModelInput>& inputs) {
  return inputs.empty() ? "x" : inputs[0].name;
}

// What an array of a file is called: `0`, `1` … stand for the inputs in their order.
std::string field_name(const std::vector<lang::ModelInput>& inputs,
                       const std::vector<data::ArrayInfo>& arrays, const std::string& array) {
  if (array.empty()) return first_of(inputs);
  for (size_t i = 0; i < inputs.size(); ++i)
    if (array == std::to_string(i) && !has(arrays, inputs[i].name)) return inputs[i].name;
  return array;
}

std::vector<data::Field> read_fields(const std::vector<lang::ModelInput>& inputs,
                                     const std::string& path) {
  const auto [file_path, inner] = data::split_source(path);
  const Ref<data::DataFile> file = data::DataFile::open(file_path);
  const std::string first = first_of(inputs);
  if (!inner.empty()) return {{first, file->read(inner), path}};
  if (file->format() == data::Format::csv && inputs.size() == 1 && !has(file->arrays(), first))
    return {{first, stacked(*file), path}};
  std::vector<data::Field> fields;
  for (const data::ArrayInfo& a : file->arrays())
    fields.push_back({field_name(inputs, file->arrays(), a.name), file->read(a.name), path});
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

bool fits(const lang::ModelInput& input, const Shape& shape) {
  if (!input.typed) return true;
  if (static_cast<int>(input.dims.size()) != shape.size()) return false;
  for (size_t i = 0; i < input.dims.size(); ++i)
    if (input.dims[i] >= 0 && input.dims[i] != shape[static_cast<int>(i)]) return false;
  return true;
}

}  // namespace

lang::InputShapes input_shapes(const std::vector<lang::ModelInput>& inputs, const std::string& path,
                               int64_t batch) {
  lang::InputShapes out;
  const auto [file_path, inner] = data::split_source(path);
  // What transforms make of raw files, a loader tells.
  if (data::is_raw(data::detect_format(file_path))) return out;
  const Ref<data::DataFile> file = data::DataFile::open(file_path);
  for (const data::ArrayInfo& a : file->arrays()) {
    if (!inner.empty() && a.name != inner) continue;
    const std::string name =
        inner.empty() ? field_name(inputs, file->arrays(), a.name) : first_of(inputs);
    Shape shape = a.shape;
    if (shape.empty()) continue;
    shape[0] = std::min(batch ? batch : kBatch, shape[0]);
    for (const lang::ModelInput& input : inputs)
      if (input.name == name && fits(input, shape)) out.emplace_back(name, shape.vec());
  }
  return out;
}

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
