// From the sums of a convolution to its output: scale, bias, activation, residual, u8 or float.
//
// Two ways:
//   plain   scales, biases and residual are in u8 steps: rounding and saturating, which is also the
//           Relu, is all that is left, where the pixels have a single bias; conv_winograd.c does
//           it in integers instead
//   finish  does everything: biases that differ at the border, any activation, float output
#pragma once
#include "activation.h"
#include "plane.h"

typedef struct {
    f32x4 low, high;
} pixel;  // 8 output channels

INLINE pixel add_pixels(pixel a, pixel b) { return (pixel){a.low + b.low, a.high + b.high}; }
INLINE pixel load_pixel(const float *from) {
    return (pixel){load_f32x4(from), load_f32x4(from + 4)};
}

// Round to steps; narrow_i16 then saturates to u8.
INLINE i16x8 rounded(pixel p) { return narrow_i32(round_f32(p.low), round_f32(p.high)); }

INLINE void store_steps(const conv_args *c, uint8_t *to, pixel p) {
    i16x8 steps = rounded(p);
    if (c->bent) steps = bend(steps);
    store_u8x8(to, low_u8(narrow_i16(steps, steps)));
}

// The bias of 8 output channels at one pixel.
INLINE const float *bias_of(const args *a, const conv_args *c, int block, int y, int x) {
    uint32_t run = 0;
    if (c->row_runs)
        run = table_of(a, c->row_runs)[y] * c->runs + table_of(a, c->column_runs)[x];
    return (const float *)(a->memory + c->bias) + (run * c->blocks_out + (uint32_t)block) * 8;
}

// Where a block of the input bends, or that it is one of quantize_finely.
INLINE int knee_of(const args *a, const conv_args *c, int block) {
    return c->knees ? (int)table_of(a, c->knees)[block] : c->fine ? WIDE : LINEAR;
}

// The u8 at cell (y, x) of a block of output channels.
INLINE uint8_t *output_cell(const args *a, const conv_args *c, int block, int y, int x) {
    return a->memory + table_of(a, c->out)[block] + (int64_t)y * c->pitch_out + x * CELL;
}

// What a convolution adds to a block of output channels, from cell (y, x) on.
typedef struct {
    const uint8_t *at;    // 0 for none, and then all else means nothing
    const float *scales;  // [8]
    f32x4 least;          // of the sums before it is added, for a Relu
    int knee;
} residual;

INLINE residual residual_at(const args *a, const conv_args *c, int block, int y, int x) {
    residual r = {0, (const float *)(a->memory + c->residual_scales) + block * 8,
                  splat_f32(c->residual_least), (int)c->residual_knee};
    if (c->residual)
        r.at = a->memory + table_of(a, c->residual)[block] + (int64_t)y * c->pitch_residual +
               x * CELL;
    return r;
}

// Add a cell of the residual. What stands for its zero is part of the bias, so a Relu before it,
// which cannot be left to the saturation, ends there.
INLINE pixel add_residual(const residual *r, const uint8_t *cell, pixel p) {
    i16x8 other = unbend(load_u8_as_i16(cell), r->knee);
    p = (pixel){max_f32(p.low, r->least), max_f32(p.high, r->least)};
    pixel scales = load_pixel(r->scales);
    return add_pixels(p, (pixel){float_of(low_i32(other)) * scales.low,
                                 float_of(high_i32(other)) * scales.high});
}

// Write a pixel of any convolution; p are the scaled sums without bias.
void finish(const args *a, const conv_args *c, int block, int y, int x, pixel p);

// Write n pixels of one block of output channels, from their sums i32 [n][8].
void write_pixels(const args *a, const conv_args *c, int block, int y, int x, int n,
                  const int32_t *sums);

// Fill the border beside output rows [begin, end) of all planes.
void fill_borders(const args *a, const conv_args *c, int begin, int end);
