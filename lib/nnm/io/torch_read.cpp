// Reads what torch.save writes: a zip archive of stored members, one of which is a pickle. Only the
// few names that a state_dict's pickle needs are known, and nothing that it names is called.
#include <algorithm>
#include <cstring>
#include <map>

#include "nnm/base/error.h"
#include "nnm/io/bools.h"
#include "nnm/io/torch_file.h"
#include "nnm/io/zip.h"
#include "nnm/tensor/tensor.h"

namespace nnm::io {
namespace {

constexpr const char* kSaveState = "save `model.state_dict()` rather than the model";
constexpr int kMostDepth = 16;            // of containers in containers
constexpr size_t kMostWork = 20'000'000;  // values that are moved into containers
// Elements that tensors have beyond those that are stored, since they repeat them.
constexpr int64_t kMostRepeated = int64_t{16} << 20;

/// Little-endian numbers and texts out of bytes that are all there.
class Cursor {
 public:
  Cursor(std::string_view bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  [[noreturn]] void fail(std::string_view what, std::string help = {}) const {
    throw Error(ErrorKind::input_file, fmt::format("{}: {}", path_, what), std::move(help));
  }
  std::string_view take(size_t n) {
    if (n > bytes_.size() - at_) fail("truncated or corrupt");
    at_ += n;
    return bytes_.substr(at_ - n, n);
  }
  uint64_t number(size_t bytes) {
    uint64_t v = 0;
    std::memcpy(&v, take(bytes).data(), bytes);
    return v;
  }
  std::string line() {
    const size_t end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) fail("truncated or corrupt");
    std::string out(take(end - at_));
    take(1);
    return out;
  }

 private:
  std::string_view bytes_;
  const std::string& path_;
  size_t at_ = 0;
};

/// The members of an archive by their names, without the folder that all of them are in.
class Archive {
 public:
  explicit Archive(const std::string& path) : zip_(path) {
    for (const ZipMember& m : zip_.members()) members_[m.name.substr(m.name.find('/') + 1)] = &m;
  }

  /// Null where there is none of that name.
  const ZipMember* find(const std::string& name) const {
    const auto at = members_.find(name);
    return at == members_.end() ? nullptr : at->second;
  }
  void read(const ZipMember& m, void* into) const {
    ZipReader reader(zip_.path(), m);
    reader.take(into, m.size);
    reader.check_end();
  }
  /// Empty where there is none.
  std::string text(const std::string& name) const {
    const ZipMember* const m = find(name);
    std::string out(m ? check(*m).size : 0, '\0');
    if (m) read(*m, out.data());
    return out;
  }
  /// Throws Error(input_file) where it may be larger than the file.
  const ZipMember& check(const ZipMember& m) const {
    if (m.deflated) fail("`" + m.name + "` is packed: not of torch.save", kSaveState);
    return m;
  }
  [[noreturn]] void fail(std::string_view what, std::string help = {}) const {
    throw Error(ErrorKind::input_file, fmt::format("{}: {}", zip_.path(), what), std::move(help));
  }

 private:
  const ZipArchive zip_;
  std::map<std::string, const ZipMember*> members_;
};

/// A name of a pickle: a class or function, or the tensor's storage that it stands for.
struct PickleName final : Object {
  explicit PickleName(std::string text) : text(std::move(text)) {}
  std::string text;
};
struct PickleStorage final : Object {
  DType dtype = DType::f32;
  const ZipMember* member = nullptr;
  std::string key;
  size_t elements() const { return member->size / item_size(dtype); }
};
struct PickleMark final : Object {};

template <class T>
const T* as(const Value& v) {
  return v.is(Value::Kind::object) ? dynamic_cast<const T*>(v.object()) : nullptr;
}

template <class T>
Value boxed(const Ref<T>& object) {
  return Value(Value::Kind::object, object.get());
}

DType dtype_of(const std::string& storage, const Cursor& c) {
  static const std::map<std::string, DType> kTypes = {
      {"FloatStorage", DType::f32}, {"DoubleStorage", DType::f64}, {"BFloat16Storage", DType::bf16},
      {"HalfStorage", DType::f16},  {"LongStorage", DType::i64},   {"IntStorage", DType::i32},
      {"ShortStorage", DType::i16}, {"CharStorage", DType::i8},    {"ByteStorage", DType::u8},
      {"BoolStorage", DType::b8}};
  const auto at = kTypes.find(storage);
  if (at == kTypes.end()) c.fail("tensors of torch." + storage + " are unknown here");
  return at->second;
}

/// The machine that a pickle is a program for, as far as state_dicts need it.
class Unpickler {
 public:
  Unpickler(const Archive& archive, std::string_view program, const std::string& path)
      : archive_(archive), path_(path), in_(program, path) {}

