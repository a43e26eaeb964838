// The matrix product under Winograd and direct convolutions.
#pragma once
#include "vector.h"

// Columns (tiles or pixels) taken at a time.
#if defined(__AVX2__)
enum { GROUP = 10 };
#else
enum { GROUP = 5 };
#endif

// Products take SOME or GROUP columns: fewer are computed as if there were so many, with whatever
// lies there, and nobody reads the result.
enum { SOME = 5 };
INLINE int width_for(int n) { return n <= SOME ? SOME : GROUP; }

// `repeat` products of `width` columns with 8 outputs each:
//
//   a    i16 [blocks][width][8]  for each block of 8 inputs, the columns; the next one `step` on
//   w    i16 [blocks][4][8][2]   for each pair of inputs, 8 outputs; the next one follows
//   pairs                        of the first block that are multiplied, 1 to 4: not those without
//                                channels
//   out  i32 [width][8]          sums over all inputs of a * w; the next one GROUP * 8 on
//
// Sums that leave 32 bits wrap around: the caller proves that its results do not depend on it.
void multiply(const int16_t *a, int step, const int16_t *w, int blocks, int pairs, int width,
              int32_t *out, int repeat);

// How many of `left` columns to take next, so that the last groups are not much smaller than the
// others: the number of groups is least, and they differ by at most one.
INLINE int next_group(int left) {
    int groups = (left + GROUP - 1) / GROUP;
    return (left + groups - 1) / groups;
}
