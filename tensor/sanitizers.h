#pragma once
// What the sanitizers must be told of fibers and of memory that comes and goes without malloc. Declared here, because not every compiler
// brings their headers; nothing without a sanitizer.
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define SONO_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SONO_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define SONO_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SONO_TSAN 1
#endif
#endif

#ifdef SONO_ASAN
extern "C" {
void __asan_poison_memory_region(const volatile void* address, size_t bytes);
void __asan_unpoison_memory_region(const volatile void* address, size_t bytes);
void __sanitizer_start_switch_fiber(void** save_shadow, const void* lowest, size_t bytes);
void __sanitizer_finish_switch_fiber(void* shadow, const void** lowest_before, size_t* bytes_before);
}
#endif
#ifdef SONO_TSAN
extern "C" {
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
}
#endif

namespace sono {

#ifdef SONO_ASAN
// Under AddressSanitizer nobody may touch what is forbidden.
inline void forbid(const void* p, size_t bytes) { __asan_poison_memory_region(p, bytes); }
inline void allow(const void* p, size_t bytes) { __asan_unpoison_memory_region(p, bytes); }
#else
inline void forbid(const void*, size_t) {}
inline void allow(const void*, size_t) {}
#endif

}  // namespace sono
