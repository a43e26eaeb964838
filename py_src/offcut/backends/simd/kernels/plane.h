// Borders of u8 planes (drawn in program.h), and tables.
#pragma once
#include "program.h"
#include "vector.h"

// Most values after a Relu are small beside the largest. So a plane may be bent: its u8 stand for
// 0..393 steps, with every step up to the knee and every third from there on:
//
//   steps = u8 + 2 * max(u8 - knee, 0)        0, 1, ..., 185, 186, 189, 192, ..., 393
//
// A plane that is not bent has its knee at 255. Larger u8 stand for larger values all the same, and
// 0 for 0. WIDE: not u8, but cells of i16 that quantize_finely has made.
enum { KNEE = 186, LINEAR = 255, WIDE = 256 };

INLINE i16x8 unbend(i16x8 v, int knee) {
    i16x8 over = beyond_u16(v, splat_i16((int16_t)knee));
    return v + over + over;
}

// Steps to u8, still to be saturated: the smaller of v and v / 3 + 124, rounded; they meet at 186.
INLINE i16x8 bend(i16x8 v) {
    return min_i16(v, fraction_i16(v, splat_i16(10923)) + splat_i16(124));
}

INLINE int at_most(int a, int b) { return a < b ? a : b; }
INLINE int at_least(int a, int b) { return a > b ? a : b; }
INLINE int round_up_4(int size) { return (size + 3) & ~3; }

// Fill with `zero` the border from the end of each of `rows` rows of a plane, from y on, to the begin
// of the next one; `cell` is the plane's cell (0,0). The first row also fills what is before it, the
// last what is after it.
void fill_border(uint8_t *cell, uint32_t pitch, int y, int rows, int h, int w, uint8_t zero);

// The zero point of a plane stands in its border.
INLINE const uint8_t *border_cell(const uint8_t *cell, uint32_t pitch) {
    return cell - pitch - CELL;
}

INLINE const uint32_t *table_of(const args *a, uint32_t offset) {
    return (const uint32_t *)(a->memory + offset);
}

// Pooling of 2 x 2 cells to one, without padding but for what the last ones lack.
INLINE int is_halving(const pool_args *p) {
    return p->kernel_h == 2 && p->kernel_w == 2 && p->stride_h == 2 && p->stride_w == 2 &&
           p->dilation_h == 1 && p->dilation_w == 1 && !p->pad_top && !p->pad_left &&
           2 * p->h_out <= p->h_in + 1 && 2 * p->w_out <= p->w_in + 1;
}
