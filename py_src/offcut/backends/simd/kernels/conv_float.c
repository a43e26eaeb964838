// Convolution of float channels f32 [h][w] as a matrix product: any kernel, stride, dilation and
// groups. (3x3 with stride 1 goes faster in conv_float_winograd.c, depthwise in windows.c, a single
// pixel in conv_float_pixel.c.)
//
//   inputs --gather--> columns f32 [panel / PIXELS][depth][PIXELS]    depth: inputs of one output
//   columns x weights --> sums f32 [4][panel] --finish--> output, or straight to the output
//
//   weights  f32 [groups][tiles of 4 outputs][depth][4]
//   bias     f32 [runs][channels_out]
//
// Output pixels are counted along the rows, 0 to h * w - 1. A piece of work is a panel of them, as
// many as keep the columns in the cache: its columns meet each tile of weights before the next tile
// is read. Inputs of an output are ordered [channel][kernel_h][kernel_w].
#include "float.h"

// What is done with sums that need nothing but a bias and limits.
typedef struct {
    float bias[TILE];
    float least, most;
} limits;

// As in float.h, but sums go to four places, and get a bias and limits if there are any.
INLINE void multiply_tile(const float *x, int step, const float *w, int depth, int groups,
                          float *const to[TILE], const limits *l) {
    for (int group = 0; group < groups; group++, x += step) {
        f32x8 s[TILE][PIXELS / 8] = {0};
        for (int k = 0; k < depth; k++)
            UNROLL for (int o = 0; o < TILE; o++)
                UNROLL for (int i = 0; i < PIXELS / 8; i++)
                    s[o][i] += load_f32x8(x + k * PIXELS + i * 8) * splat_f32x8(w[k * TILE + o]);
        UNROLL for (int o = 0; o < TILE; o++) {
            f32x4 v[PIXELS / 4];
            __builtin_memcpy(v, s[o], sizeof v);
            UNROLL for (int i = 0; i < PIXELS / 4; i++) {
                if (l) v[i] = min_f32(splat_f32(l->most), v[i] + splat_f32(l->bias[o]));
                if (l) v[i] = max_f32(splat_f32(l->least), v[i]);
                store_f32x4(to[o] + group * PIXELS + i * 4, v[i]);
            }
        }
    }
}

void multiply_floats(const float *x, int step, const float *w, int depth, int groups, float *sums) {
    float *to[TILE];
    UNROLL for (int o = 0; o < TILE; o++) to[o] = sums + o * groups * PIXELS;
    multiply_tile(x, step, w, depth, groups, to, 0);
}

// to[i] = row[x + i * stride] for i < n, 0 outside of [0, w). `row` is 0 outside of the input.
INLINE void copy_run(float *to, const float *row, int x, int stride, int n, int w) {
    if (row && n == PIXELS && x >= 0 && x + PIXELS * stride <= w && stride <= 2) {
        for (int i = 0; i < PIXELS; i += 4) {
            const float *from = row + x + i * stride;
            f32x4 v = load_f32x4(from);
            if (stride == 2) v = __builtin_shufflevector(v, load_f32x4(from + 4), 0, 2, 4, 6);
            store_f32x4(to + i, v);
        }
        return;
    }
    for (int i = 0; i < n; i++, x += stride) to[i] = row && x >= 0 && x < w ? row[x] : 0.0f;
}

// All kernel positions in one channel, f32 [kernel_h][kernel_w][PIXELS], of n output pixels from
// (y, x) on; pixels beyond them are 0.
static void gather_channel(const float_conv_args *c, const float *plane, int y, int x, int n,
                           float *columns) {
    for (int begin = 0, run; begin < PIXELS; begin += run, y++, x = 0) {
        int beyond = begin >= n;
        run = beyond ? PIXELS - begin : at_most(n - begin, c->w_out - x);
        float *to = columns + begin;
        for (int ky = 0; ky < c->kernel_h; ky++) {
            int from_y = y * c->stride_h - c->pad_top + ky * c->dilation_h;
            int inside = !beyond && from_y >= 0 && from_y < c->h_in;
            const float *row = inside ? plane + from_y * c->w_in : 0;
            int from_x = x * c->stride_w - c->pad_left;
            for (int kx = 0; kx < c->kernel_w; kx++, to += PIXELS, from_x += c->dilation_w)
                copy_run(to, row, from_x, c->stride_w, run, c->w_in);
        }
    }
}

