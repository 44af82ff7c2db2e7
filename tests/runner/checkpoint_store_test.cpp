#include "runner/checkpoint_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <random>
#include <thread>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "runner/comm/host_transport.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A store on each of several ranks, which are threads. What a rank throws comes out of `each`.
class Stores {
 public:
  explicit Stores(const fs::path& task_folder, int ranks = 1, int attempt = 1) {
    for (auto& transport : make_host_transports(ranks))
      ranks_.push_back(std::make_unique<Rank>(std::move(transport)));
    each([&](Rank& rank) {
      rank.store.emplace(
          CheckpointStoreOptions{.task_folder = task_folder,
                                 .attempt = attempt,
                                 .control = rank.control,
                                 .metrics = rank.metrics,
                                 .saved = [](std::int64_t, double, double) {},
                                 .loaded = [](std::int64_t, int) {},
                                 .log = [this](const std::string& line) { log += line + "\n"; }});
    });
  }

  void save(std::int64_t step, std::size_t own_values = 100) {
    each([&](Rank& rank) {
      const std::vector<double> shared(1000, static_cast<double>(step));
      const std::vector<float> own(own_values, static_cast<float>(step * 10 + rank.control.rank()));
      CheckpointState state;
      state.step = step;
      if (rank.control.rank() == 0)
        state.shared = {{"weights", DType::f64, {1000}, std::as_bytes(std::span(shared))}};
      state.own = {
          {"residual", DType::f32, {static_cast<std::int64_t>(own_values)}, std::as_bytes(std::span(own))}};
      state.metadata = {{"epoch", std::to_string(step)}};
      rank.store->save(state);
    });
  }

  /// The step that every rank loads, each with its own tensors; -1: none.
  std::int64_t load() {
    std::vector<std::int64_t> steps(ranks_.size());
    each([&](Rank& rank) {
      const auto checkpoint = rank.store->load_newest();
      auto& step = steps[static_cast<std::size_t>(rank.control.rank())];
      step = checkpoint ? checkpoint->step : -1;
      if (!checkpoint) return;
      double shared = 0;
      float own = 0;
      std::memcpy(&shared, checkpoint->shared->find("weights")->bytes.data(), sizeof shared);
      std::memcpy(&own, checkpoint->own->find("residual")->bytes.data(), sizeof own);
      EXPECT_EQ(shared, static_cast<double>(step));
      EXPECT_EQ(own, static_cast<float>(step * 10 + rank.control.rank()));
      EXPECT_EQ(checkpoint->metadata.at("epoch"), std::to_string(step));
    });
    EXPECT_THAT(steps, ::testing::Each(steps.front()));
    return steps.front();
  }

  std::string log;

 private:
  struct Rank {
    explicit Rank(std::unique_ptr<Transport> transport) : control(std::move(transport)) {}
    QueuedCommunicator control;
    TaskMetrics metrics{nullptr};
    std::optional<CheckpointStore> store;
  };

  void each(const std::function<void(Rank&)>& body) {
    std::vector<std::exception_ptr> failures(ranks_.size());
    {
      std::vector<std::jthread> threads;
      for (std::size_t r = 0; r < ranks_.size(); ++r)
        threads.emplace_back([&, r] {
          try {
            body(*ranks_[r]);
          } catch (...) {
            failures[r] = std::current_exception();
          }
        });
    }
    // A failure is every rank's, or some would wait for the others for ever.
    const auto failed =
        std::ranges::count_if(failures, [](const auto& failure) { return failure != nullptr; });
    EXPECT_TRUE(failed == 0 || failed == std::ssize(failures));
    if (failed != 0) std::rethrow_exception(failures.front());
  }

  std::vector<std::unique_ptr<Rank>> ranks_;
};

class CheckpointStoreTest : public ::testing::Test {
 protected:
  const fs::path& task() const { return folder_.path(); }
  fs::path checkpoints() const { return task() / "checkpoints"; }

  std::vector<std::string> names(const fs::path& folder) const {
    std::vector<std::string> found;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored))
      found.push_back(entry.path().filename());
    std::ranges::sort(found);
    return found;
  }

  static void flip_bit(const fs::path& file, std::uintmax_t byte) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(static_cast<std::streamoff>(byte));
    const char value = static_cast<char>(stream.get() ^ 0x10);
    stream.seekp(static_cast<std::streamoff>(byte));
    stream.put(value);
  }

  static ExitCode code_of(const std::function<void()>& act, std::string* what = nullptr) {
    try {
      act();
    } catch (const Error& error) {
      if (what != nullptr) *what = error.what();
      return error.code();
    }
    return ExitCode::ok;
  }

 private:
  testing::TemporaryFolder folder_;
};

