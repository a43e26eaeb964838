// Borders of u8 planes.
#include "plane.h"

void fill_border(uint8_t *cell, uint32_t pitch, int y, int rows, int h, int w, uint8_t zero) {
    u8x16 value = (u8x16){0} + zero;
    uint8_t *from = cell + (int64_t)y * pitch + w * CELL;
    if (y == 0)
        for (uint8_t *to = cell - pitch - CELL; to < cell; to += CELL) store_u8x16(to, value);
    for (; rows > 0; rows--, y++, from += pitch) {
        uint8_t *end = from + (round_up_4(w) - w + 2) * CELL;
        if (y == h - 1) end = cell + (int64_t)(round_up_4(h) + 1) * pitch - CELL;
        for (uint8_t *to = from; to < end; to += CELL) store_u8x16(to, value);
    }
}
