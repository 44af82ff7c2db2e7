"""Loads a checkpoint of tensor_parallel in plain PyTorch, and compares what its network makes of images.

check_checkpoint.py CHECKPOINT.safetensors OUTPUTS.safetensors: exits with 0 where outputs agree, beside the
largest, to 1e-12 in fp64 and to 1e-5 in fp32. Where torchvision is there and its network is meant, it is
torchvision's own.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import check_networks
import torch
from torch import nn


def build(metadata: dict[str, str]) -> tuple[nn.Module, int, str]:
    """The network, the pixels to which it wants images resized first (0: as they are), and whose it is."""
    name, side = metadata["network"], int(metadata["image_side"])
    torchvisions = name.startswith("imagenet_") and float(metadata["width"]) == 1
    if torchvisions and importlib.util.find_spec("torchvision"):
        import torchvision

        network = getattr(torchvision.models, name.removeprefix("imagenet_"))(num_classes=10)
        return network, side, f"torchvision {torchvision.__version__}"
    return check_networks.build(metadata), 0, "plain PyTorch"


def main() -> None:
    torch.set_num_threads(1)
    checkpoint, _ = check_networks.read_safetensors(Path(sys.argv[1]))
    record, metadata = check_networks.read_safetensors(Path(sys.argv[2]))
    weights = {n.removeprefix("model."): t for n, t in checkpoint.items() if n.startswith("model.")}
    dtype = record["outputs"].dtype
    model, side, whose = build(metadata)
    model.to(dtype)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    left = [n for n in missing if not n.endswith("num_batches_tracked")] + unexpected
    if left:
        sys.exit(f"names differ: {left}")
    images = record["images"].to(dtype)
    if side:
        images = nn.functional.interpolate(images, size=side, mode="bilinear", align_corners=False)
    with torch.no_grad():
        outputs = model.eval()(images)
    distance = ((outputs - record["outputs"]).abs().max() / outputs.abs().max()).item()
    print(f"{metadata} in {whose}, {dtype}: outputs {distance:.1e} apart")
    sys.exit(0 if distance <= (1e-12 if dtype == torch.float64 else 1e-5) else 1)


if __name__ == "__main__":
    main()
