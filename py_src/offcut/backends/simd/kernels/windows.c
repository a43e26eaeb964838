// What runs over windows of float channels f32 [h][w] without mixing many of them: pooling, and
// convolution with one input (depthwise) or few outputs per group, where a product of matrices
// would be nearly empty.
//
//   weights  f32 [channels_out of all groups][channels_in][kernel_h][kernel_w]
//
// A piece of work is an output row of one channel: the sum of input rows, each shifted and
// multiplied with a weight. First it is written down which rows these are, its taps; then all are
// added in one pass, 16 columns at a time. Steps at the ends, which reach beyond the row, read a
// copy of it with its padding. So do all with a stride; their copy is cut into phases, so that taps
// always read neighbours:
//
//   a b c d e f g   stride 3   -->   a d g . | b e . . | c f . .
//
// Copies are kept for the next output row.
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
    const float *inner[MOST_TAPS], *end[MOST_TAPS];  // where they begin: in a row, and in its copy
    float weights[MOST_TAPS];
    int count;
    int added;    // whether the output row has something already
    float first;  // that it begins with otherwise
    int limited;  // 1: sums are at least 0 and at most `most`
    float most;
} taps;

// Where a thread keeps what it works on, and which columns need no copy.
typedef struct {
    int n, begin, end;   // columns of whole steps; of the steps that lie inside
    int slots, width;    // copied rows; floats of a phase, with some to spare
    int step, turn;      // how far apart taps are: floats of a phase, and phases
    const float **kept;  // [slots]: which row is copied there
    float *copies;       // f32 [slots][stride_w][width]
    float *out;          // f32 [n]
} workspace;

INLINE int whole_steps(int n) { return (n + STEP - 1) / STEP * STEP; }

static workspace place(const windows *g, uint8_t *scratch) {
    int reach = (g->kernel_w - 1) * g->dilation_w, n = whole_steps(g->w_out);
    workspace s = {.n = n, .slots = (g->kernel_h - 1) * g->dilation_h + 1};
    s.width = n + reach / g->stride_w + 4;
    s.step = g->dilation_w / g->stride_w;
    s.turn = g->dilation_w % g->stride_w;
    s.begin = whole_steps(g->pad_left);
    s.end = at_most(at_least(g->w_in + g->pad_left - reach, 0) / STEP * STEP, n);
    if (g->stride_w > 1 || s.end <= s.begin) s.begin = s.end = n;
    s.out = (float *)scratch;
    s.copies = s.out + n;
    s.kept = (const float **)(s.copies + (s.slots * g->stride_w * s.width + 1) / 2 * 2);
    for (int i = 0; i < s.slots; i++) s.kept[i] = 0;
    return s;
}

// Floats [i, end) of one phase of an input row with its padding, of which up to 3 more are written.
static void cut(const windows *g, const float *row, float padding, int phase, int i, int end,
                float *copy) {
    int stride = g->stride_w, x = i * stride + phase - g->pad_left;
    for (; i < end && x < 0; i++, x += stride) copy[i] = padding;
    if (stride <= 2)
        for (; i + 4 <= end && x + 4 * stride <= g->w_in; i += 4, x += 4 * stride) {
            f32x4 v = load_f32x4(row + x);
            if (stride == 2) v = __builtin_shufflevector(v, load_f32x4(row + x + 4), 0, 2, 4, 6);
            store_f32x4(copy + i, v);
        }
    for (; i < end && x < g->w_in; i++, x += stride) copy[i] = row[x];
    for (; i < end; i += 4) store_f32x4(copy + i, splat_f32(padding));
}

// The copy of row y of a channel, as far as it is read; made unless it is there.
static const float *copy_of(const windows *g, const workspace *s, const float *row, int y,
                            float padding) {
    float *copy = s->copies + y % s->slots * g->stride_w * s->width;
    if (s->kept[y % s->slots] == row) return copy;
    s->kept[y % s->slots] = row;
    int reach = (g->kernel_w - 1) * g->dilation_w / g->stride_w;
    for (int phase = 0; phase < g->stride_w; phase++) {
        float *to = copy + phase * s->width;
        if (s->begin) cut(g, row, padding, phase, 0, s->begin + reach + 1, to);
        if (s->end < s->n) cut(g, row, padding, phase, s->end, s->width - 3, to);
    }
    return copy;
}

