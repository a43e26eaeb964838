// Elementwise operators on float channels f32 [h][w]: out = activation(a), or of a and b combined.
//
// An operand that is broadcast has 0 floats from one row or column to the next; one that has a
// single channel stands several times in its table. A piece of work is a row of one channel; Python
// joins rows where all operands allow it. One loop combines the operands, the next applies the
// activation to the result.
#include "float.h"

enum { STEP = 8 };  // floats
// See lower_elementwise.py.
enum { KEEP_A, PLUS, MINUS, TIMES, OVER, SLOPE, LARGEST, SMALLEST, LIMITS };

// An operand of a row: floats from `at` on, or (step 0) STEP times the same one.
typedef struct {
    const float *at;
    int step;
} operand;

// For n floats, a multiple of STEP: v and w are four of the operands, `expression` of the result.
#define EACH(expression)                                                                           \
    for (; n > 0; n -= STEP, a.at += a.step, b.at += b.step, to += STEP)                           \
        UNROLL for (int i = 0; i < 2; i++) {                                                       \
            f32x4 v = load_f32x4(a.at + i * half_a), w = load_f32x4(b.at + i * half_b);            \
            (void)w;                                                                               \
            store_f32x4(to + i * STEP / 2, (expression));                                          \
        }                                                                                          \
    break

static void each(const elementwise_args *e, uint32_t how, operand a, operand b, float *to, int n) {
    f32x4 zero = splat_f32(0.0f), p = splat_f32(e->p), q = splat_f32(e->q);
    int half_a = a.step / 2, half_b = b.step / 2;
    switch (how) {
    case KEEP_A: EACH(activate_with(v, e->activation, e->p, e->q));
    case PLUS: EACH(v + w);
    case MINUS: EACH(v - w);
    case TIMES: EACH(v * w);
    case OVER: EACH(v / w);
    case SLOPE: EACH(max_f32(v, zero) + min_f32(v, zero) * w);
    case LARGEST: EACH(max_f32(v, w));
    case SMALLEST: EACH(min_f32(v, w));
    case LIMITS: EACH(min_f32(max_f32(v, p), q));
    default: __builtin_trap();
    }
}

static void combine(const elementwise_args *e, operand a, operand b, float *to, int n) {
    uint32_t last = e->activation == ACT_CLIP ? LIMITS : KEEP_A;
    each(e, e->combine == KEEP_A ? last : e->combine, a, b, to, n);
    if (e->combine != KEEP_A && e->activation != ACT_NONE)
        each(e, last, (operand){to, STEP}, b, to, n);
}

void elementwise_float(args *a) {
    const elementwise_args *e = &a->op->elementwise;
    int whole = e->w / STEP * STEP, rest = e->w - whole;
    float buffers[3][STEP];
    for (int unit; (unit = next_piece(a)) >= 0;) {
        int channel = unit / e->h, y = unit % e->h;
        operand sides[2] = {{channel_of(a, e->a, channel) + y * e->a_row, e->a_column * STEP},
                            {channel_of(a, e->b, channel) + y * e->b_row, e->b_column * STEP}};
        float *to = channel_of(a, e->out, channel) + y * e->w;
        for (int i = 0; i < 2; i++)
            if (!sides[i].step) {
                store_f32x4(buffers[i], splat_f32(*sides[i].at));
                sides[i].at = buffers[i];
            }
        combine(e, sides[0], sides[1], to, whole);
        if (!rest) continue;
        for (int i = 0; i < 2; i++)
            if (sides[i].step) {
                for (int x = 0; x < STEP; x++)
                    buffers[i][x] = x < rest ? sides[i].at[whole + x] : 0.0f;
                sides[i].at = buffers[i];
            }
        combine(e, sides[0], sides[1], buffers[2], STEP);
        for (int x = 0; x < rest; x++) to[whole + x] = buffers[2][x];
    }
}
