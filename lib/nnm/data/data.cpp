// The splits of a config: checked, known from headers, read, divided, limited.
#include "nnm/data/data.h"

#include <algorithm>
#include <filesystem>

#include "nnm/base/file.h"
#include "nnm/base/signature.h"
#include "nnm/data/bytes.h"
#include "nnm/data/convert.h"
#include "nnm/data/picture.h"

namespace nnm::data {
namespace {

constexpr size_t kMaxText = size_t{4} << 30;
// Of all faults in the section.
constexpr const char* kCode = "E0440";

std::string joined(const std::string& folder, const std::string& path) {
  return folder.empty() || path.empty() || path[0] == '/' ? path : folder + "/" + path;
}

std::string suggestion(const std::string& name, const std::vector<std::string>& names,
                       const char* what) {
  return did_you_mean(name, names,
                      names.empty() ? fmt::format("there are no {}", what)
                                    : fmt::format("the {} are {}", what, fmt::join(names, ", ")));
}

std::vector<std::string> names_of(const std::vector<FieldInfo>& fields) {
  std::vector<std::string> names;
  for (const FieldInfo& f : fields) names.push_back(f.name);
  return names;
}

// Arrays (N, …) of one shape to (N, k, …), of the type that holds them all.
Tensor stacked(const std::string& field, const Tensors& parts) {
  DType dtype = parts[0].dtype();
  for (const Tensor& p : parts) {
    dtype = promote_types(dtype, p.dtype());
    NNM_CHECK(p.dim() >= 1 && p.shape() == parts[0].shape(), input_file,
              "field `{}`: arrays of sizes {} and {} cannot be stacked", field,
              parts[0].shape().str(), p.shape().str());
  }
  Shape shape = parts[0].shape();
  shape.insert(1, static_cast<int64_t>(parts.size()));
  Tensor out = empty(shape, {dtype});
  const int64_t rows = shape[0], row = rows ? parts[0].numel() / rows : 0;
  const auto width = static_cast<int64_t>(item_size(dtype)) * row;
  for (size_t k = 0; k < parts.size(); ++k) {
    const auto from = static_cast<int64_t>(item_size(parts[k].dtype())) * row;
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t at = r * static_cast<int64_t>(parts.size()) + static_cast<int64_t>(k);
      convert(parts[k].dtype(), parts[k].data<char>() + r * from, dtype,
              out.data<char>() + at * width, row);
    }
  }
  return out;
}

template <class T>
void check_per_split(const PerSplit<T>& values, const char* key, T least,
                     const std::vector<std::string>& splits, Diagnostics& d) {
  auto check_value = [&](T v, const Span& at) {
    if (v < least) {
      d.add({kCode, fmt::format("data.{} must be at least {}, got {}", key, least, v), at, {}, {}});
    }
  };
  if (values.all) check_value(*values.all, {});
  for (size_t i = 0; i < values.by_split.size(); ++i) {
    const auto& [split, value] = values.by_split[i];
    const Span at = i < values.places.size() ? values.places[i] : Span();
    check_value(value, at);
    if (std::find(splits.begin(), splits.end(), split) != splits.end()) continue;
    d.add({kCode,
           fmt::format("data.{} names no split: `{}`", key, split),
           at,
           suggestion(split, splits, "splits"),
           {}});
  }
}

// Synthetic fields are as long as the config says.
void check_random(const SplitConfig& s, Diagnostics& d) {
  const FieldConfig* first = nullptr;
  int64_t samples = 0;
  for (const FieldConfig& f : s.fields) {
    const Span& at = f.span ? f.span : s.span;
    try {
      const RandomSpec spec = parse_random(f.name, f.sources.at(0));
      if (!first) samples = spec.shape[0];
      else if (spec.shape[0] != samples)
        d.add({kCode,
               fmt::format("fields of one split must have equal lengths: `{}` has {} samples, `{}` "
                           "has {}",
                           first->name, samples, f.name, spec.shape[0]),
               at,
               {},
               {}});
      if (!first) first = &f;
    } catch (const Error& e) {
      d.add({kCode, e.what(), at, e.hint(), {}});
    }
  }
}

// What torchvision has and a config says in another way.
std::string transform_advice(const std::string& name) {
  if (name == "ToTensor" || name == "to_tensor")
    return "samples are tensors already: `scale(1 / 255)` brings bytes to 0..1";
  if (name == "Compose" || name == "compose") return "the list is the composition";
  return fmt::format("there are {}", fmt::join(Registry<Transform>::names(), ", "));
}

// At the argument that is meant, else at the name.
Span place_in(const TransformCall& call, const BindError& e) {
  const size_t positional = call.args.pos.size();
  size_t at = call.arg_spans.size();
  if (e.position >= 0) at = static_cast<size_t>(e.position);
  for (size_t i = 0; e.position < 0 && i < call.args.kw.size(); ++i)
    if (call.args.kw[i].first == e.name) at = positional + i;
  if (at < call.arg_spans.size()) return call.arg_spans[at];
  return call.name_span ? call.name_span : call.span;
}

}  // namespace

