#include "base/build_id.h"

#include <elf.h>
#include <fmt/format.h>
#include <link.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace athanor {
namespace {

struct Search {
  std::string found;
  bool is_program = true;  ///< the first object that is shown is the program
};

std::size_t padded(std::size_t bytes) {
  return (bytes + 3) / 4 * 4;
}

/// The build ID among the notes of a segment; empty where there is none.
std::string id_in_notes(const std::uint8_t* notes, std::size_t bytes) {
  std::size_t at = 0;
  while (at + sizeof(ElfW(Nhdr)) <= bytes) {
    ElfW(Nhdr) head;
    std::memcpy(&head, notes + at, sizeof head);
    const std::size_t name = at + sizeof head, content = name + padded(head.n_namesz);
    at = content + padded(head.n_descsz);
    if (at > bytes) break;
    if (head.n_type != NT_GNU_BUILD_ID || head.n_namesz != 4 || std::memcmp(notes + name, "GNU", 4) != 0) continue;
    std::string text;
    for (std::size_t i = 0; i < head.n_descsz; ++i) text += fmt::format("{:02x}", notes[content + i]);
    return text;
  }
  return {};
}

int look_at(dl_phdr_info* object, std::size_t, void* search_pointer) {
  auto& search = *static_cast<Search*>(search_pointer);
  const bool is_wanted = search.is_program || std::strstr(object->dlpi_name, "libathanor.so") != nullptr;
  search.is_program = false;
  for (int i = 0; is_wanted && i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const std::string id =
        id_in_notes(reinterpret_cast<const std::uint8_t*>(object->dlpi_addr + segment.p_vaddr), segment.p_memsz);
    if (!id.empty()) search.found += (search.found.empty() ? "" : " ") + id;
  }
  return 0;
}

}  // namespace

std::string build_id() {
  Search search;
  dl_iterate_phdr(look_at, &search);
  return search.found;
}

}  // namespace athanor
