// Values as text: Python's repr and the config's spelling.
#include <charconv>
#include <cmath>

#include "nnm/base/value.h"

namespace nnm {

std::string python_float(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d > 0 ? "inf" : "-inf";
  char buffer[40];
  // Shortest digits that read back, as d.ddde±xx; Python then writes exponents below -4 and
  // from 16.
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), d, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<size_t>(end.ptr - buffer));
  const size_t e = text.find('e');
  const int exponent = std::stoi(std::string(text.substr(e + 1)));
  const std::string_view mantissa = text.substr(0, e);
  if (exponent < -4 || exponent >= 16) {
    return fmt::format("{}e{}{:02}", mantissa, exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  const bool negative = mantissa[0] == '-';
  std::string digits;
  for (char c : mantissa) {
    if (c >= '0' && c <= '9') digits += c;
  }
  std::string out = negative ? "-" : "";
  if (exponent < 0)
    return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  const size_t whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() < whole) digits.append(whole - digits.size(), '0');
  const std::string fraction = digits.substr(whole);
  return out + digits.substr(0, whole) + "." + (fraction.empty() ? "0" : fraction);
}

namespace {

std::string quoted(std::string_view s, char quote) {
  std::string out(1, quote);
  for (char c : s) {
    const auto u = static_cast<unsigned char>(c);
    if (c == quote || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (u < 0x20 || u == 0x7f) {
      out += fmt::format("\\x{:02x}", u);
    } else {
      out += c;
    }
  }
  return out + quote;
}

/// The largest unit that measures the seconds in whole numbers.
std::string seconds_text(double s) {
  struct {
    double seconds;
    const char* name;
  } constexpr kUnits[] = {{86400, "d"}, {3600, "h"}, {60, "min"}};
  for (const auto& unit : kUnits) {
    if (s >= unit.seconds && std::fmod(s, unit.seconds) == 0) {
      return fmt::format("{:.0f} {}", s / unit.seconds, unit.name);
    }
  }
  return fmt::format("{} s", s);
}

}  // namespace

std::string python_string(std::string_view s) {
  const bool single = s.find('\'') != s.npos, dbl = s.find('"') != s.npos;
  return quoted(s, single && !dbl ? '"' : '\'');
}

std::string duration_text(double amount, Unit unit) {
  if (unit == Unit::second) return seconds_text(amount);
  if (unit == Unit::none) return fmt::format("{}", amount);
  const std::string name = unit == Unit::epoch ? "epoch" : unit == Unit::batch ? "batch" : "step";
  const char* plural = amount == 1 ? "" : unit == Unit::batch ? "es" : "s";
  return fmt::format("{} {}{}", amount, name, plural);
}

void Value::write(std::string& out, Style style) const {
  const bool python = style == Style::python;
  const auto sequence = [&](const char* open, const Values& values, const char* close) {
    out += open;
    for (size_t i = 0; i < values.size(); ++i) {
      if (i) out += ", ";
      values[i].write(out, style);
    }
    out += close;
  };
  switch (kind_) {
    case Kind::none: out += python ? "None" : "none"; break;
    case Kind::boolean:
      out += python ? (u_.b ? "True" : "False") : (u_.b ? "true" : "false");
      break;
    case Kind::integer: out += std::to_string(u_.i); break;
    case Kind::real: out += python_float(u_.d); break;
    case Kind::string: out += python ? python_string(string()) : quoted(string(), '"'); break;
    case Kind::list: sequence("[", items(), "]"); break;
    case Kind::tuple: sequence("(", items(), items().size() == 1 ? ",)" : ")"); break;
    case Kind::slice: sequence("slice(", items(), ")"); break;
    case Kind::dict: {
      out += '{';
      for (size_t i = 0; i < entries().size(); ++i) {
        const auto& [key, value] = entries()[i];
        out += i ? ", " : "";
        out += python ? python_string(key) : key;
        out += ": ";
        value.write(out, style);
      }
      out += '}';
      break;
    }
    case Kind::dtype:
      out += python ? fmt::format("torch.{}", info(dtype()).torch_name) : info(dtype()).name;
      break;
    case Kind::duration: out += duration_text(u_.d, unit_); break;
    case Kind::ellipsis: out += python ? "Ellipsis" : "..."; break;
    case Kind::tensor:
    case Kind::module:
    case Kind::callable:
    case Kind::object: out += python ? u_.o->value_repr() : u_.o->value_text(); break;
  }
}

std::string Value::repr() const {
  std::string out;
  write(out, Style::python);
  return out;
}

std::string Value::str() const { return kind_ == Kind::string ? string() : repr(); }

std::string Value::config_text() const {
  std::string out;
  write(out, Style::config);
  return out;
}

}  // namespace nnm
