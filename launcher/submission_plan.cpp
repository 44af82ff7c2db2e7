#include "launcher/submission_plan.hpp"

#include <algorithm>
#include <cstdio>
#include <initializer_list>
#include <iterator>
#include <set>

#include "core/counted.hpp"
#include "core/resource_values.hpp"
#include "launcher/node_shape.hpp"
#include "launcher/packer.hpp"

namespace muster {

namespace {

/// Tasks shorter than this would wait for the start of their job longer than is worth it.
constexpr double kShortTask = 300;
constexpr int kSignalSeconds = 120;

using Tasks = std::vector<WaitingTask>;

std::string duration(double seconds) {
  char text[32];
  if (seconds < 90) {
    std::snprintf(text, sizeof text, "%.0f s", seconds);
  } else if (seconds < 90 * 60) {
    std::snprintf(text, sizeof text, "%.0f min", seconds / 60);
  } else {
    std::snprintf(text, sizeof text, "%.1f h", seconds / 3600);
  }
  return text;
}

NodeShape shape_for(const SiteRequest& site) {
  if (const auto shape = shape_of(site.capabilities, site.options)) return *shape;
  JobRequest least;
  least.options = site.options;
  check_request(site.capabilities, least, site.places);
  throw Error(ExitCode::resources, "Slurm names no partition that this user may use",
              "give partition under [slurm]");
}

/// The first of the keys that is given.
std::optional<SourcePlace> place_of(const SiteRequest& site, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const auto found = site.places.find(key);
    if (found != site.places.end()) return found->second;
  }
  return std::nullopt;
}

TaskLayout layout_of(const WaitingTask& task, const NodeShape& shape, const SiteRequest& site) {
  require_whole_gpus(task.needs, "task-" + std::to_string(task.number),
                     place_of(site, {"resources.gpus_per_rank", "resources.ranks"}));
  if (const auto layout = lay_out(task.needs, shape)) return *layout;
  throw Error(
      ExitCode::resources,
      "task-" + std::to_string(task.number) + " (" + task.label + ") has no room in partition '" +
          shape.partition + "': " + counted(task.needs.ranks, "rank") + " with " +
          counted(task.needs.cpus_per_rank, "CPU") + " and " + gpus_of_a_rank(task.needs) +
          " each, but one job may have " + counted(shape.nodes, "node") + " of " +
          counted(shape.cpus, "CPU") + " and " + counted(shape.gpus, "GPU") +
          ", with the same number of ranks on each",
      "ask for less, or choose another partition under [slurm]",
      place_of(site, {"slurm.gpu_type", "slurm.partition", "resources.gpus_per_rank", "resources.ranks"}));
}

/// By stage, in their order: tasks of one stage alone run beside each other, as far as is known beforehand.
std::vector<Tasks> by_stage(const Tasks& tasks) {
  std::vector<Tasks> stages;
  for (const WaitingTask& task : tasks) {
    const auto own = std::find_if(stages.begin(), stages.end(),
                                  [&](const Tasks& known) { return known.front().stage == task.stage; });
    if (own == stages.end()) {
      stages.push_back({task});
    } else {
      own->push_back(task);
    }
  }
  return stages;
}

/// What is used of the fullest node when all that can runs at once.
TaskLayout used_at_once(const Tasks& tasks, const NodeShape& shape, int nodes) {
  std::vector<Slots> hosts;
  for (int number = 0; number < nodes; ++number)
    hosts.push_back(numbered_slots(std::to_string(number), shape.cpus, shape.gpus));
  std::vector<Packer::Waiting> queue;
  for (const WaitingTask& task : tasks) queue.push_back({std::to_string(task.number), task.needs});
  Packer packer(std::move(hosts));
  std::map<std::string, std::pair<std::set<int>, std::set<std::string>>> used;
  for (const Packer::Placement& placement : packer.place(queue)) {
    for (const RankPlace& rank : placement.assignment.ranks) {
      used[rank.host].first.insert(rank.cpus.begin(), rank.cpus.end());
      used[rank.host].second.insert(rank.gpus.begin(), rank.gpus.end());
    }
  }
  TaskLayout most{nodes, 1, 1, 0};
  for (const auto& [host, slots] : used) {
    most.cpus_per_node = std::max(most.cpus_per_node, static_cast<int>(slots.first.size()));
    most.gpus_per_node = std::max(most.gpus_per_node, static_cast<int>(slots.second.size()));
  }
  return most;
}

bool fit_one_node(const Tasks& tasks, const NodeShape& shape) {
  std::int64_t cpus = 0, gpus = 0;
  for (const WaitingTask& task : tasks) {
    if (task.needs.exclusive && tasks.size() > 1) return false;
    cpus += std::int64_t{task.needs.ranks} * task.needs.cpus_per_rank;
    gpus += task.needs.gpus_of(task.needs.ranks);
  }
  return cpus <= shape.cpus && gpus <= shape.gpus;
}

bool all_at_once_on_one_node(const Tasks& tasks, const NodeShape& shape) {
  const std::vector<Tasks> stages = by_stage(tasks);
  return std::all_of(stages.begin(), stages.end(),
                     [&](const Tasks& of_stage) { return fit_one_node(of_stage, shape); });
}

int wished_nodes(const SubmissionWish& wish, const SiteRequest& site) {
  return wish.nodes > 0 ? wish.nodes : site.options.nodes;
}

struct Choice {
  SubmissionKind kind;
  std::string why;
};

Choice choose(const Tasks& tasks, const SubmissionWish& wish, const SiteRequest& site,
              const NodeShape& shape) {
  const auto pack = [](const std::string& why) { return Choice{SubmissionKind::pack, "one job: " + why}; };
  const auto array = [](const std::string& why) {
    return Choice{SubmissionKind::array, "a job a task: " + why};
  };
  const std::string all = counted(std::ssize(tasks), "task");
  if (wish.kind == SubmissionKind::pack) return pack("as asked for");
  if (wish.kind == SubmissionKind::array) return array("as asked for");
  if (tasks.size() == 1) return pack("there is one task");
  if (!site.capabilities.packs_steps())
    return array("this Slurm (" + site.capabilities.select_type + ") runs one step at a time in a job");
  if (wished_nodes(wish, site) > 0) return pack("its nodes are given");
  if (static_cast<int>(tasks.size()) > site.capabilities.max_job_count)
    return pack("this Slurm holds " + counted(site.capabilities.max_job_count, "job") + ", and there are " +
                all);
  if (all_at_once_on_one_node(tasks, shape))
    return pack("all " + all + (by_stage(tasks).size() > 1 ? " run, stage by stage," : " run") +
                " at once on one node");
  if (wish.task_seconds && *wish.task_seconds < kShortTask)
    return pack("a task takes " + duration(*wish.task_seconds) +
                ", and a job for each would wait longer than that to start");
  if (wish.task_seconds)
    return array("a task takes " + duration(*wish.task_seconds) +
                 ", so each starts as soon as there is room for it and holds nothing when it ends");
  return array(all +
               " do not fit one node at once, and how long one takes is not known yet; '--pack --nodes N' "
               "runs them in one job");
}

int signal_seconds(const SiteRequest& site, const NodeShape& shape) {
  auto limit = parse_slurm_time(site.options.time);
  if (site.options.time.empty()) {
    const SlurmPartition* partition = site.capabilities.partition(shape.partition);
    if (partition != nullptr)
      limit = partition->default_seconds ? partition->default_seconds : partition->max_seconds;
  }
  // A signal that comes before there is anything to save is of no use.
  return limit ? static_cast<int>(std::min<std::int64_t>(kSignalSeconds, *limit / 4)) : kSignalSeconds;
}

/// Slurm is told of ranks where all have as many CPUs, else of single CPUs.
void set_size(JobRequest& request, const TaskLayout& layout, int cpus_per_rank) {
  const bool even = cpus_per_rank > 0 && layout.cpus_per_node % cpus_per_rank == 0;
  request.nodes = layout.nodes;
  request.cpus_per_task = even ? cpus_per_rank : 1;
  request.tasks_per_node = layout.cpus_per_node / request.cpus_per_task;
  request.gpus_per_node = layout.gpus_per_node;
}

JobRequest request_for(const SiteRequest& site, const NodeShape& shape, bool exclusive) {
  JobRequest request;
  request.options = site.options;
  request.signal_seconds = signal_seconds(site, shape);
  // What is measured has no other user's job beside it.
  if (exclusive) request.options.sbatch.try_emplace("exclusive", "");
  return request;
}

std::vector<int> numbers_of(const Tasks& tasks) {
  std::vector<int> numbers;
  for (const WaitingTask& task : tasks) numbers.push_back(task.number);
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

PlannedSubmission plan_pack(const Tasks& tasks, const SubmissionWish& wish, const SiteRequest& site,
                            const NodeShape& shape) {
  TaskLayout largest;
  bool exclusive = false;
  int cpus_per_rank = tasks.front().needs.cpus_per_rank;
  for (const WaitingTask& task : tasks) {
    const TaskLayout layout = layout_of(task, shape, site);
    largest.nodes = std::max(largest.nodes, layout.nodes);
    largest.cpus_per_node = std::max(largest.cpus_per_node, layout.cpus_per_node);
    largest.gpus_per_node = std::max(largest.gpus_per_node, layout.gpus_per_node);
    exclusive = exclusive || task.needs.exclusive;
    if (task.needs.cpus_per_rank != cpus_per_rank || task.needs.oversubscribe) cpus_per_rank = 0;
  }
  const int nodes = wished_nodes(wish, site) > 0 ? wished_nodes(wish, site) : largest.nodes;
  if (nodes < largest.nodes) {
    throw Error(ExitCode::resources,
                counted(nodes, "node") + " cannot hold the largest task, which needs " +
                    counted(largest.nodes, "node"),
                "ask for more", place_of(site, {"slurm.nodes"}));
  }
  TaskLayout size;
  for (const Tasks& of_stage : by_stage(tasks)) {
    const TaskLayout used = used_at_once(of_stage, shape, std::min(nodes, shape.nodes));
    size.cpus_per_node = std::max(size.cpus_per_node, used.cpus_per_node);
    size.gpus_per_node = std::max(size.gpus_per_node, used.gpus_per_node);
  }
  size.nodes = nodes;
  size.cpus_per_node = std::max(size.cpus_per_node, largest.cpus_per_node);
  size.gpus_per_node = std::max(size.gpus_per_node, largest.gpus_per_node);
  PlannedSubmission planned;
  planned.tasks = numbers_of(tasks);
  planned.request = request_for(site, shape, exclusive);
  set_size(planned.request, size, cpus_per_rank);
  return planned;
}

/// Tasks with equal resources that wait for the same ones.
std::vector<Tasks> classes_of(const Tasks& tasks) {
  std::vector<Tasks> classes;
  for (const WaitingTask& task : tasks) {
    const auto own = std::find_if(classes.begin(), classes.end(), [&](const Tasks& known) {
      return known.front().needs == task.needs && known.front().waits_for == task.waits_for;
    });
    if (own == classes.end()) {
      classes.push_back({task});
    } else {
      own->push_back(task);
    }
  }
  return classes;
}

/// Where its tasks wait for more different sets of others than anybody wants jobs for, each waits for all.
Tasks with_few_classes(Tasks of_stage) {
  if (classes_of(of_stage).size() <= kMostClasses) return of_stage;
  std::set<int> all;
  for (const WaitingTask& task : of_stage) all.insert(task.waits_for.begin(), task.waits_for.end());
  for (WaitingTask& task : of_stage) task.waits_for.assign(all.begin(), all.end());
  return of_stage;
}

void plan_arrays(const Tasks& tasks, const SiteRequest& site, const NodeShape& shape,
                 std::vector<PlannedSubmission>& plans) {
  const Resources& needs = tasks.front().needs;
  PlannedSubmission whole;
  whole.kind = SubmissionKind::array;
  whole.waits_for = tasks.front().waits_for;
  whole.request = request_for(site, shape, needs.exclusive);
  set_size(whole.request, layout_of(tasks.front(), shape, site),
           needs.oversubscribe ? 0 : needs.cpus_per_rank);
  std::map<int, std::vector<int>> by_first;
  for (const int number : numbers_of(tasks)) {
    by_first[number - number % site.capabilities.max_array_size].push_back(number);
  }
  for (auto& [first, numbers] : by_first) {
    PlannedSubmission planned = whole;
    std::vector<int> indices;
    for (const int number : numbers) indices.push_back(number - first);
    planned.first = first;
    planned.request.array = index_ranges(indices);
    planned.tasks = std::move(numbers);
    plans.push_back(std::move(planned));
  }
}

}  // namespace

std::vector<std::string> jobs_to_wait_for(const PlannedSubmission& planned,
                                          const std::vector<PlannedSubmission>& plans,
                                          const std::vector<std::string>& jobs) {
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    std::vector<int> needed;
    std::set_intersection(plans[i].tasks.begin(), plans[i].tasks.end(), planned.waits_for.begin(),
                          planned.waits_for.end(), std::back_inserter(needed));
    if (needed == plans[i].tasks) {
      ids.push_back(jobs[i]);
      continue;
    }
    for (const int number : needed) ids.push_back(jobs[i] + "_" + std::to_string(number - plans[i].first));
  }
  return ids;
}

