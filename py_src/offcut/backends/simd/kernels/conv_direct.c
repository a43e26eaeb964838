// Convolution of any shape as a matrix product in 16 bits: gather the inputs of n output pixels,
// multiply them with all weights (gemm.h). For u8 planes, and for float channels ("stem": the
// network's input image, which u8 would blur).
//
// A piece of work is an output row. It goes in groups of n pixels:
//
//   inputs --gather--> columns i16 [depth][n][8]     depth: blocks of 8 inputs of one output
//   for each block of 8 output channels: columns x weights --> sums i32 [n][8] --> output
//
//   weights  i16 [groups][blocks_out][depth][4][8][2]
//   scales   f32 [groups][blocks_out][8]                one for each output channel
//
// The inputs of an output are ordered [kernel_h][kernel_w][blocks_in][8] for u8 planes and
// [channels_in][kernel_h][kernel_w], padded to a multiple of 8, for floats.
// No sum overflows: pack.c chooses scales so that sum |weight| * limit < 2^31, where limit is the
// largest |input|: 255 for u8, 8191 for floats, and traps if the rounded weights break it.
#include "epilogue.h"
#include "gemm.h"

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
INLINE void write_pixels(const args *a, const conv_args *c, int block, int y, int x, int n,
                         const int32_t *sums) {
    const float *scales = (const float *)(a->memory + c->scales) + block * 8;
    const float *bias = (const float *)(a->memory + c->bias) + block * 8;
    f32x4 scale_low = load_f32x4(scales), scale_high = load_f32x4(scales + 4);
    f32x4 bias_low = load_f32x4(bias), bias_high = load_f32x4(bias + 4);
    uint8_t *to = a->memory;
    if (c->plain) to += table_of(a, c->out)[block] + (int64_t)y * c->pitch_out + x * CELL;
    for (int i = 0; i < n; i++, sums += 8, to += CELL) {
        f32x4 low = float_of(load_i32x4(sums)) * scale_low;
        f32x4 high = float_of(load_i32x4(sums + 4)) * scale_high;
        if (c->plain) {
            u8x8 value = saturate(low + bias_low, high + bias_high);
            __builtin_memcpy(to, &value, 8);
        } else {
            finish(a, c, block, y, x + i, low, high);
        }
    }
}

// Multiply the columns of one group of channels with all its weights and write n pixels.
static void multiply_pixels(const args *a, const conv_args *c, int group, int depth, int y, int x,
                            int n, const int16_t *columns) {
    int32_t sums[GROUP * 8];
    int blocks = (int)c->blocks_out, first = group * blocks;
    const int16_t *weights = (const int16_t *)(a->memory + c->weights);
    for (int block = first; block < first + blocks; block++) {
        multiply(columns, weights + (int64_t)block * depth * 64, depth, n, sums, 1);
        write_pixels(a, c, block, y, x, n, sums);
    }
}

void conv_direct(const args *a, int ith, int nth) {
    const conv_args *c = &a->op->conv;
    int depth = c->kernel_h * c->kernel_w * (int)c->blocks_in;
    int16_t *columns = (int16_t *)a->scratch;
    (void)ith;
    require(c->stride_h > 0 && c->stride_w > 0 && depth > 0);
    for (share s; next_share(a, nth, &s);)
        for (int y = s.begin; y < s.end; y++) {
            for (int x = 0, n; x < c->w_out; x += n) {
                n = next_group(c->w_out - x);
                for (int group = 0; group < (int)c->groups; group++) {
                    gather_cells(a, c, group, y, x, n, columns);
                    multiply_pixels(a, c, group, depth, y, x, n, columns);
                }
            }
            if (!c->floats) fill_borders(a, c, y, y + 1);
        }
}

// The input rows of output row y as i16 [channels_in][kernel_h][width], with zeros as padding:
// rounded value * in_steps, limited to 13 bits and a sign.
static void quantize_rows(const args *a, const conv_args *c, int y, int width, int16_t *rows) {
    const uint32_t *in = table_of(a, c->in);
    f32x4 steps = splat_f32(c->in_steps), most = splat_f32(8191.0f);
    for (int channel = 0; channel < (int)c->channels_in; channel++)
        for (int ky = 0; ky < c->kernel_h; ky++, rows += width) {
            int from_y = y * c->stride_h - c->pad_top + ky * c->dilation_h;
            __builtin_memset(rows, 0, (unsigned)width * 2);
            if (from_y < 0 || from_y >= c->h_in) continue;
            const float *from = (const float *)(a->memory + in[channel]) + from_y * c->w_in;
            int size = c->w_in < width - c->pad_left ? c->w_in : width - c->pad_left;
            for (int x = 0; x < size; x += 4) {
                int at = x + 4 <= size ? x : size > 4 ? size - 4 : 0;
                float last[4] = {0};
                for (int i = 0; size < 4 && i < size; i++) last[i] = from[i];
                f32x4 v = load_f32x4(size < 4 ? last : from + at) * steps;
                v = max_f32(min_f32(v, most), -most);
                i16x8 whole = narrow_i32(round_f32(v), round_f32(v));
                __builtin_memcpy(rows + c->pad_left + at, &whole, size < 4 ? 2 * (unsigned)size : 8);
            }
        }
}

// columns i16 [depth][n][8] from the quantized rows.
static void gather_floats(const conv_args *c, int width, int depth, int x, int n,
                          const int16_t *rows, int16_t *columns) {
    int at = 0, taps = (int)c->channels_in * c->kernel_h;
    for (int tap = 0; tap < taps; tap++, rows += width)
        for (int kx = 0; kx < c->kernel_w; kx++, at++)
            for (int i = 0; i < n; i++)
                columns[(at / 8 * n + i) * 8 + at % 8] =
                    rows[(x + i) * c->stride_w + kx * c->dilation_w];
    for (; at < depth * 8; at++)
        for (int i = 0; i < n; i++) columns[(at / 8 * n + i) * 8 + at % 8] = 0;
}

void conv_stem(const args *a, int ith, int nth) {
    const conv_args *c = &a->op->conv;
    int inputs = (int)c->channels_in * c->kernel_h * c->kernel_w, depth = (inputs + 7) / 8;
    int width = (c->w_out - 1) * c->stride_w + (c->kernel_w - 1) * c->dilation_w + 1;
    int16_t *columns = (int16_t *)a->scratch, *rows = columns + depth * GROUP * 8;
    (void)ith;
    require(c->groups == 1 && width >= c->pad_left);
    for (share s; next_share(a, nth, &s);)
        for (int y = s.begin; y < s.end; y++) {
            quantize_rows(a, c, y, width, rows);
            for (int x = 0, n; x < c->w_out; x += n) {
                n = next_group(c->w_out - x);
                gather_floats(c, width, depth, x, n, rows, columns);
                multiply_pixels(a, c, 0, depth, y, x, n, columns);
            }
            if (!c->floats) fill_borders(a, c, y, y + 1);
        }
}
