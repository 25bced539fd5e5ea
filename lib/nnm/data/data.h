// Data: the splits of a config, known from their headers, read when they are asked for.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "nnm/data/config.h"
#include "nnm/data/file.h"
#include "nnm/data/loader.h"
#include "nnm/data/text.h"

namespace nnm::data {

/// What a split holds, before its data are read.
struct SplitInfo {
  std::vector<FieldInfo> fields;  ///< as they leave their transforms
  int64_t samples = 0;            ///< of a text: consecutive windows
  std::string tokenizer;          ///< of a text
  int64_t vocab = 0;              ///< of a text
};

/// A split that cannot be taken out of another one, and where its size stands.
struct SizeError : Error {
  SizeError(const std::string& what, Span at) : Error(ErrorKind::input_file, what), span(at) {}
  Span span;
};

/// A field that is wanted, and the type that the model wants it in (none: its own).
struct FieldWish {
  std::string name;
  std::optional<DType> dtype;
};

struct LoadOptions {
  /// Random transforms act, order is shuffled unless the config says otherwise, texts give random
  /// windows; by default of the split `train` alone.
  std::optional<bool> training;
  std::optional<int64_t> batch;   ///< instead of the config's
  std::vector<FieldWish> fields;  ///< empty: all of them
};

/// The `data:` section at work. Errors of the config are DiagnosticErrors with their places (Error
/// (config) where it has none), those of files Error(input_file). For one thread.
class Data {
 public:
  /// Checks all that needs no file: forms, names of splits and transforms, their arguments.
  explicit Data(DataConfig config);

  const DataConfig& config() const { return config_; }
  /// In document order.
  std::vector<std::string> splits() const;
  bool has(const std::string& split) const;
  /// Types, shapes and sizes, from the headers of files (CSV and text files are read). Files of
  /// other splits are left alone.
  SplitInfo peek(const std::string& split);
  /// Reads the split. Files are read once, whatever splits come from them.
  Ref<Dataset> open(const std::string& split);
  /// Batches of a split.
  std::unique_ptr<Loader> loader(const std::string& split, const LoadOptions& options = {});
  /// The tokenizer of a text split.
  const Tokenizer& tokenizer(const std::string& split);
  /// The pipelines that a split's fields go through.
  std::vector<FieldPlan> plans(const std::vector<FieldInfo>& fields,
                               const std::vector<FieldWish>& wishes = {}) const;
  /// Whether all files that a split names are there.
  bool files_exist(const std::string& split) const;

 private:
  struct Text {
    std::string bytes;
    Tokenizer tokenizer;
    Tensor tokens;
  };
  /// A field to be: arrays, as (path, name in the file), stacked if there are several.
  struct Origin {
    std::string name;
    std::vector<std::pair<std::string, std::string>> arrays;
    bool stacked = false;
    std::string source;
  };
  const SplitConfig& find(const std::string& split) const;
  void check(Diagnostics& d) const;
  void make_transforms(Diagnostics& d);
  /// Throws where a list of transforms names none of the fields.
  void check_fields(const std::vector<FieldInfo>& fields) const;
  DataFile& file(const std::string& path);
  Tensor array(const std::string& path, const std::string& name);
  Text& text(const SplitConfig& s);
  std::vector<Origin> origins(const SplitConfig& s);
  SplitInfo peek_arrays(const SplitConfig& s);
  /// The split that the files belong to: s, or what it is taken from.
  const SplitConfig& root(const SplitConfig& s) const;
  /// How many of `available` samples s takes.
  int64_t taken(const SplitConfig& s, int64_t available) const;
  /// Samples of s before others take of it, of so many in its root.
  int64_t samples_of(const SplitConfig& s, int64_t in_root) const;
  Ref<Dataset> read(const SplitConfig& s);
  Ref<Dataset> whole(const SplitConfig& s);

  DataConfig config_;
  /// Beside config_.transforms.
  std::vector<std::vector<Ref<Transform>>> transforms_;
  std::map<std::string, Ref<DataFile>> files_;
  std::map<std::pair<std::string, std::string>, Tensor> arrays_;
  std::map<std::string, Text> texts_;
  std::map<std::string, Ref<Dataset>> read_;    // as the files have them
  std::map<std::string, Ref<Dataset>> shares_;  // what splits took out of others
  std::map<std::string, Ref<Dataset>> whole_;   // without what others took, before limits
};

/// All arrays of a file as a dataset, for inputs given on the command line; `unnamed` is the field
/// of a file whose only array has no name.
Ref<Dataset> read_dataset(const std::string& path, const std::string& unnamed = "x");

}  // namespace nnm::data
