#pragma once
// Pieces of the one-line messages that people read.
#include <filesystem>
#include <string>
#include <vector>

namespace sono::zoo {

// A path in a message: the last 160 bytes of a longer one, without control characters.
inline std::string shown(const std::filesystem::path& path) {
  std::string s = path.string();
  size_t cut = s.size() > 160 ? s.size() - 160 : 0;
  while (cut < s.size() && cut > 0 && (static_cast<unsigned char>(s[cut]) & 0xC0) == 0x80) cut++;  // never inside a UTF-8 character
  if (cut) s = "…" + s.substr(cut);
  for (char& c : s)
    if (static_cast<unsigned char>(c) < 32) c = '?';
  return s;
}

// "a, b, c …": as many as fit into about `room` bytes, at least one.
inline std::string listed(const std::vector<std::string>& words, size_t room = 120) {
  std::string all;
  for (size_t i = 0; i < words.size(); i++) {
    if (i && all.size() + words[i].size() + 2 > room) return all + " …";
    all += (i ? ", " : "") + words[i];
  }
  return all;
}

}  // namespace sono::zoo
