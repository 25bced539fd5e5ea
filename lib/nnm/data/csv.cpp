// Reads and writes CSV, and writes npy.
#include "nnm/data/csv.h"

#include <charconv>
#include <cmath>

#include "nnm/base/file.h"
#include "nnm/data/source.h"

namespace nnm::data {
namespace {

constexpr size_t kMaxBytes = size_t{4} << 30;

struct Column {
  std::string name;
  std::vector<double> values;
  bool integers = true;
};

char separator_of(std::string_view header) {
  for (char c : {',', ';', '\t'}) {
    if (header.find(c) != std::string_view::npos) return c;
  }
  return ',';
}

std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\r')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\r')) s.remove_suffix(1);
  return s;
}

// The next field of the line, without its quotes; `line` loses it.
std::string_view take_field(std::string_view& line, char separator) {
  line = line.substr(std::min(line.find_first_not_of(' '), line.size()));
  if (!line.empty() && line[0] == '"') {
    const size_t end = line.find('"', 1);
    const std::string_view field = line.substr(1, end == std::string_view::npos ? end : end - 1);
    const size_t next = end == std::string_view::npos ? end : line.find(separator, end);
    line = next == std::string_view::npos ? std::string_view() : line.substr(next + 1);
    return field;
  }
  const size_t at = line.find(separator);
  const std::string_view field = line.substr(0, at);
  line = at == std::string_view::npos ? std::string_view() : line.substr(at + 1);
  return trim(field);
}

void read_row(const std::string& path, int64_t number, std::string_view line, char separator,
              std::vector<Column>& columns) {
  for (size_t i = 0; i < columns.size(); ++i) {
    NNM_CHECK(!line.empty() || i == 0, input_file, "{}:{}: the row has {} fields, the header {}", path, number, i,
              columns.size());
    const std::string_view field = take_field(line, separator);
    double v = 0;
    const char* start = field.data() + (!field.empty() && field[0] == '+' ? 1 : 0);
    auto [end, ec] = std::from_chars(start, field.data() + field.size(), v);
    NNM_CHECK(ec == std::errc() && end == field.data() + field.size(), input_file,
              "{}:{}: `{}` in column `{}` is not a number", path, number, field, columns[i].name);
    columns[i].values.push_back(v);
    columns[i].integers = columns[i].integers && v == std::floor(v) && std::fabs(v) < 9e15 &&
                          field.find_first_of(".eE") == std::string_view::npos;
  }
  NNM_CHECK(line.empty(), input_file, "{}:{}: the row has more fields than the header's {}", path, number,
            columns.size());
}

}  // namespace

Named read_csv(const std::string& path) {
  const std::string text = read_file(path, kMaxBytes);
  std::string_view rest = text;
  if (rest.substr(0, 3) == "\xef\xbb\xbf") rest.remove_prefix(3);
  std::vector<Column> columns;
  char separator = ',';
  for (int64_t number = 1; !rest.empty(); ++number) {
    const size_t newline = rest.find('\n');
    std::string_view line = trim(rest.substr(0, newline));
    rest = newline == std::string_view::npos ? std::string_view() : rest.substr(newline + 1);
    if (line.empty()) continue;
    if (!columns.empty()) {
      read_row(path, number, line, separator, columns);
      continue;
    }
    separator = separator_of(line);
    while (!line.empty()) columns.push_back({std::string(take_field(line, separator)), {}, true});
  }
  NNM_CHECK(!columns.empty(), input_file, "{} has no header line", path);
  Named out;
  for (const Column& c : columns) {
    const Shape shape{static_cast<int64_t>(c.values.size())};
    out.emplace_back(c.name, tensor_of<double>(c.values, shape, {c.integers ? DType::i64 : DType::f32}));
  }
  return out;
}

void write_csv(const std::string& path, const std::vector<std::string>& columns, const Tensor& x) {
  const int64_t rows = x.dim() == 0 ? 1 : x.size(0);
  const int64_t width = rows == 0 ? 0 : x.numel() / rows;
  std::string text;
  for (size_t i = 0; i < columns.size(); ++i) text += (i ? "," : "") + columns[i];
  text += '\n';
  const std::vector<double> values = x.to_vector<double>();
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < width; ++c) {
      const double v = values[static_cast<size_t>(r * width + c)];
      if (c) text += ',';
      if (is_floating(x.dtype()) && x.dtype() != DType::f64) {
        fmt::format_to(std::back_inserter(text), "{}", static_cast<float>(v));
      } else {
        fmt::format_to(std::back_inserter(text), "{}", v);
      }
    }
    text += '\n';
  }
  write_file_atomic(path, text);
}

void write_npy(const std::string& path, const Tensor& x) {
  static constexpr const char* kDescr[kDTypes] = {"<f4", "<f8", nullptr, "<f2", "<i8", "<i4", "|u1", "|b1"};
  const char* descr = kDescr[static_cast<int>(x.dtype())];
  NNM_CHECK(descr && x.is_contiguous(), internal, "write_npy needs a contiguous array of a numpy type");
  std::string shape;
  for (int64_t d : x.shape()) shape += fmt::format("{}, ", d);
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, shape);
  header.resize((header.size() + 10 + 1 + 63) / 64 * 64 - 10 - 1, ' ');
  header += '\n';
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(header.size() & 0xff);
  file += static_cast<char>(header.size() >> 8);
  file += header;
  file.append(x.data<char>(), static_cast<size_t>(x.numel()) * item_size(x.dtype()));
  write_file_atomic(path, file);
}

}  // namespace nnm::data
