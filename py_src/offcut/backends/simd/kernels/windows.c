// What runs over windows of float channels f32 [h][w] without mixing many of them: pooling, and
// convolution with one input (depthwise) or few outputs per group, where a product of matrices
// would be nearly empty.
//
//   weights  f32 [channels_out of all groups][channels_in][kernel_h][kernel_w]
//
// A piece of work is an output row of one channel. Each input row that its windows cover is copied
// with its padding on both sides, unless it has none; then it is added to the output row, some
// columns at a time, for each column of the kernel. Rows go on to the next multiple of 16.
#include "float.h"

enum { SUM, MAX, MEAN };
enum { STEP = 16 };

// The sizes, which stand in this order in float_conv_args and in pool_args.
typedef struct {
    int32_t h_in, w_in, h_out, w_out;
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
} windows;

// The channels that a window covers.
typedef struct {
    const uint8_t *memory;
    const uint32_t *table;
    int channels;
} inputs;

INLINE const float *row_of(const windows *g, const inputs *in, int channel, int y) {
    return (const float *)(in->memory + in->table[channel]) + y * g->w_in;
}

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

INLINE int whole_steps(int n) { return (n + STEP - 1) / STEP * STEP; }

// How many floats of a padded row are read.
INLINE int padded_width(const windows *g) {
    return whole_steps(g->w_out) * g->stride_w + (g->kernel_w - 1) * g->dilation_w;
}

// An input row with its padding; `copy` has room for it.
static const float *padded_row(const windows *g, const float *row, float padding, float *copy) {
    int width = padded_width(g), n = at_most(g->w_in, width - g->pad_left), i = 0;
    if (g->pad_left == 0 && width <= g->w_in) return row;
    for (; i < g->pad_left; i++) copy[i] = padding;
    copy += g->pad_left;
    for (i = 0; i + 4 <= n; i += 4) store_f32x4(copy + i, load_f32x4(row + i));
    for (; i < n; i++) copy[i] = row[i];
    for (; i < width - g->pad_left; i++) copy[i] = padding;
    return copy - g->pad_left;
}

// Four floats, `stride` apart.
INLINE f32x4 load_apart(const float *from, int stride) {
    if (stride == 1) return load_f32x4(from);
    if (stride == 2)
        return __builtin_shufflevector(load_f32x4(from), load_f32x4(from + 4), 0, 2, 4, 6);
    return (f32x4){from[0], from[stride], from[2 * stride], from[3 * stride]};
}

// Add the windows' part in one input row to the output row, n columns at a time.
INLINE void add_row(const windows *g, const int kind, const int stride, const int n,
                    const float *from, const float *weights, float *to) {
    for (int x = 0; x < g->w_out; x += n, from += n * stride, to += n) {
        f32x4 s[STEP / 4];
        UNROLL for (int i = 0; i < n / 4; i++) s[i] = load_f32x4(to + 4 * i);
        for (int kx = 0; kx < g->kernel_w; kx++) {
            const float *at = from + kx * g->dilation_w;
            f32x4 weight = splat_f32(kind == SUM ? weights[kx] : 1.0f);
            UNROLL for (int i = 0; i < n / 4; i++) {
                f32x4 v = load_apart(at + i * 4 * stride, stride);
                s[i] = kind == MAX ? max_f32(v, s[i]) : s[i] + v * weight;
            }
        }
        UNROLL for (int i = 0; i < n / 4; i++) store_f32x4(to + 4 * i, s[i]);
    }
}

// The output row of a 1x1 kernel, all channels at once; w_out is a multiple of STEP.
static void mix_row(const windows *g, const inputs *in, const float *w, int y, float *to) {
    for (int x = 0; x < g->w_out; x += STEP) {
        f32x4 s[STEP / 4] = {0};
        for (int channel = 0; channel < in->channels; channel++) {
            const float *from = row_of(g, in, channel, y) + x;
            UNROLL for (int i = 0; i < STEP / 4; i++)
                s[i] += load_f32x4(from + 4 * i) * splat_f32(w[channel]);
        }
        UNROLL for (int i = 0; i < STEP / 4; i++) store_f32x4(to + x + 4 * i, s[i]);
    }
}

