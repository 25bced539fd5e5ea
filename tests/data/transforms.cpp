// Transforms: values against PyTorch 2.13 and torchvision's formulas, randomness by sample alone.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "tests/data/support.h"

using namespace nnm;
using namespace nnm::data;
using namespace nnm::data::testing;

namespace {

Value pair(Value a, Value b) { return Value::tuple({std::move(a), std::move(b)}); }
constexpr ErrorKind kValue = ErrorKind::value;

}  // namespace

TEST_CASE("transforms: scale and normalize give PyTorch's bits, by table and by computing") {
  const std::vector<uint8_t> levels{0, 1, 100, 254, 255};
  // ((v.float() * (1 / 255)) - 0.1307) / 0.3081
  const float want[] = {-0x1.b264e2p-2f, -0x1.a55c4p-2f, 0x1.b27d16p-1f, 0x1.678568p+1f,
                        0x1.69267ap+1f};
  const std::vector<Ref<Transform>> list{make("scale", {1.0 / 255}),
                                         make("normalize", {0.1307, 0.3081})};
  const Tensor u = tensor_of<uint8_t>(levels, {1, 1, 5}, {DType::u8});
  const Tensor by_table = run(u, list);
  CHECK(by_table.dtype() == DType::f32);
  CHECK(std::memcmp(by_table.data(), want, sizeof want) == 0);
  const Tensor f = tensor_of<uint8_t>(levels, {1, 1, 5}, {DType::f32});
  CHECK(std::memcmp(run(f, list).data(), want, sizeof want) == 0);
  CHECK(run(u, {}).dtype() == DType::u8);
  CHECK(run(u, {}, false, DType::f32).dtype() == DType::f32);
  const Tensor wide = run(u, list, false, DType::f64);
  CHECK(wide.dtype() == DType::f64);
  CHECK(wide.to_vector<double>()[2] ==
        doctest::Approx((100 / 255.0 - 0.1307) / 0.3081).epsilon(1e-15));
}

TEST_CASE("transforms: normalize by channel, of bytes and of floats") {
  const Value mean = Value::list({0.5, 1.0, 2.0}), std = Value::list({2.0, 4.0, 8.0});
  const Tensor f = tensor_of<double>(std::vector<double>{1, 2, 3, 4, 5, 6}, {3, 1, 2}, {});
  const std::vector<double> want{0.25, 0.75, 0.5, 0.75, 0.375, 0.5};
  check_close(run(f, {make("normalize", {mean, std})}), {3, 1, 2}, want);
  const Tensor u = tensor_of<double>(std::vector<double>{1, 2, 3, 4, 5, 6}, {3, 1, 2}, {DType::u8});
  check_close(run(u, {make("normalize", {mean, std}), make("flatten")}), {6}, want);
  CHECK(contains(error_of(kValue,
                          [&] {
                            run(image({1, 2, 2}), {make("normalize", {mean, std})});
                          }),
                 "3 means for samples of size [1, 2, 2]"));
  CHECK(contains(error_of(kValue, [&] { make("normalize", {0.5, 0.0}); }), "division by zero"));
  CHECK(contains(error_of(kValue,
                          [&] {
                            make("normalize", {mean, Value::list({1.0, 2.0})});
                          }),
                 "3 means and 2 deviations"));
}

TEST_CASE("transforms: shapes and types") {
  const Tensor x = image({3, 2, 4});
  CHECK(run(x, {make("flatten")}).shape() == Shape{24});
  CHECK(run(x, {make("flatten", {1})}).shape() == Shape{3, 8});
  CHECK(run(x, {make("reshape", {4, -1})}).shape() == Shape{4, 6});
  CHECK(run(x, {make("reshape", {Value::list({24})})}).shape() == Shape{24});
  CHECK(run(x, {make("unsqueeze", {0})}).shape() == Shape{1, 3, 2, 4});
  CHECK(run(x, {make("unsqueeze", {-1})}).shape() == Shape{3, 2, 4, 1});
  CHECK(run(image({1, 2, 1}), {make("squeeze")}).shape() == Shape{2});
  CHECK(run(image({1, 2, 1}), {make("squeeze", {0})}).shape() == Shape{2, 1});
  CHECK(run(x, {make("to", {DType::i64})}).dtype() == DType::i64);
  check_close(run(x, {make("reshape", {2, 12}), make("flatten")}), {24}, x.to_vector<double>(), 0);
  CHECK(contains(error_of(kValue,
                          [&] {
                            run(x, {make("reshape", {5, -1})});
                          }),
                 "shape '[5, -1]' is invalid for a sample of size [3, 2, 4]"));
  CHECK(contains(error_of(kValue, [&] { run(x, {}, false, DType::i64); }),
                 "the data are f32, the model wants i64"));
  CHECK_THROWS_WITH_AS(make("flaten"), "unknown transform `flaten`", Error);
}

