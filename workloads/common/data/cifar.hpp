#pragma once
/// CIFAR-10 and CIFAR-100 (Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009) in the
/// layouts in which they are published: binary (.bin), Python pickles, and a .tar.gz of either.

#include <filesystem>

#include "workloads/common/data/image_set.hpp"

namespace muster::workloads {

enum class CifarKind { any, cifar10, cifar100 };

/// Finds the data set by looking: `where` may be the layout's folder, its parent, or an archive. Where a
/// folder holds several layouts of one set, the binary one is read, then the Python one, then an archive.
/// Batches may be of any length. Labels of CIFAR-100 are the fine ones. Throws Error(data): nothing found
/// (with what was looked for and where), a batch missing, a file truncated (with its size and the multiple
/// that it should be), a label out of range (file, record, value). Error(config) where `any` finds both.
Dataset load_cifar(const std::filesystem::path& where, CifarKind kind = CifarKind::any);

}  // namespace muster::workloads
