/// What is asked of CUDA and NCCL, and when: over fakes of both.

#include "runner/cuda/nccl_communicator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <thread>

#include "fake_gpu.hpp"
#include "runner/comm/thread_group.hpp"
#include "runner/cuda/cuda_device.hpp"

namespace muster {
namespace {

using ::testing::ElementsAre;
using testing::fake_gpu;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::take_trace;

void* buffer(int number) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(number)); }

constexpr int kCaller = 9;  // Its stream; the first that is made is 1.

class NcclCommunicatorTest : public ::testing::Test {
 protected:
  NcclCommunicatorTest() { testing::reset_fake_gpu(); }

  std::unique_ptr<DeviceCommunicator> connect(double patience_seconds = 60) {
    DeviceCommunicatorOptions options;
    options.patience_seconds = patience_seconds;
    options.lost = [this](const Error& error) { lost_ = error.problem(); };
    auto communicator = NcclCommunicator::connect(*host_.front(), options);
    communicator->on_stream(buffer(kCaller));
    return communicator;
  }

  std::vector<std::unique_ptr<Communicator>> host_ = make_thread_group(1);
  std::string lost_;
};

ExitCode code_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.code();
  }
  return ExitCode::ok;
}

TEST_F(NcclCommunicatorTest, ConnectsWithoutBlockingAndLeavesTogether) {
  fake_gpu().busy_polls = 3;
  {
    const auto communicator = connect();
    EXPECT_EQ(communicator->rank(), 0);
    EXPECT_EQ(communicator->size(), 1);
    EXPECT_THAT(take_trace(), ElementsAre("unique id", "init rank 0 of 1 with id 42, blocking 0"));
  }
  EXPECT_THAT(take_trace(), ElementsAre("finalize", "destroy"));
}

TEST_F(NcclCommunicatorTest, PutsACollectiveBehindItsCallersStreamAndThatBehindTheCollective) {
  const auto communicator = connect();
  take_trace();
  const auto work = communicator->all_reduce(buffer(64), 5, DType::bf16, ReduceOp::sum);
  EXPECT_THAT(take_trace(),
              ElementsAre("event 1 on stream 9", "wait for event 1 on stream 1", "event 2 on stream 1",
                          "all_reduce 64 64 5 type " + std::to_string(ncclBfloat16) + " op " +
                              std::to_string(ncclSum) + " on stream 1",
                          "event 3 on stream 1"));
  fake_gpu().stuck = true;
  EXPECT_FALSE(work->done());
  work->wait();
  EXPECT_THAT(take_trace(), ElementsAre("wait for event 3 on stream 9")) << "the host must not wait";
  fake_gpu().stuck = false;
  EXPECT_TRUE(work->done());
  EXPECT_EQ(communicator->traffic().payload_bytes, 10U);
  EXPECT_EQ(communicator->traffic().collectives, 1U);
}

TEST_F(NcclCommunicatorTest, SpeaksOfBytesWhereNothingIsReduced) {
  const auto communicator = connect();
  const auto asked = [&](const PendingWork&) { return take_trace().at(3); };
  take_trace();
  EXPECT_EQ(asked(communicator->all_gather(buffer(64), 6, buffer(128))),
            "all_gather 64 128 6 type 1 on stream 1");
  EXPECT_EQ(asked(communicator->broadcast(buffer(64), 6, 0)), "broadcast 64 64 6 type 1 from 0 on stream 1");
  EXPECT_EQ(asked(communicator->reduce_scatter(buffer(64), buffer(128), 6, DType::f32, ReduceOp::maximum)),
            "reduce_scatter 64 128 6 type 7 op 2 on stream 1");
  communicator->all_gather_v(buffer(64), buffer(128), {6});
  EXPECT_THAT(
      take_trace(),
      ElementsAre("event 10 on stream 9", "wait for event 10 on stream 1", "event 11 on stream 1", "group",
                  "broadcast 64 128 6 type 1 from 0 on stream 1", "end of group", "event 12 on stream 1"));
}