TEST_CASE("transforms: clamp, log and one_hot") {
  const Tensor x = tensor_of<double>(std::vector<double>{-1, 0.5, 3}, {3}, {});
  check_close(run(x, {make("clamp", {0.0, 1.0})}), {3}, {0, 0.5, 1}, 0);
  check_close(run(x, {make("clamp", {}, {{"max", 1.0}})}), {3}, {-1, 0.5, 1}, 0);
  check_close(run(x, {make("clamp", {2.0, 1.0})}), {3}, {1, 1, 1}, 0);
  check_close(run(tensor_of<double>(std::vector<double>{0, 1}, {2}, {}), {make("log", {1.0})}), {2},
              {0, 0.69314718});
  const Tensor label = tensor_of<int64_t>(std::vector<int64_t>{2}, {}, {DType::i64});
  const Tensor row = run(label, {make("one_hot", {4})});
  CHECK(row.dtype() == DType::i64);
  check_close(row, {4}, {0, 0, 1, 0}, 0);
  CHECK(contains(error_of(kValue, [&] { run(label, {make("one_hot", {2})}); }),
                 "the label 2 is not one of 2 classes"));
}

TEST_CASE("transforms: resize as F.interpolate, with and without antialiasing") {
  const Tensor x = image({1, 5, 4});
  check_close(run(x, {make("resize", {pair(3, 3)})}), {1, 3, 3},
              {0.3354062, 0.5095238, 0.382465, 0.4666231, 0.5291939, 0.4355991, 0.5819048,
               0.5408964, 0.4998879});
  check_close(run(x, {make("resize", {pair(3, 3)}, {{"antialias", false}})}), {1, 3, 3},
              {0.2607843, 0.4542484, 0.3688453, 0.224183, 0.4176471, 0.6111112, 0.5222223, 0.548366,
               0.5745097});
  check_close(run(x, {make("resize", {pair(3, 3)}, {{"interpolation", "nearest"}})}), {1, 3, 3},
              {0.0431373, 0.1882353, 0.3333333, 0.6235294, 0.7686275, 0.9137255, 0.7803922,
               0.9254902, 0.0666667});
  check_close(run(x, {make("resize", {pair(7, 6)})}), {1, 7, 6},
              {0.0431373, 0.1156863, 0.2124183, 0.3091504, 0.4058824, 0.4784314, 0.3747899,
               0.4473389, 0.544071,  0.640803,  0.4507003, 0.2364146, 0.502521,  0.57507,
               0.671802,  0.7685341, 0.5067227, 0.2207284, 0.2,       0.272549,  0.3692811,
               0.4660131, 0.5627451, 0.6352941, 0.6145659, 0.6871149, 0.6643324, 0.2830064,
               0.260224,  0.3327731, 0.5988795, 0.6714286, 0.672549,  0.3868347, 0.3879552,
               0.4605042, 0.3568628, 0.4294118, 0.5261438, 0.6228759, 0.7196078, 0.7921569});
  const Tensor u = run(bytes({1, 5, 4}), {make("resize", {pair(3, 2)})});
  CHECK(u.dtype() == DType::u8);
  check_close(u, {1, 3, 2}, {101, 112, 126, 119, 148, 128}, 0);
  // One number is the shorter side's.
  CHECK(run(image({3, 20, 10}), {make("resize", {5})}).shape() == Shape{3, 10, 5});
  CHECK(run(image({3, 10, 20}), {make("resize", {5}, {{"max_size", 8}})}).shape() ==
        Shape{3, 4, 8});
}

