// Builder: expands the classes of a config into modules.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "nnm/base/select.h"
#include "nnm/lang/build_report.h"
#include "nnm/lang/compiled.h"
#include "nnm/lang/forward.h"
#include "nnm/lang/model.h"
#include "nnm/nn/init.h"

namespace nnm::lang {

class Builder;

/// A class of `define:` or of an import, or a layer type, as a value: `block=BasicBlock`.
struct ClassValue final : Object {
  explicit ClassValue(std::string name) : name(std::move(name)) {}
  std::string value_repr() const override { return name; }
  std::string name;
  const ClassDef* definition = nullptr;
  const Registry<Module>::Entry* layer = nullptr;  ///< where it is no definition
};

/// One class being built.
struct Instance {
  const ClassDef* definition = nullptr;  ///< null for the file's `model`
  Ref<ClassModule> module;
  std::string path;
  std::map<std::string, Value> values;  ///< args and lets of the class
  std::set<std::string> failed;         ///< names of children that could not be built
  std::map<std::string, Value> made;    ///< what its layers were made with, by path and argument
  bool lost = false;                    ///< a child whose name could not be made
};

/// Names in a block: those of the blocks around it first, then its own lets and loop variables.
class BuildScope final : public Env {
 public:
  BuildScope(Builder& builder, Instance& instance, const BuildScope* outer = nullptr)
      : builder_(builder), instance_(instance), outer_(outer) {}

  std::optional<Value> find(const std::string& path) const override;
  bool callable(const std::string& name) const override;
  std::optional<Value> call(const std::string& name, const Expr& callee, const Expr& call,
                            CallArgs& args) const override;
  void names(std::vector<std::string>& out) const override;
  void callables(std::vector<std::string>& out) const override;
  std::optional<Value> word(const std::string& callee, const std::string& argument,
                            const std::string& text) const override;
  const char* callable_kind() const override { return "layer"; }
  std::string advice(const std::string& name) const override;

  /// The class or layer type that a name calls, or null.
  Ref<ClassValue> type_of(const std::string& name) const;
  /// Throws Fault where it would redefine an arg.
  void set(const std::string& name, Value v, const Span& at);
  void move_names_to(std::map<std::string, Value>& values) { values.merge(names_); }
  Instance& instance() const { return instance_; }
  Builder& builder() const { return builder_; }
  /// The container whose block this is: its children are in sight first.
  const Module* container = nullptr;

 private:
  const Value* own(const std::string& name) const;
  /// An argument, let or loop variable, or null.
  const Value* variable(const std::string& name) const;
  Ref<Module> existing_child(const std::string& path) const;

  Builder& builder_;
  Instance& instance_;
  const BuildScope* outer_;
  std::map<std::string, Value> names_;
};

/// Runs the items of a block: lets, loops and conditions here, entries by `entry`.
using EntryFn = std::function<void(const BlockItem&, const BuildScope&)>;

/// What there is to build; the parts belong to a Config.
struct ModelSource {
  const Namespace& classes;
  const Layer& model;
  const Value& vars;
};

class Builder {
 public:
  Builder(const ModelSource& source, const BuildOptions& options)
      : source_(source), options_(options) {}
  Model run();

  /// The class or layer type that a name means in a class (null: in the file's `model`), or null.
  Ref<ClassValue> find_type(const std::string& name, const ClassDef* in) const;
  std::vector<std::string> type_names(const ClassDef* in) const;
  /// The names of classes in that file.
  const Namespace& names_of(const ClassDef* in) const { return in ? *in->home : source_.classes; }
  const Value& vars() const { return source_.vars; }

  /// A new layer or instance of a class. Throws Fault, silently where the errors inside were
  /// reported.
  Ref<Module> construct(const ClassValue& type, CallArgs& args, const Span& callee);
  Reporter& reporter() { return reporter_; }

 private:
  friend class BuildScope;

