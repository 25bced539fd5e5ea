// PNG by libpng, JPEG by libjpeg, both where they were there to build with.
#include "nnm/data/picture.h"

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <memory>

#ifdef NNM_PNG
#include <png.h>
#endif
#ifdef NNM_JPEG
#include <jerror.h>
#include <jpeglib.h>
#endif

#include "nnm/data/bytes.h"
#include "nnm/data/file.h"

namespace nnm::data {
namespace {

constexpr std::string_view kPng = "\x89PNG\r\n\x1a\n", kJpeg = "\xff\xd8\xff";
constexpr int64_t kMostPixels = int64_t{1} << 28;

// What a decoder fills in: rows of interleaved channels. The C libraries jump out of their errors,
// so nothing here but this outlives the jump.
struct Decoded {
  int64_t channels = 0, height = 0, width = 0;
  std::vector<uint8_t> rows;
  char problem[200] = "";

  // False where a picture is too large to be one.
  bool reserve(int64_t c, int64_t h, int64_t w, bool header_only) {
    channels = c, height = h, width = w;
    if (h * w > kMostPixels) {
      std::snprintf(problem, sizeof problem, "a picture of %lld x %lld pixels is too large",
                    static_cast<long long>(w), static_cast<long long>(h));
      return false;
    }
    if (!header_only) rows.resize(static_cast<size_t>(c * h * w));
    return true;
  }
};

#ifdef NNM_PNG
void png_failed(png_structp png, png_const_charp message) {
  auto* d = static_cast<Decoded*>(png_get_error_ptr(png));
  std::snprintf(d->problem, sizeof d->problem, "%s", message);
  longjmp(png_jmpbuf(png), 1);
}
void png_ignore(png_structp, png_const_charp) {}

bool decode_png(std::FILE* f, bool header_only, Decoded& d) {
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &d, png_failed, png_ignore);
  png_infop info = png ? png_create_info_struct(png) : nullptr;
  if (!info || setjmp(png_jmpbuf(png))) {
    png_destroy_read_struct(&png, &info, nullptr);
    return false;
  }
  png_init_io(png, f);
  png_read_info(png, info);
  const int type = png_get_color_type(png, info);
  const bool gray = type == PNG_COLOR_TYPE_GRAY || type == PNG_COLOR_TYPE_GRAY_ALPHA;
  bool good = d.reserve(gray ? 1 : 3, png_get_image_height(png, info),
                        png_get_image_width(png, info), header_only);
  if (good && !header_only) {
    png_set_expand(png);
    png_set_strip_16(png);
    png_set_strip_alpha(png);
    const int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    const auto row = static_cast<size_t>(d.channels * d.width);
    if (png_get_rowbytes(png, info) != row) png_error(png, "a layout that is not known");
    for (int pass = 0; pass < passes; ++pass) {
      for (int64_t r = 0; r < d.height; ++r) {
        png_read_row(png, d.rows.data() + static_cast<size_t>(r) * row, nullptr);
      }
    }
    png_read_end(png, nullptr);
  }
  png_destroy_read_struct(&png, &info, nullptr);
  return good;
}
#endif

#ifdef NNM_JPEG
struct JpegErrors {
  jpeg_error_mgr base;
  std::jmp_buf jump;
  Decoded* decoded;
};
void jpeg_failed(j_common_ptr c) {
  auto* e = reinterpret_cast<JpegErrors*>(c->err);
  char text[JMSG_LENGTH_MAX];
  e->base.format_message(c, text);
  std::snprintf(e->decoded->problem, sizeof e->decoded->problem, "%s", text);
  longjmp(e->jump, 1);
}
// libjpeg fills what is missing with gray and only warns.
void jpeg_warned(j_common_ptr c, int level) {
  const int code = c->err->msg_code;
  if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER)) jpeg_failed(c);
}

