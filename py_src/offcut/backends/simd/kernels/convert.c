// Between float channels f32 [h][w] and u8 planes. A piece of work is a row of all channels.
#include "plane.h"

// float = u8 * scale + offset, parameters (scale, offset) of each channel
void dequantize(const args *a, int ith, int nth) {
    const convert_args *c = &a->op->convert;
    const uint32_t *in = table_of(a, c->in), *out = table_of(a, c->out);
    const float *parameters = (const float *)(a->memory + c->parameters);
    (void)ith;
    for (share s; next_share(a, nth, &s);)
        for (int y = s.begin; y < s.end; y++)
            for (uint32_t channel = 0; channel < c->channels; channel++) {
                const uint8_t *from = a->memory + in[channel] + y * (int64_t)c->pitch;
                float *to = (float *)(a->memory + out[channel]) + y * c->w;
                float scale = parameters[2 * channel], offset = parameters[2 * channel + 1];
                for (int x = 0; x < c->w; x++) to[x] = (float)from[x * CELL] * scale + offset;
            }
}

// u8 = round(float * steps + zero), saturated; parameters (steps, zero) of each channel. `out` is a
// table of bytes: the channel's place in cell (0,0) of its plane. Planes start every 16 channels.
void quantize(const args *a, int ith, int nth) {
    const convert_args *c = &a->op->convert;
    const uint32_t *in = table_of(a, c->in), *out = table_of(a, c->out);
    const float *parameters = (const float *)(a->memory + c->parameters);
    (void)ith;
    for (share s; next_share(a, nth, &s);)
        for (int y = s.begin; y < s.end; y++)
            for (uint32_t channel = 0; channel < c->channels; channel++) {
                const float *from = (const float *)(a->memory + in[channel]) + y * c->w;
                uint8_t *to = a->memory + out[channel];
                f32x4 steps = splat_f32(parameters[2 * channel]);
                f32x4 zero = splat_f32(parameters[2 * channel + 1]);
                if (channel % CELL == 0)
                    fill_border(to, c->pitch, y, c->h, c->w, (uint8_t)zero[0]);
                to += y * (int64_t)c->pitch;
                for (int x = 0; x < c->w; x++) {
                    f32x4 v = splat_f32(from[x]) * steps + zero;
                    v = max_f32(min_f32(v, splat_f32(255.0f)), splat_f32(0.0f));
                    to[x * CELL] = (uint8_t)round_f32(v)[0];
                }
            }
}