TEST_F(CheckpointStoreTest, HasNothingToLoadAtFirst) { EXPECT_EQ(Stores(task(), 2).load(), -1); }

TEST_F(CheckpointStoreTest, LoadsWhatEachRankSaved) {
  for (const int ranks : {1, 2, 3}) {
    Stores(task(), ranks).save(ranks);
    EXPECT_EQ(Stores(task(), ranks, 2).load(), ranks);
    fs::remove_all(checkpoints());
  }
}

TEST_F(CheckpointStoreTest, KeepsTheLastTwo) {
  Stores stores(task(), 2);
  for (const int step : {9, 10, 11, 1000}) stores.save(step);
  EXPECT_THAT(names(checkpoints()), ElementsAre("step-000000000011", "step-000000001000"));
  EXPECT_THAT(names(checkpoints() / "step-000000001000"),
              ElementsAre("manifest.json", "rank-0.safetensors", "rank-1.safetensors", "shared.safetensors"));
}

TEST_F(CheckpointStoreTest, FallsBackWhenAnyFileHasAFlippedBit) {
  Stores(task(), 2).save(1);
  for (const char* name :
       {"manifest.json", "rank-0.safetensors", "rank-1.safetensors", "shared.safetensors"}) {
    Stores(task(), 2).save(2);
    const fs::path file = checkpoints() / "step-000000000002" / name;
    const std::uintmax_t bytes = fs::file_size(file);
    for (const std::uintmax_t byte : {std::uintmax_t{0}, bytes / 3, bytes / 2, bytes - 1}) {
      flip_bit(file, byte);
      Stores stores(task(), 2, 2);
      EXPECT_EQ(stores.load(), 1) << name << " byte " << byte;
      EXPECT_THAT(stores.log, HasSubstr(name));
      EXPECT_THAT(stores.log, HasSubstr("step-000000000002"));
      flip_bit(file, byte);
    }
    EXPECT_EQ(Stores(task(), 2, 2).load(), 2) << "all bits are back";
  }
}

TEST_F(CheckpointStoreTest, FallsBackWhenAFileIsShortOrMissing) {
  Stores(task(), 2).save(1);
  for (const char* name : {"manifest.json", "rank-1.safetensors", "shared.safetensors"}) {
    Stores(task(), 2).save(2);
    const fs::path file = checkpoints() / "step-000000000002" / name;
    fs::resize_file(file, fs::file_size(file) - 1);
    EXPECT_EQ(Stores(task(), 2, 2).load(), 1) << name;
    fs::remove(file);
    EXPECT_EQ(Stores(task(), 2, 2).load(), 1) << name;
    fs::remove_all(checkpoints() / "step-000000000002");
  }
}

TEST_F(CheckpointStoreTest, ReplacesADamagedOneWhenItComesToThatStepAgain) {
  Stores(task()).save(1);
  Stores(task()).save(3);
  flip_bit(checkpoints() / "step-000000000003" / "shared.safetensors", 200);
  Stores stores(task(), 1, 2);
  EXPECT_EQ(stores.load(), 1);
  stores.save(2);
  EXPECT_THAT(names(checkpoints()), ElementsAre("step-000000000001", "step-000000000002"));
  stores.save(3);
  stores.save(3);
  EXPECT_THAT(names(checkpoints()), ElementsAre("step-000000000002", "step-000000000003"));
  EXPECT_EQ(Stores(task(), 1, 3).load(), 3);
}

TEST_F(CheckpointStoreTest, SaysSoWhenNoneCanBeRead) {
  Stores(task(), 2).save(1);
  Stores(task(), 2).save(2);
  for (const char* step : {"step-000000000001", "step-000000000002"})
    flip_bit(checkpoints() / step / "rank-1.safetensors", 300);
  std::string what;
  EXPECT_EQ(code_of([&] { Stores(task(), 2, 2).load(); }, &what), ExitCode::checkpoint);
  EXPECT_THAT(what, HasSubstr("none of the 2 checkpoints"));
  EXPECT_THAT(what, HasSubstr("rank-1.safetensors"));
}

TEST_F(CheckpointStoreTest, NamesBothNumbersOfRanks) {
  Stores(task(), 2).save(1);
  for (const int ranks : {1, 3}) {
    std::string what;
    EXPECT_EQ(code_of([&] { Stores(task(), ranks, 2).load(); }, &what), ExitCode::checkpoint);
    EXPECT_THAT(what, HasSubstr("written by 2 ranks and this gang has " + std::to_string(ranks)));
  }
}

