// Tree: a YAML document as nnm reads it, with the place of every key and value.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nnm/base/diagnostic.h"

namespace nnm::lang {

/// The place of bytes [begin, end) of a source; it ends at the end of its first line.
Span source_span(const SourceRef& file, size_t begin, size_t end);

/// A text whose every byte knows where it stands in a source, through YAML's quoting and folding.
class Located {
 public:
  Located() = default;
  /// Text that stands in the source as it is, from byte `source_offset` on.
  Located(std::string text, SourceRef file, size_t source_offset);

  const std::string& text() const { return text_; }
  bool empty() const { return text_.empty(); }
  const SourceRef& file() const { return file_; }
  /// The place of text()[begin, end); of the whole text without arguments. A span ends at the end
  /// of its first line.
  Span span(size_t begin, size_t end) const;
  Span span() const { return span(0, text_.size()); }
  /// Where the byte stands in the file.
  size_t source_offset(size_t at) const;
  /// text()[begin, end) as a text of its own.
  Located part(size_t begin, size_t end) const;
  /// Appends text that stands in the source at another place.
  void append(std::string_view text, size_t source_offset);

 private:
  struct Piece {
    size_t begin, source;  ///< offsets in text_ and in the file
  };
  std::string text_;
  SourceRef file_;
  std::vector<Piece> pieces_;
};

/// One node of the document. Keys are in document order and never twice; merge keys and aliases are
/// expanded; flow pieces that YAML split at the commas of a call are joined again.
class Tree {
 public:
  enum class Kind : uint8_t { null, scalar, map, list };
  enum class Style : uint8_t { plain, quoted, block };
  struct Entry;

  Kind kind = Kind::null;
  Style style = Style::plain;  ///< of a scalar
  Located scalar;
  std::vector<Entry> entries;  ///< of a map
  std::vector<Tree> items;     ///< of a list
  Span span;                   ///< of a scalar: the scalar; else the first key or item
  std::string origin;   ///< "" for a file, else what set it: "--set train.seed=3", "profile debug"
  bool absent = false;  ///< of a null: nothing stands there (`train:`)

  /// An empty mapping.
  static Tree mapping(const Span& span = {});

  bool is_null() const { return kind == Kind::null; }
  bool is_scalar() const { return kind == Kind::scalar; }
  bool is_map() const { return kind == Kind::map; }
  bool is_list() const { return kind == Kind::list; }
  const std::string& text() const { return scalar.text(); }
  /// The value under a key, or null.
  const Tree* find(std::string_view key) const;
  Tree* find(std::string_view key);
  /// The node at `a.b[2].c`, or null. Keys that hold dots are tried longest first.
  const Tree* at(std::string_view path) const;
  /// Notes the origin of this node and of those below it that have none.
  void mark(const std::string& set_by);
};

struct Tree::Entry {
  Located key;
  Tree value;
  /// An `x-…` key: a note or an anchor, which says nothing to nnm.
  bool is_note() const { return key.text().starts_with("x-"); }
};

/// What a document may cost before it is refused.
struct TreeLimits {
  size_t bytes = 1 << 20, scalar_bytes = 64 << 10, nodes = 100'000, depth = 64;
};

/// Reads one YAML 1.2 document. Throws DiagnosticError (E01xx): not UTF-8, tabs, bad YAML with what
/// to write instead, duplicate keys with both places, several documents, alias cycles and bombs,
/// limits.
Tree read_yaml(SourceRef source, const TreeLimits& limits = {});

/// The tree as YAML text that reads back to the same tree: what resolved.yaml is written with.
/// `note` is asked what to say in a comment behind each value.
std::string write_yaml(const Tree& tree, const std::function<std::string(const Tree&)>& note = {});
/// The same in one line of flow style; texts that are neither numbers nor words of a config stand
/// in quotes.
std::string write_flow(const Tree& tree);

}  // namespace nnm::lang
