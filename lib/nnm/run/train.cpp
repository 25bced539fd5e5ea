// The parts of a run, put together.
#include "nnm/run/train.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>

#include "kernels/parallel.h"
#include "nnm/base/file.h"
#include "nnm/base/json.h"
#include "nnm/base/log.h"
#include "nnm/base/output.h"
#include "nnm/base/text.h"
#include "nnm/base/text_table.h"
#include "nnm/run/proof.h"
#include "nnm/run/report.h"
#include "nnm/run/rig.h"
#include "nnm/run/signals.h"
#include "nnm/run/vocabulary.h"

namespace nnm::run {

namespace {

constexpr int kNotExact = 1;
constexpr double kAtOnce = 1e-9;  // seconds

std::string device_name(Device d) {
  return d.type == DeviceType::cuda ? fmt::format("cuda:{}", d.index) : "cpu";
}

// The words of this process's command line.
Value command_line() {
  std::ifstream in("/proc/self/cmdline", std::ios::binary);
  Values words;
  for (std::string word; std::getline(in, word, '\0');) words.push_back(word);
  return Value::list(std::move(words));
}

/// Whether the source is a config, a run or a run's last.h5.
bool is_newest(const Source& source) {
  return source.checkpoint.empty() ||
         (!source.run.empty() && std::filesystem::path(source.checkpoint).filename() == "last.h5");
}

// Who trains there deletes checkpoints, the one that is going to be read here among them.
std::shared_ptr<FolderLock> lock_of(const std::string& run) {
  std::error_code ignored;
  const bool used = std::filesystem::exists(run + "/.lock", ignored);
  return used ? std::make_shared<FolderLock>(run) : nullptr;
}

// Of the step that was logged last.
std::optional<double> last_loss(const train::History& history) {
  std::optional<double> loss;
  for (const train::History::Row& row : history.rows())
    if (!row.eval) loss = row.loss;
  return loss;
}

int64_t parameter_count(Module& m) {
  int64_t n = 0;
  for (const Tensor& p : m.parameters()) n += p.numel();
  return n;
}

class Run {
 public:
  explicit Run(TrainOptions options)
      : o_(located(std::move(options), lock_)),
        rig_(o_.source, rig_options(o_)),
        plan_(rig_.session().plan()) {}

  TrainResult run() {
    if (!o_.events.empty()) {
      LineFile::check(o_.events);
      refuse_inputs(o_.events, {config().path()});
    }
    if (o_.dry_run) return dry();
    {
      // Who was told the folder may send signals.
      const SignalScope signals(control_);
      // What cannot be read is said before there is a folder.
      rig_.open();
      restore();
      open_folder();
      prepare_folder();
      attach();
      work();
    }
    result_.last = folder_->last();
    result_.best = folder_->best();
    result_.exit_code = result_.outcome.exit_code;
    const bool silent = rig_.session().warn_silent_hooks(true) > 0;
    if (silent && o_.strict && result_.exit_code == 0)
      result_.exit_code = exit_code(ErrorKind::negative);
    if (o_.verify_resume && result_.exit_code == 0) prove();
    return std::move(result_);
  }

 private:
  // Finds what is resumed, and where. A run that goes on keeps the overrides it was started with.
  static TrainOptions located(TrainOptions o, std::shared_ptr<FolderLock>& lock) {
    if (o.force && (o.resume || !o.resume_from.empty()))
      fail(ErrorKind::config, "--force and --resume exclude one another");
    if (!o.weights.empty() && (o.resume || !o.resume_from.empty()))
      fail(ErrorKind::config, "--resume and --weights exclude one another");
    // A checkpoint that was named is the one to go on from; a run means its newest.
    if (o.resume && o.resume_from.empty() && !is_newest(o.source))
      o.resume_from = o.source.checkpoint;
    if (!o.resume_from.empty()) {
      o.resume = true;
      o.resume_from = checkpoint_of(o.resume_from);
      if (o.run.empty()) o.run = run_of(o.resume_from);
    } else if (o.resume) {
      if (o.run.empty()) o.run = o.source.run;
      if (o.run.empty()) o.run = newest_run(o.source.config, false);
      if (!o.run.empty()) {
        if (o.dry_run) FolderLock::check_free(o.run);
        else lock = lock_of(o.run);
        o.resume_from = newest_checkpoint(o.run);
      }
    }
    if (!o.resume_from.empty() && o.source.checkpoint.empty()) {
      const lang::Config& given = o.source.config;
      const lang::Config begun = config_of(o.resume_from, given.options());
      o.source.config = given.changed(begun.options());
      refuse_other_model(begun, o.source.config);
    }
    return o;
  }
  static RigOptions rig_options(const TrainOptions& o) {
    return {o.device, o.max, o.shapes, o.hooks};
  }
  FolderOptions folder_options() const { return {o_.run, o_.resume, o_.force, lock_}; }

