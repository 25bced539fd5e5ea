// The readers of each thread.
#include "nnm/tensor/late_reads.h"

#include <vector>

namespace nnm::detail {

thread_local constinit int late_readers = 0;

namespace {

std::vector<LateReader*>& readers() {
  thread_local std::vector<LateReader*> all;
  return all;
}

}  // namespace

LateReader::LateReader() {
  readers().push_back(this);
  ++late_readers;
}

LateReader::~LateReader() { late_readers -= static_cast<int>(std::erase(readers(), this)); }

void tell_late_readers(const Storage& memory) {
  for (LateReader* r : readers()) r->before_write(memory);
}

}  // namespace nnm::detail
