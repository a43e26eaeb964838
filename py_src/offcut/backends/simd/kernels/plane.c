// Borders of u8 planes.
#include "plane.h"

// n cells from `to` on. (A memset of a varying size is a call that costs more than this.)
static void fill_cells(uint8_t *to, u8x16 value, int n) {
    for (int i = 0; i < n; i++) store_u8x16(to + i * CELL, value);
}

void fill_border(uint8_t *cell, uint32_t pitch, int y, int h, int w, uint8_t zero) {
    uint8_t *row = cell + (int64_t)y * pitch - CELL;
    u8x16 value = (u8x16){0} + zero;
    int across = (int)pitch / CELL;
    store_u8x16(row, value);
    fill_cells(row + (w + 1) * CELL, value, round_up_4(w) + 1 - w);
    if (y == 0) fill_cells(row - pitch, value, across);
    if (y == h - 1)
        for (int below = h; below <= round_up_4(h); below++)
            fill_cells(cell + (int64_t)below * pitch - CELL, value, across);
}
