/// muster_cuda.so as the runner loads it, in a process of its own: no GPU is needed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>

#include "core/nvml.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class CudaModuleTest : public ::testing::Test {
 protected:
  /// What print_cuda_module prints of it.
  std::string print(const std::string& module, const std::string& library_folder = "") {
    const std::filesystem::path out = folder_ / "out";
    testing::Process program({MUSTER_PRINT_CUDA_MODULE, module},
                             {{{"LD_LIBRARY_PATH", library_folder}}, {}, out, {}});
    EXPECT_LE(program.wait(), 1) << "it crashed";
    std::string text = testing::text_of(out);
    std::filesystem::remove(out);
    return text;
  }
  testing::TemporaryFolder folder_;
};

TEST_F(CudaModuleTest, NamesWhatIsWrongWithAModule) {
  const std::map<std::string, std::string> problems = {
      {"cuda_wrong_abi",
       "was built for ABI 2 and this muster has ABI 1; take the muster_cuda.so of this build"},
      {"no_plugin", "exports no function muster_cuda"},
      {"needs_absent_library", "libmuster_absent.so"},
      {"nowhere", "there is no such file; build muster where the CUDA toolkit"}};
  for (const auto& [name, problem] : problems) {
    const std::string text = print(MUSTER_TEST_PLUGINS "/" + name + ".so");
    EXPECT_THAT(text, StartsWith("module: error 7: CUDA module '" MUSTER_TEST_PLUGINS "/" + name + ".so'"));
    EXPECT_THAT(text, HasSubstr(problem));
  }
}

#ifdef MUSTER_CUDA_MODULE
TEST_F(CudaModuleTest, RefusesAnNcclThatCannotBeLoaded) {
  testing::write_text(folder_ / "libnccl.so.2", "no library");
  const std::string text = print(MUSTER_CUDA_MODULE, folder_.path());
  EXPECT_THAT(text, StartsWith("module: abi 1\n"));
  EXPECT_THAT(text, HasSubstr("nccl: error 5: NCCL cannot be used: "));
  EXPECT_THAT(text, HasSubstr("libnccl.so.2"));
  EXPECT_THAT(text, HasSubstr("; put its folder on LD_LIBRARY_PATH"));
}

TEST_F(CudaModuleTest, TakesTheNcclOfTheWheelsOnThePath) {
  const std::string folder = MUSTER_GPU_WHEELS "/nccl/lib";
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << "needs the wheel nvidia-nccl-cu13 beside LibTorch: " << folder;
  EXPECT_THAT(print(MUSTER_CUDA_MODULE, folder), ContainsRegex("nccl: 2\\.[0-9]+\\.[0-9]+ from " + folder));
}

TEST_F(CudaModuleTest, SaysWhichDevicesThereAre) {
  const std::size_t gpus = Nvml().gpus().size();
  EXPECT_THAT(print(MUSTER_CUDA_MODULE), HasSubstr(gpus > 0 ? "devices: " + std::to_string(gpus)
                                                            : "devices: error 5: no CUDA device: "));
}
#endif

}  // namespace
}  // namespace muster
