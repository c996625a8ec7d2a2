// Decodes one HEVC picture with libde265, for ../coded.go.

#include <cstddef>
#include <cstdint>

#include "libde265/de265.h"

namespace {

// Plane describes samples in the module's memory. They have 16 bits each if bits is more than 8.
struct Plane {
  uint32_t address, stride, width, height, bits;
};

struct Picture {
  uint32_t chroma; // chroma_format_idc
  Plane planes[3];
} picture;

// push passes the NAL units to the decoder, each of which follows its size in 4 bytes.
bool push(de265_decoder_context* decoder, const uint8_t* units, uint32_t size) {
  while (size > 0) {
    if (size < 4) return false;
    uint32_t unit = uint32_t(units[0]) << 24 | units[1] << 16 | units[2] << 8 | units[3];
    units += 4;
    size -= 4;
    if (unit > size || de265_push_NAL(decoder, units, int(unit), 0, nullptr) != DE265_OK) return false;
    units += unit;
    size -= unit;
  }
  return de265_flush_data(decoder) == DE265_OK;
}

// decodeFirst returns the first picture, or a null pointer.
const de265_image* decodeFirst(de265_decoder_context* decoder) {
  int more = 1;
  while (more) {
    if (de265_decode(decoder, &more) != DE265_OK) return nullptr;
    if (const de265_image* image = de265_get_next_picture(decoder)) return image;
  }
  return nullptr;
}

} // namespace

extern "C" {

// decode returns the first picture in the NAL units, or a null pointer. Memory is not freed: an instance
// of the module decodes one picture.
const Picture* decode(const uint8_t* units, uint32_t size) {
  de265_decoder_context* decoder = de265_new_decoder();
  if (!decoder || !push(decoder, units, size)) return nullptr;
  const de265_image* image = decodeFirst(decoder);
  if (!image) return nullptr;
  picture.chroma = de265_get_chroma_format(image);
  for (int i = 0; i < (picture.chroma == de265_chroma_mono ? 1 : 3); i++) {
    int stride = 0;
    const uint8_t* samples = de265_get_image_plane(image, i, &stride);
    if (!samples) return nullptr;
    picture.planes[i] = {uint32_t(uintptr_t(samples)), uint32_t(stride), uint32_t(de265_get_image_width(image, i)),
                         uint32_t(de265_get_image_height(image, i)), uint32_t(de265_get_bits_per_pixel(image, i))};
  }
  return &picture;
}

// Emscripten's allocator calls this when memory grows. Without it, the module would import it.
void emscripten_notify_memory_growth(size_t) {}
}
