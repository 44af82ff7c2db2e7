#include "workloads/common/data/cifar.hpp"

#include <gmock/gmock.h>

#include "tests/workloads/data_files.hpp"

namespace muster::workloads {
namespace {

using testing::error_thrown_by;
using testing::fresh_folder;
using ::testing::HasSubstr;
using testing::write_bytes;
using testing::write_cifar10;

void expect_equal(const ImageSet& a, const ImageSet& b) {
  EXPECT_TRUE(torch::equal(a.images, b.images));
  EXPECT_TRUE(torch::equal(a.labels, b.labels));
}

int run(const std::string& command) { return std::system(command.c_str()); }

TEST(Cifar, ReadsBinaryBatchesOfAnyLengthInOrder) {
  const auto folder = fresh_folder();
  write_cifar10(folder);
  const Dataset set = load_cifar(folder);
  EXPECT_EQ(set.name, "cifar10");
  EXPECT_EQ(set.classes, 10);
  EXPECT_EQ(set.train.size(), 15);
  EXPECT_EQ(set.test.size(), 4);
  // Record 0 of data_batch_3 is record 30, after 1 + 2 others; planes become the last dimension.
  const auto image = set.train.images[3];
  EXPECT_EQ(image[0][5][0].item<int>(), 35);
  EXPECT_EQ(image[0][5][1].item<int>(), (30 + 1024 + 5) % 251);
  EXPECT_EQ(image[31][31][2].item<int>(), (30 + 3071) % 251);
  EXPECT_EQ(set.train.labels[4].item<int>(), 1);
}

TEST(Cifar, IsFoundInTheParentFolderAndInAnArchive) {
  const auto folder = fresh_folder();
  write_cifar10(folder / "cifar-10-batches-bin");
  const Dataset direct = load_cifar(folder / "cifar-10-batches-bin");
  expect_equal(load_cifar(folder).train, direct.train);
  ASSERT_EQ(run("cd '" + folder.string() +
                "' && tar -czf cifar-10-binary.tar.gz cifar-10-batches-bin && rm -r cifar-10-batches-bin"),
            0);
  expect_equal(load_cifar(folder).train, direct.train);
  expect_equal(load_cifar(folder / "cifar-10-binary.tar.gz").test, direct.test);
}

TEST(Cifar, RealBinaryPythonAndArchiveAgree) {
  MUSTER_NEEDS_REAL_DATA(real, "cifar10-subset");
  const Dataset binary = load_cifar(real / "cifar-10-batches-bin");
  const Dataset python = load_cifar(real / "cifar-10-batches-py");
  EXPECT_EQ(binary.train.size(), 8336);
  EXPECT_EQ(binary.test.size(), 1017);
  EXPECT_EQ(binary.class_names[3], "cat");
  EXPECT_EQ(python.class_names, binary.class_names);
  expect_equal(python.train, binary.train);
  expect_equal(python.test, binary.test);
  EXPECT_EQ(load_cifar(real).source, (real / "cifar-10-batches-bin").string() + " (CIFAR-10 binary)");
  const auto folder = fresh_folder();
  ASSERT_EQ(run("tar -czf '" + (folder / "cifar-10-python.tar.gz").string() + "' -C '" + real.string() +
                "' cifar-10-batches-py"),
            0);
  expect_equal(load_cifar(folder).train, binary.train);
}

TEST(Cifar, RealCifar100UsesFineLabelsInBothLayouts) {
  MUSTER_NEEDS_REAL_DATA(real, "cifar100-subset");
  const Dataset binary = load_cifar(real / "cifar-100-binary");
  const Dataset python = load_cifar(real / "cifar-100-python");
  EXPECT_EQ(binary.classes, 100);
  EXPECT_EQ(binary.train.size(), 1117);
  EXPECT_GT(binary.train.labels.max().item<int>(), 90);
  EXPECT_EQ(binary.class_names[0], "apple");
  expect_equal(python.train, binary.train);
  expect_equal(python.test, binary.test);
}

TEST(Cifar, MissingDataSayWhatWasLookedForAndWhere) {
  const auto folder = fresh_folder();
  const Error empty = error_thrown_by([&] { load_cifar(folder, CifarKind::cifar10); });
  EXPECT_EQ(empty.code(), ExitCode::data);
  EXPECT_THAT(empty.problem(), HasSubstr(folder.string()));
  EXPECT_THAT(empty.problem(), HasSubstr("data_batch_1.bin"));
  EXPECT_THAT(error_thrown_by([&] { load_cifar(folder / "nowhere"); }).problem(),
              HasSubstr("does not exist"));
  write_cifar10(folder);
  std::filesystem::remove(folder / "data_batch_4.bin");
  EXPECT_THAT(error_thrown_by([&] { load_cifar(folder); }).problem(),
              HasSubstr("data_batch_4.bin' is missing"));
  EXPECT_THAT(error_thrown_by([&] { load_cifar(folder, CifarKind::cifar100); }).problem(),
              HasSubstr("no CIFAR-100"));
}

TEST(Cifar, ATruncatedBatchIsNamedWithItsSize) {
  const auto folder = fresh_folder();
  write_cifar10(folder);
  std::filesystem::resize_file(folder / "data_batch_5.bin", 5 * 3073 - 100);
  const Error error = error_thrown_by([&] { load_cifar(folder); });
  EXPECT_EQ(error.code(), ExitCode::data);
  EXPECT_THAT(error.problem(), HasSubstr("data_batch_5.bin"));
  EXPECT_THAT(error.problem(), HasSubstr("15265"));
  EXPECT_THAT(error.problem(), HasSubstr("3073"));
}

TEST(Cifar, ALabelOutOfRangeIsNamedWithItsRecord) {
  const auto folder = fresh_folder();
  write_cifar10(folder);
  auto bytes = testing::cifar10_records(3);
  bytes[2 * 3073] = 17;
  write_bytes(folder / "data_batch_2.bin", bytes);
  const Error error = error_thrown_by([&] { load_cifar(folder); });
  EXPECT_EQ(error.code(), ExitCode::data);
  EXPECT_THAT(error.problem(), HasSubstr("data_batch_2.bin': record 2 has label 17"));
}

TEST(Cifar, TwoSetsInOneFolderMustBeToldApart) {
  const auto folder = fresh_folder();
  write_cifar10(folder / "ten");
  std::vector<std::uint8_t> record(3074, 7);
  write_bytes(folder / "hundred" / "train.bin", record);
  write_bytes(folder / "hundred" / "test.bin", record);
  EXPECT_EQ(error_thrown_by([&] { load_cifar(folder); }).code(), ExitCode::config);
  EXPECT_EQ(load_cifar(folder, CifarKind::cifar100).train.size(), 1);
}

TEST(Cifar, ATruncatedArchiveIsRefused) {
  const auto folder = fresh_folder();
  write_cifar10(folder / "ten");
  const auto archive = folder / "cifar-10-binary.tar.gz";
  ASSERT_EQ(run("tar -czf '" + archive.string() + "' -C '" + folder.string() + "' ten"), 0);
  std::filesystem::resize_file(archive, std::filesystem::file_size(archive) / 2);
  const Error error = error_thrown_by([&] { load_cifar(archive); });
  EXPECT_EQ(error.code(), ExitCode::data);
  EXPECT_THAT(error.problem(), HasSubstr("ends early"));
}

}  // namespace
}  // namespace muster::workloads
