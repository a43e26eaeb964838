// What convolutions other than plain ones do with their sums, and borders.
#include "epilogue.h"

// Beyond this many u8 steps round_f32 would not hold; lower.py lets a conv be plain only if its
// largest possible sum is below 2^22 steps.
INLINE f32x4 limit_steps(f32x4 y) {
    return max_f32(min_f32(y, splat_f32(65536.0f)), splat_f32(-65536.0f));
}

void finish(const args *a, const conv_args *c, int block, int y, int x, pixel p) {
    p = add_pixels(p, bias_at(a, c, block, y, x));
    p = (pixel){activate(p.low, c->activation), activate(p.high, c->activation)};
    if (c->residual) {
        const uint8_t *from = a->memory + table_of(a, c->residual)[block];
        p = add_pixels(p, load_residual(from + (int64_t)y * c->pitch_residual + x * CELL,
                                        splat_f32(c->residual_scale),
                                        splat_f32(c->residual_offset)));
    }
    p = (pixel){activate(p.low, c->activation_last), activate(p.high, c->activation_last)};
    if (c->floats) {
        const uint32_t *channels = table_of(a, c->out);
        for (int i = 0; i < 8 && block * 8 + i < (int)c->channels_out; i++)
            ((float *)(a->memory + channels[block * 8 + i]))[y * c->w_out + x] =
                i < 4 ? p.low[i] : p.high[i - 4];
        return;
    }
    f32x4 steps = splat_f32(c->steps), zero = splat_f32(c->zero);
    p = (pixel){limit_steps(p.low * steps + zero), limit_steps(p.high * steps + zero)};
    store_steps(a->memory + table_of(a, c->out)[block] + (int64_t)y * c->pitch_out + x * CELL, p);
}

void fill_borders(const args *a, const conv_args *c, int begin, int end) {
    const uint32_t *out = table_of(a, c->out);
    for (uint32_t block = 0; block < c->groups * c->blocks_out; block += 2)
        for (int y = begin; y < end && y < c->h_out; y++)
            fill_border(a->memory + out[block], c->pitch_out, y, c->h_out, c->w_out,
                        (uint8_t)c->zero);
}
