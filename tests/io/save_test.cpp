// save and load: state dicts as plain HDF5.
#include <doctest/doctest.h>

#include "io/temp.h"
#include "nnm/nnm.h"

using namespace nnm;

TEST_SUITE("io save") {
  TEST_CASE("what is saved loads again, shared tensors shared") {
    const io::testing::TempDir folder;
    const std::string path = folder / "model.h5";
    nn::Sequential model(nn::Linear(3, 3), nn::BatchNorm1d(3), nn::Linear(3, 3));
    model.get_submodule("2").set_attribute("weight", model.get_parameter("0.weight"));
    model.add_module("narrow", nn::Linear(2, 2));
    model.get_submodule("narrow").bfloat16();
    save(model.state_dict(), path);

    const StateDict loaded = load(path);
    CHECK(loaded.keys() == model.state_dict().keys());
    for (const auto& [key, value] : model.state_dict()) {
      CAPTURE(key);
      CHECK(loaded.tensor(key).dtype() == value.as<Tensor>().dtype());
      CHECK(equal(loaded.tensor(key), value.as<Tensor>()));
    }
    CHECK(loaded.tensor("0.weight").data() == loaded.tensor("2.weight").data());
    io::H5Reader file(path);
    CHECK(file.at("/state_dict/0.weight").address == file.at("/state_dict/2.weight").address);
  }

  TEST_CASE("faults say what is wrong and leave no file") {
    const io::testing::TempDir folder;
    const std::string path = folder / "x.h5";
    CHECK_THROWS_AS(save(StateDict({{"a/b", ones({1})}}), path), Error);
    CHECK_THROWS_AS(save(StateDict({{"", ones({1})}}), path), Error);
    CHECK_THROWS_AS(save(StateDict({{"a", 1}}), path), Error);
    CHECK_THROWS_AS(load(path), Error);
    CHECK_THROWS_AS(save(StateDict({{"a", ones({1})}}), folder / "no/such/x.h5"), Error);
    CHECK(folder.names().empty());
  }
}

TEST_SUITE("io save") {
  TEST_CASE("a model without tensors has a file, too") {
    const io::testing::TempDir folder;
    nn::Sequential model{nn::ReLU(), nn::Tanh()};
    save(model.state_dict(), folder / "none.h5");
    CHECK(model.load_state_dict(load(folder / "none.h5")).str() ==
          "<All keys matched successfully>");
  }

  TEST_CASE("a model and its optimizer go on from one file, bit for bit") {
    const io::testing::TempDir folder;
    const std::string path = folder / "run.h5";
    const Tensor x = randn({4, 3});
    const auto trained = [&](nn::Linear& model, optim::Optimizer& optimizer, int steps) {
      for (int i = 0; i < steps; ++i) {
        optimizer.zero_grad();
        sum(model(x) * model(x)).backward();
        optimizer.step();
      }
    };
    nn::Linear model(3, 2);
    optim::AdamW optimizer(model.named_parameters(), {.lr = 0.1, .weight_decay = 0});
    trained(model, optimizer, 3);
    save(model, optimizer, path);
    trained(model, optimizer, 3);

    nn::Linear other(3, 2);
    optim::AdamW again(other.named_parameters());
    other.load_state_dict(load(path));
    again.load_state_dict(load_optimizer(path));
    CHECK(again.groups()[0].lr() == 0.1);
    trained(other, again, 3);
    CHECK(equal(other.weight, model.weight));

    save(model.state_dict(), folder / "weights.h5");
    CHECK_THROWS_WITH_AS(load_optimizer(folder / "weights.h5"),
                         doctest::Contains("not a checkpoint of nnm"), Error);
  }
}
