// The JSON Schema of configs, from the registries of layers and optimizers and the table of
// sections. In code an expression can stand for any value, so texts are accepted for numbers.
#include "nnm/base/json.h"
#include "nnm/lang/config.h"
#include "nnm/lang/sections.h"
#include "nnm/nn/init.h"
#include "nnm/nn/module.h"
#include "nnm/optim/schedule.h"

namespace nnm::lang {

namespace {

constexpr const char* kReferences = "#/definitions/";
constexpr const char* kHeader = "^((for|if|elif)[ (].*|else)$";
constexpr const char* kName = "^[A-Za-z_][A-Za-z0-9_]*$";
// `int(1..) = 3`, `str("a", "b")?`, `f32[B, 3]?`.
constexpr const char* kArgPattern =
    "^(any|bool|int|float|number|str|dtype|module|Tensor|duration)(\\(.*\\))?(\\[[0-9]*\\])?\\??"
    "( *=.*)?$";
constexpr const char* kInputPattern =
    "^(f32|f64|bf16|f16|i64|i32|i16|i8|u8|bool|float32|float64|bfloat16|float16|int64|int32|int16|"
    "int8|uint8) *\\[[^\\]]*\\] *\\??$";

class Schema {
 public:
  explicit Schema(const std::vector<std::string>& transforms) : transforms_(transforms) {}

  std::string text() {
    j_.object();
    j_.entry("$schema", "http://json-schema.org/draft-07/schema#");
    j_.entry("title", "nnm config").entry("type", "object");
    root();
    j_.key("definitions").object();
    blocks();
    class_definition();
    layers();
    j_.end().end();
    return j_.text() + "\n";
  }

 private:
  // Pieces.

  void type(const std::vector<std::string>& names) { j_.entry("type", names); }
  void ref(const char* name) { j_.object().entry("$ref", kReferences + std::string(name)).end(); }
  void ref(const char* key, const char* name) {
    j_.key(key);
    ref(name);
  }
  /// Validators see the reference alone, editors the words, too.
  void ref(const char* key, const char* name, const char* doc) {
    j_.key(key).object().entry("$ref", kReferences + std::string(name));
    j_.entry("description", doc).end();
  }
  void closed() { j_.entry("additionalProperties", false); }
  /// Keys that are free, and what YAML makes of a call's commas in `{a: f(x, y)}`: a key `y)`.
  void notes() {
    j_.key("patternProperties").object().key("^x-").object().end();
    j_.key("\\)$").object();
    type({"null"});
    j_.end().end();
  }
  /// A call of one of these, or what YAML cut off of one at a comma.
  static std::string call_pattern(const std::vector<std::string>& names) {
    return fmt::format("^\\s*({})\\s*\\(|^[^(]*\\)$", fmt::join(names, "|"));
  }

  void root() {
    // What is not here may be in the file that this one extends.
    j_.key("if").object().entry("required", std::vector<std::string>{"extends"}).end();
    j_.key("else").object().entry("required", std::vector<std::string>{"nnm", "model"}).end();
    closed();
    notes();
    j_.key("properties").object();
    for (const Key& k : config_form().keys) {
      const std::string name = k.name;
      j_.key(name).object().entry("description", k.doc);
      if (name == "nnm") {
        j_.entry("const", 1);
      } else if (name == "define") {
        type({"object", "null"});
        j_.key("additionalProperties");
        ref("class");
        notes();
      } else if (name == "vars") {
        type({"object", "null"});
        j_.key("propertyNames").object().entry("pattern", kName).end();
      } else if (name == "import") {
        imports();
      } else if (name == "model") {
        model();
      } else if (!k.form->anything) {
        form(*k.form);
      }
      j_.end();
    }
    j_.end();
  }

  /// Names and files, or what stands in them: classes and further imports.
  void imports() {
    type({"object", "null"});
    j_.key("propertyNames").object().entry("pattern", kName).end();
    j_.key("additionalProperties").object();
    type({"string", "object"});
    closed();
    j_.key("properties").object();
    j_.key("define").object();
    type({"object", "null"});
    j_.key("additionalProperties");
    ref("class");
    notes();
    j_.end();
    j_.key("import").object().entry("$ref", "#/properties/import").end();
    j_.end().end();
  }

