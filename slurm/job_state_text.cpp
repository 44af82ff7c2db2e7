/// What squeue and sacct print, read.

#include <cctype>
#include <charconv>
#include <ctime>
#include <string_view>

#include "slurm/job_state.hpp"
#include "slurm/scontrol_text.hpp"

namespace muster {
namespace {

constexpr char kSeparator = '\x1f';

/// A record begins with a job's id at the start of a line; any other line goes on with the last value.
bool begins_record(std::string_view line) {
  if (line.empty() || std::isdigit(static_cast<unsigned char>(line[0])) == 0) return false;
  const std::string_view id = line.substr(0, line.find(kSeparator));
  return id.size() < line.size() &&
         id.find_first_not_of("0123456789_[]-,%.+:abcdefghijklmnopqrstuvwxyz") == std::string_view::npos;
}

std::vector<std::string> records_of(std::string_view text, int& damaged) {
  std::vector<std::string> records;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (begins_record(line)) {
      records.emplace_back(line);
    } else if (!records.empty()) {
      records.back() += "\n" + std::string(line);
    } else if (!line.empty()) {
      ++damaged;
    }
  }
  return records;
}

std::vector<std::string> fields_of(std::string_view record) {
  std::vector<std::string> fields;
  while (true) {
    const std::size_t end = record.find(kSeparator);
    fields.emplace_back(record.substr(0, end));
    if (end == std::string_view::npos) return fields;
    record.remove_prefix(end + 1);
  }
}

/// Slurm's words for nothing are empty here.
std::string value_of(const std::string& field) {
  for (const std::string_view nothing : {"N/A", "(null)", "None", "NONE", "Unknown", "None assigned"}) {
    if (field == nothing) return "";
  }
  return field;
}

std::optional<std::int64_t> number_of(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Unix seconds (SLURM_TIME_FORMAT=%s), or "2026-11-21T15:12:02" in local time.
std::optional<std::int64_t> time_of(const std::string& text) {
  if (const auto seconds = number_of(text)) return seconds;
  std::tm parts{};
  const char* end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  parts.tm_isdst = -1;
  return std::mktime(&parts);
}

/// sacct's "EXIT:SIGNAL", or squeue's raw wait status.
void read_exit(const std::string& text, JobStatus& status) {
  if (phase_of(status.state) != JobPhase::ended) return;
  const std::size_t colon = text.find(':');
  const auto first = number_of(std::string_view(text).substr(0, colon));
  if (!first) return;
  const bool is_raw = colon == std::string::npos;
  const auto signal =
      is_raw ? std::optional(*first & 0x7f) : number_of(std::string_view(text).substr(colon + 1));
  status.exit_code = static_cast<int>(is_raw ? *first >> 8 & 0xff : *first);
  if (signal.value_or(0) != 0) status.signal = static_cast<int>(*signal);
}

/// Name and comment are the last two values, and the name may hold separators.
bool read_last(const std::vector<std::string>& fields, std::size_t first, std::size_t after,
               JobStatus& status) {
  if (after < first + 2) return false;
  status.name = fields[first];
  for (std::size_t i = first + 1; i + 1 < after; ++i) status.name += kSeparator + fields[i];
  status.comment = fields[after - 1] == "(null)" ? "" : fields[after - 1];
  return true;
}

bool read_squeue_record(const std::string& record, JobStatus& status) {
  const std::vector<std::string> fields = fields_of(record);
  constexpr std::size_t kName = 11;
  // Behind the last separator there is nothing.
  if (fields.size() < kName + 3 || !read_last(fields, kName, fields.size() - 1, status)) return false;
  if (!number_of(fields[0]) || fields[3].empty()) return false;
  status.own_id = fields[0];
  status.array_task = value_of(fields[2]);
  status.job = status.array_task.empty() || value_of(fields[1]).empty() ? fields[0] : fields[1];
  status.state = fields[3];
  status.reason = value_of(fields[4]);
  status.restarts = leading_number(fields[5]);
  read_exit(fields[6], status);
  status.start = time_of(fields[7]);
  status.end = time_of(fields[8]);
  status.partition = value_of(fields[9]);
  status.nodes = value_of(fields[10]);
  return true;
}

bool is_step(const std::string& record) {
  return record.substr(0, record.find(kSeparator)).find('.') != std::string::npos;
}

bool read_sacct_record(const std::string& record, JobStatus& status) {
  const std::vector<std::string> fields = fields_of(record);
  constexpr std::size_t kName = 8;
  if (fields.size() < kName + 2 || !read_last(fields, kName, fields.size(), status)) return false;
  if (fields[2].empty()) return false;
  const std::string& id = fields[0];
  const std::size_t underscore = id.find('_');
  status.job = id.substr(0, id.find_first_of("_+"));
  if (underscore != std::string::npos) {
    status.array_task = id.substr(underscore + 1);
    if (status.array_task.starts_with('[') && status.array_task.ends_with(']')) {
      status.array_task = status.array_task.substr(1, status.array_task.size() - 2);
    }
  }
  status.own_id = fields[1];
  status.state = fields[2];
  read_exit(fields[3], status);
  status.start = time_of(fields[4]);
  status.end = time_of(fields[5]);
  status.partition = value_of(fields[6]);
  status.nodes = value_of(fields[7]);
  return true;
}

template <class Read>
std::vector<JobStatus> read_records(const std::string& text, int* damaged, bool steps_too, Read read) {
  int lost = 0;
  std::vector<JobStatus> jobs;
  for (const std::string& record : records_of(text, lost)) {
    if (!steps_too && is_step(record)) continue;
    JobStatus status;
    if (read(record, status)) {
      jobs.push_back(std::move(status));
    } else {
      ++lost;
    }
  }
  if (damaged != nullptr) *damaged = lost;
  return jobs;
}

}  // namespace

// Width 0 is no width: nothing is cut off and nothing filled up.
const char* const kSqueueFormat =
    "JobID:0\x1f,ArrayJobID:0\x1f,ArrayTaskID:0\x1f,State:0\x1f,Reason:0\x1f,RestartCnt:0\x1f,exit_code:"
    "0\x1f,"
    "StartTime:0\x1f,EndTime:0\x1f,Partition:0\x1f,NodeList:0\x1f,Name:0\x1f,Comment:0\x1f";

const char* const kSacctFormat = "JobID,JobIDRaw,State,ExitCode,Start,End,Partition,NodeList,JobName,Comment";
const char* const kSacctDelimiter = "\x1f";

std::vector<JobStatus> parse_squeue(const std::string& text, int* damaged) {
  return read_records(text, damaged, true, read_squeue_record);
}

std::vector<JobStatus> parse_sacct(const std::string& text, int* damaged) {
  return read_records(text, damaged, false, read_sacct_record);
}

}  // namespace muster