// The columns of a panel. Channel by channel, since in each one the pixels lie side by side, while
// the same pixels of many channels would push each other out of the cache.
static void gather(const args *a, const float_conv_args *c, int group, int at, int n,
                   float *columns) {
    int taps = c->kernel_h * c->kernel_w, first = group * (int)c->channels_in;
    int depth = taps * (int)c->channels_in, y = at / c->w_out, x = at % c->w_out;
    for (int channel = 0; channel < (int)c->channels_in; channel++) {
        const float *plane = channel_of(a, c->in, first + channel);
        float *to = columns + channel * taps * PIXELS;
        int i = 0, down = y, across = x;
        if (c->h_out == 1 && taps == 1 && c->w_in == c->w_out)  // 1x1 kernels, see _flattened
            for (; i + PIXELS <= n; i += PIXELS, across += PIXELS, to += depth * PIXELS)
                UNROLL for (int j = 0; j < PIXELS; j += 8)
                    store_f32x8(to + j, load_f32x8(plane + at + i + j));
        for (; i < n; i += PIXELS, to += depth * PIXELS) {
            gather_channel(c, plane, down, across, at_most(PIXELS, n - i), to);
            for (across += PIXELS; across >= c->w_out; across -= c->w_out) down++;
        }
    }
}

// All outputs of one group of channels for n pixels from `at` on.
static void multiply_panel(const args *a, const float_conv_args *c, int group, int depth, int at,
                           int n, const float *columns, float *sums) {
    int outputs = (int)c->channels_out, tiles = (outputs + TILE - 1) / TILE;
    int columns_of = (n + PIXELS - 1) / PIXELS;
    // Whether the limited sums are the result, and none lie beyond it.
    int direct = c->activation <= ACT_RELU6 && !c->residual && !c->row_runs && n % PIXELS == 0;
    const float *w = (const float *)(a->memory + c->weights);
    const float *bias = (const float *)(a->memory + c->bias);
    limits l = {.least = c->activation == ACT_NONE ? -__builtin_inff() : 0.0f,
                .most = c->activation == ACT_RELU6 ? 6.0f : __builtin_inff()};
    w += (int64_t)group * tiles * depth * TILE;
    for (int tile = 0; tile < tiles; tile++, w += depth * TILE) {
        int channel = group * outputs + tile * TILE, some = at_most(outputs - tile * TILE, TILE);
        float *to[TILE];
        if (direct && some == TILE) {
            for (int o = 0; o < TILE; o++) {
                to[o] = channel_of(a, c->out, channel + o) + at;
                l.bias[o] = bias[channel + o];
            }
            multiply_tile(columns, depth * PIXELS, w, depth, columns_of, to, &l);
            continue;
        }
        multiply_floats(columns, depth * PIXELS, w, depth, columns_of, sums);
        for (int o = 0; o < some; o++)
            finish_floats(a, c, channel + o, at, n, sums + o * columns_of * PIXELS);
    }
}

// scratch: columns of a panel, then its sums
void conv_float(args *a) {
    const float_conv_args *c = &a->op->float_conv;
    int depth = (int)c->channels_in * c->kernel_h * c->kernel_w, pixels = c->h_out * c->w_out;
    float *columns = (float *)a->scratch, *sums = columns + depth * c->panel;
    require(c->panel > 0 && c->panel % PIXELS == 0 && c->stride_h > 0 && c->stride_w > 0);
    for (int unit; (unit = next_piece(a)) >= 0;) {
        int at = unit * c->panel, n = at_most(c->panel, pixels - at);
        for (int group = 0; group < (int)c->groups; group++) {
            gather(a, c, group, at, n, columns);
            multiply_panel(a, c, group, depth, at, n, columns, sums);
        }
    }
}

// weights f32 [groups][tiles][depth][width] from f32 [channels_out of all groups][depth]. A piece
// of work is a tile of `width` outputs of one group, the last of which is filled up with zeros.
void pack_float(args *a) {
    const float_pack_args *p = &a->op->float_pack;
    int tiles = (int)((p->outputs + p->width - 1) / p->width), depth = (int)p->depth;
    const float *source = (const float *)(a->memory + p->source);
    for (int unit; (unit = next_piece(a)) >= 0;) {
            int group = unit / tiles, first = unit % tiles * (int)p->width, n = (int)p->width;
            const float *from = source + ((int64_t)group * (int)p->outputs + first) * depth;
            float *to = (float *)(a->memory + p->weights) + (int64_t)unit * depth * n;
            for (int k = 0; k < depth; k++)
                for (int o = 0; o < n; o++)
                    *to++ = first + o < (int)p->outputs ? from[o * (int64_t)depth + k] : 0.0f;
        }
}