  Value run() {
    while (true) {
      const char op = in_.take(1)[0];
      if (op == '.') return pop().value;
      spend(1);
      if (!constant(op) && !container(op) && !memory(op) && !construct(op))
        in_.fail(fmt::format("its pickle has an opcode that no state_dict needs (0x{:02x})",
                             static_cast<unsigned char>(op)),
                 kSaveState);
    }
  }

 private:
  struct Item {
    Value value;
    int depth = 0;
  };

  void spend(size_t values) {
    work_ += values;
    if (work_ > kMostWork) in_.fail("its pickle is too large for a state_dict");
  }
  Item pop() {
    Item v = std::move(top());
    stack_.pop_back();
    return v;
  }
  Item& top() {
    if (stack_.empty()) in_.fail("its pickle is damaged");
    return stack_.back();
  }
  void push(Value v, int depth = 0) {
    if (depth > kMostDepth) in_.fail("its pickle is nested too deeply");
    stack_.push_back({std::move(v), depth});
  }
  /// The newest n values in their order, and one more than the deepest of them is deep.
  Values take(size_t n, int& depth) {
    spend(n);
    Values out(n);
    for (size_t i = n; i-- > 0;) {
      Item item = pop();
      depth = std::max(depth, item.depth + 1);
      out[i] = std::move(item.value);
    }
    return out;
  }
  /// What stands above the newest mark, which goes, too.
  Values since_mark(int& depth) {
    size_t n = 0;
    while (n < stack_.size() && !as<PickleMark>(stack_[stack_.size() - 1 - n].value)) ++n;
    Values out = take(n, depth);
    pop();
    return out;
  }

  bool constant(char op) {
    switch (static_cast<unsigned char>(op)) {
      case 0x80: return protocol(in_.number(1));
      case 'N': push(Value()); return true;
      case 0x88: push(true); return true;
      case 0x89: push(false); return true;
      case 'J': push(int64_t{static_cast<int32_t>(in_.number(4))}); return true;
      case 'K': push(static_cast<int64_t>(in_.number(1))); return true;
      case 'M': push(static_cast<int64_t>(in_.number(2))); return true;
      case 0x8a: push(long_number(in_.number(1))); return true;
      case 'G': push(big_endian_real()); return true;
      case 'X': push(std::string(in_.take(in_.number(4)))); return true;
      default: return false;
    }
  }
  // Framed pickles are of 4 and above.
  bool protocol(uint64_t version) {
    if (version > 3)
      in_.fail(fmt::format("a pickle of protocol {}, where torch.save writes 2", version),
               "save it without `pickle_protocol`");
    return true;
  }
  Value long_number(uint64_t bytes) {
    if (bytes > 8) in_.fail("its pickle has a number beyond 64 bits");
    if (bytes == 0) return int64_t{0};
    const auto shift = static_cast<int>(64 - 8 * bytes);
    return static_cast<int64_t>(in_.number(bytes) << shift) >> shift;
  }
  Value big_endian_real() {
    char bytes[8];
    std::memcpy(bytes, in_.take(8).data(), 8);
    std::reverse(bytes, bytes + 8);
    double v = 0;
    std::memcpy(&v, bytes, 8);
    return v;
  }

