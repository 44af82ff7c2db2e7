#include "runner/agreement.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "runner/failure.hpp"

namespace muster {
namespace {

struct Report {
  std::int32_t code = 0;
  std::array<char, 1000> problem{};
  std::array<char, 500> advice{};
};

}  // namespace

std::optional<Error> failure_of_any(QueuedCommunicator& control, const std::function<void()>& act) {
  Report own;
  try {
    act();
  } catch (...) {
    const Error failure = current_failure();
    own.code = static_cast<std::int32_t>(failure.code());
    failure.problem().copy(own.problem.data(), own.problem.size() - 1);
    failure.advice().copy(own.advice.data(), own.advice.size() - 1);
  }
  std::int32_t worst = own.code;
  control.all_reduce_now(&worst, 1, DType::i32, ReduceOp::maximum);
  if (worst == 0) return std::nullopt;

  std::vector<Report> reports(static_cast<std::size_t>(control.size()));
  control.all_gather(&own, sizeof own, reports.data())->wait();
  for (std::size_t rank = 0; rank < reports.size(); ++rank) {
    const Report& report = reports[rank];
    if (report.code == 0) continue;
    const std::string place = reports.size() > 1 ? "rank " + std::to_string(rank) + ": " : "";
    return Error(static_cast<ExitCode>(report.code), place + report.problem.data(), report.advice.data());
  }
  return std::nullopt;
}

}  // namespace muster
