// Packing of a convolution's weights, once at load: input scales folded in, transformed for
// Winograd, rounded to 16 bits with a scale for each output channel that lets nothing overflow, and
// laid out for gemm.h. A piece of work is a block of 8 output channels.
//
// The scales. Real weights u become integers q = round(u * f), |q - u f| < 0.51, with the largest f
// for which |q| <= 32767 and results R fit 32 bits, where |v| <= limit for all inputs v:
//
//   direct:    R = sum_k q_k v_k, so |R| <= limit * (f * sum_k |u_k| + 0.51 K)
//   Winograd:  sums before R may wrap around: modulo 2^32 all of this is exact. Rounding adds at
//              most 0.51 to a tap's q.
//     floats:  R is what the first step of A^T m A makes of a row of taps. Without rounding, it
//              would be a convolution, by the row's three weights (G g), of rows of B^T d, which are
//              at most row_limit * limit. Inputs of a tap are at most 68 * limit, and a row of A^T
//              has absolute values of 22 in all. So, for each of the six rows,
//              |R| <= limit * (f * row_limit * sum_k (|G g|_0 + |G g|_1 + |G g|_2) + 763 K),
//              where 763 = 0.51 * 22 * 68
//     plain:   R is what the second step makes, with its bias. Without rounding, it would be the
//              convolution itself. Of tap (i, j) inputs are at most l_ij * limit, see row_limit,
//              and A^T has at most c_i = (1, 1, 1, 8, 8, 4) for row i of the taps. So
//              |R| <= limit * (f * sum_k |g_k| + 6300 K) + |bias|,
//              where 6300 > 0.51 * sum_ij c_i c_j l_ij
//
// A thousandth is left for the rounding of these floats.
//
// Plain results have f = F * steps for F units in a u8 step, at most `most_units`, so that what is
// left of all steps that count after FINE_BITS fits 16 bits; fractions, 2^15 * 2^FINE_BITS / F *
// parts, then make parts of a step of it. fixed_point.py proves that F >= parts * 2^FINE_BITS.
#include "program.h"
#include "vector.h"
#include "winograd.h"

INLINE float absolute(float v) { return v < 0 ? -v : v; }

INLINE float larger(float a, float b) { return a > b ? a : b; }

INLINE int16_t quantized(float u, float factor) {
    return (int16_t)round_f32(splat_f32(u * factor))[0];
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

// G g of a 3x3 kernel, f32 [9] --> [6][3].
static void transform_columns(const float *g, float columns[18]) {
    for (int x = 0; x < 3; x++) transform_3(g[x], g[x + 3], g[x + 6], columns + x, 3);
}

// G g G^T of a 3x3 kernel, f32 [9] --> [36].
static void transform_kernel(const float *g, float *u) {
    float columns[18];
    transform_columns(g, columns);
    for (int y = 0; y < 6; y++)
        transform_3(columns[y * 3], columns[y * 3 + 1], columns[y * 3 + 2], u + y * 6, 1);
}

// The sum of sizes times which f must stay within the bound.
static float reach_of(const pack_args *p, const float *g) {
    float rows[6] = {0}, sum = 0, reach = 0, columns[18];
    int sizes = p->winograd ? 9 : 1, n = (int)p->lanes_in;
    for (int i = 0; i < n * sizes; i++) sum += absolute(g[i]);
    if (!p->winograd || p->parts) return sum;
    for (int k = 0; k < n; k++) {
        transform_columns(g + k * 9, columns);
        for (int i = 0; i < 18; i++) rows[i / 3] += absolute(columns[i]);
    }
    for (int row = 0; row < 6; row++) reach = larger(reach, rows[row] * (float)row_limit(row));
    return reach;
}

// The bias of run `run` in u8 steps: (bias - sum w * zero * scale) * steps + zero.
static float bias_at(const args *a, const pack_args *p, int channel, uint32_t run,
                     float correction) {
    float bias = 0;
    if (p->bias && channel >= 0)
        bias = ((const float *)(a->memory + p->bias))[(uint32_t)channel * p->runs + run];
    return (bias + correction) * p->steps + p->zero;
}

// What plain results have: the bias with what rounds the shifts that follow, and the fraction.
static void pack_fixed(const args *a, const pack_args *p, int place, int channel,
                       float correction, double units) {
    int32_t *out = (int32_t *)(a->memory + p->bias_packed) + place;
    double half = 0.5 - 0.5 / p->parts;  // parts are rounded, and then rounded down to steps
    for (uint32_t run = 0; run < p->runs; run++, out += p->bias_stride)
        *out = (int32_t)((bias_at(a, p, channel, run, correction) + half) * units) +
               (1 << (FINE_BITS - 1));
    double fraction = 32768.0 * (1 << FINE_BITS) * p->parts / units;
    ((int16_t *)(a->memory + p->scales))[place] =
        (int16_t)(fraction > 32767.0 ? 32767 : (int)(fraction + 0.5));
}

// One output channel. scratch: f32 [lanes_in][9], then [lanes_in][36] for Winograd.
static void pack_channel(const args *a, const pack_args *p, int block, int lane) {
    int n = (int)p->lanes_in, channel = output_of(a, p, block, lane), place = block * 8 + lane;
    int taps = p->winograd ? TAPS : 1;
    float *u = (float *)a->scratch, largest = 0, most = 0;
    float correction = read_weights(a, p, channel, p->winograd ? 9 : 1, u);
    for (int k = 0; p->winograd && k < n; k++)
        transform_kernel(u + k * 9, (float *)a->scratch + n * 9 + k * TAPS);
    for (uint32_t run = 0; p->parts && run < p->runs; run++)
        largest = larger(largest, absolute(bias_at(a, p, channel, run, correction)));
    float reach = reach_of(p, u);
    if (p->parts) reach += (largest + 1.0f) / (p->steps * (float)p->limit);
    if (p->winograd) u += n * 9;
    for (int k = 0; k < n * taps; k++) most = larger(most, absolute(u[k]));
    float rounding = !p->winograd ? 0.51f : p->parts ? 6300.0f : 763.0f;
    float room = 2147483647.0f / (float)p->limit - rounding * (float)n;
    require(room > 0 && most < 1e30f);
    float factor = 0.999f / larger(larger(reach / room, most / 32767.0f), 1e-25f);
    if (p->parts && factor > p->most_units * p->steps) factor = p->most_units * p->steps;
    int16_t *out = (int16_t *)(a->memory + p->weights) + (int64_t)block * taps * n * 8;
    for (int tap = 0; tap < taps; tap++, u++, out += n * 8)
        for (int k = 0; k < n; k++)
            out[lane * (int)p->lane_step + k / 2 * (int)p->pair_step + k % 2] =
                quantized(u[k * taps], factor);
    if (p->parts) {
        pack_fixed(a, p, place, channel, correction, (double)factor / p->steps);
        return;
    }
    ((float *)(a->memory + p->scales))[place] = p->steps / factor;  // folded in
    for (uint32_t run = 0; run < p->runs; run++)
        ((float *)(a->memory + p->bias_packed))[run * p->bias_stride + (uint32_t)place] =
            bias_at(a, p, channel, run, correction);
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
