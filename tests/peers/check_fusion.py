"""Loads a fusion's components into plain PyTorch, each by itself, and counts what they get right.

check_fusion.py ARTIFACTS CIFAR10_TEST_BATCH.bin: prints the right answers on the images in the order of
evaluate_fusion's table `component`: of the global head, of both paths, of the experts' mean, of each expert.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from check_fusion_modules import Fusion
from check_networks import build, read_safetensors
from torch import Tensor, nn

RECORD = 1 + 3 * 32 * 32
BATCH = 64


def expert(file: Path) -> tuple[nn.Module, nn.Module, dict[str, str]]:
    """Backbone, head and metadata. Tensors pair up by order, parameters first."""
    tensors, metadata = read_safetensors(file)
    model = build(
        {"network": metadata["model"], "width": metadata["width"], "image_side": metadata["image_side"]}
    )
    buffers = [b for n, b in model.named_buffers() if not n.endswith("num_batches_tracked")]
    own = [*model.parameters(), *buffers]
    in_order = sorted(tensors.items(), key=lambda item: "running" in item[0])
    with torch.no_grad():
        for mine, (name, theirs) in zip(own, in_order, strict=True):
            if mine.shape != theirs.shape:
                sys.exit(f"{file}: {name} is {tuple(theirs.shape)}, PyTorch's {tuple(mine.shape)}")
            mine.copy_(theirs)
    if isinstance(model, nn.Sequential):
        backbone, head = model[:-1], model[-1]
    else:
        head, model.fc = model.fc, nn.Identity()
        backbone = model
    return backbone.double().eval(), head.double(), metadata


def images(file: Path, metadata: dict[str, str]) -> tuple[Tensor, Tensor]:
    records = torch.frombuffer(bytearray(file.read_bytes()), dtype=torch.uint8).view(-1, RECORD)
    mean, deviation = (
        torch.tensor([float(x) for x in metadata[key].split()], dtype=torch.float64).view(1, 3, 1, 1)
        for key in ("mean", "deviation")
    )
    return (records[:, 1:].view(-1, 3, 32, 32).double() / 255 - mean) / deviation, records[:, 0].long()


def main() -> None:
    folder, batch = Path(sys.argv[1]), Path(sys.argv[2])
    files = sorted((folder / "experts").iterdir())
    parts = [expert(file) for file in files]
    fusion_tensors, of_fusion = read_safetensors(folder / "fusion" / "fusion.safetensors")
    widths = [head.in_features for _, head, _ in parts]
    d = int(of_fusion["common_width"]) or max(widths)
    fusion = Fusion(of_fusion["fusion"], widths, d, int(of_fusion["hidden"]) or d)
    fusion.load_state_dict(fusion_tensors)
    fusion.double().eval()
    global_tensors, of_global = read_safetensors(folder / "global" / "global.safetensors")
    head = nn.Linear(d, int(of_global["classes"]))
    head.load_state_dict(global_tensors)
    head.double()

    right = torch.zeros(3 + len(parts), dtype=torch.long)
    x, labels = images(batch, parts[0][2])
    for some, truth in zip(x.split(BATCH), labels.split(BATCH), strict=True):
        with torch.no_grad():
            features = [backbone(some) for backbone, _, _ in parts]
            own = [torch.softmax(h(f), 1) for (_, h, _), f in zip(parts, features, strict=True)]
            answer = torch.softmax(head(fusion(features, {})), 1)
        mean = sum(own) / len(own)
        for i, odds in enumerate((answer, (answer + mean) / 2, mean, *own)):
            right[i] += (odds.argmax(1) == truth).sum()
    print(*right.tolist(), sep="\n")


if __name__ == "__main__":
    main()
