// Pictures shrunk by whole blocks of pixels: sums, as imaging/resample.py defines them, and means that
// are weighted by alpha, as imaging/preview.py does.
//
// Of the means: integers below 2^24 are exact as floats, and so are the sums of blocks of up to 64 pixels: 64 * 255
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

// in: u8 [rows][width][4]. out: u16 [units][ceil(width / wide)][4], the sums of blocks of `high` rows
// and `wide` columns, of which the last may be cut. scratch: u16 [width][4], a row of sums. Blocks of
// up to 256 pixels fit into 16 bits, so that the four channels of a pixel can be one integer.
void sum_blocks(args *a) {
    const block_sums_args *b = &a->op->block_sums;
    uint32_t bytes = b->width * 4;
    uint16_t *sums = (uint16_t *)a->scratch;
    require(b->high > 0 && b->wide > 0 && b->high * b->wide <= 256);
    for (int y; (y = next_piece(a)) >= 0;) {
        uint32_t first = (uint32_t)y * b->high;
        uint32_t end = first + b->high < b->rows ? first + b->high : b->rows;
        for (uint32_t i = 0; i < bytes; i++) sums[i] = 0;
        for (uint32_t row = first; row < end; row++) {
            const uint8_t *in = a->memory + b->in + (uint64_t)row * bytes;
            uint32_t i = 0;
            for (; i + 8 <= bytes; i += 8)
                store_i16x8(sums + i, load_i16x8(sums + i) + load_u8_as_i16(in + i));
            for (; i < bytes; i++) sums[i] = (uint16_t)(sums[i] + in[i]);
        }
        uint32_t blocks = (b->width + b->wide - 1) / b->wide, x = 0;
        uint64_t *out = (uint64_t *)(a->memory + b->out) + (uint64_t)y * blocks;
        for (uint32_t block = 0; block < blocks; block++) {
            uint64_t total = 0;
            for (uint32_t k = 0; k < b->wide && x < b->width; k++) total += ((uint64_t *)sums)[x++];
            out[block] = total;
        }
    }
}
