// `profiles:`: named changes of the file, checked whether they are used or not.
#include "nnm/base/signature.h"
#include "nnm/lang/overrides.h"
#include "nnm/lang/places.h"
#include "nnm/lang/structure.h"

namespace nnm::lang {

namespace {

constexpr size_t kMaxKeys = 2000;  // each is looked for in the whole file

size_t count_keys(const Tree& t) {
  size_t n = t.entries.size();
  for (const Tree::Entry& e : t.entries) n += count_keys(e.value);
  return n;
}

std::string joined(const std::string& before, const std::string& path) {
  return before.empty() || path.starts_with('[') ? before + path : before + "." + path;
}

void report(const PathError& e, Diagnostics& d) { d.add({"E0211", e.message, e.span, e.help, {}}); }

/// Checks the changes below a place, which may be one that the file could have.
void check(const Place& at, const Tree& changes, const std::string& before, Diagnostics& d) {
  for (const Tree::Entry& e : changes.entries) {
    if (d.all().size() >= Diagnostics::kMaxErrors) return;
    try {
      const Place place = find_place(at, e.key, Missing::keep, before);
      const std::string path = joined(before, e.key.text());
      const bool mapping = place.node ? place.node->is_map() : place.form && place.form->map;
      if (e.value.is_map() && mapping) {
        check(place, e.value, path, d);
      } else if (place.form) {
        check_form(e.value, *place.form, path, d);
      }
    } catch (const PathError& error) {
      report(error, d);
    }
  }
}

void apply(const Place& at, const Tree& changes, const std::string& origin, Diagnostics& d) {
  for (const Tree::Entry& e : changes.entries) {
    try {
      if (e.value.is_null() && e.value.absent) continue;
      const Place place = find_place(at, e.key, Missing::make);
      const bool empty = place.node->is_null() && place.form && place.form->map;
      if (e.value.is_map() && (place.node->is_map() || empty)) {
        place.node->kind = Tree::Kind::map;
        apply(place, e.value, origin, d);
      } else {
        *place.node = e.value;
        place.node->mark(origin);
      }
    } catch (const PathError& error) {
      report(error, d);
    }
  }
}

}  // namespace

void check_profiles(Tree& root, Diagnostics& d) {
  const Tree* profiles = root.find("profiles");
  if (!profiles) return;
  if (count_keys(*profiles) > kMaxKeys) {
    d.add({"E0107",
           fmt::format("more than {} keys in profiles", kMaxKeys),
           profiles->span,
           "what differs that much is a file of its own, which `extends` the other",
           {}});
    return;
  }
  for (const Tree::Entry& e : profiles->entries) {
    if (e.value.is_map()) check(whole_config(root), e.value, "", d);
  }
}

void apply_profile(Tree& root, const std::string& name, Diagnostics& d) {
  const Tree* profiles = root.find("profiles");
  if (const Tree* profile = profiles ? profiles->find(name) : nullptr) {
    const Tree changes = *profile;
    return apply(whole_config(root), changes, "profile " + name, d);
  }
  std::vector<std::string> names;
  if (profiles) {
    for (const Tree::Entry& e : profiles->entries) names.push_back(e.key.text());
  }
  std::string help =
      did_you_mean(name, names,
                   names.empty() ? "the config has no `profiles:`"
                                 : fmt::format("there is {}", fmt::join(names, ", ")));
  const auto source = std::make_shared<SourceFile>("--profile", name);
  d.add({"E0217",
         fmt::format("there is no profile `{}`", name),
         source_span(source, 0, name.size()),
         std::move(help),
         {}});
}

}  // namespace nnm::lang
