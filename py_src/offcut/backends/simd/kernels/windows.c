// What runs over windows of float channels f32 [h][w] without mixing many of them: pooling, and
// convolution with one input (depthwise) or few outputs per group, where a product of matrices
// would be nearly empty.
//
//   weights  f32 [channels_out of all groups][channels_in][kernel_h][kernel_w]
//
// A piece of work is an output row of one channel. Where the windows lie inside of the input from
// left to right, 16 or 4 outputs fill vectors; what is left over at their end is done again with
// the last ones. The columns at the edges go one by one.
#include "float.h"

enum { SUM, MAX, MEAN };

typedef struct {
    const uint8_t *memory;
    const uint32_t *in;  // table of the channels that a window covers
    int channels, h_in, w_in, w_out;
    int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
} windows;

// The rows of the window that lie inside, and the input row of its first one.
typedef struct {
    int begin, end, top;
} rows_inside;

INLINE rows_inside rows_at(const windows *g, int y) {
    rows_inside r = {0, g->kernel_h, y * g->stride_h - g->pad_top};
    while (r.begin < r.end && r.top + r.begin * g->dilation_h < 0) r.begin++;
    while (r.end > r.begin && r.top + (r.end - 1) * g->dilation_h >= g->h_in) r.end--;
    return r;
}

INLINE const float *row_of(const windows *g, int channel, int y) {
    return (const float *)(g->memory + g->in[channel]) + y * g->w_in;
}

// Four floats, `stride` apart. With stride 2 this reads one more than it uses.
INLINE f32x4 load_apart(const float *from, int stride) {
    if (stride == 1) return load_f32x4(from);
    if (stride == 2)
        return __builtin_shufflevector(load_f32x4(from), load_f32x4(from + 4), 0, 2, 4, 6);
    return (f32x4){from[0], from[stride], from[2 * stride], from[3 * stride]};
}

// n outputs from column x on, all of whose windows lie inside.
INLINE void sum_columns(const windows *g, const int kind, const int stride, const int n,
                        const float *w, rows_inside r, int x, float *to) {
    f32x4 s[4];
    float first = kind == MAX ? -__builtin_inff() : 0.0f;
    UNROLL for (int i = 0; i < n; i++) s[i] = splat_f32(first);
    for (int channel = 0; channel < g->channels; channel++)
        for (int ky = r.begin; ky < r.end; ky++) {
            const float *row = row_of(g, channel, r.top + ky * g->dilation_h);
            const float *from = row + x * g->stride_w - g->pad_left;
            const float *weight = w + (channel * g->kernel_h + ky) * g->kernel_w;
            for (int kx = 0; kx < g->kernel_w; kx++, from += g->dilation_w) {
                f32x4 factor = splat_f32(kind == SUM ? weight[kx] : 1.0f);
                UNROLL for (int i = 0; i < n; i++) {
                    f32x4 v = load_apart(from + i * 4 * stride, stride);
                    s[i] = kind == MAX ? max_f32(v, s[i]) : s[i] + v * factor;
                }
            }
        }
    UNROLL for (int i = 0; i < n; i++) store_f32x4(to + x + i * 4, s[i]);
}

// One output, at column x.
static float sum_column(const windows *g, int kind, const float *w, rows_inside r, int x) {
    float sum = kind == MAX ? -__builtin_inff() : 0.0f;
    for (int channel = 0; channel < g->channels; channel++)
        for (int ky = r.begin; ky < r.end; ky++) {
            const float *row = row_of(g, channel, r.top + ky * g->dilation_h);
            const float *weight = w + (channel * g->kernel_h + ky) * g->kernel_w;
            for (int kx = 0; kx < g->kernel_w; kx++) {
                int at = x * g->stride_w - g->pad_left + kx * g->dilation_w;
                if (at < 0 || at >= g->w_in) continue;
                if (kind == MAX)
                    sum = row[at] > sum ? row[at] : sum;
                else
                    sum += kind == SUM ? row[at] * weight[kx] : row[at];
            }
        }
    return sum;
}

