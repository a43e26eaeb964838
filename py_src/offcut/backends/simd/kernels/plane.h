// Borders of u8 planes (drawn in program.h), and tables.
#pragma once
#include "program.h"
#include "vector.h"

INLINE int round_up_4(int size) { return (size + 3) & ~3; }

// Fill the border beside row y of a plane with `zero`; `cell` is the plane's cell (0,0). The first
// and the last row also fill the border rows above and below.
void fill_border(uint8_t *cell, uint32_t pitch, int y, int h, int w, uint8_t zero);

// The zero point of a plane stands in its border.
INLINE const uint8_t *border_cell(const uint8_t *cell, uint32_t pitch) {
    return cell - pitch - CELL;
}

INLINE const uint32_t *table_of(const args *a, uint32_t offset) {
    return (const uint32_t *)(a->memory + offset);
}