  void model() {
    type({"string", "object", "array"});
    j_.key("if").object().entry("type", "array").end();
    ref("then", "children");
    ref("else", "layer");
  }

  // Blocks of classes.

  /// A mapping with headers, lets and other entries; or a list of such.
  void block(const char* name, const char* entry, bool adds) {
    j_.key(name).object();
    type({"object", "array", "null"});
    ref("items", name);
    j_.key("patternProperties").object();
    ref(kHeader, name);
    j_.end();
    j_.key("properties").object();
    ref("let", "lets");
    if (adds) ref("add_module", "add_module");
    j_.end();
    ref("additionalProperties", entry);
    j_.end();
  }

  void blocks() {
    layer();
    block("modules", "layer", true);
    block("params", "tensor", false);
    block("buffers", "tensor", false);
    children();
    block("inits", "rule", false);
    j_.key("code").object();
    type({"string", "number", "boolean", "array", "null"});
    j_.end();
    block("lets", "code", false);
    j_.key("add_module").object().entry("type", "array").entry("minItems", 2);
    j_.key("items").array().object().entry("type", "string").end();
    ref("layer");
    j_.end().end();
    lines("conditions", "a condition, and a text: `a > b, \"text\"`");
    lines("equations", "`lm_head.weight = transformer.wte.weight`");
    lines("selectors", "a selector");
    tensor();
    rule();
    statements();
  }

  /// A list of texts with headers among them.
  void lines(const char* name, const char* what) {
    j_.key(name).object().entry("description", what);
    type({"array", "string", "object", "null"});
    j_.key("items").object();
    type({"string", "object"});
    j_.key("patternProperties").object();
    ref(kHeader, name);
    j_.end();
    closed();
    j_.end();
    j_.key("patternProperties").object();
    ref(kHeader, name);
    j_.end();
    closed();
    j_.end();
  }

  void statements() {
    j_.key("statements")
        .object()
        .entry("description", "`x = …`, `return …`, `for …:` and `if …:` with statements below");
    type({"array", "string", "object"});
    const auto item = [&] {
      j_.key("patternProperties").object();
      ref(kHeader, "statements");
      j_.end();
      closed();
    };
    item();
    j_.key("items").object();
    type({"string", "object"});
    item();
    j_.end().end();
  }

  void tensor() {
    j_.key("tensor").object();
    type({"string", "number", "boolean", "array", "object"});
    j_.key("properties").object();
    ref("value", "code", "its initial value, an expression");
    ref("shape", "code", "its sizes, where the value does not give them: `[3, 4]`");
    ref("dtype", "code", "the type of its elements: f32, f64, i64 …");
    ref("init", "code", "an initialiser, as in `normal(std=0.02)`");
    ref("persistent", "code", "whether a buffer is part of the state_dict; true by default");
    ref("requires_grad", "code", "whether a parameter is trained; true by default");
    j_.end();
    closed();
    j_.end();
  }

  void rule() {
    const std::string names = fmt::format("{}", fmt::join(Registry<Initializer>::names(), "|"));
    j_.key("rule").object().entry("description", "an initialiser, as in `normal(std=0.02)`");
    type({"string", "object"});
    j_.entry("pattern", fmt::format("^\\s*({})\\b", names));
    j_.key("properties").object();
    ref("rule", "rule");
    j_.key("optional").object().entry("type", "boolean").end();
    j_.end();
    closed();
    j_.end();
  }

  void layer() {
    j_.key("layer").object().entry(
        "description", "a call string `Linear(10, 20)`, or `{Linear: {in_features: 10, …}}`");
    type({"string", "object"});
    j_.key("if").object().entry("type", "object").end();
    j_.key("then").object().entry("minProperties", 1).entry("maxProperties", 1);
    layer_properties();
    ref("additionalProperties", "class_args");
    j_.end().end();
    j_.key("class_args").object();
    type({"object", "array", "null"});
    j_.end();
  }

