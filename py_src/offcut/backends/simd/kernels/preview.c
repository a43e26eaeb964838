// Means of blocks of pixels, weighted by alpha. imaging/preview.py defines the result.
//
// Integers below 2^24 are exact as floats, and so are the sums of blocks of up to 64 pixels: 64 * 255
// * 255. A quotient that is no integer is at least 1 / (64 * 255) away from one, farther than the
// rounding of a division up to 256 reaches: so the division of floats is cut off where that of
// integers is.
#include "program.h"
#include "vector.h"

// in: u8 [units * block][width][4]. out: u8 [units][width / block][4].
void shrink_blocks(args *a) {
    const blocks_args *b = &a->op->blocks;
    uint32_t block = b->block, width = b->width, wide = width / block, count = block * block;
    require(block > 0 && count <= 64);
    for (int y; (y = next_piece(a)) >= 0;) {
        const uint8_t *row = a->memory + b->in + (uint64_t)y * block * width * 4;
        uint8_t *out = a->memory + b->out + (uint64_t)y * wide * 4;
        for (uint32_t x = 0; x < wide; x++, row += 4 * block, out += 4) {
            f32x4 sum = {0};  // red, green and blue times alpha; alpha
            const uint8_t *pixel = row;
            for (uint32_t j = 0; j < block; j++, pixel += 4 * (width - block))
                for (uint32_t i = 0; i < block; i++, pixel += 4) {
                    if (!pixel[3]) continue;
                    f32x4 colour = float_of_u8x4(load_u8x4(pixel));
                    f32x4 weight = __builtin_shufflevector(colour, splat_f32(1), 3, 3, 3, 4);
                    sum += colour * weight;
                }
            uint32_t alpha = (uint32_t)sum[3], weight = alpha ? alpha : 1;
            f32x4 divisor = splat_f32((float)weight), half = splat_f32((float)(alpha / 2));
            divisor[3] = (float)count;
            half[3] = (float)(count / 2);
            f32x4 mean = (sum + half) / divisor;
            for (int c = 0; c < 4; c++) out[c] = (uint8_t)mean[c];
        }
    }
}
