// Elementwise operators on float channels f32 [h][w]: out = activation(a), or of a and b combined.
//
// An operand that is broadcast has 0 floats from one row or column to the next; one that has a
// single channel stands several times in its table. A piece of work is a row of one channel. Rows
// are joined where all operands allow it, and go in runs of 64: each operation is one loop over
// such a run.
#include "float.h"

enum { RUN = 64 };
enum { KEEP_A, PLUS, MINUS, TIMES, OVER, SLOPE, LARGEST, SMALLEST };  // combine, as in lower_others.py

// For each vector v[i] of the run.
#define EACH(expression)                                                                           \
    _Pragma("clang loop unroll(disable)") for (int i = 0; i < RUN / 4; i++) v[i] = (expression);   \
    break

static void combine(f32x4 *v, const f32x4 *b, uint32_t how) {
    f32x4 zero = splat_f32(0.0f);
    switch (how) {
    case PLUS: EACH(v[i] + b[i]);
    case MINUS: EACH(v[i] - b[i]);
    case TIMES: EACH(v[i] * b[i]);
    case OVER: EACH(v[i] / b[i]);
    case SLOPE: EACH(max_f32(v[i], zero) + min_f32(v[i], zero) * b[i]);
    case LARGEST: EACH(max_f32(v[i], b[i]));
    case SMALLEST: EACH(min_f32(v[i], b[i]));
    default: break;
    }
}

static void apply(f32x4 *v, uint32_t activation, f32x4 p, f32x4 q) {
    f32x4 zero = splat_f32(0.0f), one = splat_f32(1.0f);
    switch (activation) {
    case ACT_NONE: break;
    case ACT_CLIP: EACH(min_f32(max_f32(v[i], p), q));
    case ACT_LEAKY_RELU: EACH(max_f32(v[i], zero) + min_f32(v[i], zero) * p);
    case ACT_HARD_SIGMOID: EACH(min_f32(max_f32(v[i] * p + q, zero), one));
    case ACT_SQRT: EACH(sqrt_f32(v[i]));
    case ACT_TANH:  // 2 sigmoid(2 x) - 1
        EACH(activate(v[i] + v[i], ACT_SIGMOID) * splat_f32(2.0f) - one);
    default: EACH(activate(v[i], activation));
    }
}

// n floats from a pointer, or one of them n times.
static void load_run(f32x4 *v, const float *from, int column, int n) {
    if (column && n == RUN) {
        __builtin_memcpy(v, from, RUN * 4);
        return;
    }
    for (int i = 0; i < n; i++) ((float *)v)[i] = from[i * column];
}

static void elementwise_run(const elementwise_args *e, const float *a, const float *b, float *to,
                            int n) {
    f32x4 v[RUN / 4] = {0}, other[RUN / 4] = {0};
    load_run(v, a, e->a_column, n);
    if (b) load_run(other, b, e->b_column, n);
    combine(v, other, e->combine);
    apply(v, e->activation, splat_f32(e->p), splat_f32(e->q));
    if (n == RUN)
        __builtin_memcpy(to, v, RUN * 4);
    else
        for (int i = 0; i < n; i++) to[i] = ((float *)v)[i];
}

INLINE int joins(int row, int column, int w) { return row == column * w; }

void elementwise_float(const args *a, int ith, int nth) {
    const elementwise_args *e = &a->op->elementwise;
    int flat = joins(e->a_row, e->a_column, e->w) && (!e->b || joins(e->b_row, e->b_column, e->w));
    (void)ith;
    for (share s; next_share(a, nth, &s);)
        for (int unit = s.begin, rows; unit < s.end; unit += rows) {
            int channel = unit / e->h, y = unit % e->h;
            rows = flat ? at_most(e->h - y, s.end - unit) : 1;
            const float *first = channel_of(a, e->a, channel) + y * e->a_row;
            const float *second = e->b ? channel_of(a, e->b, channel) + y * e->b_row : 0;
            float *to = channel_of(a, e->out, channel) + y * e->w;
            for (int i = 0, n; i < rows * e->w; i += n) {
                n = at_most(RUN, rows * e->w - i);
                elementwise_run(e, first + i * e->a_column, second ? second + i * e->b_column : 0,
                                to + i, n);
            }
        }
}
