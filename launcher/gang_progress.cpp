#include "launcher/gang_progress.hpp"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace muster {

bool GangProgress::poll() {
  const auto lines = events_.read();
  for (const std::string& line : lines) fold(line);
  return !lines.empty();
}

void GangProgress::fold(const std::string& line) {
  const auto json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object()) return;
  const auto number = [&](const char* name, auto otherwise) {
    const auto found = json.find(name);
    return found != json.end() && found->is_number() ? found->template get<decltype(otherwise)>() : otherwise;
  };
  const auto text = [&](const char* name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  last_event_ = text("event");
  step_ = number("step", step_);
  total_steps_ = number("total_steps", total_steps_);
  time_ = number("time", time_);
  if (!text("note").empty()) note_ = text("note");
  while (!note_.empty() && note_.back() == ' ') note_.pop_back();
  if (first_step_ < 0 && last_event_ == "progress") {
    first_step_ = step_;
    first_time_ = time_;
  }
}

std::optional<double> GangProgress::seconds_left() const {
  if (first_step_ < 0 || step_ <= first_step_ || total_steps_ < step_ || time_ <= first_time_)
    return std::nullopt;
  return static_cast<double>(total_steps_ - step_) * (time_ - first_time_) /
         static_cast<double>(step_ - first_step_);
}

std::string GangProgress::text() const {
  if (last_event_.empty()) return "";
  if (total_steps_ == 0) return note_.empty() ? last_event_ : note_;
  std::string text = std::to_string(step_) + "/" + std::to_string(total_steps_) + " " +
                     std::to_string(100 * step_ / total_steps_) + "%";
  if (!note_.empty()) text += " " + note_;
  if (last_event_ == "stopping") text += ", stopping";
  if (const auto left = seconds_left()) text += ", " + duration_text(*left) + " left";
  return text;
}

std::string duration_text(double seconds) {
  const long whole = std::lround(seconds < 0 ? 0 : seconds);
  char text[32];
  if (whole >= 3600) {
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%ld:%02ld", whole / 60, whole % 60);
  }
  return text;
}

}  // namespace muster
