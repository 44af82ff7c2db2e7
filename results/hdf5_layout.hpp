#pragma once
/// The names in our HDF5 files, spelled once, and the attributes that hold them. results/README.md documents
/// them.

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "results/hdf5_handle.hpp"

namespace muster {

inline constexpr std::size_t kNumberBytes = 8;  ///< every number in a table is an i64 or an f64

inline constexpr const char* kMetricFormat = "muster-metrics";
inline constexpr int kMetricFormatVersion = 1;
inline constexpr const char* kSweepFormat = "muster-sweep";
inline constexpr int kSweepFormatVersion = 1;

inline constexpr const char* kFormatAttribute = "format";
inline constexpr const char* kFormatVersionAttribute = "format_version";
inline constexpr const char* kTaskAttribute = "task";
inline constexpr const char* kAttemptAttribute = "attempt";
inline constexpr const char* kVisibilityAttribute = "visibility";
inline constexpr const char* kClosedAttribute = "closed";
inline constexpr const char* kTablesAttribute = "tables";
inline constexpr const char* kUnitsAttribute = "units";
inline constexpr const char* kHelpAttribute = "help";
inline constexpr const char* kSourcesAttribute = "sources";

/// Each throws Error(storage) naming `file`. Writing replaces an attribute's value; the text is UTF-8.
void write_text_attribute(Hdf5Id object, const char* name, const std::string& text,
                          const std::filesystem::path& file);
void write_text_array_attribute(Hdf5Id object, const char* name, const std::vector<std::string>& texts,
                                const std::filesystem::path& file);
void write_integer_attribute(Hdf5Id object, const char* name, std::int64_t number,
                             const std::filesystem::path& file);

std::vector<std::string> read_text_attribute(Hdf5Id object, const char* name,
                                             const std::filesystem::path& file);
std::int64_t read_integer_attribute(Hdf5Id object, const char* name, const std::filesystem::path& file);

/// Variable-length UTF-8, as h5py makes str of.
Hdf5Handle text_type();

}  // namespace muster
