// Vectors: the types, and the few operations for which C has no operator.
//
// Arithmetic is written with the compiler's vector extensions (a + b on whole vectors), which it
// turns into WebAssembly SIMD, SSE/AVX or NEON. What follows exists on every target with the same
// result, bit for bit: integers are exact, and floats are only converted, added and multiplied one
// rounding at a time (compile with -ffp-contract=off).
#pragma once
#include <stdint.h>

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>
#elif defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define VECTOR(type, bytes) type __attribute__((vector_size(bytes)))
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

typedef VECTOR(uint8_t, 4) u8x4;
typedef VECTOR(uint8_t, 8) u8x8;
typedef VECTOR(uint8_t, 16) u8x16;
typedef VECTOR(int16_t, 16) i16x8;
typedef VECTOR(int16_t, 8) i16x4;
typedef VECTOR(uint16_t, 16) u16x8;
typedef VECTOR(int32_t, 8) i32x2;
typedef VECTOR(int32_t, 16) i32x4;
typedef VECTOR(float, 16) f32x4;

// Loads and stores need no alignment.
#define DEFINE_MEMORY(type)                                                                        \
    INLINE type load_##type(const void *from) {                                                    \
        type value;                                                                                \
        __builtin_memcpy(&value, from, sizeof value);                                              \
        return value;                                                                              \
    }                                                                                              \
    INLINE void store_##type(void *to, type value) { __builtin_memcpy(to, &value, sizeof value); }
DEFINE_MEMORY(u8x4)
DEFINE_MEMORY(u8x8)
DEFINE_MEMORY(u8x16)
DEFINE_MEMORY(i16x8)
DEFINE_MEMORY(i32x4)
DEFINE_MEMORY(f32x4)

INLINE i16x8 widen_u8x8(u8x8 v) { return __builtin_convertvector(v, i16x8); }

// Four numbers, and four zeros.
INLINE i16x8 load_i16x4(const void *from) {
    int64_t four;
    __builtin_memcpy(&four, from, sizeof four);
    return (i16x8)(VECTOR(int64_t, 16)){four, 0};
}

INLINE i16x8 load_u8_as_i16(const uint8_t *from) { return widen_u8x8(load_u8x8(from)); }
INLINE f32x4 float_of(i32x4 v) { return __builtin_convertvector(v, f32x4); }
INLINE f32x4 float_of_u8x4(u8x4 v) { return __builtin_convertvector(v, f32x4); }
INLINE f32x4 splat_f32(float v) { return (f32x4){v, v, v, v}; }
INLINE i32x4 splat_i32(int32_t v) { return (i32x4){v, v, v, v}; }
INLINE i16x8 splat_i16(int16_t v) { return (i16x8){v, v, v, v, v, v, v, v}; }
INLINE i32x4 low_i32(i16x8 v) {
    return __builtin_convertvector(__builtin_shufflevector(v, v, 0, 1, 2, 3), i32x4);
}
INLINE i32x4 high_i32(i16x8 v) {
    return __builtin_convertvector(__builtin_shufflevector(v, v, 4, 5, 6, 7), i32x4);
}

