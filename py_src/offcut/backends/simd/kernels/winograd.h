// The transforms of Winograd's F(4x4, 3x3): 4 x 4 outputs from 6 x 6 inputs with 36 products, where
// the direct way takes 144. Lavin and Gray, "Fast algorithms for convolutional neural networks",
// 2015: Y = A^T [ (G g G^T) . (B^T d B) ] A, products elementwise, summed over input channels.
//
//          4  0 -5  0  1  0             1/4     0     0
//          0 -4 -4  1  1  0            -1/6  -1/6  -1/6            1  1  1  1  1  0
//   B^T =  0  4 -4 -1  1  0       G =  -1/6   1/6  -1/6     A^T =  0  1 -1  2 -2  0
//          0 -2 -1  2  1  0            1/24  1/12   1/6            0  1  1  4  4  0
//          0  2 -1 -2  1  0            1/24 -1/12   1/6            0  1 -1  8 -8  4
//          0  4  0 -5  0  1               0     0   1/4
//
// The last row of G is a quarter of what it is there, and the last column of A^T four times as
// much, so that products are of a size and one scale suits all of a channel's weights.
#pragma once
#include "vector.h"

enum { TAPS = 36 };

// Fixed point of plain results: sums lose FINE_BITS and then have 16 bits; a residual is added in
// parts of a step, 2^-PART_BITS, and comes in 2^-OTHER_BITS of its own steps, to which unbent ones
// leave room: 393 << 6 < 2^15. fixed_point.py has the same.
enum { FINE_BITS = 13, PART_BITS = 3, OTHER_BITS = 6 };

// B^T on six vectors, results `stride` vectors apart. In the first pass inputs are 0..393; a row's
// coefficients of one sign add up to at most 8, so its results are within 8 * 393 = 3144. In the
// second pass the sum of absolute coefficients is at most 10, so all values, also between the
// steps, are within 10 * 3144 = 31440: 16 bits hold them. An image (quantize_finely) is within 327
// of both signs: 10 * 10 * 327 = 32700.
INLINE void transform_6(i16x8 d0, i16x8 d1, i16x8 d2, i16x8 d3, i16x8 d4, i16x8 d5, i16x8 *out,
                        int stride) {
    i16x8 d42 = d4 - d2, d31 = d3 - d1;
    i16x8 even = d4 - (d2 << 2), odd = d3 - (d1 << 2), twice = d31 + d31;
    out[0] = ((d0 - d2) << 2) + d42;
    out[stride] = even + odd;
    out[2 * stride] = even - odd;
    out[3 * stride] = d42 + twice;
    out[4 * stride] = d42 - twice;
    out[5 * stride] = (d5 - d3) - (d31 << 2);
}

// The largest |value| of row `row` of B^T d per unit of input, for inputs of one sign: the sum of
// the row's positive coefficients, or of its negative ones. Of tap (i, j) of B^T d B it is at most
// p_i p_j + n_i n_j or p_i n_j + n_i p_j, where p and n are these sums of rows i and j: 68 for tap
// (1, 1), 50 for others.
INLINE int row_limit(int row) { return row == 1 ? 8 : row == 3 || row == 4 ? 3 : 5; }

// A^T on six vectors: additions and multiplications in this order on every target.
#define DEFINE_COLLECT(type)                                                                       \
    INLINE void collect_##type(const type m[6], type out[4]) {                                     \
        type sum_12 = m[1] + m[2], difference_12 = m[1] - m[2];                                    \
        type sum_34 = m[3] + m[4], difference_34 = m[3] - m[4];                                    \
        out[0] = m[0] + sum_12 + sum_34;                                                           \
        out[1] = difference_12 + difference_34 * 2;                                                \
        out[2] = sum_12 + sum_34 * 4;                                                              \
        out[3] = difference_12 + (difference_34 * 2 + m[5]) * 4;                                   \
    }

// G on three floats, results `stride` apart.
INLINE void transform_3(float g0, float g1, float g2, float *out, int stride) {
    float outer = g0 + g2, slope = g0 * (1.0f / 24.0f) + g2 * (1.0f / 6.0f);
    out[0] = g0 * 0.25f;
    out[stride] = (outer + g1) * (-1.0f / 6.0f);
    out[2 * stride] = (outer - g1) * (-1.0f / 6.0f);
    out[3 * stride] = slope + g1 * (1.0f / 12.0f);
    out[4 * stride] = slope - g1 * (1.0f / 12.0f);
    out[5 * stride] = g2 * 0.25f;
}
