// Walks a path through the tree of a file and the table of sections at once.
#include "nnm/lang/places.h"

#include <algorithm>
#include <charconv>

#include "nnm/base/signature.h"

namespace nnm::lang {

namespace {

class Walk {
 public:
  Walk(const Located& path, Missing missing, const std::string& before)
      : path_(path), text_(path.text()), missing_(missing), before_(before) {}

  Place from(Place place, size_t at) {
    const Form* around = nullptr;  // the form of what holds the place
    while (true) {
      if (place.form && place.form->anything && !place.form->other) place.form = nullptr;
      if (at >= text_.size()) return place;
      if (text_[at] != '[' && text_[at] == '.' && at > 0) ++at;
      const Form* const form = place.form;
      if (text_[at] == '[') {
        place = item(place, at);
      } else if (place.node && place.node->is_list()) {
        place = named(place, at);
      } else {
        open(place, around, at);
        place = key(place, at);
      }
      around = form;
    }
  }

 private:
  [[noreturn]] void fail(size_t begin, size_t end, std::string message, std::string help = {}) {
    throw PathError{std::move(message), path_.span(begin, end), std::move(help)};
  }
  /// The path up to a byte of it, from the root.
  std::string up_to(size_t end) const {
    std::string own = text_.substr(0, end);
    if (before_.empty()) return own;
    return before_ + (own.empty() || own.starts_with('[') ? "" : ".") + own;
  }
  size_t segment_end(size_t at) const {
    return std::min(text_.find_first_of(".[", at), text_.size());
  }

  /// Makes sure that keys can stand at a place: what is a mapping or could be one.
  void open(const Place& place, const Form* around, size_t at) {
    if (place.node && place.node->is_map()) return;
    if (!place.form || !place.form->map) unknown(place, at);
    if (place.node && missing_ == Missing::make) widen(*place.node, *place.form, place, around);
  }

  /// Writes as a mapping what stands there in short: `every 1 epoch` is `{every: 1 epoch}`, `a.h5`
  /// is `{file: a.h5}`, and `batch: 8` speaks of every split.
  static void widen(Tree& t, const Form& form, const Place& place, const Form* around) {
    Tree map = Tree::mapping(t.span);
    const auto add = [&](const std::string& key) {
      map.entries.push_back({Located(key, nullptr, 0), t});
    };
    const bool of_splits = form.other && form.other->scalar == form.scalar && around &&
                           place.parent && form.registry == Form::Registry::none;
    if (t.is_scalar() && form.find("every")) {
      add("every");
    } else if (t.is_scalar() && form.find("file")) {
      add("file");
    } else if (t.is_scalar() && of_splits) {
      for (const Tree::Entry& e : place.parent->entries) {
        if (!around->find(e.key.text()) && !e.is_note()) add(e.key.text());
      }
    }
    t = std::move(map);
  }

  Place key(const Place& of, size_t& at) {
    // A key may hold dots: the longest that fits, or all of what stands in quotes.
    Tree::Entry* best = nullptr;
    const bool quoted = text_[at] == '"' && text_.find('"', at + 1) != text_.npos;
    if (of.node && !quoted) {
      for (Tree::Entry& e : of.node->entries) {
        const std::string& key = e.key.text();
        if (text_.compare(at, key.size(), key) != 0) continue;
        if (best && key.size() < best->key.text().size()) continue;
        const size_t next = at + key.size();
        if (next == text_.size() || text_[next] == '.' || text_[next] == '[') best = &e;
      }
    }
    const size_t end = best     ? at + best->key.text().size()
                       : quoted ? text_.find('"', at + 1) + 1
                                : segment_end(at);
    const size_t cut = quoted ? 1 : 0;
    const std::string key = text_.substr(at + cut, end - at - 2 * cut);
    if (of.node && quoted) {
      for (Tree::Entry& e : of.node->entries)
        if (e.key.text() == key) best = &e;
    }
    if (of.form == &config_form()) check_order(key, at, end);
    const Key* known = of.form ? of.form->find(key) : nullptr;
    // Notes are the file's own.
    const bool note = of.form && key.starts_with("x-");
    const Form* below = known ? known->form : of.form && !note ? of.form->other : nullptr;
    if (best) {
      at = end;
      return {&best->value, below, of.node};
    }
    // The model is one value, of any form: an override can give it to a file that has none.
    const bool model = of.form == &config_form() && key == "model" && end == text_.size();
    if (known && below->anything && !below->other && !model)
      fail(at, end, fmt::format("the file has no `{}`", up_to(end)),
           fmt::format("names under `{}` are the file's own: declare them there, then override "
                       "them",
                       up_to(end)));
    // Classes are the file's own, and nothing is below one that is not there.
    const bool below_absent = below && below->anything && !below->other && end < text_.size();
    if (!note && (!below || key.empty() || below_absent)) unknown(of, at);
    const size_t begin = std::exchange(at, end);
    if (missing_ == Missing::keep || !of.node) return {nullptr, below, nullptr};
    of.node->entries.push_back({path_.part(begin + cut, end - cut), {}});
    Tree& made = of.node->entries.back().value;
    made.span = path_.span(begin, end);
    return {&made, below, of.node};
  }

