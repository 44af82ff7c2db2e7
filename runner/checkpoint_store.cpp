#include "runner/checkpoint_store.hpp"

#include <array>
#include <system_error>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "core/run_paths.hpp"
#include "core/unix_time.hpp"
#include "runner/agreement.hpp"

namespace muster {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kKept = 2;

CheckpointFile write_one(const fs::path& file, const std::vector<TensorView>& tensors) {
  const std::string checksum = write_safetensors(file, tensors);
  return {fs::file_size(file), checksum};
}

/// Throws Error where the file is not what the manifest says.
std::shared_ptr<SafetensorsFile> open_verified(const fs::path& folder, const std::string& name,
                                               const CheckpointManifest& manifest) {
  const auto listed = manifest.files.find(name);
  const auto damaged = [&](const std::string& why) {
    return Error(ExitCode::checkpoint, name + " is damaged: " + why, "the checkpoint before it is used");
  };
  if (listed == manifest.files.end()) throw damaged("the manifest does not list it");
  std::error_code error;
  const std::uintmax_t bytes = fs::file_size(folder / name, error);
  if (error) throw damaged(error.message());
  if (bytes != listed->second.bytes)
    throw damaged("it has " + std::to_string(bytes) + " bytes of " + std::to_string(listed->second.bytes));
  try {
    auto file = std::make_shared<SafetensorsFile>(folder / name);
    if (file->checksum() == listed->second.checksum) return file;
  } catch (const Error& unreadable) {
    throw damaged(unreadable.problem());
  }
  throw damaged("its checksum is another");
}

/// Each rank's own file, in rank order. Every rank must call this.
std::vector<CheckpointFile> gather(QueuedCommunicator& control, const CheckpointFile& own) {
  struct Record {
    std::uint64_t bytes = 0;
    std::array<char, 32> checksum{};
  } record{own.bytes, {}};
  own.checksum.copy(record.checksum.data(), record.checksum.size());
  std::vector<Record> records(static_cast<std::size_t>(control.size()));
  control.all_gather(&record, sizeof record, records.data())->wait();
  std::vector<CheckpointFile> files;
  for (const Record& r : records)
    files.push_back({r.bytes, std::string(r.checksum.data(), r.checksum.size())});
  return files;
}

}  // namespace

CheckpointStore::CheckpointStore(CheckpointStoreOptions options)
    : options_(std::move(options)),
      folder_(TaskPaths(options_.task_folder).checkpoints()),
      fence_(options_.task_folder, options_.attempt) {
  if (rank() == 0) folder_.remove_leftovers();
}

void CheckpointStore::save(const CheckpointState& state) {
  const double began = unix_now();
  CheckpointFile own;
  CheckpointFile shared;
  auto failure = failure_of_any(options_.control, [&] { stage(state); });
  if (!failure) failure = failure_of_any(options_.control, [&] { own = write_own(state, shared); });
  if (!failure) {
    const std::vector<CheckpointFile> all = gather(options_.control, own);
    failure = failure_of_any(options_.control, [&] { publish(state, all, shared); });
  }
  if (failure) {
    std::error_code ignored;
    if (rank() == 0) fs::remove_all(folder_.staged(state.step, options_.attempt), ignored);
    throw *failure;
  }
  if (rank() != 0) return;
  prune();
  options_.saved(state.step, began, unix_now());
}

void CheckpointStore::stage(const CheckpointState& state) {
  if (rank() != 0) return;
  fence_.check();
  folder_.make_staged(state.step, options_.attempt);
  metric_rows_ = options_.metrics.sync();
}

CheckpointFile CheckpointStore::write_own(const CheckpointState& state, CheckpointFile& shared) const {
  const fs::path folder = folder_.staged(state.step, options_.attempt);
  if (rank() == 0) shared = write_one(folder / CheckpointFolder::kSharedFile, state.shared);
  return write_one(folder / CheckpointFolder::own_file(rank()), state.own);
}

