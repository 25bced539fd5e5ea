// nnm completion: what shells need to complete nnm's command line.
#include <memory>

#include "cli/declared.h"
#include "cli/verb.h"
#include "nnm/base/error.h"

namespace nnm::cli {

namespace {

using Words = std::vector<std::string>;

/// Text in single quotes, as all three shells read it.
std::string in_quotes(const std::string& text, const char* quote = "'\\''") {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string(quote) : std::string(1, c);
  return out + "'";
}

/// The words as shells take them from one text.
std::string spaced(const Words& words) { return fmt::format("{}", fmt::join(words, " ")); }

Words verb_names(const std::vector<DeclaredVerb>& verbs) {
  Words out;
  for (const DeclaredVerb& v : verbs) out.push_back(v.name);
  return out;
}

// bash: `--format=json` comes as three words, and bash itself completes what is not answered.

std::string bash_case(const DeclaredVerb& v) {
  std::string values, names;
  for (const DeclaredOption& o : v.options) {
    names += (names.empty() ? "" : " ") + spaced(o.names);
    if (o.value.empty()) continue;
    const std::string pattern = fmt::format("{}", fmt::join(o.names, "|"));
    if (!o.choices.empty())
      values +=
          fmt::format("        {}) _nnm_words {} ;;\n", pattern, in_quotes(spaced(o.choices)));
    else values += fmt::format("        {}) {} ;;\n", pattern, o.is_path ? "_nnm_files" : ":");
  }
  std::string argument = ":";
  for (const DeclaredOption& a : v.arguments) {
    if (!a.choices.empty()) argument = "_nnm_words " + in_quotes(spaced(a.choices));
    else if (a.is_path) argument = "_nnm_files";
  }
  return fmt::format(
      "    {}) case $before in\n{}"
      "        *) case $word in\n"
      "            -*) _nnm_words {} ;;\n"
      "            *) {} ;;\n"
      "          esac ;;\n"
      "      esac ;;\n",
      v.name, values, in_quotes(names), argument);
}

std::string bash(const std::vector<DeclaredVerb>& verbs) {
  std::string out =
      "# Completion of nnm for bash: source <(nnm completion bash)\n"
      "_nnm_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$word\"); }\n"
      "_nnm_files() {\n"
      "  mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
      "  compopt -o filenames 2>/dev/null\n"
      "}\n"
      "_nnm() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
      "  # --format=json comes as three words.\n"
      "  if [[ $word == = ]]; then word=\n"
      "  elif [[ $before == = ]]; then before=${COMP_WORDS[COMP_CWORD-2]}\n"
      "  fi\n"
      "  COMPREPLY=()\n"
      "  if (( COMP_CWORD == 1 )); then\n";
  out +=
      fmt::format("    _nnm_words {}\n    return\n  fi\n  case ${{COMP_WORDS[1]}} in\n",
                  in_quotes(fmt::format("{} --help --version", fmt::join(verb_names(verbs), " "))));
  for (const DeclaredVerb& v : verbs) out += bash_case(v);
  return out + "  esac\n}\ncomplete -F _nnm nnm\n";
}

// zsh: `_arguments` takes a line per option, with its text.

std::string zsh_text(const std::string& doc) {
  std::string out;
  for (const char c : doc) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_value(const DeclaredOption& o) {
  if (!o.choices.empty()) return fmt::format("({})", fmt::join(o.choices, " "));
  return o.is_path ? "_files" : " ";
}

std::string zsh(const std::vector<DeclaredVerb>& verbs) {
  std::string out =
      "#compdef nnm\n"
      "# Completion of nnm for zsh: source <(nnm completion zsh), or a file _nnm of $fpath\n"
      "_nnm() {\n"
      "  local -a verbs=(\n";
  for (const DeclaredVerb& v : verbs)
    out += fmt::format("    {}\n", in_quotes(v.name + ":" + zsh_text(v.doc)));
  out +=
      "  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    if [[ $words[2] == -* ]]; then compadd -- --help --version; else _describe verb verbs; "
      "fi\n"
      "    return\n"
      "  fi\n"
      "  case $words[2] in\n";
  for (const DeclaredVerb& v : verbs) {
    out += fmt::format("    {}) shift words; (( CURRENT-- )); _arguments", v.name);
    for (const DeclaredOption& o : v.options) {
      for (const std::string& name : o.names) {
        std::string spec = fmt::format("{}{}[{}]", o.many ? "*" : "", name, zsh_text(o.doc));
        if (!o.value.empty()) spec += fmt::format(":{}:{}", o.value, zsh_value(o));
        out += " \\\n      " + in_quotes(spec);
      }
    }
    for (const DeclaredOption& a : v.arguments)
      out += " \\\n      " +
             in_quotes(fmt::format("{}:{}:{}", a.many ? "*" : "", a.value, zsh_value(a)));
    out += " ;;\n";
  }
  // Read by `source` it is only made known; as a file of $fpath it is called at once.
  return out +
         "  esac\n}\ncompdef _nnm nnm\nif [[ $funcstack[1] == _nnm ]]; then _nnm \"$@\"; fi\n";
}

// fish: a command per option.

std::string fish(const std::vector<DeclaredVerb>& verbs) {
  const auto text = [](const std::string& s) { return in_quotes(s, "\\'"); };
  std::string out =
      "# Completion of nnm for fish: nnm completion fish | source\n"
      "complete -c nnm -f\n"
      "complete -c nnm -n __fish_use_subcommand -l help -d 'print the help'\n"
      "complete -c nnm -n __fish_use_subcommand -l version -d 'print the version'\n";
  for (const DeclaredVerb& v : verbs)
    out +=
        fmt::format("complete -c nnm -n __fish_use_subcommand -a {} -d {}\n", v.name, text(v.doc));
  for (const DeclaredVerb& v : verbs) {
    const std::string when =
        fmt::format("complete -c nnm -n '__fish_seen_subcommand_from {}'", v.name);
    for (const DeclaredOption& o : v.options) {
      out += when;
      for (const std::string& name : o.names)
        out += name.rfind("--", 0) == 0 ? " -l " + name.substr(2) : " -s " + name.substr(1);
      if (!o.choices.empty()) out += " -x -a " + text(spaced(o.choices));
      else if (!o.value.empty()) out += o.is_path ? " -r -F" : " -x";
      out += " -d " + text(o.doc) + "\n";
    }
    for (const DeclaredOption& a : v.arguments) {
      if (!a.choices.empty()) out += when + " -a " + text(spaced(a.choices)) + "\n";
      else if (a.is_path) out += when + " -F\n";
    }
  }
  return out;
}

}  // namespace

Action completion(App app) {
  auto shell = std::make_shared<std::string>();
  app.add_option("shell", *shell, "which shell").required().one_of({"bash", "zsh", "fish"});
  app.footer(
      "bash: source <(nnm completion bash), in ~/.bashrc; likewise zsh; fish:\n"
      "nnm completion fish | source");
  return [app, shell] {
    const std::vector<DeclaredVerb> verbs = declared_verbs(app);
    print(*shell == "bash" ? bash(verbs) : *shell == "zsh" ? zsh(verbs) : fish(verbs));
    return 0;
  };
}

}  // namespace nnm::cli
