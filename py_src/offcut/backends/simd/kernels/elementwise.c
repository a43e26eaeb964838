// Elementwise operators on float channels f32 [h][w]: out = activation(a), or of a and b combined.
//
// An operand that is broadcast has 0 floats from one row or column to the next; one that has a
// single channel stands several times in its table. A piece of work is a row of one channel; Python
// joins rows where all operands allow it. One loop combines the operands, the next applies the
// activation to the result.
#include "float.h"

enum { STEP = 16 };  // floats
// See lower_elementwise.py.
enum { KEEP_A, PLUS, MINUS, TIMES, OVER, SLOPE, LARGEST, SMALLEST, LIMITS };

// An operand of a row: floats from `at` on, or (stride 0) STEP times the same one.
typedef struct {
    const float *at;
    int stride;  // floats from one step to the next
} operand;

// For n floats, a multiple of STEP: v and w are four of the operands, `expression` of the result.
#define EACH(unroll, expression)                                                                   \
    for (const float *end = to + n; to < end; to += STEP, a.at += a.stride, b.at += b.stride)      \
        unroll for (int i = 0; i < STEP; i += 4) {                                                 \
            f32x4 v = load_f32x4(a.at + i), w = load_f32x4(b.at + i);                              \
            (void)w;                                                                               \
            store_f32x4(to + i, (expression));                                                     \
        }                                                                                          \
    break

static void each(const elementwise_args *e, uint32_t how, operand a, operand b, float *to, int n) {
    f32x4 zero = splat_f32(0.0f), p = splat_f32(e->p), q = splat_f32(e->q);
    switch (how) {
    case KEEP_A: EACH(, activate_with(v, e->activation, e->p, e->q));
    case PLUS: EACH(UNROLL, v + w);
    case MINUS: EACH(, v - w);
    case TIMES: EACH(UNROLL, v * w);
    case OVER: EACH(, v / w);
    case SLOPE: EACH(, max_f32(v, zero) + min_f32(v, zero) * w);
    case LARGEST: EACH(, max_f32(v, w));
    case SMALLEST: EACH(, min_f32(v, w));
    case LIMITS: EACH(UNROLL, min_f32(max_f32(v, p), q));
    default: __builtin_trap();
    }
}

static void combine(const elementwise_args *e, operand a, operand b, float *to, int n) {
    uint32_t last = e->activation == ACT_CLIP ? LIMITS : KEEP_A;
    each(e, e->combine == KEEP_A ? last : e->combine, a, b, to, n);
    if (e->combine != KEEP_A && e->activation != ACT_NONE)
        each(e, last, (operand){to, STEP}, b, to, n);
}

// An operand of a row: where it lies, or `buffer` filled with its only float.
INLINE operand operand_of(const float *at, int column, float *buffer) {
    if (column) return (operand){at, STEP};
    UNROLL for (int x = 0; x < STEP; x += 4) store_f32x4(buffer + x, splat_f32(*at));
    return (operand){buffer, 0};
}

// The last floats of an operand, fewer than a step.
static operand rest_of(operand a, int whole, int rest, float *buffer) {
    if (!a.stride) return a;
    for (int x = 0; x < STEP; x++) buffer[x] = x < rest ? a.at[whole + x] : 0.0f;
    return (operand){buffer, 0};
}

void elementwise_float(args *a) {
    const elementwise_args *e = &a->op->elementwise;
    int whole = e->w / STEP * STEP, rest = e->w - whole, channel = 0, y = 0;
    float buffers[3][STEP];
    for (int unit, next = 0; (unit = next_piece(a)) >= 0; next = unit + 1) {
        if (unit != next) channel = unit / e->h, y = unit % e->h;
        operand left = operand_of(channel_of(a, e->a, channel) + y * e->a_row, e->a_column,
                                  buffers[0]);
        operand right = operand_of(channel_of(a, e->b, channel) + y * e->b_row, e->b_column,
                                   buffers[1]);
        float *to = channel_of(a, e->out, channel) + y * e->w;
        combine(e, left, right, to, whole);
        if (rest) {
            combine(e, rest_of(left, whole, rest, buffers[0]),
                    rest_of(right, whole, rest, buffers[1]), buffers[2], STEP);
            for (int x = 0; x < rest; x++) to[whole + x] = buffers[2][x];
        }
        if (++y == e->h) channel++, y = 0;
    }
}
