#pragma once
/// What a person sees of a run: lines that scroll, and on a terminal a few below them that are redrawn.

#include <string>
#include <vector>

namespace muster {

/// Writes to a descriptor that may go away (a closed terminal, a pipe's end): failures are ignored, the run
/// goes on.
class Console {
 public:
  enum class Mode {
    quiet,  ///< nothing
    plain,  ///< lines alone
    live,   ///< lines, and redrawn ones below
  };

  /// live where `descriptor` is a terminal that can be redrawn, else plain.
  static Mode mode_for(int descriptor);

  Console(int descriptor, Mode mode) : descriptor_(descriptor), mode_(mode) {}
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  Mode mode() const { return mode_; }
  void lines(const std::vector<std::string>& lines);
  void line(const std::string& text) { lines({text}); }

  /// Redraws the lines at the bottom, cut to the terminal's width. Nothing unless live.
  void show(const std::vector<std::string>& status);

 private:
  std::string erase() const;
  std::string draw() const;
  void write(const std::string& text) const;

  int descriptor_;
  Mode mode_;
  std::vector<std::string> status_;
};

}  // namespace muster