  TrainResult dry() {
    rig_.open();
    const FolderOptions f = folder_options();
    result_.run = RunFolder::preview(config(), f);
    const int64_t total = rig_.trainer().total_steps();
    auto& plan = result_.plan;
    plan.push_back(fmt::format("would train {} ({}) on {}, {}", config().path(),
                               counted(parameter_count(*rig_.model()), "parameter"),
                               counted(rig_.loader().dataset().size(true), "sample"),
                               total ? counted(total, "step") : "until time is over"));
    plan.push_back(
        fmt::format("would write {}/: config.yaml resolved.yaml events.jsonl "
                    "metrics.csv status.json checkpoints/*.h5",
                    result_.run));
    return std::move(result_);
  }

  const lang::Config& config() const { return rig_.session().config(); }

  void open_folder() {
    folder_.emplace(config(), folder_options());
    result_.run = folder_->path();
    if (o_.announce) o_.announce(result_.run);
    folder_->write_config(config());
    if (o_.resume && o_.resume_from.empty())
      log_note("{} holds no checkpoint: starting from the beginning", result_.run);
  }

  // Weights of before, or the whole state of before.
  void restore() {
    if (!o_.resume_from.empty()) {
      const io::Checkpoint c = io::load_checkpoint(o_.resume_from);
      rig_.trainer().resume(c, o_.resume_from);
      parent_run_id_ = c.run_id;
    } else if (!o_.weights.empty()) {
      rig_.session().load_weights(checkpoint_of(o_.weights), o_.partial);
    }
  }

  void prepare_folder() {
    RunFolder::Provenance p;
    p.device = device_name(o_.device);
    p.parent_run_id = parent_run_id_;
    p.entries = {
        {"argv", command_line()}, {"threads", num_threads()}, {"resumed_from", o_.resume_from}};
    p.data = vocabulary_items(rig_.session().data());
    folder_->prepare(plan_, config(), std::move(p));
    const int64_t step = rig_.trainer().step();
    rig_.trainer().not_before(
        EventLog::cut(folder_->file("events.jsonl"), step, rig_.trainer().history()));
    if (!o_.resume_from.empty()) folder_->go_on(step, o_.resume_from);
  }

  void attach() {
    if (o_.attach) attached_ = o_.attach(rig_.session(), result_.run);
    for (const auto& w : attached_.watchers) rig_.parts().watchers.push_back(w.get());
    // Checkpoints keep the hooks that acted.
    const std::string hooks = tracing::hooks_text(rig_.session().hooks().list());
    folder_->set_hooks(hooks.empty() ? attached_.hooks : hooks);
    if (rig_.hooks())
      rig_.hooks()->record_into(folder_->file("traces/train.h5"), rig_.trainer().step());
  }

  /// What rules find goes into the run's events, under the step being taken.
  void watch_rules() {
    if (!rig_.hooks()) return;
    rig_.hooks()->act([this](const tracing::Finding& f) {
      train::Moment m = rig_.trainer().now();
      m.step = f.step + 1;
      const Items fields = {
          {"hook", f.hook},     {"rule", f.rule},   {"action", tracing::name_of(f.action)},
          {"module", f.module}, {"what", f.what},   {"arg", f.arg},
          {"call", f.call},     {"value", f.value}, {"threshold", f.threshold},
          {"message", f.text}};
      for (train::Events* e : rig_.parts().events) e->other("rule", m, fields);
    });
  }

  void work() {
    train::Trainer& trainer = rig_.trainer();
    EventLog log(folder_->file("events.jsonl"), true);
    MetricsFile metrics(folder_->file("metrics.csv"), trainer.history());
    const train::Goal goal{trainer.total_steps(), plan_.max.seconds};
    StatusFile status(folder_->file("status.json"), goal, plan_.best);
    std::optional<EventLog> copy;
    if (!o_.events.empty()) copy.emplace(o_.events);
    const auto progress = make_progress(o_.progress, goal);
    auto& events = rig_.parts().events;
    events = {&log, &metrics, &status};
    if (copy) events.push_back(&*copy);
    if (progress) events.push_back(progress.get());
    const WarningSink warnings([&](const std::string& text) {
      for (train::Events* e : events) e->other("warning", trainer.now(), {{"message", text}});
    });
    if (o_.time_limit > 0) control_.time_limit = std::max(o_.time_limit - age(), kAtOnce);
    rig_.parts().control = &control_;
    rig_.parts().store = &*folder_;
    try {
      const train::Moment begin = trainer.now();
      status.start(begin, last_loss(trainer.history()), trainer.best());
      for (train::Events* e : events) e->other("start", begin, start_fields());
      for (const tracing::Hook& h : rig_.session().hooks().list()) {
        const tracing::HookSpec& hook = tracing::spec_of(h);
        for (train::Events* e : events)
          e->other("hook", begin, {{"name", hook.name}, {"hook", hook.text}});
      }
      watch_rules();
      result_.outcome = trainer.run();
      if (rig_.hooks()) rig_.hooks()->close();
      log.close();
      metrics.close();
      if (copy) copy->close();
    } catch (const std::exception& e) {
      end_with_error(e);
      throw;
    }
  }

