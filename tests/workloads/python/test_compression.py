"""Compressors against independent NumPy references: exactly, or by mean and variance where draws decide."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

DIVERGED = 9
LEVELS = ("base", "avx2", "avx512")
RANDOM_STREAM_SELECTION = 8
SIZES = [1, 2, 15, 16, 17, 511, 512, 513, 5000, 70001, 300000]

Compress = Callable[..., tuple[np.ndarray, list[tuple[int, int, int]]]]


@pytest.fixture
def compress(tmp_path: Path) -> Compress:
    """What each step's packed form stands for [steps, n], and its bytes, their closed form, elements kept."""

    def run(
        gradient: np.ndarray, method: str, level: str | None = None, **options: float
    ) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
        source, target = tmp_path / "in.f32", tmp_path / "out.f32"
        gradient.astype("<f4").tofile(source)
        environment = dict(os.environ, **({"MUSTER_KERNELS": level} if level else {}))
        command = [os.environ["MUSTER_COMPRESS_GRADIENTS"], source, target, method]
        command += [f"{name}={value!r}" for name, value in options.items()]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ValueError(done.returncode, done.stderr)
        lines = [tuple(int(word) for word in line.split()) for line in done.stdout.splitlines()]
        return np.fromfile(target, "<f4").reshape(len(lines), -1), lines

    return run


def gradient_of(n: int, seed: int = 1) -> np.ndarray:
    """Of many magnitudes, with zeros and ties."""
    random = np.random.default_rng(seed)
    x = random.normal(size=n) * 10.0 ** random.uniform(-6, 0, size=n)
    x[random.uniform(size=n) < 0.1] = 0
    x[random.uniform(size=n) < 0.1] = 0.0123
    x[random.uniform(size=n) < 0.1] = -0.0123
    return x.astype(np.float32)


def kept_of(n: int, ratio: float) -> int:
    return 0 if n == 0 else max(1, int(np.floor(n * ratio)))


def philox(seed: int, a: int, b: int, c: int, n: np.ndarray) -> list[np.ndarray]:
    """Philox 4x32-10 of the key `seed` and the counters {n, a, b, c}."""
    mask = np.uint64(0xFFFFFFFF)
    x = [n.astype(np.uint64), *(np.full(n.shape, v, np.uint64) for v in (a, b, c))]
    keys = [np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32)]
    for _ in range(10):
        left, right = x[0] * np.uint64(0xD2511F53), x[2] * np.uint64(0xCD9E8D57)
        high = np.uint64(32)
        x = [(right >> high) ^ x[1] ^ keys[0], right & mask, (left >> high) ^ x[3] ^ keys[1], left & mask]
        keys = [(keys[0] + np.uint64(0x9E3779B9)) & mask, (keys[1] + np.uint64(0xBB67AE85)) & mask]
    return x


def test_the_reference_draws_what_the_paper_s_code_draws():
    """Known answers of Random123 for all zeros and all ones."""
    zeros = [int(w[0]) for w in philox(0, 0, 0, 0, np.zeros(1))]
    assert zeros == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    ones = 0xFFFFFFFF
    words = [int(w[0]) for w in philox(2**64 - 1, ones, ones, ones, np.full(1, ones, np.uint64))]
    assert words == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


