// Reads YAML: yaml-cpp's events become a Tree, within budgets and with the place of every byte.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <unordered_map>

#include "nnm/base/text.h"
#include "nnm/lang/parser.h"
#include "nnm/lang/scalar_place.h"
#include "nnm/lang/yaml_errors.h"

namespace nnm::lang {

namespace {

/// Ends the reading at once.
[[noreturn]] void refuse(Diagnostic d) {
  Diagnostics all;
  all.add(std::move(d));
  throw DiagnosticError(std::move(all));
}
[[noreturn]] void refuse(const char* code, const Span& span, std::string message,
                         std::string help = {}) {
  refuse(Diagnostic{code, std::move(message), span, std::move(help), {}});
}

/// A node with what is needed while its collection is open.
struct Built {
  Tree tree;
  size_t begin = 0, end = 0;  ///< in the source, of a scalar
  size_t nodes = 1, depth = 0, bytes = 0;
  bool absent = false;  ///< a null that nothing stands for
};

struct Frame {
  bool map = false, flow = false;
  size_t begin = 0;
  YAML::anchor_t anchor = 0;
  std::vector<Built> parts;  ///< items, or keys and values in turn
};

size_t count_nodes(const std::vector<Built>& parts) {
  size_t n = 1;
  for (const Built& b : parts) n += b.nodes;
  return n;
}

class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(const SourceRef& file, size_t base, const TreeLimits& limits)
      : file_(file), base_(base), limits_(limits) {}

  void OnDocumentStart(const YAML::Mark& mark) override { document_ = offset(mark); }
  void OnDocumentEnd() override {}
  void OnAnchor(const YAML::Mark&, const std::string& name) override {
    state_.anchors.push_back(name);
  }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Built b;
    const std::string_view text = file_->text;
    const size_t at = std::min(offset(mark), text.size());
    const size_t word = text.find_first_of(" \t\r\n,}]#", at);
    const std::string_view written = text.substr(at, word - std::min(word, at));
    b.absent = written != "~" && written != "null" && written != "Null" && written != "NULL";
    if (b.absent) {
      // Nothing stands there: point at what calls for a value.
      const size_t last = at == 0 ? text.npos : text.find_last_not_of(" \t\r\n", at - 1);
      const size_t begin = last == text.npos ? 0 : last;
      b.tree.span = source_span(file_, begin, begin + 1);
    } else {
      b.tree.span = source_span(file_, at, std::min(word, text.size()));
    }
    b.tree.absent = b.absent;
    b.begin = b.end = at;
    add(std::move(b), anchor);
  }

