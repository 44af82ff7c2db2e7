#pragma once
/// `[slurm]` of an experiment file, and the site's defaults below it.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/slurm_options.hpp"
#include "core/toml_checks.hpp"

namespace muster {

/// Where each key stands goes to `places` as "slurm.KEY". A relative prologue is taken from the file's
/// folder. Throws Error(config): an unknown key, a wrong type, an option of sbatch that muster gives itself.
SlurmOptions read_slurm_options(const TomlNode& table, Places& places);

/// The site's file: `$XDG_CONFIG_HOME/muster/slurm.toml`, else `~/.config/muster/slurm.toml`; nullopt where
/// there is none. It has the keys of `[slurm]` at its root.
std::optional<std::filesystem::path> site_slurm_file();

/// What `experiment` gives, and where it gives nothing what `site` does; the tables [slurm.sbatch] are laid
/// over each other key by key. What was given is told by `places`, to which those of the site's keys are
/// added.
SlurmOptions lay_over(const SlurmOptions& site, const Places& site_places, const SlurmOptions& experiment,
                      Places& places);

/// The experiment's options over those of the site's file. Throws Error(config) for a mistake in that file.
SlurmOptions with_site_defaults(const SlurmOptions& experiment, Places& places);

}  // namespace muster
