// What the kernels on float channels have in common at the ends: of their rows, and of their sums.
#include "float.h"

void store_few(float *to, f32x4 v, int n) {
    float floats[4];
    store_f32x4(floats, v);
    for (int i = 0; i < n; i++) to[i] = floats[i];
}

f32x4 load_few(const float *from, int n) {
    float floats[4] = {0};
    for (int i = 0; i < n; i++) floats[i] = from[i];
    return load_f32x4(floats);
}

// Where pixels `at` and those after it have biases of their own, add them.
static void add_biases(const args *a, const float_conv_args *c, int channel, int at, int n,
                       float *sums) {
    const uint32_t *rows = table_of(a, c->row_runs), *columns = table_of(a, c->column_runs);
    const float *biases = (const float *)(a->memory + c->bias) + channel;
    for (int i = 0; i < n; i++) {
        uint32_t run = rows[(at + i) / c->w_out] * c->runs + columns[(at + i) % c->w_out];
        sums[i] += biases[run * c->groups * c->channels_out];
    }
}

void finish_floats(const args *a, const float_conv_args *c, int channel, int at, int n,
                   float *sums) {
    float *to = channel_of(a, c->out, channel) + at;
    const float *residual = c->residual ? channel_of(a, c->residual, channel) + at : 0;
    f32x4 bias = splat_f32(c->row_runs ? 0.0f : ((const float *)(a->memory + c->bias))[channel]);
    int limited = c->activation == ACT_RELU || c->activation == ACT_RELU6;
    f32x4 least = splat_f32(limited ? 0.0f : -__builtin_inff());
    f32x4 most = splat_f32(c->activation == ACT_RELU6 ? 6.0f : __builtin_inff());
    if (c->row_runs) add_biases(a, c, channel, at, n, sums);
    for (int i = 0; i < n; i += 4) {
        f32x4 v = max_f32(least, min_f32(most, load_f32x4(sums + i) + bias));
        if (c->activation > ACT_RELU6) v = activate_with(v, c->activation, 0.0f, 0.0f);
        if (residual) v = activate(v + load_some(residual + i, n - i), c->activation_last);
        store_some(to + i, v, n - i);
    }
}
