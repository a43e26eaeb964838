// What runs over windows of float channels f32 [h][w] without mixing many of them: pooling, and
// convolution with one input (depthwise) or few outputs per group, where a product of matrices
// would be nearly empty.
//
//   weights  f32 [channels_out of all groups][channels_in][kernel_h][kernel_w]
//
// A piece of work is an output row of one channel: the sum of input rows, each shifted and multiplied
// with a weight. First it is written down which rows these are, its taps; then all are added in one
// pass, 16 columns at a time. Rows with padding are copied with it on both sides. Those of a stride
// are cut into its phases, so that taps always read neighbours:
//
//   a b c d e f g   stride 3   -->   a d g . | b e . . | c f . .
//
// Rows go on to the next multiple of 16: what is read there is thrown away.
#include "float.h"

enum { SUM, MAX, MEAN };
enum { STEP = 16, MOST_TAPS = 64 };

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

typedef struct {
    const float *from[MOST_TAPS];
    float weights[MOST_TAPS];
    int count;
} taps;

INLINE int whole_steps(int n) { return (n + STEP - 1) / STEP * STEP; }

// Floats of a phase.
INLINE int phase_width(const windows *g) {
    return whole_steps(g->w_out) + (g->kernel_w - 1) * g->dilation_w / g->stride_w + 1;
}

// Whether taps can read input row y where it is: they read neighbours inside of it, and what whole
// steps read beyond its end is still the channel's.
INLINE int fits(const windows *g, int y) {
    int reach = (g->kernel_w - 1) * g->dilation_w;
    return g->stride_w == 1 && g->pad_left == 0 && g->w_out + reach <= g->w_in &&
           y * g->w_in + whole_steps(g->w_out) + reach <= g->h_in * g->w_in;
}

// The phases of an input row with its padding, f32 [stride_w][phase_width].
static void cut_row(const windows *g, const float *row, float padding, float *copy) {
    int width = phase_width(g), stride = g->stride_w;
    for (int phase = 0; phase < stride; phase++, copy += width) {
        int i = 0, x = phase - g->pad_left;
        for (; i < width && x < 0; i++, x += stride) copy[i] = padding;
        if (stride <= 2)
            for (; i + 4 <= width && x + 4 * stride <= g->w_in; i += 4, x += 4 * stride) {
                f32x4 v = load_f32x4(row + x);
                if (stride == 2) v = __builtin_shufflevector(v, load_f32x4(row + x + 4), 0, 2, 4, 6);
                store_f32x4(copy + i, v);
            }
        for (; i < width; i++, x += stride) copy[i] = x < g->w_in ? row[x] : padding;
    }
}

// Add the taps to an output row, or take the largest, and forget them.
INLINE void add_taps(taps *t, const int largest, int n, float *to) {
    for (int x = 0; x < n; x += STEP) {
        f32x4 s[STEP / 4];
        UNROLL for (int i = 0; i < STEP / 4; i++) s[i] = load_f32x4(to + x + 4 * i);
        for (int tap = 0; tap < t->count; tap++) {
            f32x4 weight = splat_f32(t->weights[tap]);
            UNROLL for (int i = 0; i < STEP / 4; i++) {
                f32x4 v = load_f32x4(t->from[tap] + x + 4 * i);
                s[i] = largest ? max_f32(v, s[i]) : s[i] + v * weight;
            }
        }
        UNROLL for (int i = 0; i < STEP / 4; i++) store_f32x4(to + x + 4 * i, s[i]);
    }
    t->count = 0;
}

static void flush(taps *t, int kind, int n, float *to) {
    if (kind == MAX)
        add_taps(t, 1, n, to);
    else
        add_taps(t, 0, n, to);
}

// An output row in `scratch`: the row, with room for whole steps, then a channel's copied input rows.
static float *sum_row(const windows *g, inputs in, int kind, const float *w, int y,
                      float *scratch) {
    int n = whole_steps(g->w_out), width = phase_width(g), copied = 0;
    float first = kind == MAX ? -__builtin_inff() : 0.0f;
    taps t = {.count = 0};
    for (int x = 0; x < n; x += 4) store_f32x4(scratch + x, splat_f32(first));
    for (int channel = 0; channel < in.channels; channel++) {
        if (copied) flush(&t, kind, n, scratch);
        for (int ky = 0; ky < g->kernel_h; ky++, w += w ? g->kernel_w : 0) {
            int from_y = y * g->stride_h - g->pad_top + ky * g->dilation_h;
            if (from_y < 0 || from_y >= g->h_in) continue;
            const float *row =
                (const float *)(in.memory + in.table[channel]) + (int64_t)from_y * g->w_in;
            int copies = !fits(g, from_y);
            if (copies) {
                float *copy = scratch + n + ky * g->stride_w * width;
                cut_row(g, row, first, copy);
                row = copy;
                copied = 1;
            }
            for (int kx = 0; kx < g->kernel_w; kx++) {
                int at = kx * g->dilation_w;
                if (t.count == MOST_TAPS) flush(&t, kind, n, scratch);
                t.from[t.count] = row + (copies ? at % g->stride_w * width + at / g->stride_w : at);
                t.weights[t.count++] = w ? w[kx] : 1.0f;
            }
        }
    }
    flush(&t, kind, n, scratch);
    return scratch;
}

void conv_float_windows(args *a) {
    const float_conv_args *c = &a->op->float_conv;
    const windows *g = (const windows *)&c->h_in;
    int channels = (int)c->channels_in, taps = channels * c->kernel_h * c->kernel_w;
    for (int unit; (unit = next_piece(a)) >= 0;) {
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

// The largest of each 2 x 2 cells, or of those there are: n outputs from two rows of w floats.
static void halve_row(const float *row, const float *below, int w, int n, float *to) {
    int x = 0;
    for (; x + 4 <= n && 2 * x + 8 <= w; x += 4) {
        f32x4 left = max_f32(load_f32x4(row + 2 * x), load_f32x4(below + 2 * x));
        f32x4 right = max_f32(load_f32x4(row + 2 * x + 4), load_f32x4(below + 2 * x + 4));
        store_f32x4(to + x, max_f32(__builtin_shufflevector(left, right, 0, 2, 4, 6),
                                    __builtin_shufflevector(left, right, 1, 3, 5, 7)));
    }
    for (; x < n; x++) {
        int last = at_most(2 * x + 1, w - 1);
        float a = row[2 * x], b = row[last], c = below[2 * x], d = below[last];
        a = a > b ? a : b, c = c > d ? c : d;
        to[x] = a > c ? a : c;
    }
}

static void pool_rows(args *a, int kind) {
    const pool_args *p = &a->op->pool;
    int halving = kind == MAX && is_halving(p);
    for (int unit; (unit = next_piece(a)) >= 0;) {
            int channel = unit / p->h_out, y = unit % p->h_out;
            if (halving) {
                const float *from = channel_of(a, p->in, channel) + 2 * y * p->w_in;
                float *out = channel_of(a, p->out, channel) + y * p->w_out;
                int below = 2 * y + 1 < p->h_in ? p->w_in : 0;
                halve_row(from, from + below, p->w_in, p->w_out, out);
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

void max_pool_float(args *a) {
    pool_rows(a, MAX);
}

void average_pool_float(args *a) {
    pool_rows(a, MEAN);
}