  // build.cpp
  Ref<Module> construct_layer(const ClassValue& type, CallArgs& args, const Span& callee);
  Ref<Module> instantiate(const ClassDef& c, CallArgs& args, const Span& callee);
  void bind_args(Instance& instance, CallArgs& args, const Span& callee);
  Value default_of(Instance& instance, const ArgDecl& arg);
  void fill_class(Instance& instance, const BuildScope& scope);
  /// The definition for modules to keep: they outlive the config.
  std::shared_ptr<const ClassDef> shared(const ClassDef& c);
  /// "Tree → Block → Tree": the classes of some of the stack, and one more.
  std::string chain(size_t from, size_t to, const ClassDef& last) const;
  /// Throws Fault where too many classes stand inside of each other.
  void check_nesting(const ClassDef& c, const Span& callee);
  /// Throws Fault where an instance stands in one with the same arguments: it would in itself
  /// again.
  void check_recursion(const Instance& instance, const Span& callee) const;
  void count(Module& m, const Span& at);
  void read_lets(Instance& instance, BuildScope& scope);
  void check_requirements(const Block& block, const BuildScope& scope);
  void run_block(const Block& block, BuildScope& scope, const EntryFn& entry);
  void run_loop(const BlockItem& item, BuildScope& scope, const EntryFn& entry);
  void run_branch(const BlockItem& item, BuildScope& scope, const EntryFn& entry);
  void spend(const Span& at);
  /// Reports a limit and ends the build: what would follow is not looked at.
  [[noreturn]] void too_large(const Span& at, std::string message);

  // build_modules.cpp
  void children(const Block& block, BuildScope& scope, Module& into, const std::string& prefix);
  void child(const BlockItem& item, const BuildScope& scope, Module& into,
             const std::string& prefix);
  std::string child_name(const BlockItem& item, const BuildScope& scope, const Module& into) const;
  /// Keeps what a layer was made with, for the forward of its class.
  void remember(Instance& instance, const std::string& path, const Module& m) const;
  /// Throws Fault where checkpoints could not keep a child, parameter or buffer of that name.
  static void check_name(const std::string& name, const Span& at);
  void register_child(Module& into, const std::string& name, Ref<Module> m, const Span& at,
                      const std::string& path);
  /// Null for `none` in place of a class's own child.
  Ref<Module> layer(const Layer& l, const BuildScope& scope, const std::string& path);
  Ref<Module> container(const Layer& l, const BuildScope& scope, const std::string& path);
  Ref<Module> mapped(const Layer& l, const BuildScope& scope);
  CallArgs mapped_args(const Layer& l, const ClassValue& type, const BuildScope& scope) const;

  // build_state.cpp
  void params(Instance& instance, BuildScope& scope);
  void buffers(Instance& instance, BuildScope& scope);
  Tensor initial_tensor(const BlockItem& item, const BuildScope& scope, Ref<Initializer>& init);
  void count_tensor(const Tensor& t, const Span& at);
  std::optional<Value> option(const BlockItem& item, const char* name, const BuildScope& scope);
  Ref<Initializer> initializer(const Expr& rule, const BuildScope& scope);
  void rules(Instance& instance, BuildScope& scope);
  void init_rules(Instance& instance, BuildScope& scope, const Scope& names,
                  const std::vector<Tensor>& tensors);
  void freeze(Instance& instance, BuildScope& scope, const Scope& names,
              const std::vector<Tensor>& tensors);
  void ties(Instance& instance, BuildScope& scope);
  Ref<TensorSlot> tie_slot(const Expr& e, const Instance& instance, const BuildScope& scope);
  Selector selector(const Template& t, const BuildScope& scope) const;
  void finish(Module& root);
  void draw(Module& root);

  // build_model.cpp
  std::vector<ModelInput> model_inputs(Module& root) const;

  const ModelSource& source_;
  const BuildOptions& options_;
  Reporter reporter_;
  std::string path_;                    ///< of the entry being built
  std::vector<const Instance*> stack_;  ///< being built, outermost first
  std::unordered_map<const ClassDef*, std::shared_ptr<const ClassDef>> definitions_;
  std::vector<std::pair<std::string, Span>> sites_;
  /// Of layers the arguments that PyTorch keeps as attributes.
  std::unordered_map<const Module*, Items> made_;
  int64_t modules_ = 0, elements_ = 0, spent_ = 0;
  bool exhausted_ = false;

  struct Rule {
    Tensor tensor;
    Ref<Initializer> init;
    Span span;
  };
  struct Tie {
    Ref<TensorSlot> to, from;
  };
  std::vector<Rule> init_;  ///< later ones win: outer classes speak last
  std::vector<Tie> ties_;
  std::vector<Tensor> frozen_;
};

/// build_model of parts. A device with memory is built for after the same on meta went well.
Model build_source(const ModelSource& source, const BuildOptions& options);

}  // namespace nnm::lang