const std::vector<std::string>& data_keys() {
  static const std::vector<std::string> keys{"transform", "batch", "shuffle", "drop_last",
                                             "limit",     "seed",  "workers"};
  return keys;
}

Data::Data(DataConfig config) : config_(std::move(config)) {
  Diagnostics d;
  check(d);
  make_transforms(d);
  d.throw_if_errors();
}

std::vector<std::string> Data::splits() const {
  std::vector<std::string> names;
  for (const SplitConfig& s : config_.splits) names.push_back(s.name);
  return names;
}

bool Data::has(const std::string& split) const {
  const auto names = splits();
  return std::find(names.begin(), names.end(), split) != names.end();
}

const SplitConfig& Data::find(const std::string& split) const {
  for (const SplitConfig& s : config_.splits) {
    if (s.name == split) return s;
  }
  throw Error(ErrorKind::config, fmt::format("the data have no split `{}`", split),
              suggestion(split, splits(), "splits"));
}

void Data::check(Diagnostics& d) const {
  const std::vector<std::string> names = splits();
  for (const SplitConfig& s : config_.splits) {
    auto error = [&](std::string message, std::string help = {}, Span at = {}) {
      d.add({kCode, "data." + s.name + ": " + message, at ? at : s.span, std::move(help), {}});
    };
    if (std::count(names.begin(), names.end(), s.name) > 1) error("the split is there twice");
    if (s.form == SplitConfig::Form::text) {
      if (s.context < 1) error("context must be at least 1");
      if (s.tokenizer != "char" && s.tokenizer != "byte" && !s.tokenizer.starts_with("bpe:"))
        error(fmt::format("unknown tokenizer `{}`", s.tokenizer),
              s.tokenizer == "bpe" ? "name the file of merges: `bpe: merges.txt`"
                                   : "nnm has the tokenizers char, byte and `bpe: FILE`",
              s.tokenizer_span);
    }
    if (s.form == SplitConfig::Form::random) check_random(s, d);
    if (s.form != SplitConfig::Form::split) continue;
    if (s.amount_count ? s.amount < 1 : !(s.amount > 0 && s.amount < 1)) {
      error("`split` is a share between 0 and 1, or a number of samples");
    }
    // What a split is taken from must end at one that has data of its own.
    const SplitConfig* from = &s;
    for (size_t i = 0; from && from->form == SplitConfig::Form::split; ++i) {
      const std::string of = from->of;
      const auto next = std::find(names.begin(), names.end(), of);
      if (next == names.end()) {
        if (i == 0)
          error(fmt::format("there is no split `{}` to take it from", of),
                suggestion(of, names, "splits"), s.of_span);
        break;
      }
      if (i > names.size()) {
        error("the split is taken from itself", {}, s.of_span);
        break;
      }
      from = &config_.splits[static_cast<size_t>(next - names.begin())];
    }
  }
  check_per_split<int64_t>(config_.batch, "batch", 1, names, d);
  check_per_split<int64_t>(config_.limit, "limit", 1, names, d);
  check_per_split<bool>(config_.shuffle, "shuffle", false, names, d);
  check_per_split<bool>(config_.drop_last, "drop_last", false, names, d);
}

void Data::make_transforms(Diagnostics& d) {
  for (const FieldTransforms& list : config_.transforms) {
    transforms_.emplace_back();
    for (const TransformCall& call : list.calls) {
      const auto* entry = Registry<Transform>::find(call.name);
      try {
        transforms_.back().push_back(Registry<Transform>::make(call.name, call.args));
      } catch (const BindError& e) {
        e.each([&](const BindError& one) {
          d.add({kCode,
                 one.what(),
                 place_in(call, one),
                 one.hint(),
                 {{entry->signature().text(), {}}}});
        });
      } catch (const Error& e) {
        if (entry) {
          d.add({kCode, e.what(), call.span, e.hint(), {{entry->signature().text(), {}}}});
        } else {
          const std::string help = e.hint().empty() ? transform_advice(call.name) : e.hint();
          d.add({kCode, e.what(), call.name_span ? call.name_span : call.span, help, {}});
        }
      }
    }
  }
}

