// Deflate for PNG, the bits of zlib's Z_RLE: only a byte that repeats is a match, at distance 1.
// zlib is the definition: imaging/png.py. Blocks, codes and their choice are as in zlib.
//
// What is stored as it is, data without any order, is left to zlib: `written` is then REFUSED.
#include "huffman.h"
#include "program.h"

enum {
    MANY = 32767,  // symbols of a block
    LEAST = 3,      // length of a match
    MOST = 258,
    END = 256,      // the symbol that ends a block; those of lengths come after it
    LITERALS = 286,
    DISTANCES = 30,
    ALPHABET = 288, // of literals in fixed codes: with two that never come
    LENGTHS = 19,   // symbols in which the lengths of codes are written
    REPEAT = 16,    // the length before; 17 and 18: zeros
    FIXED = 1,      // kinds of blocks
    DYNAMIC = 2,
};
#define REFUSED 0xffffffffu

// Between calls: what is not yet written. Symbols: a literal, or 256 + the length of a match.
typedef struct {
    uint32_t begun;    // in[0] is the byte before the first
    uint32_t count;    // symbols of this block
    uint32_t stored;   // bytes that they stand for
    uint32_t used;     // bytes of `in`, a result
    uint32_t written;  // bytes of `out`, a result
    uint32_t held;     // bits that are no whole byte yet, below 32
    uint64_t bits;
    uint16_t symbols[MANY + 1];
} state;

typedef struct {
    huffman literals, distances, lengths;
    uint8_t length_code[MOST + 1];       // of the length of a match
    uint8_t base[LITERALS - END - 1];    // the least length of a code, LEAST less
    uint32_t words[END + MOST + 1];      // bits of a symbol | their number << 24
    uint16_t described[LITERALS + DISTANCES];  // symbols of LENGTHS | the number after it << 8
    uint32_t descriptions;
} work;
_Static_assert(sizeof(work) <= 24000, "workbench.py gives no more");

static const uint8_t EXTRA[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static const uint8_t ORDER[] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};

static void list_lengths(work *w) {
    uint32_t length = LEAST;
    for (uint32_t code = 0; code < sizeof EXTRA - 1; code++) {
        w->base[code] = (uint8_t)(length - LEAST);
        for (uint32_t k = 0; k < 1u << EXTRA[code] && length < MOST; k++)
            w->length_code[length++] = (uint8_t)code;
    }
    w->length_code[MOST] = sizeof EXTRA - 1;
    w->base[sizeof EXTRA - 1] = MOST - LEAST;
}

static void count_symbol(work *w, uint32_t symbol) {
    if (symbol < END) {
        w->literals.frequency[symbol]++;
    } else {
        w->literals.frequency[END + 1 + w->length_code[symbol - END]]++;
        w->distances.frequency[0]++;
    }
}

static void count_anew(work *w, const state *s) {
    for (int k = 0; k < LITERALS; k++) w->literals.frequency[k] = k == END;
    for (int k = 0; k < DISTANCES; k++) w->distances.frequency[k] = 0;
    for (uint32_t k = 0; k < s->count; k++) count_symbol(w, s->symbols[k]);
}

static uint8_t *put(state *s, uint8_t *out, uint64_t bits, uint32_t count) {
    s->bits |= bits << s->held;
    for (s->held += count; s->held >= 8; s->held -= 8, s->bits >>= 8) *out++ = (uint8_t)s->bits;
    return out;
}

// Writes which lengths codes have as symbols of LENGTHS: runs are shorter.
static void describe(work *w, const huffman *h) {
    for (uint32_t n = 0; n < h->used;) {
        uint32_t length = h->length[n], before = n ? h->length[n - 1] : ~0u, run = 1;
        uint32_t most = length == 0 ? 138 : length == before ? 6 : 7;
        while (run < most && n + run < h->used && h->length[n + run] == length) run++;
        n += run;
        uint32_t single = length == 0 || length == before ? 0 : 1;
        if (run < (length == before || !length ? 3u : 4u)) single = run;
        run -= single;
        while (single--) w->described[w->descriptions++] = (uint16_t)length;
        if (!run) continue;
        uint32_t symbol = length ? REPEAT : run <= 10 ? REPEAT + 1 : REPEAT + 2;
        uint32_t number = run - (symbol == REPEAT + 2 ? 11 : 3);
        w->described[w->descriptions++] = (uint16_t)(symbol | number << 8);
    }
}

// Bits that follow a symbol of LENGTHS.
static uint32_t extra_of(uint32_t symbol) {
    return symbol < REPEAT ? 0 : symbol == REPEAT ? 2 : symbol == REPEAT + 1 ? 3 : 7;
}

// Makes the codes; returns the bits that they take to write, and in `kept` how many of ORDER.
static uint32_t make_header(work *w, uint32_t *kept) {
    make_codes(&w->literals, LITERALS, LONGEST_CODE);
    make_codes(&w->distances, DISTANCES, LONGEST_CODE);
    w->descriptions = 0;
    describe(w, &w->literals);
    describe(w, &w->distances);
    for (int k = 0; k < LENGTHS; k++) w->lengths.frequency[k] = 0;
    for (uint32_t k = 0; k < w->descriptions; k++) w->lengths.frequency[w->described[k] & 255]++;
    make_codes(&w->lengths, LENGTHS, 7);
    *kept = LENGTHS;
    while (*kept > 4 && !w->lengths.length[ORDER[*kept - 1]]) --*kept;
    uint32_t bits = 5 + 5 + 4 + 3 * *kept;
    for (uint32_t k = 0; k < w->descriptions; k++) {
        uint32_t symbol = w->described[k] & 255;
        bits += w->lengths.length[symbol] + extra_of(symbol);
    }
    return bits;
}

