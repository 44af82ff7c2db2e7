#include "workloads/common/data/pickle.hpp"

#include <iterator>

#include "core/error.hpp"

namespace muster::workloads {
namespace {

class Unpickler {
 public:
  Unpickler(const Bytes& bytes, const std::string& place) : bytes_(bytes), place_(place) {}

  PickleValue run() {
    for (;;) {
      const std::uint8_t opcode = byte();
      if (opcode == '.') return pop();
      step(opcode);
    }
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    throw Error(ExitCode::data, "cannot read '" + place_ + "': at byte " + std::to_string(at_) + " " + why,
                "it must be a batch of CIFAR's Python layout; fetch it again, or use the binary layout");
  }

  const std::uint8_t* take(std::uint64_t count) {
    if (count > bytes_.size() - at_) refuse("the pickle ends early");
    const auto* begin = bytes_.data() + at_;
    at_ += count;
    return begin;
  }
  std::uint8_t byte() { return *take(1); }
  std::uint64_t little_endian(int count) {
    const auto* from = take(static_cast<std::uint64_t>(count));
    std::uint64_t value = 0;
    for (int i = count - 1; i >= 0; --i) value = value << 8 | from[i];
    return value;
  }
  std::string text(std::uint64_t count) {
    const auto* from = take(count);
    return {reinterpret_cast<const char*>(from), count};
  }
  std::string line() {
    std::string out;
    for (char c; (c = static_cast<char>(byte())) != '\n';) out += c;
    return out;
  }

  void push(PickleValue value) { stack_.push_back(std::move(value)); }
  template <class T>
  void push_as(T value) {
    push(PickleValue{std::move(value)});
  }
  PickleValue pop() {
    if (stack_.empty()) refuse("a value is missing");
    PickleValue value = std::move(stack_.back());
    stack_.pop_back();
    return value;
  }
  PickleValue& top() {
    if (stack_.empty()) refuse("a value is missing");
    return stack_.back();
  }
  static bool is(const PickleValue& value, PickleToken token) {
    const auto* held = std::get_if<PickleToken>(&value.data);
    return held && *held == token;
  }
  PickleList pop_to_mark() {
    std::size_t mark = stack_.size();
    while (mark > 0 && !is(stack_[mark - 1], PickleToken::mark)) --mark;
    if (mark == 0) refuse("a mark is missing");
    PickleList values(std::make_move_iterator(stack_.begin() + static_cast<std::ptrdiff_t>(mark)),
                      std::make_move_iterator(stack_.end()));
    stack_.resize(mark - 1);
    return values;
  }
  PickleList pop_many(std::size_t count) {
    PickleList values(count);
    for (std::size_t i = count; i > 0; --i) values[i - 1] = pop();
    return values;
  }

  void name(const std::string& module, const std::string& attribute) {
    const bool multiarray = module == "numpy.core.multiarray" || module == "numpy._core.multiarray";
    if (multiarray && attribute == "_reconstruct") return push_as(PickleToken::reconstruct);
    if (module == "numpy" && attribute == "ndarray") return push_as(PickleToken::ndarray);
    if (module == "numpy" && attribute == "dtype") return push_as(PickleToken::dtype);
    if (module == "_codecs" && attribute == "encode") return push_as(PickleToken::encode);
    refuse("it asks for '" + module + "." + attribute + "', which no CIFAR batch needs");
  }

  // What a call would have made. The callee is one of our four names, so nothing runs.
  void reduce() {
    const PickleValue arguments = pop();
    const PickleValue callee = pop();
    const PickleList* list = arguments.list();
    if (!list) refuse("a call has no arguments");
    if (is(callee, PickleToken::reconstruct)) return push_as(std::make_shared<PickleArray>());
    if (is(callee, PickleToken::dtype) && !list->empty() && (*list)[0].text()) {
      const std::string& type = *(*list)[0].text();
      if (type != "u1" && type != "|u1") refuse("an array holds '" + type + "', not bytes");
      return push_as(PickleToken::dtype);
    }
    if (is(callee, PickleToken::encode) && list->size() == 2 && (*list)[0].text())
      return push_as(latin1(*(*list)[0].text()));
    refuse("it calls what no CIFAR batch needs");
  }

  // Python 3 writes bytes in protocol 2 as text whose code points are the bytes.
  std::string latin1(const std::string& utf8) const {
    std::string out;
    for (std::size_t i = 0; i < utf8.size(); ++i) {
      const auto c = static_cast<unsigned char>(utf8[i]);
      if (c < 0x80) {
        out += static_cast<char>(c);
      } else if ((c == 0xC2 || c == 0xC3) && i + 1 < utf8.size()) {
        out += static_cast<char>((c & 3) << 6 | (static_cast<unsigned char>(utf8[++i]) & 0x3F));
      } else {
        refuse("bytes are encoded in an unknown way");
      }
    }
    return out;
  }

