// The manifest: which datasets a file of nnm has, and what their bytes add up to.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "nnm/io/h5.h"

namespace nnm::io {

/// /manifest of a file, itself checked against the root attribute manifest_crc32c.
class Manifest {
 public:
  /// Throws Error(input_file) where the manifest is missing or damaged, or the file's end is.
  explicit Manifest(const H5Reader& file);

  const std::vector<ManifestRow>& rows() const { return rows_; }
  /// What is wrong with a dataset whose bytes are given: "" if nothing is.
  std::string problem(const H5Node& node, const void* data, size_t bytes) const;
  /// The same of bytes that were read in pieces, whose CRC32C is given.
  std::string crc_problem(const H5Node& node, uint32_t crc, size_t bytes) const;
  /// The file's seal, if it has one.
  std::optional<uint32_t> seal() const { return seal_; }
  bool lists(const H5Node& node) const { return by_address_.contains(node.address); }

 private:
  std::vector<ManifestRow> rows_;
  std::unordered_map<uint64_t, size_t> by_address_;
  std::optional<uint32_t> seal_;
};

/// The tensor of a dataset, checked. Throws Error(input_file).
Tensor checked_tensor(const H5Reader& file, const Manifest& manifest, const H5Node& node);
/// A scalar text, checked.
std::string checked_text(const H5Reader& file, const Manifest& manifest, const H5Node& node);
/// A 1-D text dataset, checked.
std::vector<std::string> checked_texts(const H5Reader& file, const Manifest& manifest,
                                       const H5Node& node);

/// One dataset of a verified file; `problem` is "" for a sound one.
struct VerifyLine {
  std::string dataset, problem;
};

struct VerifyReport {
  std::string path;
  std::string format;             ///< "nnm-checkpoint" or "nnm-trace"
  std::vector<VerifyLine> lines;  ///< one per dataset, in file order
  bool ok() const;
};

/// Reads every byte of a checkpoint or trace and compares. Damage is in the report; a file that is
/// missing, not HDF5 or not nnm's throws Error(input_file).
VerifyReport verify(const std::string& path, const H5Limits& limits = {});

}  // namespace nnm::io
