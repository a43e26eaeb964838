// Convolution from u8 planes to a few float channels: the maps that saliency networks put out at
// every scale, by 3x3 kernels with stride 1 and padding 1 (in steps of 5 pixels), or any others. A
// block of 8 outputs would be nearly empty there, so the sums run over 8 input channels at a time
// instead, and are added up across the vector at last.
//
//   weights  i16 [channels_out][blocks_in][kernel_h][kernel_w][8]
//   scales   f32 [channels_out]
//
// A piece of work is an output row; 5 pixels of a 3x3 kernel share 7 columns of input.
// No sum overflows: see pack.c, as for conv_direct; the order of the additions does not matter.
#include "epilogue.h"

INLINE float add_up(i32x4 v) { return (float)(v[0] + v[1] + v[2] + v[3]); }

// Sums of n pixels; `cells` are the offsets of the blocks' cell above and left of the first one.
INLINE void sum_pixels(const args *a, const conv_args *c, const uint32_t *in, int64_t cell,
                       const int16_t *w, const int n, i32x4 *sums) {
    UNROLL for (int i = 0; i < n; i++) sums[i] = splat_i32(0);
    for (int block = 0; block < (int)c->blocks_in; block++)
        for (int ky = 0; ky < 3; ky++, w += 24) {
            const uint8_t *from = a->memory + in[block] + cell + ky * (int64_t)c->pitch_in;
            i16x8 left = load_i16x8(w), middle = load_i16x8(w + 8), right = load_i16x8(w + 16);
            UNROLL for (int i = 0; i < n + 2; i++) {
                i16x8 x = load_u8_as_i16(from + i * CELL);
                if (i < n) sums[i] += dot(x, left);
                if (i > 0 && i <= n) sums[i - 1] += dot(x, middle);
                if (i > 1) sums[i - 2] += dot(x, right);
            }
        }
}

// Sums of four vectors each, [sum of v[0], sum of v[1], ...].
INLINE i32x4 add_across(const i32x4 v[4]) {
    i32x4 a = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5) +
              __builtin_shufflevector(v[0], v[1], 2, 6, 3, 7);
    i32x4 b = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5) +
              __builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);
    return __builtin_shufflevector(a, b, 0, 1, 4, 5) + __builtin_shufflevector(a, b, 2, 3, 6, 7);
}

// Four pixels of a 1x1 kernel.
INLINE i32x4 sum_points(const args *a, const conv_args *c, int64_t cell, const int16_t *w) {
    i32x4 sums[4] = {0};
    for (int block = 0; block < (int)c->blocks_in; block++, w += 8) {
        const uint8_t *from = a->memory + table_of(a, c->in)[block] + cell;
        i16x8 weights = load_i16x8(w);
        UNROLL for (int i = 0; i < 4; i++)
            sums[i] += dot(load_u8_as_i16(from + i * CELL), weights);
    }
    return add_across(sums);
}

// The sum of one pixel, any kernel. Cells outside of the input are read as its border cell.
static float sum_pixel(const args *a, const conv_args *c, const int16_t *w, int y, int x) {
    const uint32_t *in = table_of(a, c->in);
    int top = y * c->stride_h - c->pad_top, left = x * c->stride_w - c->pad_left;
    i32x4 sums = splat_i32(0);
    for (int block = 0; block < (int)c->blocks_in; block++)
        for (int ky = 0; ky < c->kernel_h; ky++)
            for (int kx = 0; kx < c->kernel_w; kx++, w += 8) {
                int from_y = top + ky * c->dilation_h, from_x = left + kx * c->dilation_w;
                int inside = from_y >= 0 && from_y < c->h_in && from_x >= 0 && from_x < c->w_in;
                if (!inside) from_y = from_x = -1;
                const uint8_t *cell =
                    a->memory + in[block] + from_y * (int64_t)c->pitch_in + from_x * CELL;
                sums += dot(load_u8_as_i16(cell), load_i16x8(w));
            }
    return add_up(sums);
}

static void narrow_row(const args *a, const conv_args *c, int channel, int y) {
    const uint32_t *in = table_of(a, c->in);
    int row = (int)c->blocks_in * c->kernel_h * c->kernel_w * 8;
    const int16_t *w = (const int16_t *)(a->memory + c->weights) + channel * row;
    float scale = ((const float *)(a->memory + c->scales))[channel];
    float bias = ((const float *)(a->memory + c->bias))[channel];
    float *out = (float *)(a->memory + table_of(a, c->out)[channel]) + y * c->w_out;
    int64_t cell = (y - 1) * (int64_t)c->pitch_in - CELL;
    int same_3x3 = c->kernel_h == 3 && c->kernel_w == 3 && c->stride_h == 1 && c->stride_w == 1 &&
                   c->dilation_h == 1 && c->dilation_w == 1 && c->pad_top == 1 &&
                   c->pad_left == 1 && c->h_in == c->h_out && c->w_in == c->w_out;
    int point = c->kernel_h == 1 && c->kernel_w == 1 && c->stride_h == 1 && c->stride_w == 1 &&
                c->h_in == c->h_out && c->w_in == c->w_out;
    i32x4 sums[5];
    int x = 0;
    for (; point && x + 4 <= c->w_out; x += 4) {
        f32x4 sum = float_of(sum_points(a, c, y * (int64_t)c->pitch_in + x * CELL, w));
        store_f32x4(out + x, sum * splat_f32(scale) + splat_f32(bias));
    }
    for (; same_3x3 && x + 5 <= c->w_out; x += 5) {
        sum_pixels(a, c, in, cell + x * CELL, w, 5, sums);
        for (int i = 0; i < 5; i++) out[x + i] = add_up(sums[i]) * scale + bias;
    }
    for (; x < c->w_out; x++) out[x] = sum_pixel(a, c, w, y, x) * scale + bias;
    if (c->activation == ACT_NONE) return;
    for (x = 0; x < c->w_out; x++) out[x] = activate(splat_f32(out[x]), c->activation)[0];
}

void conv_narrow(const args *a, int ith, int nth) {
    const conv_args *c = &a->op->conv;
    (void)ith;
    require(c->groups == 1 && c->floats && !c->residual && !c->row_runs);
    for (share s; next_share(a, nth, &s);)
        for (int y = s.begin; y < s.end; y++)
            for (int channel = 0; channel < (int)c->channels_out; channel++)
                narrow_row(a, c, channel, y);
}