TEST_F(NcclCommunicatorTest, RefusesWhatNcclCannotDo) {
  const auto communicator = connect();
  EXPECT_EQ(code_of([&] {
              communicator->all_reduce(buffer(64), 1, DType::f32, ReduceOp::sum, ExchangeAlgorithm::ring);
            }),
            ExitCode::config);
  EXPECT_EQ(code_of([&] { communicator->all_reduce(buffer(64), 1, DType::i16, ReduceOp::sum); }),
            ExitCode::internal);
  communicator->all_reduce(buffer(64), 1, DType::i32, ReduceOp::sum)->wait();
}

TEST_F(NcclCommunicatorTest, SplitsOnceTheWholeIsDoneWithTheCall) {
  const auto whole = connect();
  take_trace();
  fake_gpu().busy_polls = 3;
  {
    const auto part = whole->split(4, 2);
    EXPECT_THAT(take_trace(), ElementsAre("split 4 2"));
    part->broadcast(buffer(64), 1, 0);
    EXPECT_THAT(take_trace(),
                ElementsAre("event 1 on stream 9", "wait for event 1 on stream 2", "event 2 on stream 2",
                            "broadcast 64 64 1 type 1 from 0 on stream 2", "event 3 on stream 2"));
  }
  EXPECT_THAT(take_trace(), ElementsAre("finalize", "destroy"));
  whole->broadcast(buffer(64), 1, 0);
}

TEST_F(NcclCommunicatorTest, WaitsOnTheHostAtABarrierAlone) {
  const auto communicator = connect();
  fake_gpu().stuck = true;
  std::thread later([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    fake_gpu().stuck = false;
  });
  communicator->barrier();
  EXPECT_FALSE(fake_gpu().stuck);
  EXPECT_GE(communicator->traffic().wait_seconds, 0.04);
  later.join();
}

TEST_F(NcclCommunicatorTest, AddsUpWhatCollectivesThatAreDoneTookOnTheGpu) {
  const auto communicator = connect();
  const auto busy = [&] { return communicator->traffic().busy_seconds; };
  const auto broadcast = [&](int milliseconds) {
    fake_gpu().nccl_milliseconds = milliseconds;
    communicator->broadcast(buffer(64), 1, 0)->wait();
  };
  EXPECT_EQ(busy(), 0);
  fake_gpu().stuck = true;
  broadcast(10);
  broadcast(30);
  EXPECT_EQ(busy(), 0) << "neither is done";
  fake_gpu().stuck = false;
  EXPECT_DOUBLE_EQ(busy(), 0.04);
  EXPECT_DOUBLE_EQ(busy(), 0.04);
  fake_gpu().stuck = true;
  broadcast(200);
  EXPECT_DOUBLE_EQ(busy(), 0.04);
  fake_gpu().stuck = false;
  EXPECT_DOUBLE_EQ(busy(), 0.24);
  fake_gpu().nccl_milliseconds = 5;
  communicator->barrier();
  EXPECT_DOUBLE_EQ(busy(), 0.245);
  communicator->split(0, 0)->barrier();
  EXPECT_DOUBLE_EQ(busy(), 0.245) << "a part's traffic is its own";
}

TEST_F(NcclCommunicatorTest, AddsUpWhatIsDoneWhileNobodyAsks) {
  const auto communicator = connect();
  fake_gpu().nccl_milliseconds = 10;
  communicator->broadcast(buffer(64), 1, 0);
  communicator->broadcast(buffer(64), 1, 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(1000));
  fake_gpu().stuck = true;
  EXPECT_DOUBLE_EQ(communicator->traffic().busy_seconds, 0.02) << "the thread that watches has not looked";
}

TEST_F(NcclCommunicatorTest, TellsWhatIsKnownOfItsTrafficAfterAFailure) {
  const auto communicator = connect();
  fake_gpu().nccl_milliseconds = 10;
  communicator->broadcast(buffer(64), 1, 0);
  EXPECT_DOUBLE_EQ(communicator->traffic().busy_seconds, 0.01);
  fake_gpu().stuck = true;
  communicator->broadcast(buffer(64), 1, 0);
  fake_gpu().network = ncclRemoteError;
  EXPECT_EQ(code_of([&] { communicator->broadcast(buffer(64), 1, 0); }), ExitCode::task_failed);
  fake_gpu().stuck = false;
  fake_gpu().clock = cudaErrorLaunchFailure;
  EXPECT_DOUBLE_EQ(communicator->traffic().busy_seconds, 0.01);
  EXPECT_EQ(communicator->traffic().collectives, 2U);
}

