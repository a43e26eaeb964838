// What runs over windows of float channels f32 [h][w] without mixing many of them: pooling, and
// convolution with one input (depthwise) or few outputs per group, where a product of matrices
// would be nearly empty.
//
//   weights  f32 [channels_out of all groups][channels_in][kernel_h][kernel_w]
//
// An output row of one channel is the sum of input rows, each shifted and multiplied with weights.
// First it is written down which rows these are; then all are added in one pass, 16 columns at a
// time. Steps at the ends, which reach beyond the row, read a copy of it that has its padding
// around it. Copies are kept for the next output row.
//
// A piece of work is a band of rows of one channel; of pooling, a row.
#include "float.h"

enum { SUM, MAX, MEAN };
enum { STEP = 16, MOST_ROWS = 32 };
enum { STREAMS = 8 };  // channels that are read at the same time: more push each other out of L1

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

// Input rows that are added together, and what is done with the sums.
typedef struct {
    const float *inner[MOST_ROWS], *end[MOST_ROWS];  // where they begin with padding; copies of it
    const float *weights[MOST_ROWS];                 // [kernel_w], 0 for ones
    int count;
    int largest;  // 1: the largest is taken instead
    int added;    // whether the output row has something already
    float first;  // that it begins with otherwise
    int limited;  // 1: sums are at least 0 and at most `most`
    float most;
} rows;

// Where a thread keeps what it works on, and which columns need no copy.
typedef struct {
    int n, begin, end;   // columns of whole steps; of the steps that lie inside
    int slots, width;    // copied rows, and floats of one, with some to spare
    const float **kept;  // [slots]: which row is copied there
    float *copies;       // f32 [slots][width]
    float *out;          // f32 [n]
} workspace;

INLINE int whole_steps(int n) { return (n + STEP - 1) / STEP * STEP; }

static workspace place(const windows *g, uint8_t *scratch, float padding) {
    int reach = (g->kernel_w - 1) * g->dilation_w, n = whole_steps(g->w_out);
    workspace s = {.n = n, .slots = (g->kernel_h - 1) * g->dilation_h + 1};
    s.width = n * g->stride_w + reach + 4;
    s.begin = whole_steps((g->pad_left + g->stride_w - 1) / g->stride_w);
    s.end = at_least(g->w_in + g->pad_left - reach, 0) / g->stride_w / STEP * STEP;
    s.end = at_most(s.end, n);
    if (s.end <= s.begin) s.begin = s.end = n;
    s.kept = (const float **)scratch;
    s.out = (float *)(s.kept + s.slots);
    s.copies = s.out + n;
    for (int i = 0; i < s.slots; i++) s.kept[i] = 0;
    for (int i = 0; (s.begin > 0 || s.end < n) && i < s.slots * s.width; i++) s.copies[i] = padding;
    return s;
}

// Copy floats [begin, end) of a row with its padding, which is there already.
static void copy_part(const windows *g, const float *row, int begin, int end, float *copy) {
    int i = at_least(begin - g->pad_left, 0), last = at_most(end - g->pad_left, g->w_in);
    for (copy += g->pad_left; i + 4 <= last; i += 4) store_f32x4(copy + i, load_f32x4(row + i));
    for (; i < last; i++) copy[i] = row[i];
}

// The copy of row y of a channel, as far as it is read; made unless it is there.
static const float *copy_of(const windows *g, const workspace *s, const float *row, int y) {
    int slot = y % s->slots, reach = (g->kernel_w - 1) * g->dilation_w;
    float *copy = s->copies + slot * s->width;
    if (s->kept[slot] == row) return copy;
    s->kept[slot] = row;
    copy_part(g, row, 0, s->begin * g->stride_w + reach, copy);
    if (s->end < s->n) copy_part(g, row, s->end * g->stride_w, s->width, copy);
    return copy;
}

// Four floats `stride` apart.
INLINE f32x4 load_apart(const float *from, int stride) {
    if (stride == 1) return load_f32x4(from);
    if (stride == 2)
        return __builtin_shufflevector(load_f32x4(from), load_f32x4(from + 4), 0, 2, 4, 6);
    return (f32x4){from[0], from[stride], from[2 * stride], from[3 * stride]};
}

// Add the rows to the output row, or take the largest, `vectors` at a time.
INLINE void add_rows(const rows *t, const windows *g, const workspace *space, const int vectors,
                     int stride, int largest) {
    for (int x = 0; x < space->n; x += 4 * vectors) {
        f32x4 s[STEP / 4];
        const float *const *begins = x >= space->begin && x < space->end ? t->inner : t->end;
        float *to = space->out + x;
        UNROLL for (int i = 0; i < vectors; i++) s[i] = splat_f32(t->first);
        if (t->added)
            UNROLL for (int i = 0; i < vectors; i++) s[i] = load_f32x4(to + 4 * i);
        for (int row = 0; row < t->count; row++) {
            const float *from = begins[row] + x * stride, *weights = t->weights[row];
            for (int kx = 0; kx < g->kernel_w; kx++, from += g->dilation_w) {
                f32x4 weight = splat_f32(weights ? weights[kx] : 1.0f);
                UNROLL for (int i = 0; i < vectors; i++) {
                    f32x4 v = load_apart(from + 4 * i * stride, stride);
                    s[i] = largest ? max_f32(v, s[i]) : s[i] + v * weight;
                }
            }
        }
        if (t->limited)
            UNROLL for (int i = 0; i < vectors; i++)
                s[i] = max_f32(splat_f32(0.0f), min_f32(splat_f32(t->most), s[i]));
        UNROLL for (int i = 0; i < vectors; i++) store_f32x4(to + 4 * i, s[i]);
    }
}

