#include "launcher/submission.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <system_error>

#include "core/checksum.hpp"
#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "core/unix_time.hpp"
#include "launcher/job_request_json.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;
constexpr const char* kPack = "pack";
constexpr const char* kArray = "array";

/// 0 for what is no submission's folder.
int number_of(const std::string& name) {
  const bool digits = !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
  return digits ? std::atoi(name.c_str()) : 0;
}

std::vector<int> numbers_in(const fs::path& folder) {
  std::vector<int> numbers;
  std::error_code error;
  for (fs::directory_iterator item(folder, error), end; !error && item != end; item.increment(error)) {
    if (const int number = number_of(item->path().filename().string())) numbers.push_back(number);
  }
  if (error && error != std::errc::no_such_file_or_directory)
    throw_storage_error(folder, "read", error.value());
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

/// Slurm fills what follows a '%'.
std::string literal(const fs::path& path) {
  std::string text;
  for (const char c : path.string()) text += c == '%' ? "%%" : std::string(1, c);
  return text;
}

Json to_json(const Submission& submission) {
  return {{"format", kFormat},
          {"number", submission.number},
          {"kind", submission.kind == SubmissionKind::pack ? kPack : kArray},
          {"token", submission.token},
          {"unix_time", submission.unix_time},
          {"submitter", Json::parse(identity_to_json(submission.submitter))},
          {"first", submission.first},
          {"tasks", submission.tasks},
          {"request", Json::parse(job_request_to_json(submission.request))}};
}

Submission submission_of(const Json& json) {
  Submission submission;
  submission.number = json.at("number").get<int>();
  submission.kind =
      json.at("kind").get<std::string>() == kPack ? SubmissionKind::pack : SubmissionKind::array;
  submission.token = json.at("token").get<std::string>();
  submission.unix_time = json.at("unix_time").get<double>();
  submission.submitter = identity_from_json(json.at("submitter").dump());
  submission.first = json.at("first").get<int>();
  submission.tasks = json.at("tasks").get<std::vector<int>>();
  submission.request = job_request_from_json(json.at("request").dump());
  return submission;
}

/// Made aside and renamed, so that a folder with a number is whole.
class AsideSubmission {
 public:
  explicit AsideSubmission(const fs::path& parent)
      : path_(parent / (".submission-" + own_identity().host + "-" + std::to_string(getpid()))) {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
    make_folders(path_);
  }
  ~AsideSubmission() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  AsideSubmission(const AsideSubmission&) = delete;
  AsideSubmission& operator=(const AsideSubmission&) = delete;

  SubmissionPaths paths() const { return SubmissionPaths(path_); }

  /// False where the number is taken.
  bool move_to(const fs::path& folder) const {
    if (std::rename(path_.c_str(), folder.c_str()) == 0) return true;
    if (errno != EEXIST && errno != ENOTEMPTY) throw_storage_error(folder, "create", errno);
    return false;
  }

 private:
  fs::path path_;
};

[[noreturn]] void throw_damaged(const fs::path& file, const std::string& why) {
  throw Error(
      ExitCode::storage, "what was asked of Slurm for this run cannot be read: " + why,
      "look with squeue whether its job is there, cancel it, and remove " + file.parent_path().string(),
      SourcePlace{file});
}

std::optional<Submission> read_submission(const SubmissionPaths& paths) {
  Submission submission;
  try {
    submission = submission_of(Json::parse(read_text(paths.request())));
  } catch (const Json::exception& error) {
    throw_damaged(paths.request(), error.what());
  }
  if (!fs::exists(paths.job())) return submission;
  try {
    const Json answer = Json::parse(read_text(paths.job()));
    if (answer.at("job").is_null()) return std::nullopt;
    submission.job = answer.at("job").get<std::string>();
  } catch (const Json::exception& error) {
    throw_damaged(paths.job(), error.what());
  }
  return submission;
}

}  // namespace

std::string token_prefix(const RunPaths& run) {
  return "muster:" + checksum64(fs::weakly_canonical(fs::absolute(run.folder())).string()) + ":";
}

Submission open_submission(const RunPaths& run, SubmissionKind kind, std::vector<int> tasks,
                           JobRequest request, const std::string& script, int first) {
  make_folders(run.submissions());
  Submission submission;
  submission.kind = kind;
  submission.tasks = std::move(tasks);
  submission.first = first;
  submission.request = std::move(request);
  submission.submitter = own_identity();
  submission.unix_time = unix_now();
  const std::string output = submission.request.array.empty() ? "slurm-%j.out" : "slurm-%A_%a.out";
  const AsideSubmission aside(run.submissions());
  write_durably(aside.paths().script(), script);
  while (true) {
    const std::vector<int> taken = numbers_in(run.submissions());
    submission.number = taken.empty() ? 1 : taken.back() + 1;
    const fs::path folder = run.submission(submission.number).folder();
    submission.token = token_prefix(run) + std::to_string(submission.number);
    submission.request.token = submission.token;
    submission.request.output = literal(fs::absolute(folder)) + "/" + output;
    write_durably(aside.paths().request(), to_json(submission).dump(1) + "\n");
    if (aside.move_to(folder)) break;
  }
  fsync_folder(run.submissions());
  return submission;
}

void answer_submission(const RunPaths& run, Submission& submission, const std::string& job) {
  write_durably(run.submission(submission.number).job(), Json{{"job", job}}.dump() + "\n");
  submission.job = job;
}

void withdraw_submission(const RunPaths& run, const Submission& submission) {
  write_durably(run.submission(submission.number).job(), Json{{"job", nullptr}}.dump() + "\n");
}

fs::path output_of(const Submission& submission, int task) {
  if (!submission.job) return {};
  std::string name = "slurm-" + *submission.job;
  if (submission.kind == SubmissionKind::array) name += "_" + std::to_string(task - submission.first);
  // The folder as it was; its percent signs are doubled there.
  std::string folder;
  const std::string written = submission.request.output.parent_path().string();
  for (std::size_t at = 0; at < written.size(); ++at) {
    folder += written[at];
    if (written.compare(at, 2, "%%") == 0) ++at;
  }
  return fs::path(folder) / (name + ".out");
}

std::vector<Submission> read_submissions(const RunPaths& run) {
  std::vector<Submission> submissions;
  for (const int number : numbers_in(run.submissions())) {
    if (auto submission = read_submission(run.submission(number))) {
      submissions.push_back(*std::move(submission));
    }
  }
  return submissions;
}

}  // namespace muster
