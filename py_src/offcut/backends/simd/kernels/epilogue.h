// From the sums of a convolution to its output: scale, bias, activation, residual, u8 or float.
//
// Three kinds, from fast to general:
//   plain     scales and biases are in u8 steps: rounding and saturating, which is also the Relu, is
//             all that is left
//   extended  plain, with a residual to add or a bias that differs at the border
//   other     in real units, with any activation or float output (finish)
#pragma once
#include "activation.h"
#include "plane.h"

typedef struct {
    f32x4 low, high;
} pixel;  // 8 output channels

// Round to steps; narrow_i16 then saturates to u8.
INLINE i16x8 rounded(pixel p) { return narrow_i32(round_f32(p.low), round_f32(p.high)); }

INLINE void store_steps(uint8_t *to, pixel p) {
    store_u8x8(to, low_u8(narrow_i16(rounded(p), rounded(p))));
}

INLINE int is_extended(const conv_args *c) { return c->residual || c->row_runs; }

// The bias of 8 output channels at one pixel.
INLINE const float *bias_of(const args *a, const conv_args *c, int block, int y, int x) {
    uint32_t run = 0;
    if (c->row_runs)
        run = table_of(a, c->row_runs)[y] * c->runs + table_of(a, c->column_runs)[x];
    uint32_t blocks = (c->channels_out + 7) / 8;
    return (const float *)(a->memory + c->bias) + (run * blocks + (uint32_t)block) * 8;
}
INLINE pixel bias_at(const args *a, const conv_args *c, int block, int y, int x) {
    const float *bias = bias_of(a, c, block, y, x);
    return (pixel){load_f32x4(bias), load_f32x4(bias + 4)};
}

// Whether the 4 x 4 pixels from (y, x) on have the same bias: runs only ever grow.
INLINE int is_even(const args *a, const conv_args *c, int y, int x) {
    const uint32_t *rows = table_of(a, c->row_runs) + y;
    const uint32_t *columns = table_of(a, c->column_runs) + x;
    return rows[0] == rows[3] && columns[0] == columns[3];
}

INLINE pixel add_pixels(pixel a, pixel b) { return (pixel){a.low + b.low, a.high + b.high}; }

// What an extended convolution does besides rounding, for one block of output channels from pixel
// (y, x) on.
typedef struct {
    const uint8_t *residual;  // its cell (y, x), or 0
    f32x4 scale, offset;      // of the residual
    f32x4 least;              // of the sums before it is added: 0 for a Relu
} extension;

INLINE extension extension_at(const args *a, const conv_args *c, int block, int y, int x) {
    extension e = {0, splat_f32(c->residual_scale), splat_f32(c->residual_offset),
                   splat_f32(c->activation == ACT_RELU ? 0.0f : -3e38f)};
    if (c->residual)
        e.residual = a->memory + table_of(a, c->residual)[block] +
                     (int64_t)y * c->pitch_residual + x * CELL;
    return e;
}

// The residual at `from`, as floats in the unit of its scale.
INLINE pixel load_residual(const uint8_t *from, f32x4 scale, f32x4 offset) {
    i16x8 other = load_u8_as_i16(from);
    return (pixel){float_of(low_i32(other)) * scale + offset,
                   float_of(high_i32(other)) * scale + offset};
}

// Add the residual of pixel (row, i) from where `e` begins to a pixel in u8 steps. The Relu before it
// cannot be left to the saturation.
INLINE pixel add_residual(const conv_args *c, const extension *e, int row, int i, pixel p) {
    const uint8_t *from = e->residual + (int64_t)row * c->pitch_residual + i * CELL;
    p = (pixel){max_f32(p.low, e->least), max_f32(p.high, e->least)};
    return add_pixels(p, load_residual(from, e->scale, e->offset));
}

// A pixel of an extended convolution in u8 steps. p are the scaled sums, with the bias if there is
// only one; (row, i) is its place from (y, x), where `e` begins.
INLINE pixel extend(const args *a, const conv_args *c, const extension *e, int block, int y, int x,
                    int row, int i, pixel p) {
    if (c->row_runs) p = add_pixels(p, bias_at(a, c, block, y + row, x + i));
    return e->residual ? add_residual(c, e, row, i, p) : p;
}

// Write a pixel of a convolution that is not plain; p are the scaled sums without bias.
void finish(const args *a, const conv_args *c, int block, int y, int x, pixel p);

// Fill the border beside output rows [begin, end) of all planes.
void fill_borders(const args *a, const conv_args *c, int begin, int end);
