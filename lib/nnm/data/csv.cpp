// CSV files with a header line: reading and writing.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "nnm/base/file.h"
#include "nnm/base/text.h"
#include "nnm/data/bytes.h"
#include "nnm/data/file.h"

namespace nnm::data {
namespace {

constexpr size_t kMaxBytes = size_t{16} << 30;
constexpr size_t kShown = 60;  // of a field, in messages

struct Column {
  std::string name;
  std::vector<double> values;
  bool integers = true;
  std::string problem;  // the first entry that is no number, with its place
};

/// The first of these that stands in the header, what is quoted aside.
char separator_of(std::string_view text) {
  std::string bare;
  bool quoted = false;
  for (const char c : text) {
    if (c == '\n' && !quoted) break;
    if (c == '"') quoted = !quoted;
    else if (!quoted) bare += c;
  }
  for (const char c : {',', ';', '\t'}) {
    if (bare.find(c) != std::string::npos) return c;
  }
  return ',';
}

std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\r')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\r')) s.remove_suffix(1);
  return s;
}

// Takes the fields of a record from the front of a text, one by one, and the record's end.
class Fields {
 public:
  Fields(std::string_view& rest, char separator) : rest_(rest), separator_(separator) {}
  // False after the last one. What it gives holds until the next call.
  bool next(std::string_view& field) {
    if (done_) return false;
    size_t from = 0;
    const size_t quote = rest_.find_first_not_of(' ');
    if (quote != rest_.npos && rest_[quote] == '"') {
      const size_t end = closing(quote + 1);
      open_ = end == rest_.npos;
      if (open_) return false;
      field = unescaped(rest_.substr(quote + 1, end - quote - 1));
      from = end + 1;
    }
    size_t at = from;
    while (at < rest_.size() && rest_[at] != separator_ && rest_[at] != '\n') ++at;
    const std::string_view bare = trim(rest_.substr(from, at - from));
    if (from == 0) field = bare;
    else if (!bare.empty()) behind_ = bare;
    done_ = at == rest_.size() || rest_[at] == '\n';
    rest_.remove_prefix(std::min(at + 1, rest_.size()));
    return true;
  }
  // Whether it ended within quotes.
  bool open() const { return open_; }
  // The last text that stood between a closing quote and the next separator.
  std::string_view behind_quotes() const { return behind_; }

 private:
  // A doubled quote stands for one and does not close.
  size_t closing(size_t from) const {
    size_t end = rest_.find('"', from);
    while (end != rest_.npos && end + 1 < rest_.size() && rest_[end + 1] == '"') {
      end = rest_.find('"', end + 2);
    }
    return end;
  }
  std::string_view unescaped(std::string_view field) {
    if (field.find('"') == field.npos) return field;
    text_.clear();
    for (size_t i = 0; i < field.size(); ++i) {
      text_ += field[i];
      if (field[i] == '"') ++i;
    }
    return text_;
  }
  std::string_view& rest_;
  const char separator_;
  std::string text_;
  std::string_view behind_;
  bool done_ = false, open_ = false;
};

/// What is wrong with a field that is to be a number: "" if nothing is.
std::string_view read_number(std::string_view field, double& v, bool& integer) {
  if (!field.empty() && field[0] == '+') field.remove_prefix(1);
  const char *begin = field.data(), *stop = begin + field.size();
  auto [end, ec] = std::from_chars(begin, stop, v);
  if (ec == std::errc::result_out_of_range) {
    // Beyond a double: what is too small is 0, as in Python.
    long double wide = HUGE_VALL;
    std::from_chars(begin, stop, wide);
    if (std::fabs(wide) > 1) return "is too large for a number";
    v = 0;
  } else if (ec != std::errc()) {
    return "is not a number";
  }
  if (end != stop) return "is not a number";
  integer = field.find_first_not_of("-0123456789") == field.npos && std::fabs(v) < 9e15;
  return "";
}

