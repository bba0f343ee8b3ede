#include "watch/local_addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <array>
#include <cstring>

namespace athanor::watch {

std::vector<std::string> local_addresses() {
  constexpr std::size_t kMost = 16;
  std::vector<std::string> addresses;
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) == 0) {
    for (const ifaddrs* entry = all; entry != nullptr && addresses.size() < kMost; entry = entry->ifa_next) {
      if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET) continue;
      if ((entry->ifa_flags & IFF_LOOPBACK) != 0 || (entry->ifa_flags & IFF_UP) == 0) continue;
      sockaddr_in address{};
      std::memcpy(&address, entry->ifa_addr, sizeof address);
      std::array<char, INET_ADDRSTRLEN> text{};
      if (inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size()) != nullptr)
        addresses.emplace_back(text.data());
    }
    freeifaddrs(all);
  }
  if (addresses.empty()) addresses.emplace_back("127.0.0.1");
  return addresses;
}

}  // namespace athanor::watch
