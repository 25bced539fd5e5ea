// BlockReader: from trees to blocks of children, lets, requirements, parameters and rules.
#pragma once

#include <string>
#include <vector>

#include "nnm/lang/parser.h"

namespace nnm::lang {

/// What stands in a block decides how its entries are read.
enum class BlockKind : uint8_t {
  modules,   ///< children with names
  children,  ///< of Sequential, ModuleList, ModuleDict: list items need no names
  let,
  require,
  params,
  buffers,
  tie,
  init,
  freeze
};

class BlockReader {
 public:
  BlockReader(Diagnostics& d, const TypeNames& types) : d_(d), types_(types) {}

  Block block(const Tree& tree, BlockKind kind);
  Layer layer(const Tree& tree);

 private:
  static bool is_children(BlockKind kind) {
    return kind == BlockKind::modules || kind == BlockKind::children;
  }
  void error(const char* code, const Span& span, std::string message, std::string help = {});
  bool is_type(std::string_view name) const;

  void read_map(const Tree& tree, BlockKind kind, Block& out);
  void read_entry(const Tree::Entry& e, BlockKind kind, Block& out);
  bool refuse_name(const Located& at, BlockKind kind);
  bool refuse_type_key(const Tree& tree);
  void read_item(const Tree& tree, BlockKind kind, Block& out);
  void read_header_block(const Tree::Entry& e, BlockKind kind, Block& out);
  void read_lets(const Tree::Entry& e, Block& out);
  void read_let(const Tree::Entry& e, Block& out);
  void read_add_module(const Tree::Entry& e, Block& out);
  void read_value(const Tree& tree, BlockKind kind, BlockItem& item);
  void read_tensor(const Tree& tree, BlockItem& item, const std::vector<std::string>& keys);
  void read_requirement(const Tree& tree, BlockItem& item);
  void read_equation(const Tree& tree, BlockItem& item);
  std::string type_advice(const std::string& type) const;
  static Span list_below(const Tree& tree);
  void read_args(const Tree& tree, Layer& out);
  ExprRef argument(const Tree& tree);
  ExprRef quoted_or_code(const Tree& tree);
  ExprRef code(const Tree& tree);

  Diagnostics& d_;
  const TypeNames& types_;
};

/// Letters, digits and `_`, not starting with a digit, and no reserved word.
bool is_plain_name(std::string_view name);
/// The offset of the first `c` from `from` on that stands outside of brackets and quotes, or npos.
size_t find_outside(std::string_view text, char c, size_t from = 0);

}  // namespace nnm::lang
