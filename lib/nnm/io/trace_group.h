// The records of one /tensors/<module>/<what> while a trace is written. Private to lib/nnm/io.
#pragma once

#include "nnm/io/trace_file.h"

namespace nnm::io {

/// Arguments go by the names of their links.
class TraceGroup {
 public:
  TraceGroup(H5Writer& file, std::string path) : file_(file), path_(std::move(path)) {}

  /// Why the group cannot hold these, "" where it can: an argument has one dtype.
  std::string problem(std::span<const TraceArg> args) const;
  /// One record: a row of every argument; those that are not given are marked absent. Tensor hooks
  /// see the gradients of one call one by one: what a record of the same step and call lacks joins
  /// that one.
  void append(int64_t step, int64_t call, std::span<const TraceArg> args);
  /// Writes the rows of @step, @call, @crc32c and @shape that are not in the file yet.
  void flush();
  void close();

 private:
  struct Arg {
    std::string name;
    DType dtype;
    int rank;
    H5Writer::Stream stream;
    std::vector<uint32_t> crcs;   // one per record
    std::vector<int64_t> shapes;  // `rank` per record; -1 for what is not there
    std::vector<bool> present;    // per record
  };
  const Arg* find(const std::string& name) const;
  Arg& arg(const TraceArg& given);
  void raise_rank(Arg& a, int rank);
  std::optional<size_t> lacking(int64_t step, int64_t call, std::span<const TraceArg> args) const;
  void write_tensor(Arg& a, const Tensor& t, std::optional<size_t> row);
  void append_absent(Arg& a);
  void restart(std::optional<H5Writer::Stream>& stream, const std::string& name);

  H5Writer& file_;
  std::string path_;
  std::vector<std::unique_ptr<Arg>> args_;  // by name
  std::vector<int64_t> steps_, calls_;
  size_t written_ = 0, crc_written_ = 0, shape_written_ = 0;
  bool ragged_ = false;
  int64_t absent_ = 0;  // entries
  std::optional<H5Writer::Stream> step_, call_, crc_, shape_;
};

}  // namespace nnm::io