TEST_F(NcclCommunicatorTest, ThrowsWhereTheGpuDoesNotTellATime) {
  const auto communicator = connect();
  fake_gpu().clock = cudaErrorLaunchFailure;
  communicator->broadcast(buffer(64), 1, 0);
  EXPECT_EQ(code_of([&] { communicator->traffic(); }), ExitCode::internal);
  std::this_thread::sleep_for(std::chrono::milliseconds(1000));
  EXPECT_THAT(lost_, HasSubstr("CUDA: an error"));
  EXPECT_EQ(communicator->traffic().busy_seconds, 0);
}

TEST_F(NcclCommunicatorTest, ThrowsOnceANetworkFailsAndAbortsInsteadOfLeavingTogether) {
  {
    const auto communicator = connect();
    const auto earlier = communicator->broadcast(buffer(64), 1, 0);
    take_trace();
    fake_gpu().network = ncclRemoteError;
    EXPECT_EQ(code_of([&] { communicator->broadcast(buffer(64), 1, 0); }), ExitCode::task_failed);
    EXPECT_THAT(take_trace().back(), "abort");
    fake_gpu().network = ncclSuccess;
    EXPECT_EQ(code_of([&] { communicator->broadcast(buffer(64), 1, 0); }), ExitCode::task_failed);
    EXPECT_EQ(code_of([&] { earlier->wait(); }), ExitCode::task_failed);
    EXPECT_EQ(code_of([&] { earlier->done(); }), ExitCode::task_failed);
  }
  EXPECT_THAT(take_trace(), IsEmpty());
}

TEST_F(NcclCommunicatorTest, TellsOfALostPeerWhileNobodyCalls) {
  for (const bool by_network : {false, true}) {
    testing::reset_fake_gpu();
    lost_.clear();
    {
      const auto communicator = connect(0.2);
      const auto work = communicator->broadcast(buffer(64), 1, 0);
      take_trace();
      fake_gpu().stuck = true;
      if (by_network) fake_gpu().network = ncclRemoteError;
      std::this_thread::sleep_for(std::chrono::milliseconds(1500));
      EXPECT_THAT(take_trace(), ElementsAre("abort"));
      EXPECT_EQ(code_of([&] { work->wait(); }), ExitCode::task_failed);
    }
    EXPECT_THAT(lost_, HasSubstr(by_network ? "remote process exited: socket closed" : "a peer is lost"));
  }
}

TEST_F(NcclCommunicatorTest, LosesPatienceWithACallThatDoesNotReturn) {
  const auto communicator = connect(0.1);
  fake_gpu().busy_polls = 1'000'000'000;
  EXPECT_EQ(code_of([&] { communicator->broadcast(buffer(64), 1, 0); }), ExitCode::task_failed);
}

TEST_F(NcclCommunicatorTest, AbortsWhileAnExceptionUnwinds) {
  try {
    const auto communicator = connect();
    take_trace();
    throw std::runtime_error("a workload's own");
  } catch (const std::runtime_error&) {
  }
  EXPECT_THAT(take_trace(), ElementsAre("abort"));
}

TEST_F(NcclCommunicatorTest, RefusesAGpuThatCannotRunItsKernels) {
  fake_gpu().too_old = true;
  EXPECT_EQ(code_of([&] { connect(); }), ExitCode::resources);
}

TEST_F(NcclCommunicatorTest, SaysThatThereIsNoCudaDevice) {
  fake_gpu().without_driver = true;
  try {
    count_devices();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::resources);
    EXPECT_EQ(error.problem(), "no CUDA device: driver version is insufficient");
  }
}

}  // namespace
}  // namespace muster