DataFile& Data::file(const std::string& path) {
  Ref<DataFile>& f = files_[path];
  if (!f) f = DataFile::open(path);
  return *f;
}

Tensor Data::array(const std::string& path, const std::string& name) {
  Tensor& t = arrays_[{path, name}];
  if (!t.defined()) t = file(path).read(name);
  return t;
}

namespace {

/// The file of a `bpe: FILE` tokenizer, as it is written; "" for other ones.
std::string merges_of(const SplitConfig& s) {
  const size_t file = s.tokenizer.find_first_not_of(' ', 4);
  return s.tokenizer.starts_with("bpe:") && file != std::string::npos ? s.tokenizer.substr(file)
                                                                      : "";
}

}  // namespace

Data::Text& Data::text(const SplitConfig& s) {
  Text& t = texts_[s.name];
  if (t.tokens.defined()) return t;
  const std::string path = joined(s.folder, s.path);
  const std::string bytes = ByteReader(path).read_rest(kMaxText);
  // All texts speak the language of the training text.
  const SplitConfig* teacher = &s;
  for (const SplitConfig& o : config_.splits) {
    if (o.name == "train" && o.form == s.form && o.tokenizer == s.tokenizer) teacher = &o;
  }
  std::string kind = s.tokenizer;
  if (const std::string merges = merges_of(s); !merges.empty())
    kind = "bpe:" + joined(s.folder, merges);
  t.tokenizer = teacher == &s ? Tokenizer(kind, bytes, path) : text(*teacher).tokenizer;
  t.tokens = t.tokenizer.encode(bytes, path);
  return t;
}

bool Data::files_exist(const std::string& split) const {
  const SplitConfig& s = root(find(split));
  const auto there = [&](const std::string& source) {
    std::error_code ignored;
    return source.empty() ||
           std::filesystem::exists(split_source(joined(s.folder, source)).first, ignored);
  };
  const auto all_there = [&](const FieldConfig& f) {
    return std::all_of(f.sources.begin(), f.sources.end(), there);
  };
  if (s.form == SplitConfig::Form::fields)
    return std::all_of(s.fields.begin(), s.fields.end(), all_there);
  return there(s.path) && there(merges_of(s));
}

std::vector<Data::Origin> Data::origins(const SplitConfig& s) {
  std::vector<Origin> out;
  if (s.form == SplitConfig::Form::fields) {
    for (const FieldConfig& f : s.fields) {
      Origin o{f.name, {}, f.stacked, {}};
      for (const std::string& source : f.sources) {
        o.arrays.push_back(split_source(joined(s.folder, source)));
        o.source += (o.source.empty() ? "" : ", ") + joined(s.folder, source);
      }
      out.push_back(std::move(o));
    }
    return out;
  }
  const auto [path, inner] = split_source(joined(s.folder, s.path));
  for (const FieldConfig& f : s.fields) {
    Origin o{f.name, {}, f.stacked, fmt::format("{}:{}", path, fmt::join(f.sources, ","))};
    for (const std::string& name : f.sources) o.arrays.emplace_back(path, name);
    out.push_back(std::move(o));
  }
  if (!out.empty()) return out;
  if (!inner.empty()) return {{inner.substr(inner.rfind('/') + 1), {{path, inner}}, false, s.path}};
  for (const ArrayInfo& a : file(path).arrays()) {
    const std::string source = a.name.empty() ? path : path + ":" + a.name;
    out.push_back({a.name.empty() ? "x" : a.name, {{path, a.name}}, false, source});
  }
  NNM_CHECK(!out.empty(), input_file, "{} holds no arrays of numbers", path);
  return out;
}

