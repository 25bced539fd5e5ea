// Sealing files, and looking at seals. HDF5 checks the metadata that it reads; the rest, such as
// what is unused of an index or of a chunk, nobody would.
#include "nnm/io/seal.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <span>
#include <string_view>

#include "nnm/base/error.h"
#include "nnm/base/file.h"
#include "nnm/io/manifest.h"

namespace nnm::io {
namespace {

constexpr std::string_view kMark = "nnm-seal";
constexpr size_t kSealBytes = kMark.size() + sizeof(uint32_t);

std::array<char, kSealBytes> seal_bytes(uint32_t crc) {
  std::array<char, kSealBytes> bytes;
  kMark.copy(bytes.data(), kMark.size());
  for (size_t i = 0; i < sizeof crc; ++i)
    bytes[kMark.size() + i] = static_cast<char>(crc >> (8 * i));
  return bytes;
}

// Continues a CRC32C over an extent of a file; nothing where the file ends before.
std::optional<uint32_t> crc_of(std::istream& in, Extent extent, uint32_t crc,
                               std::span<char> piece) {
  in.seekg(static_cast<std::streamoff>(extent.begin));
  while (extent.size > 0) {
    const size_t n = std::min<uint64_t>(piece.size(), extent.size);
    if (!in.read(piece.data(), static_cast<std::streamsize>(n))) return std::nullopt;
    crc = crc32c(piece.data(), n, crc);
    extent.size -= n;
  }
  return crc;
}

std::optional<uint32_t> crc_outside(std::istream& in, uint64_t end, std::vector<Extent> guarded) {
  std::sort(guarded.begin(), guarded.end(),
            [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  guarded.push_back({end, 0});
  std::vector<char> piece(size_t{1} << 16);
  std::optional<uint32_t> crc = 0;
  uint64_t at = 0;
  for (const Extent& g : guarded) {
    if (g.begin > at) crc = crc_of(in, {at, std::min(g.begin, end) - at}, *crc, piece);
    if (!crc) break;
    at = std::max(at, std::min(g.begin + g.size, end));
  }
  return crc;
}

}  // namespace

void write_seal(const std::string& path, std::vector<Extent> guarded) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary | std::ios::ate);
  const std::streamoff end = file.tellg();
  std::optional<uint32_t> crc;
  if (end >= 0) crc = crc_outside(file, static_cast<uint64_t>(end), std::move(guarded));
  if (!crc) fail_with_errno("read back", path);
  const std::array bytes = seal_bytes(*crc);
  file.seekp(end);
  file.write(bytes.data(), bytes.size());
  file.close();
  if (!file) fail_with_errno("seal", path);
}

std::optional<uint32_t> read_seal(const H5Reader& file) {
  std::ifstream in(file.path(), std::ios::binary | std::ios::ate);
  const std::streamoff size = in.tellg();
  if (!in) file.fail(file.root(), "cannot be read");
  const uint64_t beyond = static_cast<uint64_t>(size) - file.end();
  if (beyond == 0) return std::nullopt;
  std::array<char, kSealBytes> found{};
  in.seekg(static_cast<std::streamoff>(file.end()));
  if (beyond != found.size() || !in.read(found.data(), found.size()) ||
      std::string_view(found.data(), kMark.size()) != kMark) {
    file.fail(file.root(), "the end of the file is not the one that nnm wrote");
  }
  uint32_t crc = 0;
  for (size_t i = 0; i < sizeof crc; ++i)
    crc |= static_cast<uint32_t>(static_cast<uint8_t>(found[kMark.size() + i])) << (8 * i);
  return crc;
}

bool seal_holds(const H5Reader& file, const Manifest& manifest) {
  if (!manifest.seal()) return true;
  std::vector<Extent> guarded;
  for (const ManifestRow& row : manifest.rows())
    if (const H5Node* node = file.find(row.path)) guarded.push_back(file.extent(*node));
  std::ifstream in(file.path(), std::ios::binary);
  return crc_outside(in, file.end(), std::move(guarded)) == manifest.seal();
}

}  // namespace nnm::io
