// Sum of two u8 values with scales of their own. A piece of work is an output row of all planes.
//
//   u8 = (a * scale_a + b * scale_b + offset) >> shift
//
// in fixed point: a and b are interleaved so that one dot gives four sums. |scale| < 2^15, and
// lower.py keeps |offset| below 2^29: |sum| <= 2 * 255 * 2^15 + 2^29 < 2^30.
#include "plane.h"

enum { USUAL = 14 };  // of shifts; one by a constant is much faster

INLINE i16x8 add_block(const uint8_t *a, const uint8_t *b, i16x8 scales, i32x4 offset,
                       int shift) {
    i16x8 x = load_u8_as_i16(a), y = load_u8_as_i16(b);
    i16x8 first = __builtin_shufflevector(x, y, 0, 8, 1, 9, 2, 10, 3, 11);
    i16x8 second = __builtin_shufflevector(x, y, 4, 12, 5, 13, 6, 14, 7, 15);
    return narrow_i32((dot(first, scales) + offset) >> shift,
                      (dot(second, scales) + offset) >> shift);
}

INLINE void add_row(const add_args *s, const uint8_t *a, const uint8_t *b, uint8_t *to, int shift) {
    i16x8 scales = (i16x8)splat_i32((s->scale_b << 16) | (s->scale_a & 0xFFFF));
    i32x4 offset = splat_i32(s->offset);
    u8x16 least = (u8x16){0} + (uint8_t)s->least;
    for (int x = 0; x < s->w; x++, a += CELL, b += CELL, to += CELL) {
        i16x8 low = add_block(a, b, scales, offset, shift);
        i16x8 high = add_block(a + BLOCK, b + BLOCK, scales, offset, shift);
        store_u8x16(to, max_u8(narrow_i16(low, high), least));
    }
}

void add_u8(const args *a, int ith, int nth) {
    const add_args *s = &a->op->add;
    const uint32_t *first = table_of(a, s->a), *second = table_of(a, s->b);
    const uint32_t *out = table_of(a, s->out);
    (void)ith;
    require(s->shift >= 0 && s->shift < 31 && s->offset < 1 << 29 && s->offset > -(1 << 29));
    for (share w; next_share(a, nth, &w);)
        for (int y = w.begin; y < w.end; y++)
            for (uint32_t plane = 0; plane < s->planes; plane++) {
                const uint8_t *from = a->memory + first[plane] + y * (int64_t)s->pitch_a;
                const uint8_t *other = a->memory + second[plane] + y * (int64_t)s->pitch_b;
                uint8_t *to = a->memory + out[plane] + y * (int64_t)s->pitch_out;
                if (s->shift == USUAL)
                    add_row(s, from, other, to, USUAL);
                else
                    add_row(s, from, other, to, s->shift);
                fill_border(a->memory + out[plane], s->pitch_out, y, s->h, s->w,
                            (uint8_t)s->zero);
            }
}
