#pragma once
/// Files that survive a crash: written aside, fsynced, renamed; and exclusive creation without flock
/// (NFS-safe).

#include <filesystem>
#include <string>
#include <string_view>

namespace muster {

/// Writes `text` aside, fsyncs file and folder, renames over `file`. A crash leaves the old file or the new,
/// whole. Throws Error(storage) and leaves no partial file.
void write_durably(const std::filesystem::path& file, std::string_view text);

/// The same without fsync: every process sees the old file or the new, whole; a crash of the machine may
/// leave it empty. For what is written anew before it is needed again.
void write_whole(const std::filesystem::path& file, std::string_view text);

/// Creates `file` with `text` if it does not exist (temporary file and link(2)): whole or not at all, one
/// winner. False where it exists. Not fsynced: it speaks of living processes, which a crash of the machine
/// ends; after one the file may be gone or empty. Throws Error(storage).
bool create_exclusively(const std::filesystem::path& file, std::string_view text);

/// The file's text. Throws Error(storage).
std::string read_text(const std::filesystem::path& file);

void fsync_folder(const std::filesystem::path& folder);

/// Creates the folder and its parents; Error(storage) where that cannot be.
void make_folders(const std::filesystem::path& folder);

}  // namespace muster
