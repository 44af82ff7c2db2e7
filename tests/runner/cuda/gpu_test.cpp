/// Collectives between real GPUs, a rank each. Run under mpirun; skips where there are fewer GPUs than ranks.

#include <cuda_runtime_api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/nvml.hpp"
#include "runner/comm/mpi_session.hpp"
#include "runner/cuda/load_module.hpp"
#include "tests/runner/cuda/module_of_test.hpp"

namespace muster {
namespace {

MpiSession* session = nullptr;
QueuedCommunicator* control = nullptr;
std::size_t gpus = 0;  // Of this host, whatever CUDA_VISIBLE_DEVICES says.

bool are_enough() { return gpus >= static_cast<std::size_t>(session->host_size()); }

/// Copies go through a stream of the test's own, which waits for nothing by itself.
class Gpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!are_enough())
      GTEST_SKIP() << "no GPU for each rank: " << session->host_size() << " needed, " << gpus << " there";
    ASSERT_EQ(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), cudaSuccess);
    communicator_ = connect();
    communicator_->on_stream(stream_);
  }
  void TearDown() override {
    communicator_.reset();
    for (void* memory : memory_) cudaFree(memory);
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }

  std::unique_ptr<DeviceCommunicator> connect(double patience_seconds = 60) {
    DeviceCommunicatorOptions options;
    options.patience_seconds = patience_seconds;
    options.lost = [this](const Error& error) { lost_ = error.problem(); };
    return load_cuda_module_everywhere(*control, testing::cuda_module_of_test(), options.device)
        .connect(*control, options);
  }

  template <typename T>
  T* on_device(const std::vector<T>& values) {
    T* memory = nullptr;
    EXPECT_EQ(cudaMalloc(reinterpret_cast<void**>(&memory), values.size() * sizeof(T)), cudaSuccess);
    memory_.push_back(memory);
    EXPECT_EQ(
        cudaMemcpyAsync(memory, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice, stream_),
        cudaSuccess);
    return memory;
  }

  template <typename T>
  std::vector<T> from_device(const T* memory, std::size_t count) {
    std::vector<T> values(count);
    EXPECT_EQ(cudaMemcpyAsync(values.data(), memory, count * sizeof(T), cudaMemcpyDeviceToHost, stream_),
              cudaSuccess);
    EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
    return values;
  }

  static float rank() { return static_cast<float>(control->rank()); }
  static std::size_t size() { return static_cast<std::size_t>(control->size()); }

  cudaStream_t stream_ = nullptr;
  std::vector<void*> memory_;
  std::unique_ptr<DeviceCommunicator> communicator_;
  std::string lost_;
};

TEST_F(Gpu, SumsWhatTheStreamHolds) {
  for (const std::size_t count : {1UL, 1000UL, 4'000'003UL}) {
    float* data = on_device(std::vector<float>(count, rank() + 1));
    communicator_->all_reduce(data, count, DType::f32, ReduceOp::sum)->wait();
    const auto n = static_cast<float>(size());
    EXPECT_EQ(from_device(data, count), std::vector<float>(count, n * (n + 1) / 2));
  }
}

TEST_F(Gpu, FindsTheMaximumOfIntegers) {
  std::int64_t* data = on_device(std::vector<std::int64_t>{-control->rank(), control->rank()});
  communicator_->all_reduce(data, 2, DType::i64, ReduceOp::maximum)->wait();
  EXPECT_EQ(from_device(data, 2), (std::vector<std::int64_t>{0, control->size() - 1}));
}

TEST_F(Gpu, GathersUnevenPiecesInRankOrder) {
  std::vector<std::size_t> bytes_of(size());
  std::iota(bytes_of.begin(), bytes_of.end(), 3);
  const std::size_t all = std::accumulate(bytes_of.begin(), bytes_of.end(), std::size_t{0});
  const auto own = static_cast<std::uint8_t>(control->rank());
  const auto* in = on_device(std::vector<std::uint8_t>(bytes_of[own], own));
  auto* out = on_device(std::vector<std::uint8_t>(all, 99));
  communicator_->all_gather_v(in, out, bytes_of)->wait();
  std::vector<std::uint8_t> expected;
  for (std::size_t r = 0; r < size(); ++r)
    expected.insert(expected.end(), bytes_of[r], static_cast<std::uint8_t>(r));
  EXPECT_EQ(from_device(out, all), expected);
}

