// Activations on four floats, with additions, multiplications and comparisons only, so that every
// target gives the same bits.
#pragma once
#include "vector.h"

enum { ACT_NONE, ACT_RELU, ACT_RELU6, ACT_HARD_SWISH, ACT_SIGMOID };
enum { ACT_CLIP = 5, ACT_LEAKY_RELU, ACT_HARD_SIGMOID, ACT_SQRT, ACT_TANH };  // elementwise.c only

// p and q: an activation's parameters, of those of elementwise.c.
f32x4 activate_with(f32x4 x, uint32_t activation, float p, float q);

INLINE f32x4 activate(f32x4 x, uint32_t activation) {
    return activation == ACT_NONE ? x : activate_with(x, activation, 0.0f, 0.0f);
}
