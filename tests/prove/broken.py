#!/usr/bin/env python3
# The proofs can fail: each is run on a build that is sound, and on builds that are broken on purpose.
"""Works in a clone of the last commit, in a folder of its own; the tree it is called from is not touched."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import proof


@dataclass(frozen=True)
class Break:
    """A change to one file, and the line of a proof that must turn."""

    name: str
    proof: str  # TOPIC and arguments, as short as shows it
    file: str
    old: str  # occurs once
    new: str
    line: str  # of the proof's judgement
    targets: str = "programs"


GRADIENTS = "programs ddp_gradients_test"
SHORT_KILLS = "kills --trials 3 --seed 1"

BREAKS = [
    Break(
        "the mean of gradients divides by one rank too many",
        "gradients",
        "workloads/common/exchange/gradient_exchange.cpp",
        "state_->loss_share = 1.0 / collectives.size();",
        "state_->loss_share = 1.0 / (collectives.size() + 1);",
        "Gradients.EqualTheFullBatchsWithoutBatchNorm",
        GRADIENTS,
    ),
    Break(
        "every exchange goes by the tree, whatever was asked for",
        "gradients",
        "workloads/common/exchange/gradient_exchange.cpp",
        "c10::make_intrusive<CommunicatorBackend>(collectives, options.algorithm)",
        "c10::make_intrusive<CommunicatorBackend>(collectives, ExchangeAlgorithm::tree)",
        "GradientsOfAlgorithm.AreTheSameSumsWithTheBytesOfItsFormula/ring",
        GRADIENTS,
    ),
    Break(
        "checkpoints lack the optimiser's momentum",
        SHORT_KILLS,
        "workloads/common/training_state.cpp",
        "  tensors.insert(tensors.end(), optimiser.state().begin(), optimiser.state().end());\n",
        "  static_cast<void>(optimiser);\n",
        "share whose final weights are bitwise the undisturbed ones",
    ),
    Break(
        "a rank goes on from the older checkpoint",
        SHORT_KILLS,
        "runner/checkpoint_store.cpp",
        "  const std::vector<std::int64_t> steps = agreed_steps();\n",
        "  std::vector<std::int64_t> steps = agreed_steps();\n"
        "  if (steps.size() > 1) steps.erase(steps.begin());\n",
        "steps before the last checkpoint computed again",
    ),
    Break(
        "a launcher starts a gang beside the one that it finds",
        SHORT_KILLS,
        "launcher/supervisor.cpp",
        "        adopt(task, view);\n",
        "        enter(task, TaskPhase::waiting, TaskState::pending);\n",
        "gangs of the task seen alive at once",
    ),
    Break(
        "blocks of a split network are not summed",
        "tensor-parallel --only speed --rounds 1 --steps 2 --side 32 --batch 4",
        "workloads/common/parallel/rank_group.cpp",
        "  if (!sums_ || size() == 1) return {};\n",
        "  if (!sums_ || size() >= 1) return {};\n",
        "blocks whose summed bytes are not the closed form's",
    ),
    Break(
        "CSV leaves out the last digits",
        "metrics --only reading --trials 3",
        "results/csv_row_sink.cpp",
        "std::to_chars(text, limit, std::get<double>(number)).ptr",
        "std::to_chars(text, limit, std::get<double>(number), std::chars_format::general, 12).ptr",
        "share of files in which CSV and HDF5 agree bit for bit",
    ),
    Break(
        "metrics reach the HDF5 file with checkpoints alone",
        "metrics --only reading --trials 3",
        "results/metric_sink.cpp",
        "  void flush() override { on_every_sink(&RowSink::flush); }\n",
        "  void flush() override { sinks_.front()->flush(); }\n",
        "share of trials in which a reader saw it grow",
    ),
    Break(
        "every row of metrics waits for the disk",
        "metrics --only cost",
        "results/metric_sink.cpp",
        "    if (Clock::now() - flushed_ >= kVisibleWithin) flush();\n",
        "    sync();\n",
        "share of a step in metrics and journal, slim steps",
    ),
    Break(
        "unknown keys are taken",
        "errors 'unknown key' 'wrong type'",
        "core/workload_schema.cpp",
        "    } else if (schema.open) {\n",
        "    } else if (schema.open || !name.empty()) {\n",
        "unknown key",
    ),
    Break(
        "a checkpoint's checksum is not looked at",
        "errors 'damaged newest checkpoint'",
        "runner/checkpoint_store.cpp",
        "    if (file->checksum() == listed->second.checksum) return file;\n",
        "    if (!file->checksum().empty()) return file;\n",
        "damaged newest checkpoint",
    ),
    Break(
        "a launcher does not ask whether another drives the run",
        "errors 'two launchers on one run'",
        "launcher/launcher_claim.cpp",
        "    if (state != RunHolder::nobody) throw_busy(run, part_, holder, state);\n",
        "",
        "two launchers on one run",
    ),
    Break(
        "weights are averaged after every step, whatever the period",
        "weight-averaging --only bytes",
        "workloads/weight_averaging/averaging_plan.cpp",
        "  return (step - switch_step) % period == 0;\n",
        "  return step > 0;\n",
        "4 ranks: bytes sent, times fewer than by an average every step",
    ),
    Break(
        "a resumed fusion has forgotten its optimisers' steps",
        "fusion --only kill",
        "workloads/fusion/training.cpp",
        "  fusion_optimiser_.set_steps(done_);\n",
        "",
        "fusions whose components are bitwise the undisturbed ones",
    ),
    Break(
        "a bundle's Open MPI looks for its components where it was installed",
        "bundle",
        "cmake/make_bundle.py",
        '    "OPAL_PREFIX": OPEN_MPI,\n',
        "",
        "PyTorch in Python: right of exec, ddp and the output of each",
    ),
    Break(
        "a bundle takes any version of PyTorch",
        "bundle",
        "launcher/bundle.cpp",
        "  if (found.substr(0, found.find('+')) != version) {\n",
        "  if (found.empty()) {\n",
        "with another PyTorch: one error that names it",
    ),
    Break(
        "each rank dawdles for two seconds before it starts",
        "ddp-speed --only start",
        "runner/gang_task.cpp",
        "    keep_freed_memory();\n",
        "    keep_freed_memory();\n    timespec two{2, 0};\n    nanosleep(&two, nullptr);\n",
        "start to end, share of torchrun's",
        "programs allreduce_once",
    ),
    Break(
        "the largest elements are found by ordering all",
        "compression-kernels --rounds 3",
        "workloads/common/compression/selection.cpp",
        "  const Keys::Bracket bracket = keys.guess(k);\n",
        "  const Keys::Bracket bracket{0, kHighest};\n",
        "topk_1%: times as fast as plain torch",
        "compression_bench",
    ),
]
WORDS = {"gradients": ("verdict: PASS", "[  FAILED  ] {}"), "errors": ("PASS  {}", "FAIL  {}")}


def judged(kind: str, line: str, output: str) -> str:
    """'holds', 'FAILS' or 'says nothing' of the line, however the proof words it."""
    good, bad = WORDS.get(kind, ("holds  {}", "FAILS  {}"))
    for word, form in (("FAILS", bad), ("holds", good)):
        if re.search("^" + re.escape(form.format(line)), output, re.MULTILINE):
            return word
    return "says nothing"


def make_clone(folder: Path) -> Path:
    """Of the last commit; one that an earlier call left in `folder` is brought up to it."""
    clone = folder / "muster"
    if clone.exists():
        subprocess.run(["git", "-C", clone, "fetch", "--quiet", "origin", "HEAD"], check=True)
        subprocess.run(["git", "-C", clone, "reset", "--quiet", "--hard", "FETCH_HEAD"], check=True)
    else:
        subprocess.run(["git", "clone", "--quiet", "--shared", proof.ROOT, clone], check=True)
        for name in (".venv", ".venv-peers"):
            if (proof.ROOT / name).exists():
                (clone / name).symlink_to((proof.ROOT / name).resolve())
    commit = ["git", "-C", str(clone), "rev-parse", "--short=12", "HEAD"]
    print(
        f"a clone of commit {subprocess.run(commit, check=True, capture_output=True, text=True).stdout}",
        end="",
    )
    sys.stdout.flush()
    return clone


def build(clone: Path, targets: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MUSTER_BUILD"}
    done = subprocess.run(
        [clone / "dev", "build", "dev", *targets.split()], env=environment, capture_output=True, text=True
    )
    if done.returncode != 0:
        sys.exit(f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}\nthe clone does not build")


def prove(clone: Path, command: str) -> tuple[int, str]:
    topic, *arguments = shlex.split(command)
    script = next((clone / "tests" / "prove").glob(f"{topic}.*"))
    environment = proof.environment(MUSTER_BUILD=str(clone / "build"))
    done = subprocess.run(
        [script, *arguments], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "topic", nargs="*", help="some of: gradients kills metrics errors weight-averaging bundle ddp-speed"
    )
    parser.add_argument("--folder", type=Path, help="where to clone and build, kept afterwards")
    arguments = parser.parse_args()
    chosen = [b for b in BREAKS if not arguments.topic or b.proof.split()[0] in arguments.topic]
    if not proof.PEERS_PYTHON.exists():
        print(f"ddp-speed is left out: no peer Python at {proof.PEERS_PYTHON}")
        chosen = [b for b in chosen if not b.proof.startswith("ddp-speed")]
    os.environ["MUSTER_PEER_PYTHON"] = str(proof.PEERS_PYTHON)
    as_wanted = 0
    with proof.scratch() as scratch:
        clone = make_clone(arguments.folder or scratch)
        build(clone, " ".join(sorted({target for b in chosen for target in b.targets.split()})))
        sound = {command: prove(clone, command)[1] for command in dict.fromkeys(b.proof for b in chosen)}
        for b in chosen:
            kind = b.proof.split()[0]
            file = clone / b.file
            text = file.read_text()
            assert text.count(b.old) == 1, f"{b.file} has changed: what is to be broken is not once in it"
            file.write_text(text.replace(b.old, b.new))
            build(clone, b.targets)
            code, output = prove(clone, b.proof)
            file.write_text(text)
            before, after = (judged(kind, b.line, out) for out in (sound[b.proof], output))
            wanted = before == "holds" and after == "FAILS" and code != 0
            as_wanted += wanted
            print(f"{'holds' if wanted else 'FAILS'}  {b.name}\n"
                  f"       ./dev prove {b.proof}: '{b.line}' {before} on the sound build; "
                  f"{after} on the broken one, exit status {code}", flush=True)  # fmt: skip
            told = [line for line in output.splitlines() if re.match(r"FAIL|\[  FAILED  \]", line)]
            told = [re.sub(r"(, where.*)? \(\d+ ms\)$", "", line) for line in told]
            print("\n".join(f"       | {line}" for line in dict.fromkeys(told)), flush=True)
            if not wanted:
                print(f"--- sound\n{sound[b.proof][-3000:]}\n--- broken\n{output[-3000:]}")
    passed = bool(chosen) and as_wanted == len(chosen)
    print(f"\n{as_wanted} of {len(chosen)} breaks were seen\nverdict: {'PASS' if passed else 'FAIL'}")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
