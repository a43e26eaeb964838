// Between float channels f32 [h][w] and u8 planes, four pixels of a plane at a time. A piece of
// work is a row of all planes. Parameters are per channel: float = u8 * scale + offset, and
// u8 = round(float * steps + zero), saturated.
#include "float.h"

// Bytes [4 pixels][16 channels] to [16 channels][4 pixels], 4 channels in each vector, or back.
static __attribute__((noinline)) void to_channels(u8x16 v[4]) {
    u8x16 a = first_pairs(v[0], v[1]), b = last_pairs(v[0], v[1]);
    u8x16 c = first_pairs(v[2], v[3]), d = last_pairs(v[2], v[3]);
    i16x8 pairs[4] = {(i16x8)a, (i16x8)c, (i16x8)b, (i16x8)d};
    for (int i = 0; i < 4; i += 2) {
        i16x8 x = pairs[i], y = pairs[i + 1];
        v[i] = (u8x16)__builtin_shufflevector(x, y, 0, 8, 1, 9, 2, 10, 3, 11);
        v[i + 1] = (u8x16)__builtin_shufflevector(x, y, 4, 12, 5, 13, 6, 14, 7, 15);
    }
}

INLINE float *float_row(const args *a, uint32_t table, int channel, int y, int w) {
    return (float *)(a->memory + table_of(a, table)[channel]) + y * w;
}

void dequantize(const args *a, int ith, int nth) {
    const convert_args *c = &a->op->convert;
    const uint32_t *planes = table_of(a, c->in), *counts = table_of(a, c->counts);
    const float *parameters = (const float *)(a->memory + c->parameters);
    (void)ith;
    for (share s; next_share(a, nth, &s);)
        for (int y = s.begin; y < s.end; y++)
            for (int plane = 0, first = 0; plane < (int)c->planes; first += counts[plane++])
                for (int x = 0; x < c->w; x += 4) {
                    const uint8_t *cell = a->memory + planes[plane] + y * (int64_t)c->pitch;
                    u8x16 v[4];
                    for (int i = 0; i < 4; i++)
                        v[i] = load_u8x16(cell + (x + i < c->w ? x + i : x) * CELL);
                    to_channels(v);
                    for (int i = 0; i < (int)counts[plane]; i++) {
                        i16x8 wide = widen_u8x8((u8x8)(i32x2){((i32x4)v[i / 4])[i % 4], 0});
                        const float *p = parameters + 2 * (first + i);
                        f32x4 real = float_of(low_i32(wide)) * splat_f32(p[0]) + splat_f32(p[1]);
                        store_some(float_row(a, c->out, first + i, y, c->w) + x, real, c->w - x);
                    }
                }
}

void quantize(const args *a, int ith, int nth) {
    const convert_args *c = &a->op->convert;
    const uint32_t *planes = table_of(a, c->out), *counts = table_of(a, c->counts);
    const float *parameters = (const float *)(a->memory + c->parameters);
    f32x4 most = splat_f32(255.0f), least = splat_f32(0.0f);
    (void)ith;
    for (share s; next_share(a, nth, &s);)
        for (int y = s.begin; y < s.end; y++)
            for (int plane = 0, first = 0; plane < (int)c->planes; first += counts[plane++]) {
                uint8_t *cell = a->memory + planes[plane] + y * (int64_t)c->pitch;
                for (int x = 0; x < c->w; x += 4) {
                    i32x4 steps[CELL] = {0};
                    for (int i = 0; i < (int)counts[plane]; i++) {
                        const float *from = float_row(a, c->in, first + i, y, c->w) + x;
                        const float *p = parameters + 2 * (first + i);
                        f32x4 v = load_some(from, c->w - x) * splat_f32(p[0]) + splat_f32(p[1]);
                        steps[i] = round_f32(max_f32(min_f32(v, most), least));
                    }
                    u8x16 v[4];  // [4 channels][4 pixels] each
                    for (int i = 0; i < 4; i++)
                        v[i] = narrow_i16(narrow_i32(steps[4 * i], steps[4 * i + 1]),
                                          narrow_i32(steps[4 * i + 2], steps[4 * i + 3]));
                    to_channels(v);
                    to_channels(v);
                    for (int i = 0; i < 4 && x + i < c->w; i++)
                        store_u8x16(cell + (x + i) * CELL, v[i]);
                }
                fill_border(a->memory + planes[plane], c->pitch, y, c->h, c->w,
                            (uint8_t)parameters[2 * first + 1]);
            }
}

// A float as two u8, which together keep 13 bits and a sign where one would blur the image:
//
//   v = round(float * steps) = (coarse - 128) * 64 + (fine - 128),  96 <= fine <= 160
//
// so that a convolution reads two channels, one with weights 64 times the other's. `out` is a single
// plane: coarse channels are 0 to 3 of it, fine ones 4 to 7. |v| <= 8159, so coarse is at most 255. A zero
// is 128 in both, in the border too. parameters: steps of each channel, twice.
void quantize_finely(const args *a, int ith, int nth) {
    const convert_args *c = &a->op->convert;
    uint8_t *plane = a->memory + *table_of(a, c->out);
    const float *parameters = (const float *)(a->memory + c->parameters);
    int channels = (int)*table_of(a, c->counts);
    f32x4 most = splat_f32(8159.0f);
    (void)ith;
    require(c->planes == 1 && channels <= 4);
    for (share s; next_share(a, nth, &s);)
        for (int y = s.begin; y < s.end; y++) {
            fill_border(plane, c->pitch, y, c->h, c->w, 128);
            for (int channel = 0; channel < channels; channel++) {
                const float *from = float_row(a, c->in, channel, y, c->w);
                uint8_t *to = plane + y * (int64_t)c->pitch + channel;
                f32x4 steps = splat_f32(parameters[2 * channel]);
                for (int x = 0; x < c->w; x++, to += CELL) {
                    f32x4 v = splat_f32(from[x]) * steps;
                    int whole = round_f32(max_f32(min_f32(v, most), -most))[0];
                    int coarse = (whole + 32) >> 6;
                    to[0] = (uint8_t)(coarse + 128);
                    to[4] = (uint8_t)(whole - coarse * 64 + 128);
                }
            }
        }
}
