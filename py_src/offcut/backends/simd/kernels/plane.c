// Borders of u8 planes.
#include "plane.h"

void fill_border(uint8_t *cell, uint32_t pitch, int y, int h, int w, uint8_t zero) {
    uint8_t *row = cell + (int64_t)y * pitch;
    int right = round_up_4(w) + 1 - w;
    __builtin_memset(row - CELL, zero, CELL);
    __builtin_memset(row + w * CELL, zero, (unsigned)(right * CELL));
    if (y == 0) __builtin_memset(cell - pitch - CELL, zero, pitch);
    if (y == h - 1)
        for (int below = h; below <= round_up_4(h); below++)
            __builtin_memset(cell + (int64_t)below * pitch - CELL, zero, pitch);
}
