// The filters of PNG: rows as differences to the row above or to the pixel at the left.
// imaging/png.py defines which is taken.
#include "program.h"
#include "vector.h"

enum { JUDGED = 5, SUB = 1, UP = 2 };  // every fifth byte; PNG's numbers

static uint32_t size_of(uint8_t difference) {
    uint8_t negative = (uint8_t)-difference;
    return difference < negative ? difference : negative;
}

// in: u8 [1 + units][bytes], of which the first row is only looked at. out: u8 [units][1 + bytes],
// each row behind its filter's number. channels: bytes of a pixel.
void filter_png(args *a) {
    const png_args *p = &a->op->png;
    uint32_t bytes = p->bytes, channels = p->channels;
    require(channels <= bytes);
    for (int y; (y = next_piece(a)) >= 0;) {
        const uint8_t *above = a->memory + p->in + (uint64_t)y * bytes, *row = above + bytes;
        uint8_t *out = a->memory + p->out + (uint64_t)y * (bytes + 1);
        uint32_t sub = 0, up = 0;
        for (uint32_t i = 0; i < bytes; i += JUDGED) {
            sub += size_of((uint8_t)(row[i] - (i < channels ? 0 : row[i - channels])));
            up += size_of((uint8_t)(row[i] - above[i]));
        }
        *out++ = sub < up ? SUB : UP;
        // The first pixel has nothing at its left; for the others that is `channels` bytes before.
        uint32_t i = 0;
        for (; sub < up && i < channels; i++) out[i] = row[i];
        const uint8_t *other = sub < up ? row - channels : above;
        for (; i + 16 <= bytes; i += 16) store_u8x16(out + i, load_u8x16(row + i) - load_u8x16(other + i));
        for (; i < bytes; i++) out[i] = (uint8_t)(row[i] - other[i]);
    }
}