TEST_CASE("transforms: pad and center_crop") {
  const Tensor x = tensor_of<double>(std::vector<double>{1, 2, 3, 4, 5, 6}, {1, 2, 3}, {});
  check_close(run(x, {make("pad", {Value::list({1, 0})}, {{"fill", 9.0}})}), {1, 2, 5},
              {9, 1, 2, 3, 9, 9, 4, 5, 6, 9}, 0);
  check_close(run(x, {make("pad", {Value::list({2, 1, 0, 0})}, {{"padding_mode", "reflect"}})}),
              {1, 3, 5}, {6, 5, 4, 5, 6, 3, 2, 1, 2, 3, 6, 5, 4, 5, 6}, 0);
  check_close(run(x, {make("pad", {Value::list({2, 0})}, {{"padding_mode", "symmetric"}})}),
              {1, 2, 7}, {2, 1, 1, 2, 3, 3, 2, 5, 4, 4, 5, 6, 6, 5}, 0);
  check_close(run(x, {make("pad", {Value::list({1, 0})}, {{"padding_mode", "edge"}})}), {1, 2, 5},
              {1, 1, 2, 3, 3, 4, 4, 5, 6, 6}, 0);
  check_close(run(x, {make("center_crop", {pair(1, 1)})}), {1, 1, 1}, {2}, 0);
  check_close(run(x, {make("center_crop", {pair(2, 1)})}), {1, 2, 1}, {2, 5}, 0);
  check_close(run(x, {make("center_crop", {pair(4, 3)})}), {1, 4, 3},
              {0, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0, 0}, 0);
  CHECK(contains(error_of(kValue,
                          [&] {
                            run(x, {make("pad", {3}, {{"padding_mode", "reflect"}})});
                          }),
                 "larger than the image"));
  CHECK(contains(error_of(kValue, [&] { run(image({4}), {make("center_crop", {2})}); }),
                 "center_crop needs images"));
}

TEST_CASE("transforms: rotation as torchvision's, by grid_sample") {
  const Tensor x = image({1, 5, 4});
  auto turn = [&](const Tensor& t, double d, const char* how, double fill) {
    return run(t, {make("random_rotation", {pair(d, d)}, {{"interpolation", how}, {"fill", fill}})},
               true);
  };
  check_close(turn(x, 30, "nearest", 0.5), {1, 5, 4},
              {0.1882353, 0.3333333, 0.054902, 0.5,       0.1882353, 0.9137255, 0.9137255,
               0.6352941, 0.6235294, 0.345098, 0.4901961, 0.2117647, 0.2,       0.9254902,
               0.9254902, 0.6470588, 0.5,      0.7803922, 0.5019608, 0.6470588});
  check_close(turn(x, 30, "bilinear", 0.5), {1, 5, 4},
              {0.2993461, 0.3522635, 0.284177,  0.4021569, 0.3677013, 0.783556, 0.5461373,
               0.4285819, 0.5468063, 0.4607001, 0.3914065, 0.2884879, 0.280876, 0.6398051,
               0.554906,  0.4675928, 0.430615,  0.5859492, 0.4998431, 0.4067902});
  check_close(
      turn(image({1, 4, 4}), 90, "nearest", 0), {1, 4, 4},
      {0.4784314, 0.054902, 0.6352941, 0.2117647, 0.3333333, 0.9137255, 0.4901961, 0.0666667,
       0.1882353, 0.7686275, 0.345098, 0.9254902, 0.0431373, 0.6235294, 0.2, 0.7803922});
  check_close(run(x, {make("random_rotation", {90.0})}), {1, 5, 4}, x.to_vector<double>(), 0);
}

TEST_CASE("transforms: color_jitter by torchvision's formulas, on floats and on bytes") {
  Tensor x = empty({3, 1, 2}), u = empty({3, 1, 2}, {DType::u8});
  const Tensor whole = image({3, 5, 4}), raw = bytes({3, 5, 4});
  for (int i = 0; i < 6; ++i) {
    x.data<float>()[i] = whole.data<float>()[i / 2 * 20 + i % 2];
    u.data<uint8_t>()[i] = raw.data<uint8_t>()[i / 2 * 20 + i % 2];
  }
  auto jitter = [&](const Tensor& t, const char* what, double v) {
    return run(t, {make("color_jitter", {}, {{what, pair(v, v)}})}, true);
  };
  const Shape s{3, 1, 2};
  check_close(jitter(x, "brightness", 1.3), s, {0.0560784, 0.2447059, 1, 0.1019608, 1, 1});
  check_close(jitter(x, "contrast", 0.6), s,
              {0.1999954, 0.2870542, 0.736466, 0.2211719, 0.6705836, 0.7576424});
  check_close(jitter(x, "saturation", 1.7), s, {0, 0.1707787, 1, 0, 0.9464926, 1});
  check_close(jitter(x, "hue", 0.2), s,
              {0.1121567, 0.972549, 0.0431372, 0.0784314, 0.9372549, 0.6839218});
  check_close(jitter(u, "brightness", 1.3), s, {14, 62, 255, 26, 255, 255}, 0);
  check_close(jitter(u, "contrast", 0.6), s, {50, 73, 187, 56, 170, 193}, 0);
  check_close(jitter(u, "saturation", 1.7), s, {0, 43, 255, 0, 241, 255}, 0);
  check_close(jitter(u, "hue", 0.2), s, {28, 248, 11, 20, 239, 175}, 0);
  check_close(run(x, {make("color_jitter", {0.5, 0.5, 0.5, 0.5})}), s, x.to_vector<double>(), 0);
  CHECK(contains(error_of(kValue, [&] { make("color_jitter", {}, {{"hue", 0.7}}); }), "hue"));
}

