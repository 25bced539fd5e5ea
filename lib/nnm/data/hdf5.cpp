// HDF5 files as data: every dataset of numbers is an array.
#include "nnm/data/file.h"
#include "nnm/io/h5.h"

namespace nnm::data {
namespace {

class Hdf5 final : public DataFile {
 public:
  explicit Hdf5(const std::string& path) : DataFile(path, Format::hdf5), reader_(path) {
    for (const io::H5Node& n : reader_.root().children) {
      // Texts and single numbers describe the data; they are no fields of samples.
      if (is_numbers(n) && !n.shape.empty()) arrays_.push_back(about(n));
    }
  }
  Tensor read(const std::string& name) const override { return reader_.tensor(node(name)); }

 protected:
  ArrayInfo peek_inside(const std::string& name) const override { return about(node(name)); }

 private:
  static bool is_numbers(const io::H5Node& n) {
    return !n.group && n.element.kind == io::Element::Kind::number;
  }
  ArrayInfo about(const io::H5Node& n) const {
    check_extents(path_, n.shape);
    return {n.name, n.element.dtype, Shape(n.shape)};
  }
  const io::H5Node& node(const std::string& name) const {
    const io::H5Node* n = name.empty() ? nullptr : reader_.find(name);
    if (!n && name.find('/') != std::string::npos) n = &reader_.at(name);
    if (!n) n = reader_.find(arrays_[find(name)].name);
    if (n->group) {
      std::string names;
      for (const io::H5Node& c : n->children) names += (names.empty() ? "" : ", ") + c.name;
      throw Error(ErrorKind::input_file, fmt::format("{}: `{}` is a group", path_, name),
                  fmt::format("name one of its datasets: {}", names));
    }
    NNM_CHECK(is_numbers(*n), input_file, "{}: the dataset `{}` holds {}, not numbers", path_, name,
              n->element.name);
    return *n;
  }
  io::H5Reader reader_;
};

}  // namespace

Ref<DataFile> open_hdf5(const std::string& path) { return make_ref<Hdf5>(path); }

}  // namespace nnm::data
