#include "core/weights/pickle.hpp"

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "core/error.hpp"

namespace muster {

bool PickleValue::is_name(std::string_view full) const {
  const auto* name = std::get_if<PickleName>(&data);
  return name && name->full == full;
}

const PickleValue* PickleDict::find(std::string_view key) const {
  const auto found = index.find(key);
  return found == index.end() ? nullptr : &items[found->second].second;
}

namespace {

// A value takes a few dozen bytes of memory for as few as one of the file.
constexpr std::size_t kMostValues = 4'000'000;

}  // namespace

class Unpickler {
 public:
  Unpickler(std::span<const std::byte> bytes, const PickleRules& rules, Pickle& pickle)
      : bytes_(bytes), rules_(rules), pickle_(pickle) {}

  void run() {
    for (;;) {
      const std::uint8_t opcode = byte();
      if (opcode == '.') break;
      if (!data_step(opcode) && !memo_step(opcode) && !container_step(opcode) && !call_step(opcode))
        refuse("opcode " + std::to_string(opcode) + " is none that data need");
    }
    pickle_.value_ = pop();
    pickle_.size_ = at_;
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    throw Error(
        ExitCode::data,
        "cannot read '" + rules_.place + "': at byte " + std::to_string(at_) + " of its pickle " + why,
        rules_.advice);
  }

  std::string_view take(std::uint64_t count) {
    if (count > bytes_.size() - at_) refuse("it ends early");
    const std::string_view taken(reinterpret_cast<const char*>(bytes_.data()) + at_, count);
    at_ += count;
    return taken;
  }
  std::uint8_t byte() { return static_cast<std::uint8_t>(take(1)[0]); }
  std::uint64_t little_endian(int count) {
    const std::string_view from = take(static_cast<std::uint64_t>(count));
    std::uint64_t value = 0;
    for (int i = count - 1; i >= 0; --i) value = value << 8 | static_cast<std::uint8_t>(from[i]);
    return value;
  }
  std::string_view line() {
    const std::string_view rest = {reinterpret_cast<const char*>(bytes_.data()) + at_, bytes_.size() - at_};
    const std::size_t length = rest.find('\n');
    if (length == std::string_view::npos) refuse("it ends early");
    at_ += length + 1;
    return rest.substr(0, length);
  }

  void push(PickleValue value) {
    if (++values_ > kMostValues) refuse("there are more values than weights or batches need");
    stack_.push_back(value);
  }
  template <class T>
  void push_as(T value) {
    push(PickleValue{value});
  }
  std::size_t bottom() const { return marks_.empty() ? 0 : marks_.back(); }
  PickleValue pop() {
    if (stack_.size() <= bottom()) refuse("a value is missing");
    const PickleValue value = stack_.back();
    stack_.pop_back();
    return value;
  }
  PickleValue& top() {
    if (stack_.size() <= bottom()) refuse("a value is missing");
    return stack_.back();
  }
  PickleList pop_many(std::size_t count) {
    if (stack_.size() - bottom() < count) refuse("a value is missing");
    PickleList values(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return values;
  }
  PickleList pop_to_mark() {
    if (marks_.empty()) refuse("a mark is missing");
    PickleList values = pop_many(stack_.size() - marks_.back());
    marks_.pop_back();
    return values;
  }

  void push_list(PickleList values) { push_as(&pickle_.lists_.emplace_back(std::move(values))); }
  void append(const PickleList& values) {
    const auto* list = std::get_if<PickleList*>(&top().data);
    if (!list) refuse("something is appended to what is no list");
    (*list)->insert((*list)->end(), values.begin(), values.end());
  }
  void set_items(const PickleList& pairs) {
    PickleDict* into = nullptr;
    if (auto* const* dict = std::get_if<PickleDict*>(&top().data)) into = *dict;
    if (auto* const* object = std::get_if<PickleObject*>(&top().data)) into = &(*object)->items;
    if (!into || pairs.size() % 2 != 0) refuse("a dict is damaged");
    for (std::size_t i = 0; i < pairs.size(); i += 2) {
      const std::string_view* key = pairs[i].text();
      if (key && !into->index.emplace(*key, into->items.size()).second)
        refuse("a dict has the key '" + std::string(*key) + "' twice");
      into->items.emplace_back(pairs[i], pairs[i + 1]);
    }
  }

  void push_name(std::string_view module, std::string_view attribute) {
    const std::string full = std::string(module) + "." + std::string(attribute);
    const auto known = std::find(rules_.names.begin(), rules_.names.end(), full);
    if (known == rules_.names.end())
      refuse("it asks for Python's '" + full + "', and only plain tensors and arrays are read");
    push_as(PickleName{*known});
  }
  // What a call would have made; nothing runs.
  void push_object(const PickleValue& callee, const PickleValue& arguments) {
    const auto* name = std::get_if<PickleName>(&callee.data);
    if (!name || !arguments.list()) refuse("a call is damaged");
    push_as(&pickle_.objects_.emplace_back(PickleObject{name->full, arguments.list(), {}, {}}));
  }
  void set_state() {
    const PickleValue state = pop();
    auto* const* object = std::get_if<PickleObject*>(&top().data);
    if (!object) refuse("an object is put together in an unknown way");
    (*object)->state = state;
  }
  void push_long(std::uint64_t count) {
    if (count > 8) return push_as(PickleLong{take(count)});
    std::uint64_t value = little_endian(static_cast<int>(count));
    if (count > 0 && count < 8 && (value >> (8 * count - 1)) != 0) value |= ~std::uint64_t{0} << (8 * count);
    push_as(static_cast<std::int64_t>(value));
  }
  void push_double() {  // big endian, alone of all
    std::uint64_t bits = 0;
    for (const char c : take(8)) bits = bits << 8 | static_cast<std::uint8_t>(c);
    push_as(std::bit_cast<double>(bits));
  }

  bool data_step(std::uint8_t opcode) {
    switch (opcode) {
      case 0x80:
        take(1);
        return true;  // PROTO
      case 0x95:
        take(8);
        return true;  // FRAME
      case 'N':
        push_as(std::monostate{});
        return true;
      case 0x88:
        push_as(true);
        return true;
      case 0x89:
        push_as(false);
        return true;
      case 'K':
        push_as(static_cast<std::int64_t>(byte()));
        return true;
      case 'M':
        push_as(static_cast<std::int64_t>(little_endian(2)));
        return true;
      case 'J':
        push_as(std::int64_t{static_cast<std::int32_t>(little_endian(4))});
        return true;
      case 0x8a:
        push_long(byte());
        return true;
      case 'G':
        push_double();
        return true;
      case 'U':
      case 'C':
      case 0x8c:
        push_as(take(byte()));
        return true;
      case 'T':
      case 'B':
      case 'X':
        push_as(take(little_endian(4)));
        return true;
      case 0x8d:
      case 0x8e:
        push_as(take(little_endian(8)));
        return true;
      default:
        return false;
    }
  }

  bool memo_step(std::uint8_t opcode) {
    switch (opcode) {
      case 'q':
        memo_[byte()] = top();
        return true;
      case 'r':
        memo_[little_endian(4)] = top();
        return true;
      case 0x94:
        remember_next();
        return true;  // MEMOIZE
      case 'h':
        recall(byte());
        return true;
      case 'j':
        recall(little_endian(4));
        return true;
      default:
        return false;
    }
  }
  void remember_next() {
    const std::uint64_t next = memo_.size();
    memo_[next] = top();
  }
  void recall(std::uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) refuse("it refers to what is not there");
    push(found->second);
  }

