#include "launcher/console.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string_view>

namespace muster {

namespace {

std::size_t terminal_width(int descriptor) {
  winsize size{};
  return ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/// At most `width` characters, not in the midst of one.
std::string cut(const std::string& text, std::size_t width) {
  std::size_t characters = 0;
  for (std::size_t byte = 0; byte < text.size(); ++byte) {
    if ((static_cast<unsigned char>(text[byte]) & 0xC0) != 0x80 && ++characters > width)
      return text.substr(0, byte);
  }
  return text;
}

}  // namespace

Console::Mode Console::mode_for(int descriptor) {
  const char* terminal = std::getenv("TERM");
  const bool can_redraw = terminal != nullptr && std::string_view(terminal) != "dumb";
  return can_redraw && isatty(descriptor) ? Mode::live : Mode::plain;
}

Console::~Console() { show({}); }

void Console::lines(const std::vector<std::string>& lines) {
  if (mode_ == Mode::quiet || lines.empty()) return;
  std::string text = erase();
  for (const std::string& line : lines) text += line + "\n";
  write(text + draw());
}

void Console::show(const std::vector<std::string>& status) {
  if (mode_ != Mode::live || status == status_) return;
  const std::string erased = erase();
  status_ = status;
  write(erased + draw());
}

std::string Console::erase() const {
  return status_.empty() ? "" : "\x1b[" + std::to_string(status_.size()) + "A\r\x1b[J";
}

std::string Console::draw() const {
  std::string text;
  const std::size_t width = status_.empty() ? 0 : terminal_width(descriptor_) - 1;
  for (const std::string& line : status_) text += cut(line, width) + "\n";
  return text;
}

void Console::write(const std::string& text) const {
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = ::write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace muster
