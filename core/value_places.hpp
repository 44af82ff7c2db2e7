#pragma once
/// Where the values of a matrix' cells stand in the file.

#include <map>
#include <string>

#include "core/experiment.hpp"

namespace muster {

/// The experiment must outlive it.
class ValuePlaces {
 public:
  explicit ValuePlaces(const Experiment& experiment);

  /// Of a key by its dotted name from the root; the whole file where it is not there.
  SourcePlace of(const std::string& name) const;
  SourcePlace of(const std::string& key, const Value& value) const;
  /// Of the value that a cell's parameter, or resource, has.
  SourcePlace of_parameter(const std::string& name, const Cell& cell) const;
  SourcePlace of_resource(const std::string& name, const Cell& cell) const;

 private:
  void add(const Axis& axis, const std::string& prefix);

  const Experiment& experiment_;
  std::map<std::string, SourcePlace> places_;  ///< by key and value
};

}  // namespace muster
