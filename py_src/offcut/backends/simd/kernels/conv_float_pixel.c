// A 1x1 kernel on a single pixel: a vector times a matrix.
//
//   weights  f32 [tiles of 32 outputs][channels_in][32]
//   bias     f32 [tiles * 32]
//
// A piece of work is a tile; scratch holds the inputs.
#include "float.h"

enum { MANY = 32 };  // outputs of a tile

void conv_float_pixel(args *a) {
    const float_conv_args *c = &a->op->float_conv;
    int depth = (int)c->channels_in, outputs = (int)c->channels_out;
    const float *bias = (const float *)(a->memory + c->bias);  // [tiles * 32]
    float *x = (float *)a->scratch, sums[MANY];
    require(!c->residual && !c->row_runs);
    for (int k = 0; k < depth; k++) x[k] = *channel_of(a, c->in, k);
    for (int tile; (tile = next_piece(a)) >= 0;) {
        const float *w = (const float *)(a->memory + c->weights) + (int64_t)tile * depth * MANY;
        f32x4 v[MANY / 4] = {0};
        for (int k = 0; k < depth; k++, w += MANY) {
            f32x4 input = splat_f32(x[k]);
            UNROLL for (int i = 0; i < MANY / 4; i++) v[i] += input * load_f32x4(w + 4 * i);
        }
        UNROLL for (int i = 0; i < MANY / 4; i++) store_f32x4(sums + 4 * i, v[i]);
        for (int i = 0; i < MANY; i += 4)
            store_f32x4(sums + i, activate(load_f32x4(sums + i) + load_f32x4(bias + tile * MANY + i),
                                           c->activation));
        for (int o = 0; o < MANY && tile * MANY + o < outputs; o++)
            *channel_of(a, c->out, tile * MANY + o) = sums[o];
    }
}
