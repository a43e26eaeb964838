// From the sums of a convolution to its output: scale, bias, activation, residual, u8 or float.
//
// Plain convolutions (conv_args.plain) have scales and biases in u8 steps: rounding and saturating
// is all that is left, and saturating at 0 is the Relu. The others come here in real units.
#pragma once
#include "activation.h"
#include "plane.h"

INLINE u8x8 saturate(f32x4 low, f32x4 high) {
    i16x8 v = narrow_i32(round_f32(low), round_f32(high));
    return low_u8(narrow_i16(v, v));
}

// The bias of 8 output channels at one pixel, in real units.
INLINE const float *bias_at(const args *a, const conv_args *c, int block, int y, int x) {
    uint32_t run = 0;
    if (c->row_runs)
        run = table_of(a, c->row_runs)[y] * c->runs + table_of(a, c->column_runs)[x];
    uint32_t blocks = (c->channels_out + 7) / 8;
    return (const float *)(a->memory + c->bias) + (run * blocks + (uint32_t)block) * 8;
}

// Write 8 output channels of one pixel of a convolution that is not plain; low and high are the
// scaled sums without bias.
void finish(const args *a, const conv_args *c, int block, int y, int x, f32x4 low, f32x4 high);

// Fill the border beside output rows [begin, end) of all planes.
void fill_borders(const args *a, const conv_args *c, int begin, int end);
