// Forms of splits by their keys, and values for all splits or one a split.
#include "nnm/run/data_config.h"

#include <algorithm>
#include <charconv>

#include "nnm/lang/expression.h"
#include "nnm/train/attempt.h"

namespace nnm::run {

namespace {

using data::FieldConfig;
using data::PerSplit;
using data::SplitConfig;
using lang::Tree;
using train::report;

constexpr const char* kKey = "E0211";    // a key that is none
constexpr const char* kForm = "E0213";   // a value of the wrong form
constexpr const char* kValue = "E0440";  // a value that cannot be

class Reader {
 public:
  Reader(const lang::Config& config, Diagnostics& d) : config_(config), d_(d) {}

  data::DataConfig read(const Tree& section) {
    if (!section.is_map()) {
      report(d_, kForm, section.span, "`data:` is a map of splits and settings",
             "such as `train: {images: a.gz, labels: b.gz}`");
      return {};
    }
    // One seed for a whole run, unless the data have their own.
    if (const Tree* t = config_.find("train.seed"); t && !section.find("seed"))
      attempt(*t, [&] { out_.seed = static_cast<uint64_t>(constant(*t).integer()); });
    for (const Tree::Entry& e : section.entries) {
      if (e.value.is_null() || e.is_note()) continue;
      if (!setting(e)) split(e);
    }
    return std::move(out_);
  }

 private:
  template <class F>
  void attempt(const Tree& t, F&& f) {
    train::attempt(d_, kValue, t.span, std::forward<F>(f));
  }
  Value constant(const Tree& t) const { return lang::evaluate_constant(t.scalar, config_.vars()); }
  Value converted(const Tree& t, const std::string& key, const char* type) const {
    if (!t.is_scalar()) fail(ErrorKind::config, "data.{}: expected one value", key);
    try {
      return ArgType::parse(type).convert(constant(t));
    } catch (const DiagnosticError&) {
      throw;
    } catch (const Error& e) {
      throw Error(e.kind(), fmt::format("data.{}: {}", key, e.what()), e.hint());
    }
  }

  template <class T, class F>
  void per_split(const Tree::Entry& e, PerSplit<T>& into, F&& read) {
    if (!e.value.is_map()) {
      attempt(e.value, [&] { into.all = read(e.value, e.key.text()); });
      return;
    }
    for (const Tree::Entry& one : e.value.entries) {
      if (one.is_note()) continue;
      attempt(one.value, [&] {
        into.by_split.emplace_back(one.key.text(),
                                   read(one.value, e.key.text() + "." + one.key.text()));
        into.places.push_back(one.key.span());
      });
    }
  }

  bool setting(const Tree::Entry& e) {
    const std::string& key = e.key.text();
    const auto number = [this](const Tree& t, const std::string& k) {
      return converted(t, k, "int(1..)").integer();
    };
    const auto flag = [this](const Tree& t, const std::string& k) {
      return converted(t, k, "bool").boolean();
    };
    if (key == "batch") per_split(e, out_.batch, number);
    else if (key == "limit") per_split(e, out_.limit, number);
    else if (key == "shuffle") per_split(e, out_.shuffle, flag);
    else if (key == "drop_last") per_split(e, out_.drop_last, flag);
    else if (key == "seed")
      attempt(e.value, [&] {
        out_.seed = static_cast<uint64_t>(converted(e.value, key, "int(0..)").integer());
      });
    else if (key == "workers")
      attempt(e.value, [&] {
        out_.workers = static_cast<int>(converted(e.value, key, "int(0..256)").integer());
      });
    else if (key == "transform") transforms(e.value);
    else return false;
    return true;
  }

  void transforms(const Tree& t) {
    if (!t.is_map()) return transforms("", t);
    for (const Tree::Entry& e : t.entries)
      if (!e.is_note()) transforms(e.key.text(), e.value);
  }

  void transforms(const std::string& field, const Tree& t) {
    data::FieldTransforms one{field, {}, t.span};
    const auto add = [&](const Tree& item) {
      attempt(item, [&] {
        if (!item.is_scalar())
          throw Error(ErrorKind::config, "data.transform: expected a call",
                      "such as `scale(1 / 255)`");
        for (lang::CallSpec& call : lang::read_calls(item.scalar, config_.vars()))
          one.calls.push_back({call.name, std::move(call.args), call.span, call.name_span,
                               std::move(call.arg_spans)});
      });
    };
    if (t.is_list())
      for (const Tree& item : t.items) add(item);
    else add(t);
    out_.transforms.push_back(std::move(one));
  }

  static bool is_number(const Tree& t) {
    if (!t.is_scalar() || t.style != Tree::Style::plain) return false;
    double value = 0;
    const std::string& text = t.text();
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    return read.ec == std::errc() && read.ptr == text.data() + text.size();
  }

  /// The key, but what --set put under that of a file.
  static Span place_of(const Tree::Entry& e) {
    const Span key = e.key.span(), value = e.value.span;
    const bool other = key.file && value.file && key.file->path != value.file->path;
    return other ? value : key;
  }

  void split(const Tree::Entry& e) {
    if (e.value.is_list() || is_number(e.value) || e.value.text() == "true" ||
        e.value.text() == "false") {
      report(d_, kKey, e.key.span(), fmt::format("unknown key `{}` in `data:`", e.key.text()),
             did_you_mean(e.key.text(), data::data_keys(), "a split is a file, or a map"));
      return;
    }
    // It stands in metrics.csv.
    const auto bad = [](unsigned char c) { return c < ' ' || c == ',' || c == '"'; };
    if (e.key.text().empty() || std::any_of(e.key.text().begin(), e.key.text().end(), bad))
      report(d_, kValue, e.key.span(), "the name of a split is a word, without `,` and quotes",
             "such as `val: {split: 0.1}`");
    SplitConfig s;
    s.name = e.key.text();
    s.span = place_of(e);
    if (e.value.is_scalar()) {
      s.path = path(e.value);
    } else if (SplitConfig read = s; form(e.value, read)) {
      s = std::move(read);
    }
    // One that cannot be read stays known by its name.
    out_.splits.push_back(std::move(s));
  }

