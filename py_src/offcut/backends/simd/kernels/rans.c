// Decoding of a model's entropy-coded symbols, once at load; rans.py describes the code and is its
// definition. One piece of work: every symbol needs the words that the symbols before it left.
#include "program.h"

enum { BITS = 12, TOTAL = 1 << BITS, SYMBOLS = 256 };
enum { LOWEST = 1 << 16 };  // of a state

typedef struct {
    uint16_t start[SYMBOLS];  // sums of the frequencies before a symbol
    uint8_t symbol[TOTAL];    // of each slot
} decoding;

// frequencies u16 [256], which add up to TOTAL.
static void read_table(decoding *d, const uint16_t *frequencies) {
    uint32_t at = 0;
    for (int s = 0; s < SYMBOLS; s++) {
        d->start[s] = (uint16_t)at;
        require(at + frequencies[s] <= TOTAL);
        for (uint32_t end = at + frequencies[s]; at < end; at++) d->symbol[at] = (uint8_t)s;
    }
    require(at == TOTAL);
}

// Writes the symbols, and to `words` how many words are left over, or -1 when they end too early.
// A state stays below 2^32: f * (state div 2^12) + slot - start < 2^12 * 2^20.
void decode_rans(args *a) {
    const rans_args *r = &a->op->rans;
    const uint32_t(*pieces)[2] = (const uint32_t(*)[2])(a->memory + r->pieces);
    const uint16_t(*tables)[SYMBOLS] = (const uint16_t(*)[SYMBOLS])(a->memory + r->tables);
    const uint16_t *word = (const uint16_t *)(a->memory + r->words), *end = word + r->words_in;
    uint32_t *states = (uint32_t *)(a->memory + r->states);
    uint8_t *out = a->memory + r->out;
    decoding *all = (decoding *)a->scratch;
    if (next_piece(a) < 0) return;
    for (uint32_t t = 0; t < r->tables_in; t++) read_table(all + t, tables[t]);
    uint32_t lane = 0;
    for (uint32_t p = 0; p < r->pieces_in; p++) {
        const decoding *d = all + pieces[p][1];
        const uint16_t *f = tables[pieces[p][1]];
        for (uint32_t left = pieces[p][0]; left > 0; left--) {
            uint32_t state = states[lane], slot = state % TOTAL;
            uint8_t s = d->symbol[slot];
            state = f[s] * (state >> BITS) + slot - d->start[s];
            if (state < LOWEST) {
                if (word == end) {
                    *(int32_t *)(a->memory + r->rest) = -1;
                    return;
                }
                state = state << 16 | *word++;
            }
            states[lane] = state;
            *out++ = s;
            if (++lane == r->lanes) lane = 0;
        }
    }
    *(int32_t *)(a->memory + r->rest) = (int32_t)(end - word);
}
