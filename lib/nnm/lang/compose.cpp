// `extends` and `import`: files read once each time they are named, within one budget.
#include "nnm/lang/compose.h"

#include <algorithm>
#include <filesystem>

#include "nnm/base/file.h"
#include "nnm/base/text.h"
#include "nnm/lang/merge.h"
#include "nnm/lang/parser_block.h"
#include "nnm/lang/structure.h"

namespace nnm::lang {

namespace {

constexpr size_t kMaxFiles = 64;
constexpr size_t kMaxChain = 16;

std::string normal(const std::string& path) {
  return std::filesystem::path(path).lexically_normal().string();
}

/// The path of a file that is named in another.
std::string path_from(const SourceRef& file, const std::string& name) {
  if (name.starts_with('/')) return normal(name);
  return normal(folder_of(file->path) + "/" + name);
}

size_t count_nodes(const Tree& t) {
  size_t n = 1;
  for (const Tree& item : t.items) n += count_nodes(item);
  for (const Tree::Entry& e : t.entries) n += count_nodes(e.value);
  return n;
}

class Composer {
 public:
  explicit Composer(const std::optional<std::vector<SourceRef>>& known) : known_(known) {}

  Tree main(const SourceRef& file) {
    chain_.push_back(normal(file->path));
    Tree tree = read(file, {});
    if (tree.is_map()) tree = composed(std::move(tree), file);
    diagnostics_.throw_if_errors();
    return tree;
  }
  std::vector<SourceRef> take_files() { return std::move(files_); }

 private:
  [[noreturn]] static void refuse(const char* code, const Span& at, std::string message,
                                  std::string help = {}) {
    Diagnostics d;
    d.add({code, std::move(message), at, std::move(help), {}});
    throw DiagnosticError(std::move(d));
  }

  /// Runs f; its errors are collected, so that one file's do not hide another's.
  template <class F>
  void attempt(const F& f) {
    try {
      f();
    } catch (const DiagnosticError& e) {
      for (const Diagnostic& one : e.diagnostics.all()) diagnostics_.add(one);
    }
  }

  Tree read(const SourceRef& file, const Span& at) {
    const TreeLimits limits;
    Tree tree = read_yaml(file, limits);
    bytes_ += file->text.size();
    nodes_ += count_nodes(tree);
    if (bytes_ > limits.bytes || nodes_ > limits.nodes) {
      refuse("E0107", at,
             fmt::format("with the files that it extends and imports the config is larger than {}",
                         bytes_ > limits.bytes
                             ? human_bytes(limits.bytes)
                             : with_thousands(static_cast<int64_t>(limits.nodes)) + " nodes"));
    }
    check_version(tree, diagnostics_);
    return tree;
  }

  SourceRef source_of(const std::string& path, const Span& at) {
    const auto same = [&](const SourceRef& s) { return s->path == path; };
    const auto read = std::find_if(files_.begin(), files_.end(), same);
    if (read != files_.end()) return *read;
    if (known_) {
      const auto found = std::find_if(known_->begin(), known_->end(), same);
      if (found == known_->end())
        refuse("E0101", at, fmt::format("{} is not among the files that were kept", path));
      files_.push_back(*found);
      return *found;
    }
    try {
      files_.push_back(std::make_shared<SourceFile>(path, read_file(path, TreeLimits().bytes)));
    } catch (const Error& e) {
      refuse("E0101", at, e.what(),
             e.hint().empty() ? "a path is relative to the file in which it stands" : e.hint());
    }
    return files_.back();
  }

