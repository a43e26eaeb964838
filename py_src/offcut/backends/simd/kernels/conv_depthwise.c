// Depthwise convolution of u8 planes: any kernel, stride and dilation, one output per channel.
//
// Two taps at a time: their cells of 16 channels are interleaved, so that a product of pairs (dot)
// adds both for four channels.
//
//   weights  i16 [planes][pairs of taps][4 quads of channels][4][2]    taps along the rows
//   scales   f32 [planes][16]
//   bias     f32 [runs][planes][16]
//
// in and out are tables of planes; output planes hold the channels of the input planes. A piece of
// work is an output row of all planes.
// No sum overflows: lower_depthwise.py scales weights so that 255 * sum |weight| < 2^31.
#include "activation.h"
#include "plane.h"

// The sums of 16 channels of a cell; offsets are those of the taps' cells from it.
INLINE void sum_taps(const uint8_t *cell, const int32_t *offsets, const int16_t *w, int pairs,
                     i32x4 sums[4]) {
    UNROLL for (int i = 0; i < 4; i++) sums[i] = splat_i32(0);
    for (int pair = 0; pair < pairs; pair++, w += 32) {
        u8x16 a = load_u8x16(cell + offsets[2 * pair]);
        u8x16 b = load_u8x16(cell + offsets[2 * pair + 1]);
        u8x16 low = first_pairs(a, b), high = last_pairs(a, b);
        sums[0] += dot(widen_u8x8(low_u8(low)), load_i16x8(w));
        sums[1] += dot(widen_u8x8(high_u8(low)), load_i16x8(w + 8));
        sums[2] += dot(widen_u8x8(low_u8(high)), load_i16x8(w + 16));
        sums[3] += dot(widen_u8x8(high_u8(high)), load_i16x8(w + 24));
    }
}

// Sums to u8: scale and bias are in u8 steps, unless there is an activation to apply first.
INLINE void write_sums(const conv_args *c, const i32x4 sums[4], const float *scales,
                       const float *bias, uint8_t *to) {
    f32x4 v[4];
    i32x4 rounded[4];
    UNROLL for (int i = 0; i < 4; i++)
        v[i] = float_of(sums[i]) * load_f32x4(scales + 4 * i) + load_f32x4(bias + 4 * i);
    if (c->activation)
        for (int i = 0; i < 4; i++)
            v[i] = activate_other(v[i], c->activation) * splat_f32(c->steps) + splat_f32(c->zero);
    UNROLL for (int i = 0; i < 4; i++)
        rounded[i] = round_f32(max_f32(min_f32(v[i], splat_f32(255.0f)), splat_f32(0.0f)));
    store_u8x16(to, narrow_i16(narrow_i32(rounded[0], rounded[1]),
                               narrow_i32(rounded[2], rounded[3])));
}

// Offsets of the taps from cell (top, left) of the input; those outside of it and of the border
// around it lead to a border cell.
static void find_taps(const conv_args *c, int top, int left, int32_t *offsets) {
    int pitch = (int)c->pitch_in, outside = -pitch - CELL - top * pitch - left * CELL;
    int32_t *at = offsets;
    for (int ky = 0; ky < c->kernel_h; ky++)
        for (int kx = 0; kx < c->kernel_w; kx++) {
            int down = ky * c->dilation_h, across = kx * c->dilation_w;
            int inside = top + down >= -1 && top + down <= c->h_in && left + across >= -1 &&
                         left + across <= c->w_in;
            *at++ = inside ? down * pitch + across * CELL : outside;
        }
    *at = at[-1];  // the other half of an odd tap's pair, which has weight 0
}

static void depthwise_row(const args *a, const conv_args *c, int plane, int y,
                          const int32_t *inner) {
    int pairs = (c->kernel_h * c->kernel_w + 1) / 2, planes = (int)c->blocks_out;
    int32_t *edge = (int32_t *)a->scratch + 2 * pairs;
    int top = y * c->stride_h - c->pad_top, bottom = top + (c->kernel_h - 1) * c->dilation_h;
    const uint8_t *in = a->memory + table_of(a, c->in)[plane] + (int64_t)top * c->pitch_in;
    uint8_t *to = a->memory + table_of(a, c->out)[plane] + (int64_t)y * c->pitch_out;
    const int16_t *w = (const int16_t *)(a->memory + c->weights) + plane * pairs * 32;
    const float *scales = (const float *)(a->memory + c->scales) + plane * CELL;
    const float *bias = (const float *)(a->memory + c->bias) + plane * CELL;
    for (int x = 0; x < c->w_out; x++, to += CELL) {
        int left = x * c->stride_w - c->pad_left, right = left + (c->kernel_w - 1) * c->dilation_w;
        const int32_t *offsets = inner;
        if (top < -1 || bottom > c->h_in || left < -1 || right > c->w_in) {
            find_taps(c, top, left, edge);
            offsets = edge;
        }
        uint32_t run = 0;
        if (c->row_runs)
            run = table_of(a, c->row_runs)[y] * c->runs + table_of(a, c->column_runs)[x];
        i32x4 sums[4];
        sum_taps(in + left * CELL, offsets, w, pairs, sums);
        write_sums(c, sums, scales, bias + (int)run * planes * CELL, to);
    }
}

// scratch: offsets of the taps where all lie inside, and where some do not
void conv_depthwise(const args *a, int ith, int nth) {
    const conv_args *c = &a->op->conv;
    int32_t *inner = (int32_t *)a->scratch;
    (void)ith;
    for (int ky = 0, at = 0; ky < c->kernel_h; ky++)
        for (int kx = 0; kx < c->kernel_w; kx++)
            inner[at++] = ky * c->dilation_h * (int)c->pitch_in + kx * c->dilation_w * CELL;
    if (c->kernel_h * c->kernel_w % 2) inner[c->kernel_h * c->kernel_w] = 0;
    for (share s; next_share(a, nth, &s);)
        for (int y = s.begin; y < s.end; y++)
            for (int plane = 0; plane < (int)c->blocks_out; plane++) {
                depthwise_row(a, c, plane, y, inner);
                fill_border(a->memory + table_of(a, c->out)[plane], c->pitch_out, y, c->h_out,
                            c->w_out, (uint8_t)c->zero);
            }
}
