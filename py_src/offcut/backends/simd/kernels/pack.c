// Packing of a convolution's weights, once at load: input scales folded in, transformed for
// Winograd, rounded to 16 bits with scales that let no sum overflow, and laid out for gemm.h.
// A piece of work is a block of 8 output channels.
//
// The scales. A sum is S = sum_k q_k v_k with weights q rounded to integers and |v_k| <= limit.
// With real weights u_k and q_k = round(u_k * f), |q_k| <= |u_k| f + 1/2, so
//     |S| <= limit * (f * sum_k |u_k| + K / 2) <= 2^31 - 1
// holds for f = ((2^31 - 1) / limit - K / 2) / sum_k |u_k|. A thousandth is left for the rounding
// of these floats, f is also kept below 32767 / max |u_k|, and pack_channel traps if integers,
// added up exactly, break the bound all the same.
#include "program.h"
#include "vector.h"
#include "winograd.h"

INLINE float absolute(float v) { return v < 0 ? -v : v; }

// The factor f for n weights `stride` apart; 0 when all are zero.
static float choose_factor(const float *u, int n, int stride, float limit) {
    float sum = 0, most = 0;
    for (int k = 0; k < n; k++) {
        float size = absolute(u[k * stride]);
        sum += size;
        if (size > most) most = size;
    }
    if (most == 0) return 0;
    float room = 2147483647.0f / limit - 0.5f * (float)n;
    require(room > 0 && most < 1e30f);
    float by_sum = room * 0.999f / sum, by_size = 32767.0f * 0.999f / most;
    return by_sum < by_size ? by_sum : by_size;
}

INLINE int16_t quantized(float u, float factor) {
    return (int16_t)round_f32(splat_f32(u * factor))[0];
}

// Bias of all runs for 8 output channels: (bias - sum w * zero * scale) * steps + zero.
static void pack_bias(const args *a, const pack_args *p, int block, int lane, int channel,
                      float correction) {
    float *out = (float *)(a->memory + p->bias_packed) + block * 8 + lane;
    for (uint32_t run = 0; run < p->runs; run++, out += p->bias_stride) {
        float bias = 0;
        if (p->bias && channel >= 0)
            bias = ((const float *)(a->memory + p->bias))[(uint32_t)channel * p->runs + run];
        *out = (bias + correction) * p->steps + p->zero;
    }
}

// The channel's weights in the order of the lanes, u f32 [lanes_in][taps], each with its input's
// scale. Returns what inputs at their zero points add up to, which the bias takes away.
static float read_weights(const args *a, const pack_args *p, int channel, int taps, float *u) {
    const int32_t *lanes = (const int32_t *)(a->memory + p->lanes);
    const float *factors = (const float *)(a->memory + p->factors);
    const float *source = (const float *)(a->memory + p->source);
    double correction = 0;
    for (int lane = 0; lane < (int)p->lanes_in; lane++)
        for (int tap = 0; tap < taps; tap++) {
            float w = 0;
            if (channel >= 0 && lanes[lane] >= 0)
                w = source[channel * (int)p->row + lanes[lane] * taps + tap];
            *u++ = w * factors[2 * lane];
            correction += (double)w * (double)factors[2 * lane + 1];
        }
    return (float)correction;
}

INLINE int32_t output_of(const args *a, const pack_args *p, int block, int lane) {
    return ((const int32_t *)(a->memory + p->outputs))[block * 8 + lane];
}

// G g G^T of a 3x3 kernel, f32 [9] --> [36].
static void transform_kernel(const float *g, float *u) {
    float columns[18];  // [6][3]
    for (int x = 0; x < 3; x++) transform_3(g[x], g[x + 3], g[x + 6], columns + x, 3);
    for (int y = 0; y < 6; y++)
        transform_3(columns[y * 3], columns[y * 3 + 1], columns[y * 3 + 2], u + y * 6, 1);
}

// One output channel. scratch: f32 [lanes_in][9], then [lanes_in][36] for Winograd.
static void pack_channel(const args *a, const pack_args *p, int block, int lane) {
    int n = (int)p->lanes_in, channel = output_of(a, p, block, lane);
    int taps = p->winograd ? TAPS : 1;
    float *u = (float *)a->scratch;
    pack_bias(a, p, block, lane, channel, read_weights(a, p, channel, p->winograd ? 9 : 1, u));
    for (int k = 0; p->winograd && k < n; k++)
        transform_kernel(u + k * 9, (float *)a->scratch + n * 9 + k * TAPS);
    if (p->winograd) u += n * 9;
    int16_t *out = (int16_t *)(a->memory + p->weights) + (int64_t)block * taps * n * 8;
    float *scales = (float *)(a->memory + p->scales) + block * taps * 8 + lane;
    for (int tap = 0; tap < taps; tap++, u++, out += n * 8) {
        int limit = (p->winograd ? winograd_limit(tap) : 1) * (int)p->limit;
        float factor = choose_factor(u, n, taps, (float)limit);
        int64_t sizes = 0;
        for (int k = 0; k < n; k++) {
            int16_t q = quantized(u[k * taps], factor);
            sizes += q < 0 ? -q : q;
            out[lane * (int)p->lane_step + k / 2 * (int)p->pair_step + k % 2] = q;
        }
        require(sizes * limit < (int64_t)1 << 31);
        scales[tap * 8] = p->steps / (factor == 0 ? 1 : factor);  // steps are folded in
    }
}

// i16 [blocks_out][taps][lanes_in / 2][8][2], where taps is 36 for Winograd, otherwise 1; or, by
// other steps from an output channel and pair of inputs to the next, [blocks_out][8][lanes_in].
void pack_weights(args *a) {
    const pack_args *p = &a->op->pack;
    require(p->lanes_in % 8 == 0);
    for (int block; (block = next_piece(a)) >= 0;)
        for (int lane = 0; lane < 8; lane++) pack_channel(a, p, block, lane);
}

// Float weights for Winograd, f32 [36][tiles][channels_in][width] from [outputs][depth =
// channels_in * 9]. A piece of work is a tile.
void pack_float_winograd(args *a) {
    const float_pack_args *p = &a->op->float_pack;
    int channels = (int)p->depth / 9, width = (int)p->width;
    int tiles = ((int)p->outputs + width - 1) / width;
    const float *source = (const float *)(a->memory + p->source);
    for (int tile; (tile = next_piece(a)) >= 0;)
        for (int i = 0; i < channels * width; i++) {
            float u[TAPS] = {0}, *to = (float *)(a->memory + p->weights) + i;
            int channel = i / width, o = tile * width + i % width;
            if (o < (int)p->outputs)
                transform_kernel(source + ((int64_t)o * channels + channel) * 9, u);
            for (int tap = 0; tap < TAPS; tap++)
                to[((int64_t)tap * tiles + tile) * channels * width] = u[tap];
        }
}
