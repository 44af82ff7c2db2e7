#include "launcher/packer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>

#include "launcher/host_health.hpp"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Resources needs(int ranks, int cpus_per_rank = 1, int gpus_per_rank = 0) {
  Resources resources;
  resources.ranks = ranks;
  resources.cpus_per_rank = cpus_per_rank;
  resources.gpus_per_rank = gpus_per_rank;
  return resources;
}

Resources sharing(int ranks, int ranks_per_gpu, GpuSharing how = GpuSharing::time_slicing) {
  Resources resources = needs(ranks, 1, 1);
  resources.ranks_per_gpu = ranks_per_gpu;
  resources.gpu_sharing = how;
  return resources;
}

/// "0 0 1": the GPU of each rank.
std::string gpus_of_ranks(const Assignment& assignment) {
  std::string text;
  for (const RankPlace& rank : assignment.ranks) text += (text.empty() ? "" : " ") + rank.gpus.at(0);
  return text;
}

Slots slots(int cpus, int gpus = 0) {
  Slots result;
  for (int cpu = 0; cpu < cpus; ++cpu) result.cpus.push_back(cpu);
  for (int gpu = 0; gpu < gpus; ++gpu) result.gpus.push_back(std::to_string(gpu));
  return result;
}

std::vector<std::size_t> indices(const std::vector<Packer::Placement>& placements) {
  std::vector<std::size_t> result;
  for (const auto& placement : placements) result.push_back(placement.index);
  return result;
}

TEST(Packer, GivesEachRankItsOwnCpusAndGpus) {
  Packer packer(slots(8, 4));
  const auto placed = packer.place({{"a", needs(2, 2, 2)}});
  ASSERT_EQ(placed.size(), 1u);
  EXPECT_EQ(placed[0].assignment, (Assignment{{{"", {0, 1}, {"0", "1"}}, {"", {2, 3}, {"2", "3"}}}}));
}

TEST(Packer, UsesTheSlotsThereAreNotTheFirstNumbers) {
  Packer packer(Slots{{3, 5, 9}, {"GPU-x", "GPU-y"}, ""});
  const auto placed = packer.place({{"a", needs(1, 2, 1)}, {"b", needs(1, 1, 1)}});
  ASSERT_EQ(placed.size(), 2u);
  EXPECT_EQ(placed[0].assignment, (Assignment{{{"", {3, 5}, {"GPU-x"}}}}));
  EXPECT_EQ(placed[1].assignment, (Assignment{{{"", {9}, {"GPU-y"}}}}));
}

TEST(Packer, FillsGapsBehindATaskThatDoesNotFit) {
  Packer packer(slots(3));
  EXPECT_THAT(indices(packer.place({{"a", needs(2)}, {"big", needs(3)}, {"c", needs(1)}})),
              ElementsAre(0, 2));
}

TEST(Packer, ExclusiveTaskRunsAlone) {
  Packer packer(slots(4));
  Resources alone = needs(1);
  alone.exclusive = true;
  auto placed = packer.place({{"a", needs(1)}, {"alone", alone}});
  EXPECT_THAT(indices(placed), ElementsAre(0));
  packer.release(placed[0].assignment, false);
  placed = packer.place({{"alone", alone}, {"c", needs(1)}});
  EXPECT_THAT(indices(placed), ElementsAre(0));
  packer.release(placed[0].assignment, true);
  EXPECT_THAT(indices(packer.place({{"c", needs(1)}})), ElementsAre(0));
}

TEST(Packer, MoreRanksThanCpusFitOnlyOversubscribed) {
  Packer packer(slots(2));
  EXPECT_TRUE(packer.can_fit(needs(2)));
  EXPECT_FALSE(packer.can_fit(needs(3)));
  Resources crowded = needs(3);
  crowded.oversubscribe = true;
  EXPECT_TRUE(packer.can_fit(crowded));
}

