// What the kernels on float channels f32 [h][w] share.
//
// Float additions happen in a fixed order, lane by lane, so every target and any number of threads
// give the same bits, whether eight floats are one register or two.
#pragma once
#include "activation.h"
#include "plane.h"

typedef VECTOR(float, 32) f32x8;

// Pixels that the float products take at a time: of the vector registers, 8 hold sums.
#if defined(__AVX2__)
enum { PIXELS = 16 };
#else
enum { PIXELS = 8 };
#endif
enum { TILE = 4 };  // output channels that they take at a time

INLINE f32x8 load_f32x8(const float *from) {
    f32x8 v;
    __builtin_memcpy(&v, from, sizeof v);
    return v;
}
INLINE void store_f32x8(float *to, f32x8 v) { __builtin_memcpy(to, &v, sizeof v); }
INLINE f32x8 splat_f32x8(float v) { return (f32x8){v, v, v, v, v, v, v, v}; }

INLINE float *channel_of(const args *a, uint32_t table, int channel) {
    return (float *)(a->memory + table_of(a, table)[channel]);
}

// The first n of four floats: all, or fewer at the end of a row.
void store_few(float *to, f32x4 v, int n);
f32x4 load_few(const float *from, int n);
INLINE void store_some(float *to, f32x4 v, int n) {
    if (n < 4)
        store_few(to, v, n);
    else
        store_f32x4(to, v);
}
INLINE f32x4 load_some(const float *from, int n) {
    return n < 4 ? load_few(from, n) : load_f32x4(from);
}

// Products of `groups` columns x f32 [depth][PIXELS] with 4 outputs w f32 [depth][4]; `step` floats
// lie between columns. sums f32 [4][groups * PIXELS]; each starts from 0 and goes up in depth.
void multiply_floats(const float *x, int step, const float *w, int depth, int groups, float *sums);

// The end of a float convolution, for n pixels of one channel from pixel `at` (counted along the
// rows) on: bias, activation, residual and its activation. Up to three sums more are read.
void finish_floats(const args *a, const float_conv_args *c, int channel, int at, int n,
                   float *sums);
