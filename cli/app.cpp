// Declarations, passed on to CLI11.
#include "cli/app.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "nnm/base/error.h"
#include "nnm/base/signature.h"

namespace nnm::cli {

Option Option::required() {
  of_->required();
  return *this;
}

Option Option::repeatable() {
  of_->allow_extra_args(false);
  return *this;
}

Option Option::may_stand_alone(const std::string& word) {
  of_->expected(0, 1)->default_str(word);
  return *this;
}

Option Option::between(int64_t least, int64_t most) {
  of_->check(CLI::Range(least, most));
  return *this;
}

Option Option::probability() {
  of_->check(CLI::Range(0.0, 1.0));
  return *this;
}

Option Option::positive() {
  of_->check(CLI::PositiveNumber);
  return *this;
}

Option Option::not_negative() {
  of_->check(CLI::NonNegativeNumber);
  return *this;
}

namespace {

std::string listed(const std::vector<std::string>& words) {
  return fmt::format("{{{}}}", fmt::join(words, ","));
}

}  // namespace

Option Option::such_as(const std::vector<std::string>& words) {
  of_->check(CLI::Validator([](std::string&) { return std::string(); }, listed(words)));
  return *this;
}

Option Option::one_of(std::vector<std::string> words) {
  const std::string shown = listed(words);
  of_->check(CLI::Validator(
      [words = std::move(words)](std::string& given) -> std::string {
        if (std::find(words.begin(), words.end(), given) != words.end()) return {};
        const std::string near = nearest(given, words);
        const std::string what = fmt::format("`{}` is none of {}", given, fmt::join(words, ", "));
        return near.empty() ? what : fmt::format("{}; did you mean `{}`?", what, near);
      },
      shown));
  return *this;
}

Option Option::output() {
  of_->transform([](const std::string& path) { return path == "-" ? "/dev/stdout" : path; }, "");
  return *this;
}

Option Option::check(std::function<std::string(const std::string&)> problem) {
  of_->check(problem);
  return *this;
}

bool Option::given() const { return of_->count() > 0; }

template <class T>
Option App::add_option(const std::string& names, T& value, const std::string& doc) {
  return Option(of_->add_option(names, value, doc));
}
template Option App::add_option(const std::string&, std::string&, const std::string&);
template Option App::add_option(const std::string&, std::vector<std::string>&, const std::string&);
template Option App::add_option(const std::string&, int&, const std::string&);
template Option App::add_option(const std::string&, int64_t&, const std::string&);
template Option App::add_option(const std::string&, uint64_t&, const std::string&);
template Option App::add_option(const std::string&, double&, const std::string&);

// Told as they come, since CLI11 hands over each option's values together otherwise.
Option App::add_each(const std::string& name, std::function<void(const std::string&)> take,
                     const std::string& doc) {
  return Option(of_->add_option_function<std::string>(name, take, doc)
                    ->trigger_on_parse()
                    ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast));
}

Option App::add_flag(const std::string& names, bool& value, const std::string& doc) {
  return Option(of_->add_flag(names, value, doc));
}

Option App::add_flag(const std::string& names, std::string& value, const std::string& doc) {
  return Option(of_->add_flag(names, value, doc));
}

Option App::add_flag(const std::string& names, std::function<void()> set, const std::string& doc) {
  return Option(of_->add_flag_callback(names, std::move(set), doc));
}

App App::add_subcommand(const std::string& name, const std::string& doc) {
  CLI::App* sub = of_->add_subcommand(name, doc);
  sub->set_help_flag("-h,--help", "print this help");
  sub->fallthrough();
  return App(sub);
}

void App::footer(const std::string& text) { of_->footer(text); }
bool App::has(const std::string& name) const { return of_->get_option_no_throw(name) != nullptr; }
bool App::parsed() const { return of_->parsed(); }

}  // namespace nnm::cli