TEST(Packer, OversubscribedRanksShareTheCpusEvenlyAndAlone) {
  Packer packer(slots(2));
  Resources crowded = needs(4);
  crowded.oversubscribe = true;
  const auto placed = packer.place({{"crowded", crowded}, {"b", needs(1)}});
  ASSERT_THAT(indices(placed), ElementsAre(0));
  EXPECT_EQ(placed[0].assignment, (Assignment{{{"", {0}, {}}, {"", {1}, {}}, {"", {0}, {}}, {"", {1}, {}}}}));
}

TEST(Packer, OversubscriptionSharesNoGpu) {
  Resources crowded = needs(4, 1, 1);
  crowded.oversubscribe = true;
  EXPECT_FALSE(Packer(slots(2, 3)).can_fit(crowded));
  EXPECT_TRUE(Packer(slots(2, 4)).can_fit(crowded));
}

TEST(Packer, AdoptedGangKeepsItsSlotsTillItEnds) {
  Packer packer(slots(2, 2));
  const Assignment adopted = packer.adopt({{{"", {0, 7}, {"1"}}}}, needs(1, 2, 1));
  EXPECT_THAT(adopted.cpus(), ElementsAre(0));
  const auto placed = packer.place({{"a", needs(1, 1, 1)}, {"b", needs(1)}});
  ASSERT_THAT(indices(placed), ElementsAre(0));
  EXPECT_THAT(placed[0].assignment.gpus(), ElementsAre("0"));
  packer.release(adopted, false);
  EXPECT_THAT(indices(packer.place({{"b", needs(1)}})), ElementsAre(0));
}

/// A steady stream of small tasks passes a big one. One task ends at a time, the oldest.
std::optional<int> started_before_big(std::size_t most) {
  Packer packer(slots(4));
  std::vector<Packer::Waiting> queue{{"first", needs(1)}, {"big", needs(4)}};
  for (int i = 0; i < 100; ++i) queue.push_back({"small-" + std::to_string(i), needs(1)});
  std::vector<Assignment> running;
  int started_before = 0;
  for (int step = 0; step < 50; ++step) {
    std::vector<std::size_t> started;
    for (const auto& placement : packer.place(queue, most)) {
      if (queue[placement.index].key == "big") return started_before;
      ++started_before;
      running.push_back(placement.assignment);
      started.push_back(placement.index);
    }
    for (auto index = started.rbegin(); index != started.rend(); ++index) {
      queue.erase(queue.begin() + static_cast<std::ptrdiff_t>(*index));
    }
    packer.release(running.front(), false);
    running.erase(running.begin());
  }
  return std::nullopt;
}

TEST(Packer, BigTaskIsNotStarvedBySmallOnes) {
  for (const std::size_t most : {1, 2, 1000}) {
    const auto before = started_before_big(most);
    ASSERT_TRUE(before.has_value()) << "never started, " << most << " at a time";
    EXPECT_LE(*before, 1 + Packer::kMaxOvertakes);
  }
}

TEST(Packer, RanksFillSharedGpusOneAfterTheOther) {
  Packer packer(slots(8, 3));
  const auto placed =
      packer.place({{"three", sharing(3, 2)}, {"one", sharing(1, 2)}, {"two", sharing(2, 2)}});
  ASSERT_EQ(placed.size(), 3u);
  EXPECT_EQ(gpus_of_ranks(placed[0].assignment), "0 0 1");
  EXPECT_EQ(gpus_of_ranks(placed[1].assignment), "1");
  EXPECT_EQ(gpus_of_ranks(placed[2].assignment), "2 2");
  EXPECT_THAT(placed[0].assignment.gpus(), ElementsAre("0", "1"));
  EXPECT_THAT(packer.place({{"more", sharing(1, 2)}}), IsEmpty());
}

