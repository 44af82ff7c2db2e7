#include "core/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "core/error.hpp"

namespace muster {

MappedFile::MappedFile(const std::filesystem::path& file) {
  const int descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    throw Error(ExitCode::data,
                "cannot read '" + file.string() + "': " + std::generic_category().message(errno),
                "check the path");
  struct stat status {};
  void* address = MAP_FAILED;
  int error_number = fstat(descriptor, &status) == 0 ? 0 : errno;
  if (error_number == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
    address = mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (address == MAP_FAILED) error_number = errno;
  }
  close(descriptor);
  if (error_number != 0)
    throw Error(ExitCode::data,
                "cannot read '" + file.string() + "': " + std::generic_category().message(error_number),
                "check the file system it is on");
  if (address == MAP_FAILED)
    throw Error(ExitCode::data, "it is empty, or no file", "write or download it again", SourcePlace{file});
  bytes_ = {static_cast<const std::byte*>(address), static_cast<std::size_t>(status.st_size)};
}

MappedFile::~MappedFile() {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): munmap takes what mmap gave.
  munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace muster
