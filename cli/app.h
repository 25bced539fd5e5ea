// What a verb declares of its command line. CLI11 is behind it, whose headers take longer to
// compile than a verb does.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace nnm::cli {

/// An option, flag or positional argument. What is said of it gives it back, to say more.
class Option {
 public:
  explicit Option(CLI::Option* of) : of_(of) {}
  /// The verb does not work without it.
  Option required();
  /// Of a list: one value each time the option is given, not all words that follow.
  Option repeatable();
  /// It may be given without its value, which is `word` then.
  Option may_stand_alone(const std::string& word);
  /// Only numbers from `least` to `most`.
  Option between(int64_t least, int64_t most);
  /// Only numbers from 0 to 1.
  Option probability();
  /// Only numbers above 0.
  Option positive();
  /// Only numbers from 0.
  Option not_negative();
  /// Only one of these words; any other is answered with the nearest. Help, completion and the
  /// manual show them.
  Option one_of(std::vector<std::string> words);
  /// Words to show, where others are allowed or the verb itself says what is wrong with them.
  Option such_as(const std::vector<std::string>& words);
  /// A file to write, where `-` is standard output.
  Option output();
  /// Only texts of which `problem` says "".
  Option check(std::function<std::string(const std::string&)> problem);
  /// Whether the command line has it; once that is read.
  bool given() const;

 private:
  CLI::Option* of_;
};

/// A verb's part of the command line, as CLI::App: a reference that may be copied.
class App {
 public:
  explicit App(CLI::App* of) : of_(of) {}

  /// Declares an option (`-o,--output`) or a positional argument (`file`) that is read into
  /// `value`, which keeps what it has where the option is not given. T: std::string, a vector of
  /// them, int, int64_t, uint64_t, double.
  template <class T>
  Option add_option(const std::string& names, T& value, const std::string& doc);
  /// An option whose values go to `take` in the order of the command line, others' among them.
  Option add_each(const std::string& name, std::function<void(const std::string&)> take,
                  const std::string& doc);
  Option add_flag(const std::string& names, bool& value, const std::string& doc);
  /// One that may carry a text (`--name=TEXT`); alone it reads as "true".
  Option add_flag(const std::string& names, std::string& value, const std::string& doc);
  /// A flag that calls `set`.
  Option add_flag(const std::string& names, std::function<void()> set, const std::string& doc);
  /// A verb of the verb, which takes the verb's options, too.
  App add_subcommand(const std::string& name, const std::string& doc);
  /// What its help says in the end.
  void footer(const std::string& text);

  /// Whether the command line has an option of this name.
  bool has(const std::string& name) const;
  /// Whether the command line names it.
  bool parsed() const;
  /// CLI11's, for what tells of declarations.
  CLI::App& operator*() const { return *of_; }

 private:
  CLI::App* of_;
};

}  // namespace nnm::cli
