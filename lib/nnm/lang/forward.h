// Forward: the statements of a class compiled to steps over slots, and the module that runs them.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "nnm/lang/build_report.h"
#include "nnm/lang/check_session.h"
#include "nnm/lang/compiled.h"
#include "nnm/nn/module.h"

namespace nnm::lang {

/// One statement, compiled.
class Step {
 public:
  virtual ~Step() = default;
  /// Whether it returned (Frame::result holds what).
  virtual bool run(Frame& f) const = 0;
  /// Poisons what it would have set, in a check; whether it returns.
  virtual bool fail(Frame& f) const = 0;
};
using Steps = std::vector<std::unique_ptr<const Step>>;
/// Runs them in order; whether one returned.
bool run_steps(const Steps& steps, Frame& f);

/// A declared or inferred input of a class.
struct ForwardInput {
  /// A dim of a declared shape: anything, a size known now, a name bound here, or a check.
  struct Dim {
    enum class Kind : uint8_t { any, size, bind, check } kind = Kind::any;
    int64_t size = 0;
    int slot = -1;
    NodeRef expr;
    bool is_name = false;  ///< a bare name
    std::string text;      ///< as written
  };
  std::string name;
  int slot = -1;
  bool typed = false, optional = false;
  DType dtype = DType::f32;
  std::vector<Dim> dims;
  Span span;
  /// "f32[B, 3, H, W]".
  std::string type_text() const;
};

/// A forward as it runs.
struct Program {
  std::vector<ForwardInput> inputs;
  Steps steps;
  int slots = 0;
  std::vector<int> maybe_unset;  ///< slots that a way through the forward may leave unset
  bool inferred = false;         ///< inputs are the names that forward reads first
  bool chain = false;            ///< no forward: the input passes through the children in order
  Span end;                      ///< the last statement of the forward
};

/// What a class means by its names when its forward is compiled.
struct ForwardScope {
  const ClassDef* definition = nullptr;
  Module* self = nullptr;
  const std::map<std::string, Value>* values = nullptr;  ///< args and lets
  const std::set<std::string>* failed = nullptr;         ///< children that could not be built
  const std::map<std::string, Value>* made = nullptr;    ///< ForwardSource::made
};

/// Compiles a class's inputs and forward for one instance. Errors go to the reporter.
Program compile_forward(const ForwardScope& scope, Reporter& reporter);

/// What an instance's forward was compiled from; its copies compile theirs from the same.
struct ForwardSource {
  std::shared_ptr<const ClassDef> definition;
  std::map<std::string, Value> values;
  std::set<std::string> failed;
  /// What its layers were made with, `layers.0.in_features`; those of classes in it have theirs.
  std::map<std::string, Value> made;
};

/// An instance of a class of `define:`. Without `forward` it calls its children in order.
class ClassModule final : public Module {
 public:
  /// `type` as the config calls it, `rn.BasicBlock` where it is imported.
  ClassModule(std::string type, std::string path)
      : type_(std::move(type)), path_(std::move(path)) {}

  /// For deepcopy. The compiled forward refers to an instance's slots: the copy has its own.
  ClassModule(const ClassModule& o);
  Ref<Module> copied() const override { return make_ref<ClassModule>(*this); }

  Value forward(const Args& args) override;
  Tensor forward(const Tensor& x) override;
  Value forward(const Value& x) override;
  /// The class alone, as Python prints it.
  std::string type_name() const override { return type_.substr(type_.rfind('.') + 1); }
  const std::string& qualified_type() const { return type_; }
  const std::string& path() const { return path_; }

  /// Compiles the forward for the parameters, buffers and children that are there now.
  void compile(ForwardSource source, Reporter& reporter);
  const Program& program() const { return program_; }
  const ForwardSource& source() const { return source_; }

 private:
  struct Given;
  Value run(const Given& given);
  Value run_frame(const Given& given, Frame& f, CheckSession::Running* check = nullptr);
  Value run_chain(Value v, bool check);
  void bind(const Given& given, Frame& f) const;
  void nothing_returned(Frame& f) const;
  size_t input_index(const std::string& name) const;
  std::string inputs_text() const;
  void check_input(const ForwardInput& in, const Value& v) const;
  void bind_dims(Frame& f) const;
  [[noreturn]] void complain(const ForwardInput& in, const Value& v, const std::string& why) const;

  std::string type_, path_;
  ForwardSource source_;
  Program program_;
};

/// Runs f as the outermost forward: a Fault that leaves it becomes a DiagnosticError with the calls
/// it passed through as notes.
[[noreturn]] void throw_diagnostic(const Fault& f);
/// The Fault with its calls as notes.
Diagnostic with_calls(const Fault& f);

}  // namespace nnm::lang