static void sum_row(const windows *g, int kind, const float *w, rows_inside r, float *to) {
    int reach = g->w_in + g->pad_left - (g->kernel_w - 1) * g->dilation_w;
    int begin = at_most((g->pad_left + g->stride_w - 1) / g->stride_w, g->w_out);
    int end = reach > 0 ? at_most((reach - 1) / g->stride_w + 1, g->w_out) : 0, x = begin;
    if (end - begin < 4) end = begin;
    for (; x + 16 <= end; x += 16)
        if (kind == SUM && g->stride_w == 1)
            sum_columns(g, SUM, 1, 4, w, r, x, to);
        else if (kind == SUM && g->stride_w == 2)
            sum_columns(g, SUM, 2, 4, w, r, x, to);
        else if (kind == MAX && g->stride_w == 2)
            sum_columns(g, MAX, 2, 4, w, r, x, to);
        else
            sum_columns(g, kind, g->stride_w, 4, w, r, x, to);
    for (; x < end; x += 4) sum_columns(g, kind, g->stride_w, 1, w, r, at_most(x, end - 4), to);
    for (x = 0; x < begin; x++) to[x] = sum_column(g, kind, w, r, x);
    for (x = end; x < g->w_out; x++) to[x] = sum_column(g, kind, w, r, x);
}

// scratch: one row
void conv_float_windows(const args *a, int ith, int nth) {
    const float_conv_args *c = &a->op->float_conv;
    windows g = {a->memory, 0, (int)c->channels_in, c->h_in, c->w_in, c->w_out, c->kernel_h,
                 c->kernel_w, c->stride_h, c->stride_w, c->dilation_h, c->dilation_w, c->pad_top,
                 c->pad_left};
    float *row = (float *)a->scratch;
    (void)ith;
    for (share s; next_share(a, nth, &s);)
        for (int unit = s.begin; unit < s.end; unit++) {
            int channel = unit / c->h_out, y = unit % c->h_out;
            rows_inside r = rows_at(&g, y);
            const float *w = (const float *)(a->memory + c->weights) +
                             (int64_t)channel * g.channels * g.kernel_h * g.kernel_w;
            g.in = table_of(a, c->in) + channel / (int)c->channels_out * g.channels;
            sum_row(&g, SUM, w, r, row);
            finish_floats(a, c, channel, y * c->w_out, c->w_out, row);
        }
}

INLINE windows pool_windows(const args *a, const pool_args *p) {
    return (windows){a->memory, 0, 1, p->h_in, p->w_in, p->w_out, p->kernel_h, p->kernel_w,
                     p->stride_h, p->stride_w, p->dilation_h, p->dilation_w, p->pad_top,
                     p->pad_left};
}

void max_pool_float(const args *a, int ith, int nth) {
    const pool_args *p = &a->op->pool;
    windows g = pool_windows(a, p);
    (void)ith;
    for (share s; next_share(a, nth, &s);)
        for (int unit = s.begin; unit < s.end; unit++) {
            int channel = unit / p->h_out, y = unit % p->h_out;
            g.in = table_of(a, p->in) + channel;
            float *to = channel_of(a, p->out, channel) + y * p->w_out;
            sum_row(&g, MAX, 0, rows_at(&g, y), to);
        }
}

// How many cells of a window from `from` on count: those inside, or up to the padding's end.
INLINE int counted(const pool_args *p, int from, int size, int pad, int limit, int end) {
    int first = p->count_padding ? -pad : 0, last = p->count_padding ? end : limit;
    return at_most(from + size, last) - at_least(from, first);
}

void average_pool_float(const args *a, int ith, int nth) {
    const pool_args *p = &a->op->pool;
    windows g = pool_windows(a, p);
    (void)ith;
    for (share s; next_share(a, nth, &s);)
        for (int unit = s.begin; unit < s.end; unit++) {
            int channel = unit / p->h_out, y = unit % p->h_out;
            rows_inside r = rows_at(&g, y);
            g.in = table_of(a, p->in) + channel;
            float *to = channel_of(a, p->out, channel) + y * p->w_out;
            sum_row(&g, MEAN, 0, r, to);
            int rows = counted(p, r.top, p->kernel_h, p->pad_top, p->h_in, p->h_end);
            for (int x = 0; x < p->w_out; x++)
                to[x] /= (float)(rows * counted(p, x * p->stride_w - p->pad_left, p->kernel_w,
                                                p->pad_left, p->w_in, p->w_end));
        }
}