  void build() {
    const PickleValue state = pop();
    PickleValue& target = top();
    if (is(target, PickleToken::dtype)) return;
    const auto* array = std::get_if<std::shared_ptr<PickleArray>>(&target.data);
    const PickleList* fields = state.list();
    if (!array || !fields || fields->size() != 5) refuse("an object is put together in an unknown way");
    const PickleList* shape = (*fields)[1].list();
    const bool* column_major = std::get_if<bool>(&(*fields)[3].data);
    const std::string* content = (*fields)[4].text();
    if (!shape || !is((*fields)[2], PickleToken::dtype) || !column_major || *column_major || !content) {
      refuse("an array is not row-major bytes");
    }
    std::uint64_t elements = 1;
    for (const auto& extent : *shape) {
      if (!extent.integer() || *extent.integer() < 0 || *extent.integer() > (1 << 30))
        refuse("an array's shape is odd");
      (*array)->shape.push_back(*extent.integer());
      elements *= static_cast<std::uint64_t>(*extent.integer());
      if (elements > content->size()) refuse("an array has another size than its shape says");
    }
    if (elements != content->size()) refuse("an array has another size than its shape says");
    (*array)->data.assign(content->begin(), content->end());
  }

  void set_items(const PickleList& pairs) {
    const auto* dict = std::get_if<std::shared_ptr<PickleDict>>(&top().data);
    if (!dict || pairs.size() % 2 != 0) refuse("a dict is damaged");
    for (std::size_t i = 0; i < pairs.size(); i += 2) {
      if (!pairs[i].text()) refuse("a dict's key is no string");
      (**dict)[*pairs[i].text()] = pairs[i + 1];
    }
  }
  void append(PickleList values) {
    const auto* list = std::get_if<std::shared_ptr<PickleList>>(&top().data);
    if (!list) refuse("a list is damaged");
    for (auto& value : values) (*list)->push_back(std::move(value));
  }
  void tuple(PickleList values) { push_as(std::make_shared<PickleList>(std::move(values))); }
  void recall(std::uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) refuse("it refers to what is not there");
    push(found->second);
  }
  void long_integer(std::uint64_t count) {
    if (count > 8) refuse("a number is too large");
    std::uint64_t value = little_endian(static_cast<int>(count));
    if (count > 0 && count < 8 && (value >> (8 * count - 1)) != 0) value |= ~std::uint64_t{0} << (8 * count);
    push_as(static_cast<std::int64_t>(value));
  }
  void stack_name() {
    const PickleList names = pop_many(2);
    if (!names[0].text() || !names[1].text()) refuse("a name is damaged");
    name(*names[0].text(), *names[1].text());
  }

  void step(std::uint8_t opcode) {
    switch (opcode) {
      case 0x80:
        take(1);
        break;  // PROTO
      case 0x95:
        take(8);
        break;  // FRAME
      case '(':
        push_as(PickleToken::mark);
        break;
      case '}':
        push_as(std::make_shared<PickleDict>());
        break;
      case ']':
        push_as(std::make_shared<PickleList>());
        break;
      case ')':
        tuple({});
        break;
      case 'N':
        push_as(std::monostate{});
        break;
      case 0x88:
        push_as(true);
        break;
      case 0x89:
        push_as(false);
        break;
      case 'K':
        push_as(static_cast<std::int64_t>(byte()));
        break;
      case 'M':
        push_as(static_cast<std::int64_t>(little_endian(2)));
        break;
      case 'J':
        push_as(std::int64_t{static_cast<std::int32_t>(little_endian(4))});
        break;
      case 0x8a:
        long_integer(byte());
        break;
      case 'U':
      case 'C':
      case 0x8c:
        push_as(text(byte()));
        break;  // short strings
      case 'T':
      case 'B':
      case 'X':
        push_as(text(little_endian(4)));
        break;  // strings, 4 bytes of length
      case 0x8d:
      case 0x8e:
        push_as(text(little_endian(8)));
        break;
      case 'q':
        memo_[byte()] = top();
        break;
      case 'r':
        memo_[little_endian(4)] = top();
        break;
      case 0x94: {
        const auto next = memo_.size();
        memo_[next] = top();
        break;
      }  // MEMOIZE
      case 'h':
        recall(byte());
        break;
      case 'j':
        recall(little_endian(4));
        break;
      case 'a': {
        auto value = pop_many(1);
        append(std::move(value));
        break;
      }
      case 'e': {
        auto values = pop_to_mark();
        append(std::move(values));
        break;
      }
      case 's': {
        const auto pair = pop_many(2);
        set_items(pair);
        break;
      }
      case 'u': {
        const auto pairs = pop_to_mark();
        set_items(pairs);
        break;
      }
      case 't':
        tuple(pop_to_mark());
        break;
      case 0x85:
        tuple(pop_many(1));
        break;
      case 0x86:
        tuple(pop_many(2));
        break;
      case 0x87:
        tuple(pop_many(3));
        break;
      case 'c': {
        const auto module = line();
        name(module, line());
        break;
      }
      case 0x93:
        stack_name();
        break;
      case 'R':
        reduce();
        break;
      case 'b':
        build();
        break;
      case '0':
        pop();
        break;
      default:
        refuse("opcode " + std::to_string(opcode) + " is none that a CIFAR batch needs");
    }
  }

  const Bytes& bytes_;
  const std::string& place_;
  std::size_t at_ = 0;
  std::vector<PickleValue> stack_;
  std::map<std::uint64_t, PickleValue> memo_;
};

}  // namespace

PickleValue read_pickle(const Bytes& bytes, const std::string& place) {
  return Unpickler(bytes, place).run();
}

}  // namespace muster::workloads
