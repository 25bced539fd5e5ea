// The program itself: killed at any moment, signalled, and what it says on which stream.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "run/project.h"
#include "support/paths.h"

using namespace nnm;
using namespace nnm::run::testing;
namespace fs = std::filesystem;

namespace {

// Long enough to be killed in the middle.
constexpr const char* kProcessConfig = R"(nnm: 1
model:
  Sequential:
    - Linear(16, 32)
    - BatchNorm1d(32)
    - ReLU()
    - Dropout(0.1)
    - Linear(32, 4)
data:
  train:
    random: {x: "f32[640, 16]", y: "i64[640] < 4"}
  val:
    random: {x: "f32[64, 16]", y: "i64[64] < 4"}
    seed: 2
  batch: 16
train:
  max: 30 epochs
  loss: cross_entropy(out, y)
  metrics:
    acc: accuracy(out, y)
  optimizer: AdamW(lr=0.01)
  schedule: warmup(10 steps) |> cosine(final=0.1)
  log: every 20 steps
  checkpoint: {every: 25 steps, keep: 2}
)";

class Process {
 public:
  Process(std::vector<std::string> args, const std::string& out) {
    args.insert(args.begin(), nnm::testing::nnm_binary());
    std::vector<char*> argv;
    for (std::string& a : args) argv.push_back(a.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, (out + ".out").c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0666);
    posix_spawn_file_actions_addopen(&actions, 2, (out + ".err").c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0666);
    REQUIRE(posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Process() {
    if (pid_ > 0) wait();
  }
  void signal(int s) const { ::kill(pid_, s); }
  /// The exit code, or minus the signal that ended it.
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t pid_ = -1;
};

void sleep_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

// Waits until a run has written a line of that kind.
bool wait_for(const std::string& log, const std::string& kind) {
  for (int i = 0; i < 2000; ++i) {
    if (fs::exists(log) && !events(slurp(log), kind).empty()) return true;
    sleep_ms(5);
  }
  return false;
}

}  // namespace

TEST_SUITE_BEGIN("run");

TEST_CASE("a run that is killed again and again ends as the one that is not") {
  const Project p(kProcessConfig);
  const auto train = [&](const std::string& run, bool resume) {
    std::vector<std::string> args = {
        "train", p.file("c.yaml"), "--run", p.file(run), "--threads", "1", "-q"};
    if (resume) args.push_back("--resume");
    return Process(args, p.file(run));
  };
  CHECK(train("whole", false).wait() == 0);
  const io::Checkpoint whole = p.last("whole");
  int kills = 0;
  bool resume = false;
  for (int delay = 20; kills < 12; delay += 17) {
    Process run = train("killed", resume);
    resume = true;
    sleep_ms(delay % 150);
    run.signal(SIGKILL);
    if (run.wait() != -SIGKILL) break;
    ++kills;
    const std::string newest = run::newest_checkpoint(p.file("killed"));
    if (!newest.empty()) CHECK(io::load_checkpoint(newest).global_step % 25 == 0);
  }
  CHECK(kills > 0);
  CHECK(train("killed", true).wait() == 0);
  CHECK(run::find_difference(whole, p.last("killed")) == "");
  CHECK(p.text("killed", "metrics.csv") == p.text("whole", "metrics.csv"));
  CHECK(events(p.text("killed", "events.jsonl"), "end").size() == 1);
}

TEST_CASE("signals end the program after a step, with their exit code") {
  const Project p(kProcessConfig);
  const auto start = [&](const std::string& run) {
    return Process({"train", p.file("c.yaml"), "--run", p.file(run), "--set",
                    "train.max=10000 epochs", "--threads", "1", "--progress", "none"},
                   p.file(run));
  };
  for (const auto& [signal, code] : {std::pair{SIGINT, 130}, std::pair{SIGTERM, 143}}) {
    const std::string run = "s" + std::to_string(signal);
    Process process = start(run);
    REQUIRE(wait_for(p.file(run) + "/events.jsonl", "step"));
    process.signal(SIGUSR1);
    REQUIRE(wait_for(p.file(run) + "/events.jsonl", "checkpoint"));
    process.signal(signal);
    CHECK(process.wait() == code);
    const std::string end = events(p.text(run, "events.jsonl"), "end").at(0);
    CHECK(value_of(end, "reason") == "\"signal\"");
    CHECK(std::to_string(p.last(run).global_step) == value_of(end, "step"));
    CHECK(value_of(p.text(run, "status.json"), "state") == "\"stopped\"");
  }
}

TEST_CASE("stdout holds the folder and the result, stderr is for people") {
  const Project p(kProcessConfig);
  const std::string run = p.file("r");
  CHECK(Process({"train", p.file("c.yaml"), "--run", run, "--max", "1 epoch"}, run).wait() == 0);
  const auto out = lines(slurp(run + ".out"));
  REQUIRE(out.size() == 2);
  CHECK(out[0] == run);
  CHECK(contains(out[1], "1 epoch, 40 steps"));
  CHECK(contains(slurp(run + ".err"), "step 40/40"));
  const std::string json = p.file("json");
  CHECK(Process({"train", p.file("c.yaml"), "--run", json, "--max", "2 steps", "--format", "json",
                 "--events", p.file("copy.jsonl")},
                json)
            .wait() == 0);
  REQUIRE(lines(slurp(json + ".out")).size() == 1);
  CHECK(value_of(slurp(json + ".out"), "steps") == "2");
  CHECK(slurp(p.file("copy.jsonl")) == p.text("json", "events.jsonl"));

  const auto code = [&](std::vector<std::string> args) {
    return Process(std::move(args), p.file("x")).wait();
  };
  CHECK(code({"eval", run, "--split", "val", "--assert", "acc >= 0", "--assert", "loss > 0"}) == 0);
  CHECK(code({"eval", run, "--assert", "acc > 1"}) == 1);
  CHECK(code({"eval", run, "--assert", "accuracy > 1"}) == 2);
  CHECK(code({"eval", run, "--split", "nope"}) == 2);
  CHECK(code({"eval", p.file("none.h5")}) == 3);
  CHECK(code({"train", p.file("none.yaml")}) == 2);
  CHECK(code({"train", p.file("c.yaml"), "--run", run}) == 2);
  CHECK(code({"train", p.file("c.yaml"), "--run", "/proc/none"}) == 4);
  CHECK(code({"train", p.file("c.yaml"), "--run", p.file("f"), "--events", "/dev/full"}) == 4);
  CHECK(value_of(p.text("f", "status.json"), "state") == "\"failed\"");
  CHECK(code({"train", p.file("c.yaml"), "--run", p.file("t"), "--time-limit", "0.001s"}) == 75);
  CHECK(code({"train", p.file("c.yaml"), "--time-limit", "soon"}) == 2);
  CHECK(code({"predict", run, "--split", "val", "-o", p.file("y.h5")}) == 0);
  CHECK(lines(slurp(p.file("x.out")))[0] == p.file("y.h5"));
  CHECK(code({"predict", run, "--split", "val", "-o", p.file("none/y.h5")}) == 4);
}

TEST_SUITE_END();