  void layer_properties() {
    j_.key("properties").object();
    for (const auto& [name, entry] : Registry<Module>::all())
      ref(name.c_str(), args_of(name).c_str());
    j_.end();
  }
  static std::string args_of(const std::string& type) {
    const bool container = type == "Sequential" || type == "ModuleList" || type == "ModuleDict";
    return container ? "children" : type == "ParameterDict" ? "class_args" : "args." + type;
  }

  /// What stands in a Sequential: named children, or a list of layers, named children and headers.
  void children() {
    j_.key("children").object();
    type({"object", "array", "null"});
    const auto entries = [&] {
      j_.key("patternProperties").object();
      ref(kHeader, "children");
      j_.end();
      j_.key("properties").object();
      ref("let", "lets");
      ref("add_module", "add_module");
    };
    entries();
    j_.end();
    ref("additionalProperties", "layer");
    j_.key("items").object();
    type({"string", "object"});
    entries();
    for (const auto& [name, entry] : Registry<Module>::all())
      ref(name.c_str(), args_of(name).c_str());
    j_.end();
    j_.end().end();
  }

  void class_definition() {
    j_.key("class").object().entry("type", "object");
    closed();
    notes();
    j_.key("properties").object();
    j_.key("doc").object().entry("description", "what the class is for");
    j_.entry("type", "string").end();
    declarations("args", "what a call of the class gives: `name: type = default`", kArgPattern);
    ref("let", "lets", "values with names, for what follows: `name: expression`");
    ref("require", "conditions", "what must hold when it is built: `d % heads == 0, \"text\"`");
    ref("modules", "modules", "the children in order: `name: Layer(…)`, with `for` and `if`");
    ref("params", "params", "parameters of its own: `name: initial value`");
    ref("buffers", "buffers", "tensors that are kept but not trained: `name: initial value`");
    ref("tie", "equations", "parameters that are one: `lm_head.weight = transformer.wte.weight`");
    ref("init", "inits", "how parameters start: `selector: initialiser`, the first match wins");
    ref("freeze", "selectors", "what is not trained: selectors of parameters");
    declarations("inputs", "what forward is given: `x: f32[B, 3, H, W]`", kInputPattern);
    ref("forward", "statements", "what it computes; without it the children run in order");
    j_.end().end();
  }

  void declarations(const char* key, const char* what, const char* pattern) {
    j_.key(key).object().entry("description", what);
    type({"object", "null"});
    j_.key("propertyNames").object().entry("pattern", kName).end();
    j_.key("additionalProperties").object().entry("type", "string").entry("pattern", pattern).end();
    j_.end();
  }

  // Sections.

  std::vector<std::string> names(Form::Registry registry) const {
    switch (registry) {
      case Form::Registry::optimizer: return Registry<optim::Optimizer>::names();
      case Form::Registry::scheduler: return Registry<optim::Scheduler>::names();
      case Form::Registry::transform: return transforms_;
      case Form::Registry::none: break;
    }
    return {};
  }

  /// The keywords of a value, into the object that is open.
  void form(const Form& f) {
    if (f.anything) return;
    std::vector<std::string> types = scalar_types(f.scalar);
    if (f.item) types.emplace_back("array");
    if (f.map) types.emplace_back("object");
    types.emplace_back("null");
    type(types);
    if (!f.choices.empty() && !f.item) {
      j_.key("enum").array();
      for (const char* c : f.choices) j_.value(c);
      j_.value(nullptr).end();
    } else if (!f.choices.empty()) {
      // A list of them as well: what is a text must be one.
      j_.key("if").object().entry("type", "string").end();
      j_.key("then").object().key("enum").array();
      for (const char* c : f.choices) j_.value(c);
      j_.end().end();
    }
    if (const auto calls = names(f.registry); !calls.empty()) {
      j_.entry("pattern", call_pattern(calls));
    }
    if (f.pattern) j_.entry("pattern", f.pattern);
    if (f.least) j_.entry("minimum", *f.least);
    if (f.item) {
      j_.key("items").object();
      form(*f.item);
      j_.end();
    }
    if (f.map) mapping(f);
  }

