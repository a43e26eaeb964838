// Convolution of a few float channels, the network's input image, to u8 planes: in 16 bits, since u8
// would blur the image.
//
// A piece of work is an output row. The input rows it needs are quantized into a ring of as many rows
// as the kernel spans, so that neighbouring output rows share them; from there as in conv_direct.c:
//
//   float channels --> rows    i16 [rows of the kernel][width][channels_in]
//                  --> columns i16 [depth][n][8] --> sums i32 [blocks_out][n][8] --> output
//
// The inputs of an output are ordered [kernel_h][kernel_w][channels_in], each kernel row padded to an
// even number and all of them to a multiple of 8.
// No sum overflows: pack.c chooses scales so that sum |weight| * 8191 < 2^31.
#include "direct.h"

// How many input rows a kernel spans.
INLINE int stem_rows(const conv_args *c) { return (c->kernel_h - 1) * c->dilation_h + 1; }

// One input row as i16 [x][channels_in] with zeros as padding left and right: rounded value *
// in_steps, limited to 13 bits and a sign. Rows beyond the image are all padding.
static void quantize_row(const args *a, const conv_args *c, int from_y, int width, int16_t *row) {
    const uint32_t *in = table_of(a, c->in);
    int channels = (int)c->channels_in;
    int size = c->w_in < width - c->pad_left ? c->w_in : width - c->pad_left;
    f32x4 steps = splat_f32(c->in_steps), most = splat_f32(8191.0f);
    __builtin_memset(row, 0, (unsigned)(width * channels) * 2);
    if (from_y < 0 || from_y >= c->h_in) return;
    for (int channel = 0; channel < channels; channel++) {
        const float *from = (const float *)(a->memory + in[channel]) + from_y * c->w_in;
        int16_t *to = row + c->pad_left * channels + channel;
        for (int x = 0; x < size; x += 4) {
            int count = size - x < 4 ? size - x : 4;
            f32x4 v = splat_f32(0);
            if (count == 4)
                v = load_f32x4(from + x);
            else
                for (int i = 0; i < count; i++) v[i] = from[x + i];
            i32x4 whole = round_f32(max_f32(min_f32(v * steps, most), -most));
            UNROLL for (int i = 0; i < 4; i++)
                if (i < count) to[(x + i) * channels] = (int16_t)whole[i];
        }
    }
}

// columns i16 [depth][n][8] of output pixels x, ..., x + n - 1. An output's inputs of one kernel row
// lie side by side in the quantized row; they are copied in pairs, an odd one with its neighbour,
// which meets a zero weight.
INLINE void gather_rows(const conv_args *c, int width, int depth, int y, int x, int n,
                        const int16_t *rows, int16_t *columns) {
    int channels = (int)c->channels_in, step = c->stride_w * channels;
    int pairs = (c->kernel_w * channels + 1) / 2, at = 0;
    for (int ky = 0; ky < c->kernel_h; ky++) {
        int slot = (y * c->stride_h + ky * c->dilation_h) % stem_rows(c);
        const int16_t *from = rows + (slot * width + x * c->stride_w) * channels;
        for (int pair = 0; pair < pairs; pair++, at++, from += 2) {
            int16_t *to = columns + at / 4 * n * 8 + at % 4 * 2;
            for (int i = 0; i < n; i++) __builtin_memcpy(to + i * 8, from + i * step, 4);
        }
    }
    for (; at < depth * 4; at++)
        for (int i = 0; i < n; i++)
            __builtin_memset(columns + (at / 4 * n + i) * 8 + at % 4 * 2, 0, 4);
}

void conv_stem(const args *a, int ith, int nth) {
    const conv_args *c = &a->op->conv;
    int pairs = (c->kernel_w * (int)c->channels_in + 1) / 2;
    int depth = (c->kernel_h * pairs + 3) / 4;
    int width = (c->w_out - 1) * c->stride_w + c->kernel_w + 1;  // one cell more for the odd pair
    workspace w = place(a, c, depth);
    (void)ith;
    require(c->groups == 1 && width >= c->pad_left && c->dilation_w == 1);
    for (share s; next_share(a, nth, &s);) {
        int next = s.begin * c->stride_h;  // the first row, counted with padding, not yet quantized
        for (int y = s.begin; y < s.end; y++) {
            int end = y * c->stride_h + stem_rows(c);
            for (next = next < end - stem_rows(c) ? end - stem_rows(c) : next; next < end; next++)
                quantize_row(a, c, next - c->pad_top, width,
                             w.rows + next % stem_rows(c) * width * (int)c->channels_in);
            for (int x = 0, n; x < c->w_out; x += n) {
                n = next_group(c->w_out - x);
                gather_rows(c, width, depth, y, x, n, w.rows, w.columns);
                multiply_pixels(a, c, 0, depth, y, x, n, &w);
            }
            if (!c->floats) fill_borders(a, c, y, y + 1);
        }
    }
}