  bool container_step(std::uint8_t opcode) {
    switch (opcode) {
      case '(':
        mark();
        return true;
      case '}':
        push_as(&pickle_.dicts_.emplace_back());
        return true;
      case ']':
      case ')':
        push_list({});
        return true;
      case 'a':
        append(pop_many(1));
        return true;
      case 'e':
        append(pop_to_mark());
        return true;
      case 's':
        set_items(pop_many(2));
        return true;
      case 'u':
        set_items(pop_to_mark());
        return true;
      case 't':
        push_list(pop_to_mark());
        return true;
      case 0x85:
        push_list(pop_many(1));
        return true;
      case 0x86:
        push_list(pop_many(2));
        return true;
      case 0x87:
        push_list(pop_many(3));
        return true;
      case '0':
        pop();
        return true;
      default:
        return false;
    }
  }
  void mark() {
    if (++values_ > kMostValues) refuse("there are more values than weights or batches need");
    marks_.push_back(stack_.size());
  }

  bool call_step(std::uint8_t opcode) {
    switch (opcode) {
      case 'c': {  // GLOBAL
        const std::string_view module = line();
        push_name(module, line());
        return true;
      }
      case 0x93: {  // STACK_GLOBAL
        const PickleList names = pop_many(2);
        if (!names[0].text() || !names[1].text()) refuse("a name is damaged");
        push_name(*names[0].text(), *names[1].text());
        return true;
      }
      case 'R':     // REDUCE
      case 0x81: {  // NEWOBJ
        const PickleList call = pop_many(2);
        push_object(call[0], call[1]);
        return true;
      }
      case 'b':
        set_state();
        return true;
      case 'Q':
        push_as(&pickle_.references_.emplace_back(PickleReference{pop()}));
        return true;
      default:
        return false;
    }
  }

  std::span<const std::byte> bytes_;
  const PickleRules& rules_;
  Pickle& pickle_;
  std::size_t at_ = 0;
  std::size_t values_ = 0;
  std::vector<PickleValue> stack_;
  std::vector<std::size_t> marks_;  ///< heights of the stack
  std::unordered_map<std::uint64_t, PickleValue> memo_;
};

Pickle::Pickle(std::span<const std::byte> bytes, const PickleRules& rules) {
  Unpickler(bytes, rules, *this).run();
}

}  // namespace muster
