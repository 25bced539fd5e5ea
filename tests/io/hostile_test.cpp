// Files from somebody else: each trick is refused before any data are read, and the message names
// it.
#include <doctest/doctest.h>
#include <hdf5.h>

#include "nnm/io/h5.h"
#include "tests/io/temp.h"

using namespace nnm;
using namespace nnm::io;
using namespace nnm::io::testing;

namespace {

// A file made with the bare library. Closes everything when it goes.
class Raw {
 public:
  explicit Raw(const std::string& path) : path_(path) {
    { H5Writer(path + ".start").close(); }  // puts the library into nnm's state first
    file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  }
  hid_t dataset(const char* name, hid_t type, std::vector<hsize_t> extents,
                hid_t made_with = H5P_DEFAULT, std::vector<hsize_t> most = {}) {
    const hid_t space = H5Screate_simple(static_cast<int>(extents.size()), extents.data(),
                                         most.empty() ? nullptr : most.data());
    const hid_t d = H5Dcreate2(file, name, type, space, H5P_DEFAULT, made_with, H5P_DEFAULT);
    H5Sclose(space);
    REQUIRE(d >= 0);
    return d;
  }
  /// Closes the file; the error of opening it with nnm.
  std::string refusal(const H5Limits& limits = {}) {
    H5Fclose(file);
    return error_of(ErrorKind::input_file, [&] { H5Reader r(path_, limits); });
  }
  hid_t file;

 private:
  std::string path_;
};

hid_t no_traversal(const char*, hid_t, const void*, size_t, hid_t, hid_t) { return -1; }

}  // namespace

TEST_CASE("hostile: soft and external links") {
  TempDir dir;
  Raw soft(dir / "soft.h5");
  H5Dclose(soft.dataset("x", H5T_IEEE_F32LE, {2}));
  H5Lcreate_soft("/x", soft.file, "y", H5P_DEFAULT, H5P_DEFAULT);
  const std::string s = soft.refusal();
  CHECK(contains(s, "'y' is a soft link"));
  CHECK(contains(s, dir / "soft.h5"));

  Raw external(dir / "external.h5");
  // nnm has unregistered the class, so the link is made as one of a user's own with its number.
  H5L_class_t cls{};
  cls.version = H5L_LINK_CLASS_T_VERS;
  cls.id = H5L_TYPE_EXTERNAL;
  cls.comment = "external";
  cls.trav_func = no_traversal;
  REQUIRE(H5Lregister(&cls) >= 0);
  const char value[] = "\0other.h5\0/x";
  REQUIRE(H5Lcreate_ud(external.file, "out", H5L_TYPE_EXTERNAL, value, sizeof value, H5P_DEFAULT,
                       H5P_DEFAULT) >= 0);
  H5Lunregister(H5L_TYPE_EXTERNAL);
  CHECK(contains(external.refusal(), "'out' is an external link"));
}

TEST_CASE("hostile: data in other files") {
  TempDir dir;
  spill(dir / "secret", "0123456789abcdef");
  Raw storage(dir / "storage.h5");
  hid_t made = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_external(made, (dir / "secret").c_str(), 0, 16);
  H5Dclose(storage.dataset("x", H5T_IEEE_F32LE, {4}, made));
  H5Pclose(made);
  CHECK(contains(storage.refusal(), "/x: external storage"));

  Raw virt(dir / "virtual.h5");
  made = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t n = 4;
  const hid_t space = H5Screate_simple(1, &n, nullptr);
  REQUIRE(H5Pset_virtual(made, space, (dir / "storage.h5").c_str(), "/x", space) >= 0);
  H5Sclose(space);
  H5Dclose(virt.dataset("v", H5T_IEEE_F32LE, {4}, made));
  H5Pclose(made);
  CHECK(contains(virt.refusal(), "/v: a virtual dataset"));
}