  /// What an alias stands for is copied, and counts again.
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const size_t at = offset(mark);
    const auto found = anchors_.find(anchor);
    const std::string_view text = file_->text;
    const Span span = source_span(file_, at, text.find_first_of(" \t\r\n,}]", at));
    if (found == anchors_.end()) {
      refuse("E0108", span, "an alias inside of what it stands for",
             "an anchor is used after its value has ended");
    }
    expanded_ += found->second.bytes;
    if (expanded_ > limits_.bytes) {
      refuse("E0107", span, "the aliases expand to too much text");
    }
    count(found->second.nodes, span);
    if (frames_.size() + found->second.depth > limits_.depth) too_deep(span);
    Built b = found->second;
    b.begin = at;
    b.nodes = 0;  // counted
    add(std::move(b), 0);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    const size_t at = offset(mark);
    PlacedScalar placed = place_scalar(file_, at, value, tag == "?");
    check_tag(tag, at);
    if (value.size() > limits_.scalar_bytes) {
      refuse("E0107", placed.text.span(),
             fmt::format("a text of more than {}", human_bytes(limits_.scalar_bytes)));
    }
    if (anchor && placed.style == Tree::Style::plain && value.starts_with("=")) {
      refuse("E0110", source_span(file_, at, at + 1),
             "an unquoted `&` at the start is a YAML anchor", "put the whole text into quotes");
    }
    Built b;
    b.begin = placed.begin;
    b.end = placed.end;
    b.bytes = value.size();
    if (placed.style == Tree::Style::quoted && (b.end < b.begin + 2 || b.end > file_->text.size() ||
                                                file_->text[b.end - 1] != file_->text[b.begin])) {
      refuse("E0104", source_span(file_, b.begin, b.begin + 1), "this quote is never closed");
    }
    state_.last_begin = b.begin;
    state_.last_end = b.end;
    state_.last_text = value;
    state_.last_quoted = placed.style == Tree::Style::quoted;
    b.tree.kind = Tree::Kind::scalar;
    b.tree.style = placed.style;
    b.tree.span = value.empty() ? source_span(file_, b.begin, b.end) : placed.text.span();
    b.tree.scalar = std::move(placed.text);
    add(std::move(b), anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    open(mark, tag, anchor, style, false);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    open(mark, tag, anchor, style, true);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

  const YamlState& state() const { return state_; }
  size_t document() const { return document_; }
  Diagnostics& diagnostics() { return diagnostics_; }
  Tree take() {
    diagnostics_.throw_if_errors();
    return std::move(root_);
  }

 private:
  size_t offset(const YAML::Mark& mark) const {
    return base_ + static_cast<size_t>(std::max(0, mark.pos));
  }

  void check_tag(const std::string& tag, size_t at) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    const size_t end = file_->text.find_first_of(" \t\r\n,}]", at);
    refuse("E0109", source_span(file_, at, std::min(end, file_->text.size())),
           "an unquoted `!` at the start is a YAML tag, and tags have no meaning here",
           "leave the tag away, or put the whole text into quotes");
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            YAML::EmitterStyle::value style, bool map) {
    const size_t at = offset(mark);
    check_tag(tag, at);
    if (frames_.size() >= limits_.depth) too_deep(source_span(file_, at, at + 1));
    Frame frame;
    frame.map = map;
    frame.flow = style == YAML::EmitterStyle::Flow;
    frame.begin = at;
    frame.anchor = anchor;
    state_.open.push_back({at, map, frame.flow});
    frames_.push_back(std::move(frame));
  }

