// Activations on four floats, with additions, multiplications and comparisons only, so that every
// target gives the same bits.
#pragma once
#include "vector.h"

enum { ACT_NONE, ACT_RELU, ACT_RELU6, ACT_HARD_SWISH, ACT_SIGMOID };
enum { ACT_CLIP = 5, ACT_LEAKY_RELU, ACT_HARD_SIGMOID, ACT_SQRT, ACT_TANH };  // elementwise.c only

f32x4 activate_other(f32x4 x, uint32_t activation);

INLINE f32x4 activate(f32x4 x, uint32_t activation) {
    if (activation == ACT_NONE) return x;
    if (activation == ACT_RELU) return max_f32(x, splat_f32(0.0f));
    if (activation == ACT_RELU6) return max_f32(min_f32(x, splat_f32(6.0f)), splat_f32(0.0f));
    return activate_other(x, activation);
}
