#include "runner/comm/host_transport.hpp"

#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <string>
#include <thread>

#include "core/error.hpp"
#include "runner/comm/algorithms.hpp"
#include "runner/comm/element_ops.hpp"
#include "runner/comm/host_area.hpp"

namespace muster {
namespace {

constexpr std::size_t kBlockBytes = 128 * 1024;  // A block being reduced stays in the core's own cache.
constexpr std::chrono::seconds kPatienceWithTheDead{10};
constexpr std::uint64_t kProbe = 0x6d75737465722121;

bool read_memory(pid_t process, const void* from, void* to, std::size_t bytes) {
  if (process == getpid()) {
    std::memcpy(to, from, bytes);
    return true;
  }
  auto* local = static_cast<std::byte*>(to);
  const auto* remote = static_cast<const std::byte*>(from);
  while (bytes > 0) {
    const iovec here{local, bytes};
    const iovec there{const_cast<std::byte*>(remote), bytes};
    const ssize_t got = process_vm_readv(process, &here, 1, &there, 1, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    local += got;
    remote += got;
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

class HostTransport final : public Transport {
 public:
  HostTransport(HostArea area, int rank, int size)
      : Transport(rank, size),
        area_(std::move(area)),
        scratch_(std::make_unique_for_overwrite<std::byte[]>(2 * kBlockBytes)),
        sent_(static_cast<std::size_t>(size), 0),
        received_(static_cast<std::size_t>(size), 0) {
    area_.member(rank).process = getpid();
    area_.member(rank).probe = kProbe;
    area_.member(rank).address = &area_.member(rank).probe;
  }

  void library_all_reduce(void* data, std::size_t count, DType type, ReduceOp op) override {
    if (size() == 1 || count == 0) return;
    if (count * size_of(type) <= kInlineBytes) return reduce_inline(data, count, type, op);
    reduce_pieces(static_cast<std::byte*>(data), count, type, op);
  }

  std::unique_ptr<Transport> split(int colour, int key) override {
    auto group = make_host_transport(*this, colour, key);
    MUSTER_ASSERT(group != nullptr);
    return group;
  }

  /// True on every rank or on none: each could read each other's memory.
  bool all_can_read() {
    meet();
    std::int32_t can = 1;
    for (int peer = 0; peer < size(); ++peer) {
      std::uint64_t seen = 0;
      const HostMember& member = area_.member(peer);
      if (!read_memory(member.process, member.address, &seen, sizeof seen) || seen != kProbe) can = 0;
    }
    reduce_inline(&can, 1, DType::i32, ReduceOp::minimum);
    return can == 1;
  }

 private:
  void do_exchange(const Outgoing& out, const Incoming& in) override {
    post(out);
    if (in.from >= 0) {
      const Mailbox& box = await_message(in);
      read(in.from, box.address, in.data, in.bytes);
      take(in);
    }
    await_taken(out);
  }

  void do_exchange_reduce(const Outgoing& out, const Incoming& in, DType type, ReduceOp op) override {
    post(out);
    if (in.from >= 0) {
      const Mailbox& box = await_message(in);
      auto* accumulator = static_cast<std::byte*>(in.data);
      const auto* remote = static_cast<const std::byte*>(box.address);
      for (std::size_t at = 0; at < in.bytes; at += kBlockBytes) {
        const std::size_t bytes = std::min(kBlockBytes, in.bytes - at);
        read(in.from, remote + at, scratch_.get(), bytes);
        reduce_into(accumulator + at, scratch_.get(), bytes / size_of(type), type, op);
      }
      take(in);
    }
    await_taken(out);
  }

  void post(const Outgoing& out) {
    if (out.to < 0) return;
    Mailbox& box = area_.mailbox(rank(), out.to);
    box.address = out.data;
    box.bytes = out.bytes;
    sent_[static_cast<std::size_t>(out.to)] = box.posted.advance();
  }

  const Mailbox& await_message(const Incoming& in) {
    Mailbox& box = area_.mailbox(in.from, rank());
    box.posted.wait_for(received_[static_cast<std::size_t>(in.from)] + 1);
    require_same_size(in.from, box.bytes, in.bytes);
    return box;
  }

  void take(const Incoming& in) {
    received_[static_cast<std::size_t>(in.from)] = area_.mailbox(in.from, rank()).taken.advance();
  }

  void await_taken(const Outgoing& out) {
    if (out.to >= 0) area_.mailbox(rank(), out.to).taken.wait_for(sent_[static_cast<std::size_t>(out.to)]);
  }

  void read(int peer, const void* from, void* to, std::size_t bytes) {
    if (bytes == 0 || read_memory(area_.member(peer).process, from, to, bytes)) return;
    const int reason = errno;
    // Whoever started the ranks sees a death as well and ends all of them, with the status that says why.
    if (reason == ESRCH) std::this_thread::sleep_for(kPatienceWithTheDead);
    throw Error(ExitCode::resources,
                "rank " + std::to_string(rank()) + " cannot read rank " + std::to_string(peer) +
                    "'s memory: " + std::strerror(reason),
                "the other rank has most likely died; its own message says why");
  }

  void require_same_size(int peer, std::size_t theirs, std::size_t ours) const {
    if (theirs == ours) return;
    throw Error(ExitCode::internal,
                "rank " + std::to_string(peer) + " sends " + std::to_string(theirs) + " bytes where rank " +
                    std::to_string(rank()) + " expects " + std::to_string(ours),
                "every rank must call the same collectives in the same order, with the same counts");
  }

  /// A barrier.
  void meet() {
    arrived_ = area_.member(rank()).arrivals.advance();
    for (int peer = 0; peer < size(); ++peer)
      if (peer != rank()) area_.member(peer).arrivals.wait_for(arrived_);
  }

  /// Every rank sums all slots in rank order. The slots alternate: once all ranks have met again, the one
  /// before is free.
  void reduce_inline(void* data, std::size_t count, DType type, ReduceOp op) {
    const std::size_t bytes = count * size_of(type);
    const std::size_t slot = inline_calls_++ % 2;
    HostMember& own = area_.member(rank());
    std::memcpy(own.slots[slot].data(), data, bytes);
    own.bytes = bytes;
    meet();
    for (int peer = 0; peer < size(); ++peer) {
      const HostMember& member = area_.member(peer);
      if (peer == 0) {
        std::memcpy(data, member.slots[slot].data(), bytes);
      } else {
        reduce_into(data, member.slots[slot].data(), count, type, op);
      }
    }
  }

  /// Rank r sums piece r of all ranks, in rank order; then all copy all sums.
  void reduce_pieces(std::byte* data, std::size_t count, DType type, ReduceOp op) {
    const std::size_t width = size_of(type);
    const Pieces pieces{count, size()};
    HostMember& own = area_.member(rank());
    own.address = data;
    own.bytes = count * width;
    meet();
    for (int peer = 0; peer < size(); ++peer) require_same_size(peer, area_.member(peer).bytes, own.bytes);
    const std::size_t end = pieces.begin(rank() + 1) * width;
    for (std::size_t at = pieces.begin(rank()) * width; at < end; at += kBlockBytes)
      sum_block(data, at, std::min(kBlockBytes, end - at), type, op);
    meet();
    for (int step = 1; step < size(); ++step) {
      const int owner = (rank() + step) % size();
      const std::size_t at = pieces.begin(owner) * width;
      const auto* theirs = static_cast<const std::byte*>(area_.member(owner).address);
      read(owner, theirs + at, data + at, pieces.length(owner) * width);
    }
    meet();
  }

  void sum_block(std::byte* data, std::size_t at, std::size_t bytes, DType type, ReduceOp op) {
    std::byte* sum = scratch_.get();
    std::byte* operand = scratch_.get() + kBlockBytes;
    for (int peer = 0; peer < size(); ++peer) {
      const auto* theirs = static_cast<const std::byte*>(area_.member(peer).address) + at;
      if (peer == 0) {
        if (rank() == 0)
          sum = data + at;  // Rank 0's own piece is the first operand already.
        else
          read(0, theirs, sum, bytes);
      } else if (peer == rank()) {
        reduce_into(sum, data + at, bytes / size_of(type), type, op);
      } else {
        read(peer, theirs, operand, bytes);
        reduce_into(sum, operand, bytes / size_of(type), type, op);
      }
    }
    if (rank() != 0) std::memcpy(data + at, sum, bytes);
  }

  HostArea area_;
  std::unique_ptr<std::byte[]> scratch_;
  std::vector<std::uint32_t> sent_;      // By peer: messages posted to it,
  std::vector<std::uint32_t> received_;  // and taken from it.
  std::uint32_t arrived_ = 0;
  std::uint64_t inline_calls_ = 0;
};

struct Applicant {
  int colour;
  int key;
  int parent_rank;
  pid_t process;
  int descriptor;
};

std::vector<Applicant> gather(Transport& parent, const Applicant& own) {
  std::vector<Applicant> all(static_cast<std::size_t>(parent.size()));
  ring_all_gather(parent, &own, all.data(), std::vector<std::size_t>(all.size(), sizeof own));
  return all;
}

}  // namespace

std::vector<std::unique_ptr<Transport>> make_host_transports(int size) {
  std::vector<std::unique_ptr<Transport>> ranks;
  const HostArea area = HostArea::create(size);
  for (int rank = 0; rank < size; ++rank)
    ranks.push_back(std::make_unique<HostTransport>(
        HostArea::attach(getpid(), area.descriptor(), size).value(), rank, size));
  return ranks;
}

std::unique_ptr<Transport> make_host_transport(Transport& parent, int colour, int key) {
  // Where Yama restricts ptrace to descendants, a process may still allow its peers.
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  const Applicant own{colour, key, parent.rank(), getpid(), -1};
  std::vector<Applicant> members = gather(parent, own);
  std::erase_if(members, [&](const Applicant& other) { return other.colour != colour; });
  std::ranges::sort(members, {}, [](const Applicant& m) { return std::pair(m.key, m.parent_rank); });
  const int size = static_cast<int>(members.size());
  const int rank = static_cast<int>(std::ranges::find(members, own.parent_rank, &Applicant::parent_rank) -
                                    members.begin());

  std::optional<HostArea> made;
  Applicant offer = own;
  if (rank == 0) {
    made.emplace(HostArea::create(size));
    offer.descriptor = made->descriptor();
  }
  const std::vector<Applicant> offers = gather(parent, offer);
  const Applicant& leader = offers[static_cast<std::size_t>(members.front().parent_rank)];
  std::unique_ptr<HostTransport> transport;
  if (auto area = made ? std::move(made) : HostArea::attach(leader.process, leader.descriptor, size))
    transport = std::make_unique<HostTransport>(std::move(*area), rank, size);
  offer.descriptor = transport != nullptr ? 0 : -1;
  const std::vector<Applicant> attached = gather(parent, offer);
  const bool all = std::ranges::none_of(
      attached, [&](const Applicant& other) { return other.colour == colour && other.descriptor < 0; });
  if (!all || !transport->all_can_read()) return nullptr;
  return transport;
}

}  // namespace muster