class Csv final : public DataFile {
 public:
  explicit Csv(const std::string& path) : DataFile(path, Format::csv) {
    std::string text = ByteReader(path).read_rest(kMaxBytes);
    // Lines that end in a carriage return alone, as spreadsheets of the Macintosh write them.
    if (text.find('\n') == text.npos) std::replace(text.begin(), text.end(), '\r', '\n');
    std::string_view rest = text;
    if (rest.substr(0, 3) == "\xef\xbb\xbf") rest.remove_prefix(3);
    char separator = ',';
    for (int64_t number = 1; !rest.empty();) {
      const std::string_view before = rest;
      if (const size_t end = rest.find('\n'); trim(rest.substr(0, end)).empty()) {
        rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
      } else if (columns_.empty()) {
        separator = separator_of(rest);
        read_header(number, rest, separator);
      } else {
        read_row(number, rest, separator);
      }
      const std::string_view read = before.substr(0, before.size() - rest.size());
      number += std::count(read.begin(), read.end(), '\n');
    }
    NNM_CHECK(!columns_.empty(), input_file, "{} has no header line", path);
    for (Column& c : columns_) {
      const DType dtype = c.integers ? DType::i64 : DType::f64;
      tensors_.push_back(
          tensor_of<double>(c.values, {static_cast<int64_t>(c.values.size())}, {dtype}));
      arrays_.push_back({c.name, dtype, tensors_.back().shape()});
      c.values = {};
    }
  }
  Tensor read(const std::string& name) const override {
    peek_inside(name);
    return tensors_[find(name)];
  }

 protected:
  ArrayInfo peek_inside(const std::string& name) const override {
    const size_t i = find(name);
    NNM_CHECK(columns_[i].problem.empty(), input_file, "{}", columns_[i].problem);
    return arrays_[i];
  }

 private:
  void read_header(int64_t number, std::string_view& rest, char separator) {
    Fields fields(rest, separator);
    bool numbers = true;
    for (std::string_view f; fields.next(f);) {
      double v;
      bool integer;
      numbers = numbers && read_number(f, v, integer).empty();
      NNM_CHECK(is_utf8(f), input_file, "{}:{}: the header is not UTF-8 text", path_, number);
      for (const Column& c : columns_) {
        NNM_CHECK(c.name != f, input_file, "{}:{}: two columns are named `{}`", path_, number, f);
      }
      columns_.push_back({std::string(f), {}, true, {}});
    }
    check_closed(fields, number);
    if (!numbers) return;
    throw Error(ErrorKind::input_file,
                fmt::format("{}:{}: the first line holds numbers where names of columns are "
                            "expected",
                            path_, number),
                "add a header line such as `a,b,label`");
  }
  void check_closed(const Fields& fields, int64_t number) const {
    NNM_CHECK(!fields.open(), input_file, "{}:{}: a quote does not close", path_, number);
    NNM_CHECK(fields.behind_quotes().empty(), input_file, "{}:{}: `{}` behind a closing quote",
              path_, number, escape_terminal(fields.behind_quotes().substr(0, kShown)));
  }
  void read_row(int64_t number, std::string_view& rest, char separator) {
    Fields fields(rest, separator);
    size_t i = 0;
    for (std::string_view f; fields.next(f); ++i) {
      NNM_CHECK(i < columns_.size(), input_file,
                "{}:{}: the row has more fields than the header's {}", path_, number,
                columns_.size());
      Column& c = columns_[i];
      double v = 0;
      bool integer = true;
      const std::string_view what = read_number(f, v, integer);
      if (!what.empty() && c.problem.empty()) {
        c.problem =
            fmt::format("{}:{}: {} in column `{}` {}", path_, number,
                        f.empty() ? "an empty entry"
                                  : fmt::format("`{}`", escape_terminal(f.substr(0, kShown))),
                        c.name, what);
      }
      c.values.push_back(v);
      c.integers = c.integers && integer;
    }
    check_closed(fields, number);
    NNM_CHECK(i == columns_.size(), input_file, "{}:{}: the row has {} fields, the header {}",
              path_, number, i, columns_.size());
  }
  std::vector<Column> columns_;
  Tensors tensors_;
};

template <class T>
void write_rows(std::string& text, const Tensor& x, int64_t rows, int64_t width) {
  const std::vector<T> values = x.to_vector<T>();
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < width; ++c) {
      if (c) text += ',';
      fmt::format_to(std::back_inserter(text), "{}", values[static_cast<size_t>(r * width + c)]);
    }
    text += '\n';
  }
}

}  // namespace

Ref<DataFile> open_csv(const std::string& path) { return make_ref<Csv>(path); }

void write_csv(const std::string& path, const std::string& name, const Tensor& x) {
  const int64_t rows = x.dim() == 0 ? 1 : x.size(0);
  const int64_t width = rows == 0 ? 1 : x.numel() / rows;
  std::string text;
  for (int64_t c = 0; c < width; ++c) {
    if (c) text += ',';
    text += x.dim() <= 1 ? name : fmt::format("{}_{}", name, c);
  }
  text += '\n';
  if (!is_floating(x.dtype())) {
    write_rows<int64_t>(text, x, rows, width);
  } else if (x.dtype() == DType::f64) {
    write_rows<double>(text, x, rows, width);
  } else {
    write_rows<float>(text, x, rows, width);
  }
  write_file_atomic(path, text);
}

}  // namespace nnm::data