TEST_F(CheckpointStoreTest, PublishesNothingPastItsFence) {
  Stores stores(task(), 2);
  stores.save(1);
  create_exclusively(task() / "claim-2", "{}");
  EXPECT_EQ(code_of([&] { stores.save(2); }), ExitCode::busy);
  EXPECT_THAT(names(checkpoints()), ElementsAre("step-000000000001"));
}

TEST_F(CheckpointStoreTest, RemovesWhatADeadAttemptLeft) {
  fs::create_directories(checkpoints() / ".tmp-000000000005-attempt-1");
  std::ofstream(checkpoints() / ".tmp-000000000005-attempt-1" / "shared.safetensors") << "half";
  Stores stores(task(), 1, 2);
  EXPECT_THAT(names(checkpoints()), IsEmpty());
}

TEST_F(CheckpointStoreTest, LosesNothingPublishedWhenKilledAtAnyMoment) {
  std::mt19937 generator(1);
  std::int64_t earlier = 0;
  for (int trial = 0; trial < 25; ++trial) {
    int published[2];
    ASSERT_EQ(pipe(published), 0);
    const pid_t child = fork();
    if (child == 0) {
      Stores stores(task(), 2, trial + 1);
      std::int64_t step = stores.load();
      for (step = std::max<std::int64_t>(step, 0);;) {
        stores.save(++step, 20000);
        if (write(published[1], &step, sizeof step) != sizeof step) _exit(1);
      }
    }
    close(published[1]);
    std::int64_t told = earlier;
    ASSERT_EQ(read(published[0], &told, sizeof told), static_cast<ssize_t>(sizeof told));
    usleep(generator() % 30000);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    for (std::int64_t step = 0; read(published[0], &step, sizeof step) == sizeof step;) told = step;
    close(published[0]);
    Stores stores(task(), 2, trial + 2);
    const std::int64_t loaded = std::max<std::int64_t>(stores.load(), 0);
    EXPECT_TRUE(loaded == told || loaded == told + 1) << loaded << " after " << told;
    EXPECT_EQ(stores.log, "") << "a checkpoint that was published is whole";
    earlier = loaded;
  }
  EXPECT_GE(earlier, 25);
}

TEST_F(CheckpointStoreTest, LeavesTheOlderOnesWhenTheDiskIsFull) {
  fs::create_directories(checkpoints());
  if (mount("tmpfs", checkpoints().c_str(), "tmpfs", 0, "size=1m") != 0)
    GTEST_SKIP() << "may not mount a small file system here (" << std::strerror(errno) << ")";
  {
    Stores stores(task(), 2);
    stores.save(1);
    stores.save(2);
    std::string what;
    EXPECT_EQ(code_of([&] { stores.save(3, 200000); }, &what), ExitCode::storage);
    EXPECT_THAT(what, HasSubstr("No space left"));
    EXPECT_THAT(names(checkpoints()), ElementsAre("step-000000000001", "step-000000000002"));
    EXPECT_EQ(stores.load(), 2);
    stores.save(4);
    EXPECT_EQ(Stores(task(), 2, 2).load(), 4);
  }
  umount(checkpoints().c_str());
}

TEST_F(CheckpointStoreTest, SaysWhyItCannotWrite) {
  std::ofstream(checkpoints()) << "a file where the folder belongs";
  EXPECT_EQ(code_of([&] { Stores(task(), 2).save(1); }), ExitCode::storage);
}

TEST(CheckpointManifest, ReadsWhatItWrites) {
  CheckpointManifest manifest{
      7, 3, 2, {{"epoch", 12}}, {{"note", "gen\xc3\xa9rateur \"x\"\n"}}, {{"a", {5, "ff"}}}};
  const CheckpointManifest again = manifest_from_json(manifest_to_json(manifest));
  EXPECT_EQ(again.step, 7);
  EXPECT_EQ(again.attempt, 3);
  EXPECT_EQ(again.ranks, 2);
  EXPECT_EQ(again.metric_rows, manifest.metric_rows);
  EXPECT_EQ(again.metadata, manifest.metadata);
  EXPECT_EQ(again.files.at("a").bytes, 5U);
}

TEST(CheckpointManifest, NoticesAChangeOfAnyByte) {
  const std::string text = manifest_to_json({7, 3, 2, {{"epoch", 12}}, {{"note", "n"}}, {{"a", {5, "ff"}}}});
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_THROW(manifest_from_json(changed), Error) << i;
    EXPECT_THROW(manifest_from_json(text.substr(0, i)), Error) << i;
  }
}

TEST(CheckpointManifest, RefusesMetadataThatIsNoText) {
  EXPECT_THROW(manifest_to_json({1, 1, 1, {}, {{"state", "\xff\xfe"}}, {}}), Error);
}

}  // namespace
}  // namespace muster