  bool container(char op) {
    switch (static_cast<unsigned char>(op)) {
      case '(': push(boxed(make_ref<PickleMark>())); return true;
      case ')': push(Value::tuple({}), 1); return true;
      case '}': push(Value::dict({}), 1); return true;
      case ']': push(Value::list({}), 1); return true;
      case 't': return add_tuple([this](int& depth) { return since_mark(depth); });
      case 0x85: return add_tuple([this](int& depth) { return take(1, depth); });
      case 0x86: return add_tuple([this](int& depth) { return take(2, depth); });
      case 0x87: return add_tuple([this](int& depth) { return take(3, depth); });
      case 's': return set_items([this](int& depth) { return take(2, depth); });
      case 'u': return set_items([this](int& depth) { return since_mark(depth); });
      case 'a': return append([this](int& depth) { return take(1, depth); });
      case 'e': return append([this](int& depth) { return since_mark(depth); });
      default: return false;
    }
  }
  template <class Take>
  bool add_tuple(const Take& take_items) {
    int depth = 1;
    Values items = take_items(depth);
    push(Value::tuple(std::move(items)), depth);
    return true;
  }
  template <class Take>
  bool set_items(const Take& take_items) {
    int depth = 1;
    const Values pairs = take_items(depth);
    const Item dict = pop();
    Items items;
    if (dict.value.is(Value::Kind::dict)) items = dict.value.entries();
    spend(items.size());
    for (size_t i = 0; i + 1 < pairs.size(); i += 2)
      items.emplace_back(pairs[i].is(Value::Kind::string) ? pairs[i].string() : "", pairs[i + 1]);
    push(Value::dict(std::move(items)), std::max(depth, dict.depth));
    return true;
  }
  template <class Take>
  bool append(const Take& take_items) {
    int depth = 1;
    const Values more = take_items(depth);
    const Item list = pop();
    if (!list.value.is_sequence()) in_.fail("its pickle is damaged");
    Values items = list.value.items();
    spend(items.size());
    items.insert(items.end(), more.begin(), more.end());
    push(Value::list(std::move(items)), std::max(depth, list.depth));
    return true;
  }

  bool memory(char op) {
    switch (op) {
      case 'q': return remember(in_.number(1));
      case 'r': return remember(in_.number(4));
      case 'h': return recall(in_.number(1));
      case 'j': return recall(in_.number(4));
      default: return false;
    }
  }
  bool remember(uint64_t place) {
    memo_[place] = top();
    return true;
  }
  bool recall(uint64_t place) {
    const auto at = memo_.find(place);
    if (at == memo_.end()) in_.fail("its pickle is damaged");
    push(at->second.value, at->second.depth);
    return true;
  }

  bool construct(char op) {
    switch (op) {
      case 'c': {
        const std::string module = in_.line();
        push(boxed(make_ref<PickleName>(module + "." + in_.line())));
        return true;
      }
      case 'Q': push(storage(pop().value)); return true;
      case 'R': {
        const Value args = pop().value;
        push(called(pop().value, args), 1);
        return true;
      }
      case 'b': pop(); return true;  // attributes, such as a state_dict's _metadata
      default: return false;
    }
  }

  Value storage(const Value& id) {
    if (!id.is_sequence() || id.items().size() < 3 || !id.items()[2].is(Value::Kind::string))
      in_.fail("its pickle names a storage in another way than torch.save");
    const auto* type = as<PickleName>(id.items()[1]);
    if (!type || !type->text.starts_with("torch.")) in_.fail("its pickle is damaged");
    auto s = make_ref<PickleStorage>();
    s->dtype = dtype_of(type->text.substr(6), in_);
    s->key = id.items()[2].string();
    const ZipMember* const member = archive_.find("data/" + s->key);
    if (!member) in_.fail("it has no member `data/" + s->key + "`");
    s->member = &archive_.check(*member);
    return boxed(s);
  }

  Value called(const Value& callee, const Value& args) {
    const auto* name = as<PickleName>(callee);
    if (!name || !args.is_sequence()) in_.fail("its pickle is damaged");
    if (name->text == "collections.OrderedDict") return Value::dict({});
    if (name->text == "torch._utils._rebuild_tensor_v2") return tensor(args.items());
    if (name->text == "torch._utils._rebuild_parameter" && !args.items().empty())
      return args.items()[0];
    throw Error(ErrorKind::input_file,
                fmt::format("{} is no state_dict: its pickle calls `{}`", path_, name->text),
                fmt::format("{}: nothing that a file names is run", kSaveState));
  }

