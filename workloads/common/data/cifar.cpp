#include "workloads/common/data/cifar.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>

#include "core/error.hpp"
#include "workloads/common/data/archive.hpp"
#include "workloads/common/data/numpy_bytes.hpp"

namespace muster::workloads {
namespace fs = std::filesystem;
namespace {

// One of the four layouts: its files and how a record or pickle holds a label.
struct Layout {
  const char* name;
  bool binary;
  int classes;
  std::vector<std::string> train;
  std::string test;
  const char* labels;  // key in the pickle
  std::string names;   // file of the class names
  const char* names_key;
};

const std::vector<Layout>& layouts() {
  const auto five = [](const std::string& end) {
    std::vector<std::string> names;
    for (int i = 1; i <= 5; ++i) names.push_back("data_batch_" + std::to_string(i) + end);
    return names;
  };
  static const std::vector<Layout> all{
      {"CIFAR-10 binary", true, 10, five(".bin"), "test_batch.bin", "", "batches.meta.txt", ""},
      {"CIFAR-100 binary", true, 100, {"train.bin"}, "test.bin", "", "fine_label_names.txt", ""},
      {"CIFAR-10 python", false, 10, five(""), "test_batch", "labels", "batches.meta", "label_names"},
      {"CIFAR-100 python", false, 100, {"train"}, "test", "fine_labels", "meta", "fine_label_names"},
  };
  return all;
}

struct Found {
  const Layout* layout = nullptr;
  FileBundle files;
};

// A batch before it becomes tensors: pixels as published (one plane a colour).
struct Records {
  std::vector<std::int64_t> labels;
  Bytes planes;
};

[[noreturn]] void refuse(const std::string& problem, const std::string& advice) {
  throw Error(ExitCode::data, problem, advice);
}

void check_label(std::int64_t label, int classes, const std::string& place, std::size_t record) {
  if (label < 0 || label >= classes) {
    refuse("'" + place + "': record " + std::to_string(record) + " has label " + std::to_string(label) +
               ", but labels go from 0 to " + std::to_string(classes - 1),
           "fetch the file again, or mend the record");
  }
}

void read_binary(const Layout& layout, const FileBundle& files, const std::string& name, Records& into) {
  const Bytes bytes = files.read(name);
  const std::size_t label_bytes = layout.classes == 100 ? 2 : 1;  // CIFAR-100: coarse, then fine
  const std::size_t record = label_bytes + kImageBytes;
  if (bytes.empty() || bytes.size() % record != 0) {
    refuse("'" + files.place(name) + "' is truncated: it has " + std::to_string(bytes.size()) +
               " bytes, which is no multiple of " + std::to_string(record) + " (a record)",
           "fetch the file again");
  }
  for (std::size_t i = 0; i < bytes.size() / record; ++i) {
    const auto* at = bytes.data() + i * record;
    check_label(at[label_bytes - 1], layout.classes, files.place(name), i);
    into.labels.push_back(at[label_bytes - 1]);
    into.planes.insert(into.planes.end(), at + label_bytes, at + record);
  }
}

void read_python(const Layout& layout, const FileBundle& files, const std::string& name, Records& into) {
  const std::string place = files.place(name);
  const Bytes bytes = files.read(name);
  const Pickle pickle(std::as_bytes(std::span(bytes)), batch_pickle_rules(place));
  const auto* batch = pickle.value().dict();
  const PickleValue* data = batch ? batch->find("data") : nullptr;
  const PickleValue* labels = batch ? batch->find(layout.labels) : nullptr;
  if (!data || !labels || !labels->list()) {
    refuse("'" + place + "' has no 'data' array or no '" + layout.labels + "' list",
           "it must be a batch of " + std::string(layout.name));
  }
  const NumpyBytes array = numpy_bytes(*data, place);
  const PickleList& list = *labels->list();
  if (array.shape.size() != 2 || array.shape[1] != kImageBytes ||
      array.shape[0] != static_cast<std::int64_t>(list.size()) || list.empty()) {
    refuse("'" + place + "' does not hold an image of " + std::to_string(kImageBytes) +
               " bytes for each of its " + std::to_string(list.size()) + " labels",
           "fetch the file again");
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    check_label(list[i].integer() ? *list[i].integer() : -1, layout.classes, place, i);
    into.labels.push_back(*list[i].integer());
  }
  into.planes.insert(into.planes.end(), array.data.begin(), array.data.end());
}

ImageSet to_images(const Records& records) {
  const auto count = static_cast<std::int64_t>(records.labels.size());
  ImageSet set{torch::empty({count, kImageSide, kImageSide, kImageChannels}, torch::kUInt8),
               torch::empty({count}, torch::kInt64)};
  std::copy(records.labels.begin(), records.labels.end(), set.labels.data_ptr<std::int64_t>());
  auto* out = set.images.data_ptr<std::uint8_t>();
  constexpr std::int64_t kPlane = kImageSide * kImageSide;
  for (std::int64_t image = 0; image < count; ++image) {
    const auto* planes = records.planes.data() + image * kImageBytes;
    for (std::int64_t pixel = 0; pixel < kPlane; ++pixel) {
      for (std::int64_t channel = 0; channel < kImageChannels; ++channel)
        *out++ = planes[channel * kPlane + pixel];
    }
  }
  return set;
}

// Class names are for people: where their file is absent or odd, numbers serve.
std::vector<std::string> class_names(const Layout& layout, const FileBundle& files) {
  std::vector<std::string> names;
  if (files.has(layout.names)) {
    const Bytes bytes = files.read(layout.names);
    if (layout.binary) {
      std::string line;
      for (const auto byte : bytes) {
        if (byte == '\n') {
          if (!line.empty()) names.push_back(std::exchange(line, {}));
        } else if (byte != '\r') {
          line += static_cast<char>(byte);
        }
      }
      if (!line.empty()) names.push_back(line);
    } else {
      const Pickle meta(std::as_bytes(std::span(bytes)), batch_pickle_rules(files.place(layout.names)));
      const auto* dict = meta.value().dict();
      if (const auto* value = dict ? dict->find(layout.names_key) : nullptr) {
        if (const auto* list = value->list()) {
          for (const auto& name : *list) names.push_back(name.text() ? std::string(*name.text()) : "?");
        }
      }
    }
  }
  if (static_cast<int>(names.size()) != layout.classes) {
    names.clear();
    for (int i = 0; i < layout.classes; ++i) names.push_back(std::to_string(i));
  }
  return names;
}

bool holds_some(const Layout& layout, const FileBundle& files) {
  return files.has(layout.test) || std::any_of(layout.train.begin(), layout.train.end(),
                                               [&](const auto& name) { return files.has(name); });
}

void recognise(FileBundle files, std::vector<Found>& found) {
  for (const auto& layout : layouts()) {
    if (holds_some(layout, files)) found.push_back({&layout, files});
  }
}

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

bool fits(const Layout& layout, CifarKind kind) {
  return kind == CifarKind::any || (kind == CifarKind::cifar10) == (layout.classes == 10);
}

std::vector<Found> look(const fs::path& where, CifarKind kind) {
  std::vector<Found> found;
  const auto wanted = [&] {
    std::erase_if(found, [&](const Found& one) { return !fits(*one.layout, kind); });
    return !found.empty();
  };
  if (fs::is_regular_file(where)) {
    recognise(FileBundle::of_archive(where), found);
    wanted();
    return found;
  }
  recognise(FileBundle::of_folder(where), found);
  for (const auto& path : entries(where)) {
    if (fs::is_directory(path)) recognise(FileBundle::of_folder(path), found);
  }
  if (wanted()) return found;
  for (const auto& path : entries(where)) {
    if (fs::is_regular_file(path) && looks_like_archive(path) &&
        path.filename().string().find("cifar") != std::string::npos) {
      recognise(FileBundle::of_archive(path), found);
      if (wanted()) return found;
    }
  }
  return found;
}

[[noreturn]] void refuse_missing(const fs::path& where, CifarKind kind) {
  const char* set = kind == CifarKind::cifar10    ? "CIFAR-10"
                    : kind == CifarKind::cifar100 ? "CIFAR-100"
                                                  : "CIFAR-10 or CIFAR-100";
  std::string problem = std::string("no ") + set + " in '" + where.string() + "'";
  if (!fs::exists(where)) {
    problem += ", which does not exist";
  } else {
    problem += "; looked there and in its folders for ";
    const char* separator = "";
    for (const auto& layout : layouts()) {
      if (!fits(layout, kind)) continue;
      problem += separator + layout.train.front() + " (" + layout.name + ")";
      separator = ", ";
    }
    problem += ", and for cifar*.tar.gz";
  }
  refuse(problem, "give the folder that holds the batches, its parent, or the .tar.gz as published");
}

}  // namespace

Dataset load_cifar(const fs::path& where, CifarKind kind) {
  std::vector<Found> found = fs::exists(where) ? look(where, kind) : std::vector<Found>{};
  if (found.empty()) refuse_missing(where, kind);
  std::stable_sort(found.begin(), found.end(),
                   [](const Found& a, const Found& b) { return a.layout->binary && !b.layout->binary; });
  const Found& first = found.front();
  const Layout& layout = *first.layout;
  if (std::any_of(found.begin(), found.end(),
                  [&](const Found& one) { return one.layout->classes != layout.classes; })) {
    throw Error(ExitCode::config, "'" + where.string() + "' holds both CIFAR-10 and CIFAR-100",
                "give the folder of the one that is meant, or name the data set");
  }
  const auto read = [&](const std::vector<std::string>& names) {
    Records records;
    for (const auto& name : names) {
      if (!first.files.has(name)) {
        refuse("'" + first.files.place(name) + "' is missing: " + layout.name + " needs it beside the others",
               "fetch the data set again");
      }
      layout.binary ? read_binary(layout, first.files, name, records)
                    : read_python(layout, first.files, name, records);
    }
    return to_images(records);
  };
  Dataset set;
  set.name = layout.classes == 10 ? "cifar10" : "cifar100";
  set.source = first.files.origin().string() + " (" + layout.name + ")";
  set.classes = layout.classes;
  set.class_names = class_names(layout, first.files);
  set.train = read(layout.train);
  set.test = read({layout.test});
  return set;
}

}  // namespace muster::workloads
