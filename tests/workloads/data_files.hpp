#pragma once
/// Small CIFAR files made by tests, and where the real ones lie.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <system_error>
#include <vector>

#include "core/error.hpp"

namespace muster::workloads::testing {

namespace fs = std::filesystem;

/// A folder of the running test's own, empty, and of this process: the same test may run for another device
/// beside it. Removed when the process ends.
inline fs::path fresh_folder() {
  struct Made {
    ~Made() {
      std::error_code ignored;
      for (const fs::path& folder : folders) fs::remove_all(folder, ignored);
    }
    std::vector<fs::path> folders;
  };
  static Made made;
  const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
  std::string name = std::string(info->test_suite_name()) + "-" + info->name();
  std::replace(name.begin(), name.end(), '/', '-');
  const fs::path folder = fs::temp_directory_path() / ("muster-" + name + "-" + std::to_string(::getpid()));
  fs::remove_all(folder);
  fs::create_directories(folder);
  made.folders.push_back(folder);
  return folder;
}

inline void write_bytes(const fs::path& file, const std::vector<std::uint8_t>& bytes) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

/// `records` of CIFAR-10's binary layout; pixel p of record r is (r + p) mod 251, its label r mod 10.
inline std::vector<std::uint8_t> cifar10_records(int records, int first = 0) {
  std::vector<std::uint8_t> bytes;
  for (int r = first; r < first + records; ++r) {
    bytes.push_back(static_cast<std::uint8_t>(r % 10));
    for (int p = 0; p < 3072; ++p) bytes.push_back(static_cast<std::uint8_t>((r + p) % 251));
  }
  return bytes;
}

inline void write_cifar10(const fs::path& folder) {
  for (int i = 1; i <= 5; ++i)
    write_bytes(folder / ("data_batch_" + std::to_string(i) + ".bin"), cifar10_records(i, 10 * i));
  write_bytes(folder / "test_batch.bin", cifar10_records(4));
}

/// The folder of real images, `name` below $MUSTER_TEST_DATA; empty where it is absent.
inline fs::path real_data(const std::string& name) {
  const char* given = std::getenv("MUSTER_TEST_DATA");
  const fs::path root =
      given ? fs::path(given) : fs::path(MUSTER_SOURCE_DIR).parent_path() / "shared" / "data";
  return fs::exists(root / name) ? root / name : fs::path();
}

#define MUSTER_NEEDS_REAL_DATA(variable, name)                         \
  const auto variable = ::muster::workloads::testing::real_data(name); \
  if (variable.empty()) GTEST_SKIP() << "needs real images: '" << name << "' below MUSTER_TEST_DATA"

/// The Error that `call` throws; fails the test where it throws none.
inline Error error_thrown_by(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ExitCode::internal, "nothing was thrown", ""};
}

}  // namespace muster::workloads::testing
