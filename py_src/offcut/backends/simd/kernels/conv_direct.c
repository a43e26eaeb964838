// Convolution of any shape as a matrix product in 16 bits: gather the inputs of n output pixels,
// multiply them with all weights (gemm.h).
//
// A piece of work is an output row. It goes in groups of n pixels:
//
//   inputs --gather--> columns i16 [depth][n][8]     depth: blocks of 8 inputs of one output
//   columns x weights --> sums i32 [blocks_out][GROUP][8] --> output
//
//   weights  i16 [groups][blocks_out][depth][4][8][2]
//   scales   f32 [groups][blocks_out][8]                one for each output channel
//
// The inputs of an output are ordered [kernel_h][kernel_w][blocks_in][8].
// No sum overflows: pack.c chooses scales so that sum |weight| * 255 < 2^31, and traps if the rounded
// weights break it.
#include "direct.h"

// columns i16 [kernel_h][kernel_w][blocks_in][n][8] for output pixels (y, x), ..., (y, x + n - 1)
// of one group of channels. A cell outside of the input is read as the plane's border cell.
static void gather_cells(const args *a, const conv_args *c, int group, int y, int x, int n,
                         int16_t *columns) {
    int blocks = (int)c->blocks_in;
    const uint32_t *in = table_of(a, c->in) + group * blocks;
    for (int ky = 0; ky < c->kernel_h; ky++) {
        int from_y = y * c->stride_h - c->pad_top + ky * c->dilation_h;
        int row_inside = from_y >= 0 && from_y < c->h_in;
        for (int kx = 0; kx < c->kernel_w; kx++, columns += blocks * n * 8)
            for (int i = 0; i < n; i++) {
                int from_x = (x + i) * c->stride_w - c->pad_left + kx * c->dilation_w;
                int inside = row_inside && from_x >= 0 && from_x < c->w_in;
                int64_t cell = inside ? from_y * (int64_t)c->pitch_in + from_x * CELL
                                      : -(int64_t)c->pitch_in - CELL;
                const uint8_t *base = a->memory + cell;
                for (int block = 0; block < blocks; block++)
                    store_i16x8(columns + (block * n + i) * 8, load_u8_as_i16(base + in[block]));
            }
    }
}

// Sums to output, for n pixels of one block.
static void write_pixels(const args *a, const conv_args *c, int block, int y, int x, int n,
                         const int32_t *sums) {
    const float *scales = (const float *)(a->memory + c->scales) + block * 8;
    f32x4 scale_low = load_f32x4(scales), scale_high = load_f32x4(scales + 4);
    int extended = is_extended(c);
    pixel bias = c->row_runs ? (pixel){splat_f32(0), splat_f32(0)} : bias_at(a, c, block, 0, 0);
    extension e;
    uint8_t *to = a->memory;
    if (c->plain) {
        e = extension_at(a, c, block, y, x);
        to += table_of(a, c->out)[block] + (int64_t)y * c->pitch_out + x * CELL;
    }
    for (int i = 0; i < n; i++, sums += 8, to += CELL) {
        pixel p = {float_of(load_i32x4(sums)) * scale_low,
                   float_of(load_i32x4(sums + 4)) * scale_high};
        if (!c->plain) {
            finish(a, c, block, y, x + i, p);
            continue;
        }
        p = add_pixels(p, bias);
        store_steps(to, extended ? extend(a, c, &e, block, y, x, 0, i, p) : p);
    }
}

void multiply_pixels(const args *a, const conv_args *c, int group, int depth, int y, int x, int n,
                     const workspace *w) {
    int blocks = (int)c->blocks_out, first = group * blocks;
    const int16_t *weights = (const int16_t *)(a->memory + c->weights);
    multiply(w->columns, 0, weights + (int64_t)first * depth * 64, depth, n, w->sums, blocks);
    for (int block = 0; block < blocks; block++)
        write_pixels(a, c, first + block, y, x, n, w->sums + block * GROUP * 8);
}

void conv_direct(const args *a, int ith, int nth) {
    const conv_args *c = &a->op->conv;
    int depth = c->kernel_h * c->kernel_w * (int)c->blocks_in;
    workspace w = place(a, c, depth);
    (void)ith;
    require(c->stride_h > 0 && c->stride_w > 0 && depth > 0);
    for (share s; next_share(a, nth, &s);)
        for (int y = s.begin; y < s.end; y++) {
            for (int x = 0, n; x < c->w_out; x += n) {
                n = next_group(c->w_out - x);
                for (int group = 0; group < (int)c->groups; group++) {
                    gather_cells(a, c, group, y, x, n, w.columns);
                    multiply_pixels(a, c, group, depth, y, x, n, &w);
                }
            }
            if (!c->floats) fill_borders(a, c, y, y + 1);
        }
}