  Items start_fields() {
    return {{"config", config().path()},
            {"device", device_name(o_.device)},
            {"threads", num_threads()},
            {"seed", static_cast<int64_t>(plan_.seed)},
            {"parameters", parameter_count(*rig_.model())},
            {"samples", rig_.loader().dataset().size(true)},
            {"resumed_from", o_.resume_from.empty() ? Value() : Value(absolute(o_.resume_from))}};
  }

  static std::string absolute(const std::string& path) {
    std::error_code ignored;
    return std::filesystem::absolute(path, ignored).lexically_normal().string();
  }

  // The files of the run say how it ended, as far as they can still be written.
  void end_with_error(const std::exception& e) {
    train::EndEvent end;
    static_cast<train::Moment&>(end) = rig_.trainer().now();
    end.reason = train::Reason::error;
    const auto* error = dynamic_cast<const Error*>(&e);
    end.exit_code = error ? nnm::exit_code(error->kind()) : nnm::exit_code(ErrorKind::internal);
    for (train::Events* sink : rig_.parts().events) {
      try {
        sink->end(end);
      } catch (const Error&) {
        continue;  // what ended the run may be that nothing can be written
      }
    }
  }

  void prove() {
    Proof proof;
    proof.begin = o_.resume_from;
    proof.weights = o_.weights.empty() ? "" : checkpoint_of(o_.weights);
    proof.partial = o_.partial;
    proof.end = result_.last;
    proof.folder = result_.run;
    proof.attach = o_.attach;
    result_.resume_difference = find_resume_difference(o_.source, rig_options(o_), proof);
    if (!result_.resume_difference->empty()) result_.exit_code = kNotExact;
  }

  // Seconds that this process has had, those for reading the data among them.
  double age() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  }

  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::shared_ptr<FolderLock> lock_;  // of the run that is gone on with
  TrainOptions o_;
  Rig rig_;
  const train::Plan& plan_;
  std::optional<RunFolder> folder_;
  std::string parent_run_id_;
  train::Control control_;
  TrainOptions::Attached attached_;
  TrainResult result_;
};

}  // namespace

TrainResult train(TrainOptions options) { return Run(std::move(options)).run(); }

std::string TrainResult::line() const {
  if (!plan.empty()) return fmt::format("{}", fmt::join(plan, "\n"));
  const train::Outcome& o = outcome;
  std::string out = fmt::format("{}, {} in {:.1f} s: loss {}", counted(o.at.epoch, "epoch"),
                                counted(o.at.step, "step"), o.at.seconds, short_number(o.loss));
  if (o.eval) {
    out += fmt::format(", {}.loss {}", o.eval->split, short_number(o.eval->loss));
    for (const auto& [name, value] : o.eval->metrics)
      out += fmt::format(", {}.{} {}", o.eval->split, name, short_number(value));
  }
  out += fmt::format(" ({})", train::reason_name(o.reason));
  if (!o.message.empty()) out += "; " + o.message;
  if (resume_difference)
    out += resume_difference->empty() ? "; a resumed run is the same, bit for bit"
                                      : "; a resumed run differs: " + *resume_difference;
  return out;
}

namespace {

Value or_none(const std::string& text) { return text.empty() ? Value() : Value(text); }

}  // namespace

std::string TrainResult::json() const {
  const train::Outcome& o = outcome;
  Json j;
  j.object().entry("run", run);
  if (!plan.empty()) return j.entry("dry_run", true).entry("plan", plan).end().text();
  j.entry("reason", train::reason_name(o.reason)).entry("exit_code", exit_code);
  j.entry("steps", o.at.step).entry("epochs", o.at.epoch).entry("seconds", o.at.seconds);
  j.entry("loss", o.loss).key("eval");
  if (o.eval) {
    j.object().entry("split", o.eval->split).entry("loss", o.eval->loss);
    for (const auto& [name, value] : o.eval->metrics) j.entry(name, value);
    j.end();
  } else {
    j.value(nullptr);
  }
  j.entry("checkpoint", or_none(last)).entry("best", or_none(best));
  if (!o.message.empty()) j.entry("message", o.message);
  if (resume_difference) {
    j.entry("resume_exact", resume_difference->empty());
    j.entry("resume_difference", *resume_difference);
  }
  return j.end().text();
}

}  // namespace nnm::run
