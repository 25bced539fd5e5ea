// Watch: the rules of a config, looking at what a model does.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nnm/trace/late_statistics.h"
#include "nnm/trace/targets.h"

namespace nnm::tracing {

/// A rule that has been broken as often in a row as its patience says.
struct Finding {
  std::string hook, rule;  ///< names
  RuleHook::Action action = RuleHook::Action::warn;
  bool nonfinite = false;  ///< because of values that are not finite
  int64_t step = 0;        ///< the step being taken, 0 for the first
  std::string module, what, arg;
  int64_t call = 0;
  double value = 0, threshold = 0;
  std::string text;
  /// "dead_relu: act/output: 12 of 16 neurons are dead (75 %)", with the hook's name.
  std::string message() const;
  /// The error that a run which it stops ends with.
  ErrorKind kind() const;
};

/// "act/output/0", with "#1" for the second call; the module alone where there is no tensor.
std::string place_text(const std::string& module, const std::string& what, const std::string& arg,
                       int64_t call);

/// One rule at one place: how long it has been broken.
class Streak {
 public:
  explicit Streak(Ref<Rule> rule) : rule_(std::move(rule)) {}
  Rule& rule() const { return *rule_; }
  /// The reading where the rule has just been broken `patience` times in a row: once, until it has
  /// been kept again.
  std::optional<Reading> look(const Sight& sight, int64_t patience);
  /// Whether the rule could say something the last time.
  bool judged() const { return judged_; }

  struct State {
    int64_t bad = 0;    ///< how often in a row
    bool told = false;  ///< of these
  };
  const State& state() const { return state_; }
  void restore(const State& state) { state_ = state; }

 private:
  Ref<Rule> rule_;
  State state_;
  bool judged_ = false;
};

/// Registers the hooks that rules look through, and removes them when it goes. Values are never
/// changed.
class Watch {
  struct Live;
  struct Spot;

 public:
  explicit Watch(Module& root);
  ~Watch();
  Watch(const Watch&) = delete;

  /// After the hooks that are there. Adds errors to `d` where its selector matches nothing, unless
  /// `optional`, and where the rule cannot judge what is matched.
  void add(const RuleHook& hook, Diagnostics& d);
  bool empty() const { return rules_.empty(); }

  /// The root is about to be called in this step. `outside`: in an evaluation within a training
  /// run, at which only rules with `mode: eval` look. `first`: of the step's micro-batches.
  void begin(int64_t step, bool outside, bool first);
  /// After the backward pass, if there is one.
  void end();
  /// After the update of the parameters, for rules about these and about the loss.
  void step_done(double loss);
  /// For each rule whether it is due in this step; nothing where one is that must see tensors.
  /// `accumulates`: a gradient is complete after several backwards.
  std::optional<std::vector<bool>> repeats(int64_t step, bool training, bool accumulates) const;
  /// A tensor whose numbers a rule waits for.
  struct Due {
    Spot* spot;
    const char* what;
    std::string arg;
    int64_t call;
    LateStatistics::Ticket ticket;
  };
  struct Script {
    std::vector<Due> due;
    size_t asked = 0;
  };
  /// What rules wait for in the step that is recorded on a GPU, so far; what they asked of it is
  /// part of the recording then.
  Script script();
  /// After begin(), in a step that is done again without calling hooks: what they wait for.
  void repeat(const Script& script);
  void ids(std::vector<uint64_t>& out) const;
  /// How often each rule looked, in the order in which they were added.
  std::vector<int64_t> fired() const;
  /// What the rule of this number has seen in the steps that are done, as far as it matters for
  /// what comes; and takes it back. Throws Error(input_file) for what is not of that kind.
  Items memory(size_t rule) const;
  void remember(size_t rule, const Items& memory);
  /// Whom to tell, at once.
  std::function<void(const Finding&)> tell;

 private:
  Spot& spot(Live& rule, const std::string& name, const Module& m);
  void settle();
  void attach(Spot& s, HookKind kind, const Targets::OfModule& target);
  void attach_backward(Spot& s, HookKind kind, Module& m);
  void attach_tensor(Spot& s, Module& m, bool of_input);
  void attach_parameter(Spot& s, HookKind kind, const Tensor& p, const std::string& name);
  void see(Spot& s, const char* what, int64_t call, const std::vector<io::TraceArg>& args);
  void judge(Spot& s, const char* what, const std::string& arg, int64_t call, const Tensor& tensor);
  void settle_numbers();
  void look(Spot& s, const char* what, const std::string& arg, int64_t call, Sight sight);
  void report(const Spot& s, const char* what, const std::string& arg, int64_t call,
              const Reading& reading) const;

  Module& root_;
  std::vector<std::unique_ptr<Live>> rules_;
  std::vector<std::unique_ptr<Spot>> spots_;
  std::vector<RemovableHandle> handles_;
  int64_t step_ = 0;
  bool looking_ = false;  // between begin and end
  bool within_ = false;   // a step that is not done
  struct Newest {         // what several rules look at one after the other
    Tensor tensor;
    uint32_t version = 0;
    std::optional<Numbers> numbers;
    std::optional<LateStatistics::Ticket> ticket;
  } newest_;
  LateStatistics late_;
  std::vector<Due> due_;
};

}  // namespace nnm::tracing