TEST_F(Gpu, ScattersSumsAndBroadcasts) {
  std::vector<float> pieces(size() * 5);
  std::iota(pieces.begin(), pieces.end(), 0.0F);
  const auto* in = on_device(pieces);
  auto* out = on_device(std::vector<float>(5));
  communicator_->reduce_scatter(in, out, 5, DType::f32, ReduceOp::sum)->wait();
  std::vector<float> expected(5);
  std::iota(expected.begin(), expected.end(), rank() * 5);
  for (float& value : expected) value *= static_cast<float>(size());
  EXPECT_EQ(from_device(out, 5), expected);

  const int last = control->size() - 1;
  communicator_->broadcast(out, 5 * sizeof(float), last)->wait();
  EXPECT_EQ(from_device(out, 5).front(), static_cast<float>(last * 5) * static_cast<float>(size()));
}

TEST_F(Gpu, SplitsIntoGroupsThatSumByThemselves) {
  const auto part = communicator_->split(control->rank() % 2, -control->rank());
  EXPECT_EQ(part->size(), control->rank() % 2 == 0 ? (control->size() + 1) / 2 : control->size() / 2);
  float* data = on_device(std::vector<float>{1});
  part->all_reduce(data, 1, DType::f32, ReduceOp::sum)->wait();
  EXPECT_EQ(from_device(data, 1).front(), static_cast<float>(part->size()));
}

TEST_F(Gpu, MeetsAtABarrier) {
  communicator_->barrier();
  EXPECT_GT(communicator_->traffic().wait_seconds, 0);
}

TEST_F(Gpu, CountsTheSecondsThatCollectivesTakeOnTheGpu) {
  const std::vector<std::uint8_t> piece(16'000'000, 7);
  const auto* in = on_device(piece);
  auto* out = on_device(std::vector<std::uint8_t>(size() * piece.size()));
  ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  double before = communicator_->traffic().busy_seconds;
  EXPECT_EQ(before, 0);
  for (int round = 0; round < 3; ++round) {
    const auto start = std::chrono::steady_clock::now();
    communicator_->all_gather(in, piece.size(), out)->wait();
    ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    const double busy = communicator_->traffic().busy_seconds;
    EXPECT_GT(busy, before);
    EXPECT_LT(busy - before, elapsed.count());
    before = busy;
  }
}

TEST_F(Gpu, TellsOfAPeerThatDoesNotCome) {
  if (control->size() < 2) GTEST_SKIP() << "no GPU for each rank: a lost peer needs two ranks";
  communicator_ = connect(3);
  communicator_->on_stream(stream_);
  communicator_->barrier();
  float* data = on_device(std::vector<float>{1});
  if (control->rank() == 0) {
    const auto work = communicator_->all_reduce(data, 1, DType::f32, ReduceOp::sum);
    EXPECT_THROW(while (!work->done()){}, Error);
    EXPECT_THAT(lost_, ::testing::HasSubstr("a peer is lost"));
    EXPECT_EQ(communicator_->traffic().collectives, 2U);
  }
  control->barrier();
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  muster::MpiSession session;
  // As the runner does, before CUDA starts.
  setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 1);
  if (std::getenv("CUDA_VISIBLE_DEVICES") == nullptr)
    setenv("CUDA_VISIBLE_DEVICES", std::to_string(session.host_rank()).c_str(), 1);
  const auto control = session.world();
  muster::session = &session;
  muster::control = control.get();
  muster::gpus = muster::Nvml().gpus().size();
  // One rank tells why it skips.
  if (!muster::are_enough() && session.rank() != 0) return 0;
  return RUN_ALL_TESTS();
}
