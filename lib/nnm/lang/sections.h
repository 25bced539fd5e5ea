// Sections: what may stand where in a config, declared once. The structure check, `--set` and the
// JSON Schema derive from it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nnm::lang {

struct Form;

/// A key of a mapping.
struct Key {
  const char* name;
  const Form* form;
  const char* doc;
  bool required = false;
  const char* fallback = nullptr;        ///< what holds where the section leaves it out, as YAML
  std::vector<const char*> beside = {};  ///< keys of which one must stand there for it to hold
};

/// What a value may look like: any of a scalar, a list, a mapping.
struct Form {
  enum class Scalar : uint8_t {
    none,      ///< no scalar
    text,      ///< words, names, selectors
    path,      ///< a text that names a file
    code,      ///< an expression
    integer,   ///< an expression that gives an integer
    number,    ///< an expression that gives a number
    boolean,   ///< an expression that gives true or false
    duration,  ///< `500 steps`, `every 1 epoch`
  };
  /// Whose names a call starts with.
  enum class Registry : uint8_t { none, optimizer, scheduler, transform };

  const char* example;  ///< how such a value is written
  Scalar scalar = Scalar::none;
  std::vector<const char*> choices = {};  ///< of a text
  const char* advice = "";                ///< for a text that is like none of them
  const Form* item = nullptr;             ///< a list of these
  bool map = false;
  std::vector<Key> keys = {};
  const Form* other = nullptr;  ///< a mapping has any other key, too, with such a value
  bool anything = false;        ///< data: whatever YAML can say
  bool never = false;           ///< `none` is a value of its own: what happens by default does not
  Registry registry = Registry::none;
  /// For the JSON Schema, what the reader of the value checks: a text looks like this, a number is
  /// at least that.
  const char* pattern = nullptr;
  std::optional<int> least = {};

  const Key* find(std::string_view key) const;
  std::vector<std::string> names() const;
};

/// Whether such a scalar is taken as it is, not as code.
inline bool is_text(Form::Scalar s) { return s == Form::Scalar::text || s == Form::Scalar::path; }

/// The whole file but `define`, `model` and `vars`, which have grammars of their own.
const Form& config_form();

/// What to write in place of a key that users of other tools expect ("epochs" in "train"), or "".
std::string key_advice(std::string_view section, std::string_view key);

}  // namespace nnm::lang