static uint32_t fixed_length(uint32_t symbol) {
    return symbol < 144 ? 8 : symbol < END ? 9 : symbol < 280 ? 7 : 8;
}

static uint8_t *put_header(state *s, work *w, uint8_t *out, uint32_t kept) {
    out = put(s, out, w->literals.used - 257, 5);
    out = put(s, out, w->distances.used - 1, 5);
    out = put(s, out, kept - 4, 4);
    for (uint32_t k = 0; k < kept; k++) out = put(s, out, w->lengths.length[ORDER[k]], 3);
    for (uint32_t k = 0; k < w->descriptions; k++) {
        uint32_t symbol = w->described[k] & 255;
        out = put(s, out, w->lengths.code[symbol], w->lengths.length[symbol]);
        out = put(s, out, w->described[k] >> 8, extra_of(symbol));
    }
    return out;
}

// The bits of each symbol: 15 + 5 + 1 of a match at most, or 8 + 5 + 5. There is one distance, beside
// which `fill` puts another that never comes.
static void list_words(work *w) {
    const huffman *h = &w->literals;
    for (uint32_t k = 0; k <= END; k++) w->words[k] = h->code[k] | (uint32_t)h->length[k] << 24;
    uint32_t end = w->words[END];
    for (uint32_t length = LEAST; length <= MOST; length++) {
        uint32_t code = w->length_code[length], symbol = END + 1 + code, bits = h->length[symbol];
        uint32_t word = h->code[symbol] | (length - LEAST - w->base[code]) << bits;
        bits += EXTRA[code];
        word |= (uint32_t)w->distances.code[0] << bits;
        w->words[END + length] = word | (bits + w->distances.length[0]) << 24;
    }
    w->words[END] = end;
}

static uint8_t *put_symbols(state *s, const work *w, uint8_t *out) {
    uint64_t bits = s->bits;
    uint32_t held = s->held;
    for (uint32_t k = 0; k <= s->count; k++) {
        uint32_t word = w->words[k < s->count ? s->symbols[k] : END];
        bits |= (uint64_t)(word & 0xffffff) << held;
        held += word >> 24;
        if (held >= 32) {
            uint32_t low = (uint32_t)bits;
            __builtin_memcpy(out, &low, 4);
            out += 4, bits >>= 32, held -= 32;
        }
    }
    s->bits = bits;
    s->held = held;
    return put(s, out, 0, 0);
}

// Writes the block in the shorter of the two ways; 0: storing would be shorter.
static uint8_t *put_block(state *s, work *w, uint8_t *out, uint32_t last) {
    uint32_t fixed = 3, symbols = 3, kept, matches = w->distances.frequency[0];
    uint32_t dynamic = make_header(w, &kept);
    for (uint32_t k = 0; k < LITERALS; k++) {
        uint32_t extra = k > END ? EXTRA[k - END - 1] : 0;
        fixed += w->literals.frequency[k] * (fixed_length(k) + extra);
        symbols += w->literals.frequency[k] * (w->literals.length[k] + extra);
    }
    fixed = (fixed + matches * 5 + 7) / 8;
    dynamic = (dynamic + symbols + matches * w->distances.length[0] + 7) / 8;
    uint32_t kind = fixed <= dynamic ? FIXED : DYNAMIC;
    if (s->stored + 4 <= (kind == FIXED ? fixed : dynamic)) return 0;
    out = put(s, out, kind << 1 | last, 3);
    if (kind == DYNAMIC) {
        out = put_header(s, w, out, kept);
    } else {
        for (uint32_t k = 0; k < ALPHABET; k++) w->literals.length[k] = (uint8_t)fixed_length(k);
        number_codes(&w->literals, ALPHABET);
        w->distances.code[0] = 0;
        w->distances.length[0] = 5;
    }
    list_words(w);
    out = put_symbols(s, w, out);
    s->count = s->stored = 0;
    count_anew(w, s);
    return out;
}

// How often the byte before in[0] follows: LEAST to MOST times, else 0. left: bytes.
static uint32_t match(const uint8_t *in, uint32_t left) {
    uint32_t word, length = LEAST, most = left < MOST ? left : MOST;
    if (left < LEAST) return 0;
    __builtin_memcpy(&word, in - 1, 4);
    if (word != in[0] * 0x01010101u) return 0;
    for (uint64_t eight, same = in[0] * 0x0101010101010101u; length + 8 <= most; length += 8) {
        __builtin_memcpy(&eight, in + length, 8);
        if (eight != same) break;
    }
    while (length < most && in[length] == in[0]) length++;
    return length;
}

void deflate_rle(args *a) {
    const deflate_args *p = &a->op->deflate;
    const uint8_t *in = a->memory + p->in;
    uint8_t *out = a->memory + p->out, *begin = out;
    state *s = (state *)(a->memory + p->states);
    work *w = (work *)a->scratch;
    if (next_piece(a) < 0) return;
    list_lengths(w);
    count_anew(w, s);
    uint32_t at = s->begun;
    // A match may need as many bytes as it has; so some are left for the next call.
    for (uint32_t left; (left = p->bytes - at) >= (p->last ? 1 : MOST);) {
        uint32_t length = at ? match(in + at, left) : 0;
        uint32_t symbol = length ? END + length : in[at];
        s->symbols[s->count++] = (uint16_t)symbol;
        count_symbol(w, symbol);
        at += length ? length : 1;
        s->stored += length ? length : 1;
        if (s->count == MANY) out = put_block(s, w, out, 0);
        if (!out) break;
    }
    if (p->last && out) out = put_block(s, w, out, 1);
    if (p->last && out && s->held) *out++ = (uint8_t)s->bits;
    s->used = at;
    s->begun = s->begun || at;
    s->written = out ? (uint32_t)(out - begin) : REFUSED;
}
