#pragma once
/// The zip files that torch.save writes: entries stored as they are, not compressed.
/// Format: PKWARE's APPNOTE.TXT.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>

namespace muster {

struct ZipEntry {
  std::span<const std::byte> bytes;
  std::uint32_t crc32 = 0;  ///< as the directory says it
};

/// The entries by name; the bytes are those of `archive`. Throws Error(data), naming `file`, for a directory
/// that is cut or leaves the file, a compressed or encrypted entry, entries that overlap, a name given twice,
/// and a local header that contradicts the directory.
std::map<std::string, ZipEntry> read_zip_entries(std::span<const std::byte> archive,
                                                 const std::filesystem::path& file);

/// Throws Error(data) unless the bytes have the entry's CRC-32.
void check_crc(const std::string& name, const ZipEntry& entry, const std::filesystem::path& file);

}  // namespace muster
