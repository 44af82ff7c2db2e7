#include "runner/cuda/nccl_library.hpp"

#include <dlfcn.h>

#include "core/error.hpp"

namespace muster {
namespace {

constexpr const char* kFile = "libnccl.so.2";
constexpr const char* kAdvice =
    "put its folder on LD_LIBRARY_PATH: site-packages/nvidia/nccl/lib of the wheel nvidia-nccl-cu13, or the "
    "site's";

[[noreturn]] void refuse(const std::string& problem) {
  throw Error(ExitCode::resources, "NCCL cannot be used: " + problem, kAdvice);
}

template <typename Function>
void load(Function& function, void* library, const char* name) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) refuse(std::string(kFile) + " has no " + name + ": it is too old");
}

NcclLibrary load_library() {
  void* library = dlopen(kFile, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();
    refuse(reason != nullptr ? reason : "unknown reason");
  }
  NcclLibrary functions;
  load(functions.get_version, library, "ncclGetVersion");
  load(functions.get_error_string, library, "ncclGetErrorString");
  load(functions.get_last_error, library, "ncclGetLastError");
  load(functions.get_unique_id, library, "ncclGetUniqueId");
  load(functions.comm_init_rank_config, library, "ncclCommInitRankConfig");
  load(functions.comm_split, library, "ncclCommSplit");
  load(functions.comm_user_rank, library, "ncclCommUserRank");
  load(functions.comm_count, library, "ncclCommCount");
  load(functions.comm_get_async_error, library, "ncclCommGetAsyncError");
  load(functions.comm_finalize, library, "ncclCommFinalize");
  load(functions.comm_destroy, library, "ncclCommDestroy");
  load(functions.comm_abort, library, "ncclCommAbort");
  load(functions.all_reduce, library, "ncclAllReduce");
  load(functions.all_gather, library, "ncclAllGather");
  load(functions.reduce_scatter, library, "ncclReduceScatter");
  load(functions.broadcast, library, "ncclBroadcast");
  load(functions.group_start, library, "ncclGroupStart");
  load(functions.group_end, library, "ncclGroupEnd");
  int version = 0;
  Dl_info place{};
  if (functions.get_version(&version) != ncclSuccess ||
      dladdr(reinterpret_cast<void*>(functions.get_version), &place) == 0)
    refuse(std::string(kFile) + " does not tell its version");
  functions.description = std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
                          std::to_string(version % 100) + " from " + place.dli_fname;
  return functions;
}

}  // namespace

const NcclLibrary& nccl() {
  static const NcclLibrary library = load_library();
  return library;
}

void check_nccl(ncclResult_t code, std::source_location where) {
  if (code == ncclSuccess || code == ncclInProgress) return;
  const bool may_pass = code == ncclRemoteError || code == ncclSystemError;
  throw Error(may_pass ? ExitCode::task_failed : ExitCode::internal,
              std::string(where.file_name()) + ":" + std::to_string(where.line()) +
                  ": NCCL: " + nccl().get_error_string(code) + ": " + nccl().get_last_error(nullptr),
              may_pass ? "look in the log for a rank that died first; otherwise check the interconnect"
                       : "NCCL_DEBUG=INFO in the environment makes it tell more");
}

}  // namespace muster
