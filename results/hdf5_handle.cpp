#include "results/hdf5_handle.hpp"

#include <hdf5.h>

#include <cstdlib>
#include <type_traits>

#include "core/error.hpp"

namespace muster {

static_assert(std::is_same_v<hid_t, Hdf5Id>, "HDF5 1.10 or newer is needed");

namespace {

struct Failure {
  std::string innermost;
  int error_number = 0;
};

herr_t collect(unsigned, const H5E_error2_t* entry, void* data) {
  auto& failure = *static_cast<Failure*>(data);
  const std::string text = entry->desc ? entry->desc : "";
  if (failure.innermost.empty()) failure.innermost = text;
  constexpr std::string_view kErrno = "errno = ";
  if (const auto at = text.find(kErrno); at != std::string::npos && failure.error_number == 0)
    failure.error_number = std::atoi(text.c_str() + at + kErrno.size());
  return 0;
}

}  // namespace

QuietHdf5::QuietHdf5() {
  static const herr_t once = H5dont_atexit();
  static_cast<void>(once);
  H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

QuietHdf5::~QuietHdf5() { H5Eset_auto2(H5E_DEFAULT, function_, data_); }

void throw_hdf5_error(const std::filesystem::path& file, const std::string& doing,
                      std::source_location where) {
  Failure failure;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, collect, &failure);
  H5Eclear2(H5E_DEFAULT);
  if (failure.error_number != 0) throw_storage_error(file, doing, failure.error_number);
  throw Error(ExitCode::storage,
              "cannot " + doing + " " + file.string() + ": HDF5 says '" + failure.innermost + "' (" +
                  where.function_name() + ")",
              "check that the file is whole and that no other program writes it");
}

}  // namespace muster
