#include "core/error.hpp"

#include <cerrno>
#include <system_error>

namespace muster {

namespace {

std::string compose(const std::string& problem, const std::string& advice,
                    const std::optional<SourcePlace>& place) {
  std::string text;
  if (place && !place->file.empty()) {
    text += place->file.string() + ":";
    if (place->line > 0) {
      text += std::to_string(place->line) + ":";
      if (place->column > 0) text += std::to_string(place->column) + ":";
    }
    text += " ";
  }
  text += problem;
  if (!advice.empty()) text += "; " + advice;
  return text;
}

std::string storage_advice(int error_number) {
  switch (error_number) {
    case ENOSPC:
      return "free some space, or choose another folder with --runs or $MUSTER_RUNS";
    case EDQUOT:
      return "free some of your quota, or choose another folder with --runs or $MUSTER_RUNS";
    case EROFS:
    case EACCES:
    case EPERM:
      return "choose a folder that you may write to with --runs or $MUSTER_RUNS";
    case ENOENT:
      return "check the path";
    case ENOTDIR:
    case EISDIR:
    case EEXIST:
      return "move away what is there, or choose another folder with --runs or $MUSTER_RUNS";
    default:
      return "check the file system it is on";
  }
}

}  // namespace

Error::Error(ExitCode code, const std::string& problem, const std::string& advice,
             std::optional<SourcePlace> place)
    : std::runtime_error(compose(problem, advice, place)),
      code_(code),
      problem_(problem),
      advice_(advice),
      place_(std::move(place)) {}

void throw_storage_error(const std::filesystem::path& path, const std::string& doing, int error_number) {
  throw Error(
      ExitCode::storage,
      "cannot " + doing + " '" + path.string() + "': " + std::generic_category().message(error_number),
      storage_advice(error_number));
}

void throw_bug(const char* condition, std::source_location where) {
  throw Error(
      ExitCode::internal, std::string("a bug in muster: ") + condition + " does not hold",
      "please report it with this line",
      SourcePlace{where.file_name(), static_cast<int>(where.line()), static_cast<int>(where.column())});
}

}  // namespace muster
