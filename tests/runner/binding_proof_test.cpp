#include "runner/binding_proof.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "runner/comm/host_transport.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

/// What each rank of a gang of threads throws; "" where it may start.
std::vector<std::string> refusals_of(const std::vector<RankBinding>& ranks,
                                     const std::filesystem::path& file) {
  std::vector<std::string> refusals(ranks.size());
  std::vector<std::thread> threads;
  auto transports = make_host_transports(static_cast<int>(ranks.size()));
  for (std::size_t rank = 0; rank < ranks.size(); ++rank)
    threads.emplace_back([&, rank] {
      QueuedCommunicator control(std::move(transports[rank]));
      try {
        prove_binding(control, ranks[rank], file);
      } catch (const Error& error) {
        refusals[rank] = error.problem();
      }
    });
  for (std::thread& thread : threads) thread.join();
  return refusals;
}

TEST(BindingProof, ComesToOneVerdictOnEveryRankAndKeepsTheReports) {
  const testing::TemporaryFolder folder;
  std::vector<RankBinding> ranks(3);
  for (int rank = 0; rank < 3; ++rank) {
    ranks[static_cast<std::size_t>(rank)].rank = rank;
    // Reports of different length.
    ranks[static_cast<std::size_t>(rank)].host = "node" + std::string(static_cast<std::size_t>(rank), '1');
    ranks[static_cast<std::size_t>(rank)].cpus = {rank};
  }
  EXPECT_EQ(refusals_of(ranks, folder / "binding.json"), std::vector<std::string>(3));
  const std::string kept = testing::text_of(folder / "binding.json");
  for (const char* part : {"\"refused\": null", "\"node\"", "\"node1\"", "\"node11\""})
    EXPECT_NE(kept.find(part), std::string::npos) << part << kept;

  ranks[2].host = ranks[1].host;
  for (RankBinding& rank : ranks) {
    rank.cpus = {4};
    rank.cpus_are_own = true;
  }
  const std::string refusal = "ranks 1 and 2 on node1 have the same CPUs: 4";
  EXPECT_EQ(refusals_of(ranks, folder / "binding.json"), std::vector<std::string>(3, refusal));
  EXPECT_NE(testing::text_of(folder / "binding.json").find("\"refused\": \"" + refusal + "\""),
            std::string::npos);
}

}  // namespace
}  // namespace muster
