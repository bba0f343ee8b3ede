// Preloaded (LD_PRELOAD) into a job, this lets one of its ranks not reach the heartbeat service: its connections to the
// port in ATHANOR_HEARTBEAT are refused, all others are made.
//
//   ATHANOR_UNREACHABLE_FROM  the rank
#include <dlfcn.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>
#include <string>

namespace {

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// "athanor1/KEY/PORT/…"
bool is_service(const sockaddr* address) {
  if (address->sa_family != AF_INET) return false;
  const std::string invitation = variable("ATHANOR_HEARTBEAT");
  const std::size_t key = invitation.find('/'), port = invitation.find('/', key + 1);
  if (key == std::string::npos || port == std::string::npos) return false;
  const auto* const target = reinterpret_cast<const sockaddr_in*>(address);
  return std::atoi(invitation.c_str() + port + 1) == ntohs(target->sin_port);
}

}  // namespace

extern "C" int connect(int socket, const sockaddr* address, socklen_t length) {
  static const auto real = reinterpret_cast<int (*)(int, const sockaddr*, socklen_t)>(dlsym(RTLD_NEXT, "connect"));
  const std::string rank = variable("OMPI_COMM_WORLD_RANK");
  if (!rank.empty() && rank == variable("ATHANOR_UNREACHABLE_FROM") && is_service(address)) {
    errno = ECONNREFUSED;
    return -1;
  }
  return real(socket, address, length);
}