  // The text of a scalar, its `${…}` replaced by their values.
  std::string text(const Tree& t) {
    if (!t.is_scalar()) fail(ErrorKind::config, "expected text");
    return lang::evaluate_text(t.scalar, config_.vars());
  }
  std::string path(const Tree& t) {
    Tree expanded = t;
    const std::string plain = text(t);
    if (plain != t.text()) expanded.scalar = lang::Located(plain, t.scalar.file(), 0);
    return config_.resolve_path(expanded);
  }

  // `char`, `byte`, or `bpe: FILE` as a map or a text.
  std::string tokenizer(const Tree& t) {
    if (const Tree* merges = t.is_map() ? t.find("bpe") : nullptr) return "bpe:" + path(*merges);
    std::string kind = text(t);
    if (!kind.starts_with("bpe:")) return kind;
    Tree file = t;
    const size_t start = std::min(kind.find_first_not_of(' ', 4), kind.size());
    file.scalar = lang::Located(kind.substr(start), t.scalar.file(), 0);
    return "bpe:" + path(file);
  }

  bool form(const Tree& t, SplitConfig& s) {
    using Form = SplitConfig::Form;
    static const std::vector<std::pair<const char*, Form>> kForms = {
        {"split", Form::split}, {"text", Form::text},     {"folder", Form::folder},
        {"file", Form::file},   {"random", Form::random}, {"fields", Form::fields}};
    bool good = true;
    for (const auto& [key, form] : kForms) {
      const Tree* value = t.find(key);
      if (!value) continue;
      s.form = form;
      for (const Tree::Entry& e : t.entries)
        good &= e.is_note() ||
                train::attempt(d_, kValue, e.value.span, [&, key = key] { form_key(e, key, s); });
      return good;
    }
    s.form = Form::fields;
    for (const Tree::Entry& e : t.entries)
      good &= e.is_note() || train::attempt(d_, kValue, e.value.span, [&] { field(e, s, true); });
    return good;
  }

  // One key of a split whose form is called `form`.
  void form_key(const Tree::Entry& e, const std::string& form, SplitConfig& s) {
    const std::string& key = e.key.text();
    const std::string full = s.name + "." + key;
    if (key == form) {
      if (form == "split") amount(e.value, full, s);
      else if (form == "random" || form == "fields") fields(e.value, full, s, form == "fields");
      else s.path = path(e.value);
    } else if (key == "seed" && (form == "split" || form == "random")) {
      s.seed = static_cast<uint64_t>(converted(e.value, full, "int(0..)").integer());
    } else if (key == "of" && form == "split") {
      s.of = text(e.value);
      s.of_span = e.value.span;
    } else if (key == "tokenizer" && form == "text") {
      s.tokenizer = tokenizer(e.value);
      s.tokenizer_span = e.value.span;
    } else if (key == "context" && form == "text") {
      s.context = converted(e.value, full, "int(1..)").integer();
    } else if (form == "file") {
      field(e, s, false);
    } else {
      unknown(e, form);
    }
  }

  [[noreturn]] void unknown(const Tree::Entry& e, const std::string& form) {
    std::vector<std::string> keys = {form};
    if (form == "split") keys = {"split", "seed", "of"};
    if (form == "random") keys = {"random", "seed"};
    if (form == "text") keys = {"text", "tokenizer", "context"};
    Diagnostics d;
    report(d, kKey, e.key.span(), fmt::format("unknown key `{}` beside `{}`", e.key.text(), form),
           did_you_mean(e.key.text(), keys, fmt::format("there is {}", fmt::join(keys, ", "))));
    throw DiagnosticError(std::move(d));
  }

  void amount(const Tree& t, const std::string& key, SplitConfig& s) {
    const Value v = converted(t, key, "float(>0)");
    s.amount_count = constant(t).is(Value::Kind::integer);
    s.amount = v.real();
    s.amount_span = t.span;
    if (!s.amount_count && s.amount >= 1)
      throw Error(ErrorKind::config,
                  fmt::format("data.{}: a share is below 1, got {}", key, v.config_text()),
                  "a whole number counts samples");
  }

  void fields(const Tree& t, const std::string& key, SplitConfig& s, bool paths) {
    if (!t.is_map()) fail(ErrorKind::config, "data.{}: expected a map of fields", key);
    for (const Tree::Entry& e : t.entries) field(e, s, paths);
  }

  void field(const Tree::Entry& e, SplitConfig& s, bool paths) {
    FieldConfig f{e.key.text(), {}, e.value.is_list(), place_of(e)};
    const auto add = [&](const Tree& t) {
      if (!t.is_scalar())
        throw Error(
            ErrorKind::config, fmt::format("field {} of data.{}: expected a file", f.name, s.name),
            "options of a split stand beside `file`, `fields`, `text`, `random` or `split`");
      f.sources.push_back(paths ? path(t) : text(t));
    };
    if (f.stacked)
      for (const Tree& item : e.value.items) add(item);
    else add(e.value);
    s.fields.push_back(std::move(f));
  }

  const lang::Config& config_;
  Diagnostics& d_;
  data::DataConfig out_;
};

}  // namespace

data::DataConfig read_data(const lang::Config& config, Diagnostics& d) {
  const Tree* section = config.find("data");
  if (!section || section->is_null()) return {};
  return Reader(config, d).read(*section);
}

}  // namespace nnm::run
