// Convolution of any shape as a matrix product in 16 bits: gather the inputs of n output pixels,
// multiply them with all weights (gemm.h).
//
// A piece of work is an output row. It goes in groups of n pixels:
//
//   inputs --gather--> columns i16 [depth][width][8]     depth: blocks of 8 inputs of one output
//   columns x weights --> sums i32 [blocks_out][GROUP][8] --> output
//
//   weights  i16 [blocks_out][depth][4][8][2]
//   scales   f32 [blocks_out][8]                one for each output channel
//
// The inputs of an output are ordered [kernel_h][kernel_w][blocks_in][8]. Of those that
// quantize_finely has made a tap has four channels, and two taps are a block. If just three are in
// use, the last one of an odd number of taps needs no block: it takes the others' free places,
//
//   [tap 0: r g b R] [tap 1: r g b G] [tap 2: r g b B] [tap 3: r g b -] ...   RGB: of the last tap
//
// No sum overflows: pack.c chooses scales so that sum |weight| * limit < 2^31, where limit is 255,
// or 8159 for fine inputs, and traps if the rounded weights break it.
#include "epilogue.h"
#include "gemm.h"

// A tap of one pixel, of fine inputs in so many blocks.
INLINE void gather_fine(const int16_t *cell, int tap, int blocks, int width, int16_t *to) {
    if (tap / 2 < blocks)
        __builtin_memcpy(to + tap / 2 * width * 8 + tap % 2 * 4, cell, 8);
    else
        for (int i = 0; i < 3; i++) to[i / 2 * width * 8 + i % 2 * 4 + 3] = cell[i];
}

// The inputs of output pixels (y, x), ..., (y, x + n - 1). What lies outside of the input is read
// from its border, of which one cell is as good as another.
static void gather(const args *a, const conv_args *c, int y, int x, int n, int16_t *columns) {
    int width = width_for(n), blocks = (int)c->blocks_in, tap = 0;  // fine: blocks of all taps
    const uint32_t *in = table_of(a, c->in);
    for (int ky = 0; ky < c->kernel_h; ky++)
        for (int kx = 0; kx < c->kernel_w; kx++, tap++) {
            int from_y = y * c->stride_h - c->pad_top + ky * c->dilation_h;
            int from_x = x * c->stride_w - c->pad_left + kx * c->dilation_w;
            from_y = at_least(at_most(from_y, c->h_in), -1);
            const uint8_t *row = a->memory + from_y * (int64_t)c->pitch_in;
            for (int i = 0; i < n; i++, from_x += c->stride_w) {
                const uint8_t *cell = row + at_least(at_most(from_x, c->w_in), -1) * CELL;
                int16_t *to = columns + i * 8;
                if (c->fine) {
                    gather_fine((const int16_t *)(cell + in[0]), tap, blocks, width, to);
                    continue;
                }
                to += tap * blocks * width * 8;
                for (int block = 0; block < blocks; block++)
                    store_i16x8(to + block * width * 8, load_u8_as_i16(cell + in[block]));
            }
        }
}

// scratch: sums, then columns
void conv_direct(args *a) {
    const conv_args *c = &a->op->conv;
    int taps = c->kernel_h * c->kernel_w, blocks = (int)c->blocks_out;
    int depth = (c->fine ? 1 : taps) * (int)c->blocks_in;
    int32_t *sums = (int32_t *)a->scratch;
    int16_t *columns = (int16_t *)(sums + blocks * GROUP * 8);
    const int16_t *weights = (const int16_t *)(a->memory + c->weights);
    require(c->stride_h > 0 && c->stride_w > 0 && depth > 0);
    for (int y; (y = next_piece(a)) >= 0;) {
        for (int x = 0, n; x < c->w_out; x += n) {
            n = next_group(c->w_out - x);
            gather(a, c, y, x, n, columns);
            multiply(columns, 0, weights, depth, width_for(n), sums, blocks);
            for (int block = 0; block < blocks; block++)
                write_pixels(a, c, block, y, x, n, sums + block * GROUP * 8);
        }
        fill_borders(a, c, y, y + 1);
    }
}
