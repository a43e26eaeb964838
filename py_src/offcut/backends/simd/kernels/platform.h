// What differs between WebAssembly and native code: exports, and how a thread waits.
//
// Waiting spins first, since an op takes microseconds and waking a sleeper takes longer. Then it
// sleeps until woken (WebAssembly), or lets other threads have the processor (native).
#pragma once
#include <stdint.h>

enum { SPINS = 20000 };  // some 100 us

#if defined(__wasm__)
#define EXPORT(name) __attribute__((export_name(#name)))
#elif defined(_WIN32)
#define EXPORT(name) __declspec(dllexport)
extern int SwitchToThread(void);
static inline void yield_processor(void) { SwitchToThread(); }
#else
#define EXPORT(name) __attribute__((visibility("default")))
extern int sched_yield(void);
static inline void yield_processor(void) { sched_yield(); }
#endif

static inline void pause_briefly(void) {
#if defined(__SSE2__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// Return when *place no longer holds `old`. In WebAssembly, a thread that may not come (`patient`
// is 0) is waited for ten seconds and then given up with a trap, so that a lost helper cannot hang
// the page.
static void await_change(uint32_t *place, uint32_t old, int patient) {
    (void)patient;
    for (int i = 0; i < SPINS; i++) {
        if (__atomic_load_n(place, __ATOMIC_ACQUIRE) != old) return;
        pause_briefly();
    }
    while (__atomic_load_n(place, __ATOMIC_ACQUIRE) == old) {
#if defined(__wasm_atomics__)
        int64_t limit = patient ? -1 : 10000000000;
        if (__builtin_wasm_memory_atomic_wait32((int *)place, (int)old, limit) == 2)
            __builtin_trap();
#elif !defined(__wasm__)
        yield_processor();
#else
        __builtin_trap();  // one thread never waits
#endif
    }
}

static inline void wake_all(uint32_t *place) {
#if defined(__wasm_atomics__)
    __builtin_wasm_memory_atomic_notify((int *)place, ~0u);
#else
    (void)place;
#endif
}
