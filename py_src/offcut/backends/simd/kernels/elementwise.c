// Elementwise operators on float channels f32 [h][w]: out = activation(a), or of a and b combined.
//
// An operand that is broadcast has 0 floats from one row or column to the next; one that has a
// single channel stands several times in its table. A piece of work is a row of one channel. Rows
// are joined where all operands allow it, and go in runs that the cache holds: one loop combines
// the operands, the next applies the activation to the result.
#include "float.h"

enum { STEP = 8, RUN = 1024 };  // floats of a loop's step, and of a run
enum { KEEP_A, PLUS, MINUS, TIMES, OVER, SLOPE, LARGEST, SMALLEST };  // see lower_elementwise.py

// An operand of a run: floats from `at` on, or (step 0) STEP times the same one.
typedef struct {
    const float *at;
    int step;
} operand;

// For n floats, a multiple of STEP: v and w are four of the operands, `expression` of the result.
#define EACH(expression)                                                                           \
    for (; n > 0; n -= STEP, a.at += a.step, b.at += b.step, to += STEP)                           \
        UNROLL for (int i = 0; i < STEP; i += 4) {                                                 \
            f32x4 v = load_f32x4(a.at + i), w = load_f32x4(b.at + i);                              \
            (void)w;                                                                               \
            store_f32x4(to + i, (expression));                                                     \
        }                                                                                          \
    break

static void combine(operand a, operand b, float *to, int n, uint32_t how) {
    f32x4 zero = splat_f32(0.0f);
    switch (how) {
    case PLUS: EACH(v + w);
    case MINUS: EACH(v - w);
    case TIMES: EACH(v * w);
    case OVER: EACH(v / w);
    case SLOPE: EACH(max_f32(v, zero) + min_f32(v, zero) * w);
    case LARGEST: EACH(max_f32(v, w));
    default: EACH(min_f32(v, w));
    }
}

static void apply(operand a, float *to, int n, const elementwise_args *e) {
    f32x4 zero = splat_f32(0.0f), one = splat_f32(1.0f), p = splat_f32(e->p), q = splat_f32(e->q);
    operand b = a;
    switch (e->activation) {
    case ACT_RELU: EACH(max_f32(v, zero));
    case ACT_CLIP: EACH(min_f32(max_f32(v, p), q));
    case ACT_LEAKY_RELU: EACH(max_f32(v, zero) + min_f32(v, zero) * p);
    case ACT_HARD_SIGMOID: EACH(min_f32(max_f32(v * p + q, zero), one));
    default:
        for (int i = 0; i < n; i += 4) {
            f32x4 v = load_f32x4(a.at + i);
            if (e->activation == ACT_SQRT)
                v = sqrt_f32(v);
            else if (e->activation == ACT_TANH)  // 2 sigmoid(2 x) - 1
                v = activate(v + v, ACT_SIGMOID) * splat_f32(2.0f) - one;
            else
                v = activate(v, e->activation);
            store_f32x4(to + i, v);
        }
    }
}

// n floats, a multiple of STEP
static void whole_steps(const elementwise_args *e, operand a, operand b, float *to, int n) {
    if (e->combine == KEEP_A) {
        apply(a, to, n, e);
        return;
    }
    combine(a, b, to, n, e->combine);
    if (e->activation != ACT_NONE) apply((operand){to, STEP}, to, n, e);
}

// Copy n floats of an operand, or the one that it repeats STEP times.
static operand copied(const float *from, int column, int n, float *to) {
    for (int i = 0; i < (column ? n : STEP); i++) to[i] = from[i * column];
    return (operand){to, column ? STEP : 0};
}

static void elementwise_run(const elementwise_args *e, const float *a, const float *b, float *to,
                            int n) {
    float first[STEP] = {0}, second[STEP] = {0}, last[STEP];
    int whole = n / STEP * STEP, rest = n - whole;
    operand x = {a, STEP}, y = {b, STEP};
    if (!e->a_column) x = copied(a, 0, 0, first);
    if (!e->b_column) y = copied(b, 0, 0, second);
    whole_steps(e, x, y, to, whole);
    if (!rest) return;
    if (e->a_column) x = copied(a + whole, 1, rest, first);
    if (e->b_column) y = copied(b + whole, 1, rest, second);
    whole_steps(e, x, y, last, STEP);
    for (int i = 0; i < rest; i++) to[whole + i] = last[i];
}

INLINE int joins(int row, int column, int w) { return row == column * w; }

void elementwise_float(const args *a, int ith, int nth) {
    const elementwise_args *e = &a->op->elementwise;
    int flat = joins(e->a_row, e->a_column, e->w) && joins(e->b_row, e->b_column, e->w);
    (void)ith;
    for (share s; next_share(a, nth, &s);)
        for (int unit = s.begin, rows; unit < s.end; unit += rows) {
            int channel = unit / e->h, y = unit % e->h;
            rows = flat ? at_most(e->h - y, s.end - unit) : 1;
            const float *first = channel_of(a, e->a, channel) + y * e->a_row;
            const float *second = channel_of(a, e->b, channel) + y * e->b_row;
            float *to = channel_of(a, e->out, channel) + y * e->w;
            for (int i = 0, n; i < rows * e->w; i += n) {
                n = at_most(RUN, rows * e->w - i);
                elementwise_run(e, first + i * e->a_column, second + i * e->b_column, to + i, n);
            }
        }
}