void CheckpointStore::publish(const CheckpointState& state, const std::vector<CheckpointFile>& all,
                              const CheckpointFile& shared) {
  if (rank() != 0) return;
  CheckpointManifest manifest{state.step,   options_.attempt, options_.control.size(),
                              metric_rows_, state.metadata,   {}};
  manifest.files[CheckpointFolder::kSharedFile] = shared;
  for (std::size_t r = 0; r < all.size(); ++r)
    manifest.files[CheckpointFolder::own_file(static_cast<int>(r))] = all[r];
  write_durably(folder_.staged(state.step, options_.attempt) / CheckpointFolder::kManifest,
                manifest_to_json(manifest));
  fence_.check();
  folder_.publish(state.step, options_.attempt);
  damaged_.erase(state.step);
}

void CheckpointStore::prune() {
  for (const std::int64_t step : damaged_) folder_.remove(step);
  damaged_.clear();
  const std::vector<std::int64_t> steps = folder_.steps();
  for (std::size_t i = kKept; i < steps.size(); ++i) folder_.remove(steps[i]);
}

std::optional<LoadedCheckpoint> CheckpointStore::load_newest() {
  const std::vector<std::int64_t> steps = agreed_steps();
  std::string newest_problem;
  for (const std::int64_t step : steps) {
    Candidate candidate;
    const auto problem = read(step, candidate);
    if (problem) {
      if (newest_problem.empty()) newest_problem = problem->problem();
      damaged_.insert(step);
      if (rank() == 0)
        options_.log("checkpoint " + folder_.published(step).string() +
                     " is passed over: " + problem->problem());
      continue;
    }
    const CheckpointManifest& manifest = candidate.manifest;
    if (rank() == 0) {
      options_.metrics.carry(
          {TaskPaths(options_.task_folder).attempt(manifest.attempt), manifest.metric_rows});
      options_.loaded(manifest.step, manifest.attempt);
    }
    return LoadedCheckpoint{manifest.step, candidate.shared, candidate.own, manifest.metadata};
  }
  if (steps.empty()) return std::nullopt;
  throw Error(ExitCode::checkpoint,
              "none of the " + std::to_string(steps.size()) + " checkpoints in '" +
                  TaskPaths(options_.task_folder).checkpoints().string() +
                  "' can be read; the newest: " + newest_problem,
              "bring them back from a copy, or delete that folder to begin the task again");
}

/// As rank 0 sees the folder: another host's view of it may be older.
std::vector<std::int64_t> CheckpointStore::agreed_steps() {
  std::vector<std::int64_t> steps;
  if (const auto failure = failure_of_any(options_.control, [&] {
        if (rank() == 0) steps = folder_.steps();
      }))
    throw *failure;
  auto count = static_cast<std::int64_t>(steps.size());
  options_.control.broadcast(&count, sizeof count, 0)->wait();
  steps.resize(static_cast<std::size_t>(count));
  options_.control.broadcast(steps.data(), steps.size() * sizeof(std::int64_t), 0)->wait();
  return steps;
}

std::optional<Error> CheckpointStore::read(std::int64_t step, Candidate& candidate) {
  const fs::path folder = folder_.published(step);
  auto problem = failure_of_any(options_.control, [&] {
    candidate.manifest = manifest_from_json(read_text(folder / CheckpointFolder::kManifest));
  });
  if (problem) return problem;
  const int ranks = candidate.manifest.ranks;
  if (ranks != options_.control.size())
    throw Error(ExitCode::checkpoint,
                "checkpoint '" + folder.string() + "' was written by " + std::to_string(ranks) +
                    " ranks and this gang has " + std::to_string(options_.control.size()),
                "go on with " + std::to_string(ranks) + " ranks, or delete the checkpoints to begin again");
  return failure_of_any(options_.control, [&] {
    candidate.shared = open_verified(folder, CheckpointFolder::kSharedFile, candidate.manifest);
    candidate.own = open_verified(folder, CheckpointFolder::own_file(rank()), candidate.manifest);
  });
}

}  // namespace muster