SplitInfo Data::peek_arrays(const SplitConfig& s) {
  SplitInfo info;
  std::vector<std::pair<std::string, int64_t>> lengths;
  auto add = [&](const std::string& name, DType dtype, const Shape& shape,
                 const std::string& source) {
    info.fields.push_back(field_of(name, dtype, shape, source));
    lengths.emplace_back(name, shape[0]);
  };
  if (s.form == SplitConfig::Form::random) {
    for (const FieldConfig& f : s.fields) {
      const RandomSpec spec = parse_random(f.name, f.sources.at(0));
      add(f.name, spec.dtype, spec.shape, "");
    }
  } else {
    for (const Origin& o : origins(s)) {
      ArrayInfo first = file(o.arrays.at(0).first).peek(o.arrays[0].second);
      for (size_t k = 1; k < o.arrays.size(); ++k) {
        const ArrayInfo a = file(o.arrays[k].first).peek(o.arrays[k].second);
        first.dtype = promote_types(first.dtype, a.dtype);
      }
      if (o.stacked && !first.shape.empty()) {
        first.shape.insert(1, static_cast<int64_t>(o.arrays.size()));
      }
      add(o.name, first.dtype, first.shape, o.source);
    }
  }
  NNM_CHECK(!lengths.empty(), config, "data.{} has no fields", s.name);
  check_lengths(lengths);
  info.samples = lengths[0].second;
  return info;
}

const SplitConfig& Data::root(const SplitConfig& s) const {
  return s.form == SplitConfig::Form::split ? root(find(s.of)) : s;
}

int64_t Data::taken(const SplitConfig& s, int64_t available) const {
  const int64_t n = s.amount_count ? static_cast<int64_t>(s.amount) : share_of(available, s.amount);
  if (n < 1 || n >= available)
    throw SizeError(
        fmt::format("data.{}: {} of the {} samples of `{}` are {}", s.name, n, available, s.of,
                    n < 1 ? "no split" : "all of them, which leaves none"),
        s.amount_span ? s.amount_span : s.span);
  return n;
}

int64_t Data::samples_of(const SplitConfig& s, int64_t in_root) const {
  int64_t n = in_root;
  if (s.form == SplitConfig::Form::split) {
    // What the base had when the turn of this split came.
    const SplitConfig& base = find(s.of);
    n = base.form == SplitConfig::Form::split ? samples_of(base, in_root) : in_root;
    for (const SplitConfig& o : config_.splits) {
      if (o.form != SplitConfig::Form::split || o.of != s.of) continue;
      const int64_t t = taken(o, n);
      if (o.name == s.name) return t;
      n -= t;
    }
  }
  return n;
}

SplitInfo Data::peek(const std::string& name) {
  const SplitConfig& s = find(name);
  const SplitConfig& base = root(s);
  SplitInfo info;
  if (base.form == SplitConfig::Form::text || base.form == SplitConfig::Form::folder) {
    const Ref<Dataset> data = whole(s);
    info.fields = data->fields();
    info.samples = data->size();
    if (base.form == SplitConfig::Form::text) {
      info.tokenizer = base.tokenizer;
      info.vocab = tokenizer(name).vocab();
    }
  } else {
    info = peek_arrays(base);
    info.samples = samples_of(s, info.samples);
    for (const SplitConfig& o : config_.splits) {
      if (o.form == SplitConfig::Form::split && o.of == name)
        info.samples -= taken(o, info.samples);
    }
  }
  if (const auto limit = config_.limit.of(name)) info.samples = std::min(info.samples, *limit);
  NNM_CHECK(info.samples > 0, input_file, "data.{} has no samples", name);
  // Other splits may lack a field, such as unlabelled ones.
  if (name == config_.splits[0].name) check_fields(info.fields);
  for (const FieldPlan& plan : plans(info.fields)) {
    FieldInfo& f = info.fields[static_cast<size_t>(plan.field)];
    const SampleType out = pipeline_of(f, plan.pipeline).output();
    f.dtype = out.dtype;
    f.shape = out.shape;
  }
  return info;
}

void Data::check_fields(const std::vector<FieldInfo>& fields) const {
  const std::vector<std::string> names = names_of(fields);
  Diagnostics d;
  for (const FieldTransforms& list : config_.transforms) {
    if (list.field.empty() || std::find(names.begin(), names.end(), list.field) != names.end()) {
      continue;
    }
    d.add({kCode,
           fmt::format("data.transform names no field: `{}`", list.field),
           list.span,
           suggestion(list.field, names, "fields"),
           {}});
  }
  d.throw_if_errors();
}

Ref<Dataset> Data::read(const SplitConfig& s) {
  Ref<Dataset>& data = read_[s.name];
  if (data) return data;
  if (s.form == SplitConfig::Form::text) {
    return data = make_text(text(s).tokens, s.context, joined(s.folder, s.path));
  }
  if (s.form == SplitConfig::Form::folder) return data = open_folder(joined(s.folder, s.path));
  peek_arrays(s);
  std::vector<Field> fields;
  if (s.form == SplitConfig::Form::random) {
    for (const FieldConfig& f : s.fields) {
      fields.push_back(
          {f.name, make_random(f.name, parse_random(f.name, f.sources.at(0)), s.seed), ""});
    }
  } else {
    for (const Origin& o : origins(s)) {
      Tensors parts;
      for (const auto& [path, inner] : o.arrays) parts.push_back(array(path, inner));
      fields.push_back({o.name, o.stacked ? stacked(o.name, parts) : parts.at(0), o.source});
    }
  }
  return data = make_arrays(std::move(fields));
}

