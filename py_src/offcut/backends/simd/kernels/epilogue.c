// What convolutions do with their sums, and borders.
#include "epilogue.h"

// Beyond this many u8 steps round_f32 would not hold; lower.py lets a conv be plain only if its
// largest possible sum is below 2^22 steps.
INLINE f32x4 limit_steps(f32x4 y) {
    return max_f32(min_f32(y, splat_f32(65536.0f)), splat_f32(-65536.0f));
}

void finish(const args *a, const conv_args *c, int block, int y, int x, pixel p) {
    f32x4 halves[2];
    residual r = residual_at(a, c, block, y, x);
    p = add_pixels(p, load_pixel(bias_of(a, c, block, y, x)));
    p = (pixel){activate(p.low, c->activation), activate(p.high, c->activation)};
    f32x4 offset = splat_f32(c->residual_offset);
    p = (pixel){p.low + offset, p.high + offset};
    if (r.at) p = add_residual(&r, r.at, p);
    halves[0] = activate(p.low, c->activation_last);
    halves[1] = activate(p.high, c->activation_last);
    if (c->floats) {
        const uint32_t *channels = table_of(a, c->out) + block * 8;
        for (int i = 0; i < 8 && block * 8 + i < (int)c->channels_out; i++)
            ((float *)(a->memory + channels[i]))[y * c->w_out + x] = ((float *)halves)[i];
        return;
    }
    f32x4 steps = splat_f32(c->steps), zero = splat_f32(c->zero);
    store_steps(c, output_cell(a, c, block, y, x),
                (pixel){limit_steps(halves[0] * steps + zero),
                        limit_steps(halves[1] * steps + zero)});
}

void write_pixels(const args *a, const conv_args *c, int block, int y, int x, int n,
                  const int32_t *sums) {
    pixel scales = load_pixel((const float *)(a->memory + c->scales) + block * 8);
    pixel bias = load_pixel(bias_of(a, c, block, 0, 0));
    int plain = c->plain && !c->row_runs;
    residual r = residual_at(a, c, block, y, x);
    uint8_t *to = c->floats ? 0 : output_cell(a, c, block, y, x);
    for (int i = 0; i < n; i++, sums += 8) {
        pixel p = {float_of(load_i32x4(sums)) * scales.low,
                   float_of(load_i32x4(sums + 4)) * scales.high};
        if (!plain) {
            finish(a, c, block, y, x + i, p);
            continue;
        }
        p = add_pixels(p, bias);
        if (r.at) p = add_residual(&r, r.at + i * CELL, p);
        store_steps(c, to + i * CELL, p);
    }
}

// Second halves of planes have no border of their own.
void fill_borders(const args *a, const conv_args *c, int begin, int end) {
    const uint32_t *out = table_of(a, c->out);
    if (c->floats) return;
    for (uint32_t block = 0; block < c->blocks_out; block++)
        if (out[block] % CELL == 0)
            fill_border(a->memory + out[block], c->pitch_out, begin,
                        at_most(end, c->h_out) - begin, c->h_out, c->w_out, (uint8_t)c->border);
}