TEST(Packer, ASharedGpuIsGivenToNobodyWhole) {
  Packer packer(slots(8, 2));
  const auto half = packer.place({{"half", sharing(1, 2)}, {"whole", needs(2, 1, 1)}});
  ASSERT_THAT(indices(half), ElementsAre(0));
  const auto whole = packer.place({{"whole", needs(1, 1, 1)}, {"half", sharing(1, 2)}});
  ASSERT_THAT(indices(whole), ElementsAre(0, 1));
  EXPECT_EQ(gpus_of_ranks(whole[0].assignment), "1");
  EXPECT_EQ(gpus_of_ranks(whole[1].assignment), "0");
  packer.release(half[0].assignment, false);
  packer.release(whole[0].assignment, false);
  EXPECT_THAT(packer.place({{"two", needs(2, 1, 1)}}), IsEmpty()) << "half of GPU 0 is still in use";
  packer.release(whole[1].assignment, false);
  EXPECT_EQ(packer.place({{"two", needs(2, 1, 1)}}).size(), 1u);
}

TEST(Packer, OtherSharesAndOtherWaysShareNoGpuWithEachOther) {
  Packer packer(slots(8, 2));
  ASSERT_EQ(packer.place({{"half", sharing(1, 2)}}).size(), 1u);
  const auto others = packer.place({{"quarter", sharing(1, 4)}, {"mps", sharing(1, 2, GpuSharing::mps)}});
  ASSERT_THAT(indices(others), ElementsAre(0)) << "no GPU is left for the second";
  EXPECT_EQ(gpus_of_ranks(others[0].assignment), "1");
}

TEST(Packer, AdoptedRanksKeepTheirSharesOfAGpu) {
  Packer packer(slots(4, 1));
  const Assignment running{{{"", {0}, {"0"}}, {"", {1}, {"0"}}, {"", {2}, {"0"}}}};
  const Assignment adopted = packer.adopt(running, sharing(3, 2));
  EXPECT_TRUE(adopted.ranks[2].gpus.empty()) << "more than may share it";
  EXPECT_THAT(packer.place({{"more", sharing(1, 2)}}), IsEmpty());
  packer.release(adopted, false);
  EXPECT_EQ(packer.place({{"whole", needs(1, 1, 1)}}).size(), 1u);
}

/// Random tasks on random machines, ending in random order: no CPU and no GPU is ever given twice but to
/// those that share it, exclusive tasks are alone, every task gets what it asked for, and all start.
TEST(Packer, NeverSharesACpuOrAGpuUnaskedAndStartsEverything) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](int bound) { return static_cast<int>(random() % static_cast<unsigned>(bound)); };
    const Slots machine = slots(1 + below(16), below(9));
    Packer packer(machine);
    std::vector<Packer::Waiting> queue;
    while (queue.size() < 40) {
      Resources task = needs(1 + below(6), 1 + below(4), below(3));
      task.exclusive = below(10) == 0;
      task.oversubscribe = below(5) == 0;
      if (task.gpus_per_rank == 1 && below(2) == 0)
        task = sharing(task.ranks, 2 + below(3), below(2) == 0 ? GpuSharing::mps : GpuSharing::time_slicing);
      if (!packer.can_fit(task)) continue;
      queue.push_back({"task-" + std::to_string(queue.size()), task});
    }
    std::vector<std::pair<Resources, Assignment>> running;
    int steps = 0;
    while (!queue.empty() || !running.empty()) {
      ASSERT_LT(++steps, 1000) << "seed " << seed;
      const auto placed = packer.place(queue);
      ASSERT_TRUE(!placed.empty() || !running.empty()) << "nothing runs and nothing starts, seed " << seed;
      for (const auto& [index, assignment] : placed) running.emplace_back(queue[index].needs, assignment);
      for (auto placement = placed.rbegin(); placement != placed.rend(); ++placement) {
        queue.erase(queue.begin() + static_cast<std::ptrdiff_t>(placement->index));
      }
      std::multiset<int> cpus;
      std::map<std::string, std::vector<const Resources*>> gpus;
      for (const auto& [task, assignment] : running) {
        if (task.exclusive) {
          ASSERT_EQ(running.size(), 1u) << "seed " << seed;
        }
        const auto own = assignment.cpus();
        cpus.insert(own.begin(), own.end());
        for (const RankPlace& rank : assignment.ranks) {
          ASSERT_EQ(rank.gpus.size(), static_cast<std::size_t>(task.gpus_per_rank));
          for (const std::string& gpu : rank.gpus) gpus[gpu].push_back(&task);
        }
        ASSERT_EQ(assignment.ranks.size(), static_cast<std::size_t>(task.ranks));
        const std::size_t wanted = static_cast<std::size_t>(task.ranks * task.cpus_per_rank);
        ASSERT_EQ(own.size(), std::min(wanted, machine.cpus.size())) << "seed " << seed;
      }
      ASSERT_EQ(std::set<int>(cpus.begin(), cpus.end()).size(), cpus.size()) << "a CPU twice, seed " << seed;
      for (const auto& [gpu, ranks] : gpus) {
        ASSERT_LE(std::ssize(ranks), ranks.front()->ranks_per_gpu) << "GPU " << gpu << ", seed " << seed;
        for (const Resources* rank : ranks) {
          ASSERT_EQ(rank->ranks_per_gpu, ranks.front()->ranks_per_gpu) << "seed " << seed;
          ASSERT_EQ(rank->gpu_sharing, ranks.front()->gpu_sharing) << "seed " << seed;
        }
      }
      if (!running.empty()) {
        const int ended = below(static_cast<int>(running.size()));
        packer.release(running[static_cast<std::size_t>(ended)].second,
                       running[static_cast<std::size_t>(ended)].first.exclusive);
        running.erase(running.begin() + ended);
      }
    }
    EXPECT_TRUE(packer.idle());
    EXPECT_THAT(packer.place({}), IsEmpty());
  }
}

