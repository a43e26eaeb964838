// Depthwise convolution of u8 planes: any kernel, stride and dilation, one output per channel.
//
// Two taps at a time: their cells are interleaved, so that a product of pairs (dot) adds both for
// four channels of a block of 8.
//
//   weights  i16 [blocks][pairs of taps][8][2]    taps along the rows
//   scales   f32 [blocks][8]
//
// Blocks of the output hold the channels of the input's. A piece of work is an output row.
// No sum overflows: lower_depthwise.py scales weights so that 255 * sum |weight| < 2^31.
#include "epilogue.h"

// The sums of the 8 channels of a cell; offsets are those of the taps' cells from it.
INLINE void sum_taps(const uint8_t *cell, const int32_t *offsets, const int16_t *w, int pairs,
                     int32_t *sums) {
    i32x4 low = splat_i32(0), high = splat_i32(0);
    for (int pair = 0; pair < pairs; pair++, w += 16, offsets += 2) {
        i16x8 a = load_u8_as_i16(cell + offsets[0]), b = load_u8_as_i16(cell + offsets[1]);
        low += dot(__builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11), load_i16x8(w));
        high += dot(__builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15), load_i16x8(w + 8));
    }
    store_i32x4(sums, low);
    store_i32x4(sums + 4, high);
}

// Offsets of the taps from cell (top, left) of the input. Those outside of it lead to its border,
// of which one cell is as good as another; columns are looked after up to column `last`.
static void find_taps(const conv_args *c, int top, int left, int last, int32_t *offsets) {
    for (int ky = 0; ky < c->kernel_h; ky++)
        for (int kx = 0; kx < c->kernel_w; kx++) {
            int y = at_least(at_most(top + ky * c->dilation_h, c->h_in), -1);
            int x = at_least(at_most(left + kx * c->dilation_w, last), -1);
            *offsets++ = (y - top) * (int)c->pitch_in + (x - left) * CELL;
        }
    *offsets = offsets[-1];  // the other half of an odd tap's pair, which has weight 0
}

// scratch: sums of a row of one block, then offsets of the taps inside, and near the border
void conv_depthwise(args *a) {
    const conv_args *c = &a->op->conv;
    int pairs = (c->kernel_h * c->kernel_w + 1) / 2, reach = (c->kernel_w - 1) * c->dilation_w;
    int32_t *sums = (int32_t *)a->scratch, *inner = sums + c->w_out * 8;
    int32_t *edge = inner + 2 * pairs + 1;
    const int16_t *weights = (const int16_t *)(a->memory + c->weights);
    for (int y; (y = next_piece(a)) >= 0;) {
        int top = y * c->stride_h - c->pad_top;
        find_taps(c, top, 0, reach, inner);
        for (int block = 0; block < (int)c->blocks_out; block++) {
            const uint8_t *in = a->memory + table_of(a, c->in)[block] + top * (int64_t)c->pitch_in;
            for (int x = 0; x < c->w_out; x++) {
                int left = x * c->stride_w - c->pad_left;
                int inside = left >= -1 && left + reach <= c->w_in;
                if (!inside) find_taps(c, top, left, c->w_in, edge);
                sum_taps(in + left * CELL, inside ? inner : edge, weights + block * pairs * 16,
                         pairs, sums + x * 8);
            }
            write_pixels(a, c, block, y, 0, c->w_out, sums);
        }
        fill_borders(a, c, y, y + 1);
    }
}
