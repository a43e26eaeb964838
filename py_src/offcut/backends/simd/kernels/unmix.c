// Take the old background out of soft pixels. imaging/unmix.py defines the results; sums and products
// come in the same order here, so that numpy gives the same bits.
#include "program.h"
#include "vector.h"

typedef struct {
    f32x4 subject, background;  // red, green, blue, 0
} colours;

static colours between(colours a, colours b, float part) {
    f32x4 p = splat_f32(part);
    a.subject = (b.subject - a.subject) * p + a.subject;
    a.background = (b.background - a.background) * p + a.background;
    return a;
}

static colours load_colours(const float *from) {
    return (colours){load_f32x4(from), load_f32x4(from + 4)};
}

// in: f32 [high][wide][8]. pixels: u8 [units][width], the matte. out: u8 [units][width][4], where
// pixels that are soft, and were opaque, get other colours. The rest of lines_args: see guided.c.
void unmix(args *a) {
    const lines_args *l = &a->op->lines;
    const uint32_t *columns = (const uint32_t *)(a->memory + l->columns);
    const float *column_parts = (const float *)(a->memory + l->column_parts);
    uint32_t wide = l->wide;
    for (int y; (y = next_piece(a)) >= 0;) {
        uint32_t row = ((const uint32_t *)(a->memory + l->rows))[y];
        float part = ((const float *)(a->memory + l->row_parts))[y];
        require(row < l->high);
        const float *upper = (const float *)(a->memory + l->in) + (uint64_t)row * wide * 8;
        const float *lower = upper + (row + 1 < l->high ? wide * 8 : 0);
        const uint8_t *matte = a->memory + l->pixels + (uint64_t)y * l->width;
        uint8_t *out = a->memory + l->out + (uint64_t)y * l->width * 4;
        for (uint32_t x = 0; x < l->width; x++) {
            uint8_t *pixel = out + 4 * x;
            if (matte[x] == 0 || matte[x] == 255 || pixel[3] != 255) continue;
            uint32_t low = columns[x], step = low + 1 < wide ? 8 : 0;
            require(low < wide);
            const float *up = upper + 8 * low, *down = lower + 8 * low;
            colours left = between(load_colours(up), load_colours(down), part);
            colours right = between(load_colours(up + step), load_colours(down + step), part);
            colours here = between(left, right, column_parts[x]);
            f32x4 alpha = splat_f32((float)matte[x] * (1.0f / 255));
            f32x4 mixed = here.background + alpha * (here.subject - here.background);
            f32x4 own = here.subject + alpha * (float_of_u8x4(load_u8x4(pixel)) - mixed);
            own = min_f32(max_f32(own, splat_f32(0)), splat_f32(255)) + splat_f32(0.5f);
            for (int c = 0; c < 3; c++) pixel[c] = (uint8_t)own[c];
        }
    }
}
