#pragma once
/// NCCL's functions, found when they are first needed: a build needs nccl.h alone, and a process has one
/// NCCL, the one that LibTorch brought if it did.

#include <nccl.h>

#include <source_location>
#include <string>

namespace muster {

struct NcclLibrary {
  std::string description;  ///< "2.28.9 from /.../libnccl.so.2"
  decltype(&ncclGetVersion) get_version = nullptr;
  decltype(&ncclGetErrorString) get_error_string = nullptr;
  decltype(&ncclGetLastError) get_last_error = nullptr;
  decltype(&ncclGetUniqueId) get_unique_id = nullptr;
  decltype(&ncclCommInitRankConfig) comm_init_rank_config = nullptr;
  decltype(&ncclCommSplit) comm_split = nullptr;
  decltype(&ncclCommUserRank) comm_user_rank = nullptr;
  decltype(&ncclCommCount) comm_count = nullptr;
  decltype(&ncclCommGetAsyncError) comm_get_async_error = nullptr;
  decltype(&ncclCommFinalize) comm_finalize = nullptr;
  decltype(&ncclCommDestroy) comm_destroy = nullptr;
  decltype(&ncclCommAbort) comm_abort = nullptr;
  decltype(&ncclAllReduce) all_reduce = nullptr;
  decltype(&ncclAllGather) all_gather = nullptr;
  decltype(&ncclReduceScatter) reduce_scatter = nullptr;
  decltype(&ncclBroadcast) broadcast = nullptr;
  decltype(&ncclGroupStart) group_start = nullptr;
  decltype(&ncclGroupEnd) group_end = nullptr;
};

/// Loaded at the first call, for the rest of the process's life. Throws Error(resources) where it cannot be
/// loaded or is too old.
const NcclLibrary& nccl();

/// Throws with NCCL's own text and the call's place, where `code` is neither success nor 'in progress':
/// Error(task_failed) where a peer or the network failed, else Error(internal).
void check_nccl(ncclResult_t code, std::source_location where = std::source_location::current());

}  // namespace muster
