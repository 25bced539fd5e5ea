// nnm bench: time and memory of a training step, module by module.
#include <memory>

#include "cli/config_file.h"
#include "nnm/run/bench.h"

namespace nnm::cli {

namespace {

struct BenchOptions {
  ConfigFile file;
  run::BenchOptions bench;
  std::vector<std::string> shapes;
  std::string format;
  Compute compute;
};

int run_bench(BenchOptions o) {
  const lang::InputShapes shapes = read_shapes(o.shapes);
  o.bench.shapes = !shapes.empty();
  run::Session session(o.file.open(), run::bench_session(o.compute.apply(), shapes));
  const run::BenchReport report = run::bench(session, o.bench);
  if (o.format == "json") print_line(report.json());
  else print(o.format == "csv" ? report.csv() : report.text());
  return 0;
}

}  // namespace

Action bench(App app) {
  auto o = std::make_shared<BenchOptions>();
  o->file.declare(app);
  app.add_option("--steps", o->bench.steps, "training steps to measure (10)").between(1, 1000000);
  app.add_option("--warmup", o->bench.warmup, "steps before them, not measured (2)")
      .between(0, 1000000);
  app.add_option("--batch", o->bench.batch, "samples in a batch (default: that of the config)")
      .positive();
  add_shape(app, o->shapes);
  add_format(app, o->format, {"text", "json", "csv"});
  o->compute.declare(app);
  return [o] { return run_bench(std::move(*o)); };
}

}  // namespace nnm::cli
