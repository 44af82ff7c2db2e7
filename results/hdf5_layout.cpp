#include "results/hdf5_layout.hpp"

#include <hdf5.h>

namespace muster {

namespace {

void write_attribute(Hdf5Id object, const char* name, Hdf5Id type, const Hdf5Handle& space, const void* data,
                     const std::filesystem::path& file) {
  const std::string doing = std::string("write attribute '") + name + "' of";
  check_hdf5(space.get(), file, doing);
  Hdf5Handle attribute;
  if (check_hdf5(H5Aexists(object, name), file, doing) > 0) {
    attribute = Hdf5Handle(H5Aopen(object, name, H5P_DEFAULT), H5Aclose);
  } else {
    attribute = Hdf5Handle(H5Acreate2(object, name, type, space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  }
  check_hdf5(attribute.get(), file, doing);
  if (data != nullptr) check_hdf5(H5Awrite(attribute.get(), type, data), file, doing);
}

Hdf5Handle open_attribute(Hdf5Id object, const char* name, const std::filesystem::path& file) {
  return {
      check_hdf5(H5Aopen(object, name, H5P_DEFAULT), file, std::string("find attribute '") + name + "' in"),
      H5Aclose};
}

}  // namespace

Hdf5Handle text_type() {
  Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), H5T_VARIABLE);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  return type;
}

void write_text_attribute(Hdf5Id object, const char* name, const std::string& text,
                          const std::filesystem::path& file) {
  const char* const data = text.c_str();
  write_attribute(object, name, text_type().get(), {H5Screate(H5S_SCALAR), H5Sclose}, &data, file);
}

void write_text_array_attribute(Hdf5Id object, const char* name, const std::vector<std::string>& texts,
                                const std::filesystem::path& file) {
  std::vector<const char*> data;
  for (const std::string& text : texts) data.push_back(text.c_str());
  const hsize_t count = data.size();
  write_attribute(object, name, text_type().get(), {H5Screate_simple(1, &count, nullptr), H5Sclose},
                  data.empty() ? nullptr : data.data(), file);
}

void write_integer_attribute(Hdf5Id object, const char* name, std::int64_t number,
                             const std::filesystem::path& file) {
  write_attribute(object, name, H5T_NATIVE_INT64, {H5Screate(H5S_SCALAR), H5Sclose}, &number, file);
}

std::vector<std::string> read_text_attribute(Hdf5Id object, const char* name,
                                             const std::filesystem::path& file) {
  const std::string doing = std::string("read attribute '") + name + "' of";
  const Hdf5Handle attribute = open_attribute(object, name, file);
  const Hdf5Handle space(check_hdf5(H5Aget_space(attribute.get()), file, doing), H5Sclose);
  const Hdf5Handle type = text_type();
  std::vector<char*> data(
      static_cast<std::size_t>(check_hdf5(H5Sget_simple_extent_npoints(space.get()), file, doing)));
  if (data.empty()) return {};
  check_hdf5(H5Aread(attribute.get(), type.get(), data.data()), file, doing);
  std::vector<std::string> texts;
  for (const char* text : data) texts.emplace_back(text ? text : "");
  H5Dvlen_reclaim(type.get(), space.get(), H5P_DEFAULT, data.data());
  return texts;
}

std::int64_t read_integer_attribute(Hdf5Id object, const char* name, const std::filesystem::path& file) {
  const Hdf5Handle attribute = open_attribute(object, name, file);
  std::int64_t number = 0;
  check_hdf5(H5Aread(attribute.get(), H5T_NATIVE_INT64, &number), file,
             std::string("read attribute '") + name + "' of");
  return number;
}

}  // namespace muster