  /// What decides which text there is cannot be changed in it.
  void check_order(const std::string& key, size_t begin, size_t end) {
    for (const char* first : {"extends", "import", "profiles"}) {
      if (key == first)
        fail(begin, end, fmt::format("`{}:` is settled before this is read", key),
             "change it in the file");
    }
  }

  Place item(const Place& of, size_t& at) {
    const size_t begin = at;
    const size_t close = std::min(text_.find(']', at), text_.size());
    int64_t index = 0;
    const auto read = std::from_chars(text_.data() + at + 1, text_.data() + close, index);
    if (close == text_.size() || read.ptr != text_.data() + close || read.ec != std::errc())
      fail(begin, text_.size(), "an item of a list is `path[2]` or `path[-1]`");
    const auto size = static_cast<int64_t>(of.node ? of.node->items.size() : 0);
    if (!of.node || !of.node->is_list() || index >= size || index < -size) {
      fail(begin, close + 1,
           of.node && of.node->is_list() ? fmt::format("{} has {} items", up_to(begin), size)
                                         : fmt::format("{} is no list", up_to(begin)));
    }
    at = close + 1;
    const size_t i = static_cast<size_t>(index < 0 ? index + size : index);
    return {&of.node->items[i], of.form ? of.form->item : nullptr, of.node};
  }

  /// `hooks.NAME`: the item with that `name`.
  Place named(const Place& of, size_t& at) {
    const size_t end = segment_end(at);
    std::vector<std::string> names;
    for (Tree& item : of.node->items) {
      const Tree* name = item.find("name");
      if (!name) continue;
      names.push_back(name->text());
      if (text_.compare(at, end - at, name->text()) == 0) {
        at = end;
        return {&item, of.form ? of.form->item : nullptr, of.node};
      }
    }
    suggest(at, end, names);
  }

  [[noreturn]] void unknown(const Place& of, size_t at) {
    if (of.node && of.node->is_scalar() && of.form && of.form->scalar == Form::Scalar::code) {
      const std::string whole = up_to(at).substr(0, up_to(at).find_last_not_of('.') + 1);
      fail(at, segment_end(at), fmt::format("unknown path `{}`", up_to(segment_end(at))),
           fmt::format("`{}` is one piece of code: set all of it, or let it use `vars.`", whole));
    }
    std::vector<std::string> names = of.form ? of.form->names() : std::vector<std::string>();
    if (of.node) {
      for (const Tree::Entry& e : of.node->entries) {
        if (!of.form || !of.form->find(e.key.text())) names.push_back(e.key.text());
      }
    }
    suggest(at, segment_end(at), names);
  }
  [[noreturn]] void suggest(size_t at, size_t end, const std::vector<std::string>& names) {
    const std::string key = text_.substr(at, end - at);
    const std::string near = nearest(key, names);
    std::string help = key_advice(up_to(at).substr(0, up_to(at).find_first_of(".[")), key);
    if (!help.empty()) fail(at, end, fmt::format("unknown path `{}`", up_to(end)), help);
    if (!near.empty()) {
      const std::string whole = up_to(at);
      const bool dot = !whole.empty() && !whole.ends_with('.');
      help = fmt::format("did you mean `{}{}{}`?", whole, dot ? "." : "", near);
    } else if (!names.empty()) {
      help = fmt::format("there is {}", fmt::join(names, ", "));
    }
    fail(at, end, fmt::format("unknown path `{}`", up_to(end)), help);
  }

  const Located& path_;
  const std::string& text_;
  Missing missing_;
  const std::string& before_;
};

}  // namespace

Place find_place(const Place& start, const Located& path, Missing missing,
                 const std::string& before) {
  return Walk(path, missing, before).from(start, 0);
}

Place whole_config(Tree& root) { return {&root, &config_form(), nullptr}; }

}  // namespace nnm::lang