Ref<Dataset> Data::whole(const SplitConfig& s) {
  if (const auto known = whole_.find(s.name); known != whole_.end()) return known->second;
  // A split that is taken out gets its share when its base is divided.
  if (s.form == SplitConfig::Form::split) {
    const SplitConfig& base = find(s.of);
    whole(base);
    if (const auto known = whole_.find(s.name); known != whole_.end()) return known->second;
  }
  Ref<Dataset> rest = s.form == SplitConfig::Form::split ? shares_.at(s.name) : read(s);
  for (const SplitConfig& o : config_.splits) {
    if (o.form != SplitConfig::Form::split || o.of != s.name) continue;
    auto [share, left] = rest->split(taken(o, rest->size()), o.seed);
    shares_[o.name] = std::move(share);
    rest = std::move(left);
  }
  return whole_[s.name] = rest;
}

Ref<Dataset> Data::open(const std::string& name) {
  Ref<Dataset> data = whole(find(name));
  if (const auto limit = config_.limit.of(name)) data = data->head(*limit);
  NNM_CHECK(data->size() > 0, input_file, "data.{} has no samples", name);
  return data;
}

const Tokenizer& Data::tokenizer(const std::string& name) {
  const SplitConfig& s = root(find(name));
  NNM_CHECK(s.form == SplitConfig::Form::text, config, "data.{} is no text and has no tokenizer",
            name);
  return text(s).tokenizer;
}

std::vector<FieldPlan> Data::plans(const std::vector<FieldInfo>& fields,
                                   const std::vector<FieldWish>& wishes) const {
  const std::vector<std::string> names = names_of(fields);
  auto index = [&](const std::string& name) {
    const auto at = std::find(names.begin(), names.end(), name);
    return at == names.end() ? -1 : static_cast<int>(at - names.begin());
  };
  std::vector<FieldPlan> out;
  for (const FieldWish& w : wishes) {
    out.push_back({index(w.name), {{}, w.dtype}});
    NNM_CHECK(out.back().field >= 0, value, "the data have no field `{}`; {}", w.name,
              suggestion(w.name, names, "fields"));
  }
  for (int f = 0; wishes.empty() && f < static_cast<int>(fields.size()); ++f)
    out.push_back({f, {}});
  for (size_t t = 0; t < transforms_.size(); ++t) {
    const FieldTransforms& list = config_.transforms[t];
    const int field = list.field.empty() ? 0 : index(list.field);
    for (FieldPlan& plan : out) {
      if (plan.field == field) plan.pipeline.transforms = transforms_[t];
    }
  }
  return out;
}

std::unique_ptr<Loader> Data::loader(const std::string& name, const LoadOptions& options) {
  const Ref<Dataset> data = open(name);
  LoaderOptions o;
  o.training = options.training.value_or(name == "train");
  o.batch = options.batch ? *options.batch : config_.batch.of(name).value_or(1);
  // Outside of training every sample counts once, in file order.
  o.shuffle = o.training && config_.shuffle.of(name).value_or(true);
  o.drop_last = o.training && config_.drop_last.of(name).value_or(false);
  o.seed = config_.seed;
  o.workers = config_.workers;
  o.fields = plans(data->fields(), options.fields);
  return std::make_unique<Loader>(data, std::move(o));
}

Ref<Dataset> read_dataset(const std::string& path, const std::string& unnamed) {
  const auto [file_path, inner] = split_source(path);
  const Ref<DataFile> file = DataFile::open(file_path);
  std::vector<Field> fields;
  if (!inner.empty()) {
    fields.push_back({inner.substr(inner.rfind('/') + 1), file->read(inner), path});
  } else {
    for (const ArrayInfo& a : file->arrays()) {
      fields.push_back({a.name.empty() ? unnamed : a.name, file->read(a.name), path});
    }
  }
  NNM_CHECK(!fields.empty(), input_file, "{} holds no arrays of numbers", path);
  return make_arrays(std::move(fields));
}

}  // namespace nnm::data
