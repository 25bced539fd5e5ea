// The JSON Schema under schemas/ is the one that the declarations give.
#include <doctest/doctest.h>

#include <cstdlib>

#include "nnm/base/file.h"
#include "nnm/data/transform.h"
#include "nnm/lang/config.h"
#include "support/paths.h"

using namespace nnm;

TEST_CASE("schema: schemas/nnm.schema.json is up to date") {
  const std::string path = testing::source_dir() + "/schemas/nnm.schema.json";
  const std::string now = lang::json_schema(Registry<data::Transform>::names());
  if (std::getenv("NNM_UPDATE_SCHEMA")) write_file_atomic(path, now);
  INFO("NNM_UPDATE_SCHEMA=1 nnm_tests -tc='schema*' writes it anew");
  CHECK((read_file(path, 16 << 20) == now));
}