  void close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    state_.open.pop_back();
    Built b;
    b.begin = frame.begin;
    b.nodes = count_nodes(frame.parts);
    for (const Built& part : frame.parts) {
      b.depth = std::max(b.depth, part.depth + 1);
      b.bytes += part.bytes;
    }
    b.tree.kind = frame.map ? Tree::Kind::map : Tree::Kind::list;
    b.tree.span = source_span(file_, frame.begin, frame.begin + 1);
    frame.map ? close_map(frame, b.tree) : close_list(frame, b.tree);
    if (frame.map && !b.tree.entries.empty() && !frame.flow) {
      b.tree.span = b.tree.entries[0].key.span();
    }
    if (!frame.map && !b.tree.items.empty() && !frame.flow) b.tree.span = b.tree.items[0].span;
    add(std::move(b), frame.anchor);
  }

  void count(size_t nodes, const Span& span) {
    nodes_ += nodes;
    if (nodes_ <= limits_.nodes) return;
    const auto most = static_cast<int64_t>(limits_.nodes);
    refuse("E0107", span, fmt::format("more than {} nodes", with_thousands(most)));
  }
  [[noreturn]] void too_deep(const Span& span) const {
    refuse("E0107", span, fmt::format("nested deeper than {} levels", limits_.depth));
  }

  void add(Built b, YAML::anchor_t anchor) {
    if (b.nodes > 0) count(1, b.tree.span);
    if (anchor) {
      // Anchors inside of anchors would copy what they hold again and again.
      anchored_ += b.nodes;
      if (anchored_ > limits_.nodes) {
        refuse("E0107", b.tree.span, "the anchors hold too much");
      }
      anchors_[anchor] = b;
    }
    if (frames_.empty()) {
      root_ = std::move(b.tree);
    } else {
      frames_.back().parts.push_back(std::move(b));
    }
  }

  /// Joins the pieces of a call that YAML cut at its commas, `normalize(0.1307` and `0.3081)`:
  /// parts[i] becomes all of it. Pieces come every `stride` parts. Returns the last one's index.
  size_t join(std::vector<Built>& parts, size_t i, size_t first, size_t stride) const {
    constexpr size_t kMaxPieces = 256;
    Built& part = parts[i];
    if (!part.tree.is_scalar() || part.tree.style != Tree::Style::plain) return i;
    Openness o = openness(part.tree.text());
    if (o.parens <= 0 && !o.quote) return i;
    size_t end = part.end;
    const size_t most = std::min(parts.size(), first + stride * kMaxPieces);
    for (size_t next = first; next < most; next += stride) {
      const Built& piece = parts[next];
      // In a mapping the pieces are keys without values.
      const bool more = piece.tree.is_scalar() && piece.tree.style == Tree::Style::plain &&
                        (stride == 1 || (next + 1 < parts.size() && parts[next + 1].absent));
      if (!more || piece.end <= end) return i;
      o = openness(std::string_view(file_->text).substr(end, piece.end - end), o);
      end = piece.end;
      if (!o.balanced()) continue;
      part.end = end;
      part.tree.scalar =
          Located(file_->text.substr(part.begin, end - part.begin), file_, part.begin);
      part.tree.span = part.tree.scalar.span();
      return next;
    }
    return i;
  }

  void close_list(Frame& frame, Tree& out) const {
    for (size_t i = 0; i < frame.parts.size(); ++i) {
      const size_t last = frame.flow ? join(frame.parts, i, i + 1, 1) : i;
      out.items.push_back(std::move(frame.parts[i].tree));
      i = last;
    }
  }

  void close_map(Frame& frame, Tree& out) {
    std::vector<Built>& parts = frame.parts;
    Keys keys;
    for (size_t i = 0; i + 1 < parts.size(); i += 2) {
      Built& key = parts[i];
      if (!key.tree.is_scalar()) {
        diagnostics_.add({"E0104",
                          "a key is a text",
                          key.tree.span,
                          "a text that starts with `[` or `{` needs quotes",
                          {}});
        continue;
      }
      // The last piece is a key; its absent value goes with it.
      const size_t last = frame.flow ? join(parts, i + 1, i + 2, 2) : i + 1;
      Built value = std::move(parts[i + 1]);
      if (has_colon(key, value)) {
        add_entry(out, keys, std::move(key), std::move(value));
      } else {
        diagnostics_.add({"E0104",
                          fmt::format("`{}` has no `:`", key.tree.text()),
                          key.tree.span,
                          colon_advice(key.tree.text(), frame.flow),
                          {}});
      }
      if (last > i + 1) i = last;  // and its value is absent
    }
  }

  bool has_colon(const Built& key, const Built& value) const {
    if (!value.absent) return true;
    const size_t next = skip_to_content(file_->text, key.end);
    return next < file_->text.size() && file_->text[next] == ':';
  }

  /// Where each key of one mapping stands in its entries, and whether a merge key brought it.
  using Keys = std::unordered_map<std::string, std::pair<size_t, bool>>;

  void add_entry(Tree& out, Keys& keys, Built key, Built value) {
    Located name = std::move(key.tree.scalar);
    if (name.text() == "<<" && key.tree.style == Tree::Style::plain) {
      return merge(out, keys, value.tree, key.tree.span);
    }
    const auto [found, is_new] = keys.try_emplace(name.text(), out.entries.size(), false);
    if (is_new) {
      out.entries.push_back({std::move(name), std::move(value.tree)});
    } else if (std::exchange(found->second.second, false)) {
      // It keeps the place of the merged one, as in PyYAML.
      out.entries[found->second.first] = {std::move(name), std::move(value.tree)};
    } else {
      duplicate(name, out.entries[found->second.first].key);
    }
  }

  void merge(Tree& out, Keys& keys, Tree& value, const Span& span) {
    if (value.is_list() && !value.items.empty()) {
      for (Tree& item : value.items) merge(out, keys, item, span);
      return;
    }
    if (!value.is_map()) {
      diagnostics_.add(
          {"E0114", "`<<` merges mappings", span, "write `<<: *anchor`, or `<<: [*a, *b]`", {}});
      return;
    }
    for (Tree::Entry& e : value.entries) {
      // What is there already wins.
      if (!keys.try_emplace(e.key.text(), out.entries.size(), true).second) continue;
      out.entries.push_back(std::move(e));
    }
  }

  void duplicate(const Located& key, const Located& first) {
    std::string help = "leave one of them away, or give it another name";
    if (is_header(key.text()) || key.text() == "let") {
      help = fmt::format(
          "in one mapping a header stands once; write a list of mappings, `- {}:` "
          "each",
          key.text());
    }
    diagnostics_.add({"E0105",
                      fmt::format("the key `{}` stands twice", key.text()),
                      key.span(),
                      help,
                      {{"first here", first.span()}}});
  }

  const SourceRef& file_;
  size_t base_;
  const TreeLimits& limits_;
  std::vector<Frame> frames_;
  std::map<YAML::anchor_t, Built> anchors_;
  YamlState state_;
  Diagnostics diagnostics_;
  Tree root_;
  size_t document_ = 0, nodes_ = 0, expanded_ = 0, anchored_ = 0;
};

