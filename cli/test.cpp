// nnm test: the tests that a config holds.
#include <memory>

#include "cli/config_file.h"
#include "nnm/base/file.h"
#include "nnm/base/output.h"
#include "nnm/run/tests.h"

namespace nnm::cli {

namespace {

struct TestOptions {
  ConfigFile file;
  run::WeightsOptions weights;
  std::string select, junit, format;
  bool partial = false, dry_run = false;
  Compute compute;
};

/// Of a config the fresh ones, of a checkpoint or run its own.
std::string weights_of(const run::Source& source, const TestOptions& o) {
  run::WeightsOptions weights = o.weights;
  weights.best = o.file.best;
  if (weights.weights.empty() && source.checkpoint.empty()) weights.fresh = true;
  return run::resolve_weights(source, weights);
}

int run_test(const TestOptions& o) {
  if (!o.junit.empty()) check_writable(o.junit);
  run::Source source = o.file.open();
  const std::string weights = weights_of(source, o);
  refuse_inputs(o.junit, {weights, source.config.path()});
  run::Session session(std::move(source), run::test_session(o.compute.apply()));
  session.load_weights(weights, o.partial);
  const bool text = o.format == "text";
  const run::TestReport report =
      run::run_tests(session, {o.select, o.dry_run, [&](const run::TestOutcome& t) {
                                 if (text) print(to_text(t, colour(1)));
                               }});
  print_line(text ? summary_line(report) : to_json(report));
  if (!o.junit.empty() && !o.dry_run) write_file_atomic(o.junit, to_junit(report));
  return report.good() ? 0 : exit_code(ErrorKind::negative);
}

}  // namespace

Action test(App app) {
  auto o = std::make_shared<TestOptions>();
  o->file.declare(app);
  app.add_option("-k,--select", o->select, "run only the tests that contain this text");
  app.add_option("--junit", o->junit, "write the results as JUnit's XML, too").output();
  app.add_option("--weights", o->weights.weights,
                 "weights to test with (default: fresh ones of train.seed, of a run its own)");
  app.add_flag("--fresh", o->weights.fresh, "fresh weights, also of a run");
  app.add_flag("--partial", o->partial, "load the weights that fit");
  app.add_flag("--dry-run", o->dry_run, "check the tests and list them; run none");
  add_format(app, o->format);
  o->compute.declare(app);
  return [o] { return run_test(*o); };
}

}  // namespace nnm::cli
