// The guided filter: alpha as a linear function of a photo's colours, found at the size of the
// network's map and applied at the photo's. imaging/guided.py and refine.py define the results; sums
// and products come in the same order here, so that numpy gives the same bits.
#include "program.h"
#include "vector.h"

enum { PIECE = 1024 };  // samples of a plane
enum { RED, GREEN, BLUE, ALPHA, JOINT, PAIRS = 7 };  // planes: colours, alpha, products; see below

// The pairs of colours whose products follow: 00 11 22 01 02 12.
static const uint8_t FIRST[6] = {0, 1, 2, 0, 0, 1}, SECOND[6] = {0, 1, 2, 1, 2, 2};

// in: f32 [13][size], of which the first four are colours and alpha. The others are made: each
// colour times alpha, and the six products of two colours.
void multiply_pairs(args *a) {
    const guide_args *g = &a->op->guide;
    float *planes = (float *)(a->memory + g->in);
    uint32_t size = g->size;
    require(size >= 4);
    for (int piece; (piece = next_piece(a)) >= 0;) {
        uint32_t at = (uint32_t)piece * PIECE, end = at + PIECE < size ? at + PIECE : size;
        for (; at < end; at += 4) {
            uint32_t i = at + 4 <= size ? at : size - 4;  // the last four, some of them again
            f32x4 v[4];
            UNROLL for (int k = 0; k < 4; k++) v[k] = load_f32x4(planes + (uint64_t)k * size + i);
            UNROLL for (int k = 0; k < 3; k++)
                store_f32x4(planes + (uint64_t)(JOINT + k) * size + i, v[k] * v[ALPHA]);
            UNROLL for (int k = 0; k < 6; k++)
                store_f32x4(planes + (uint64_t)(PAIRS + k) * size + i, v[FIRST[k]] * v[SECOND[k]]);
        }
    }
}

// in: f32 [13][size], the means of the above. out: f32 [4][size], alpha as a linear function of the
// colours by least squares: three factors and an offset. The 3x3 system is solved by cofactors.
void fit_lines(args *a) {
    const guide_args *g = &a->op->guide;
    const float *means = (const float *)(a->memory + g->in);
    float *out = (float *)(a->memory + g->out);
    uint32_t size = g->size;
    require(size >= 4);
    for (int piece; (piece = next_piece(a)) >= 0;) {
        uint32_t at = (uint32_t)piece * PIECE, end = at + PIECE < size ? at + PIECE : size;
        for (; at < end; at += 4) {
            uint32_t i = at + 4 <= size ? at : size - 4;
            f32x4 m[PAIRS], joint[3], v[6];
            UNROLL for (int k = 0; k < PAIRS; k++) m[k] = load_f32x4(means + (uint64_t)k * size + i);
            UNROLL for (int k = 0; k < 3; k++) joint[k] = m[JOINT + k] - m[k] * m[ALPHA];
            UNROLL for (int k = 0; k < 6; k++)
                v[k] = load_f32x4(means + (uint64_t)(PAIRS + k) * size + i) -
                       m[FIRST[k]] * m[SECOND[k]] + splat_f32(k < 3 ? g->epsilon : 0);
            f32x4 r = v[0], gr = v[1], b = v[2], rg = v[3], rb = v[4], gb = v[5];
            f32x4 inverse[6] = {  // of a symmetric matrix, times the determinant: 00 01 02 11 12 22
                gr * b - gb * gb, rb * gb - rg * b, rg * gb - rb * gr,
                r * b - rb * rb,  rg * rb - r * gb, r * gr - rg * rg,
            };
            static const uint8_t ROWS[3][3] = {{0, 1, 2}, {1, 3, 4}, {2, 4, 5}};
            f32x4 determinant = r * inverse[0] + rg * inverse[1] + rb * inverse[2];
            f32x4 offset = m[ALPHA];
            UNROLL for (int k = 0; k < 3; k++) {
                const uint8_t *row = ROWS[k];
                f32x4 factor = (inverse[row[0]] * joint[0] + inverse[row[1]] * joint[1] +
                                inverse[row[2]] * joint[2]) / determinant;
                store_f32x4(out + (uint64_t)k * size + i, factor);
                offset -= factor * m[k];
            }
            store_f32x4(out + (uint64_t)3 * size + i, offset);
        }
    }
}

// Enlarge lines bilinearly and apply them: out[y][x] = offset + factors . colours, from 0 to 1.
// in: f32 [4][high][wide]. pixels: u8 [units][width][4]. out: f32 [units][width]. rows and columns
// say where each row and column of the photo lies: u32 the cell before it, f32 how far beyond.
void apply_lines(args *a) {
    const lines_args *l = &a->op->lines;
    const float *in = (const float *)(a->memory + l->in);
    const uint32_t *rows = (const uint32_t *)(a->memory + l->rows);
    const uint32_t *columns = (const uint32_t *)(a->memory + l->columns);
    const float *row_parts = (const float *)(a->memory + l->row_parts);
    const float *column_parts = (const float *)(a->memory + l->column_parts);
    uint32_t wide = l->wide, width = l->width, plane = l->high * wide;
    f32x4 *cells = (f32x4 *)a->scratch;  // [wide + 1]: the lines of this row
    require(width >= 4);
    for (int y; (y = next_piece(a)) >= 0;) {
        require(rows[y] < l->high);
        const float *upper = in + rows[y] * wide;
        const float *lower = upper + (rows[y] + 1 < l->high ? wide : 0);
        for (uint32_t x = 0; x < wide; x++) {
            f32x4 up, down;
            UNROLL for (uint32_t c = 0; c < 4; c++)
                up[c] = upper[c * plane + x], down[c] = lower[c * plane + x];
            cells[x] = (down - up) * splat_f32(row_parts[y]) + up;
        }
        cells[wide] = cells[wide - 1];
        const uint8_t *pixels = a->memory + l->pixels + (uint64_t)y * width * 4;
        float *out = (float *)(a->memory + l->out) + (uint64_t)y * width;
        for (uint32_t x = 0; x < width; x += 4) {
            uint32_t from = x + 4 <= width ? x : width - 4;  // the last four, some of them again
            f32x4 term[4];
            UNROLL for (uint32_t k = 0; k < 4; k++) {
                uint32_t low = columns[from + k];
                require(low < wide);
                f32x4 left = cells[low];
                f32x4 line = (cells[low + 1] - left) * splat_f32(column_parts[from + k]) + left;
                f32x4 colour = float_of_u8x4(load_u8x4(pixels + 4 * (from + k)));
                colour[3] = 1;
                term[k] = line * colour;
            }
            transpose(term);
            f32x4 total = term[3] + term[RED] + term[GREEN] + term[BLUE];
            total = min_f32(max_f32(total, splat_f32(0)), splat_f32(1));
            store_f32x4(out + from, total);
        }
    }
}
