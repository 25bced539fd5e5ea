// nnm selftest: does a device compute what the CPU computes, kernel by kernel?
#include <cstdio>
#include <map>
#include <memory>
#include <set>

#include "cli/verb.h"
#include "nnm/base/error.h"
#include "nnm/base/file.h"
#include "nnm/base/signature.h"
#include "nnm/run/selftest.h"

namespace nnm::cli {

namespace {

using run::SelfTestResult;

struct SelftestOptions {
  Compute compute;
  std::vector<std::string> kernels;
  std::string output;
  bool failures = false;
};

/// Throws Error(config) for a kernel that there is no test of.
void check_names(Device device, const std::vector<std::string>& wanted) {
  std::set<std::string> known;
  run::selftest(
      device,
      [&](const std::string& kernel) {
        known.insert(kernel);
        return false;
      },
      [](const SelfTestResult&) {});
  for (const std::string& w : wanted) {
    if (known.contains(w)) continue;
    const std::string near = nearest(w, {known.begin(), known.end()});
    throw Error(ErrorKind::config, fmt::format("there is no kernel `{}`", w),
                near.empty() ? "" : fmt::format("did you mean `{}`?", near));
  }
}

std::string row(const SelfTestResult& r) {
  return fmt::format("{}\t{}\t{}\t{:.3g}\t{:.3g}\t{}\n", r.kernel, run::name(r.status), r.operands,
                     r.error, r.limit, r.note);
}

/// "12 kernels, 340 cases: 338 ok, 2 differ", for people.
std::string summary(size_t kernels, const std::map<SelfTestResult::Status, int>& counts) {
  int cases = 0;
  std::string parts;
  for (const auto& [status, count] : counts) {
    cases += count;
    parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", count, run::name(status));
  }
  return fmt::format("{} kernels, {} cases: {}\n", kernels, cases, parts);
}

int run_selftest(const SelftestOptions& o) {
  const Device device = o.compute.apply();
  if (device.type != DeviceType::cuda)
    throw Error(ErrorKind::device, "the self-test compares a GPU with the CPU",
                "`nnm doctor` says which GPUs there are");
  check_names(device, o.kernels);
  const std::set<std::string> wanted(o.kernels.begin(), o.kernels.end());
  std::set<std::string> kernels;
  std::map<SelfTestResult::Status, int> counts;
  const std::string head = "kernel\tstatus\toperands\terror\tlimit\tnote\n";
  std::string table = head;
  if (o.output.empty()) print(head);
  run::selftest(
      device, [&](const std::string& kernel) { return wanted.empty() || wanted.contains(kernel); },
      [&](const SelfTestResult& r) {
        kernels.insert(r.kernel);
        ++counts[r.status];
        if (o.failures && r.status == SelfTestResult::Status::ok) return;
        if (o.output.empty()) print(row(r));
        else table += row(r);
      });
  if (!o.output.empty()) write_file_atomic(o.output, table);
  std::fputs(summary(kernels.size(), counts).c_str(), stderr);
  return counts.size() == 1 && counts.begin()->first == SelfTestResult::Status::ok ? 0 : 1;
}

}  // namespace

Action selftest(App app) {
  auto o = std::make_shared<SelftestOptions>();
  app.add_option("kernels", o->kernels, "kernels to test; all where none is named");
  app.add_option("-o,--output", o->output, "write the table to this file").output();
  app.add_flag("--failures", o->failures, "only rows that are not ok");
  o->compute.declare(app);
  return [o] { return run_selftest(*o); };
}

}  // namespace nnm::cli
