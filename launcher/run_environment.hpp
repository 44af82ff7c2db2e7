#pragma once
/// environment.json: where and with what a run was started, for whoever asks a year later.

#include <string>

#include "launcher/packer.hpp"

namespace muster {

/// Host, user, folder, git commit of the current folder, versions, loaded modules, CPUs, GPUs, Slurm's ids.
/// What is not there is left out.
std::string describe_environment(const std::vector<Slots>& slots);

}  // namespace muster
