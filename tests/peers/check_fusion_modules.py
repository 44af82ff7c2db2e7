"""Repeats in plain PyTorch the fusions that tests/workloads/fusion_modules_test.cpp wrote down; compares.

check_fusion_modules.py FILE.safetensors...: exits with 0 where outputs and all gradients, of parameters and
of the experts' features, agree relative to each tensor's norm: fp64 to 1e-12, fp32 to 1e-5.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch
from check_networks import distance, read_safetensors
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear


class Fusion(nn.Module):
    """Names as ours. `masks` are the dropout's; without them nothing drops out."""

    def __init__(self, kind: str, widths: list[int], d: int, hidden: int) -> None:
        super().__init__()
        self.kind = kind
        self.projections = nn.ModuleList(nn.Identity() if w == d else nn.Linear(w, d) for w in widths)
        self.norms = nn.ModuleList(nn.LayerNorm(d) for _ in widths)
        if kind == "TransformerBase":
            layer = nn.TransformerEncoderLayer(d, 8, hidden, batch_first=True)
            self.transformer = nn.TransformerEncoder(layer, 2)
        inputs = d * len(widths) if kind == "concatenation" else d
        self.mlp = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(0.2), nn.Linear(hidden, d))

    def forward(self, features: list[Tensor], masks: dict[int, Tensor]) -> Tensor:
        x = torch.stack(
            [n(p(f)) for n, p, f in zip(self.norms, self.projections, features, strict=True)], dim=1
        )
        if self.kind == "concatenation":
            x = x.flatten(1)
        elif self.kind == "TransformerBase":
            x = (self.dropping(x, masks) if masks else self.transformer(x)).mean(dim=1)
        elif self.kind == "multiplicative":
            x = x.prod(dim=1)
        elif self.kind == "multiplicativeAddition":
            x = x.prod(dim=1) + x.sum(dim=1)
        elif self.kind == "multiplicativeShifted":
            x = (x + 1).prod(dim=1)
        else:
            assert self.kind == "simpleAddition"
            x = x.sum(dim=1)
        x = torch.relu(self.mlp[0](x))
        return self.mlp[3](x * masks[0] if masks else x)

    def dropping(self, x: Tensor, masks: dict[int, Tensor]) -> Tensor:
        """The encoder with given masks: PyTorch's own draws them inside."""
        for index, layer in enumerate(self.transformer.layers):
            n, length, d = x.shape

            def mask(site: int, y: Tensor, first: int = 1 + 4 * index) -> Tensor:
                return y * masks[first + site].view(y.shape)

            attention = layer.self_attn
            q, k, v = (
                part.view(n, length, 8, d // 8).permute(0, 2, 1, 3)
                for part in linear(x, attention.in_proj_weight, attention.in_proj_bias).split(d, dim=-1)
            )
            weights = torch.softmax(torch.einsum("nhid,nhjd->nhij", q, k) / math.sqrt(d // 8), dim=-1)
            seen = torch.einsum("nhij,nhjd->nihd", mask(0, weights), v).reshape(n, length, d)
            x = layer_norm(x + mask(1, attention.out_proj(seen)), [d], layer.norm1.weight, layer.norm1.bias)
            hidden = mask(2, torch.relu(layer.linear1(x)))
            x = layer_norm(x + mask(3, layer.linear2(hidden)), [d], layer.norm2.weight, layer.norm2.bias)
        return x


def check(file: Path) -> None:
    record, metadata = read_safetensors(file)
    dtype = torch.float64
    inputs = [record[f"features.{i}"].to(dtype) for i in range(int(metadata["experts"]))]
    weights = {n.removeprefix("start."): t.to(dtype) for n, t in record.items() if n.startswith("start.")}
    model = Fusion(
        metadata["fusion"], [x.shape[1] for x in inputs], int(metadata["d"]), int(metadata["hidden"])
    ).to(dtype)
    model.load_state_dict(weights)
    model.eval()
    worst = 0.0
    limit = 1e-12 if metadata["precision"] == "fp64" else 1e-5
    masks = {int(n.removeprefix("mask.")): t.to(dtype) for n, t in record.items() if n.startswith("mask.")}
    for mode, drawn in (("evaluation", {}), ("training", masks)):
        features = [x.clone().requires_grad_() for x in inputs]
        model.zero_grad()
        output = model(features, drawn)
        (output * record["cotangent"].to(dtype)).sum().backward()
        results = {"output": output.detach()}
        results |= {f"gradient.{n}": p.grad for n, p in model.named_parameters()}
        results |= {f"gradient.features.{i}": x.grad for i, x in enumerate(features)}
        ours = {n.removeprefix(mode + "."): t for n, t in record.items() if n.startswith(mode + ".")}
        if ours.keys() != results.keys():
            sys.exit(f"other tensors: {sorted(ours.keys() ^ results.keys())}")
        for name, exact in results.items():
            gap = distance(ours[name], exact)
            worst = max(worst, gap)
            if not gap <= limit:
                sys.exit(f"{metadata}: {mode}, {name}: {gap:.2e} from fp64, at most {limit:.0e}")
    print(f"{metadata}: farthest from fp64 {worst:.1e}")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        check(Path(argument))
