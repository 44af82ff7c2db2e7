#include "core/value_places.hpp"

#include "core/resource_values.hpp"

namespace muster {

namespace {

std::string name_of(const std::string& key, const Value& value) { return key + " = " + value.canonical(); }

}  // namespace

ValuePlaces::ValuePlaces(const Experiment& experiment) : experiment_(experiment) {
  for (const Axis& axis : experiment.matrix.common) add(axis, "matrix.grid.");
  for (const Axis& axis : experiment.matrix.grid) add(axis, "matrix.grid.");
  for (const Axis& axis : experiment.matrix.zip) add(axis, "matrix.zip.");
  for (std::size_t i = 0; i < experiment.matrix.include.size(); ++i) {
    for (const auto& [key, value] : experiment.matrix.include[i])
      places_.try_emplace(name_of(key, value), of("matrix.include[" + std::to_string(i) + "]." + key));
  }
}

SourcePlace ValuePlaces::of(const std::string& name) const {
  const auto found = experiment_.places.find(name);
  return found == experiment_.places.end() ? SourcePlace{experiment_.file} : found->second;
}

SourcePlace ValuePlaces::of(const std::string& key, const Value& value) const {
  const auto found = places_.find(name_of(key, value));
  return found == places_.end() ? SourcePlace{experiment_.file} : found->second;
}

SourcePlace ValuePlaces::of_parameter(const std::string& name, const Cell& cell) const {
  const auto found = cell.find(name);
  return found == cell.end() ? of("parameters." + name) : of(name, found->second);
}

SourcePlace ValuePlaces::of_resource(const std::string& name, const Cell& cell) const {
  const std::string key = kResourcePrefix + name;
  const auto found = cell.find(key);
  return found == cell.end() ? of(key) : of(key, found->second);
}

void ValuePlaces::add(const Axis& axis, const std::string& prefix) {
  for (std::size_t i = 0; i < axis.values.size(); ++i)
    places_.try_emplace(name_of(axis.key, axis.values[i]),
                        of(prefix + axis.key + "[" + std::to_string(i) + "]"));
}

}  // namespace muster
