#include "runner/binding_proof.hpp"

#include <cstddef>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "core/durable_file.hpp"

namespace muster {
namespace {

std::vector<RankBinding> gather(QueuedCommunicator& control, const RankBinding& own) {
  const std::string text = rank_binding_to_json(own);
  const std::size_t bytes = text.size();
  std::vector<std::size_t> bytes_of(static_cast<std::size_t>(control.size()));
  control.all_gather(&bytes, sizeof bytes, bytes_of.data())->wait();
  std::string all(std::accumulate(bytes_of.begin(), bytes_of.end(), std::size_t{0}), '\0');
  control.all_gather_v(text.data(), all.data(), bytes_of)->wait();
  std::vector<RankBinding> ranks;
  std::size_t begin = 0;
  for (const std::size_t length : bytes_of) {
    ranks.push_back(rank_binding_from_json(all.substr(begin, length)));
    begin += length;
  }
  return ranks;
}

}  // namespace

std::vector<RankBinding> prove_binding(QueuedCommunicator& control, const RankBinding& own,
                                       const std::filesystem::path& file) {
  std::vector<RankBinding> ranks = gather(control, own);
  const BindingVerdict verdict = judge_binding(ranks);
  if (control.rank() == 0) {
    write_whole(file, binding_to_json(ranks, verdict));
    std::printf("%s\n", binding_summary(ranks).c_str());
    for (const std::string& warning : verdict.warnings)
      std::printf("binding: warning: %s\n", warning.c_str());
    std::fflush(stdout);
  }
  // No rank's failure may end rank 0 before the reports are kept.
  if (verdict.refusal) {
    control.barrier();
    throw *verdict.refusal;
  }
  return ranks;
}

}  // namespace muster
