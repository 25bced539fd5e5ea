// The committed corpora: what fuzzing started from, and what it found.
#include <doctest/doctest.h>

#include <ctime>
#include <filesystem>

#include "fuzz/targets.h"
#include "io/temp.h"
#include "nnm/base/log.h"
#include "support/paths.h"

using namespace nnm;
namespace fs = std::filesystem;

TEST_CASE("fuzz: every file of the corpora is answered, soon") {
  const fs::path corpus = fs::path(testing::source_dir()) / "tests/fuzz/corpus";
  set_log_level(LogLevel::quiet);
  for (const fuzz::Target& target : fuzz::targets()) {
    CAPTURE(std::string(target.name));
    REQUIRE(fs::is_directory(corpus / target.name));
    for (const fs::directory_entry& file : fs::directory_iterator(corpus / target.name)) {
      CAPTURE(file.path().string());
      const std::clock_t begin = std::clock();
      CHECK_NOTHROW(target.run(io::testing::slurp(file.path().string())));
      CHECK(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC < 5);
    }
  }
  for (const fs::directory_entry& folder : fs::directory_iterator(corpus))
    CHECK(fuzz::find_target(folder.path().filename().string()));
  set_log_level(LogLevel::normal);
}