def drawn_for_selection(n: int, seed: int, layer: int, step: int) -> np.ndarray:
    element = np.arange(n, dtype=np.int64)
    block, row, column = element // 512, element % 512 // 16, element % 16
    words = philox(seed, layer, step, RANDOM_STREAM_SELECTION, 128 * block + 16 * (row // 4) + column)
    return np.choose(row % 4, words)


def largest(keys: np.ndarray, k: int) -> np.ndarray:
    """Indices of the k largest; of equal ones the first."""
    return np.argsort(-keys.astype(np.float64), kind="stable")[:k]


@pytest.mark.parametrize("ratio", [1e-9, 0.001, 0.01, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("n", SIZES)
def test_topk_keeps_the_largest_magnitudes_and_of_equal_ones_the_first(compress, n, ratio):
    x = gradient_of(n)
    k = kept_of(n, ratio)
    expected = np.zeros_like(x)
    chosen = largest(np.abs(x), k)
    expected[chosen] = x[chosen]
    got, lines = compress(x, "topk", ratio=ratio)
    assert np.array_equal(got[0], expected)
    assert lines == [(8 * k, 8 * k, k)]


@pytest.mark.parametrize("x", [np.zeros(100000), np.full(100000, -2.5), np.repeat([0.0, 1.0, 2.0], 40000)])
@pytest.mark.parametrize("ratio", [0.01, 0.5])
def test_topk_counts_exactly_where_nearly_all_are_equal(compress, x, ratio):
    x = x.astype(np.float32)
    k = kept_of(x.size, ratio)
    expected = np.zeros_like(x)
    chosen = largest(np.abs(x), k)
    expected[chosen] = x[chosen]
    got, lines = compress(x, "topk", ratio=ratio)
    assert np.array_equal(got[0], expected)
    assert lines[0][2] == k


def test_topk_is_exact_where_a_sample_misleads(compress):
    x = np.full(400000, 1e-3, np.float32)
    x[12345:15000] = 1 + np.arange(2655)
    expected = np.where(x > 1, x, 0)
    expected[12345] = 1
    assert np.array_equal(compress(x, "topk", ratio=2655 / 400000)[0][0], expected)


@pytest.mark.parametrize("ratio", [1e-9, 0.01, 0.5, 1.0])
@pytest.mark.parametrize("n", SIZES)
def test_randomk_draws_without_replacement_by_seed_layer_and_step(compress, n, ratio):
    x = gradient_of(n)
    k = kept_of(n, ratio)
    for rank in (0, 3):
        got, lines = compress(
            x, "randomk", ratio=ratio, seed=12345678901, layer=7, first=2, steps=2, rank=rank
        )
        for i, step in enumerate((2, 3)):
            chosen = largest(drawn_for_selection(n, 12345678901, 7, step), k)
            expected = np.zeros_like(x)
            expected[chosen] = x[chosen]
            assert np.array_equal(got[i], expected)
            assert lines[i] == (4 * k, 4 * k, k)


def test_unbiased_randomk_has_the_gradient_as_its_mean(compress):
    x = gradient_of(700)
    draws = 10000
    got, _ = compress(x, "randomk", ratio=0.1, unbiased=1, steps=draws)
    k = 70
    share = k / x.size
    x = np.where(x == 0, 0, x).astype(np.float64)
    variance = x**2 * (1 / share - 1)
    check_mean_and_variance(got[:, x != 0], x[x != 0], variance[x != 0], share, (np.abs(x) / share)[x != 0])


def check_mean_and_variance(
    got: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    share: np.ndarray | float,
    unit: np.ndarray | float,
) -> None:
    """Of draws that take one of two values `unit` apart, the upper with probability `share`: within
    5 standard errors for each element where both came up often enough for that to mean something;
    else, summed over the elements."""
    draws = got.shape[0]
    got, share = got.astype(np.float64), np.broadcast_to(share, mean.shape)
    error = got.mean(axis=0) - mean
    often = (share * draws > 100) & ((1 - share) * draws > 100)
    assert often.sum() > 100
    assert (np.abs(error) <= 5 * np.sqrt(variance / draws) + 1e-6 * np.abs(mean))[often].all()
    fourth = ((got - mean) ** 4).mean(axis=0)
    excess = np.abs(((got - mean) ** 2).mean(axis=0) - variance)
    # The squares of a fair coin's outcomes vary by the square of the mean's error alone.
    spread = np.sqrt(np.maximum(fourth - variance**2, 0) / draws)
    assert (excess <= 5 * spread + 25 * variance / draws + 1e-5 * variance)[often].all()
    together = (error[often] ** 2 / variance[often] * draws).mean()
    assert abs(together - 1) < 5 * np.sqrt(2 / often.sum())
    rare = ~often & (variance > 0)
    if rare.any():
        counts, expected = (
            (error / unit * np.sign(mean) * draws)[rare].sum(),
            (variance / unit**2)[rare].sum() * draws,
        )
        assert abs(counts) <= 5 * np.sqrt(expected) + 1e-4 * draws


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("threshold", [0.0, 1e-4, 0.0123, 100.0])
def test_thresholdv_keeps_magnitudes_from_the_threshold_on(compress, n, threshold):
    x = gradient_of(n)
    chosen = np.abs(x) >= np.float32(threshold)
    got, lines = compress(x, "thresholdv", threshold=threshold)
    assert np.array_equal(got[0], np.where(chosen, x, 0))
    assert lines == [(8 * chosen.sum(), -1, chosen.sum())]


def test_terngrad_has_the_paper_s_mean_and_variance(compress):
    x = gradient_of(700)
    scale = np.abs(x).max()
    got, lines = compress(x, "terngrad", steps=10000)
    assert set(np.unique(np.abs(got) / scale)) <= {0, 1}
    magnitude = np.abs(x.astype(np.float64))
    check_mean_and_variance(got, x, magnitude * scale - magnitude**2, magnitude / scale, scale)
    assert lines[0] == (175, 175, 700)


def test_terngrad_cuts_at_standard_deviations(compress):
    x = gradient_of(700)
    limit = np.float32(2.5 * x.astype(np.float64).std())
    cut = np.clip(x, -limit, limit).astype(np.float64)
    assert (np.abs(x) > limit).sum() > 3
    got, _ = compress(x, "terngrad", clip=2.5, steps=10000)
    check_mean_and_variance(got, cut, np.abs(cut) * limit - cut**2, np.abs(cut) / limit, limit)


@pytest.mark.parametrize(("levels", "bits"), [(1, 2), (2, 3), (3, 3), (4, 4), (15, 5), (255, 9), (4000, 13)])
def test_qsgd_has_the_paper_s_mean_and_variance(compress, levels, bits):
    x = gradient_of(700)
    unit = np.linalg.norm(x.astype(np.float64)) / levels
    got, lines = compress(x, "qsgd", levels=levels, steps=10000)
    whole = got.astype(np.float64) / unit
    assert np.abs(whole - np.round(whole)).max() < 1e-3
    share = np.abs(x.astype(np.float64)) / unit % 1
    check_mean_and_variance(got, x, unit**2 * share * (1 - share), share, unit)
    expected = 4 + (700 * bits + 7) // 8
    assert lines[0] == (expected, expected, 700)


def test_qsgd_takes_a_norm_of_each_bucket(compress):
    x = gradient_of(1300) * np.repeat([1, 100, 0.01], [512, 512, 276]).astype(np.float32)
    parts = [x[:512], x[512:1024], x[1024:]]
    unit = np.repeat([np.linalg.norm(p.astype(np.float64)) / 15 for p in parts], [512, 512, 276])
    got, lines = compress(x, "qsgd", levels=15, bucket=512, steps=4000)
    share = np.abs(x.astype(np.float64)) / unit % 1
    check_mean_and_variance(got, x, unit**2 * share * (1 - share), share, unit)
    assert lines[0][0] == 12 + (1300 * 5 + 7) // 8


@pytest.mark.parametrize("method", ["terngrad", "qsgd"])
def test_ranks_round_by_draws_of_their_own(compress, method):
    x = gradient_of(5000)
    mine, others = (compress(x, method, rank=rank)[0][0] for rank in (0, 1))
    step = compress(x, method, first=1)[0][0]
    layer = compress(x, method, layer=1)[0][0]
    for other in (others, step, layer):
        assert not np.array_equal(mine, other)
    assert np.array_equal(mine, compress(x, method)[0][0])


def test_casts_round_to_nearest(compress):
    x = gradient_of(5000)
    got, lines = compress(x, "fp16")
    assert np.array_equal(got[0], x.astype(np.float16).astype(np.float32))
    assert lines == [(10000, 10000, 5000)]
    got, _ = compress(x, "bf16")
    bits = x.view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))) & np.uint64(0xFFFF0000)
    assert np.array_equal(got[0], rounded.astype(np.uint32).view(np.float32))
    assert np.array_equal(compress(x, "none")[0][0], x)


def test_powersgd_finds_a_matrix_of_its_rank_and_improves_with_steps(compress):
    random = np.random.default_rng(3)
    low = random.normal(size=(60, 3)) @ random.normal(size=(3, 90))
    got, lines = compress(low.ravel(), "powersgd", rows=60, powersgd_rank=3)
    assert np.abs(got[0] - low.ravel()).max() < 1e-4
    assert lines[0][0] == 4 * 3 * 90
    full = random.normal(size=(60, 90))
    values = np.linalg.svd(full, compute_uv=False)
    best = np.sqrt((values[4:] ** 2).sum())
    got, _ = compress(full.ravel(), "powersgd", rows=60, powersgd_rank=4, steps=200)
    errors = np.linalg.norm(got - full.ravel(), axis=1)
    assert errors[-1] < 1.01 * best < errors[0]


METHODS = {
    "none": {}, "fp16": {}, "bf16": {}, "topk": {}, "randomk": {"unbiased": 1},
    "thresholdv": {"threshold": 1e-4}, "terngrad": {"clip": 2.5}, "qsgd": {"bucket": 1024},
    "powersgd": {"rows": 3},
}  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_all_instruction_sets_give_the_same_bits(compress, method):
    x = gradient_of(30003)
    results = [compress(x, method, level=level, steps=2, **METHODS[method])[0] for level in LEVELS]
    assert all(np.array_equal(results[0].view(np.uint32), other.view(np.uint32)) for other in results[1:])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [0, 1, 600])
