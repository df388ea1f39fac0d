#pragma once
// Working memory of a thread, kept from call to call. A slot is one buffer; two buffers that live at the same time need two slots.
#include <cstdint>

namespace sono::cpu {

constexpr int scratch_slots = 4;
float* scratch(int slot, int64_t floats);  // 64-byte aligned, not initialised; valid until this thread asks for the slot again

}  // namespace sono::cpu