// Add the rows to the output row and forget them.
static void flush(rows *t, const windows *g, const workspace *space) {
    if (t->largest || g->stride_w > 2)
        add_rows(t, g, space, 1, g->stride_w, t->largest);
    else if (g->stride_w == 2)
        add_rows(t, g, space, STEP / 4, 2, 0);
    else
        add_rows(t, g, space, STEP / 4, 1, 0);
    t->count = 0;
    t->added = 1;
}

// The output row, beginning with `first`; in the end, `activation` limits it. w: weights, or 0.
static float *sum_row(const windows *g, const workspace *s, inputs in, int kind, float first,
                      const float *w, int y, uint32_t activation) {
    int copies = s->begin > 0 || s->end < s->n;
    rows t;
    t.count = t.added = t.limited = 0;
    t.largest = kind == MAX;
    t.first = first;
    t.most = activation == ACT_RELU6 ? 6.0f : __builtin_inff();
    for (int channel = 0; channel < in.channels; channel++) {
        if (copies && channel) flush(&t, g, s);
        for (int ky = 0; ky < g->kernel_h; ky++, w += w ? g->kernel_w : 0) {
            int from_y = y * g->stride_h - g->pad_top + ky * g->dilation_h;
            if (from_y < 0 || from_y >= g->h_in) continue;
            const float *row =
                (const float *)(in.memory + in.table[channel]) + (int64_t)from_y * g->w_in;
            if (t.count == MOST_ROWS) flush(&t, g, s);
            t.inner[t.count] = row - g->pad_left;
            t.end[t.count] = copies ? copy_of(g, s, row, from_y) : row;
            t.weights[t.count++] = w;
        }
    }
    t.limited = activation != ACT_NONE;
    flush(&t, g, s);
    return s->out;
}

// A 1x1 kernel: pixels [at, at + n) of a sum of channels and `first`, at most `most` and at least
// `least`.
static void sum_channels(inputs in, const float *w, int at, int n, float first, float least,
                         float most, float *to) {
    for (int begin = 0; begin < in.channels; begin += STREAMS) {
        int end = at_most(begin + STREAMS, in.channels);
        for (int x = 0; x < n; x += STEP) {
            f32x4 s[STEP / 4];
            UNROLL for (int i = 0; i < STEP / 4; i++) s[i] = splat_f32(first);
            if (begin)
                UNROLL for (int i = 0; i < STEP / 4; i++) s[i] = load_f32x4(to + x + 4 * i);
            for (int channel = begin; channel < end; channel++) {
                const float *from = (const float *)(in.memory + in.table[channel]) + at + x;
                f32x4 weight = splat_f32(w[channel]);
                UNROLL for (int i = 0; i < STEP / 4; i++) s[i] += load_f32x4(from + 4 * i) * weight;
            }
            if (end == in.channels)
                UNROLL for (int i = 0; i < STEP / 4; i++)
                    s[i] = max_f32(splat_f32(least), min_f32(splat_f32(most), s[i]));
            UNROLL for (int i = 0; i < STEP / 4; i++) store_f32x4(to + x + 4 * i, s[i]);
        }
    }
}

void conv_float_windows(args *a) {
    const float_conv_args *c = &a->op->float_conv;
    const windows *g = (const windows *)&c->h_in;
    int channels = (int)c->channels_in, taps = channels * c->kernel_h * c->kernel_w;
    int single = taps == channels && c->stride_h * c->stride_w == 1 && c->h_in == c->h_out &&
                 c->w_in == c->w_out && c->w_out % STEP == 0;
    // Whether the limited sums are the result.
    int direct = c->activation <= ACT_RELU6 && !c->residual && !c->row_runs && c->w_out % STEP == 0;
    workspace s = place(g, a->scratch, 0.0f);
    float *sums = s.out, infinite = __builtin_inff();
    uint32_t activation = direct ? c->activation : ACT_NONE;
    int bands = (c->h_out + c->panel - 1) / c->panel;
    for (int unit; (unit = next_piece(a)) >= 0;) {
        int channel = unit / bands, begin = unit % bands * c->panel;
        int end = at_most(begin + c->panel, c->h_out), group = channel / (int)c->channels_out;
        const float *w = (const float *)(a->memory + c->weights) + (int64_t)channel * taps;
        inputs in = {a->memory, table_of(a, c->in) + group * channels, channels};
        float first = direct ? ((const float *)(a->memory + c->bias))[channel] : 0.0f;
        for (int y = begin; y < end; y++) {
            s.out = direct ? channel_of(a, c->out, channel) + y * c->w_out : sums;
            if (single)
                sum_channels(in, w, y * c->w_out, c->w_out, first,
                             activation == ACT_NONE ? -infinite : 0.0f,
                             activation == ACT_RELU6 ? 6.0f : infinite, s.out);
            else
                sum_row(g, &s, in, SUM, first, w, y, activation);
            if (!direct) finish_floats(a, c, channel, y * c->w_out, c->w_out, sums);
        }
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
    const windows *g = (const windows *)&p->h_in;
    int halving = kind == MAX && is_halving(p);
    float first = kind == MAX ? -__builtin_inff() : 0.0f;
    workspace s = place(g, a->scratch, first);
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
            float *row = sum_row(g, &s, in, kind, first, 0, y, ACT_NONE);
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