  void mapping(const Form& f) {
    std::vector<std::string> required;
    j_.key("properties").object();
    for (const Key& k : f.keys) {
      j_.key(k.name).object().entry("description", k.doc);
      form(*k.form);
      j_.end();
      if (k.required) required.emplace_back(k.name);
    }
    j_.end();
    if (!required.empty()) j_.entry("required", required);
    notes();
    if (!f.other) return closed();
    j_.key("additionalProperties").object();
    form(*f.other);
    j_.end();
  }

  static std::vector<std::string> scalar_types(Form::Scalar s) {
    switch (s) {
      case Form::Scalar::none: return {};
      case Form::Scalar::code: return {"string", "number", "boolean"};
      case Form::Scalar::integer: return {"integer", "string"};
      case Form::Scalar::number: return {"number", "string"};
      case Form::Scalar::boolean: return {"boolean", "string"};
      case Form::Scalar::text:
      case Form::Scalar::path:
      case Form::Scalar::duration: break;
    }
    return {"string"};
  }

  // Layers in mapping form.

  void layers() {
    for (const auto& [name, entry] : Registry<Module>::all()) {
      if (args_of(name) == "children") continue;
      const Signature& signature = entry.signature();
      j_.key("args." + name).object().entry("description", entry.doc());
      std::vector<std::string> required;
      for (const Param& p : signature.params()) {
        if (!p.fallback && !p.variadic && !p.keywords) required.push_back(p.name);
      }
      const bool open = std::any_of(signature.params().begin(), signature.params().end(),
                                    [](const Param& p) { return p.keywords; });
      std::vector<std::string> types = {"object", "array"};
      if (required.empty()) types.emplace_back("null");
      type(types);
      if (!required.empty()) j_.entry("required", required);
      if (!open) closed();
      j_.key("properties").object();
      for (const Param& p : signature.params())
        if (!p.keywords) parameter(p, entry.doc());
      j_.end().end();
    }
  }

  /// An argument without words of its own has those of its layer.
  void parameter(const Param& p, const std::string& layer) {
    j_.key(p.name).object().entry("description", p.doc.empty() ? layer : p.doc);
    argument(p.type);
    const bool plain = p.fallback && (p.fallback->is_number() || p.fallback->is_none() ||
                                      p.fallback->is(Value::Kind::string));
    if (plain) j_.entry("default", *p.fallback);
    j_.end();
  }

  void argument(const ArgType& t) {
    using Base = ArgType::Base;
    if (t.base == Base::any) return;
    ArgType element = t;
    element.list = false;
    element.tuple = 0;
    element.optional = false;
    const bool sequence = t.list || t.tuple > 0;
    std::vector<std::string> types = base_types(t.base);
    if (sequence) types.emplace_back("array");
    if (t.optional) types.emplace_back("null");
    type(types);
    limits(t);
    if (!t.choices.empty()) {
      // A longer text is an expression, which may give any of them.
      j_.key("if").object().entry("type", "string").entry("pattern", kName).end();
      j_.key("then").object().entry("enum", t.choices).end();
    }
    if (!sequence) return;
    j_.key("items").object();
    argument(element);
    j_.end();
    if (t.tuple > 0) j_.entry("minItems", t.tuple).entry("maxItems", t.tuple);
  }

  void limits(const ArgType& t) {
    if (t.min) j_.entry(t.exclusive_min ? "exclusiveMinimum" : "minimum", *t.min);
    if (t.max) j_.entry("maximum", *t.max);
  }

  static std::vector<std::string> base_types(ArgType::Base base) {
    switch (base) {
      case ArgType::Base::boolean: return {"boolean", "string"};
      case ArgType::Base::integer: return {"integer", "string"};
      case ArgType::Base::real:
      case ArgType::Base::number: return {"number", "string"};
      case ArgType::Base::module: return {"string", "object"};
      case ArgType::Base::duration: return {"string", "number"};
      default: return {"string"};
    }
  }

  Json j_{1};
  const std::vector<std::string>& transforms_;
};

}  // namespace

std::string json_schema(const std::vector<std::string>& transforms) {
  return Schema(transforms).text();
}

}  // namespace nnm::lang
