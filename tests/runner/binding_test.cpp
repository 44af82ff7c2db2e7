#include "runner/binding.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/cpu_list.hpp"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

BoundGpu h200(const std::string& name, const std::string& uuid, int numa_node = 0) {
  return {name, true, "NVIDIA H200", uuid, "0000:17:00.0", numa_node};
}

/// One rank of a machine with two nodes: CPUs of its own, and the GPUs given.
RankBinding rank_on(const std::string& host, int rank, const std::string& cpus,
                    const std::vector<BoundGpu>& gpus = {}) {
  RankBinding binding;
  binding.rank = rank;
  binding.host = host;
  binding.boot_id = "boot-of-" + host;
  binding.cpus = parse_cpu_list(cpus);
  binding.cpus_are_own = true;
  binding.numa_nodes = {binding.cpus.front() < 8 ? 0 : 1};
  for (const BoundGpu& gpu : gpus)
    if (gpu.seen) binding.gpus_on_host = 8;
  binding.gpus = gpus;
  return binding;
}

std::string refusal_of(const std::vector<RankBinding>& ranks) {
  const BindingVerdict verdict = judge_binding(ranks);
  if (!verdict.refusal) return "";
  EXPECT_EQ(verdict.refusal->code(), ExitCode::resources);
  EXPECT_NE(verdict.refusal->advice(), "");
  return verdict.refusal->problem();
}

TEST(Binding, IsGoodWhereEveryRankHasCpusAndGpusOfItsOwn) {
  const BindingVerdict verdict = judge_binding({rank_on("a", 0, "0-3", {h200("0", "GPU-0")}),
                                                rank_on("a", 1, "4-7", {h200("1", "GPU-1")}),
                                                rank_on("b", 2, "0-3", {h200("0", "GPU-2")})});
  EXPECT_FALSE(verdict.refusal);
  EXPECT_THAT(verdict.warnings, IsEmpty());
}

TEST(Binding, RefusesTwoRanksOnOneGpu) {
  EXPECT_EQ(refusal_of({rank_on("a", 0, "0", {h200("0", "GPU-0")}),
                        rank_on("a", 1, "1", {h200("1", "GPU-1"), h200("GPU-0", "GPU-0")})}),
            "ranks 0 and 1 on a have the same GPU 0 (NVIDIA H200, GPU-0, 0000:17:00.0)");
}

/// Ranks of one host that share a GPU as they asked for.
std::vector<RankBinding> sharing(int ranks, int ranks_per_gpu, const BoundGpu& gpu) {
  std::vector<RankBinding> all;
  for (int rank = 0; rank < ranks; ++rank) {
    all.push_back(rank_on("a", rank, std::to_string(rank), {gpu}));
    all.back().ranks_per_gpu = ranks_per_gpu;
    all.back().gpu_sharing = GpuSharing::mps;
  }
  return all;
}

TEST(Binding, AllowsTheSharingThatWasAskedForAndNoMore) {
  EXPECT_EQ(refusal_of(sharing(3, 3, h200("0", "GPU-0"))), "");
  EXPECT_EQ(refusal_of(sharing(3, 3, {"0"})), "") << "declared alone";
  EXPECT_EQ(
      refusal_of(sharing(3, 2, h200("0", "GPU-0"))),
      "ranks 0, 1 and 2 on a have the same GPU 0 (NVIDIA H200, GPU-0, 0000:17:00.0), which at most 2 may "
      "share");
  auto ranks = sharing(4, 2, h200("0", "GPU-0"));
  ranks[0].gpus = {h200("1", "GPU-1")};
  EXPECT_THAT(refusal_of(ranks), HasSubstr("ranks 1, 2 and 3 on a have the same GPU 0"));
  ranks[3].gpus = {h200("1", "GPU-1")};
  EXPECT_EQ(refusal_of(ranks), "");
  ranks[3].gpus.push_back(h200("GPU-1", "GPU-1"));
  EXPECT_THAT(refusal_of(ranks), HasSubstr("rank 3 on a has twice GPU 1"));
}

TEST(Binding, RefusesOneGpuSeenFromTwoContainers) {
  EXPECT_THAT(
      refusal_of({rank_on("a", 0, "0", {h200("0", "GPU-0")}), rank_on("b", 1, "1", {h200("0", "GPU-0")})}),
      HasSubstr("ranks 0 and 1 on a and b have the same GPU 0"));
}

TEST(Binding, RefusesAGpuGivenTwiceToOneRank) {
  EXPECT_THAT(refusal_of({rank_on("a", 0, "0", {h200("0", "GPU-0"), h200("GPU-0", "GPU-0")})}),
              HasSubstr("rank 0 on a has twice GPU 0"));
}

TEST(Binding, KnowsDeclaredGpusByTheirNamesOnTheirHost) {
  EXPECT_EQ(refusal_of({rank_on("a", 0, "0", {{"0"}}), rank_on("a", 1, "1", {{"1"}}),
                        rank_on("b", 2, "0", {{"0"}})}),
            "");
  EXPECT_EQ(refusal_of({rank_on("a", 0, "0", {{"0"}}), rank_on("a", 1, "1", {{"0"}})}),
            "ranks 0 and 1 on a have the same GPU 0 (declared, not seen)");
}