std::vector<Slots> hosts(int number, int cpus, int gpus) {
  std::vector<Slots> all;
  for (int index = 0; index < number; ++index) {
    all.push_back(slots(cpus, gpus));
    all.back().host = "n" + std::to_string(index + 1);
  }
  return all;
}

TEST(Packer, FillsTheHostThatATaskFitsBest) {
  Packer packer(hosts(2, 4, 4));
  ASSERT_EQ(packer.place({{"a", needs(1, 1, 3)}}).size(), 1u);
  const auto placed = packer.place({{"one", needs(1, 1, 1)}, {"four", needs(4, 1, 1)}});
  ASSERT_EQ(placed.size(), 2u) << "the small task left no host whole for the large one";
  EXPECT_THAT(placed[0].assignment.hosts(), ElementsAre("n1"));
  EXPECT_THAT(placed[1].assignment.hosts(), ElementsAre("n2"));
}

TEST(Packer, SpreadsOnlyWhatFitsNoHost) {
  Packer packer(hosts(3, 4, 2));
  const auto placed = packer.place({{"small", needs(2)}, {"two", needs(2, 2)}, {"six", needs(6, 1)}});
  ASSERT_THAT(indices(placed), ElementsAre(0, 1)) << "six ranks wait for two hosts with room for three each";
  EXPECT_EQ(placed[1].assignment.hosts().size(), 1u);
  packer.release(placed[1].assignment, false);
  const auto six = packer.place({{"six", needs(6, 1)}});
  ASSERT_EQ(six.size(), 1u);
  const auto& ranks = six[0].assignment.ranks;
  EXPECT_EQ(ranks[0].host, ranks[2].host);
  EXPECT_NE(ranks[2].host, ranks[3].host);
  EXPECT_EQ(ranks[3].host, ranks[5].host);
}

TEST(Packer, SpreadTaskNeedsRoomForItsShareOnEachHost) {
  EXPECT_TRUE(Packer(hosts(2, 4, 2)).can_fit(needs(4, 1, 1)));
  EXPECT_FALSE(Packer(hosts(2, 4, 2)).can_fit(needs(6, 1, 1)));
  EXPECT_FALSE(Packer(hosts(2, 4, 4)).can_fit(needs(5, 1, 1))) << "five ranks are not halved";
  EXPECT_FALSE(Packer(hosts(2, 4, 2)).can_fit(needs(1, 1, 3))) << "one rank is never split";
}

