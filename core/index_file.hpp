#pragma once
/// Lists of sample indices in files: NumPy's .npy, or text with one index a line. docs/experts.md has the
/// formats.

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace muster {

/// The indices in a file whose name ends in .npy (one-dimensional, int64, little-endian) or .txt, in its
/// order: each within [0, count), none twice. Nothing in the file is executed. Throws Error(data), naming the
/// file, for another name, a file that is missing, ends early, goes on after its numbers or holds other
/// numbers, an index outside of the range and one that is there twice.
std::vector<std::int64_t> read_indices(const std::filesystem::path& file, std::int64_t count);

/// Writes them as the name's end says, aside, fsynced and renamed; a .npy's bytes are those of NumPy's own
/// `save`. Throws Error(storage); Error(data) for a name that ends otherwise.
void write_indices(const std::filesystem::path& file, std::span<const std::int64_t> indices);

}  // namespace muster