def test_zeros_stay_zeros(compress, method, n):
    got, _ = compress(np.zeros(n), method, **METHODS[method])
    assert (got == 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_one_element_survives(compress, method):
    options = METHODS[method] | {"clip": 0}
    got, _ = compress(np.array([0.25]), method, **options)
    assert got[0, 0] == 0.25


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("magnitude", [1e-45, 1e-42, 1e-39])
def test_denormals_make_nothing_worse_than_themselves(compress, method, magnitude):
    x = (gradient_of(700) * 100 * magnitude).astype(np.float32)
    got, _ = compress(x, method, **METHODS[method])
    assert np.isfinite(got).all()
    assert np.linalg.norm(got.astype(np.float64)) <= 40 * np.linalg.norm(x.astype(np.float64))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 299, 599])
def test_a_gradient_that_is_not_finite_is_an_error_that_names_the_layer(compress, method, bad, place):
    x = gradient_of(600)
    x[place] = bad
    with pytest.raises(ValueError, match="conv1.weight") as caught:
        compress(x, method, **METHODS[method])
    assert caught.value.args[0] == DIVERGED


def test_fp16_refuses_what_it_cannot_hold(compress):
    assert np.isfinite(compress(np.array([65519.0]), "fp16")[0]).all()
    with pytest.raises(ValueError, match="conv1.weight"):
        compress(np.array([65520.0]), "fp16")