TEST(Packer, SpreadRanksThatShareGpusFillWholeOnesOnEachHost) {
  Packer packer(hosts(2, 4, 4));
  const auto placed = packer.place({{"six", sharing(6, 3)}});
  ASSERT_EQ(placed.size(), 1u);
  EXPECT_EQ(gpus_of_ranks(placed[0].assignment), "0 0 0 0 0 0");
  EXPECT_EQ(placed[0].assignment.gpus().size(), 2u) << "one of each host";
  EXPECT_FALSE(packer.can_fit(sharing(6, 2))) << "three ranks on a host are one and a half GPUs";
}

TEST(Packer, SpreadTaskGivesBackWhatItTook) {
  Packer packer(hosts(2, 4, 2));
  const auto placed = packer.place({{"a", needs(4, 2, 1)}});
  ASSERT_EQ(placed.size(), 1u);
  EXPECT_THAT(packer.place({{"b", needs(1)}}), IsEmpty());
  packer.release(placed[0].assignment, false);
  EXPECT_EQ(packer.place({{"a", needs(4, 2, 1)}}).size(), 1u);
}

TEST(Packer, ExcludedHostGetsNothingMoreAndWhatRunsThereMayEnd) {
  Packer packer(hosts(2, 4, 2));
  const auto running = packer.place({{"a", needs(4)}});
  ASSERT_THAT(running[0].assignment.hosts(), ElementsAre("n1"));
  EXPECT_TRUE(packer.exclude("n1", {{"b", needs(4)}}));
  packer.release(running[0].assignment, false);
  const auto placed = packer.place({{"b", needs(4)}, {"c", needs(1)}});
  ASSERT_THAT(indices(placed), ElementsAre(0));
  EXPECT_THAT(placed[0].assignment.hosts(), ElementsAre("n2"));
}

TEST(Packer, HostWithoutWhichATaskHasNoRoomStays) {
  Packer packer(hosts(2, 4, 2));
  EXPECT_FALSE(packer.exclude("n1", {{"wide", needs(8)}}));
  EXPECT_EQ(packer.place({{"wide", needs(8)}}).size(), 1u);
  EXPECT_FALSE(Packer(slots(4)).exclude("", {{"a", needs(1)}})) << "the only host";
}

TEST(HostHealth, TwoTasksLostOnAHostSpeakAgainstItAndASuccessForIt) {
  HostHealth health;
  EXPECT_FALSE(health.lost("n1", "a"));
  EXPECT_FALSE(health.lost("n1", "a")) << "one task that always dies";
  EXPECT_FALSE(health.lost("n2", "b"));
  EXPECT_TRUE(health.lost("n1", "b"));
  health.ended_well("n1");
  EXPECT_FALSE(health.lost("n1", "c"));
}

TEST(HostHealth, AHostThatWasGivenUpIsRememberedForADay) {
  std::vector<JournalEntry> entries(3);
  entries[0].host = "n1";
  entries[0].unix_time = 1000;
  entries[1].host = "n2";
  entries[1].unix_time = 50'000;
  EXPECT_EQ(hosts_given_up(entries, 60'000), (std::set<std::string>{"n1", "n2"}));
  EXPECT_EQ(hosts_given_up(entries, 100'000), (std::set<std::string>{"n2"}));
}

TEST(Packer, StartsNoMoreThanItMay) {
  Packer packer(slots(4));
  const std::vector<Packer::Waiting> queue{
      {"big", needs(5)}, {"a", needs(1)}, {"b", needs(1)}, {"c", needs(1)}};
  EXPECT_THAT(packer.place(queue, 0), IsEmpty());
  EXPECT_THAT(indices(packer.place(queue, 2)), ElementsAre(1, 2));
}

}  // namespace
}  // namespace muster
