// The micro-kernel: GROUP columns times 8 outputs, the sums in registers. (Of the browser's 15
// vector registers 10 hold sums, 2 weights and 1 an input.)
//
// One step multiplies a pair of inputs of one column, splat over a vector, with a pair of weights
// of each output, and adds: dot + add. A pair's two products fit 32 bits, since weights are never
// -32768.
#include "gemm.h"

// This empty statement pins the order of the instructions: without it LLVM reassociates the
// additions of a step, or computes all its products first, and runs out of registers.
#if defined(__wasm__)
#define KEEP(v) __asm__ volatile("" : "+r"(v))
#elif defined(__x86_64__)
#define KEEP(v) __asm__ volatile("" : "+x"(v))
#elif defined(__aarch64__)
#define KEEP(v) __asm__ volatile("" : "+w"(v))
#else
#define KEEP(v)
#endif

// This one makes LLVM address all columns from one pointer, with constant offsets.
#if defined(__wasm__)
#define KEEP_POINTERS(a, w) __asm__ volatile("" : "+r"(a), "+r"(w))
#else
#define KEEP_POINTERS(a, w)
#endif

#if defined(__AVX2__)
typedef VECTOR(int32_t, 32) sums8;
typedef VECTOR(int16_t, 32) weights8;

INLINE weights8 load_weights(const int16_t *w) {
    return (weights8)_mm256_loadu_si256((const __m256i *)w);
}
INLINE void add_products(sums8 *sums, weights8 w, const int16_t *pair) {
    int32_t both;
    __builtin_memcpy(&both, pair, 4);
    __m256i x = _mm256_set1_epi32(both);
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
    *sums = (sums8)_mm256_dpwssd_epi32((__m256i)*sums, (__m256i)w, x);
#elif defined(__AVXVNNI__)
    *sums = (sums8)_mm256_dpwssd_avx_epi32((__m256i)*sums, (__m256i)w, x);
#else
    *sums += (sums8)_mm256_madd_epi16((__m256i)w, x);
#endif
    KEEP(*sums);
}
INLINE void store_sums(int32_t *to, sums8 sums) { __builtin_memcpy(to, &sums, sizeof sums); }

#else
typedef struct {
    i32x4 low, high;
} sums8;
typedef struct {
    i16x8 low, high;
} weights8;

INLINE weights8 load_weights(const int16_t *w) {
    return (weights8){load_i16x8(w), load_i16x8(w + 8)};
}
INLINE void add_products(sums8 *sums, weights8 w, const int16_t *pair) {
    int32_t both;
    __builtin_memcpy(&both, pair, 4);
    i16x8 x = (i16x8)splat_i32(both);
    sums->low += dot(w.low, x);
    sums->high += dot(w.high, x);
    KEEP(sums->low);
    KEEP(sums->high);
}
INLINE void store_sums(int32_t *to, sums8 sums) {
    store_i32x4(to, sums.low);
    store_i32x4(to + 4, sums.high);
}
#endif

// One step: a pair of inputs of each column.
INLINE void multiply_pair(const int16_t *a, const int16_t *w, const int n, sums8 *sums) {
    weights8 pairs = load_weights(w);
    UNROLL for (int i = 0; i < n; i++) add_products(&sums[i], pairs, a + i * 8);
}

// A block of 8 inputs.
INLINE void multiply_block(const int16_t *a, const int16_t *w, const int n, sums8 *sums) {
    UNROLL for (int i = 0; i < 4; i++) multiply_pair(a + i * 2, w + i * 16, n, sums);
}

// The first pair stands by itself, since it has no sums to add to.
INLINE void multiply_columns(const int16_t *a, const int16_t *w, int blocks, int pairs,
                             const int width, int32_t *out) {
    sums8 sums[GROUP] = {0};
    multiply_pair(a, w, width, sums);
    for (int pair = 1; pair < pairs; pair++) {
        KEEP_POINTERS(a, w);
        multiply_pair(a + pair * 2, w + pair * 16, width, sums);
    }
    for (int block = 1; block < blocks; block++) {
        a += width * 8;
        w += 64;
        KEEP_POINTERS(a, w);
        multiply_block(a, w, width, sums);
    }
    UNROLL for (int i = 0; i < width; i++) store_sums(out + i * 8, sums[i]);
}

void multiply(const int16_t *a, int step, const int16_t *w, int blocks, int pairs, int width,
              int32_t *out, int repeat) {
    for (int i = 0; i < repeat; i++, a += step, w += blocks * 64, out += GROUP * 8)
        if (width == GROUP)
            multiply_columns(a, w, blocks, pairs, GROUP, out);
        else
            multiply_columns(a, w, blocks, pairs, SOME, out);
}