// Products of pairs, added: [a0*b0 + a1*b1, a2*b2 + a3*b3, ...].
INLINE i32x4 dot(i16x8 a, i16x8 b) {
#if defined(__wasm_simd128__)
    return (i32x4)wasm_i32x4_dot_i16x8((v128_t)a, (v128_t)b);
#elif defined(__SSE2__)
    return (i32x4)_mm_madd_epi16((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
    int32x4_t low = vmull_s16(vget_low_s16((int16x8_t)a), vget_low_s16((int16x8_t)b));
    return (i32x4)vpaddq_s32(low, vmull_high_s16((int16x8_t)a, (int16x8_t)b));
#else
    i32x4 sum;
    for (int i = 0; i < 4; i++) sum[i] = a[2 * i] * b[2 * i] + a[2 * i + 1] * b[2 * i + 1];
    return sum;
#endif
}

// Two vectors to one of half the width, values outside its range saturated.
INLINE i16x8 narrow_i32(i32x4 low, i32x4 high) {
#if defined(__wasm_simd128__)
    return (i16x8)wasm_i16x8_narrow_i32x4((v128_t)low, (v128_t)high);
#elif defined(__SSE2__)
    return (i16x8)_mm_packs_epi32((__m128i)low, (__m128i)high);
#elif defined(__aarch64__)
    return (i16x8)vqmovn_high_s32(vqmovn_s32((int32x4_t)low), (int32x4_t)high);
#else
    i16x8 narrow;
    for (int i = 0; i < 8; i++) {
        int32_t v = i < 4 ? low[i] : high[i - 4];
        narrow[i] = (int16_t)(v < -32768 ? -32768 : v > 32767 ? 32767 : v);
    }
    return narrow;
#endif
}

INLINE u8x16 narrow_i16(i16x8 low, i16x8 high) {
#if defined(__wasm_simd128__)
    return (u8x16)wasm_u8x16_narrow_i16x8((v128_t)low, (v128_t)high);
#elif defined(__SSE2__)
    return (u8x16)_mm_packus_epi16((__m128i)low, (__m128i)high);
#elif defined(__aarch64__)
    return (u8x16)vqmovun_high_s16(vqmovun_s16((int16x8_t)low), (int16x8_t)high);
#else
    u8x16 narrow;
    for (int i = 0; i < 16; i++) {
        int16_t v = i < 8 ? low[i] : high[i - 8];
        narrow[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
    return narrow;
#endif
}

// a - b of u16, but not less than 0.
INLINE i16x8 beyond_u16(i16x8 a, i16x8 b) {
#if defined(__wasm_simd128__)
    return (i16x8)wasm_u16x8_sub_sat((v128_t)a, (v128_t)b);
#elif defined(__SSE2__)
    return (i16x8)_mm_subs_epu16((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
    return (i16x8)vqsubq_u16((uint16x8_t)a, (uint16x8_t)b);
#else
    return (i16x8)((u16x8)a - (u16x8)b) & (i16x8)((u16x8)a > (u16x8)b);
#endif
}

// a * b / 2^15, rounded to the nearest; never both are -32768.
INLINE i16x8 fraction_i16(i16x8 a, i16x8 b) {
#if defined(__wasm_simd128__)
    return (i16x8)wasm_i16x8_q15mulr_sat((v128_t)a, (v128_t)b);
#elif defined(__SSSE3__)
    return (i16x8)_mm_mulhrs_epi16((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
    return (i16x8)vqrdmulhq_s16((int16x8_t)a, (int16x8_t)b);
#else
    i16x8 product;
    for (int i = 0; i < 8; i++) product[i] = (int16_t)((a[i] * b[i] + 16384) >> 15);
    return product;
#endif
}
// a + b, values outside the range saturated.
INLINE i16x8 add_saturated(i16x8 a, i16x8 b) {
#if defined(__wasm_simd128__)
    return (i16x8)wasm_i16x8_add_sat((v128_t)a, (v128_t)b);
#elif defined(__SSE2__)
    return (i16x8)_mm_adds_epi16((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
    return (i16x8)vqaddq_s16((int16x8_t)a, (int16x8_t)b);
#else
    return narrow_i32(low_i32(a) + low_i32(b), high_i32(a) + high_i32(b));
#endif
}
INLINE i16x8 max_i16(i16x8 a, i16x8 b) {
#if defined(__clang__)
    return __builtin_elementwise_max(a, b);
#else
    i16x8 larger = a > b;
    return (a & larger) | (b & ~larger);
#endif
}
INLINE i16x8 min_i16(i16x8 a, i16x8 b) {
#if defined(__clang__)
    return __builtin_elementwise_min(a, b);
#else
    i16x8 less = a < b;
    return (a & less) | (b & ~less);
#endif
}

INLINE u8x8 low_u8(u8x16 v) { return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7); }
INLINE u8x8 high_u8(u8x16 v) { return __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15); }
INLINE void store_halves(uint8_t *low, uint8_t *high, u8x16 v) {
#if defined(__wasm_simd128__)
    wasm_v128_store64_lane(low, (v128_t)v, 0);
    wasm_v128_store64_lane(high, (v128_t)v, 1);
#else
    store_u8x8(low, low_u8(v));
    store_u8x8(high, high_u8(v));
#endif
}
INLINE u8x16 max_u8(u8x16 a, u8x16 b) {
#if defined(__clang__)
    return __builtin_elementwise_max(a, b);
#else
    u8x16 larger = (u8x16)(a > b);
    return (a & larger) | (b & ~larger);
#endif
}
INLINE u8x16 min_u8(u8x16 a, u8x16 b) {
#if defined(__clang__)
    return __builtin_elementwise_min(a, b);
#else
    u8x16 larger = (u8x16)(a > b);
    return (b & larger) | (a & ~larger);
#endif
}

// The bytes of two vectors alternating: those of the first halves, and of the last.
INLINE u8x16 first_pairs(u8x16 a, u8x16 b) {
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
INLINE u8x16 last_pairs(u8x16 a, u8x16 b) {
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                   31);
}

// Four times four floats: rows become columns.
INLINE void transpose(f32x4 v[4]) {
    f32x4 a = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5);
    f32x4 b = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5);
    f32x4 c = __builtin_shufflevector(v[0], v[1], 2, 6, 3, 7);
    f32x4 d = __builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);
    v[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
    v[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
    v[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
    v[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

// a < b ? a : b and the like: what a NaN gives is then the same everywhere.
INLINE f32x4 min_f32(f32x4 a, f32x4 b) {
#if defined(__wasm_simd128__)
    return (f32x4)wasm_f32x4_pmin((v128_t)b, (v128_t)a);
#elif defined(__SSE2__)
    return (f32x4)_mm_min_ps((__m128)a, (__m128)b);
#else
    return (f32x4)(((i32x4)a & (a < b)) | ((i32x4)b & ~(a < b)));
#endif
}
INLINE f32x4 max_f32(f32x4 a, f32x4 b) {
#if defined(__wasm_simd128__)
    return (f32x4)wasm_f32x4_pmax((v128_t)b, (v128_t)a);
#elif defined(__SSE2__)
    return (f32x4)_mm_max_ps((__m128)a, (__m128)b);
#else
    return (f32x4)(((i32x4)a & (a > b)) | ((i32x4)b & ~(a > b)));
#endif
}

INLINE f32x4 sqrt_f32(f32x4 x) {
    return (f32x4){__builtin_sqrtf(x[0]), __builtin_sqrtf(x[1]), __builtin_sqrtf(x[2]),
                   __builtin_sqrtf(x[3])};
}

// The nearest integer, halves to even, for |x| < 2^22: adding 1.5 * 2^23 leaves no bits for a
// fraction, and the sum's low mantissa bits are the integer.
INLINE i32x4 round_f32(f32x4 x) {
    return (i32x4)(x + splat_f32(12582912.0f)) - splat_i32(0x4B400000);
}
