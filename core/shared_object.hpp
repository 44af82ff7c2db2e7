#pragma once
/// Shared objects that are loaded on demand.

#include <filesystem>
#include <string>

namespace muster {

/// One of them, open for the rest of the process's life: libraries like torch cannot be unloaded.
class SharedObject {
 public:
  struct Advice {
    std::string where_absent;
    std::string where_unloadable;  ///< a library that it needs is not there
  };
  /// `kind` is what messages call it. Throws Error(workload).
  SharedObject(std::string kind, std::filesystem::path file, const Advice& advice);

  /// Null where it exports no such function.
  void* symbol(const char* name) const;
  /// What its C function `name` returns: a table whose first member is `abi`. Throws Error(workload) with
  /// `advice` where there is no such function, or that of another ABI.
  template <class Table>
  const Table& table(const char* name, int abi, const std::string& advice) const {
    using Entry = const Table*();
    auto* entry = reinterpret_cast<Entry*>(symbol(name));
    if (entry == nullptr) refuse(std::string("exports no function ") + name, advice);
    const Table& found = *entry();
    require_abi(found.abi, abi, advice);
    return found;
  }
  /// Throws Error(workload) where what it was built for is not what this muster has.
  void require_abi(int built_for, int wanted, const std::string& advice) const;
  /// Throws Error(workload): "KIND 'FILE' PROBLEM".
  [[noreturn]] void refuse(const std::string& problem, const std::string& advice) const;

 private:
  std::string kind_;
  std::filesystem::path file_;
  void* handle_ = nullptr;
};

}  // namespace muster