std::string index_ranges(const std::vector<int>& indices) {
  std::string text;
  for (std::size_t i = 0; i < indices.size();) {
    std::size_t last = i;
    while (last + 1 < indices.size() && indices[last + 1] == indices[last] + 1) ++last;
    text += (text.empty() ? "" : ",") + std::to_string(indices[i]);
    if (last > i) text += "-" + std::to_string(indices[last]);
    i = last + 1;
  }
  return text;
}

SubmissionPlan plan_submissions(const Tasks& tasks, const SubmissionWish& wish, const SiteRequest& site) {
  const NodeShape shape = shape_for(site);
  const Choice choice = choose(tasks, wish, site, shape);
  SubmissionPlan plan;
  plan.why = choice.why;
  if (choice.kind == SubmissionKind::pack) {
    plan.submissions.push_back(plan_pack(tasks, wish, site, shape));
  } else {
    Tasks few;
    for (const Tasks& of_stage : by_stage(tasks)) {
      const Tasks of_few_classes = with_few_classes(of_stage);
      few.insert(few.end(), of_few_classes.begin(), of_few_classes.end());
    }
    for (const Tasks& of_class : classes_of(few)) plan_arrays(of_class, site, shape, plan.submissions);
  }
  for (const PlannedSubmission& planned : plan.submissions)
    check_request(site.capabilities, planned.request, site.places);
  return plan;
}

}  // namespace muster
