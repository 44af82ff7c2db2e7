#pragma once
/// HDF5's C handles with an owner, and its failures as Errors. hdf5.h itself stays in .cpp files.

#include <cstdint>
#include <filesystem>
#include <source_location>
#include <string>
#include <utility>

namespace muster {

/// HDF5's hid_t.
using Hdf5Id = std::int64_t;

/// Owns one HDF5 identifier; closes it when destroyed, silently.
class Hdf5Handle {
 public:
  using Close = int (*)(Hdf5Id);

  Hdf5Handle() = default;
  Hdf5Handle(Hdf5Id id, Close close) : id_(id), close_(close) {}
  Hdf5Handle(Hdf5Handle&& other) noexcept
      : id_(std::exchange(other.id_, -1)), close_(std::exchange(other.close_, nullptr)) {}
  Hdf5Handle& operator=(Hdf5Handle&& other) noexcept {
    if (this != &other) {
      reset();
      id_ = std::exchange(other.id_, -1);
      close_ = std::exchange(other.close_, nullptr);
    }
    return *this;
  }
  ~Hdf5Handle() { reset(); }

  Hdf5Id get() const { return id_; }
  explicit operator bool() const { return id_ >= 0; }
  /// Closes now; negative where HDF5 failed.
  int reset() { return id_ >= 0 && close_ ? close_(std::exchange(id_, -1)) : 0; }
  /// Leaves it open for the rest of the process.
  void leak() { id_ = -1; }

 private:
  Hdf5Id id_ = -1;
  Close close_ = nullptr;
};

/// While it lives HDF5 prints no error stack in this thread: failures travel as Errors. The first one tells
/// HDF5 to do nothing at the process's end: after a failed write 1.10 would try it again there, print, and
/// crash.
class QuietHdf5 {
 public:
  QuietHdf5();
  ~QuietHdf5();
  QuietHdf5(const QuietHdf5&) = delete;
  QuietHdf5& operator=(const QuietHdf5&) = delete;

 private:
  int (*function_)(Hdf5Id, void*) = nullptr;
  void* data_ = nullptr;
};

/// Throws Error(storage) for the newest failure on HDF5's error stack: errno's text and what to do where the
/// system refused, else HDF5's own words. `doing` completes "cannot ... FILE".
[[noreturn]] void throw_hdf5_error(const std::filesystem::path& file, const std::string& doing,
                                   std::source_location where);

/// Passes a result that is not negative; throws as throw_hdf5_error otherwise.
template <typename Result>
Result check_hdf5(Result result, const std::filesystem::path& file, const std::string& doing,
                  std::source_location where = std::source_location::current()) {
  if (result < 0) throw_hdf5_error(file, doing, where);
  return result;
}

}  // namespace muster