bool decode_jpeg(std::FILE* f, bool header_only, Decoded& d) {
  jpeg_decompress_struct jpeg;
  JpegErrors errors;
  errors.decoded = &d;
  jpeg.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = jpeg_failed;
  errors.base.emit_message = jpeg_warned;
  if (setjmp(errors.jump)) {
    jpeg_destroy_decompress(&jpeg);
    return false;
  }
  jpeg_create_decompress(&jpeg);
  jpeg_stdio_src(&jpeg, f);
  jpeg_read_header(&jpeg, TRUE);
  const bool gray = jpeg.jpeg_color_space == JCS_GRAYSCALE;
  jpeg.out_color_space = gray ? JCS_GRAYSCALE : JCS_RGB;
  bool good = d.reserve(gray ? 1 : 3, jpeg.image_height, jpeg.image_width, header_only);
  if (good && !header_only) {
    jpeg_start_decompress(&jpeg);
    const auto row = static_cast<size_t>(d.channels * d.width);
    while (jpeg.output_scanline < jpeg.output_height) {
      JSAMPROW line = d.rows.data() + jpeg.output_scanline * row;
      jpeg_read_scanlines(&jpeg, &line, 1);
    }
    jpeg_finish_decompress(&jpeg);
  }
  jpeg_destroy_decompress(&jpeg);
  return good;
}
#endif

Decoded decode(const std::string& path, [[maybe_unused]] bool header_only) {
  char head[8] = {};
  // Says what is wrong with files that cannot be opened.
  const size_t n = ByteReader(path).read_some(head, sizeof head);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> f(std::fopen(path.c_str(), "rbe"),
                                                          std::fclose);
  NNM_CHECK(f, input_file, "cannot open {}: {}", path, std::strerror(errno));
  const std::string_view start(head, n);
  Decoded d;
  const char* missing = nullptr;
  bool good = false;
  if (start == kPng) {
#ifdef NNM_PNG
    good = decode_png(f.get(), header_only, d);
#else
    missing = "PNG";
#endif
  } else {
    NNM_CHECK(start.starts_with(kJpeg), input_file, "{} is neither PNG nor JPEG", path);
#ifdef NNM_JPEG
    good = decode_jpeg(f.get(), header_only, d);
#else
    missing = "JPEG";
#endif
  }
  NNM_CHECK(!missing, input_file, "{}: this nnm was built without {} pictures", path, missing);
  NNM_CHECK(good, input_file, "{} is damaged: {}", path, d.problem);
  return d;
}

class PictureFile final : public DataFile {
 public:
  explicit PictureFile(const std::string& path) : DataFile(path, Format::picture) {
    Shape shape = peek_picture(path).shape();
    shape.insert(0, 1);
    arrays_.push_back({"", DType::u8, shape});
  }
  Tensor read(const std::string& name) const override {
    find(name);
    const Picture p = read_picture(path_);
    Tensor x = empty({1, p.channels, p.height, p.width}, {DType::u8});
    std::memcpy(x.data(), p.pixels.data(), p.pixels.size());
    return x;
  }
};

}  // namespace

bool is_picture(std::string_view head) { return head.starts_with(kPng) || head.starts_with(kJpeg); }

Picture peek_picture(const std::string& path) {
  const Decoded d = decode(path, true);
  return {d.channels, d.height, d.width, {}};
}

Picture read_picture(const std::string& path, int64_t channels) {
  const Decoded d = decode(path, false);
  Picture p{channels ? channels : d.channels, d.height, d.width, {}};
  const int64_t area = p.height * p.width;
  p.pixels.resize(static_cast<size_t>(p.channels * area));
  for (int64_t i = 0; i < area; ++i) {
    const uint8_t* from = d.rows.data() + i * d.channels;
    if (p.channels == 1 && d.channels == 3) {
      // PIL's weights of ITU-R 601, in 16 bits.
      p.pixels[static_cast<size_t>(i)] =
          static_cast<char>((from[0] * 19595 + from[1] * 38470 + from[2] * 7471 + 0x8000) >> 16);
      continue;
    }
    for (int64_t c = 0; c < p.channels; ++c) {
      p.pixels[static_cast<size_t>(c * area + i)] =
          static_cast<char>(from[d.channels == 1 ? 0 : c]);
    }
  }
  return p;
}

Ref<DataFile> open_picture(const std::string& path) { return make_ref<PictureFile>(path); }

}  // namespace nnm::data
