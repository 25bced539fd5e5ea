// The table of error codes: E01 reading, E02 syntax and structure, E03 names and arguments, E04
// values, E05 shapes and types, W warnings.
#include "nnm/lang/codes.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <string>

namespace nnm::lang {

namespace {

constexpr CodeInfo kCodes[] = {
    {"E0101", "the config cannot be read",
     "The file does not exist, is a folder, may not be read, or is larger than 1 MiB."},
    {"E0102", "the text is not UTF-8",
     "A config is UTF-8 text without control characters. Save it as UTF-8 in the editor."},
    {"E0103", "a tab in the indentation",
     "YAML indents with spaces alone. Set the editor to write spaces."},
    {"E0104", "YAML syntax",
     "The text is not YAML: a bracket or quote is not closed, a `:` or the space behind it is "
     "missing, or a line is indented differently from its neighbours. Lines of one block start "
     "in the same column."},
    {"E0105", "a key stands twice",
     "YAML would silently keep one of the two. Headers such as `for i in range(3):` are keys, "
     "too: to repeat one, write a list of mappings, `- for i in range(3):` each."},
    {"E0106", "a second document", "A config is one document; leave the `---` away."},
    {"E0107", "the config is too large",
     "Limits keep hostile files from taking memory: 1 MiB of text, 64 KiB a scalar, 100,000 "
     "nodes after aliases are expanded, 64 levels of nesting."},
    {"E0108", "an alias without its anchor",
     "`*name` stands for what `&name` marks before it. A selector that starts with `*` needs "
     "quotes."},
    {"E0109", "a YAML tag", "Tags (`!!str`) have no meaning here; types are declared by nnm."},
    {"E0110", "a text that YAML does not take without quotes",
     "A text cannot start with one of [ ] { } ! & * @ > | % ` \" ' unless all of it stands in "
     "quotes: `- \"[a, b] = f(x)\"`."},
    {"E0111", "brackets inside of YAML's brackets",
     "Inside `{…}` and `[…]` of YAML a call may have parentheses, but no brackets, braces or "
     "quotes: put it into quotes, or on a line of its own."},
    {"E0113", "YAML reads a mapping in code",
     "A colon with a space behind it makes a mapping. Write `f(x, dim=1)` for keyword "
     "arguments, `x[1:3]` for slices, and quotes around texts that hold `: `."},
    {"E0114", "a merge key without mapping", "`<<: *anchor` merges a mapping into this one."},
    {"E0115", "files that need each other",
     "`extends` and `import` may form chains, but no circle: what two files share stands in a "
     "third."},
    {"E0201", "syntax of code",
     "The expression, statement or header is not complete or holds something that the language "
     "has not. The caret shows where reading stopped."},
    {"E0202", "a string or `${…}` that does not end",
     "Strings stand in \"…\" or '…' with C escapes; `${…}` in them is replaced by a value and "
     "`$$` is a dollar. A ` #` starts a comment in YAML, also inside of such quotes."},
    {"E0203", "not a number",
     "Integers have 64 bits; units are steps, epochs, batches, s, min, h, "
     "d."},
    {"E0204", "a reserved word",
     "for if elif else let in and or not is true false none return require have a meaning of "
     "their own and cannot be names."},
    {"E0205", "not a statement",
     "A statement of forward is `name = expression`, `a, b = expression`, `name += expression`, "
     "`return …`, `require …`, or a block that starts with `for …:` or `if …:`."},
    {"E0206", "a header without its block",
     "`for`, `if`, `elif` and `else` end with `:` and have their block below, indented. `elif` "
     "and `else` follow right after an `if`."},
    {"E0207", "not a layer or block",
     "A child is `name: Layer(…)` or `name: {Layer: {argument: value}}`; several layers stand in "
     "`Sequential:`, `ModuleList:` or `ModuleDict:`."},
    {"E0208", "not a class",
     "A class of `define:` has the keys doc, args, let, require, modules, params, buffers, tie, "
     "init, freeze, inputs, forward."},
    {"E0209", "the type of an argument",
     "An argument is `name: type` or `name: type = default`. Types are int, float, bool, str, "
     "dtype, module; lists `int[]`; ranges `int(1..)`, `float(0..1)`; choices `str(\"a\", "
     "\"b\")`; `?` allows none."},
    {"E0210", "the type of an input",
     "An input is `x: f32[B, 3, H, W]`: an element type and sizes, which are integers, names, "
     "expressions or `*`. `?` behind it makes it optional."},
    {"E0211", "an unknown key",
     "Every section has a fixed set of keys, so that slips are found. Keys that start with `x-` "
     "and a top-level `x:` are free."},
    {"E0212", "a missing key", "The key has no default, so it must be there."},
    {"E0213", "a value of the wrong form",
     "A mapping stands where a text should, a list where a mapping should, or a word is none of "
     "those that are possible."},
    {"E0214", "an override that does not fit",
     "`--set path=value` changes a path that the file has or could have, `--unset path` takes it "
     "away; the value must be of its type."},
    {"E0215", "not supported in this build",
     "The file asks for something of another version of the language."},
    {"E0216", "code that is too deep or too long",
     "Nesting and length of one expression are limited; split it into several."},
    {"E0217", "an unknown profile",
     "`-p NAME` applies `profiles: {NAME: {train.max: 20 steps}}` of the file, or of one that it "
     "extends."},
    {"E0218", "an import that cannot be",
     "`import: {rn: lib/resnet.yaml}` names a file, whose classes are then called `rn.ResNet`."},
    {"E0301", "an unknown name",
     "A class sees its args, lets, inputs and children; `vars.` is seen outside of `define:` "
     "alone."},
    {"E0302", "an unknown layer or function",
     "Names are PyTorch's: modules of torch.nn, functions of torch.nn.functional and torch, "
     "classes of `define:`. `nnm list modules` and `nnm list functions` show them."},
    {"E0303", "arguments that do not fit",
     "An argument is unknown, missing, given twice, or one too many. Names, order and defaults "
     "are PyTorch's; the note shows the signature."},
    {"E0304", "the value of an argument",
     "The value has another type than the argument, or is out of its range."},
    {"E0305", "not a layer", "A layer is needed here, and the expression gives something else."},
    {"E0306", "names of a class",
     "A name is declared twice or means two things: arguments, lets and inputs share one scope."},
    {"E0307", "variables that need each other",
     "The values of `vars:` may use one another in any order, but not in a circle."},
    {"E0331", "an effect that a hook does not have",
     "forward_pre changes input, forward output, full_backward_pre grad_output, full_backward "
     "grad_input, tensor and post_accumulate_grad grad."},
    {"E0332", "a hook that cannot be read", "A kind, selector, file or number of a hook is off."},
    {"E0333", "a capture of what its hook does not see",
     "forward sees input and output, forward_pre input, full_backward grad_input and grad_output, "
     "full_backward_pre grad_output; weight and weight_grad come with all. `nnm list statistics` "
     "shows what `reduce` knows."},
    {"E0334", "a hook whose selector matches nothing",
     "Each item of a comma list must match; `optional: true` relaxes it."},
    {"E0335", "a rule that is unknown or does not fit",
     "`nnm list rules` shows the rules with their thresholds: `rule: dead_relu` takes them as they "
     "are, `rule: dead_relu(threshold_layer=40)` sets one."},
    {"E0401", "an expression that has no value",
     "Dividing by zero, an index out of range, operands that do not go together, overflow."},
    {"E0402", "a requirement that does not hold", "`require:` says what its text tells."},
    {"E0403", "a child that cannot be registered",
     "As add_module of PyTorch asks: a name is not empty, has no `.`, and is not yet a child, "
     "parameter, buffer or attribute of the module."},
    {"E0404", "a model that is too large",
     "Numbers of modules, rounds of loops, and elements are limited before memory is taken."},
    {"E0405", "a selector that matches nothing",
     "Each item of the rules of init, freeze and groups must match; `optional: true` relaxes it. "
     "Paths are "
     "anchored at the root: `*` is one segment, `**` any number."},
    {"E0406", "a tie that cannot be",
     "`tie: - a.weight = b.weight` equates two parameters of one shape; both must exist."},
    {"E0407", "the value of a parameter or buffer",
     "`name: expression`, or `{value: …}`, or `{shape: [3, 4], dtype: f32, init: zeros}`."},
    {"E0408", "a class that contains itself",
     "Classes may contain each other, but not in a circle: the model would have no end."},
    {"E0420", "the value of a training setting", "A key of `train:` has a value that cannot be."},
    {"E0421", "a missing training setting", "A run needs `max`, `optimizer` and a loss."},
    {"E0422", "a schedule that does not fit the run",
     "A schedule over the whole run needs `max` in steps or epochs, and parts of a pipe but the "
     "last need an end."},
    {"E0423", "a run without a step",
     "`max`, `batch` and `accumulate` leave not one optimizer step."},
    {"E0430", "an input of the model without a field",
     "An input takes the field of its name; the only input of a model takes the first field if "
     "none has its name."},
    {"E0431", "a name for a field and an output",
     "Fields of the data and outputs of the model share one scope in loss and metrics."},
    {"E0432", "a run without a loss",
     "Write `loss:` under `train:`, or let the model return an output named `loss`."},
    {"E0433", "a loss that no parameter reaches",
     "Nothing can be learnt from a loss without a gradient: it does not depend on what the model "
     "gives, or only through `detach` or functions without a gradient, such as `argmax`."},
    {"E0440", "the value of a data setting", "A key of `data:` has a value that cannot be."},
    {"E0441", "data files that cannot be as they are",
     "A file of `data:` is there, and is damaged, lacks a column or dataset, or has another number "
     "of samples than the fields beside it; such errors end with exit code 3."},
    {"E0442", "a file that cannot be loaded",
     "`load(\"file.h5\", \"dataset\")` names a file or dataset that is missing or damaged. The "
     "file "
     "stands beside the one that names it; such errors end with exit code 3."},
    {"E0501", "shapes that do not fit",
     "The model was run on shapes alone; the note tells where the sizes come from."},
    {"E0502", "an input that does not fit",
     "The sizes or type of an input are not those that `inputs:` declares."},
    {"E0503", "types that do not fit", "Operands or arguments have types that do not go together."},
    {"E0504", "a call of a class that does not fit its inputs",
     "A forward takes the inputs of its class, in order or by name."},
    {"E0505", "a forward that returns nothing", "A forward ends with `- return …`."},
    {"E0510", "a loss or metric that is not one number", "Reduce it, such as by mean(…)."},
    {"W0201", "a class hides a layer",
     "A class of `define:` has the name of a layer of torch.nn, which it hides in this file."},
    {"W0401", "lengths that look like epochs",
     "Bare numbers in a schedule count optimizer steps; `30 epochs` or `per=1 epoch` say "
     "otherwise."},
    {"W0402", "a warmup that outlasts the run",
     "The run ends while the learning rate still warms up."},
    {"W0430", "fields that nobody reads",
     "Neither the model's inputs nor loss and metrics read them, so they are not loaded."},
    {"W0441", "data that cannot be read",
     "What needs their sizes is left out of the check; a run would end with exit code 3."},
    {"W0443", "a setting of training for another split",
     "`shuffle` and `drop_last` act in training alone; elsewhere every sample is taken, in the "
     "order of the files."},
    {"W0510", "a target of another size than its input",
     "mse_loss, l1_loss, smooth_l1_loss and huber_loss broadcast the one over the other, as in "
     "PyTorch: (N, 1) against (N) gives (N, N), and seldom what is meant."},
    {"W0511", "an activation in front of a loss that has it",
     "cross_entropy begins with log_softmax, binary_cross_entropy_with_logits with a sigmoid: a "
     "model that ends with one as well learns slowly. They take logits."},
};

}  // namespace

const std::vector<CodeInfo>& codes() {
  static const std::vector<CodeInfo> table(std::begin(kCodes), std::end(kCodes));
  return table;
}

const CodeInfo* find_code(std::string_view code) {
  std::string upper(code);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return std::toupper(c); });
  for (const CodeInfo& info : codes()) {
    if (upper == info.code) return &info;
  }
  return nullptr;
}

}  // namespace nnm::lang
