#include <string>

#include "core/error.hpp"
#include "runner/communicator.hpp"

namespace muster {

ExchangeAlgorithm exchange_algorithm_from(const std::string& name) {
  if (name == "library") return ExchangeAlgorithm::library;
  if (name == "ring") return ExchangeAlgorithm::ring;
  if (name == "tree") return ExchangeAlgorithm::tree;
  if (name == "parameter_server") return ExchangeAlgorithm::parameter_server;
  throw Error(ExitCode::config, "'" + name + "' is no exchange algorithm",
              "use library, ring, tree or parameter_server");
}

}  // namespace muster
