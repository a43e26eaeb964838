// Convolution of any shape as a matrix product in 16 bits: gather the inputs of n output pixels,
// multiply them with all weights (gemm.h).
//
// A piece of work is an output row. It goes in a few groups of pixels at a time, or one where the
// inputs of an output are many:
//
//   inputs --gather--> columns i16 [groups][depth][width][8]     depth: blocks of 8 inputs
//   columns x weights --> sums i32 [groups][GROUP][8] --> output, for each block of outputs
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
// 393 if a plane is bent, or 8159 for fine inputs.
#include "epilogue.h"
#include "gemm.h"

enum { GROUPS = 4, SHALLOW = 40 };  // blocks of inputs; lower_conv.py has the same

// One tap of n pixels, of fine inputs in so many blocks; `cells` are offsets from `row`.
static void gather_fine(const uint8_t *row, const int32_t *cells, int n, int tap, int blocks,
                        int width, int16_t *columns) {
    int16_t *to = columns + tap / 2 * width * 8 + tap % 2 * 4;
    if (tap / 2 < blocks)
        for (int i = 0; i < n; i++) __builtin_memcpy(to + i * 8, row + cells[i], 8);
    else
        for (int i = 0; i < n; i++)
            for (int j = 0; j < 3; j++)
                columns[j / 2 * width * 8 + i * 8 + j % 2 * 4 + 3] =
                    ((const int16_t *)(row + cells[i]))[j];
}

// The inputs of output pixels (y, x), ..., (y, x + n - 1). What lies outside of the input is read
// from its border, of which one cell is as good as another.
static void gather(const args *a, const conv_args *c, int y, int x, int n, int16_t *columns) {
    int width = width_for(n), blocks = (int)c->blocks_in;  // fine: blocks of all taps
    const uint32_t *in = table_of(a, c->in);
    int32_t cells[GROUP];
    for (int kx = 0; kx < c->kernel_w; kx++) {
        int from_x = x * c->stride_w - c->pad_left + kx * c->dilation_w;
        for (int i = 0; i < n; i++, from_x += c->stride_w)
            cells[i] = at_least(at_most(from_x, c->w_in), -1) * CELL;
        for (int ky = 0; ky < c->kernel_h; ky++) {
            int from_y = y * c->stride_h - c->pad_top + ky * c->dilation_h;
            int tap = ky * c->kernel_w + kx;
            from_y = at_least(at_most(from_y, c->h_in), -1);
            const uint8_t *row = a->memory + from_y * (int64_t)c->pitch_in;
            int16_t *to = columns + tap * blocks * width * 8;
            if (c->fine)
                gather_fine(row + in[0], cells, n, tap, blocks, width, columns);
            else
                for (int i = 0; i < n; i++, to += 8)
                    for (int block = 0; block < blocks; block++)
                        store_i16x8(to + block * width * 8,
                                    unbend(load_u8_as_i16(row + cells[i] + in[block]),
                                           knee_of(a, c, block)));
        }
    }
}

// scratch: columns
void conv_direct(args *a) {
    const conv_args *c = &a->op->conv;
    int depth = (c->fine ? 1 : c->kernel_h * c->kernel_w) * (int)c->blocks_in;
    int most = (depth <= SHALLOW ? GROUPS : 1) * GROUP, size = depth * GROUP * 8;
    int32_t sums[GROUPS * GROUP * 8];
    int16_t *columns = (int16_t *)a->scratch;
    require(c->stride_h > 0 && c->stride_w > 0 && depth > 0);
    for (int y; (y = next_piece(a)) >= 0;) {
        for (int x = 0, n; x < c->w_out; x += n) {
            n = at_most(c->w_out - x, most);
            for (int i = 0; i < n; i += GROUP)
                gather(a, c, y, x + i, at_most(n - i, GROUP), columns + i / GROUP * size);
            for (int block = 0; block < (int)c->blocks_out; block++) {
                const int16_t *w = (const int16_t *)(a->memory + c->weights) + block * depth * 64;
                for (int i = 0; i < n; i += GROUP)
                    multiply(columns + i / GROUP * size, 0, w, depth, BLOCK / 2,
                             width_for(at_most(n - i, GROUP)), sums + i * 8, 1);
                write_pixels(a, c, block, y, x, n, sums);
            }
        }
        fill_borders(a, c, y, y + 1);
    }
}
