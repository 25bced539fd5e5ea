// DataConfig: what a config's `data:` section says, as plain values with their places.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nnm/base/diagnostic.h"
#include "nnm/base/value.h"

namespace nnm::data {

/// A value for all splits, or one a split.
template <class T>
struct PerSplit {
  std::optional<T> all;
  std::vector<std::pair<std::string, T>> by_split;
  std::vector<Span> places = {};  ///< of by_split, where a config names them
  /// The split's own, else that of all.
  std::optional<T> of(const std::string& split) const {
    for (const auto& [name, value] : by_split) {
      if (name == split) return value;
    }
    return all;
  }
};

/// A field of a split as written.
struct FieldConfig {
  std::string name;
  /// Of `fields`: one source: `file`, `file.h5:/group/dataset`, `file.csv:column`. Of `file`: names
  /// of columns or datasets. Of `random`: "f32[1000, 20]".
  std::vector<std::string> sources;
  /// Written as a list: the sources are stacked along a new axis 1.
  bool stacked = false;
  Span span;
};

struct SplitConfig {
  enum class Form : uint8_t {
    file,    ///< `path`, all of it or the columns and datasets in `fields`
    fields,  ///< each field from its own source
    text,    ///< `path`, `tokenizer`, `context`
    random,  ///< synthetic `fields` by `seed`
    split,   ///< `amount` taken out of `of` by `seed`
    folder   ///< pictures under `path`, a class a folder
  };
  std::string name;
  Form form = Form::file;
  std::string path;
  std::vector<FieldConfig> fields;
  std::string tokenizer = "char";  ///< `char`, `byte`, `bpe: FILE` (GPT-2's merges.txt)
  Span tokenizer_span = {};
  int64_t context = 256;
  double amount = 0;          ///< a share, or a number of samples
  bool amount_count = false;  ///< amount is a number of samples
  Span amount_span = {};
  std::string of = "train";
  Span of_span = {};
  uint64_t seed = 0;
  std::string folder;  ///< relative paths start here: the folder of the file with the config
  Span span;
};

struct TransformCall {
  std::string name;
  Args args;
  Span span;
  Span name_span = {};
  std::vector<Span> arg_spans = {};  ///< positional, then keyword ones
};

/// The transforms of one field; of the first one if `field` is empty.
struct FieldTransforms {
  std::string field;
  std::vector<TransformCall> calls;
  Span span;
};

struct DataConfig {
  std::vector<SplitConfig> splits;  ///< in document order
  std::vector<FieldTransforms> transforms;
  PerSplit<int64_t> batch;   ///< 1 by default, as DataLoader's batch_size
  PerSplit<bool> shuffle;    ///< `all` speaks of training; elsewhere files keep their order
  PerSplit<bool> drop_last;  ///< likewise; false by default
  PerSplit<int64_t> limit;   ///< samples
  uint64_t seed = 0;         ///< of orders and random transforms
  int workers = 1;
};

/// Keys of the `data:` section that are no splits.
const std::vector<std::string>& data_keys();

}  // namespace nnm::data