TEST_CASE("hostile: filters") {
  TempDir dir;
  hid_t made = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t chunk = 4;
  H5Pset_chunk(made, 1, &chunk);
  H5Pset_nbit(made);
  Raw odd(dir / "odd.h5");
  H5Dclose(odd.dataset("x", H5T_STD_I32LE, {4}, made));
  CHECK(contains(odd.refusal(), "filter 5 is not accepted"));
  H5Pclose(made);

  made = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(made, 1, &chunk);
  H5Pset_shuffle(made);
  H5Pset_deflate(made, 6);
  H5Pset_fletcher32(made);
  Raw good(dir / "good.h5");
  const hid_t d = good.dataset("x", H5T_STD_I32LE, {4}, made);
  const int values[] = {1, 2, 3, 4};
  H5Dwrite(d, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
  H5Dclose(d);
  H5Pclose(made);
  CHECK(good.refusal() == "");
  const H5Reader r(dir / "good.h5");
  CHECK(r.tensor(r.at("x")).to_vector<int64_t>() == std::vector<int64_t>{1, 2, 3, 4});
}

TEST_CASE("hostile: extents that the file does not hold") {
  TempDir dir;
  Raw lazy(dir / "lazy.h5");  // contiguous, never written: 16 TiB in a file of 2 KB
  H5Dclose(lazy.dataset("x", H5T_IEEE_F32LE, {hsize_t{1} << 42}));
  CHECK(contains(lazy.refusal(), "/x: extents"));

  Raw overflow(dir / "overflow.h5");
  hid_t made = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t chunk[] = {1, 1, 1};
  H5Pset_chunk(made, 3, chunk);
  H5Dclose(overflow.dataset("x", H5T_IEEE_F64LE, {hsize_t{1} << 31, hsize_t{1} << 31, 1}, made));
  H5Pclose(made);
  CHECK(contains(overflow.refusal(), "do not fit in memory"));

  Raw bomb(dir / "bomb.h5");  // 1 GiB of chunks that were never written
  made = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t big = 1 << 20;
  H5Pset_chunk(made, 1, &big);
  H5Pset_deflate(made, 9);
  H5Dclose(bomb.dataset("x", H5T_IEEE_F32LE, {1 << 28}, made));
  H5Pclose(made);
  CHECK(contains(bomb.refusal(), "more than the file holds"));

  Raw limited(dir / "limited.h5");
  const hid_t d = limited.dataset("x", H5T_IEEE_F32LE, {1000});
  const std::vector<float> zeros(1000);
  H5Dwrite(d, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros.data());
  H5Dclose(d);
  CHECK(contains(limited.refusal({.max_bytes = 3999}), "do not fit in memory"));

  Raw chunky(dir / "chunky.h5");  // one element in a chunk of 1 GiB
  made = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t huge = 1 << 28;
  H5Pset_chunk(made, 1, &huge);
  H5Dclose(chunky.dataset("x", H5T_IEEE_F32LE, {1}, made, {H5S_UNLIMITED}));
  H5Pclose(made);
  CHECK(contains(chunky.refusal(), "more than the file holds"));
}

TEST_CASE("hostile: trees without an end") {
  TempDir dir;
  Raw cycle(dir / "cycle.h5");
  const hid_t g = H5Gcreate2(cycle.file, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_hard(cycle.file, "/", g, "up", H5P_DEFAULT, H5P_DEFAULT);
  H5Gclose(g);
  CHECK(contains(cycle.refusal(), "/g/up: a second link to a group"));

  Raw deep(dir / "deep.h5");
  std::string path;
  for (int i = 0; i < 80; ++i) {
    path += "/g";
    H5Gclose(H5Gcreate2(deep.file, path.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  }
  CHECK(contains(deep.refusal(), "deeper than 64 groups"));

  Raw many(dir / "many.h5");
  for (int i = 0; i < 50; ++i)
    H5Dclose(many.dataset(std::to_string(i).c_str(), H5T_IEEE_F32LE, {1}));
  CHECK(contains(many.refusal({.max_objects = 49}), "more than 49 objects"));

  Raw name(dir / "name.h5");
  H5Dclose(name.dataset(std::string(2000, 'n').c_str(), H5T_IEEE_F32LE, {1}));
  CHECK(contains(name.refusal(), "a name of 2000 bytes"));
}

TEST_CASE("hostile: types that cannot be read are named, not read") {
  TempDir dir;
  const std::string path = dir / "a.h5";
  Raw raw(path);
  const hid_t text = H5Tcopy(H5T_C_S1);
  H5Tset_size(text, H5T_VARIABLE);
  H5Dclose(raw.dataset("text", text, {3}));
  const hid_t scalar = H5Screate(H5S_SCALAR);
  const hid_t attr = H5Acreate2(raw.file, "a", text, scalar, H5P_DEFAULT, H5P_DEFAULT);
  H5Aclose(attr);
  H5Tclose(text);
  const hid_t pair = H5Tcreate(H5T_COMPOUND, 8);
  H5Tinsert(pair, "r", 0, H5T_IEEE_F32LE);
  H5Tinsert(pair, "i", 4, H5T_IEEE_F32LE);
  H5Dclose(raw.dataset("complex", pair, {3}));
  H5Tclose(pair);
  H5Dclose(raw.dataset("nine", H5T_IEEE_F32LE, {1, 1, 1, 1, 1, 1, 1, 1, 1}));
  H5Sclose(scalar);
  CHECK(raw.refusal() == "");
  const H5Reader r(path);
  const auto problem = [&](const char* name) {
    return error_of(ErrorKind::input_file, [&] { r.tensor(r.at(name)); });
  };
  CHECK(contains(problem("text"), "string of variable length"));
  CHECK(contains(problem("complex"), "compound"));
  CHECK(contains(problem("nine"), "9 dimensions"));
  CHECK(contains(error_of(ErrorKind::input_file, [&] { r.attribute(r.root(), "a"); }),
                 "string of variable length"));
}
