// Convolution from u8 planes to a few float channels: the maps that saliency networks put out at
// every scale, by 1x1 kernels with stride 1, or 3x3 ones with stride 1 or 2 along rows. A block of 8
// outputs would be nearly empty there, so the sums run over 8 input channels at a time instead, and
// are added up across the vector at last.
//
//   weights  i16 [channels_out][blocks_in][kernel_h][kernel_w][8]
//   scales   f32 [channels_out]
//
// A piece of work is an output row, in steps of 4 pixels; 4 of a 3x3 kernel share 6 columns of
// input. With stride 2 they are every other one of 8 with stride 1. Pixels beyond the row's end read
// the border, and are not written.
// No sum overflows: see pack.c, as for conv_direct; the order of the additions does not matter.
#include "epilogue.h"
#include "float.h"

// Sums of four vectors each, [sum of v[0], sum of v[1], ...].
INLINE i32x4 add_across(const i32x4 v[4]) {
    i32x4 a = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5) +
              __builtin_shufflevector(v[0], v[1], 2, 6, 3, 7);
    i32x4 b = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5) +
              __builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);
    return __builtin_shufflevector(a, b, 0, 1, 4, 5) + __builtin_shufflevector(a, b, 2, 3, 6, 7);
}

// Sums of 4 neighbours with stride 1; `cell` is the offset of the first one's first cell.
INLINE i32x4 sum_pixels(const args *a, const conv_args *c, int64_t cell, const int16_t *w,
                        const int size) {
    const uint32_t *in = table_of(a, c->in);
    i32x4 sums[4] = {0};
    for (int block = 0; block < (int)c->blocks_in; block++)
        for (int ky = 0; ky < size; ky++, w += size * 8) {
            const uint8_t *from = a->memory + in[block] + cell + ky * (int64_t)c->pitch_in;
            i16x8 weights[3];
            UNROLL for (int i = 0; i < size; i++) weights[i] = load_i16x8(w + i * 8);
            UNROLL for (int x = 0; x < 3 + size; x++) {
                i16x8 v = load_u8_as_i16(from + x * CELL);
                UNROLL for (int i = 0; i < size; i++)
                    if (x - i >= 0 && x - i < 4) sums[x - i] += dot(v, weights[i]);
            }
        }
    return add_across(sums);
}

// Not inline: the loop over 1x1 kernels would lack its registers.
static __attribute__((noinline)) i32x4 sum_3x3(const args *a, const conv_args *c, int64_t cell,
                                               const int16_t *w) {
    return sum_pixels(a, c, cell, w, 3);
}

void conv_narrow(args *a) {
    const conv_args *c = &a->op->conv;
    int size = c->kernel_h, row = (int)c->blocks_in * size * size * 8;
    require((size == 1 || size == 3) && c->kernel_w == size);
    require(c->stride_w == 1 || (c->stride_w == 2 && size == 3));
    require(c->dilation_h == 1 && c->dilation_w == 1);
    require(c->floats && !c->residual && !c->row_runs && c->pad_top <= 1 && c->pad_left <= 1);
    for (int y; (y = next_piece(a)) >= 0;)
        for (int channel = 0; channel < (int)c->channels_out; channel++) {
            const int16_t *w = (const int16_t *)(a->memory + c->weights) + channel * row;
            f32x4 scale = splat_f32(((const float *)(a->memory + c->scales))[channel]);
            f32x4 bias = splat_f32(((const float *)(a->memory + c->bias))[channel]);
            float *out = channel_of(a, c->out, channel) + y * c->w_out;
            int64_t cell =
                (y * c->stride_h - c->pad_top) * (int64_t)c->pitch_in - c->pad_left * CELL;
            for (int x = 0; x < c->w_out; x += 4, cell += 4 * CELL) {
                i32x4 sums = size == 3 ? sum_3x3(a, c, cell, w) : sum_pixels(a, c, cell, w, 1);
                if (c->stride_w == 2) {
                    cell += 4 * CELL;
                    sums = __builtin_shufflevector(sums, sum_3x3(a, c, cell, w), 0, 2, 4, 6);
                }
                store_some(out + x, activate(float_of(sums) * scale + bias, c->activation),
                           c->w_out - x);
            }
        }
}
