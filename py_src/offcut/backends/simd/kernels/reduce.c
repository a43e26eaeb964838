// Sums, means and largest values of float channels f32 [count], and normalisation by them. A piece
// of work is a channel.
//
// A sum runs in sixteen lanes over stretches of 512, which are added up in double precision, so
// that large maps lose no digits.
#include "float.h"

enum { REDUCE_SUM, REDUCE_MEAN, REDUCE_MAX };  // as in lower_reduce.py
enum { STRETCH = 512 };

INLINE double add_up(f32x8 v) {
    double pairs[4];
    UNROLL for (int i = 0; i < 4; i++) pairs[i] = (double)v[i] + (double)v[i + 4];
    return (pairs[0] + pairs[1]) + (pairs[2] + pairs[3]);
}

// The sum of (x - middle), or of their squares.
static double sum(const float *x, int n, float middle, int squares) {
    double total = 0.0;
    int i = 0;
    while (i + 16 <= n) {
        f32x8 low = splat_f32x8(0.0f), high = low;
        for (int end = at_most(n - 15, i + STRETCH); i < end; i += 16) {
            f32x8 v = load_f32x8(x + i) - splat_f32x8(middle);
            f32x8 w = load_f32x8(x + i + 8) - splat_f32x8(middle);
            low += squares ? v * v : v;
            high += squares ? w * w : w;
        }
        total += add_up(low + high);
    }
    for (; i < n; i++) {
        float v = x[i] - middle;
        total += (double)(squares ? v * v : v);
    }
    return total;
}

void reduce_float(args *a) {
    const reduce_args *r = &a->op->reduce;
    for (int channel; (channel = next_piece(a)) >= 0;) {
            const float *x = channel_of(a, r->in, channel);
            float *to = channel_of(a, r->out, channel);
            if (r->kind == REDUCE_MAX) {
                float most = x[0];
                for (int i = 1; i < r->count; i++) most = x[i] > most ? x[i] : most;
                *to = most;
                continue;
            }
            double total = sum(x, r->count, 0.0f, 0);
            *to = (float)(r->kind == REDUCE_MEAN ? total / r->count : total);
        }
}

// (x - mean) * scale / sqrt(variance + epsilon) + bias, per channel; parameters are f32
// [channels][2], scale and bias.
void normalize_float(args *a) {
    const reduce_args *r = &a->op->reduce;
    const float *parameters = (const float *)(a->memory + r->parameters);
    for (int channel; (channel = next_piece(a)) >= 0;) {
            const float *x = channel_of(a, r->in, channel);
            float *to = channel_of(a, r->out, channel);
            float mean = (float)(sum(x, r->count, 0.0f, 0) / r->count);
            float variance = (float)(sum(x, r->count, mean, 1) / r->count);
            float factor = parameters[2 * channel] / __builtin_sqrtf(variance + r->epsilon);
            float bias = parameters[2 * channel + 1];
            int i = 0;
            for (; i + 8 <= r->count; i += 8) {
                f32x8 v = load_f32x8(x + i) - splat_f32x8(mean);
                store_f32x8(to + i, v * splat_f32x8(factor) + splat_f32x8(bias));
            }
            for (; i < r->count; i++) to[i] = (x[i] - mean) * factor + bias;
        }
}
