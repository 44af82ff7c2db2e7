#pragma once
/// A request for a job as JSON text, so that it can be asked again.

#include <string>

#include "slurm/job_request.hpp"

namespace muster {

std::string job_request_to_json(const JobRequest& request);
/// Throws Error(storage) where it is damaged.
JobRequest job_request_from_json(const std::string& text);

}  // namespace muster
