// The activations.
#include "activation.h"

// 1 / (1 + 2^t) with t = -x / ln 2 = whole + fraction. 2^fraction, |fraction| <= 1/2, is a
// polynomial of degree 6 (Taylor of e^(f ln 2), relative error below 2^-24); 2^whole goes into the
// exponent's bits. |x| is limited to 80, where the result is 0 or 1 to float precision.
static __attribute__((noinline)) f32x4 sigmoid(f32x4 x) {
    x = max_f32(min_f32(x, splat_f32(80.0f)), splat_f32(-80.0f));
    f32x4 t = x * splat_f32(-1.44269504f);
    i32x4 whole = round_f32(t);
    f32x4 f = t - float_of(whole);
    f32x4 p = f * splat_f32(1.5403530e-4f) + splat_f32(1.3333558e-3f);
    p = p * f + splat_f32(9.6181291e-3f);
    p = p * f + splat_f32(5.5504109e-2f);
    p = p * f + splat_f32(2.4022651e-1f);
    p = p * f + splat_f32(6.9314718e-1f);
    p = p * f + splat_f32(1.0f);
    f32x4 power = p * (f32x4)((whole + splat_i32(127)) << 23);
    return splat_f32(1.0f) / (splat_f32(1.0f) + power);
}

f32x4 activate_with(f32x4 x, uint32_t activation, float p, float q) {
    f32x4 zero = splat_f32(0.0f), one = splat_f32(1.0f);
    switch (activation) {
    case ACT_NONE: return x;
    case ACT_RELU: return max_f32(x, zero);
    case ACT_RELU6: return max_f32(min_f32(x, splat_f32(6.0f)), zero);
    case ACT_HARD_SWISH: return x * activate_with(x, ACT_HARD_SIGMOID, 1.0f / 6.0f, 0.5f);
    case ACT_SIGMOID: return sigmoid(x);
    case ACT_CLIP: return min_f32(max_f32(x, splat_f32(p)), splat_f32(q));
    case ACT_LEAKY_RELU: return max_f32(x, zero) + min_f32(x, zero) * splat_f32(p);
    case ACT_HARD_SIGMOID:
        return max_f32(min_f32(x * splat_f32(p) + splat_f32(q), one), zero);
    case ACT_SQRT: return sqrt_f32(x);
    case ACT_TANH: return sigmoid(x + x) * splat_f32(2.0f) - one;
    default: __builtin_trap();
    }
}
