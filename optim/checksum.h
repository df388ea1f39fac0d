#pragma once
// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78, RFC 3720 B.4), for checkpoints and TensorBoard records.
//
//   crc32c("123456789") == 0xE3069283
#include <cstdint>
#include <string_view>

namespace sono {

uint32_t crc32c(std::string_view bytes, uint32_t before = 0);  // before: the checksum of what precedes these bytes

}  // namespace sono