  Value tensor(const Values& args) {
    const auto* s = args.size() > 3 ? as<PickleStorage>(args[0]) : nullptr;
    if (!s || !args[1].is(Value::Kind::integer) || !args[2].is_sequence() ||
        !args[3].is_sequence() || args[2].items().size() != args[3].items().size() ||
        args[2].items().size() > static_cast<size_t>(kMaxDims))
      in_.fail("its pickle is damaged");
    Shape shape, strides;
    int64_t last = args[1].integer(), numel = 1;
    for (size_t i = 0; i < args[2].items().size(); ++i) {
      const Value &n = args[2].items()[i], &stride = args[3].items()[i];
      int64_t step = 0;
      if (!n.is(Value::Kind::integer) || !stride.is(Value::Kind::integer) || n.integer() < 0 ||
          stride.integer() < 0 || __builtin_mul_overflow(numel, n.integer(), &numel) ||
          __builtin_mul_overflow(std::max<int64_t>(n.integer() - 1, 0), stride.integer(), &step) ||
          __builtin_add_overflow(last, step, &last))
        in_.fail("its pickle is damaged");
      shape.push_back(n.integer());
      strides.push_back(stride.integer());
    }
    const auto elements = static_cast<int64_t>(s->elements());
    if (args[1].integer() < 0 || (numel > 0 && last >= elements))
      in_.fail("a tensor reaches beyond its storage `" + s->key + "`");
    const int64_t more = std::max<int64_t>(numel - elements, 0);
    if (more > kMostRepeated || (repeated_ += more) > kMostRepeated)
      in_.fail(
          fmt::format("a tensor of {} elements repeats the {} of its storage", numel, elements),
          "save it as `x.contiguous()`");
    // Bits that say how to read the numbers, such as that they are negated.
    if (args.size() > 6 && args[6].truthy())
      in_.fail("a tensor that is a view of its negative or conjugate",
               "save it as `x.resolve_neg()`, or `x.resolve_conj()`");
    return share(*s, args[1].integer(), shape, strides);
  }

  /// The same tensor where the pickle names one twice, as it does for tied parameters.
  Value share(const PickleStorage& s, int64_t offset, const Shape& shape, const Shape& strides) {
    const std::string key = fmt::format("{}@{}{}{}", s.key, offset, shape.str(), strides.str());
    Tensor& t = tensors_[key];
    if (!t.defined()) t = whole(s).as_strided(shape, strides, offset);
    return Value(t);
  }
  const Tensor& whole(const PickleStorage& s) {
    Tensor& t = tensors_[s.key + info(s.dtype).name];
    if (t.defined()) return t;
    NNM_CHECK(s.member->size % item_size(s.dtype) == 0, input_file,
              "{}: storage `{}` ends within an element", path_, s.key);
    t = empty({static_cast<int64_t>(s.elements())}, {s.dtype, {}});
    archive_.read(*s.member, t.data());
    if (s.dtype == DType::b8 && !are_bools(t.data(), t.numel()))
      in_.fail("storage `" + s.key + "` has a bool that is neither 0 nor 1");
    return t;
  }

  const Archive& archive_;
  const std::string& path_;
  Cursor in_;
  std::vector<Item> stack_;
  std::map<uint64_t, Item> memo_;
  size_t work_ = 0;
  int64_t repeated_ = 0;
  std::map<std::string, Tensor> tensors_;
};

/// The tensors of the dict that training scripts keep beside others (a loss, say), else of a dict.
std::vector<NamedTensor> tensors_of(const Value& v) {
  std::vector<NamedTensor> out;
  if (!v.is(Value::Kind::dict)) return out;
  for (const char* key : {"state_dict", "model_state_dict", "model"})
    for (const auto& [name, value] : v.entries())
      if (name == key && out.empty()) out = tensors_of(value);
  if (!out.empty()) return out;
  for (const auto& [name, value] : v.entries())
    if (value.is(Value::Kind::tensor)) out.push_back({name, value.as<Tensor>()});
  return out;
}

}  // namespace

std::vector<NamedTensor> read_torch(const std::string& path) {
  const Archive archive(path);
  if (!archive.find("data.pkl"))
    archive.fail("it has no `data.pkl`: not of torch.save", kSaveState);
  const std::string order = archive.text("byteorder"), program = archive.text("data.pkl");
  if (!order.empty() && order != "little") archive.fail("its numbers are big-endian");
  std::vector<NamedTensor> out = tensors_of(Unpickler(archive, program, path).run());
  if (out.empty()) archive.fail("holds no tensors by name: save `model.state_dict()`");
  return out;
}

}  // namespace nnm::io