/// Refuses what yaml-cpp would take silently or trip over.
void check_bytes(const SourceRef& file, const TreeLimits& limits) {
  const std::string& text = file->text;
  if (text.size() > limits.bytes) {
    refuse("E0107", Span{file, 0, 0, 0},
           fmt::format("a config of {}; at most {} are read", human_bytes(text.size()),
                       human_bytes(limits.bytes)));
  }
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const size_t length = c < 0x80 ? 1 : utf8_length(std::string_view(text).substr(i));
    if (length == 0) {
      refuse("E0102", source_span(file, i, i + 1), "the text is not UTF-8",
             "save the file as UTF-8");
    }
    if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f) {
      refuse("E0102", source_span(file, i, i + 1),
             fmt::format("the control character {:#04x} cannot stand in YAML", c));
    }
    // Once for a run of them: a file of nothing else would be walked as often as it is long.
    const bool begins = c == '\r' && (i == 0 || text[i - 1] != '\r');
    if (begins && text.find_first_not_of('\r', i) != text.find('\n', i)) {
      refuse("E0104", source_span(file, i, i + 1), "a carriage return without a line feed",
             "save the file with line ends of Unix (LF) or of Windows (CRLF)");
    }
    i += length;
  }
}

}  // namespace

Tree read_yaml(SourceRef source, const TreeLimits& limits) {
  check_bytes(source, limits);
  const size_t base = source->text.starts_with("\xef\xbb\xbf") ? 3 : 0;
  std::istringstream in(source->text.substr(base));
  TreeBuilder builder(source, base, limits);
  try {
    YAML::Parser parser(in);
    parser.HandleNextDocument(builder);
    Tree tree = builder.take();
    if (parser.HandleNextDocument(builder)) {
      const size_t at = builder.document();
      refuse("E0106", source_span(source, at, at + 3), "a second document",
             "a config is one document; leave the `---` away");
    }
    return tree;
  } catch (const YAML::Exception& e) {
    const size_t at = base + static_cast<size_t>(std::max(0, e.mark.pos));
    refuse(explain_yaml(source, at, e.msg, builder.state()));
  }
}

}  // namespace nnm::lang