// An output row in `scratch`: the row, with room for whole steps, then a padded input row.
static float *sum_row(const windows *g, inputs in, int kind, const float *w, int y,
                      float *scratch) {
    rows_inside r = rows_at(g, y);
    int mixes = kind == SUM && g->w_out % STEP == 0 && g->kernel_h == 1 && g->kernel_w == 1 &&
                g->stride_w == 1 && !g->pad_left && r.begin < r.end;
    if (mixes) {
        mix_row(g, &in, w, r.top, scratch);
        return scratch;
    }
    float first = kind == MAX ? -__builtin_inff() : 0.0f, *copy = scratch + whole_steps(g->w_out);
    for (int x = 0; x < whole_steps(g->w_out); x += 4) store_f32x4(scratch + x, splat_f32(first));
    for (int channel = 0; channel < in.channels; channel++)
        for (int ky = r.begin; ky < r.end; ky++) {
            const float *row = row_of(g, &in, channel, r.top + ky * g->dilation_h);
            const float *from = padded_row(g, row, first, copy);
            const float *weights = w + (channel * g->kernel_h + ky) * g->kernel_w;
            if (kind == SUM && g->stride_w == 1)
                add_row(g, SUM, 1, STEP, from, weights, scratch);
            else if (kind == SUM && g->stride_w == 2)
                add_row(g, SUM, 2, STEP, from, weights, scratch);
            else if (kind == MAX && g->stride_w == 2)
                add_row(g, MAX, 2, 4, from, weights, scratch);
            else
                add_row(g, kind, g->stride_w, 4, from, weights, scratch);
        }
    return scratch;
}

void conv_float_windows(const args *a, int ith, int nth) {
    const float_conv_args *c = &a->op->float_conv;
    const windows *g = (const windows *)&c->h_in;
    int channels = (int)c->channels_in, taps = channels * c->kernel_h * c->kernel_w;
    (void)ith;
    for (share s; next_share(a, nth, &s);)
        for (int unit = s.begin; unit < s.end; unit++) {
            int channel = unit / c->h_out, y = unit % c->h_out;
            int group = channel / (int)c->channels_out;
            const float *w = (const float *)(a->memory + c->weights) + (int64_t)channel * taps;
            inputs in = {a->memory, table_of(a, c->in) + group * channels, channels};
            float *row = sum_row(g, in, SUM, w, y, (float *)a->scratch);
            finish_floats(a, c, channel, y * c->w_out, c->w_out, row);
        }
}

// How many cells of a window from `from` on count: those inside, or up to the padding's end.
INLINE int counted(const pool_args *p, int from, int size, int pad, int limit, int end) {
    int first = p->count_padding ? -pad : 0, last = p->count_padding ? end : limit;
    return at_most(from + size, last) - at_least(from, first);
}

// The largest of each 2 x 2 cells: n outputs from two whole rows.
static void halve_row(const float *row, const float *below, int n, float *to) {
    int x = 0;
    for (; x + 4 <= n; x += 4) {
        f32x4 left = max_f32(load_f32x4(row + 2 * x), load_f32x4(below + 2 * x));
        f32x4 right = max_f32(load_f32x4(row + 2 * x + 4), load_f32x4(below + 2 * x + 4));
        store_f32x4(to + x, max_f32(__builtin_shufflevector(left, right, 0, 2, 4, 6),
                                    __builtin_shufflevector(left, right, 1, 3, 5, 7)));
    }
    for (; x < n; x++) {
        float a = row[2 * x], b = row[2 * x + 1], c = below[2 * x], d = below[2 * x + 1];
        a = a > b ? a : b, c = c > d ? c : d;
        to[x] = a > c ? a : c;
    }
}

INLINE int is_halving(const pool_args *p) {
    return p->kernel_h == 2 && p->kernel_w == 2 && p->stride_h == 2 && p->stride_w == 2 &&
           p->dilation_h == 1 && p->dilation_w == 1 && !p->pad_top && !p->pad_left &&
           2 * p->h_out <= p->h_in && 2 * p->w_out <= p->w_in;
}

static void pool_rows(const args *a, int nth, int kind) {
    const pool_args *p = &a->op->pool;
    int halving = kind == MAX && is_halving(p);
    for (share s; next_share(a, nth, &s);)
        for (int unit = s.begin; unit < s.end; unit++) {
            int channel = unit / p->h_out, y = unit % p->h_out;
            if (halving) {
                const float *from = channel_of(a, p->in, channel) + 2 * y * p->w_in;
                float *out = channel_of(a, p->out, channel) + y * p->w_out;
                halve_row(from, from + p->w_in, p->w_out, out);
                continue;
            }
            inputs in = {a->memory, table_of(a, p->in) + channel, 1};
            float *to = channel_of(a, p->out, channel) + y * p->w_out;
            float *row = sum_row((const windows *)&p->h_in, in, kind, 0, y, (float *)a->scratch);
            int rows = counted(p, y * p->stride_h - p->pad_top, p->kernel_h, p->pad_top, p->h_in,
                               p->h_end);
            for (int x = 0; kind == MEAN && x < p->w_out; x++)
                row[x] /= (float)(rows * counted(p, x * p->stride_w - p->pad_left, p->kernel_w,
                                                 p->pad_left, p->w_in, p->w_end));
            for (int x = 0; x < p->w_out; x += 4)
                store_some(to + x, load_f32x4(row + x), p->w_out - x);
        }
}

void max_pool_float(const args *a, int ith, int nth) {
    (void)ith;
    pool_rows(a, nth, MAX);
}

void average_pool_float(const args *a, int ith, int nth) {
    (void)ith;
    pool_rows(a, nth, MEAN);
}