TEST_CASE("transforms: random ones draw from seed, epoch and sample, in training only") {
  const Tensor x = image({3, 12, 10});
  const std::vector<Ref<Transform>> list{make("random_crop", {8}, {{"padding", 2}}),
                                         make("random_horizontal_flip"),
                                         make("random_erasing", {}, {{"value", "random"}}),
                                         make("color_jitter", {0.4, 0.4, 0.4, 0.1})};
  auto at = [&](uint64_t seed, int64_t epoch, int64_t sample) {
    return run(x, list, true, {}, epoch, sample, seed).to_vector<double>();
  };
  const auto one = at(1, 2, 3);
  CHECK(one == at(1, 2, 3));
  CHECK(one != at(2, 2, 3));
  CHECK(one != at(1, 3, 3));
  CHECK(one != at(1, 2, 4));
  // Outside of training: the middle, unflipped.
  CHECK(run(x, list).to_vector<double>() == run(x, {make("center_crop", {8})}).to_vector<double>());
}

TEST_CASE("transforms: random_crop reaches every place and no other") {
  Tensor x = empty({1, 3, 3});
  for (int i = 0; i < 9; ++i) x.data<float>()[i] = static_cast<float>(i + 1);
  std::set<double> corners;
  for (int64_t sample = 0; sample < 400; ++sample) {
    corners.insert(run(x, {make("random_crop", {2})}, true, {}, 0, sample).to_vector<double>()[0]);
  }
  CHECK(corners == std::set<double>{1, 2, 4, 5});
  CHECK(contains(error_of(kValue, [&] { run(x, {make("random_crop", {4})}, true); }),
                 "Required crop size (4, 4) is larger than input image size (3, 3)"));
  CHECK(run(x, {make("random_crop", {4}, {{"pad_if_needed", true}})}, true).shape() ==
        Shape{1, 4, 4});
}

TEST_CASE("transforms: flips happen with their probability") {
  const Tensor x = tensor_of<double>(std::vector<double>{1, 2}, {1, 1, 2}, {});
  int flipped = 0;
  for (int64_t i = 0; i < 2000; ++i) {
    flipped +=
        run(x, {make("random_horizontal_flip", {0.3})}, true, {}, 0, i).data<float>()[0] == 2;
  }
  // Four standard deviations of a binomial of 2,000 draws.
  CHECK(std::abs(flipped - 600) < 82);
}

TEST_CASE(
    "transforms: random_erasing fills a rectangle, random_resized_crop keeps range and size") {
  Tensor x = empty({2, 20, 20});
  std::fill_n(x.data<float>(), x.numel(), 1.0f);
  const Value values = Value::list({5.0, 7.0});
  const Tensor y = run(x, {make("random_erasing", {1.0}, {{"value", values}})}, true, {}, 0, 7);
  int64_t erased[2] = {};
  for (int64_t i = 0; i < y.numel(); ++i) {
    const float v = y.data<float>()[i];
    const int64_t c = i / 400;
    CHECK((v == 1.0f || v == (c ? 7.0f : 5.0f)));
    erased[c] += v != 1.0f;
  }
  CHECK(erased[0] == erased[1]);
  CHECK(erased[0] >= 4);
  CHECK(erased[0] <= 160);
  // The whole image, where scale and ratio leave no choice.
  const Value all = pair(1.0, 1.0);
  check_close(run(image({1, 6, 6}),
                  {make("random_resized_crop", {3}, {{"scale", all}, {"ratio", all}})}, true),
              {1, 3, 3}, run(image({1, 6, 6}), {make("resize", {3})}).to_vector<double>(), 0);
}

TEST_CASE("transforms: image and mask are changed alike") {
  const Tensor x = image({1, 9, 9});
  const std::vector<Ref<Transform>> ours{make("random_crop", {4}), make("random_horizontal_flip")};
  const std::vector<Ref<Transform>> mask{make("random_crop", {4}), make("random_horizontal_flip")};
  for (int64_t s = 0; s < 10; ++s) {
    CHECK(run(x, ours, true, {}, 1, s).to_vector<double>() ==
          run(x, mask, true, {}, 1, s).to_vector<double>());
  }
}