TEST(Binding, RefusesAGpuThatIsMissingOnAHostWithOthers) {
  RankBinding rank = rank_on("a", 3, "0", {{"9"}});
  rank.gpus_on_host = 8;
  EXPECT_EQ(refusal_of({rank}),
            "rank 3 on a was given GPU 9, which is not among the 8 that the driver shows there");
}

TEST(Binding, RefusesCpusOfTwoRanksThatWereToHaveTheirOwn) {
  const RankBinding first = rank_on("a", 0, "0-3");
  RankBinding second = rank_on("a", 1, "2-5");
  EXPECT_EQ(refusal_of({first, second}), "ranks 0 and 1 on a have the same CPUs: 2-3");
  second.cpus_are_own = false;
  EXPECT_EQ(refusal_of({first, second}), "") << "oversubscribed, or bound by somebody else";
  second = rank_on("b", 1, "2-5");
  EXPECT_EQ(refusal_of({first, second}), "");
  second.host = "a";
  EXPECT_EQ(refusal_of({first, second}), "") << "another kernel of that name";
}

TEST(Binding, WarnsOfCpusOnAnotherNodeThanTheGpu) {
  const BindingVerdict verdict = judge_binding({rank_on("a", 0, "0-3", {h200("0", "GPU-0", 1)})});
  EXPECT_FALSE(verdict.refusal);
  EXPECT_THAT(verdict.warnings,
              ElementsAre(HasSubstr("rank 0 on a computes on CPUs 0-3 of NUMA node 0, and its GPU 0 "
                                    "(NVIDIA H200, GPU-0, 0000:17:00.0) is on node 1")));
}

TEST(Binding, WarnsOfMoreSlicesThanCudaUses) {
  EXPECT_THAT(
      judge_binding({rank_on("a", 0, "0", {h200("MIG-1", "MIG-1"), h200("MIG-2", "MIG-2")})}).warnings,
      ElementsAre(HasSubstr("rank 0 on a was given 2 GPUs, MIG slices among them")));
  EXPECT_THAT(judge_binding({rank_on("a", 0, "0", {h200("MIG-1", "MIG-1")}),
                             rank_on("a", 1, "1", {h200("MIG-2", "MIG-2")})})
                  .warnings,
              IsEmpty());
}

TEST(Binding, DoesNotWarnWhereANodeIsUnknownOrOneOfMany) {
  RankBinding rank = rank_on("a", 0, "0-3", {h200("0", "GPU-0", -1)});
  EXPECT_THAT(judge_binding({rank}).warnings, IsEmpty());
  rank.gpus[0].numa_node = 1;
  rank.numa_nodes = {0, 1};
  EXPECT_THAT(judge_binding({rank}).warnings, IsEmpty());
  rank.numa_nodes = {};
  EXPECT_THAT(judge_binding({rank}).warnings, IsEmpty());
}

TEST(Binding, CountsWhatAGangHas) {
  EXPECT_EQ(binding_summary({rank_on("a", 0, "0-3", {h200("0", "GPU-0")}), rank_on("a", 1, "2-5", {{"1"}}),
                             rank_on("b", 2, "0", {h200("0", "GPU-1")})}),
            "binding: 3 ranks on 2 hosts, 7 CPUs, 2 GPUs, 1 GPU declared and not seen");
  EXPECT_EQ(binding_summary(sharing(2, 2, h200("0", "GPU-0"))),
            "binding: 2 ranks on 1 host, 2 CPUs, 1 GPU for up to 2 ranks each (mps)");
}

TEST(Binding, ComesBackFromItsJson) {
  const RankBinding rank = rank_on("a", 5, "0-3,8", {h200("0", "GPU-0", 1), {"7"}});
  const std::string text = rank_binding_to_json(rank);
  EXPECT_EQ(rank_binding_to_json(rank_binding_from_json(text)), text);
  EXPECT_THAT(text, HasSubstr(R"("cpus":"0-3,8")"));
  EXPECT_THAT(text, HasSubstr(R"({"name":"7","seen":false})"));
  const std::string shared = rank_binding_to_json(sharing(1, 2, h200("0", "GPU-0"))[0]);
  EXPECT_EQ(rank_binding_to_json(rank_binding_from_json(shared)), shared);
  EXPECT_THAT(shared, HasSubstr(R"("ranks_per_gpu":2,"gpu_sharing":"mps")"));
}

TEST(Binding, OfThisProcessIsWhatTheKernelAllows) {
  DevicePlan plan;
  plan.cuda_visible_devices = "0,GPU-of-nowhere";
  const RankBinding own = own_binding(2, plan, {});
  EXPECT_EQ(own.rank, 2);
  EXPECT_EQ(own.cpus, allowed_cpus());
  EXPECT_FALSE(own.cpus_are_own) << "nobody bound this process";
  ASSERT_EQ(own.gpus.size(), 2U);
  EXPECT_EQ(own.gpus[0].seen, own.gpus_on_host > 0);
  EXPECT_FALSE(own.gpus[1].seen);
}

}  // namespace
}  // namespace muster
