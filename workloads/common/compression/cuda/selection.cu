// Selection of the largest keys. A key is a word under a mask: of a float's bits, its magnitude; of a drawn
// word, all of it. The floor from which on keys are kept is given, or found digit by digit from histograms.
// Then elements that reach it are marked and counted, counts are summed up over the tiles, and each tile
// writes its own where they belong, so that they stay in order. Elements are read once to be marked, and only
// those marked, with what shares their piece of memory, again.
#include <cuda_runtime.h>

#include "workloads/common/compression/cuda/draws.cuh"
#include "workloads/common/compression/cuda/kernels.hpp"
#include "workloads/common/compression/cuda/report.cuh"
#include "workloads/common/cuda/launch.cuh"

namespace muster::workloads::device {
namespace {

constexpr std::uint32_t kMagnitude = 0x7FFFFFFF;
constexpr std::uint32_t kEveryBit = 0xFFFFFFFF;
constexpr int kSelectionRounds = 10;
constexpr int kDigits = 3;
constexpr unsigned kBins = 2048;  // the most that a digit has
constexpr int kAtOnce = 8;        // words that a thread asks for before it looks at one
constexpr std::int64_t kWarpElements = kLanes * kLanes;
constexpr std::int64_t kTile = kWarps * kWarpElements;
constexpr unsigned kScanThreads = 1024;
constexpr unsigned kScanWarps = kScanThreads / kLanes;
constexpr int kScanItems = 4;

struct Selected {
  std::uint32_t floor;   // the least key that is kept
  std::uint32_t wanted;  // how many of those that are equal to it
  std::uint32_t kept;
};

// Where things are in scratch memory.
struct Marks {
  Selected* selected;      // 16 bytes
  std::uint64_t* of_tile;  // keys above the floor, and from bit 32 on those equal to it; then the sums before
  std::uint32_t* histograms;  // kBins a digit
  std::uint32_t* of_warp;     // kWarps a tile; those equal from bit 16 on
  std::uint32_t* words;       // kLanes a warp: bit b of word w for element 32 w + b
};

Marks marks_in(void* scratch, std::int64_t tiles) {
  Marks marks{};
  marks.selected = static_cast<Selected*>(scratch);
  marks.of_tile = reinterpret_cast<std::uint64_t*>(static_cast<std::byte*>(scratch) + 16);
  marks.histograms = reinterpret_cast<std::uint32_t*>(marks.of_tile + tiles);
  marks.of_warp = marks.histograms + kDigits * kBins;
  marks.words = marks.of_warp + tiles * kWarps;
  return marks;
}

struct Digit {
  int shift, bits;
};
__device__ inline Digit digit_at(int pass) {
  return pass == 0 ? Digit{21, 11} : pass == 1 ? Digit{10, 11} : Digit{0, 10};
}

// The sum of what earlier threads of a block of kScanThreads give; `all` receives that of all.
__device__ inline std::uint64_t sum_before(std::uint64_t mine, std::uint64_t& all) {
  __shared__ std::uint64_t of_warp[kScanWarps];
  std::uint64_t sum = mine;
#pragma unroll
  for (unsigned apart = 1; apart < kLanes; apart *= 2) {
    const std::uint64_t other = __shfl_up_sync(kAll, sum, apart);
    if (lane_of_thread() >= apart) sum += other;
  }
  if (lane_of_thread() == kLanes - 1) of_warp[threadIdx.x / kLanes] = sum;
  __syncthreads();
  std::uint64_t before = 0;
  all = 0;
  for (unsigned warp = 0; warp < kScanWarps; ++warp) {
    if (warp == threadIdx.x / kLanes) before = all;
    all += of_warp[warp];
  }
  // The next call writes what others may still read.
  __syncthreads();
  return before + sum - mine;
}

__global__ void begin(Marks marks, std::uint32_t floor, std::uint32_t wanted) {
  for (unsigned i = threadIdx.x; i < kDigits * kBins; i += blockDim.x) marks.histograms[i] = 0;
  if (threadIdx.x == 0) *marks.selected = {floor, wanted, 0};
}

// Of the keys whose higher digits are the floor's.
__global__ void count_digits(const std::uint32_t* __restrict__ keys, std::int64_t count, std::uint32_t mask,
                             Marks marks, int pass) {
  __shared__ std::uint32_t bins[kBins];
  for (unsigned i = threadIdx.x; i < kBins; i += kThreads) bins[i] = 0;
  __syncthreads();
  const Digit digit = digit_at(pass);
  const std::uint32_t floor = marks.selected->floor;
  constexpr std::int64_t kStep = kThreads * kAtOnce;
  for (std::int64_t first = blockIdx.x * kStep; first < count; first += gridDim.x * kStep) {
    std::uint32_t key[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const std::int64_t at = first + i * std::int64_t{kThreads} + threadIdx.x;
      key[i] = at < count ? keys[at] & mask : 0;
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const bool there = first + i * std::int64_t{kThreads} + threadIdx.x < count;
      const bool candidate = pass == 0 || (key[i] ^ floor) >> (digit.shift + digit.bits) == 0;
      if (there && candidate) atomicAdd(&bins[key[i] >> digit.shift & ((1U << digit.bits) - 1)], 1U);
    }
  }
  __syncthreads();
  for (unsigned i = threadIdx.x; i < kBins; i += kThreads) {
    if (bins[i] > 0) atomicAdd(&marks.histograms[static_cast<unsigned>(pass) * kBins + i], bins[i]);
  }
}

// The digit of the wanted-th largest candidate, and how many are wanted of those that share it.
__global__ void pick_digit(Marks marks, int pass) {
  const Digit digit = digit_at(pass);
  const std::uint32_t wanted = marks.selected->wanted;
  // Bins from the highest on, two a thread; those that a digit does not have are empty.
  const std::uint32_t highest = kBins - 1 - 2 * threadIdx.x;
  const std::uint32_t* bins = marks.histograms + static_cast<unsigned>(pass) * kBins;
  const std::uint32_t size[2] = {bins[highest], bins[highest - 1]};
  std::uint64_t all = 0;
  std::uint64_t above = sum_before(std::uint64_t{size[0]} + size[1], all);
  for (std::uint32_t i = 0; i < 2; ++i) {
    if (above < wanted && wanted <= above + size[i]) {
      marks.selected->floor |= (highest - i) << digit.shift;
      marks.selected->wanted = wanted - static_cast<std::uint32_t>(above);
    }
    above += size[i];
  }
}

// A tile a block, kWarpElements a warp. `report` may be null.
__global__ void mark(const std::uint32_t* __restrict__ keys, std::int64_t count, std::uint32_t mask,
                     Marks marks, DeviceReport* report) {
  __shared__ std::uint32_t of_warp[kWarps];
  const unsigned lane = lane_of_thread(), warp = threadIdx.x / kLanes;
  const std::int64_t first = blockIdx.x * kTile + warp * kWarpElements;
  const std::uint32_t floor = marks.selected->floor;
  std::uint32_t word = 0, above = 0, reached = 0, largest = 0;
  for (unsigned part = 0; part < kLanes; part += kAtOnce) {
    std::uint32_t key[kAtOnce];
#pragma unroll
    for (unsigned i = 0; i < kAtOnce; ++i) {
      const std::int64_t at = first + (part + i) * kLanes + lane;
      key[i] = at < count ? keys[at] & mask : 0;
    }
#pragma unroll
    for (unsigned i = 0; i < kAtOnce; ++i) {
      const bool there = first + (part + i) * kLanes + lane < count;
      const std::uint32_t marked = __ballot_sync(kAll, there && key[i] >= floor);
      above += static_cast<std::uint32_t>(__popc(__ballot_sync(kAll, there && key[i] > floor)));
      reached += static_cast<std::uint32_t>(__popc(marked));
      if (lane == part + i) word = marked;
      largest = key[i] > largest ? key[i] : largest;
    }
  }
  const std::int64_t warp_of_grid = std::int64_t{blockIdx.x} * kWarps + warp;
  marks.words[warp_of_grid * kLanes + lane] = word;
  if (lane == 0) marks.of_warp[warp_of_grid] = of_warp[warp] = above | (reached - above) << 16;
  if (report != nullptr) raise_largest(largest, report);
  __syncthreads();
  if (threadIdx.x > 0) return;
  std::uint64_t together = 0;
  for (const std::uint32_t counts : of_warp)
    together += (counts & 0xFFFF) | std::uint64_t{counts >> 16} << 32;
  marks.of_tile[blockIdx.x] = together;
}

// One block.
__global__ void sum_tiles(Marks marks, std::int64_t tiles, DeviceReport* report) {
  std::uint64_t before_all = 0;
  for (std::int64_t first = 0; first < tiles; first += kScanThreads * kScanItems) {
    const std::int64_t at = first + std::int64_t{threadIdx.x} * kScanItems;
    std::uint64_t of_tile[kScanItems], mine = 0, all = 0;
#pragma unroll
    for (int i = 0; i < kScanItems; ++i) {
      of_tile[i] = at + i < tiles ? marks.of_tile[at + i] : 0;
      mine += of_tile[i];
    }
    std::uint64_t before = before_all + sum_before(mine, all);
#pragma unroll
    for (int i = 0; i < kScanItems; ++i) {
      if (at + i < tiles) marks.of_tile[at + i] = before;
      before += of_tile[i];
    }
    before_all += all;
  }
  if (threadIdx.x > 0) return;
  const auto above = static_cast<std::uint32_t>(before_all),
             equal = static_cast<std::uint32_t>(before_all >> 32);
  const std::uint32_t wanted = marks.selected->wanted;
  marks.selected->kept = above + (equal < wanted ? equal : wanted);
  if (report != nullptr) report->kept = marks.selected->kept;
}

// Indices, and where `with_words` is set the elements' words behind them all.
__global__ void write_marked(const std::uint32_t* __restrict__ keys, std::uint32_t mask, Marks marks,
                             bool with_words, std::uint32_t* __restrict__ packed) {
  const unsigned lane = lane_of_thread(), warp = threadIdx.x / kLanes;
  const std::int64_t warp_of_grid = std::int64_t{blockIdx.x} * kWarps + warp;
  const Selected selected = *marks.selected;
  const std::uint32_t in_tile =
      __reduce_add_sync(kAll, lane < warp ? marks.of_warp[std::int64_t{blockIdx.x} * kWarps + lane] : 0);
  const std::uint64_t before_tile = marks.of_tile[blockIdx.x];
  std::uint32_t equal = static_cast<std::uint32_t>(before_tile >> 32) + (in_tile >> 16);
  std::uint32_t at = static_cast<std::uint32_t>(before_tile) + (in_tile & 0xFFFF) +
                     (equal < selected.wanted ? equal : selected.wanted);
  const std::uint32_t words = marks.words[warp_of_grid * kLanes + lane];
  const std::uint32_t earlier_lanes = (1U << lane) - 1;
  const auto first = static_cast<std::uint32_t>(warp_of_grid * kWarpElements) + lane;
  for (unsigned part = 0; part < kLanes; part += kAtOnce) {
    std::uint32_t marked[kAtOnce], value[kAtOnce];
#pragma unroll
    for (unsigned i = 0; i < kAtOnce; ++i) {
      marked[i] = __shfl_sync(kAll, words, part + i);
      value[i] = (marked[i] >> lane & 1) != 0 ? keys[first + (part + i) * kLanes] : 0;
    }
#pragma unroll
    for (unsigned i = 0; i < kAtOnce; ++i) {
      if (marked[i] == 0) continue;  // The same in all lanes.
      const bool mine = (marked[i] >> lane & 1) != 0;
      const bool is_equal = mine && (value[i] & mask) == selected.floor;
      const std::uint32_t equals = __ballot_sync(kAll, is_equal);
      const std::uint32_t rank = equal + static_cast<std::uint32_t>(__popc(equals & earlier_lanes));
      const bool keep = mine && !(is_equal && rank >= selected.wanted);
      const std::uint32_t kept = __ballot_sync(kAll, keep);
      if (keep) {
        const std::uint32_t to = at + static_cast<std::uint32_t>(__popc(kept & earlier_lanes));
        packed[to] = first + (part + i) * kLanes;
        if (with_words) packed[std::int64_t{selected.kept} + to] = value[i];
      }
      at += static_cast<std::uint32_t>(__popc(kept));
      equal += static_cast<std::uint32_t>(__popc(equals));
    }
  }
}

// A thread a draw: its words are in four rows of one column.
__global__ void draw_keys(DrawKey key, std::int64_t count, std::uint32_t* drawn) {
  const std::int64_t n = thread_of_grid();
  const std::int64_t first = n / 128 * kBlock + n % 128 / kColumns * 4 * kColumns + n % kColumns;
  if (first >= count) return;
  const FourWords words = draw<kSelectionRounds>(key, key.purpose, static_cast<std::uint32_t>(n));
#pragma unroll
  for (int row = 0; row < 4; ++row) {
    const std::int64_t at = first + row * kColumns;
    if (at < count) drawn[at] = words.word[row];
  }
}

const std::uint32_t* words_of(const float* x) { return reinterpret_cast<const std::uint32_t*>(x); }

struct Request {
  const std::uint32_t* keys;
  std::int64_t count;
  std::uint32_t mask;
  bool with_words;
  std::uint32_t* packed;
  DeviceReport* report;
};

// What reaches the floor that `begin` or `find_floor` set.
void write_selected(Launches& launches, const Request& what, Marks marks) {
  const std::int64_t tiles = parts_of(what.count, kTile);
  launches.run(tiles, kThreads, mark, what.keys, what.count, what.mask, marks, what.report);
  launches.run(1, kScanThreads, sum_tiles, marks, tiles, what.report);
  launches.run(tiles, kThreads, write_marked, what.keys, what.mask, marks, what.with_words, what.packed);
}

cudaError_t write_largest(Launches& launches, const Request& what, std::int64_t kept, void* scratch) {
  if (what.count == 0) return cudaSuccess;
  const Marks marks = marks_in(scratch, parts_of(what.count, kTile));
  const std::int64_t steps = parts_of(what.count, kThreads * kAtOnce);
  launches.run(1, kScanThreads, begin, marks, 0U, static_cast<std::uint32_t>(kept));
  for (int pass = 0; pass < kDigits; ++pass) {
    launches.run(steps < kMostBlocks ? steps : kMostBlocks, kThreads, count_digits, what.keys, what.count,
                 what.mask, marks, pass);
    launches.run(1, kScanThreads, pick_digit, marks, pass);
  }
  write_selected(launches, what, marks);
  return launches.result();
}

}  // namespace

std::size_t selection_scratch_bytes(std::int64_t count) {
  const auto tiles = static_cast<std::size_t>(parts_of(count, kTile));
  constexpr std::size_t kOfTile = sizeof(std::uint64_t) + (kWarps + kWarps * kLanes) * sizeof(std::uint32_t);
  return 16 + kDigits * kBins * sizeof(std::uint32_t) + tiles * kOfTile;
}

cudaError_t threshold(const float* x, std::int64_t count, std::uint32_t floor, std::uint32_t* packed,
                      DeviceCall call) {
  Launches launches(call.stream);
  const Marks marks = marks_in(call.scratch, parts_of(count, kTile));
  launches.run(1, kScanThreads, begin, marks, floor, kEveryBit);
  write_selected(launches, {words_of(x), count, kMagnitude, true, packed, call.report}, marks);
  return launches.result();
}

cudaError_t largest_k(const float* x, std::int64_t count, std::int64_t kept, std::uint32_t* packed,
                      DeviceCall call) {
  Launches launches(call.stream);
  return write_largest(launches, {words_of(x), count, kMagnitude, true, packed, call.report}, kept,
                       call.scratch);
}

cudaError_t choose(DrawKey key, std::int64_t count, std::int64_t kept, std::uint32_t* drawn,
                   std::uint32_t* index, DeviceCall call) {
  Launches launches(call.stream);
  launches.run(parts_of(parts_of(count, kBlock) * 128, kThreads), kThreads, draw_keys, key, count, drawn);
  return write_largest(launches, {drawn, count, kEveryBit, false, index, nullptr}, kept, call.scratch);
}

}  // namespace muster::workloads::device
