#include "core/shared_object.hpp"

#include <dlfcn.h>

#include <utility>

#include "core/error.hpp"

namespace muster {

SharedObject::SharedObject(std::string kind, std::filesystem::path file, const Advice& advice)
    : kind_(std::move(kind)), file_(std::move(file)) {
  if (!std::filesystem::is_regular_file(file_))
    refuse("cannot be loaded: there is no such file", advice.where_absent);
  // Without a slash dlopen would search the system's folders.
  handle_ = dlopen(std::filesystem::absolute(file_).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle_ == nullptr) {
    const char* reason = dlerror();
    refuse(std::string("cannot be loaded: ") + (reason != nullptr ? reason : "unknown reason"),
           advice.where_unloadable);
  }
}

void* SharedObject::symbol(const char* name) const { return dlsym(handle_, name); }

void SharedObject::require_abi(int built_for, int wanted, const std::string& advice) const {
  if (built_for == wanted) return;
  refuse(
      "was built for ABI " + std::to_string(built_for) + " and this muster has ABI " + std::to_string(wanted),
      advice);
}

void SharedObject::refuse(const std::string& problem, const std::string& advice) const {
  throw Error(ExitCode::workload, kind_ + " '" + file_.string() + "' " + problem, advice);
}

}  // namespace muster
