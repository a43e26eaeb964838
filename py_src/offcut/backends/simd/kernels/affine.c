// Elementwise on u8 planes: a product or sum by channel, or limits; and sums of whole planes.
#include "plane.h"

enum { LANES = CELL };

// Factor and term of each channel of a plane: u8 out = u8 in * factor + term.
static void lanes_of(const args *a, const affine_args *s, int first, int n, float *factors,
                     float *terms) {
    for (int i = 0; i < LANES; i++) {
        int channel = first + (i < n ? i : 0);
        float factor = 1.0f, term = 0.0f;
        if (s->factors) factor = *(const float *)(a->memory + table_of(a, s->factors)[channel]);
        if (s->terms) term = *(const float *)(a->memory + table_of(a, s->terms)[channel]);
        factors[i] = factor * s->scale;
        terms[i] = factor * s->offset + term * s->steps + s->zero;
    }
}

INLINE u8x16 scaled_cell(const uint8_t *from, const float *factors, const float *terms) {
    i16x8 low = load_u8_as_i16(from), high = load_u8_as_i16(from + BLOCK);
    i32x4 q[4] = {low_i32(low), high_i32(low), low_i32(high), high_i32(high)};
    UNROLL for (int i = 0; i < 4; i++) {
        f32x4 v = float_of(q[i]) * load_f32x4(factors + 4 * i) + load_f32x4(terms + 4 * i);
        q[i] = round_f32(max_f32(min_f32(v, splat_f32(255.0f)), splat_f32(0.0f)));
    }
    return narrow_i16(narrow_i32(q[0], q[1]), narrow_i32(q[2], q[3]));
}

// A piece of work is a row of all planes. With `limits`, values only move between least and most,
// and scale and zero point stay.
void affine_u8(const args *a, int ith, int nth) {
    const affine_args *s = &a->op->affine;
    const uint32_t *in = table_of(a, s->in), *out = table_of(a, s->out);
    const uint32_t *counts = table_of(a, s->counts);
    u8x16 least = (u8x16){0} + (uint8_t)s->least, most = (u8x16){0} + (uint8_t)s->most;
    float factors[LANES], terms[LANES];
    (void)ith;
    for (share w; next_share(a, nth, &w);)
        for (int y = w.begin; y < w.end; y++)
            for (int plane = 0, first = 0; plane < (int)s->planes; first += counts[plane++]) {
                const uint8_t *from = a->memory + in[plane] + y * (int64_t)s->pitch_in;
                uint8_t *to = a->memory + out[plane] + y * (int64_t)s->pitch_out;
                if (!s->limits) lanes_of(a, s, first, (int)counts[plane], factors, terms);
                for (int x = 0; x < s->w; x++, from += CELL, to += CELL)
                    store_u8x16(to, s->limits ? min_u8(max_u8(load_u8x16(from), least), most)
                                              : scaled_cell(from, factors, terms));
                fill_border(a->memory + out[plane], s->pitch_out, y, s->h, s->w,
                            (uint8_t)s->border);
            }
}

// Sums of each channel, as floats: out = (sum - least) * scale, where `least` is what zero points
// add up to. Sums of 2^23 cells fit 32 bits. A piece of work is a plane.
void reduce_u8(const args *a, int ith, int nth) {
    const affine_args *s = &a->op->affine;
    const uint32_t *counts = table_of(a, s->counts), *out = table_of(a, s->out);
    (void)ith;
    require((int64_t)s->h * s->w <= 1 << 23);
    for (share w; next_share(a, nth, &w);)
        for (int plane = w.begin; plane < w.end; plane++) {
            const uint8_t *from = a->memory + table_of(a, s->in)[plane];
            int first = 0;
            i32x4 sums[4] = {0};
            for (int y = 0; y < s->h; y++, from += s->pitch_in)
                for (int x = 0; x < s->w; x++) {
                    i16x8 low = load_u8_as_i16(from + x * CELL);
                    i16x8 high = load_u8_as_i16(from + x * CELL + BLOCK);
                    sums[0] += low_i32(low), sums[1] += high_i32(low);
                    sums[2] += low_i32(high), sums[3] += high_i32(high);
                }
            for (int i = 0; i < plane; i++) first += (int)counts[i];
            for (int i = 0; i < (int)counts[plane]; i++)
                *(float *)(a->memory + out[first + i]) =
                    (float)(sums[i / 4][i % 4] - (int32_t)s->least) * s->scale;
        }
}
