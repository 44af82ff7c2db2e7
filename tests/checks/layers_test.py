"""The layer check finds what it is there to find."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import layers


class IncludeFaults(unittest.TestCase):
    def faults_of(self, files: dict[str, str]) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                file = Path(folder) / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            return layers.include_faults(Path(folder))

    def test_a_low_layer_that_includes_a_high_one(self):
        faults = self.faults_of({"core/task.cpp": '#include "core/task.hpp"\n#include "launcher/plan.hpp"\n'})
        self.assertEqual(len(faults), 1)
        self.assertIn("core/task.cpp:2", faults[0])

    def test_mpi_in_the_launcher(self):
        self.assertIn("<mpi.h>", self.faults_of({"launcher/gang.cpp": "#include <mpi.h>\n"})[0])

    def test_torch_in_the_runner(self):
        self.assertTrue(self.faults_of({"runner/main.cpp": "#  include <torch/torch.h>\n"}))

    def test_the_runners_inside_in_a_workload(self):
        self.assertTrue(self.faults_of({"workloads/ddp/ddp.cpp": '#include "runner/comm/mpi.hpp"\n'}))

    def test_a_json_header_that_others_see_through_another_header(self):
        files = {
            "core/inner.hpp": "#include <nlohmann/json.hpp>\n",
            "core/outer.hpp": '#include "core/inner.hpp"\n',
            "launcher/plan.cpp": '#include "core/outer.hpp"\n',
        }
        self.assertIn("core/inner.hpp:1", self.faults_of(files)[0])
        del files["launcher/plan.cpp"]
        self.assertEqual(self.faults_of(files), [])

    def test_what_the_design_allows(self):
        files = {
            "runner/comm/mpi.cpp": "#include <mpi.h>\n",
            "workloads/ddp/ddp.cpp": '#include <torch/torch.h>\n#include "runner/workload.hpp"\n',
            "workloads/ddp/model.hpp": '#include <torch/nn.h>\n#include "core/task.hpp"\n',
        }
        self.assertEqual(self.faults_of(files), [])


if __name__ == "__main__":
    unittest.main()
