// The interpreter: runs a stretch of the op table, on one thread or on several.
//
// All threads run the same ops in the same order and meet after each: within an op they take pieces
// of it, so the result does not depend on how many there are. A barrier spins for a while
// before it sleeps: an op takes microseconds, waking a thread takes longer.
//
// Each thread has a share of the pieces, the same part of every op, and helps others when it has
// done its own. So what it reads is mostly what it wrote itself and lies in its core's cache:
// between two cores far apart, data and contended counters took a third of the time of small ops.
#include "gemm.h"
#include "platform.h"
#include "program.h"

// At the start of the memory.
typedef struct {
    uint32_t job;         // 16 * count of the jobs + threads that do this one; helpers wait for it
    uint32_t arrived;     // threads at the barrier
    uint32_t generation;  // counts the barriers
    uint32_t stop;        // 1: helpers return
    uint32_t threads;                // that do the next job, from 1 to 15
    uint32_t ops;                    // offset of the op table
    uint32_t begin, end;             // the job: these ops
    uint32_t scratch, scratch_size;  // offset of thread 0's scratch; bytes for each thread
    uint32_t apart[6];
    share shares[16];  // by thread
} control;

// A build may leave out one half: kernels.wasm has no pictures, pictures.wasm no networks.
#ifndef WITHOUT_NETWORKS
static kernel *const NETWORKS[] = {
    conv_winograd, conv_direct, conv_narrow,
    max_pool, average_pool, resize_u8, dequantize, quantize,
    quantize_finely, pack_weights,
    conv_float, conv_float_winograd, conv_float_windows, pack_float, pack_float_winograd,
    max_pool_float, average_pool_float, resize_float, spread_float, elementwise_float,
    reduce_float, normalize_float, conv_depthwise, affine_u8, reduce_u8, normalize_u8,
    conv_float_pixel,
};
#else
static kernel *const NETWORKS[] = {0};
#endif
#ifndef WITHOUT_PICTURES
static kernel *const PICTURES[] = {
    decode_rans, filter_rows, multiply_pairs, fit_lines, apply_lines, unmix, filter_png,
    spread_colours, shrink_blocks, sum_blocks, deflate_rle,
};
#else
static kernel *const PICTURES[] = {0};
#endif
enum { FIRST_PICTURE = 64 };  // its number; networks' count from 0

// Traps when this build has no such kernel.
static kernel *find_kernel(uint32_t number) {
    int picture = number >= FIRST_PICTURE;
    if (picture) number -= FIRST_PICTURE;
    require(number < (picture ? sizeof PICTURES : sizeof NETWORKS) / sizeof(kernel *));
    return picture ? PICTURES[number] : NETWORKS[number];
}

static void barrier(control *c, uint32_t threads) {
    if (threads == 1) return;
    uint32_t generation = __atomic_load_n(&c->generation, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&c->arrived, 1, __ATOMIC_ACQ_REL) < threads) {
        await_change(&c->generation, generation, 0);
        return;
    }
    __atomic_store_n(&c->arrived, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&c->generation, generation + 1, __ATOMIC_RELEASE);
    wake_all(&c->generation);
}

// Take some pieces of this thread's share, or of the next one that has any left. Taking is slow
// beside the smallest pieces.
static int take(args *a) {
    uint32_t units = a->op->units, threads = a->threads;
    uint32_t n = threads == 1 ? units : units / 512 + 1;
    for (; a->emptied < threads; a->emptied++) {
        uint32_t owner = (a->ith + a->emptied) % threads;
        uint32_t begin = units * owner / threads, end = units * (owner + 1) / threads;
        begin += __atomic_fetch_add(&a->shares[owner].taken[a->turn], n, __ATOMIC_RELAXED);
        if (begin >= end) continue;
        a->piece = begin;
        a->end = end - begin < n ? end : begin + n;
        return 1;
    }
    return 0;
}

int next_piece(args *a) {
    if (a->piece == a->end && !take(a)) return -1;
    return (int)a->piece++;
}

// The job is read once at its start: after the last barrier thread 0 may write the next one. The
// counters of the other turn were last used before a barrier, and are next used behind one.
static void run_job(uint8_t *memory, int ith, int nth) {
    control *c = (control *)memory;
    args a = {.memory = memory,
              .scratch = memory + c->scratch + (uint64_t)c->scratch_size * (uint32_t)ith,
              .threads = (uint32_t)nth,
              .ith = (uint32_t)ith,
              .shares = c->shares};
    uint32_t end = c->end;
    for (uint32_t i = c->begin; i < end; i++) {
        a.op = (op *)(memory + c->ops) + i;
        a.emptied = 0;
        a.shares[ith].taken[!a.turn] = 0;
        find_kernel(a.op->kernel)(&a);
        barrier(c, (uint32_t)nth);
        a.turn = !a.turn;
    }
}

static void set_job(control *c, uint32_t threads) {
    uint32_t count = __atomic_load_n(&c->job, __ATOMIC_RELAXED) / 16 + 1;
    __atomic_store_n(&c->job, count * 16 + threads, __ATOMIC_RELEASE);
    wake_all(&c->job);
}

// Write down the job of running ops [begin, end), and let waiting helpers begin.
EXPORT(announce) void announce(uint8_t *memory, uint32_t begin, uint32_t end) {
    control *c = (control *)memory;
    for (uint32_t i = 0; i < c->threads; i++) c->shares[i].taken[0] = 0;
    c->begin = begin;
    c->end = end;
    set_job(c, c->threads);
}

// Do this thread's part of the job that was announced; return when all threads have done theirs.
EXPORT(run) void run(uint8_t *memory, int ith) {
    run_job(memory, ith, (int)((control *)memory)->threads);
}

// Be helper number ith: do every job from the one after `job` on that wants so many threads, until
// told to stop. A job that this thread is part of cannot be followed by another before it is done.
EXPORT(serve) void serve(uint8_t *memory, int ith, uint32_t job) {
    control *c = (control *)memory;
    for (;;) {
        await_change(&c->job, job, 1);
        job = __atomic_load_n(&c->job, __ATOMIC_ACQUIRE);
        if (__atomic_load_n(&c->stop, __ATOMIC_ACQUIRE)) return;
        if (ith < (int)(job % 16)) run_job(memory, ith, (int)(job % 16));
    }
}

// Make all helpers that serve return.
EXPORT(dismiss) void dismiss(uint8_t *memory) {
    control *c = (control *)memory;
    __atomic_store_n(&c->stop, 1, __ATOMIC_RELEASE);
    set_job(c, 0);
}

// What Python must know of the build: bytes of an op, and columns of a group.
EXPORT(op_size) uint32_t op_size(void) { return sizeof(op); }
EXPORT(group_size) uint32_t group_size(void) { return GROUP; }
