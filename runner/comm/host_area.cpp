#include "runner/comm/host_area.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "core/error.hpp"

namespace muster {
namespace {

std::size_t area_bytes(int ranks) {
  const auto n = static_cast<std::size_t>(ranks);
  return n * sizeof(HostMember) + n * n * sizeof(Mailbox);
}

std::byte* map(int descriptor, int ranks) {
  void* mapped =
      mmap(nullptr, area_bytes(ranks), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor, 0);
  return mapped == MAP_FAILED ? nullptr : static_cast<std::byte*>(mapped);
}

}  // namespace

HostArea HostArea::create(int ranks) {
  const int descriptor = memfd_create("muster-ranks", MFD_CLOEXEC);
  // The zeros of a new file are a valid start: counters at 0, no addresses.
  std::byte* base = nullptr;
  if (descriptor >= 0 && ftruncate(descriptor, static_cast<off_t>(area_bytes(ranks))) == 0)
    base = map(descriptor, ranks);
  if (base == nullptr) {
    const std::string reason = std::strerror(errno);
    if (descriptor >= 0) close(descriptor);
    throw Error(ExitCode::resources, "cannot share memory between the ranks of this host: " + reason,
                "check the memory and file-descriptor limits of the job");
  }
  return HostArea(descriptor, ranks, base);
}

std::optional<HostArea> HostArea::attach(pid_t process, int descriptor, int ranks) {
  const std::string path = "/proc/" + std::to_string(process) + "/fd/" + std::to_string(descriptor);
  const int own = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (own < 0) return std::nullopt;
  std::byte* base = map(own, ranks);
  close(own);
  if (base == nullptr) return std::nullopt;
  return HostArea(-1, ranks, base);
}

HostArea::HostArea(HostArea&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      ranks_(other.ranks_),
      base_(std::exchange(other.base_, nullptr)) {}

HostArea::~HostArea() {
  if (base_ != nullptr) munmap(base_, area_bytes(ranks_));
  if (descriptor_ >= 0) close(descriptor_);
}

HostMember& HostArea::member(int rank) const { return reinterpret_cast<HostMember*>(base_)[rank]; }

Mailbox& HostArea::mailbox(int from, int to) const {
  auto* boxes = reinterpret_cast<Mailbox*>(base_ + static_cast<std::size_t>(ranks_) * sizeof(HostMember));
  return boxes[from * ranks_ + to];
}

}  // namespace muster
