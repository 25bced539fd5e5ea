// The state of a run in a checkpoint, and back.
#include <cmath>

#include "nnm/base/log.h"
#include "nnm/io/tree.h"
#include "nnm/tensor/generator.h"
#include "nnm/train/state.h"
#include "nnm/train/trainer.h"

namespace nnm::train {

namespace {

int64_t integer(const Items& items, const char* key) { return io::item_at(items, key).integer(); }
double real(const Items& items, const char* key) { return io::item_at(items, key).real(); }

// Counts that no run comes to, whose products would overflow.
constexpr int64_t kMostCounted = int64_t{1} << 53, kMostPlaces = int64_t{1} << 31;

int64_t count(const char* name, int64_t value, int64_t most) {
  NNM_CHECK(value >= 0 && value <= most, input_file, "its {} cannot be {}", name, value);
  return value;
}
int64_t count(const Items& items, const char* key, int64_t most) {
  return count(key, integer(items, key), most);
}
double duration(const Items& items, const char* key) {
  const double seconds = real(items, key);
  NNM_CHECK(std::isfinite(seconds) && seconds >= 0, input_file, "its {} cannot be {}", key,
            seconds);
  return seconds;
}

// A run that goes on keeps its settings: says which of the config's are not followed.
void warn_of_kept(const Items& kept, const Items& asked, const std::string& from) {
  for (const auto& [name, value] : kept) {
    const Value* other = io::find_item(asked, name);
    const bool plain = value.is(Value::Kind::real) || value.is(Value::Kind::integer) ||
                       value.is(Value::Kind::boolean);
    if (!plain || !other || *other == value) continue;
    log_warning(
        "the run goes on with {}={} of {}, not {}: --weights starts a run with new settings", name,
        value.config_text(), from, other->config_text());
  }
}

}  // namespace

const std::string& Trainer::fingerprint() const {
  if (fingerprint_.empty()) fingerprint_ = data::fingerprint(parts_.loader->dataset());
  return fingerprint_;
}

io::Checkpoint Trainer::snapshot() const {
  io::Checkpoint c;
  c.global_step = step_;
  c.epoch = micro_ / batches_;
  put_model(*parts_.model, c);
  c.optimizer = to_io(parts_.optimizer->state_dict());
  if (ema_) c.ema = ema_->state();
  if (parts_.schedule) c.scheduler = parts_.schedule->state();
  if (plan_.autocast) c.amp = {{"autocast", info(*plan_.autocast).name}};
  const Generator& g = default_generator();
  c.rng = {{"generator", "philox4x32-10"},
           {"seed", static_cast<int64_t>(g.seed)},
           {"offset", static_cast<int64_t>(g.offset)}};
  c.data = {{"epoch", micro_ / batches_},
            {"batch", micro_ % batches_},
            {"batches_per_epoch", batches_},
            {"samples", parts_.loader->dataset().size(true)},
            {"seed", static_cast<int64_t>(parts_.loader->options().seed)},
            {"fingerprint", fingerprint()},
            {"loss_sum", loss_sum_},
            {"loss_count", loss_count_},
            {"logged_loss", logged_loss_},
            {"ending_rows", history_.ending()},
            {"seconds", earlier_seconds_ + elapsed()}};
  c.metrics = history_.columns();
  c.best = {{"metric", plan_.best.metric},
            {"value", best_.value},
            {"step", best_.step},
            {"wait_value", wait_.value},
            {"wait_step", wait_.step},
            {"wait_batch", wait_.micro},
            {"wait_seconds", wait_.seconds},
            {"wait_evaluations", wait_.evaluations}};
  for (const Watcher* w : parts_.watchers) w->put(c);
  return c;
}

void Trainer::resume(const io::Checkpoint& c, const std::string& from) {
  if (!c.optimizer)
    throw Error(ErrorKind::input_file, from + " holds weights alone, no run to go on with",
                "start from it with --weights");
  take_model(c, *parts_.model, from);
  try {
    warn_of_kept(c.optimizer->defaults, to_io(parts_.optimizer->state_dict()).defaults, from);
    parts_.optimizer->load_state_dict(from_io(*c.optimizer));
    if (parts_.schedule) parts_.schedule->load_state(c.scheduler);
    if (ema_) ema_->load(c.ema);
    default_generator().seed = static_cast<uint64_t>(integer(c.rng, "seed"));
    default_generator().offset = static_cast<uint64_t>(integer(c.rng, "offset"));
    const int64_t batches = count(c.data, "batches_per_epoch", kMostPlaces),
                  batch = count(c.data, "batch", kMostPlaces);
    NNM_CHECK(batch < batches, input_file, "batch {} of an epoch that has {}", batch, batches);
    // A place within an epoch of other batches is as far in one of these.
    const auto place = [&](int64_t micro) {
      int64_t product = 0;
      NNM_CHECK(!__builtin_mul_overflow(micro, batches_, &product), input_file,
                "its batch cannot be {}", micro);
      return product / batches;
    };
    micro_ = count(c.data, "epoch", kMostPlaces) * batches_ + place(batch);
    const Value* kept = io::find_item(c.data, "fingerprint");
    if (batches != batches_ || integer(c.data, "samples") != parts_.loader->dataset().size(true) ||
        integer(c.data, "seed") != static_cast<int64_t>(parts_.loader->options().seed) ||
        (kept && *kept != Value(fingerprint())))
      log_warning(
          "{} was saved with other data, another batch size or another seed: the run goes on at "
          "the "
          "nearest batch, not bit for bit",
          from);
    loss_sum_ = real(c.data, "loss_sum");
    loss_count_ = count(c.data, "loss_count", kMostCounted);
    if (const Value* logged = io::find_item(c.data, "logged_loss")) logged_loss_ = logged->real();
    earlier_seconds_ = duration(c.data, "seconds");
    if (io::item_at(c.best, "metric").string() == plan_.best.metric)
      best_ = {real(c.best, "value"), integer(c.best, "step")};
    wait_ = {real(c.best, "wait_value"), real(c.best, "wait_seconds"), integer(c.best, "wait_step"),
             place(integer(c.best, "wait_batch")), integer(c.best, "wait_evaluations")};
    for (Watcher* w : parts_.watchers) w->take(c);
    step_ = first_step_ = saved_step_ = count("global_step", c.global_step, kMostCounted);
    count_steps_left();
    const bool over = (total_steps_ > 0 && step_ >= total_steps_) ||
                      (plan_.max.seconds > 0 && earlier_seconds_ >= plan_.max.seconds);
    history_.restore(c.metrics);
    if (const Value* rows = io::find_item(c.data, "ending_rows"))
      history_.restore_ending(*rows, !over);
  } catch (const Error& e) {
    throw Error(ErrorKind::input_file, fmt::format("{}: {}", from, e.what()), e.hint());
  }
  recall_outcome();
}

// The run ends with its last epoch, however many steps the epochs of before had.
void Trainer::count_steps_left() {
  if (!most_micro_) return;
  total_steps_ = step_ + std::max<int64_t>(most_micro_ - micro_, 0) / plan_.accumulate;
  if (plan_.max.steps) total_steps_ = std::min(total_steps_, plan_.max.steps);
}

// A run that has nothing left to do ends with the numbers it had.
void Trainer::recall_outcome() {
  outcome_.loss = loss_count_ ? loss_sum_ / static_cast<double>(loss_count_) : logged_loss_;
  for (const History::Row& row : history_.rows()) {
    if (!row.eval) continue;
    EvalEvent e;
    e.step = row.step;
    e.epoch = row.epoch;
    e.split = row.split;
    e.loss = row.loss;
    for (size_t i = 0; i < row.metrics.size(); ++i)
      e.metrics.emplace_back(history_.names()[i], row.metrics[i]);
    outcome_.eval = std::move(e);
  }
}

}  // namespace nnm::train
