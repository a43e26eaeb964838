// Between float channels f32 [h][w] and u8 planes, four pixels at a time. A piece of work is a row
// of all planes. Parameters are per channel: float = steps * scale + offset, and u8 = round(float *
// steps + zero), saturated. Cells beyond the row's end are border, which is filled afterwards.
#include "float.h"

INLINE f32x4 within(f32x4 v, float least, float most) {
    return max_f32(min_f32(v, splat_f32(most)), splat_f32(least));
}

// One channel of four cells.
INLINE void store_channel(uint8_t *cell, i32x4 v) {
    UNROLL for (int i = 0; i < 4; i++) cell[i * CELL] = (uint8_t)v[i];
}

void dequantize(args *a) {
    const convert_args *c = &a->op->convert;
    const uint32_t *planes = table_of(a, c->in), *counts = table_of(a, c->counts);
    for (int y; (y = next_piece(a)) >= 0;) {
        const float *parameters = (const float *)(a->memory + c->parameters);
        for (int plane = 0, first = 0; plane < (int)c->planes; first += (int)counts[plane++])
            for (int i = 0; i < (int)counts[plane]; i++, parameters += 3) {
                const uint8_t *cell = a->memory + planes[plane] + y * (int64_t)c->pitch + i;
                float *to = channel_of(a, c->out, first + i) + y * c->w;
                for (int x = 0; x < c->w; x += 4, cell += 4 * CELL) {
                    i32x4 u8 = {cell[0], cell[CELL], cell[2 * CELL], cell[3 * CELL]};
                    f32x4 v = float_of(u8);
                    f32x4 over = max_f32(v - splat_f32(parameters[2]), splat_f32(0.0f));
                    v += over + over;
                    store_some(to + x, v * splat_f32(parameters[0]) + splat_f32(parameters[1]),
                               c->w - x);
                }
            }
    }
}

void quantize(args *a) {
    const convert_args *c = &a->op->convert;
    const uint32_t *planes = table_of(a, c->out), *counts = table_of(a, c->counts);
    for (int y; (y = next_piece(a)) >= 0;) {
        const float *parameters = (const float *)(a->memory + c->parameters);
        for (int plane = 0, first = 0; plane < (int)c->planes; first += (int)counts[plane++]) {
            uint8_t zero = (uint8_t)parameters[1];
            for (int i = 0; i < (int)counts[plane]; i++, parameters += 2) {
                uint8_t *cell = a->memory + planes[plane] + y * (int64_t)c->pitch + i;
                const float *from = channel_of(a, c->in, first + i) + y * c->w;
                for (int x = 0; x < c->w; x += 4, cell += 4 * CELL) {
                    f32x4 v = load_some(from + x, c->w - x) * splat_f32(parameters[0]) +
                              splat_f32(parameters[1]);
                    store_channel(cell, round_f32(within(v, 0.0f, 255.0f)));
                }
            }
            fill_border(a->memory + planes[plane], c->pitch, y, 1, c->h, c->w, zero);
        }
    }
}

// What 8 bits would blur: v = round(float * steps), of up to four channels. `out` is a single plane,
// whose cells begin with the v of four channels, i16, 0 for those that are missing. parameters: of
// each channel, steps and the largest |v|.
void quantize_finely(args *a) {
    const convert_args *c = &a->op->convert;
    uint8_t *plane = a->memory + *table_of(a, c->out);
    const float *parameters = (const float *)(a->memory + c->parameters);
    int channels = (int)*table_of(a, c->counts);
    require(c->planes == 1 && channels <= 4);
    for (int y; (y = next_piece(a)) >= 0;) {
        uint8_t *to = plane + y * (int64_t)c->pitch;
        for (int channel = 0; channel < 4; channel++, to += 2) {
            int there = channel < channels ? channel : 0;
            const float *from = channel_of(a, c->in, there) + y * c->w;
            float steps = channel == there ? parameters[2 * channel] : 0;
            float most = parameters[2 * there + 1];
            int16_t *cell = (int16_t *)to;
            for (int x = 0; x < c->w; x += 4, cell += 2 * CELL) {
                i32x4 v = round_f32(
                    within(load_some(from + x, c->w - x) * splat_f32(steps), -most, most));
                UNROLL for (int i = 0; i < 4; i++) cell[i * CELL / 2] = (int16_t)v[i];
            }
        }
        fill_border(plane, c->pitch, y, 1, c->h, c->w, 0);
    }
}