  /// The config in the file that `name`, in `from`, names.
  Tree other(const Tree& name, const SourceRef& from) {
    if (!name.is_scalar() || name.text().empty())
      refuse("E0213", name.span, "the path of a config belongs here", "such as `base.yaml`");
    if (name.text().find("${") != std::string::npos)
      refuse("E0213", name.span, "this path is read before there are variables",
             "write it out, without `${…}`");
    const std::string path = path_from(from, name.text());
    check_chain(path, name.span);
    if (++read_ > kMaxFiles)
      refuse("E0107", name.span, fmt::format("more than {} files in one config", kMaxFiles));
    const SourceRef file = source_of(path, name.span);
    Tree tree = read(file, name.span);
    if (!tree.is_map())
      refuse("E0213", tree.span ? tree.span : name.span, fmt::format("{} is no config", path),
             "a config is a mapping that starts with `nnm: 1`");
    chain_.push_back(path);
    tree = composed(std::move(tree), file);
    chain_.pop_back();
    return tree;
  }

  void check_chain(const std::string& path, const Span& at) const {
    const auto again = std::find(chain_.begin(), chain_.end(), path);
    if (again != chain_.end()) {
      std::string circle;
      for (auto c = again; c != chain_.end(); ++c) circle += *c + " → ";
      refuse("E0115", at, fmt::format("{} needs itself: {}{}", path, circle, path),
             "put what they share into a file of its own");
    }
    if (chain_.size() >= kMaxChain)
      refuse("E0107", at,
             fmt::format("a chain of more than {} files: {}", kMaxChain, fmt::join(chain_, " → ")));
  }

  Tree composed(Tree tree, const SourceRef& file) {
    if (Tree* section = tree.find("import")) imports(*section, file);
    const auto extends =
        std::find_if(tree.entries.begin(), tree.entries.end(),
                     [](const Tree::Entry& e) { return e.key.text() == "extends"; });
    if (extends == tree.entries.end()) return tree;
    const Tree names = std::move(extends->value);
    tree.entries.erase(extends);
    if (names.is_null()) return tree;
    if (names.is_map())
      refuse("E0213", names.span, "`extends:` is a path, or a list of paths",
             "such as `extends: base.yaml`");
    Tree base = Tree::mapping(tree.span);
    const auto lay = [&](const Tree& name) {
      attempt([&] { merge_config(base, other(name, file)); });
    };
    if (names.is_scalar()) lay(names);
    for (const Tree& name : names.items) lay(name);
    merge_config(base, std::move(tree));
    return base;
  }

  /// Puts the classes of each file in the place of its path.
  void imports(Tree& section, const SourceRef& file) {
    if (section.is_null()) return;
    if (!section.is_map())
      refuse("E0213", section.span, "`import:` is a mapping of names to files",
             "such as `import: {rn: lib/resnet.yaml}`");
    for (Tree::Entry& e : section.entries) {
      attempt([&] {
        const std::string& name = e.key.text();
        if (!is_plain_name(name) || name == "vars" || name == "self")
          refuse("E0218", e.key.span(), fmt::format("`{}` cannot be the name of an import", name),
                 "a name has letters, digits and `_`, and is no reserved word");
        if (e.value.is_map()) {
          if (Tree* inner = e.value.find("import")) imports(*inner, file);
        } else {
          e.value = classes_of(other(e.value, file), e.value.span);
        }
      });
    }
  }

  Tree classes_of(Tree config, const Span& at) {
    check_sections(config, diagnostics_);
    Tree out = Tree::mapping(at);
    for (Tree::Entry& e : config.entries) {
      if (e.key.text() == "define" || e.key.text() == "import") out.entries.push_back(std::move(e));
    }
    return out;
  }

  const std::optional<std::vector<SourceRef>>& known_;
  std::vector<SourceRef> files_;
  std::vector<std::string> chain_;  ///< of the files being read, the config's own first
  Diagnostics diagnostics_;
  size_t bytes_ = 0, nodes_ = 0, read_ = 0;
};

}  // namespace

Composition compose(const SourceRef& file, const std::optional<std::vector<SourceRef>>& known) {
  Composer composer(known);
  Composition out;
  out.tree = composer.main(file);
  out.files = composer.take_files();
  return out;
}

}  // namespace nnm::lang