// Add the taps to the output row, or take the largest, and forget them.
INLINE void add_taps(taps *t, const workspace *space, const int largest) {
    for (int x = 0; x < space->n; x += STEP) {
        f32x4 s[STEP / 4];
        const float *const *begins = x >= space->begin && x < space->end ? t->inner : t->end;
        float *to = space->out + x;
        UNROLL for (int i = 0; i < STEP / 4; i++) s[i] = splat_f32(t->first);
        if (t->added)
            UNROLL for (int i = 0; i < STEP / 4; i++) s[i] = load_f32x4(to + 4 * i);
        for (int tap = 0; tap < t->count; tap++) {
            const float *from = begins[tap] + x;
            f32x4 weight = splat_f32(t->weights[tap]);
            UNROLL for (int i = 0; i < STEP / 4; i++) {
                f32x4 v = load_f32x4(from + 4 * i);
                s[i] = largest ? max_f32(v, s[i]) : s[i] + v * weight;
            }
        }
        if (t->limited)
            UNROLL for (int i = 0; i < STEP / 4; i++)
                s[i] = max_f32(splat_f32(0.0f), min_f32(splat_f32(t->most), s[i]));
        UNROLL for (int i = 0; i < STEP / 4; i++) store_f32x4(to + 4 * i, s[i]);
    }
    t->count = 0;
    t->added = 1;
}

static void flush(taps *t, const workspace *space, int kind) {
    if (kind == MAX)
        add_taps(t, space, 1);
    else
        add_taps(t, space, 0);
}

// The output row, beginning with `first`; in the end, `activation` limits it.
static float *sum_row(const windows *g, const workspace *s, inputs in, int kind, float first,
                      const float *w, int y, uint32_t activation) {
    int copies = s->begin > 0 || s->end < s->n;
    float padding = kind == MAX ? -__builtin_inff() : 0.0f;
    taps t;
    t.count = t.added = 0;
    t.first = first;
    t.limited = 0;
    t.most = activation == ACT_RELU6 ? 6.0f : __builtin_inff();
    for (int channel = 0; channel < in.channels; channel++) {
        if (copies && channel) flush(&t, s, kind);
        for (int ky = 0; ky < g->kernel_h; ky++, w += w ? g->kernel_w : 0) {
            int from_y = y * g->stride_h - g->pad_top + ky * g->dilation_h;
            if (from_y < 0 || from_y >= g->h_in) continue;
            const float *row =
                (const float *)(in.memory + in.table[channel]) + (int64_t)from_y * g->w_in;
            const float *copy = copies ? copy_of(g, s, row, from_y, padding) : row;
            for (int kx = 0, at = -g->pad_left, step = 0, phase = 0; kx < g->kernel_w; kx++) {
                if (t.count == MOST_TAPS) flush(&t, s, kind);
                t.inner[t.count] = row + at;
                t.end[t.count] = copy + phase * s->width + step;
                t.weights[t.count++] = w ? w[kx] : 1.0f;
                at += g->dilation_w, step += s->step, phase += s->turn;
                if (phase >= g->stride_w) phase -= g->stride_w, step++;
            }
        }
    }
    t.limited = activation != ACT_NONE;
    flush(&t, s, kind);
    return s->out;
}

void conv_float_windows(args *a) {
    const float_conv_args *c = &a->op->float_conv;
    const windows *g = (const windows *)&c->h_in;
    int channels = (int)c->channels_in, taps = channels * c->kernel_h * c->kernel_w;
    // Whether the limited sums are the result.
    int direct = c->activation <= ACT_RELU6 && !c->residual && !c->row_runs && c->w_out % STEP == 0;
    workspace s = place(g, a->scratch);
    for (int unit; (unit = next_piece(a)) >= 0;) {
        int channel = unit / c->h_out, y = unit % c->h_out;
        int group = channel / (int)c->channels_out;
        const float *w = (const float *)(a->memory + c->weights) + (int64_t)channel * taps;
        inputs in = {a->memory, table_of(a, c->in) + group * channels, channels};
        s.out = direct ? channel_of(a, c->out, channel) + y * c->w_out : (float *)a->scratch;
        float first = direct ? ((const float *)(a->memory + c->bias))[channel] : 0.0f;
        sum_row(g, &s, in, SUM, first, w, y, direct ? c->activation : ACT_NONE);
        if (!direct) finish_floats(a, c, channel, y * c->w_out, c->w_out, s.out);
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
    workspace s = place(g, a->scratch);
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
            float first = kind == MAX ? -__builtin_inff() : 0.0f;
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
